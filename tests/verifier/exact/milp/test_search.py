"""method="milp" with every combination of its ingredients against enumeration: no wrong verdict, and no giving up."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import verifier
from judges.judging import judge
from judges.random_problems import random_problem
from tests.verifier.networks import random_network
from verifier import Affine, MilpOptions, Network, Reason, Verdict
from verifier.exact.milp.options import BOUNDS, FORMULATIONS, KINDS

COMBINATIONS = [
    MilpOptions(search=search, bounds=bounds, dependencies=kinds, cuts=cuts, formulation=formulation, splitting=split)
    for search, bounds, kinds, cuts, formulation, split in itertools.product(
        ("lp", "highs"), BOUNDS, (KINDS, *((one,) for one in KINDS)), ("none", "before", "during"), FORMULATIONS,
        (True, False),
    )
    if not (search == "highs" and cuts == "during") and not (cuts == "none" and kinds != KINDS)
]  # fmt: skip


def least_output(network: Network, box: list[tuple[float, float]]) -> float:
    """The smallest first output over a box, one linear program per activation pattern: exact but for 1e-7."""
    hidden = [layer.bias.size for layer in network.layers[:-1]]
    best = np.inf
    for pattern in itertools.product((0.0, 1.0), repeat=sum(hidden)):
        states = np.split(np.array(pattern), np.cumsum(hidden)[:-1])
        slope, offset, rows, limits = np.eye(network.inputs), np.zeros(network.inputs), [], []
        for layer, state in zip(network.layers[:-1], states, strict=True):
            slope, offset = layer.weight @ slope, layer.weight @ offset + layer.bias
            sign = np.where(state > 0, -1.0, 1.0)
            rows.append(sign[:, None] * slope)
            limits.append(-sign * offset)
            slope, offset = state[:, None] * slope, state * offset
        last = network.layers[-1]
        found = linprog(
            (last.weight @ slope)[0], np.concatenate(rows), np.concatenate(limits), bounds=box, method="highs"
        )
        if found.status == 0:
            best = min(best, found.fun + float((last.weight @ offset + last.bias)[0]))
    return best


@given(
    st.integers(0, 10**6), st.sampled_from([(2, 5, 1), (2, 4, 3, 1), (3, 3, 3, 2, 1)]), st.sampled_from(COMBINATIONS)
)
@settings(max_examples=60, deadline=None)
def test_every_combination_agrees_with_enumeration(seed, sizes, options):
    """Thresholds a little below and above the smallest output."""
    network, box = random_network(seed, *sizes), [(-1.0, 1.0)] * sizes[0]
    least = least_output(network, box)
    for room, expected in ((-1e-3, Verdict.VERIFIED), (1e-3, Verdict.FALSIFIED)):
        spec = verifier.greater_than(least + room, output=0)
        result = verifier.verify(network, box, spec, method="milp", milp=options, max_subdomains=3000, timeout_s=None)
        assert result.verdict is expected, f"{options}: {result}"
        if expected is Verdict.VERIFIED:
            assert result.guarantee == "rounded" or options.search == "highs"


@pytest.mark.parametrize("options", COMBINATIONS[::7], ids=str)
def test_combinations_are_never_wrong_on_problems_at_the_edge(options):
    """Thresholds at or within rounding of the exact optimum, float32 modules, either kind of inequality."""
    for index in range(700, 706):
        problem, cases = random_problem(21, index), []
        net = problem.module()
        result = verifier.verify(
            net, problem.x_specs(), problem.y_specs(), cases, method="milp", milp=options, max_subdomains=500,
            timeout_s=600, progress=False,
        )  # fmt: skip
        judgement = judge(problem, problem.answer(), net, result, cases, "milp")
        tolerance = options.search == "highs" and abs(problem.answer().worst_margin) <= 1e-5 * problem.scale()
        assert tolerance or not judgement.wrong, f"{index}: {judgement.wrong}"


def test_each_ingredient_is_counted():
    network, box = random_network(2, 3, 8, 8, 3), [(-0.4, 0.4)] * 3
    spec = verifier.less_than(1.0, output=1)

    def work(**options):
        result = verifier.verify(network, box, spec, method="milp", milp=MilpOptions(**options))
        assert result.verdict is Verdict.VERIFIED
        return result.milp

    plain = work(cuts="none", splitting=False)
    assert plain.subproblems == 1 and plain.nodes > 1 and plain.neuron_splits > 0
    assert plain.cuts == plain.intra_layer == plain.consecutive == plain.implied == plain.input_splits == 0
    before = work(cuts="before", splitting=False)
    assert before.intra_layer > 0 and before.cuts > 0
    assert work(dependencies=("consecutive",), splitting=False).intra_layer == 0
    assert work(dependencies=(), splitting=False).cuts == 0
    split = work(splitting=True)
    assert split.input_splits > 0 and split.subproblems == 2 * split.input_splits + 1
    result = verifier.verify(network, box, spec, method="milp")
    assert result.to_dict()["milp"] == result.milp.to_dict() and str(result.milp) in str(result)
    assert verifier.verify(network, box, spec, method="split").milp is None


def test_cuts_leave_fewer_nodes_where_neurons_are_parallel():
    """Twelve neurons x - t each with its own weight: of 4,096 configurations 13 occur, and the cuts say which."""
    t = np.linspace(-0.9, 0.9, 12)
    weight = np.random.default_rng(0).normal(size=(1, 12))
    network = Network((Affine(np.ones((12, 1)), -t), Affine(weight, np.zeros(1))))
    corners = network(np.array([[-1.0], *[[one] for one in t], [1.0]]))  # piecewise linear: extremes are at its corners
    spec = verifier.greater_than(float(corners.min()) - 1e-6)
    counts = {}
    for cuts in ("none", "before"):
        options = MilpOptions(cuts=cuts, bounds="ibp", splitting=False)
        result = verifier.verify(network, [(-1, 1)], spec, method="milp", milp=options)
        assert result.verdict is Verdict.VERIFIED
        counts[cuts] = result.milp.nodes
    assert counts["before"] < counts["none"]


def test_a_margin_of_zero_is_left_open_by_name():
    """|x| <= 1 holds with equality at both ends, which no bound with rounding can show."""
    network = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    result = verifier.verify(network, [(-1, 1)], [(None, 1.0)], method="milp", milp=MilpOptions(splitting=False))
    assert result.verdict is Verdict.UNKNOWN and result.cause in (Reason.SOLVER_TOLERANCE, Reason.BELOW_ROUNDING)


def test_a_solver_status_that_is_not_known_closes_nothing(monkeypatch):
    """Every program ends with an unknown status and proves nothing: UNKNOWN, with the solver's reason."""
    import highspy

    status = highspy.HighsModelStatus.kUnboundedOrInfeasible
    monkeypatch.setattr(highspy.Highs, "getModelStatus", lambda self: status)
    for user in ("linear.check", "linear.leaf", "milp.branch"):
        monkeypatch.setattr(f"verifier.exact.{user}.safe_lower_bound", lambda program, duals: -np.inf)
    network = random_network(0, 2, 3, 1)
    least = least_output(network, [(-1.0, 1.0)] * 2)
    for search, cuts in (("lp", "during"), ("highs", "before")):
        options = MilpOptions(search=search, cuts=cuts, splitting=False, bounds="ibp")
        spec = verifier.greater_than(least - 1e-3)
        result = verifier.verify(network, [(-1, 1)] * 2, spec, method="milp", milp=options)
        assert result.verdict is Verdict.UNKNOWN and result.cause is Reason.SOLVER_GAVE_UP, str(result)


@pytest.mark.parametrize("search", ["lp", "highs"])
def test_time_that_runs_out_inside_the_solver_is_a_time_limit(search, monkeypatch):
    """HiGHS stops in presolve at its own clock, and hands over nothing."""
    from verifier.exact.milp import branch, highs
    from verifier.solvers import highs_solver

    def stopped(program, **options):
        return highs_solver.solve(program, **{**options, "timeout_s": 0.0})

    monkeypatch.setattr(branch, "solve", stopped)
    monkeypatch.setattr(highs, "solve", stopped)
    network = random_network(0, 6, 24, 24, 1)
    options = MilpOptions(search=search, cuts="before", splitting=False)
    result = verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)], method="milp", milp=options)
    assert result.verdict is Verdict.UNKNOWN and result.timed_out


def test_balas_for_too_many_columns_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("verifier.exact.milp.settle.BALAS_COLUMNS", 3)
    network = random_network(0, 6, 24, 24, 1)
    options = MilpOptions(formulation="balas", splitting=False)
    result = verifier.verify(network, [(-1, 1)] * 6, [(None, 11.5)], method="milp", milp=options)
    assert result.verdict is Verdict.UNKNOWN and result.cause is Reason.MEMORY
