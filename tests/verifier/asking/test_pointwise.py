"""Distances to the nearest adversarial example: by hand, and against an enumeration of activation patterns."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import nn

import verifier
from tests.verifier.networks import random_network
from verifier import Affine, Network, RobustnessResult, Verdict, pointwise_robustness
from verifier.asking.ball import Ball
from verifier.errors import MissingDependencyError, OptionError, SpecError
from verifier.exact.linear import distance as programs
from verifier.exact.linear import distance_search
from verifier.solvers.highs_solver import ChangingProgram
from verifier.solvers.status import Answer, Status

SWAPPED = Network.from_arrays([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]])
X0 = [1.0, 2.0]
LP_ATOL = 1e-6  # of the reference's own linear programs, ten times HiGHS's tolerance


# --- the worked example: class 0 where x2 >= x1, so (1, 2) is 0.5, 1 and 1 / sqrt(2) away from the border ---


@pytest.mark.parametrize("method", ["auto", "milp", "lp"])
def test_the_worked_example(method: str) -> None:
    """The border is not attained: a tie is class 0. So the example lies a hair beyond (1.5, 1.5)."""
    found = pointwise_robustness(SWAPPED, X0, 1.5, method=method)
    assert found.verdict is Verdict.FALSIFIED and found.status == "not robust" and not found
    assert round(found.lower, 5) == round(found.upper, 5) == 0.5
    assert found.lower <= 0.5 <= found.upper
    assert found.counterexample.round(5).tolist() == [1.5, 1.5]
    assert found.label == 0 and found.label_found == SWAPPED.classify(found.counterexample) == 1
    assert found.lower_is_proved and found.upper_is_proved


@pytest.mark.parametrize(("norm", "true"), [("inf", 0.5), (1, 1.0), (2, 0.5**0.5)])
def test_every_norm_measures_its_own_distance(norm: Any, true: float) -> None:
    found = pointwise_robustness(SWAPPED, X0, 1.5, norm=norm)
    assert found.lower <= true <= found.upper and found.gap < 1e-5
    assert found.label_found == 1 and found.norm == str(norm)
    change = np.abs(found.counterexample - np.array(X0))
    length = {"inf": change.max(), 1: change.sum(), 2: (change**2).sum() ** 0.5}[norm]
    assert length == pytest.approx(found.upper)


@pytest.mark.parametrize("method", ["auto", "milp", "lp"])
def test_where_a_ball_only_reaches_the_tie_it_is_not_robust(method: str) -> None:
    """At radius 0.5 the only violation is (1.5, 1.5) itself, which the network still calls class 0."""
    found = pointwise_robustness(SWAPPED, X0, 0.5, method=method)
    assert found.status in ("not robust", "unknown")  # HiGHS may miss the one point by its tolerance
    if method != "lp":
        assert found.status == "not robust"
        assert found.counterexample.tolist() == [1.5, 1.5] and found.label_found == 0
        assert "(a tie)" in str(found)


@pytest.mark.parametrize("method", ["auto", "milp", "lp", "crown", "sdp", "crown_optimized"])
def test_a_smaller_ball_is_robust(method: str) -> None:
    found = pointwise_robustness(SWAPPED, X0, 0.49, method=method)
    assert found and found.status == "robust" and found.lower == pytest.approx(0.49)
    assert found.counterexample is None and found.label_found is None and not found.upper_is_proved


def test_identity_layers_have_their_distance_too() -> None:
    """Without ReLU the worked example's border is the same: 3 + x2 against 3 + x1."""
    net = Network.from_arrays([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]], activation="identity")
    found = pointwise_robustness(net, X0, 1.5, method="milp")
    assert round(found.lower, 5) == round(found.upper, 5) == 0.5


def test_a_torch_module_gets_an_example_of_its_own_dtype() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    net.load_state_dict({
        "0.weight": torch.eye(2), "0.bias": torch.ones(2),
        "2.weight": torch.tensor([[0.0, 1.0], [1.0, 0.0]]), "2.bias": torch.tensor([2.0, 2.0]),
    })  # fmt: skip
    found = pointwise_robustness(net, X0, 1.5, method="milp")
    assert found.counterexample.dtype is torch.float32
    assert int(net(found.counterexample).argmax()) == 1 and found.upper < 0.50001


def test_a_head_that_saturates_hides_no_class() -> None:
    """The sigmoid of both is 1 in float64 near x0; its logits still differ."""
    net = Network((Affine([[1.0], [-1.0]], [60.0, 61.0]),), head="sigmoid")
    found = pointwise_robustness(net, [0.0], 2.0, method="lp")
    assert found.lower <= 0.5 + 1e-9


# --- against an enumeration ---


def true_distance(network: Network, x0: np.ndarray, label: int, norm: str, radius: float) -> float:
    """The least distance at which another logit reaches the label's, by a linear program for each activation pattern.

    Unknowns are x and one change for each input; a pattern fixes every ReLU's sign, so the logits are linear in x.
    """
    n, best = x0.size, np.inf
    hidden = [layer.weight.shape[0] for layer in network.layers[:-1]]
    for signs in itertools.product((0.0, 1.0), repeat=sum(hidden)):
        weight, bias, start = np.eye(n), np.zeros(n), 0
        rows, limits = [], []
        for layer, size in zip(network.layers[:-1], hidden, strict=True):
            on = np.array(signs[start : start + size])
            start += size
            weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
            rows += [-(2 * s - 1) * w for s, w in zip(on, weight, strict=True)]
            limits += [(2 * s - 1) * b for s, b in zip(on, bias, strict=True)]
            weight, bias = on[:, None] * weight, on * bias
        last = network.layers[-1]
        weight, bias = last.weight @ weight, last.weight @ bias + last.bias
        for other in range(len(bias)):
            if other == label:
                continue
            all_rows = np.array([*rows, weight[label] - weight[other]])
            all_limits = np.array([*limits, bias[other] - bias[label]])
            d = 1 if norm == "inf" else n
            spread = np.ones((n, 1)) if norm == "inf" else np.eye(n)
            constraints = np.block([
                [all_rows, np.zeros((len(all_rows), d))], [np.eye(n), -spread], [-np.eye(n), -spread],
            ])  # fmt: skip
            right = np.concatenate([all_limits, x0, -x0])
            bounds = [(c - radius, c + radius) for c in x0] + [(0, None)] * d
            answer = linprog([0.0] * n + [1.0] * d, constraints, right, bounds=bounds)
            if answer.status == 0 and answer.fun <= radius + LP_ATOL:
                best = min(best, answer.fun)
    return best


weights = st.integers(-8, 8).map(lambda k: k / 4)


@st.composite
def questions(draw: Any) -> tuple[Network, np.ndarray]:
    """A small network of quarters, with one or two hidden layers, and a point."""
    sizes = draw(st.sampled_from([(2, 3, 2), (1, 4, 3), (2, 2, 2, 2), (3, 4, 2)]))
    layers = []
    for n, m in itertools.pairwise(sizes):
        layers.append((
            draw(st.lists(st.lists(weights, min_size=n, max_size=n), min_size=m, max_size=m)),
            draw(st.lists(weights, min_size=m, max_size=m)),
        ))  # fmt: skip
    x0 = np.array(draw(st.lists(weights, min_size=sizes[0], max_size=sizes[0])))
    return Network.from_arrays([w for w, _ in layers], [b for _, b in layers]), x0


def check(found: RobustnessResult, true: float, method: str) -> None:
    """Both ends on their own side of the truth; a complete method's close to it."""
    assert found.lower <= true + LP_ATOL
    assert found.upper >= true - LP_ATOL
    if method == "milp" and np.isfinite(true):
        assert found.lower >= true - 1e-4
    if found.verdict is Verdict.VERIFIED:
        assert not np.isfinite(true)
    if found.verdict is Verdict.FALSIFIED:
        assert np.isfinite(true)


ASKED = [
    ("milp", "inf"), ("lp", "inf"), ("crown", "inf"), ("auto", "inf"), ("milp", "1"), ("lp", "1"), ("crown", "1"),
    ("symbolic", "1"), ("auto", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "norm"), ASKED)
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(questions())
def test_both_ends_enclose_the_distance_by_enumeration(method: str, norm: str, asked: tuple[Network, Any]) -> None:
    network, x0 = asked
    label = network.classify(x0)
    true = true_distance(network, x0, label, norm, 1.0)
    found = pointwise_robustness(network, x0, 1.0, norm=norm, method=method, progress=False, timeout_s=20)
    check(found, true, method)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("norm", ["1", "2", "inf"])
@pytest.mark.parametrize("method", ["crown", "symbolic", "auto"])
def test_no_sample_within_what_is_proved_has_another_class(seed: int, norm: str, method: str) -> None:
    network = random_network(seed, 3, 8, 8, 3)
    rng = np.random.default_rng(seed)
    x0 = rng.normal(size=3)
    found = pointwise_robustness(network, x0, 1.0, norm=norm, method=method, tolerance=0.02, progress=False)
    ball = Ball(x0, 1.0, norm)
    points = x0 + rng.uniform(-1, 1, (20_000, 3)) * rng.uniform(0, 1, (20_000, 1))
    other = network.logits(points).argmax(axis=1) != found.label
    nearest = ball.distances(points[other]).min(initial=np.inf)
    assert found.lower <= nearest
    if found.counterexample is not None:
        assert network.classify(found.counterexample) != found.label
        assert ball.contains(np.asarray(found.counterexample))


@pytest.mark.parametrize("seed", range(4))
def test_clipped_distances_stay_in_the_valid_range(seed: int) -> None:
    network = random_network(seed, 2, 6, 2)
    x0 = np.random.default_rng(seed).uniform(0, 1, 2)
    for method, norm in (("milp", "inf"), ("lp", "1"), ("auto", "2")):
        found = pointwise_robustness(network, x0, 0.8, norm=norm, method=method, clip=(0.0, 1.0))
        if found.counterexample is not None:
            assert (found.counterexample >= 0).all() and (found.counterexample <= 1).all()


# --- what is refused, and what solvers may say ---


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x0": [1.0]}, SpecError, "1 inputs, but the network takes 2"),
        ({"x0": [[1.0, 2.0], [1.0, 2.0]]}, SpecError, "4 inputs, but the network takes 2"),
        ({"radius": 0}, SpecError, "radius: found 0, expected a number > 0"),
        ({"radius": -1.5}, SpecError, "radius: found -1.5"),
        ({"norm": 3}, OptionError, r"norm: found 3, expected 'inf' .* 1 .* or 2"),
        ({"norm": True}, OptionError, "norm: found True"),
        ({"norm": "l1"}, OptionError, "norm: found 'l1'"),
        ({"norm": 2, "method": "lp"}, OptionError, "method 'lp' cannot do norm 2; choose one of 'auto', 'symbolic'"),
        ({"norm": 1, "method": "sdp"}, OptionError, "method 'sdp' cannot do norm 1; choose one of 'auto'"),
        ({"method": "simplex"}, OptionError, "method: 'simplex' is not one of"),
    ],
)
def test_bad_input_is_refused_by_name(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pointwise_robustness(SWAPPED, **({"x0": X0, "radius": 1.5} | change))


@pytest.mark.parametrize("method", ["auto", "milp", "lp", "crown"])
@pytest.mark.parametrize("norm", ["inf", "1"])
def test_a_misclassified_input_is_its_own_example(method: str, norm: str) -> None:
    found = pointwise_robustness(SWAPPED, X0, 1.5, norm=norm, method=method, label=1)
    assert found.lower == found.upper == 0.0 and found.status == "not robust" and found.label_found == 0


@pytest.mark.parametrize(("method", "library", "extra"), [("milp", "highspy", "exact"), ("lp", "highspy", "exact"),
                                                          ("sdp", "clarabel", "sdp")])  # fmt: skip
def test_a_missing_solver_names_its_extra(method: str, library: str, extra: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    network, x0 = random_network(1, 2, 8, 2), [0.1, 0.2]  # with unstable neurons, so that a solver is asked
    with pytest.raises(MissingDependencyError, match=rf"\[{extra}\]") as refused:
        pointwise_robustness(network, x0, 1.0, method=method)
    assert refused.value.extra == extra


def answered(monkeypatch: Any, answer: Answer) -> None:
    """Let HiGHS say the same of every program."""
    monkeypatch.setattr(programs, "solve", lambda *_, **__: answer)
    monkeypatch.setattr(ChangingProgram, "solve", lambda *_: answer)


@pytest.mark.parametrize("status", [Status.OTHER, Status.TIME_LIMIT, Status.NODE_LIMIT])
@pytest.mark.parametrize("method", ["milp", "lp"])
@pytest.mark.parametrize("norm", ["inf", "1"])
def test_a_solver_without_an_answer_proves_nothing(method: str, norm: str, status: Status, monkeypatch: Any) -> None:
    """A time limit inside presolve leaves neither point nor multipliers nor bound; an unknown status likewise.

    The search over ReLU states goes on with CROWN's bounds, which prove more the more states are fixed.
    """
    answered(monkeypatch, Answer(status, None, None))
    network, x0 = random_network(1, 2, 5, 2), np.array([0.1, 0.2])
    found = pointwise_robustness(network, x0, 1.0, norm=norm, method=method)
    assert found.verdict is not Verdict.VERIFIED
    assert found.lower <= true_distance(network, x0, network.classify(x0), norm, 1.0) + LP_ATOL
    if (method, norm) != ("milp", "inf"):
        crown = pointwise_robustness(network, x0, 1.0, norm=norm, method="crown", tolerance=1e-4)
        assert found.lower <= crown.lower + 1e-3


@pytest.mark.parametrize("method", ["milp", "lp", "auto"])
@pytest.mark.parametrize("norm", ["inf", "1"])
def test_a_bound_that_comes_with_an_unknown_status_is_not_believed(method: str, norm: str, monkeypatch: Any) -> None:
    answered(monkeypatch, Answer(Status.OTHER, None, None, bound=1e9))
    found = pointwise_robustness(SWAPPED, X0, 1.5, norm=norm, method=method)
    assert found.lower <= (0.5 if norm == "inf" else 1.0)


@pytest.mark.parametrize("method", ["milp", "lp", "auto"])
def test_an_infeasibility_that_its_multipliers_do_not_show_is_not_believed(method: str, monkeypatch: Any) -> None:
    """HiGHS says of every program that it is infeasible, although class 1 is 0.5 away."""
    answered(monkeypatch, Answer(Status.INFEASIBLE, None, None))
    found = pointwise_robustness(SWAPPED, X0, 1.5, method=method)
    assert found.lower <= 0.5 and found.verdict is not Verdict.VERIFIED


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("status", [Status.OPTIMAL, Status.INFEASIBLE])
@pytest.mark.parametrize("method", ["milp", "lp", "auto"])
def test_multipliers_of_any_kind_give_a_distance_that_holds(
    method: str, status: Status, seed: int, monkeypatch: Any
) -> None:
    """The solver's multipliers are replaced by noise around them: no more is claimed than enumeration allows."""
    rng, solve = np.random.default_rng(seed), ChangingProgram.solve

    def shaken(self: ChangingProgram, timeout_s: float) -> Answer:
        answer = solve(self, timeout_s)
        noise = rng.normal(size=len(self.row_lower)) * rng.choice([1e-6, 1e-2, 1.0])
        duals = noise + (0 if answer.duals is None else answer.duals)
        return Answer(status, None, duals, ray=duals)

    monkeypatch.setattr(ChangingProgram, "solve", shaken)
    network, x0 = random_network(seed, 2, 4, 2), rng.normal(size=2)
    found = pointwise_robustness(network, x0, 1.0, method=method)
    assert found.lower <= true_distance(network, x0, network.classify(x0), "inf", 1.0) + LP_ATOL


@pytest.mark.parametrize("method", ["milp", "auto"])
@pytest.mark.parametrize("nodes", [1, 5, 20])
def test_an_interrupted_search_claims_what_it_had_proved(method: str, nodes: int, monkeypatch: Any) -> None:
    """Ctrl-C while a program is solved: what is open by then is not proved."""
    left, solve = itertools.count(nodes, -1), ChangingProgram.solve

    def interrupted(self: ChangingProgram, timeout_s: float) -> Answer:
        if next(left) <= 0:
            raise KeyboardInterrupt
        return solve(self, timeout_s)

    monkeypatch.setattr(ChangingProgram, "solve", interrupted)
    network, x0 = random_network(2, 3, 12, 12, 3), np.zeros(3)
    found = pointwise_robustness(network, x0, 1.0, method=method)
    monkeypatch.undo()
    whole = pointwise_robustness(network, x0, 1.0, method=method)
    assert whole.gap <= 1e-6 and whole.guarantee == "rounded"
    assert found.lower <= whole.upper and whole.lower <= found.upper and found.gap >= whole.gap


@pytest.mark.parametrize("seed", range(4))
def test_both_exact_searches_find_the_same_distance_as_asking_radius_after_radius(seed: int) -> None:
    """ "split" asks verify(), which shares neither the search nor the linear programs."""
    network, x0 = random_network(seed, 3, 10, 10, 3), np.full(3, 0.2)
    asked = pointwise_robustness(network, x0, 1.0, method="split", tolerance=1e-3, clip=(0.0, 1.0))
    for method in ("auto", "milp"):
        found = pointwise_robustness(network, x0, 1.0, method=method, clip=(0.0, 1.0))
        assert found.guarantee == "rounded" and (found.gap <= 1e-6 or found.verdict is Verdict.VERIFIED)
        assert asked.lower <= found.upper and found.lower <= asked.upper
        if found.counterexample is not None:
            assert network.classify(found.counterexample) != found.label


def test_an_example_is_met_where_the_ray_beyond_the_border_leads_back(monkeypatch: Any) -> None:
    """The nearest tie is a corner of where the other class wins, and on the ray beyond it the label is back."""
    rng = np.random.default_rng(344)
    layers = [(rng.normal(size=(m, n)), rng.normal(size=m) * 0.5) for n, m in ((3, 5), (5, 2))]
    network, x0 = Network.from_arrays([w for w, _ in layers], [b for _, b in layers]), rng.uniform(0, 1, 3)
    assert pointwise_robustness(network, x0, 2.0).gap <= 2e-6
    monkeypatch.setattr(distance_search, "FARTHER", ())
    assert pointwise_robustness(network, x0, 2.0).gap > 1e-3


@pytest.mark.parametrize("method", ["auto", "milp"])
def test_a_search_that_may_bound_few_parts_still_holds(method: str) -> None:
    network, x0 = random_network(2, 3, 12, 12, 3), np.zeros(3)
    found = pointwise_robustness(network, x0, 1.0, method=method, max_subdomains=4, tolerance=0.1)
    whole = pointwise_robustness(network, x0, 1.0, method="milp")
    assert found.lower <= whole.upper and whole.lower <= found.upper


def test_no_time_leaves_the_question_open() -> None:
    for method in ("milp", "lp", "auto"):
        found = pointwise_robustness(random_network(1, 2, 8, 2), [0.1, 0.2], 1.0, method=method, timeout_s=1e-9)
        assert found.verdict is not Verdict.VERIFIED


def test_methods_that_only_prove_leave_the_upper_end_open() -> None:
    found = pointwise_robustness(SWAPPED, X0, 1.5, norm=2, method="crown")
    assert found.status == "unknown" and found.upper == np.inf and found.lower_is_proved
    assert "no counterexample met" in found._repr_html_()
    assert verifier.RobustnessResult is RobustnessResult
