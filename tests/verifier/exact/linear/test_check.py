"""LP and MILP: what HiGHS proposes is made good, and agrees with every other method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from judges.random_problems import caller_spec, random_problem
from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.answer.verdict import Question
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.exact.linear.check import lp_check, safe_lower_bound
from verifier.exact.linear.encode_margin import encode_clause
from verifier.method_table import TABLE
from verifier.network import Affine, Network
from verifier.question.spec import Box, OutputSpec, any_of, argmax_is, greater_than, less_than, linear, output_spec
from verifier.solvers import highs_solver
from verifier.solvers.highs_solver import Program, Status, solve
from verifier.subject import Subject

VERIFIED, FALSIFIED, UNKNOWN = verifier.Verdict.VERIFIED, verifier.Verdict.FALSIFIED, verifier.Verdict.UNKNOWN


def bounded(network: Network, spec: object, radius: float = 1.0) -> tuple[Question, list[Bounds], Bounds]:
    """A question on the box around zero, with CROWN's bounds on the hidden layers and the logits."""
    inputs = network.inputs
    box = Box([-radius] * inputs, [radius] * inputs)
    question = Question.ask(Subject.of_network(network), box, output_spec(spec))
    found = crown_bounds(network, Bounds(box.lower[None], box.upper[None]), np.eye(network.outputs))
    pre = [Bounds(one.lower[0], one.upper[0]) for one in found.pre]
    return question, pre, Bounds(found.rows.lower[0], found.rows.upper[0])


@pytest.mark.parametrize("seed", range(10))
def test_triangle_lp_is_no_looser_than_crown_and_below_every_sample(seed: int) -> None:
    network = random_network(seed, 3, 12, 12, 2)
    question, pre, logits = bounded(network, linear([1.0, -1.0], 0.25))
    margin = lp_check(question, pre, logits, Budget()).margin
    root = Bounds(question.box.lower[None], question.box.upper[None])
    crown = question.margins.lower(crown_bounds(network, root, question.margins.rows).rows.lower[0]).min()
    samples = np.random.default_rng(seed).uniform(-1, 1, (4000, 3))
    smallest = (network(samples) @ np.array([1.0, -1.0]) + 0.25).min()
    assert crown - 1e-9 <= margin <= smallest


@pytest.mark.parametrize("seed", range(20))
def test_any_multipliers_give_a_bound_below_the_minimum(seed: int) -> None:
    """Random multipliers, of wrong signs and sizes too, stay below the program's value at feasible points."""
    rng = np.random.default_rng(seed)
    network = random_network(seed, 3, 8, 8, 1)
    question, pre, logits = bounded(network, [(None, 0.0)])
    program = encode_clause(question, (0,), pre, logits, switches=False)
    answer = solve(program, timeout_s=10)
    assert answer.status is Status.OPTIMAL and answer.point is not None and answer.duals is not None
    best = float(program.cost @ answer.point)
    assert best - 1e-6 * (1 + abs(best)) <= safe_lower_bound(program, answer.duals) <= best + 1e-6
    for scale in (1e-3, 1.0, 1e3):
        duals = answer.duals + scale * rng.normal(size=len(answer.duals))
        assert safe_lower_bound(program, duals) <= best + 1e-6
    assert safe_lower_bound(program, np.full(len(answer.duals), np.nan)) <= best


def test_bound_is_rounded_below_what_rationals_say() -> None:
    """min v with v >= 0.1 + 0.2 written as a row: the exact minimum is the float 0.30000000000000004's own value."""
    program = Program(
        np.ones(1), np.zeros(1), np.ones(1), ((np.zeros(1, dtype=np.int32), np.ones(1)),), np.array([0.1 + 0.2]),
        np.array([np.inf]), np.zeros(1, dtype=np.bool_),
    )  # fmt: skip
    low = safe_lower_bound(program, np.ones(1))
    assert 0.3 - 1e-12 < low <= 0.1 + 0.2


@pytest.mark.parametrize("seed", range(5))
def test_fixed_input_makes_the_milp_give_the_forward_pass(seed: int) -> None:
    network = random_network(seed, 3, 10, 10, 1)
    x = np.random.default_rng(seed).uniform(-1, 1, 3)
    question, pre, logits = bounded(network, [(0.0, None)])
    at_point = Question.ask(question.subject, Box(x, x), question.spec)
    answer = solve(encode_clause(at_point, (0,), pre, logits, switches=True), timeout_s=20)
    assert answer.status is Status.OPTIMAL and answer.point is not None
    program = encode_clause(at_point, (0,), pre, logits, switches=True)
    assert float(program.cost @ answer.point) == pytest.approx(network(x[None])[0, 0], abs=1e-6)


SPECS: dict[str, OutputSpec] = {
    "argmax": argmax_is(0),
    "limit": less_than(1.0, output=1),
    "either": any_of(less_than(0.0, output=0), greater_than(0.5, output=1)),
    "combination": linear([1.0, 2.0, -1.0], 3.0),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", SPECS)
def test_milp_and_splitting_agree(name: str, seed: int) -> None:
    network = random_network(seed, 3, 8, 8, 3)
    box = [(-0.4, 0.4)] * 3
    milp, split = (verifier.verify(network, box, SPECS[name], method=method) for method in ("milp", "split"))
    assert milp.verdict is split.verdict
    if milp.verdict is VERIFIED:
        assert milp.guarantee == "rounded"


def test_lp_verifies_where_its_relaxation_is_enough() -> None:
    network = random_network(1, 3, 12, 12, 1)
    margin = verifier.verify(network, [(-1, 1)] * 3, [(None, 0.0)], method="lp").margin
    result = verifier.verify(network, [(-1, 1)] * 3, [(None, -margin + 0.01)], method="lp")
    assert (result.verdict, result.guarantee) == (VERIFIED, "rounded")
    assert verifier.verify(network, [(-1, 1)] * 3, [(None, -margin - 0.01)], method="lp").verdict is UNKNOWN


def test_auto_never_rests_on_a_solver_s_tolerance() -> None:
    """|x| <= 1 holds with margin zero: the MILP cannot tell it from a violation, Z3 proves it."""
    network = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    milp = verifier.verify(network, [(-1, 1)], [(None, 1.0)], method="milp")
    assert milp.verdict is UNKNOWN and milp.cause in (verifier.Reason.SOLVER_TOLERANCE, verifier.Reason.BELOW_ROUNDING)
    assert verifier.verify(network, [(-1, 1)], [(None, 1.0)]).guarantee == "exact"


def test_tiny_violation_behind_large_weights_is_not_called_verified() -> None:
    """Violated by 1e-6 at one corner; a tolerance of 1e-7 on a neuron is seen 4,000 times larger at the output."""
    first = Affine(
        np.array([[1.6638882e-05, -3.7101048e01], [-2.9029243e01, -1.8140067e-01]], dtype=np.float32).astype(float),
        np.array([-0.0397917, -0.02265987], dtype=np.float32).astype(float),
    )
    second = Affine(
        np.array([[-5.5040426e00, 1.3986961e02], [1.8410026e00, -1.7800663e-03]], dtype=np.float32).astype(float),
        np.array([-3.9557501e02, -1.2839101e-02], dtype=np.float32).astype(float),
    )
    box = Box([-0.9302191626736805, -0.6358038406036353], [-0.13682760223142132, 0.9469373935601642])
    assert verifier.verify(Network((first, second)), box, argmax_is(0), method="milp").verdict is not VERIFIED
    assert verifier.verify(Network((first, second)), box, argmax_is(0)).verdict is not VERIFIED


@pytest.mark.parametrize("index", [71, 1443, 2152])
def test_programs_that_highs_once_called_infeasible_are_not_verified(index: int) -> None:
    """Violated, by 1e-9 to 1e-2 of the network's size, and called infeasible at one tolerance or another."""
    problem = random_problem(9, index)
    layers = tuple(Affine(np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64)) for w, b in problem.layers)
    network = Network(layers)  # its spec speaks of the logits
    box = Box(problem.lower, problem.upper)
    for method in ("milp", "auto"):
        assert verifier.verify(network, box, caller_spec(problem.form), method=method).verdict is not VERIFIED


def test_batch_norm_is_enclosed() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1)).eval()
    torch.manual_seed(3)
    net[1].running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        highest = net(torch.cartesian_prod(torch.linspace(0, 1, 60), torch.linspace(0, 1, 60))).max().item()
    assert verifier.verify(net, [(0, 1)] * 2, [(None, highest + 0.05)], method="milp").verdict is VERIFIED
    assert verifier.verify(net, [(0, 1)] * 2, [(None, highest - 0.05)], method="milp").verdict is FALSIFIED


def test_softmax_limits_are_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=-1))
    for method in ("lp", "milp"):
        result = verifier.verify(net, [(0, 1)] * 2, [(0.3, None)] * 3, method=method)
        assert result.verdict is UNKNOWN
        assert "Softmax" in result.reason


def test_clause_that_always_holds_and_one_that_never_does() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    for method in [method for method in TABLE if method != "attack"]:
        assert verifier.verify(net, [(0, 1)] * 2, less_than(1.5), method=method).verdict is VERIFIED
        assert verifier.verify(net, [(0, 1)] * 2, less_than(-0.5), method=method).verdict is not VERIFIED


def test_node_limit_gives_unknown_and_not_verified() -> None:
    network = random_network(0, 6, 24, 24, 1)
    result = verifier.verify(
        network, [(-1, 1)] * 6, [(None, 11.5)], method="milp", max_subdomains=3, timeout_s=None, progress=False
    )
    assert result.verdict is UNKNOWN


def test_status_that_is_not_known_by_name_is_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unbounded or failed run must never be read as "infeasible", which verifies."""
    import highspy

    monkeypatch.setattr(highspy.Highs, "getModelStatus", lambda self: highspy.HighsModelStatus.kUnboundedOrInfeasible)
    network = random_network(0, 2, 4, 1)
    question, pre, logits = bounded(network, [(None, 1e3)])
    answer = highs_solver.solve(encode_clause(question, (0,), pre, logits, switches=True), timeout_s=5)
    assert answer.status is Status.OTHER
