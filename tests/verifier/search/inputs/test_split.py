"""Input splitting: its boxes tile the question, its cuts lose nothing, and it can be continued."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.answer.verdict import Question
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import Bounds
from verifier.network import Affine, Network
from verifier.question.spec import Box, any_of, greater_than, less_than, linear, output_spec
from verifier.search.events import Event, Fate
from verifier.search.inputs.reduce import cut_boxes, margin_planes, mixtures
from verifier.search.inputs.split import InputSplit
from verifier.subject import Subject


def hard_question(seed: int, room: float) -> Question:
    """Two inputs, y below its largest value on a grid plus `room`."""
    network = random_network(seed, 2, 24, 24, 1)
    axis = np.linspace(-1, 1, 201)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    limit = float(network(grid).max()) + room
    return Question.ask(Subject.of_network(network), Box([-1, -1], [1, 1]), output_spec([(None, limit)]))


@pytest.mark.parametrize("order", ["best", "depth"])
@pytest.mark.parametrize("bound", [crown_bounds, interval_bounds])
def test_search_verifies_with_any_bounding_method_and_order(bound: object, order: str) -> None:
    search = InputSplit(hard_question(0, 0.5), bound, order=order)  # type: ignore[arg-type]
    search.run(Budget(max_subdomains=200_000))
    assert search.verified


def test_search_falsifies_what_is_false() -> None:
    search = InputSplit(hard_question(1, -0.05), crown_bounds)
    search.run(Budget(max_subdomains=100_000))
    assert search.counterexample is not None


def test_crown_needs_fewer_boxes_than_intervals() -> None:
    counts = []
    for bound in (crown_bounds, interval_bounds):
        budget = Budget(max_subdomains=200_000)
        InputSplit(hard_question(0, 0.5), bound).run(budget)
        counts.append(budget.subdomains)
    assert counts[0] * 4 < counts[1]


def test_search_can_be_continued_where_it_stopped() -> None:
    whole, parts = (InputSplit(hard_question(2, 0.1), crown_bounds) for _ in range(2))
    budget_whole, budget_parts = Budget(), Budget()
    whole.run(budget_whole)
    while not parts.verified:
        parts.run(budget_parts, max_boxes=7)
    assert whole.verified
    assert budget_parts.subdomains < 3 * budget_whole.subdomains


def test_leaves_cover_every_point_that_may_violate() -> None:
    """Each sampled point lies in a leaf or was cut off; a point that was cut off satisfies the spec."""
    question = hard_question(3, 0.02)
    events: list[Event] = []
    search = InputSplit(question, crown_bounds, observe=events.append)
    search.run(Budget(max_subdomains=20_000))
    assert search.verified
    leaves = [event for event in events if event.fate is not Fate.SPLIT]
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    margins = question.margins.lower(question.subject.network.logits(points) @ question.margins.rows.T).min(axis=1)
    lower, upper = np.array([leaf.lower for leaf in leaves]), np.array([leaf.upper for leaf in leaves])
    covered = ((points[:, None] >= lower) & (points[:, None] <= upper)).all(axis=2).any(axis=1)
    assert covered.sum() > 0
    assert (margins[~covered] > 0).all()


@pytest.mark.parametrize("seed", range(10))
def test_cut_boxes_keep_every_point_where_the_clause_can_fail(seed: int) -> None:
    network = random_network(seed, 3, 10, 2)
    spec = linear([1.0, -1.0], 0.5)
    question = Question.ask(Subject.of_network(network), Box([-1] * 3, [1] * 3), spec)
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-0.7, 0.7, (20, 3))
    boxes = Bounds(centre - 0.3, centre + 0.3)
    found = crown_bounds(network, boxes, question.margins.rows)
    assert found.plane is not None
    planes = margin_planes(question.margins, found.plane)
    left, empty = cut_boxes(planes.slope, planes.offset, boxes, [((0,), np.ones(20, dtype=bool))])
    for i in range(20):
        x = rng.uniform(boxes.lower[i], boxes.upper[i], (500, 3))
        fails = (network.logits(x) @ question.margins.rows[0] + 0.5) <= 0
        inside = ((x >= left.lower[i]) & (x <= left.upper[i])).all(axis=1) & ~empty[i]
        assert inside[fails].all()


def test_two_margins_that_cannot_fail_together_hold_though_each_alone_may() -> None:
    """y < 0.1 or y > -0.1, y = x on [-1, 1]: each margin reaches -0.9, their sum is 0.2 everywhere."""
    slope = np.array([[[-1.0], [1.0]]])
    offset = np.array([[0.1, 0.1]])
    box = Bounds(np.array([[-1.0]]), np.array([[1.0]]))
    weight = mixtures(slope, offset, box)[0]
    assert (weight >= 0).all()
    assert weight @ offset[0] - abs(weight @ slope[0])[0] > 0  # the mixture's least value on [-1, 1]
    assert not mixtures(slope, offset - 0.2, box).any()


def test_disjunction_is_settled_in_one_box_by_joint_bounds() -> None:
    network = Network((Affine(np.ones((1, 1)), np.zeros(1)),))
    spec = any_of(less_than(0.1), greater_than(-0.1))
    search = InputSplit(Question.ask(Subject.of_network(network), Box([-1], [1]), spec), crown_bounds)
    budget = Budget()
    search.run(budget)
    assert search.verified
    assert budget.subdomains == 1


def test_margin_of_zero_that_bounds_cannot_reach_ends_stuck_and_not_verified() -> None:
    """|x| - |x| >= 0 holds with margin 0 everywhere; bounds in floating point never show it."""
    network = Network((Affine(np.array([[0.1], [-0.1]]), np.zeros(2)), Affine(np.array([[0.3, 0.3]]), np.zeros(1))))
    limit = float(network(np.ones((1, 1)))[0, 0])
    search = InputSplit(
        Question.ask(Subject.of_network(network), Box([-1], [1]), output_spec([(None, limit)])), crown_bounds
    )
    search.run(Budget(max_subdomains=20_000))
    assert not search.verified


@pytest.mark.parametrize("at_once", [1, 4, 16])
@pytest.mark.parametrize(("seed", "room"), [(0, 0.5), (2, 0.1), (1, -0.05)])
def test_boxes_that_are_bounded_together_from_the_first_step_on_change_no_answer(
    seed: int, room: float, at_once: int
) -> None:
    search = InputSplit(hard_question(seed, room), crown_bounds, at_once=at_once)
    search.run(Budget(max_subdomains=200_000))
    assert search.verified == (room > 0) and (search.counterexample is not None) == (room < 0)


@pytest.mark.parametrize("seed", range(5))
def test_crown_without_the_pass_from_above_gives_the_same_from_below_and_still_encloses(seed: int) -> None:
    network, rng = random_network(seed, 3, 8, 8, 2), np.random.default_rng(seed)
    lower = rng.uniform(-1, 1, (4, 3))
    boxes = Bounds(lower, lower + rng.uniform(0, 1, lower.shape))
    both, below = (crown_bounds(network, boxes, np.eye(2), above=above).rows for above in (True, False))
    assert np.array_equal(both.lower, below.lower)
    for place in range(4):
        y = network(rng.uniform(boxes.lower[place], boxes.upper[place], (500, 3)))
        assert (below.lower[place] <= y).all() and (y <= below.upper[place]).all()
