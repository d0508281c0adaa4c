"""The compiled search: its verdicts agree with enumeration and with the numpy search, limits are kept, runs repeat."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from judges.random_problems import ROUNDING, Problem, random_problem
from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING
from verifier.answer.verdict import Counterexample, Question, check_counterexample
from verifier.bounds.crown import crown_bounds
from verifier.frontends.read import read_subject
from verifier.network import Affine, Network
from verifier.question.spec import Box, all_of, any_of, argmax_is, greater_than, less_than, linear, output_spec, within
from verifier.search.compiled.network import LARGEST, flatten
from verifier.search.compiled.split import CompiledSplit
from verifier.search.inputs.split import InputSplit
from verifier.subject import Subject

SEED = 33  # of the random problems


def ask(network: Network, box: Box, spec: Any) -> Question:
    """A question about a Network."""
    return Question.ask(Subject.of_network(network), box, output_spec(spec))


def search_for(question: Question, max_boxes: int = 20_000) -> CompiledSplit:
    """Search until settled or out of boxes."""
    net = flatten(question)
    assert net is not None
    search = CompiledSplit(question, net)
    search.run(Budget(max_subdomains=max_boxes))
    return search


def question_of(problem: Problem) -> Question:
    """The question that verify() would ask."""
    subject = read_subject(problem.module(), None, len(problem.lower))
    return Question.ask(subject, Box(problem.lower, problem.upper), output_spec(problem.y_specs()))


def numpy_settles(question: Question) -> bool:
    """Whether the numpy search settles it in as many boxes."""
    search = InputSplit(question, crown_bounds)
    search.run(Budget(max_subdomains=5000))
    return search.verified or search.counterexample is not None


@pytest.mark.parametrize("first", range(0, 300, 20))
def test_verdicts_are_those_of_enumeration(first: int) -> None:
    """300 random problems, many with a margin at or near zero; settled ones are right, clear ones are settled."""
    for index in range(first, first + 20):
        problem = random_problem(SEED, index)
        question, answer = question_of(problem), problem.answer()
        net = flatten(question)
        if net is None:
            continue
        search = CompiledSplit(question, net)
        search.run(Budget(max_subdomains=5000))
        name = f"problem {index}, worst margin {float(answer.worst_margin):.3g}"
        if search.verified:
            assert answer.holds, name
        elif search.counterexample is not None:
            assert not answer.holds, name
            assert isinstance(check_counterexample(question, search.counterexample.x), Counterexample), name
        else:
            below = Fraction(ROUNDING[problem.dtype]) * Fraction(problem.scale())
            assert abs(answer.worst_margin) <= below or not numpy_settles(question), name


@pytest.mark.parametrize("seed", range(40))
def test_verdicts_are_those_of_the_numpy_search(seed: int) -> None:
    """Larger networks than enumeration can take, thresholds near the least margin on random points."""
    rng = np.random.default_rng(seed)
    inputs, outputs = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    hidden = [int(n) for n in rng.integers(2, 20, rng.integers(1, 4))]
    network = random_network(seed, inputs, *hidden, outputs)
    box = Box(*np.sort(rng.uniform(-1, 1, (2, inputs)), axis=0))
    y = network(rng.uniform(box.lower, box.upper, (2000, inputs)))
    row, other = rng.normal(size=(2, outputs))
    room = float(rng.choice([-0.3, -0.02, 0.02, 0.3]))
    one = linear(row, -float((y @ row).min()) + room, strict=bool(rng.random() < 0.5))
    two = linear(other, -float((y @ other).min()) - 0.2)
    spec = (one, all_of(one, two), any_of(one, two))[seed % 3]
    question = ask(network, box, spec)
    reference = InputSplit(question, crown_bounds)
    reference.run(Budget(max_subdomains=20_000))
    search = search_for(question)
    assert search.verified == reference.verified
    assert (search.counterexample is None) == (reference.counterexample is None)


def test_search_settles_a_hundred_outputs() -> None:
    network = random_network(5, 2, 16, 100)
    best = int(network(np.array([[0.3, 0.3]]))[0].argmax())
    search = search_for(ask(network, Box([0.29, 0.29], [0.31, 0.31]), argmax_is(best)))
    assert search.verified or search.counterexample is not None
    assert search_for(ask(network, Box([-1, -1], [1, 1]), argmax_is(best))).counterexample is not None


def test_search_takes_a_network_without_hidden_layers() -> None:
    network = Network((Affine(np.array([[1.0, -2.0]]), np.array([0.5])),))
    assert search_for(ask(network, Box([0, 0], [1, 1]), [(-1.75, None)])).verified
    assert search_for(ask(network, Box([0, 0], [1, 1]), [(-1.25, None)])).counterexample is not None


def test_search_takes_a_box_of_zero_width() -> None:
    network = random_network(1, 3, 12, 12, 2)
    x = np.array([0.1, -0.2, 0.3])
    y = network(x[None])[0]
    assert search_for(ask(network, Box(x, x), [(y[0] - 0.1, y[0] + 0.1), (None, None)])).verified
    assert search_for(ask(network, Box(x, x), [(y[0] + 0.1, None), (None, None)])).counterexample is not None


def test_one_side_of_zero_width_is_never_split() -> None:
    network = random_network(2, 3, 16, 16, 1)
    low, high = np.array([-1.0, 0.2, -1.0]), np.array([1.0, 0.2, 1.0])
    grid = np.random.default_rng(0).uniform(low, high, (4000, 3))
    search = search_for(ask(network, Box(low, high), less_than(float(network(grid).max()) + 0.1)))
    assert search.verified


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_tiny_and_huge_weights_are_settled(scale: float) -> None:
    small = random_network(3, 2, 10, 1)
    first, last = small.layers
    network = Network((Affine(first.weight * scale, first.bias * scale), Affine(last.weight, last.bias * scale)))
    axis = np.linspace(-1, 1, 101)
    largest = float(network(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)).max())
    assert search_for(ask(network, Box([-1, -1], [1, 1]), less_than(largest + 0.2 * scale))).verified
    assert search_for(ask(network, Box([-1, -1], [1, 1]), less_than(largest - 0.01 * scale))).counterexample is not None


def test_dead_neurons_and_a_constant_network_are_settled() -> None:
    network = Network((Affine(np.ones((4, 2)), np.full(4, -50.0)), Affine(np.ones((1, 4)), np.array([0.25]))))
    assert search_for(ask(network, Box([-1, -1], [1, 1]), [(0.25 - 1e-9, 0.25 + 1e-9)])).verified
    assert search_for(ask(network, Box([-1, -1], [1, 1]), greater_than(0.3))).counterexample is not None


def test_a_strict_tie_is_falsified_and_a_closed_one_is_not() -> None:
    """relu(x) + relu(-x) = |x| is 0 at 0 and nowhere below; in halves nothing is rounded."""
    network = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    assert search_for(ask(network, Box([-1], [1]), greater_than(0.0))).counterexample is not None
    closed = search_for(ask(network, Box([-1], [1]), within([[0.0, None]])), 2000)
    assert closed.counterexample is None
    assert closed.verified or closed.reason == BELOW_ROUNDING or closed.open_boxes


def test_a_disjunction_of_margins_that_cannot_fail_together_takes_one_box() -> None:
    network = Network((Affine(np.ones((1, 1)), np.zeros(1)),))
    question = ask(network, Box([-1], [1]), any_of(less_than(0.1), greater_than(-0.1)))
    net = flatten(question)
    assert net is not None
    search, budget = CompiledSplit(question, net), Budget()
    search.run(budget)
    assert search.verified
    assert budget.subdomains == 1


def hard_question(room: float = 0.5, seed: int = 2, inputs: int = 4) -> Question:
    """Four inputs, thousands of boxes; with more inputs, more than a second's work on any machine."""
    network = random_network(seed, inputs, 30, 30, 30, 1)
    points = np.random.default_rng(seed).uniform(-1, 1, (20_000, inputs))
    return ask(network, Box([-1] * inputs, [1] * inputs), less_than(float(network(points).max()) + room))


def test_limit_of_boxes_is_kept_exactly() -> None:
    question, budget = hard_question(), Budget(max_subdomains=137)
    net = flatten(question)
    assert net is not None
    CompiledSplit(question, net).run(budget)
    assert budget.subdomains == 137


def test_time_limit_is_kept() -> None:
    question = hard_question()
    net = flatten(question)
    assert net is not None
    search = CompiledSplit(question, net)
    search.run(Budget(max_subdomains=1))  # compiled now, if it was not
    started = time.perf_counter()
    search.run(Budget(0.3))
    assert time.perf_counter() - started < 1.3


def test_a_run_in_pieces_ends_where_a_run_in_one_piece_does() -> None:
    """Slices, and so the machine's load, do not change what is searched."""
    question = hard_question()
    net = flatten(question)
    assert net is not None
    whole, parts = CompiledSplit(question, net), CompiledSplit(question, net)
    whole.run(Budget(max_subdomains=1200))
    budget = Budget(max_subdomains=1200)
    for size in (1, 7, 100, 400, 5000):
        parts.run(budget, max_boxes=size)
    ends = []
    for search in (whole, parts):
        boxes = [(*box.lower, *box.upper, box.margin) for box in search.open_boxes]
        ends.append((sorted(boxes), search.margin, search.verified, search.counterexample is None))
    assert ends[0] == ends[1]


def test_search_goes_on_from_the_boxes_that_the_numpy_search_left_open() -> None:
    question = hard_question(room=1.0)
    first = InputSplit(question, crown_bounds)
    first.run(Budget(), max_boxes=100)
    assert first.open_boxes
    net = flatten(question)
    assert net is not None
    search = CompiledSplit(question, net, first.open_boxes)
    assert search.margin == first.margin
    search.run(Budget(max_subdomains=200_000))
    assert search.verified or search.counterexample is not None


def test_memory_of_an_open_box_is_small() -> None:
    """A million boxes of 5 inputs and 300 neurons in 250 MB."""
    from verifier.search.compiled.queue import make_queue

    queue = make_queue(1000, 5, 300, 1000)
    assert sum(part.nbytes for part in queue) < 250_000


@pytest.mark.parametrize("max_best", [0, 20])
def test_depth_first_finishes_as_best_first_does(max_best: int) -> None:
    """Beyond its limit of open boxes the search goes depth-first, and fewer boxes are open."""
    question = hard_question(room=1.0)
    net = flatten(question)
    assert net is not None
    depth, best = CompiledSplit(question, net, max_best=max_best), CompiledSplit(question, net)
    for search in (depth, best):
        search.run(Budget(max_subdomains=300))
    assert len(depth.open_boxes) < len(best.open_boxes)
    depth.run(Budget(max_subdomains=200_000))
    assert depth.verified


def test_what_the_compiled_search_cannot_take_is_left_to_numpy() -> None:
    network = random_network(0, 2, 8, 2)
    fails_everywhere = linear([0.0, 0.0], -1.0)
    assert flatten(ask(network, Box([0, 0], [1, 1]), fails_everywhere)) is None
    huge = Network((Affine(np.full((2, 2), LARGEST), np.zeros(2)), Affine(np.full((1, 2), LARGEST), np.zeros(1))))
    assert flatten(ask(huge, Box([0, 0], [1, 1]), less_than(1.0))) is None


@pytest.mark.parametrize("room", [1.0, 0.3])
def test_two_workers_verify_what_one_verifies(room: float) -> None:
    """The parts settled are those of one worker, in another order; each worker does some of them."""
    question = hard_question(room=room)
    net = flatten(question)
    assert net is not None
    one, two = CompiledSplit(question, net, threads=1), CompiledSplit(question, net, threads=2)
    budgets = [Budget(600), Budget(600)]
    for search, budget in zip((one, two), budgets, strict=True):
        search.run(budget)
        assert search.verified
        assert search.margin == np.inf
    assert sum(int(worker.counts[0]) for worker in two._workers) == budgets[1].subdomains
    assert min(int(worker.counts[0]) for worker in two._workers) > 0.1 * budgets[1].subdomains


def test_a_limit_in_boxes_is_kept_and_repeats_whatever_the_number_of_threads() -> None:
    question, ends = hard_question(), []
    net = flatten(question)
    assert net is not None
    for threads in (1, 2, 3):
        search, budget = CompiledSplit(question, net, threads=threads), Budget(max_subdomains=777)
        search.run(budget)
        assert budget.subdomains == 777
        ends.append(sorted((*box.lower, *box.upper, box.margin) for box in search.open_boxes))
    assert ends[0] == ends[1] == ends[2]


def test_a_counterexample_of_one_worker_ends_the_search_of_all() -> None:
    question = hard_question(room=-0.001)
    net = flatten(question)
    assert net is not None
    search = CompiledSplit(question, net, threads=3)
    search.run(Budget(60))
    assert search.counterexample is not None
    assert isinstance(check_counterexample(question, search.counterexample.x), Counterexample)


def test_time_limit_is_kept_by_several_workers_and_the_search_can_be_continued_by_one() -> None:
    question = hard_question(room=2.0, inputs=8)
    net = flatten(question)
    assert net is not None
    search = CompiledSplit(question, net, threads=3)
    search.run(Budget(max_subdomains=1))  # compiled now, if it was not
    started = time.perf_counter()
    search.run(Budget(0.3))
    assert time.perf_counter() - started < 1.3
    left = list(search.open_boxes)
    assert len(left) == len(search.open_boxes) > 0
    volume = sum(float(np.prod(box.upper - box.lower)) for box in left)
    assert 0 < volume <= 256.0 * (1 + 1e-9)  # parts of the box of side 2 that do not overlap
    budget = Budget(max_subdomains=100)
    search.run(budget)
    assert budget.subdomains == 100


def test_nothing_is_lost_when_several_workers_are_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a slice: every worker stops, and a later run ends as if nothing had happened."""
    from verifier.search.compiled import workers as compiled_workers

    question = hard_question(room=1.0)
    net = flatten(question)
    assert net is not None
    search, calls = CompiledSplit(question, net, threads=2), []
    run = compiled_workers.Worker.run

    def interrupted(worker: Any, *arguments: Any) -> None:
        run(worker, *arguments)
        calls.append(worker)
        if worker is search._workers[0] and len(calls) > 6:
            monkeypatch.setattr(compiled_workers.Worker, "run", run)
            raise KeyboardInterrupt

    monkeypatch.setattr(compiled_workers.Worker, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search.run(Budget(600))
    search.run(Budget(600))
    assert search.verified


@pytest.mark.parametrize(("wanted", "expected"), [("1", 1), ("1,4", 1), ("", None), ("0", None), ("many", None)])
def test_number_of_cores_is_that_of_the_process_or_fewer(
    wanted: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from verifier.search.compiled.workers import cores

    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    assert cores() == (3 if expected is None else expected)


def test_a_million_open_boxes_take_less_than_half_a_gibibyte() -> None:
    """Boxes of 5 inputs and 300 neurons, while the queue grows: its two copies count together."""
    from verifier.search.compiled.queue import grown, make_queue

    queue = make_queue(2**19, 5, 300, 1000)
    larger = grown(queue)
    assert len(larger.heap) >= 1_000_000
    assert sum(part.nbytes for part in (*queue, *larger)) < 2**29
