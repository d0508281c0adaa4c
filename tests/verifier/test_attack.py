"""The attack: candidates lie in the box, narrow ones are found, and what cannot fail is no target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.verifier.networks import random_network
from verifier.answer.verdict import Counterexample, Question, check_counterexample
from verifier.attack import MAX_WALKS, attack, thorough_attack
from verifier.frontends.read import read_subject
from verifier.network import Affine, Network
from verifier.question.spec import (
    Box,
    OutputSpec,
    all_of,
    any_of,
    argmax_is,
    greater_than,
    less_than,
    linear,
    output_spec,
)
from verifier.subject import Subject


def ask(network: Network, box: Box, spec: OutputSpec) -> Question:
    return Question.ask(Subject.of_network(network), box, output_spec(spec))


def falls(question: Question, points: np.ndarray) -> bool:
    return any(isinstance(check_counterexample(question, point), Counterexample) for point in points[:3])


@pytest.mark.parametrize("seed", range(10))
def test_candidates_lie_in_the_box_and_the_best_comes_first(seed: int) -> None:
    network = random_network(seed, 3, 12, 12, 2)
    box = Box([-1.0, 0.25, -1.0], [1.0, 0.25, 0.5])
    points = attack(ask(network, box, less_than(100.0, 0)), seed=seed, wanted=10**6)
    assert (points >= box.lower).all() and (points <= box.upper).all()
    values = network(points)[:, 0]
    assert values[0] == values.max()  # the margin is 100 - y
    samples = network(np.random.default_rng(seed).uniform(box.lower, box.upper, (3000, 3)))[:, 0]
    assert values[0] >= np.quantile(samples, 0.999)


@pytest.mark.parametrize("seed", range(6))
def test_two_margins_that_tie_on_a_ridge_are_driven_down_together(seed: int) -> None:
    """Unsafe is |w . x| <= 1e-3 for a random w: two rows that are both negative only in a thin slab."""
    direction = np.random.default_rng(seed).normal(size=4)
    network = Network((Affine(np.array([direction, -direction]), np.zeros(2)), Affine(np.eye(2), np.zeros(2))))
    question = ask(network, Box([0.1] * 4, [1.1] * 4), any_of(greater_than(1e-3, 0), greater_than(1e-3, 1)))
    low, high = np.minimum(direction * 0.1, direction * 1.1).sum(), np.maximum(direction * 0.1, direction * 1.1).sum()
    assert falls(question, thorough_attack(question)) == (low < 0 < high)


def test_given_starts_are_walked_from() -> None:
    """A spike of width 0.02 in a box of ten inputs, flat elsewhere: only the given start sees a slope."""
    first = np.zeros((3, 10))
    first[:, 0] = 1.0
    spike = Affine(np.array([[100.0, -200.0, 100.0]]), np.zeros(1))  # relu(t - .89) - 2 relu(t - .9) + relu(t - .91)
    network = Network((Affine(first, np.array([-0.89, -0.9, -0.91])), spike))
    question = ask(network, Box([0.0] * 10, [1.0] * 10), less_than(0.8))
    start = np.full((1, 10), 0.5)
    start[0, 0] = 0.892
    assert falls(question, attack(question, starts=start, walks=0))
    assert len(attack(question, starts=start, walks=0)) <= 2


def test_constant_margins_are_no_targets_or_fall_everywhere() -> None:
    network = random_network(0, 2, 8, 2)
    box, flat = Box([0, 0], [1, 1]), [0.0, 0.0]
    always, never = linear(flat, 1.0), linear(flat, -1.0)
    assert len(attack(ask(network, box, always))) == 0
    assert falls(ask(network, box, never), attack(ask(network, box, never)))
    assert len(attack(ask(network, box, any_of(never, always)))) == 0
    mixed = ask(network, box, all_of(always, any_of(never, less_than(-50.0, 0))))
    assert falls(mixed, attack(mixed))


def test_many_clauses_share_the_walks() -> None:
    network = random_network(5, 2, 16, 200)
    question = ask(network, Box([-1, -1], [1, 1]), argmax_is(0))
    assert len(attack(question, wanted=10**6)) <= 2 * MAX_WALKS * 2
    assert falls(question, attack(question))


def test_limits_on_softmax_outputs_are_attacked_through_their_gradient() -> None:
    """A limit that is no linear row: the largest probability of class 0 on a fine grid, and a little below it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(dim=1))
    axis = torch.linspace(-2, 2, 201)
    with torch.no_grad():
        largest = float(net(torch.cartesian_prod(axis, axis))[:, 0].max())
    question = Question.ask(read_subject(net, None, 2), Box([-2, -2], [2, 2]), less_than(largest - 1e-3, 0))
    assert not question.margins.linear
    assert falls(question, attack(question))


def test_large_networks_run_in_float32_and_huge_values_in_float64() -> None:
    network = random_network(2, 60, 300, 200, 2)
    box = Box([-1] * 60, [1] * 60)
    middle = float(network(np.zeros((1, 60)))[0, 0])
    assert falls(ask(network, box, less_than(middle + 0.5, 0)), attack(ask(network, box, less_than(middle + 0.5, 0))))
    huge = Network((*network.layers[:-1], Affine(network.layers[-1].weight * 1e60, network.layers[-1].bias)))
    question = ask(huge, box, less_than(0.0, 0))
    assert falls(question, attack(question))


def test_an_attack_ends_where_time_is_up() -> None:
    """Asked at every step; what was found until then is still given."""
    question = ask(random_network(0, 3, 12, 12, 2), Box([-1.0] * 3, [1.0] * 3), less_than(100.0, 0))
    for run in (attack, thorough_attack):
        asked: list[bool] = []

        def stop(asked: list[bool] = asked) -> bool:
            asked.append(True)
            return len(asked) == 3

        assert len(run(question, stop=stop)) > 0 and len(asked) == 3


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_attack_ends_no_later_and_what_it_proposes_lies_in_the_box(seed: int) -> None:
    box, asked = Box([-1.0] * 3, [1.0] * 3), {}
    for patience in (None, 5):
        question, steps = ask(random_network(seed, 3, 12, 12, 1), box, less_than(1e6)), []
        points = attack(question, patience=patience, stop=lambda steps=steps: bool(steps.append(1)))
        assert all(box.contains(point) for point in points)
        asked[patience] = len(steps)
    assert 0 < asked[5] < asked[None]  # nothing violates: it gives up after five steps
