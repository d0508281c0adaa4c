"""Specs that compare outputs with the input: every method agrees with enumeration, and with samples behind a head."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from judges.judging import judge
from judges.random_problems import random_relation
from verifier import Verdict, linear
from verifier.answer.verdict import Question
from verifier.network import Affine, Network
from verifier.question.spec import Box
from verifier.question.spec_data import from_data, to_data
from verifier.subject import Subject

SEED = 50
BATCH = 10
METHODS = (
    "auto", "split", "relu_split", "z3", "milp", "lp", "crown", "ibp", "auto_lirpa", "auto_lirpa_optimized", "attack",
)  # fmt: skip
MUST_SETTLE = ("auto", "split", "z3")


def asked(index: int, method: str) -> str:
    """Put one problem to a method and judge it by the exact answer; the verdict."""
    problem = random_relation(SEED, index)
    net, answer, cases = problem.module(), problem.answer(), []  # type: ignore[var-annotated]
    result = verifier.verify(
        net, problem.x_specs(), problem.y_specs(), cases, method=method, max_subdomains=5000, timeout_s=600,
        progress=False,
    )  # fmt: skip
    judgement = judge(problem, answer, net, result, cases, method)
    name = f"problem {problem.seed}, {method}, exact worst margin {float(answer.worst_margin):.3g}"
    assert not judgement.wrong, f"{name}: {'; '.join(judgement.wrong)}"
    assert method not in MUST_SETTLE or not judgement.unknown_with_room, f"{name}: unknown ({result.reason})"
    return str(result.verdict.value)


@pytest.mark.parametrize("first", range(0, 150, BATCH))
def test_auto_agrees_with_enumeration(first: int) -> None:
    for index in range(first, first + BATCH):
        asked(index, "auto")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_with_enumeration(method: str) -> None:
    verdicts = [asked(index, method) for index in range(200, 212 if method.startswith("auto_lirpa") else 230)]
    assert method == "attack" or "verified" in verdicts
    assert method in ("ibp", "crown", "auto_lirpa", "auto_lirpa_optimized") or "falsified" in verdicts


def doubling(dtype: torch.dtype = torch.float32) -> nn.Module:
    """y = 2 x for every x, by relu(x) and relu(-x)."""
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).to(dtype)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[2].weight.copy_(torch.tensor([[2.0, -2.0]]))
    return net


@pytest.mark.parametrize("method", ["auto", "split", "relu_split", "z3", "milp"])
def test_a_network_is_compared_with_a_formula_of_its_input(method: str) -> None:
    """2 x is within 0.1 of 2 x, and of 1.9 x up to |x| = 1 but not further."""
    net = doubling()

    def near(factor: float) -> verifier.OutputSpec:
        return linear(y=[1], x=[-factor], offset=0.1) & linear(y=[-1], x=[factor], offset=0.1)

    assert verifier.verify(net, [(-3, 3)], near(2.0), method=method)
    assert verifier.verify(net, [(-0.99, 0.99)], near(1.9), method=method)
    found = verifier.verify(net, [(-3, 3)], near(1.9), method=method)
    assert found.verdict is Verdict.FALSIFIED and abs(found.counterexample.item()) > 1.0


def test_bounds_see_the_input_as_it_is() -> None:
    """An interval of y alone says nothing of y - x: CROWN proves y = x on a stable network where y is in [0, 1]."""
    identity = Network((Affine(np.eye(1), np.zeros(1)), Affine(np.eye(1), np.zeros(1))))
    near = linear([1], 1e-9, x=[-1]) & linear([-1], 1e-9, x=[1])
    result = verifier.verify(identity, [(0, 1)], near, method="crown")
    assert result and result.margin == pytest.approx(1e-9, rel=1e-3)
    assert result.output_bounds.lower.shape == (1,)


@pytest.mark.parametrize(
    "head", [nn.Sigmoid(), nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1)], ids=["sigmoid", "softmax", "log"]
)
@pytest.mark.parametrize("seed", range(4))
def test_behind_a_head_no_sample_contradicts_a_verdict(head: nn.Module, seed: int) -> None:
    """A probability is compared with the input; the threshold stands next to the worst margin of 20,000 samples."""
    torch.manual_seed(seed)
    outputs = 1 if isinstance(head, nn.Sigmoid) else 3
    net = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, outputs), head).double()
    x = torch.rand(20_000, 2, dtype=torch.float64) * 2 - 1
    a = [0.3, -0.2]
    with torch.no_grad():
        worst = float((net(x)[:, 0] + x @ torch.tensor(a, dtype=torch.float64)).min())
    y = [1.0] + [0.0] * (outputs - 1)
    holds = verifier.verify(net, [(-1, 1)] * 2, linear(y, 0.01 - worst, x=a), max_subdomains=20_000, timeout_s=600)
    fails = verifier.verify(net, [(-1, 1)] * 2, linear(y, -0.01 - worst, x=a), max_subdomains=20_000, timeout_s=600)
    assert fails.verdict is Verdict.FALSIFIED
    assert holds.verdict is Verdict.VERIFIED
    with torch.no_grad():
        point = fails.counterexample.reshape(1, 2)
        assert float(net(point)[0, 0] + point[0] @ torch.tensor(a, dtype=torch.float64)) - 0.01 - worst < 0


def test_the_network_with_carried_functions_computes_them_exactly() -> None:
    rng = np.random.default_rng(0)
    network = Network(tuple(Affine(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in ((3, 5), (5, 4), (4, 2))))
    spec = linear([1, 0], x=[0.1, 0, 2]) & linear([0, 1], x=[-0.1, 0, -2]) & linear([1, 1], x=[0, 1e-3, 0])
    question = Question.ask(Subject.of_network(network), Box([-1, 0, 5], [1, 0, 7]), spec)
    assert question.network.outputs == 4  # a function and its negative are one
    x = np.array([0.3, 0.0, 6.1])
    values = question.network.exact_logits(x)
    assert values[:2] == network.exact_logits(x)
    assert values[2] == Fraction(0.1) * Fraction(0.3) + 2 * Fraction(6.1) and values[3] == 0


def test_a_relation_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(verifier.SpecError, match=r"linear\(x=...\) has 2 coefficients, but the network has 1 inputs"):
        verifier.verify(doubling(), [(0, 1)], linear([1], x=[1, 2]))
    with pytest.raises(verifier.SpecError, match=r"linear\(x\)\[0\] is NaN"):
        linear([1], x=[float("nan")])
    with pytest.raises(verifier.SpecError, match="beyond 1e150"):
        verifier.verify(doubling(torch.float64), [(0, 1e10)], linear([1], x=[1e150]))


def test_a_relation_travels_as_plain_data_and_is_compared_by_meaning() -> None:
    spec = linear([1], 0.5, x=[-2], strict=True)
    assert from_data(to_data(spec)) == spec
    assert verifier.same_output_spec(spec, linear([2], 1.0, x=[-4], strict=True), 1)
    assert not verifier.same_output_spec(spec, linear([1], 0.5, strict=True), 1)
    assert not verifier.same_output_spec(spec, linear([1], 0.5, x=[-2, 0], strict=True), 1)
    assert linear([1], x=[0]) == linear([1])
