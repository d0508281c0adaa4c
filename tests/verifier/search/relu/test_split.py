"""ReLU splitting: never wrong, limited, repeatable, and able to settle what bounds alone cannot."""

from __future__ import annotations

import dataclasses
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from judges.judging import judge
from judges.random_problems import random_problem
from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.answer.verdict import Counterexample, Question, check_counterexample
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.frontends.read import read_subject
from verifier.network import Affine, Network
from verifier.question.spec import Box, any_of, greater_than, less_than, linear, output_spec
from verifier.search.relu import optimised_root, split_refinement, subdomain_bounds
from verifier.search.relu import split as relu_split
from verifier.search.relu import subdomains as relu_subdomains
from verifier.search.relu.alpha_crown import Choice
from verifier.search.relu.clause_rows import ClauseRows
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.split import NOT_LINEAR, ReluSplit
from verifier.search.relu.subdomains import RootWork
from verifier.subject import Subject

BATCH = 20  # problems a test item


def hard_question(seed: int, room: float, inputs: int = 20, width: float = 0.15) -> Question:
    """Many inputs, y below its largest sampled value plus `room`."""
    network = random_network(seed, inputs, 24, 16, 1)
    x = np.random.default_rng(seed).uniform(-width, width, (20_000, inputs))
    corners = np.sign(x) * width
    limit = float(network(np.concatenate([x, corners])).max()) + room
    box = Box([-width] * inputs, [width] * inputs)
    return Question.ask(Subject.of_network(network), box, output_spec([(None, limit)]))


@pytest.mark.parametrize("first", range(0, 300, BATCH))
def test_it_is_never_wrong_on_random_problems(first: int) -> None:
    """Thresholds at or near the exact optimum, ties and disjunctions among them; enumeration gives the truth."""
    for index in range(first, first + BATCH):
        problem = random_problem(31, index)
        net, cases = problem.module(), []
        result = verifier.verify(net, problem.x_specs(), problem.y_specs(), cases, method="relu_split",
                                 max_subdomains=60, timeout_s=600, progress=False)  # fmt: skip
        found = judge(problem, problem.answer(), net, result, cases, "relu_split")
        assert not found.wrong, f"problem {problem.seed}: {'; '.join(found.wrong)}"


def test_it_settles_most_random_problems() -> None:
    """Those with a margin above a hundredth of the network's size, which no rounding excuses."""
    settled, asked = 0, 0
    for index in range(400, 480):
        problem = random_problem(31, index)
        if abs(float(problem.answer().worst_margin)) < 0.01 * problem.scale():
            continue
        result = verifier.verify(problem.module(), problem.x_specs(), problem.y_specs(), method="relu_split",
                                 max_subdomains=500, timeout_s=600, progress=False)  # fmt: skip
        asked += 1
        settled += result.verdict is not verifier.Verdict.UNKNOWN
    assert asked >= 10
    assert settled >= 0.9 * asked


def test_it_verifies_what_bounds_leave_open() -> None:
    question = hard_question(0, 0.8)
    search = ReluSplit(question)
    budget = Budget(max_subdomains=20_000)
    search.run(budget)
    assert search.verified and search.margin == np.inf
    assert 3 < budget.subdomains < 20_000


def test_clauses_are_bounded_on_what_is_known_before_hidden_bounds_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit lies a tenth of the gap below CROWN's bound, which leaves it open; optimised slopes alone reach it."""
    network = random_network(0, 20, 24, 16, 1)
    box = Box([-0.15] * 20, [0.15] * 20)
    question = Question.ask(Subject.of_network(network), box, output_spec([(None, 100.0)]))
    crown = crown_bounds(network, Bounds(box.lower[None], box.upper[None]), np.eye(1))
    upper = float(crown.rows.upper[0, 0])
    sampled = float(network(np.random.default_rng(0).uniform(-0.15, 0.15, (20_000, 20))).max())
    question = Question.ask(question.subject, box, output_spec([(None, 0.9 * upper + 0.1 * sampled)]))
    whole, steps = optimised_root.optimised_root, []

    def counted(*arguments, **options):  # type: ignore[no-untyped-def]
        steps.append(options.get("steps"))
        return whole(*arguments, **options)

    monkeypatch.setattr(relu_split, "optimised_root", counted)
    search = ReluSplit(question, known=tuple(Bounds(z.lower[0], z.upper[0]) for z in crown.pre))
    budget = Budget()
    search.run(budget)
    assert search.verified and steps == [0] and budget.subdomains == 1


def test_a_root_that_runs_out_of_time_leaves_the_search_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """No graph is folded after the time limit; with more time the search goes on and ends."""
    search, short = ReluSplit(hard_question(0, 0.8)), Budget(0.2)
    whole = optimised_root.optimised_root

    def slow(*arguments, **options):  # type: ignore[no-untyped-def]
        time.sleep(0.3)
        return whole(*arguments, **options)

    monkeypatch.setattr(relu_split, "optimised_root", slow)
    monkeypatch.setattr(relu_split, "RootWork", None)
    search.run(short)
    assert short.exhausted() and len(search.open_boxes) == 1 and not search.verified
    monkeypatch.undo()
    search.run(Budget(max_subdomains=20_000))
    assert search.verified


def test_torch_is_not_loaded_where_too_little_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    question = hard_question(0, 0.8)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(relu_split, "ReluSplit", None)
    subject = dataclasses.replace(question.subject, from_file=True)  # else auto-LiRPA is asked first
    found = verifier.verify(subject, question.box, question.spec, timeout_s=0.9)
    assert found.timed_out and found.reason == "time limit of 0.9 s leaves too little to load torch"


def test_it_falsifies_and_the_counterexample_replays() -> None:
    question = hard_question(1, -0.02)
    search = ReluSplit(question)
    search.run(Budget(max_subdomains=20_000))
    assert search.counterexample is not None and not search.verified
    assert isinstance(check_counterexample(question, search.counterexample.x), Counterexample)


def test_every_bound_that_closes_a_subdomain_holds_at_samples_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampled points are sorted into the subdomains of the search by the signs of their own neurons.

    Only points that violate the clause count, so half of the samples do, and the search is kept from seeing any.
    """
    base = hard_question(2, 0.0)
    network = base.subject.network
    x = np.random.default_rng(5).uniform(base.box.lower, base.box.upper, (4000, network.inputs))
    pre = network.pre_activations(x)
    room = -float(np.median(base.margins.margins[0].offset + pre[-1] @ base.margins.rows[0]))
    question = hard_question(2, room)
    margin = question.margins.margins[0].offset + pre[-1] @ question.margins.rows[0]
    seen = []
    prove = RootWork.prove

    def watch(self: RootWork, which, sign, lower, upper, choice):  # type: ignore[no-untyped-def]
        proved, slope = prove(self, which, sign, lower, upper, choice)
        z = self.graph.gather(pre[:-1])
        for row in range(len(sign)):
            inside = (z * sign[row] >= 0).all(axis=1) & (margin <= 0)
            seen.append(int(inside.sum()))
            assert (margin[inside] >= proved[row] - 1e-12).all()
        return proved, slope

    monkeypatch.setattr(RootWork, "prove", watch)
    monkeypatch.setattr(ReluSplit, "_look", lambda *_: False)
    ReluSplit(question).run(Budget(max_subdomains=200, show=False))
    assert sum(seen) > 5_000 and len(seen) >= 150


def test_absurd_slopes_and_multipliers_prove_nothing_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the optimiser to return nonsense, the float64 check would still be sound."""

    def nonsense(graph: FoldedGraph, target, domains, choice: Choice, **_):  # type: ignore[no-untyped-def]
        shape = choice.slope.shape
        generator = torch.Generator().manual_seed(0)
        slope = 3 * torch.randn(shape, generator=generator)
        slope[:, ::5] = torch.nan
        return torch.full((shape[0],), 9.0), Choice(slope, 10 * torch.randn(shape, generator=generator), None)

    monkeypatch.setattr(relu_subdomains, "optimise", nonsense)
    monkeypatch.setattr(subdomain_bounds, "optimise", nonsense)
    monkeypatch.setattr(optimised_root, "optimise", nonsense)
    monkeypatch.setattr(split_refinement, "optimise", nonsense)
    monkeypatch.setattr(relu_split, "EFFORTS", (1e5, 1e6))
    for seed in range(5):
        search = ReluSplit(hard_question(seed, -0.001))
        search.run(Budget(max_subdomains=300))
        assert not search.verified


@pytest.mark.slow
def test_the_root_is_refined_where_the_search_costs_more_and_the_search_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it says stays true, and no clause is lost on the way."""
    question = hard_question(0, 0.2)
    plain, budget = ReluSplit(question), Budget(max_subdomains=20_000)
    plain.run(budget)
    assert plain.verified and plain._level == 0
    monkeypatch.setattr(relu_split, "EFFORTS", (3e8, 3e9))
    refined, less = ReluSplit(question), Budget(max_subdomains=20_000)
    refined.run(less, max_boxes=1)
    before = refined.margin
    refined.run(less)
    assert refined.verified and refined._level >= 1 and refined.margin >= before
    for room in (-0.02, -0.5):
        wrong = ReluSplit(hard_question(1, room))
        wrong.run(Budget(max_subdomains=2_000))
        assert not wrong.verified


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 101])
def test_the_limit_of_subdomains_is_kept_exactly_and_the_search_goes_on_from_there(limit: int) -> None:
    question = hard_question(0, 0.1)
    search, budget = ReluSplit(question), Budget(max_subdomains=limit)
    search.run(budget)
    assert budget.subdomains == limit and not search.verified and search.open_boxes
    search.run(Budget(max_subdomains=50), max_boxes=7)
    assert search.open_boxes


def test_two_runs_take_the_same_steps() -> None:
    first, second = (ReluSplit(hard_question(3, 0.1)) for _ in range(2))
    for search in (first, second):
        search.run(Budget(max_subdomains=700))
    assert first.margin == second.margin
    assert [one.margin for one in first.open_boxes] == [one.margin for one in second.open_boxes]
    assert all(np.array_equal(a.sign, b.sign) for a, b in zip(first.open_boxes, second.open_boxes, strict=True))


def test_the_time_limit_is_kept_and_the_bound_grows_with_the_search() -> None:
    question = hard_question(4, 1e-4, inputs=60, width=1.0)
    search = ReluSplit(question)
    started = time.perf_counter()
    search.run(Budget(1.0))
    assert time.perf_counter() - started < 2.0
    assert not search.verified and search.open_boxes
    before = search.margin
    search.run(Budget(1.0))
    assert search.margin >= before


def test_nothing_is_lost_when_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    search = ReluSplit(hard_question(0, 0.4))
    search.run(Budget(max_subdomains=9))
    before = sorted(one.number for one in search.open_boxes)
    assert before
    prove = RootWork.prove

    def interrupted(*_):  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    monkeypatch.setattr(RootWork, "prove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.run(Budget(max_subdomains=100))
    assert sorted(one.number for one in search.open_boxes) == before
    monkeypatch.setattr(RootWork, "prove", prove)
    search.run(Budget(max_subdomains=20_000))
    assert search.verified


def abs_network(inputs: int) -> Network:
    """Two outputs: mean |x| and its negative."""
    weight = np.concatenate([np.eye(inputs), -np.eye(inputs)])
    out = np.full((1, 2 * inputs), 1.0 / inputs)
    return Network((Affine(weight, np.zeros(2 * inputs)), Affine(np.concatenate([out, -out]), np.zeros(2))))


def test_a_disjunction_is_settled_by_a_mixture_of_its_margins() -> None:
    """y0 + y1 = 0, so one of y0 >= -0.01 and y1 >= -0.01 holds; neither holds everywhere of its own."""
    network = abs_network(20)
    shifted = Network((network.layers[0], Affine(network.layers[1].weight, np.array([-0.5, 0.5]))))
    spec = any_of(greater_than(-0.01, output=0), greater_than(-0.01, output=1))
    result = verifier.verify(shifted, [(-1, 1)] * 20, spec, method="relu_split", max_subdomains=500)
    assert result.verdict is verifier.Verdict.VERIFIED and result.stage == "relu split"


def test_clauses_that_always_or_never_hold() -> None:
    network = abs_network(20)
    always = verifier.verify(network, [(-1, 1)] * 20, linear([0, 0], 1.0), method="relu_split")
    never = verifier.verify(network, [(-1, 1)] * 20, linear([0, 0], -1.0), method="relu_split")
    assert always.verdict is verifier.Verdict.VERIFIED
    assert never.verdict is verifier.Verdict.FALSIFIED


def test_weights_that_are_all_zero_settle_no_clause() -> None:
    margins = hard_question(0, 0.1).margins
    both = Question.ask(Subject.of_network(abs_network(3)), Box([-1] * 3, [1] * 3),
                        any_of(linear([1, 0], 0.0), linear([0, 1], 0.0))).margins  # fmt: skip
    assert ClauseRows(margins, [0]).most == 1
    rows = ClauseRows(both, [0])
    for mixture in (torch.full((1, 2), float("nan")), torch.full((1, 2), -torch.inf)):
        weights = rows._weights(np.array([0]), Choice(torch.zeros(1, 0), torch.zeros(1, 0), mixture))
        assert not weights.sum() > 0.5


def test_margins_that_are_not_linear_are_left_to_others() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(20, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3), torch.nn.Softmax(dim=1))
    question = Question.ask(read_subject(net, None, 20), Box([0.0] * 20, [1.0] * 20), less_than(0.4))
    search = ReluSplit(question)
    search.run(Budget(max_subdomains=100))
    assert not search.verified and search.reason == NOT_LINEAR


def test_auto_settles_a_network_with_many_inputs_by_relu_splitting() -> None:
    question = hard_question(0, 0.8)
    box = list(zip(question.box.lower, question.box.upper, strict=True))
    result = verifier.verify(question.subject.network, box, question.spec, max_subdomains=20_000)
    assert result.verdict is verifier.Verdict.VERIFIED and result.stage == "relu split"
    assert result.guarantee == "rounded"


def test_networks_without_hidden_layers_or_unstable_neurons() -> None:
    one = Network((Affine(np.ones((1, 20)), np.zeros(1)),))
    dead = Network((Affine(np.ones((4, 20)), np.full(4, -100.0)), Affine(np.ones((1, 4)), np.zeros(1))))
    for network, value in ((one, 20.0), (dead, 0.0)):
        for room, expected in ((0.01, verifier.Verdict.VERIFIED), (-0.01, verifier.Verdict.FALSIFIED)):
            result = verifier.verify(network, [(-1, 1)] * 20, [(None, value + room)], method="relu_split")
            assert result.verdict is expected


@pytest.mark.parametrize("scale", [1e-60, 1e30, 1e60])
@pytest.mark.parametrize("room", [0.5, -0.3])
def test_values_that_float32_cannot_hold_are_searched_in_float64(scale: float, room: float) -> None:
    rng = np.random.default_rng(0)
    layers = [Affine(rng.normal(size=shape) * scale, np.zeros(shape[0])) for shape in ((8, 20), (8, 8))]
    network = Network((*layers, Affine(rng.normal(size=(1, 8)), np.zeros(1))))
    corners = np.random.default_rng(1).choice([-1.0, 1.0], (5000, 20))
    top = float(network(corners).max()) * (1 + room)
    result = verifier.verify(network, [(-1, 1)] * 20, [(None, top)], method="relu_split", max_subdomains=1000)
    assert result.verdict is not (verifier.Verdict.FALSIFIED if room > 0 else verifier.Verdict.VERIFIED)


@pytest.mark.parametrize("method", ["auto", "relu_split"])
def test_a_network_without_hidden_layers_is_asked_to_the_end(method: str) -> None:
    """y = x_0 / 10 + ... + x_19 / 10 <= 20 w, the exact maximum: bounds that round outward leave it to the leaf."""
    net = nn.Linear(20, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(net.weight, 0.1)
    exact = 20 * Fraction(0.1)
    assert Fraction(2.0) < exact  # 0.1 in float64 is a little above a tenth
    above, below = [[None, float(np.nextafter(2.0, 3.0))]], [[None, 2.0]]
    for limits in (above, below):
        result = verifier.verify(net, [(-1, 1)] * 20, limits, method=method, max_subdomains=50)
        assert result.verdict is not (verifier.Verdict.FALSIFIED if limits is above else verifier.Verdict.VERIFIED)
