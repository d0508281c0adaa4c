"""A program that follows boxes and bounds: it says what a new one would, and its distances hold."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verifier.networks import random_network
from verifier.asking.ball import Ball
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.exact.linear.triangles import Triangles, nearest_in_ball
from verifier.network import Affine, Network

ATOL = 1e-6  # of HiGHS's objective
ROW = np.array([1.0, -1.0])


def bounded(network: Network, sides: Bounds, known: list[Bounds] | None = None) -> list[Bounds]:
    """CROWN's bounds on the hidden layers over a box, (neurons,) each."""
    given = None if known is None else [Bounds(one.lower[None], one.upper[None]) for one in known]
    found = crown_bounds(network, Bounds(sides.lower[None], sides.upper[None]), np.eye(network.outputs), given)
    return [Bounds(one.lower[0], one.upper[0]) for one in found.pre]


def fixed(pre: list[Bounds], rng: np.random.Generator) -> list[Bounds]:
    """The same with a state for a random unstable neuron of the first layer."""
    unstable = np.flatnonzero((pre[0].lower < 0) & (pre[0].upper > 0))
    lower, upper = pre[0].lower.copy(), pre[0].upper.copy()
    (lower if rng.random() < 0.5 else upper)[rng.choice(unstable)] = 0.0
    return [Bounds(lower, upper), *pre[1:]]


@pytest.mark.parametrize("seed", range(8))
def test_a_program_that_was_changed_says_what_a_new_one_says(seed: int) -> None:
    """Sides, states and costs change in turn, and back again."""
    rng, network, centre = np.random.default_rng(seed), random_network(seed, 3, 8, 8, 2), np.zeros(3)
    ball = Ball(centre, 1.0)
    widest = Bounds(*ball.limits(1.0))
    root = bounded(network, widest)
    changed = Triangles(network, widest, root)
    for _ in range(12):
        sides, row = Bounds(*ball.limits(rng.uniform(0.2, 1.0))), rng.normal(size=2)
        pre = fixed(root, rng)
        changed.set_sides(sides)
        changed.set_bounds(pre)
        one, other = changed.least(row, 10.0), Triangles(network, sides, pre).least(row, 10.0)
        assert one.status is other.status
        if one.point is not None and other.point is not None:
            assert one.objective == pytest.approx(other.objective, abs=ATOL * (1 + abs(other.objective)))
            proof = changed.proof(one)
            assert proof is not None
            assert one.objective - 1e-5 <= proof.over(sides) <= one.objective + ATOL


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("clip", [None, (-0.3, 0.4)])
def test_no_sample_is_nearer_than_the_distance_of_any_multipliers(seed: int, clip: tuple[float, float] | None) -> None:
    rng, network, centre = np.random.default_rng(seed), random_network(seed, 3, 8, 2), np.full(3, 0.1)
    ball = Ball(centre, 1.0, clip=clip)
    sides = Bounds(*ball.limits(1.0))
    triangles = Triangles(network, sides, bounded(network, sides))
    row = ROW if network.classify(centre) == 0 else -ROW
    answer = triangles.least(row, 10.0)
    points = rng.uniform(sides.lower, sides.upper, (20_000, 3))
    lost = network.logits(points) @ row <= 0
    nearest = float(ball.distances(points[lost]).min(initial=np.inf))
    assert answer.duals is not None
    for noise in (0.0, 1e-6, 1e-2, 1.0):
        answer.duals[:] = answer.duals + noise * rng.normal(size=len(answer.duals))
        proof = triangles.proof(answer)
        assert proof is not None
        distance = proof.distance(centre, lambda radius: Bounds(*ball.limits(radius)), 1.0)
        assert distance <= nearest
        assert distance == 0 or proof.over(Bounds(*ball.limits(distance))) > 0


def test_the_distance_worked_by_hand() -> None:
    """relu(x1 + 1) - relu(x2 + 1) > 0 at (1, 0); moving both inputs towards each other by 1/2 reaches 0."""
    network = Network((Affine(np.eye(2), np.ones(2)), Affine(np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2))))
    ball = Ball(np.array([1.0, 0.0]), 0.9)
    sides = Bounds(*ball.limits(0.9))
    triangles = Triangles(network, sides, bounded(network, sides))
    distance, points = nearest_in_ball(
        triangles, ROW, ball.centre, lambda radius: Bounds(*ball.limits(radius)), 0.9, lambda: 10.0
    )
    assert 0.5 - 1e-9 <= distance <= 0.5
    np.testing.assert_allclose(points[-1], [0.5, 0.5], atol=ATOL)


def test_over_a_ball_without_the_class_there_is_no_distance() -> None:
    network = Network((Affine(np.eye(2), np.ones(2)), Affine(np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2))))
    ball = Ball(np.array([1.0, 0.0]), 0.4)
    sides = Bounds(*ball.limits(0.4))
    triangles = Triangles(network, sides, bounded(network, sides))
    distance, _ = nearest_in_ball(
        triangles, ROW, ball.centre, lambda radius: Bounds(*ball.limits(radius)), 0.4, lambda: 10.0
    )
    assert distance == np.inf
