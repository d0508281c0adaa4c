"""The search for the distance: true at any time, and a ball that only ever becomes smaller."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.asking.ball import Ball
from verifier.enclosure import Array, Bounds
from verifier.exact.linear.distance_search import DistanceSearch
from verifier.network import Network

ATOL = 1e-6  # of HiGHS's points: how much the label may still win by where its distance is told


class Found:
    """Keeps the distance of the nearest point at which another class ties or wins, as the network computes it."""

    def __init__(self, network: Network, ball: Ball) -> None:
        self.network, self.ball, self.nearest = network, ball, np.inf
        self.label = network.classify(ball.centre)

    def offer(self, x: Array) -> None:
        logits = self.network.logits(x[None])[0]
        if np.delete(logits, self.label).max() >= logits[self.label] - ATOL:
            self.nearest = min(self.nearest, float(self.ball.distances(x)))

    def search(self) -> DistanceSearch:
        return DistanceSearch(
            self.network, self.label, self.ball.centre, lambda radius: Bounds(*self.ball.limits(radius)),
            lambda: min(self.ball.radius, self.nearest), self.offer,
        )  # fmt: skip


def sampled(network: Network, ball: Ball) -> float:
    """The distance of the nearest of many samples of another class."""
    points = np.random.default_rng(0).uniform(*ball.limits(ball.radius), (50_000, ball.centre.size))
    lost = network.logits(points).argmax(axis=1) != network.classify(ball.centre)
    return float(ball.distances(points[lost]).min(initial=np.inf))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_proved_holds_after_every_node(seed: int) -> None:
    network, ball = random_network(seed, 3, 10, 8, 3), Ball(np.zeros(3), 1.0)
    nearest = sampled(network, ball)
    for nodes in (1, 2, 4, 8, 16, 10_000):
        found = Found(network, ball)
        search = found.search()
        search.run(Budget(max_subdomains=nodes))
        assert search.proved <= nearest and search.nodes <= nodes + 1
    assert search.finished
    assert search.proved == pytest.approx(min(found.nearest, 1.0), abs=1e-5)


def test_nothing_is_proved_before_the_search_begins() -> None:
    search = Found(random_network(1, 2, 6, 2), Ball(np.zeros(2), 1.0)).search()
    assert search.proved == 0.0 and not search.finished


def test_the_ball_never_becomes_larger_again() -> None:
    """What was closed over a small ball says nothing of a larger one, even where an example turns out to be none."""
    network, ball = random_network(3, 2, 6, 2), Ball(np.zeros(2), 1.0)
    radii, offered = iter([1.0, 0.9]), list[Array]()
    search = DistanceSearch(
        network, network.classify(ball.centre), ball.centre, lambda radius: Bounds(*ball.limits(radius)),
        lambda: next(radii, 1.0), offered.append,
    )  # fmt: skip
    search.run(Budget())
    assert len(offered) > 1
    assert search.radius == 0.9 and search.proved <= 0.9
