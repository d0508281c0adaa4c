"""verify() as its callers use it: stages, methods by name, limits, interrupts, heads end to end."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier.answer.budget import Budget, somebody_watches
from verifier.answer.reason import Reason
from verifier.method_table import TABLE

from .networks import random_network

BOUNDING = [one.name for one in TABLE.values() if one.bound is not None]
VERIFIED, FALSIFIED, UNKNOWN = verifier.Verdict.VERIFIED, verifier.Verdict.FALSIFIED, verifier.Verdict.UNKNOWN


def small_net(*head: nn.Module, outputs: int = 1) -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, outputs), *head).requires_grad_(False)


def grid(lower: float, upper: float, count: int = 201) -> torch.Tensor:
    axis = torch.linspace(lower, upper, count)
    return torch.cartesian_prod(axis, axis)


@pytest.mark.parametrize("method", TABLE)
def test_every_method_answers_by_its_name(method: str) -> None:
    net = small_net()
    values = net(grid(0, 1))
    wide, broken = [(values.min().item() - 50, values.max().item() + 50)], [(values.max().item() + 1, None)]
    true, false = (verifier.verify(net, [(0, 1)] * 2, spec, method=method) for spec in (wide, broken))
    assert true.verdict is (UNKNOWN if method == "attack" else VERIFIED)
    assert false.verdict is (FALSIFIED if "falsified" in TABLE[method].sound else UNKNOWN)
    for result in (true, false):
        assert (result.guarantee == "") == (result.verdict is UNKNOWN)
        assert bool(result.reason) == (result.verdict is UNKNOWN)


def test_stages_run_cheap_to_dear() -> None:
    net = small_net()
    top = net(grid(0, 1)).max().item()
    stages = [verifier.verify(net, [(0, 1)] * 2, [(None, limit)]).stage for limit in (top + 50, top + 0.02, top - 0.01)]
    assert stages[0] == "interval"
    assert stages[1] in ("auto-LiRPA CROWN", "crown", "split")
    assert stages[2] == "attack"


def test_auto_goes_on_with_our_crown_where_auto_lirpa_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise verifier.MissingDependencyError("auto-LiRPA is not installed")

    monkeypatch.setitem(TABLE, "auto_lirpa", dataclasses.replace(TABLE["auto_lirpa"], bound=missing))
    net = small_net()
    top = net(grid(0, 1)).max().item()
    assert verifier.verify(net, [(0, 1)] * 2, [(None, top + 0.02)]).verdict is VERIFIED
    with pytest.raises(verifier.MissingDependencyError):
        verifier.verify(net, [(0, 1)] * 2, [(None, top)], method="auto_lirpa")


@pytest.mark.parametrize("head", [nn.Sigmoid(), nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1)])
@pytest.mark.parametrize("room", [0.01, -0.01])
def test_limit_on_a_head_s_output_is_decided_as_a_fine_grid_says(head: nn.Module, room: float) -> None:
    """A limit a little above the largest value of the grid holds, one a little below does not."""
    net = small_net(head, outputs=3)
    top = net(grid(0, 1))[:, 1].max().item()
    result = verifier.verify(net, [(0, 1)] * 2, [(None, None), (None, top + room), (None, None)])
    assert result.verdict is (VERIFIED if room > 0 else FALSIFIED)
    if result.counterexample is not None:
        assert net(result.counterexample).reshape(-1)[1] > top + room


@pytest.mark.parametrize("head", [nn.Identity(), nn.Sigmoid(), nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1)])
def test_argmax_is_decided_as_a_fine_grid_says(head: nn.Module) -> None:
    net = small_net(head, outputs=3)
    for lower in np.linspace(-1, 0.6, 5):
        labels = net(grid(float(lower), float(lower) + 0.4)).argmax(dim=1).unique()
        result = verifier.verify(net, [(lower, lower + 0.4)] * 2, verifier.argmax_is(int(labels[0])))
        if len(labels) > 1:
            assert result.verdict is FALSIFIED
        else:
            assert result.verdict is not FALSIFIED or net(result.counterexample).argmax() != labels[0]


@pytest.mark.parametrize("method", BOUNDING)
@pytest.mark.parametrize("head", [nn.Identity(), nn.Sigmoid(), nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1)])
def test_output_bounds_contain_the_outputs(method: str, head: nn.Module) -> None:
    net = small_net(head, outputs=3)
    bounds = verifier.output_bounds(net, [(0.2, 0.4)] * 2, method=method)
    values = net(grid(0.2, 0.4, 60)).double().numpy()
    slack = 1e-5  # the module computes in float32, the bounds speak of the real network
    assert (values >= bounds.lower - slack).all()
    assert (values <= bounds.upper + slack).all()
    assert (bounds.upper - bounds.lower < 2).all()


def test_same_seed_gives_the_same_counterexamples() -> None:
    net = small_net()
    top = net(grid(0, 1)).max().item()
    runs: list[list[torch.Tensor]] = [[], []]
    for cases in runs:
        verifier.verify(net, [(0, 1)] * 2, [(None, top - 0.05)], counterexamples=cases, seed=3)
    assert 5 <= len(runs[0]) <= 10
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
    assert len({tuple(case.tolist()) for case in runs[0]}) == len(runs[0])


def test_time_limit_gives_unknown_with_what_is_known() -> None:
    network = random_network(0, 10, 60, 60, 1)
    started = time.process_time()
    result = verifier.verify(network, [(-1, 1)] * 10, [(None, 20.0)], timeout_s=1.5, progress=False)
    assert result.verdict is UNKNOWN
    assert "time limit of 1.5 s" in result.reason
    assert np.isfinite(result.output_bounds.upper).all()
    assert time.process_time() - started < 5  # of CPU time, far above the limit: this is not a measure of speed


@pytest.mark.parametrize("method", ["crown", "attack", "lp", "milp", "z3"])
def test_no_method_begins_what_no_time_is_left_for(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written down for a solver, no neuron bounded, no step walked."""
    from verifier import attack
    from verifier.bounds import crown
    from verifier.exact.linear import check as linear_check
    from verifier.solvers.z3_solver import RationalSolver

    monkeypatch.setattr(linear_check, "encode_clause", None)
    monkeypatch.setattr(RationalSolver, "linear", None)
    monkeypatch.setattr(crown, "_bound_neurons", None)
    monkeypatch.setattr(attack._Runner, "backward", None)
    network = random_network(0, 4, 12, 12, 1)
    found = verifier.verify(network, [(-1, 1)] * 4, [(None, 2.0)], method=method, timeout_s=1e-9, progress=False)
    assert found.verdict is UNKNOWN and found.timed_out


def test_limit_of_subdomains_is_kept_and_repeatable() -> None:
    network = random_network(0, 6, 30, 30, 1)
    runs = [
        verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)], max_subdomains=200, timeout_s=None, progress=False)
        for _ in range(2)
    ]
    assert runs[0].subdomains <= 203  # the three bounds of the whole box come before the search
    assert (runs[0].verdict, runs[0].subdomains, runs[0].margin) == (
        runs[1].verdict,
        runs[1].subdomains,
        runs[1].margin,
    )


def test_interrupt_gives_unknown_with_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(0, 6, 30, 30, 1)
    calls = 0
    count = Budget.count

    def interrupted(self: Budget, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        count(self, *args)

    monkeypatch.setattr(Budget, "count", interrupted)
    result = verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)])
    assert result.verdict is UNKNOWN
    assert result.reason == "interrupted"
    assert np.isfinite(result.output_bounds.lower).all()


def test_progress_bar_appears_when_asked_and_not_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    network = random_network(0, 6, 30, 30, 1)
    ask: dict[str, Any] = {"max_subdomains": 300, "method": "split"}
    verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)], progress=False, **ask)
    assert capsys.readouterr().err == ""
    verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)], progress=True, **ask)
    assert "subdomains" in capsys.readouterr().err


def test_no_progress_bar_is_drawn_on_a_stream_that_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """None asks for a bar after a second, but only where somebody sees it: a log file stays readable."""
    monkeypatch.setattr("verifier.answer.budget.PROGRESS_DELAY_S", 0.0)
    network = random_network(0, 6, 30, 30, 1)
    ask: dict[str, Any] = {"max_subdomains": 300, "method": "split"}
    for terminal in (False, True):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal, raising=False)
        monkeypatch.setattr("sys.stderr", stream)
        verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)], progress=None, **ask)
        assert ("subdomains" in stream.getvalue()) is terminal


def test_a_process_without_standard_error_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert not somebody_watches()


def test_split_trace_gives_boxes_that_end_settled() -> None:
    net = small_net()
    top = net(grid(-1, 1)).max().item()
    trace = verifier.split_trace(net, [(-1, 1)] * 2, [(None, top + 0.05)])
    assert trace.result.verdict is VERIFIED
    statuses = {box.status for box in trace.boxes}
    assert statuses <= {"verified", "split"}
    assert sum(box.status == "verified" for box in trace.boxes) >= sum(box.status == "split" for box in trace.boxes)
    broken = verifier.split_trace(net, [(-1, 1)] * 2, [(None, top - 0.05)])
    assert broken.result.verdict is FALSIFIED
    assert any(box.status == "falsified" for box in broken.boxes)


def test_warning_points_to_the_caller_s_line() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 1))
    with pytest.warns(verifier.VerifierWarning, match="Dropout") as caught:
        verifier.verify(net, [(0, 1)] * 2, [(None, 100)])
    assert caught[0].filename == __file__
    assert len(caught) == 1


@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("size", [1e60, 1e150, 1e300, 1e-60, 1e-300, 1e-320])
def test_huge_and_tiny_weights_give_a_right_verdict_or_unknown(size: float, method: str) -> None:
    """y = size |x| on [-1, 1]: a limit of twice its largest value holds, one of half of it does not."""
    weight = np.array([[size], [-size]])
    network = verifier.Network((verifier.Affine(weight, np.zeros(2)), verifier.Affine(np.ones((1, 2)), np.zeros(1))))
    for limit, wrong in ((min(2 * size, 1e308), FALSIFIED), (size / 2, VERIFIED)):
        result = verifier.verify(network, [(-1, 1)], [(None, limit)], method=method, max_subdomains=50)
        assert result.verdict is not wrong
        if size == 1e60 and method == "auto":
            assert result.verdict is not UNKNOWN
        if size >= 1e150:
            assert "too large" in result.reason


def test_module_with_huge_weights_gives_unknown_with_the_reason() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double().requires_grad_(False)
    net[0].weight.fill_(1e300)
    net[2].weight.fill_(1e300)
    result = verifier.verify(net, [(0, 1)] * 2, [(None, 1)])
    assert result.verdict is UNKNOWN
    assert "too large" in result.reason


def test_box_beyond_the_dtype_is_refused() -> None:
    with pytest.raises(verifier.SpecError, match=r"x_specs\[1\]: \(0, 1e\+06\).*dtype"):
        verifier.verify(nn.Linear(2, 1).half(), [(0, 1), (0, 1e6)], [(None, 1)])


def test_question_without_limits_holds() -> None:
    for method in ("auto", "split", "z3", "ibp"):
        assert verifier.verify(small_net(), [(0, 1)] * 2, [(None, None)], method=method).verdict is VERIFIED


def test_zero_layer_network_and_a_hundred_outputs() -> None:
    assert verifier.verify(nn.Identity(), [(0, 1)] * 3, [(0, 1)] * 3).verdict is VERIFIED
    torch.manual_seed(0)
    net = nn.Linear(3, 100)
    with torch.no_grad():
        net.bias[7] = 50.0
    assert verifier.verify(net, [(0, 1)] * 3, verifier.argmax_is(7)).verdict is VERIFIED
    assert verifier.verify(net, [(0, 1)] * 3, verifier.argmax_is(8)).verdict is FALSIFIED


def test_import_of_verifier_loads_neither_torch_nor_a_solver() -> None:
    code = """
import sys, verifier
verifier.less_than(0.5)
print([name for name in ("torch", "z3", "auto_LiRPA") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_network_answers_without_torch() -> None:
    code = """
import sys, numpy as np, verifier
sys.modules["torch"] = None
layers = verifier.Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), verifier.Affine(np.ones((1, 2)), np.zeros(1))
for limit in (0.75, 1.25):
    print(verifier.verify(verifier.Network(layers), [(-1, 1)], [(None, limit)]).verdict.value)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["falsified", "verified"]


def test_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'verfy'"):
        verifier.verfy  # noqa: B018
    assert "verify" in dir(verifier)


def identity_pair() -> nn.Linear:
    """y = x on two inputs, in float32."""
    net = torch.nn.Linear(2, 2)
    with torch.no_grad():
        net.weight.copy_(torch.eye(2))
        net.bias.zero_()
    return net


def test_a_tie_on_a_side_that_is_no_float32_is_below_rounding_at_once() -> None:
    """y = x < 0.1 fails at x = 0.1 itself, which no float32 value is, and holds at every float32 value in [0, 0.1]."""
    found = verifier.verify(identity_pair(), [[0, 0.1]] * 2, verifier.less_than(0.1), timeout_s=60)
    assert found.verdict is UNKNOWN and found.cause is Reason.BELOW_ROUNDING and found.subdomains < 100
    assert -1e-8 < found.margin <= 0  # of the hull, which reaches float32(0.1)
    assert verifier.verify(identity_pair(), [[0, 0.1]] * 2, verifier.less_than(0.1001)).verdict is VERIFIED


def test_a_tie_on_a_side_hides_no_counterexample_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack finds nothing here: the search among the float32 values has to find y_1 = x_1 >= 0.5."""
    for name in ("attack", "thorough_attack"):
        monkeypatch.setattr(f"verifier.stages.{name}", lambda question, **options: np.zeros((0, 2)))
    spec = verifier.all_of(verifier.less_than(0.1, output=0), verifier.less_than(0.5, output=1))
    found = verifier.verify(identity_pair(), [[0, 0.1], [0, 0.7]], spec, timeout_s=60)
    assert found.verdict is FALSIFIED and 0.5 <= float(found.counterexample.reshape(-1)[1]) <= 0.7
