"""Compiled bounds contain sampled and exact values, mixtures and cuts lose nothing, and rounding is accounted for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.verifier.networks import random_network
from tests.verifier.test_rounding import digit_losing_network
from verifier.answer.verdict import Question
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.network import Affine, Network
from verifier.question.spec import Box, OutputSpec, all_of, any_of, linear
from verifier.search.compiled.bounds import bound_hidden, make_work
from verifier.search.compiled.clauses import bound_margins, cut, make_planes, mix_margins
from verifier.search.compiled.network import flatten
from verifier.subject import Subject


def bound(question: Question, low: np.ndarray, high: np.ndarray) -> tuple[Any, Any, Any]:
    """Bound a part of the question's box."""
    net = flatten(question)
    assert net is not None
    work, planes = make_work(net), make_planes(net)
    bound_hidden(net, work, low, high)
    bound_margins(net, work, planes, low, high)
    return net, work, planes


def each_output(outputs: int) -> OutputSpec:
    """Margins that are the outputs themselves."""
    return all_of(*(linear(row, 0.0) for row in np.eye(outputs)))


@pytest.mark.parametrize("seed", range(30))
def test_bounds_contain_sampled_values_and_are_about_as_tight_as_crown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(seed, 3, 14, 11, 9, 4)
    question = Question.ask(Subject.of_network(network), Box([-1] * 3, [1] * 3), each_output(4))
    centre = rng.uniform(-0.7, 0.7, 3)
    low, high = centre - 0.2, centre + 0.2
    _, work, planes = bound(question, low, high)
    points = rng.uniform(low, high, (3000, 3))
    pre = network.pre_activations(points)
    at = 0
    for z in pre[:-1]:
        count = z.shape[1]
        alive = work.status[at : at + count] != 2
        assert (z[:, ~alive] <= 0).all()
        assert (z[:, work.status[at : at + count] == 1] >= 0).all()
        assert (z >= work.lower[at : at + count])[:, alive].all()
        assert (z <= work.upper[at : at + count])[:, alive].all()
        at += count
    assert (pre[-1].min(axis=0) >= planes.lower).all()
    assert (pre[-1] >= points @ planes.slope.T + planes.offset).all()
    reference = crown_bounds(network, Bounds(low[None], high[None]), np.eye(4)).rows.lower[0]
    assert (planes.lower >= reference - 0.2 * np.ptp(pre[-1], axis=0) - 1e-9).all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sizes", [(6, 40, 40, 3), (4, 9, 3), (5, 2)])
def test_bounds_at_a_point_contain_the_exact_value(sizes: tuple[int, ...], seed: int) -> None:
    """Weights from 1e-8 to 1e8 that nearly cancel, in rationals; the whole box is the point or larger."""
    network = digit_losing_network(seed, sizes)
    rng = np.random.default_rng(seed + 100)
    x = rng.uniform(-1, 1, sizes[0])
    rows = rng.normal(size=(4, sizes[-1])) * 10.0 ** np.arange(-6, 6, 3)[:, None]
    offsets = rng.normal(size=4)
    spec = all_of(*(linear(row, offset) for row, offset in zip(rows, offsets, strict=True)))
    exact = network.exact_logits(x)
    for radius in (0.0, 1e-9, 1.0):
        question = Question.ask(Subject.of_network(network), Box(x - radius, x + radius), spec)
        _, _, planes = bound(question, x, x)
        for index, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
            value = sum((Fraction(float(c)) * z for c, z in zip(row, exact, strict=True)), Fraction(float(offset)))
            assert Fraction(float(planes.lower[index])) <= value
            plane = sum((Fraction(float(s)) * Fraction(float(v)) for s, v in zip(planes.slope[index], x, strict=True)),
                        Fraction(float(planes.offset[index])))  # fmt: skip
            assert plane <= value


@pytest.mark.parametrize("seed", range(20))
def test_exact_values_at_corners_lie_above_planes_of_a_digit_losing_network(seed: int) -> None:
    network = digit_losing_network(seed, (3, 12, 8, 2))
    centre = np.random.default_rng(seed + 300).uniform(-1, 1, 3)
    low, high = centre - 1e-3, centre + 1e-3
    question = Question.ask(Subject.of_network(network), Box(centre - 0.5, centre + 0.5), each_output(2))
    _, _, planes = bound(question, low, high)
    for corner in range(8):
        x = np.array([high[i] if corner >> i & 1 else low[i] for i in range(3)])
        for index, value in enumerate(network.exact_logits(x)):
            assert Fraction(float(planes.lower[index])) <= value


@pytest.mark.parametrize("seed", range(20))
def test_mixtures_and_cuts_keep_every_point_that_violates(seed: int) -> None:
    """Whatever the multipliers, no sampled violating point is cut off, and no clause with one is settled."""
    rng = np.random.default_rng(seed)
    network = random_network(seed, 3, 12, 12, 4)
    y = network(rng.uniform(-1, 1, (2000, 3)))
    rows = rng.normal(size=(5, 4))
    offsets = -np.quantile(y @ rows.T, 0.15, axis=0)
    parts = [linear(row, offset, strict=True) for row, offset in zip(rows, offsets, strict=True)]
    spec = all_of(any_of(*parts[:2]), any_of(*parts[2:4]), parts[4])
    question = Question.ask(Subject.of_network(network), Box([-1] * 3, [1] * 3), spec)
    for _ in range(20):
        centre = rng.uniform(-0.8, 0.8, 3)
        low, high = centre - 0.2, centre + 0.2
        net, work, planes = bound(question, low, high)
        worst = mix_margins(net, work, planes, low, high)
        left = worst >= 0 and cut(net, planes, low, high)
        x = rng.uniform(low, high, (2000, 3))
        fails = question.margins.clause_margins(network.logits(x) @ question.margins.rows.T + offsets).min(axis=1) <= 0
        assert left or not fails.any()
        if left:
            inside = ((x >= planes.left_lower) & (x <= planes.left_upper)).all(axis=1)
            assert inside[fails].all()


def test_a_mixture_of_digit_losing_margins_stays_below_their_exact_mixture() -> None:
    """At a point, in rationals: the bound of the mixture is at most the mixture of the margins."""
    for seed in range(15):
        network = digit_losing_network(seed, (4, 20, 10, 3))
        x = np.random.default_rng(seed).uniform(-1, 1, 4)
        exact = network.exact_logits(x)
        spec = any_of(*(linear(row, -float(value)) for row, value in zip(np.eye(3), exact, strict=True)))
        question = Question.ask(Subject.of_network(network), Box(x - 0.1, x + 0.1), spec)
        net, work, planes = bound(question, x, x)
        if mix_margins(net, work, planes, x, x) < 0:
            continue
        mixed = sum(
            (Fraction(float(w)) * (z - Fraction(float(z))) for w, z in zip(planes.weight, exact, strict=True)),
            Fraction(0),
        )
        assert Fraction(float(planes.mixed_lower[0])) <= mixed


def test_status_handed_down_gives_the_bounds_of_a_fresh_start_or_better() -> None:
    network = random_network(7, 3, 15, 15, 2)
    question = Question.ask(Subject.of_network(network), Box([-1] * 3, [1] * 3), each_output(2))
    net, work, planes = bound(question, np.full(3, -0.5), np.full(3, 0.5))
    low, high = np.full(3, -0.1), np.full(3, 0.2)
    bound_hidden(net, work, low, high)
    bound_margins(net, work, planes, low, high)
    _, _, fresh = bound(question, low, high)
    assert (planes.lower >= fresh.lower - 1e-9).all()
    y = network(np.random.default_rng(0).uniform(low, high, (2000, 3)))
    assert (y.min(axis=0) >= planes.lower).all()


def test_weights_known_up_to_a_radius_widen_the_bounds() -> None:
    exact = random_network(4, 2, 8, 1)
    first, last = exact.layers
    radius = np.full(first.weight.shape, 1e-3)
    network = Network((Affine(first.weight, first.bias, radius, None), last))
    low, high = np.full(2, -0.3), np.full(2, 0.3)
    _, _, planes = bound(Question.ask(Subject.of_network(network), Box(low, high), each_output(1)), low, high)
    rng = np.random.default_rng(0)
    for _ in range(200):
        moved = Network((Affine(first.weight + radius * rng.choice([-1.0, 1.0], radius.shape), first.bias), last))
        assert moved(rng.uniform(low, high, (50, 2))).min() >= planes.lower[0]
