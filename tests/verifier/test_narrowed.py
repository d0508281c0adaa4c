"""Questions about many outputs: taken apart, they have the answer that the whole question has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import verifier
from tests.verifier.networks import random_network
from verifier import (
    Head,
    Network,
    OutputSpec,
    SpecError,
    Verdict,
    all_of,
    any_of,
    argmax_is,
    greater_than,
    less_than,
    linear,
    verify,
    within,
)  # fmt: skip
from verifier.narrowed import parts_of
from verifier.subject import Subject

BOX = [[-0.05, 0.05]] * 3
OUTPUTS = 40


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take questions about 40 outputs apart, 7 inequalities at once."""
    monkeypatch.setattr("verifier.pipeline.MANY_OUTPUTS", 10)
    monkeypatch.setattr("verifier.asking.robustness.MANY_OUTPUTS", 10)
    monkeypatch.setattr("verifier.asking.accuracy.MANY_OUTPUTS", 10)
    monkeypatch.setattr("verifier.narrowed.AT_ONCE", 7)


def network(head: Head = Head.IDENTITY) -> Network:
    layers = random_network(0, 3, 20, OUTPUTS).layers
    return Network(layers, head)


def centre_label(net: Network) -> int:
    return int(net(np.zeros((1, 3))).argmax())


def specs(net: Network) -> list[OutputSpec]:
    best = centre_label(net)
    y = net(np.zeros((1, 3)))[0]
    limits = [[None, v + 0.3] if i % 3 else [v - 0.3, None] for i, v in enumerate(y)]
    return [
        argmax_is(best), argmax_is((best + 1) % OUTPUTS), less_than(float(y.max()) + 0.5), less_than(float(y.max())),
        greater_than(float(y.min()) - 0.5), greater_than(float(y.min()) + 1e-3), less_than(float(y[3]) + 0.2, output=3),
        within(limits), within([[None, None]] * OUTPUTS), all_of(argmax_is(best), less_than(float(y.max()) + 1.0)),
        all_of(argmax_is(best), less_than(float(y.max()) - 0.1)), any_of(argmax_is(best), less_than(0.0)),
        linear([1.0, -1.0] + [0.0] * (OUTPUTS - 2), 10.0),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(13))
@pytest.mark.parametrize("head", list(Head))
def test_parts_have_the_answer_of_the_whole(
    number: int, head: Head, few_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network(head)
    spec = specs(net)[number]
    ask: dict[str, Any] = {"progress": False, "timeout_s": 30}
    cases: list[Any] = []
    apart = verify(net, BOX, spec, cases, **ask)
    monkeypatch.setattr("verifier.pipeline.MANY_OUTPUTS", 1000)
    whole = verify(net, BOX, spec, **ask)
    assert apart.verdict is whole.verdict is not Verdict.UNKNOWN
    assert apart.guarantee in ("exact", "rounded")
    for x in cases:
        assert (np.abs(x) <= 0.05).all()
    if apart.verdict is Verdict.FALSIFIED:
        assert cases
        assert np.array_equal(apart.counterexample_output, net(apart.counterexample[None])[0])


@pytest.mark.parametrize("method", ["ibp", "crown", "attack", "split", "lp", "milp", "z3", "relu_split"])
def test_parts_are_asked_by_every_method(method: str, few_at_once: None) -> None:
    net = network()
    result = verify(net, [[-0.01, 0.01]] * 3, argmax_is(centre_label(net)), method=method, progress=False)
    expected = Verdict.UNKNOWN if method == "attack" else Verdict.VERIFIED
    assert result.verdict is expected and result.guarantee != "solver tolerance"


def test_specs_that_do_not_fit_are_refused_as_ever(few_at_once: None) -> None:
    for spec in (argmax_is(OUTPUTS), within([[0, 1]]), less_than(1.0, output=OUTPUTS)):
        with pytest.raises(SpecError):
            verify(network(), BOX, spec)


def test_limits_on_softmax_outputs_are_not_taken_apart() -> None:
    subject = Subject.of_network(network(Head.SOFTMAX))
    assert parts_of(subject, less_than(0.9)) is None
    assert parts_of(subject, argmax_is(0)) is not None


def test_robustness_and_accuracy_ask_in_parts(few_at_once: None) -> None:
    net = network()
    label = centre_label(net)
    assert verifier.verify_robust(net, [0.0] * 3, label, 0.01, progress=False).verdict is Verdict.VERIFIED
    assert verifier.verify_robust(net, [0.0] * 3, (label + 1) % 40, 0.01, progress=False).verdict is Verdict.FALSIFIED
    assert verifier.verified_accuracy(net, [[0.0] * 3], [label], 0.01, progress=False).verified == 1.0
    found = verifier.pointwise_robustness(net, [0.0] * 3, 1.0, progress=False)
    assert 0.01 < found.lower <= found.upper < 1.0


def test_output_bounds_are_those_of_the_whole(few_at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for head in Head:
        apart = verifier.output_bounds(network(head), BOX)
        monkeypatch.setattr("verifier.pipeline.MANY_OUTPUTS", 1000)
        whole = verifier.output_bounds(network(head), BOX)
        np.testing.assert_allclose(apart.lower, whole.lower, atol=1e-12)
        np.testing.assert_allclose(apart.upper, whole.upper, atol=1e-12)


def test_a_question_about_many_outputs_that_has_no_parts_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier.pipeline.MANY_OUTPUTS", 10)
    monkeypatch.setattr("verifier.pipeline.WHOLE_OUTPUTS", 20)
    result = verify(network(), BOX, any_of(argmax_is(0), less_than(0.0)))
    assert result.verdict is Verdict.UNKNOWN and "40 outputs" in result.reason


ASK = """
import torch
from torch import nn
from verifier import argmax_is, less_than, output_bounds, verify
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 6000))
label = int(net(torch.full((1, 16), 0.4)).argmax())
print(verify(net, [[0.4, 0.4001]] * 16, argmax_is(label), progress=False).verdict.value)
print(verify(net, [[0.4, 0.4001]] * 16, argmax_is((label + 1) % 6000), progress=False).verdict.value)
print(verify(net, [[0.4, 0.4001]] * 16, less_than(100.0), progress=False).verdict.value)
print(output_bounds(net, [[0.4, 0.4001]] * 16).upper.shape)
with open("/proc/self/status") as status:  # ru_maxrss counts the parent, too
    peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(peak_kb < 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, to ask for the peak of memory")
def test_six_thousand_classes_fit_into_a_gibibyte() -> None:
    """As rows of 6,000 numbers, their 6,000 margins alone would take 290 MB in each of their forms."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["verified", "falsified", "verified", "(6000,)", "True", ""], done.stderr


def test_a_torch_module_is_asked_in_parts_and_replayed_as_a_whole(few_at_once: None) -> None:
    """What is replayed gives all outputs, of which a part knows some: output i is x0 + i, so 39 is the largest."""
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(3, OUTPUTS))
    weight = torch.zeros(OUTPUTS, 3)
    weight[:, 0] = 1.0
    net.load_state_dict({"0.weight": weight, "0.bias": torch.arange(OUTPUTS, dtype=torch.float32)})
    assert verify(net, BOX, argmax_is(39)).verdict is Verdict.VERIFIED
    result = verify(net, BOX, argmax_is(20))
    assert result.verdict is Verdict.FALSIFIED
    assert int(net(result.counterexample).argmax()) == 39
