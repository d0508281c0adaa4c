"""Branch and bound on ReLUs for the distance itself: one tree over the ball that the nearest example leaves open.

A node fixes the states of some ReLUs and speaks of one class other than the label. Over the ball that is of interest
by now, its relaxation by triangles is a linear program for the least margin. The program's multipliers put a linear
function of the inputs below the margin: where that is above 0 over the whole ball the node is closed, elsewhere it
says how near the class can come at most. The program's points are candidates. Each example that is nearer makes the
ball smaller for all that is still open, and what was closed over a larger ball stays closed. So one tree finds the
distance, where asking for a verdict takes a tree for each radius.

Source:
    Tjeng, Xiao, Tedrake. Evaluating Robustness of Neural Networks with Mixed Integer Programming. ICLR 2019 (the
    question); Neumaier, Shcherbina. Safe bounds in linear and mixed-integer linear programming. Math. Program. 2004
    (what counts of a program). The shrinking ball is ours.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from verifier.answer.budget import Budget
from verifier.bounds.crown import crown_bounds
from verifier.bounds.layers import LayerBounds
from verifier.enclosure import Array, Bounds
from verifier.errors import EmptyBoundsError
from verifier.exact.linear.triangles import Triangles, nearest_in_ball
from verifier.network import Network
from verifier.solvers.status import Answer

FARTHER = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # shares of the radius, beyond the distance of a tie
AT_LEAST = 1e-3  # of a neuron's score where the program's point lies on its ReLU already

Pre = tuple[Bounds, ...]  # on z of each hidden layer, (neurons,) each


@dataclass(order=True)
class _Node:
    """The states of some neurons, for one class.

    Args:
        distance: No input that has these states and this class is nearer.
        number: Decides between equals.
        pre: Bounds that say the states.
        split: Layer and number of the neuron to split.
    """

    distance: float
    number: int
    pre: Pre
    split: tuple[int, int]


class DistanceSearch:
    """The search around one input.

    Attributes:
        radius: Of the ball that is of interest by now.
        nodes: How many nodes were bounded.
    """

    def __init__(
        self, network: Network, label: int, centre: Array, sides: Callable[[float], Bounds],
        reach: Callable[[], float], offer: Callable[[Array], None],
    ) -> None:  # fmt: skip
        """Nothing is known yet.

        Args:
            network: What is asked about.
            label: The class at the centre.
            centre: The input, (inputs,).
            sides: A box, (inputs,), that surely holds the ball of a radius.
            reach: The radius beyond which nothing is of interest by now; > 0.
            offer: Takes a candidate, (inputs,), which may make `reach` smaller.
        """
        self._network, self._label, self._centre = network, label, centre
        self._sides, self._reach, self._offer = sides, reach, offer
        self.radius, self.nodes = reach(), 0
        self._rows = np.eye(network.outputs)[label] - np.eye(network.outputs)
        self._stuck = np.inf  # below the distances of all that can be neither closed nor split
        self._unseen = {int(other) for other in range(network.outputs) if other != label}
        self._open: dict[int, list[_Node]] = {}
        self._numbers = itertools.count()

    @property
    def proved(self) -> float:
        """No input of another class is nearer than that; true at any time, after an interrupt too."""
        if self._unseen:
            return 0.0
        opened = [nodes[0].distance for nodes in self._open.values() if nodes]
        return min(self.radius, self._stuck, *opened)

    @property
    def finished(self) -> bool:
        """Whether nothing is open."""
        return not self._unseen and not any(self._open.values())

    def run(self, budget: Budget) -> None:
        """Search until nothing is open, or the budget is exhausted; one node counts as one subdomain.

        Raises:
            MissingDependencyError: highspy is not installed.
        """
        sides = self._sides(self.radius)
        found = crown_bounds(
            self._network, _batch(sides), self._rows, stop=budget.time_is_up, influence=False,
        )  # fmt: skip
        pre = tuple(Bounds(one.lower[0], one.upper[0]) for one in found.pre)
        self._unseen -= {int(other) for other in np.flatnonzero(found.rows.lower[0] > 0)}
        if not self._unseen:
            return
        self._triangles = Triangles(self._network, sides, pre)
        for other in sorted(self._unseen, key=lambda one: float(found.rows.lower[0, one])):
            if budget.exhausted():
                return
            node = self._bound(other, pre, 0.0, budget)
            self._open[other] = [] if node is None else [node]
            self._unseen.remove(other)
        nearest_first = sorted((nodes[0].distance, other) for other, nodes in self._open.items() if nodes)
        for _, other in nearest_first:
            while self._open[other] and not budget.exhausted():
                self._step(other, budget)

    def _step(self, other: int, budget: Budget) -> None:
        """Split the node of a class that may come nearest."""
        nodes = self._open[other]
        first = nodes[0]
        children = []
        if first.distance < self.radius:
            layer, neuron = first.split
            for active in (False, True):
                before = first.pre[layer]
                after = Bounds(before.lower.copy(), before.upper.copy())
                (after.lower if active else after.upper)[neuron] = 0.0
                pre = (*first.pre[:layer], after, *first.pre[layer + 1 :])
                node = self._bound(other, pre, first.distance, budget)
                children += [] if node is None else [node]
        left = [*nodes[1:], *children]
        heapq.heapify(left)
        self._open[other] = left  # at once: an interrupt before it loses nothing

    def _bound(self, other: int, pre: Pre, distance: float, budget: Budget) -> _Node | None:
        """Bound a node of which `distance` is known; None where it is closed, or where nothing is left to split."""
        self.nodes += 1
        budget.count(1, lambda: f"proved up to {self.proved:.6g}, of interest up to {self.radius:.6g}")
        row, sides = self._rows[other], self._sides(self.radius)
        try:
            found = crown_bounds(
                self._network, _batch(sides), row[None], tuple(_batch(one) for one in pre), influence=False
            )
        except EmptyBoundsError:
            return None
        if found.rows.lower[0, 0] > 0:
            return None
        pre = tuple(Bounds(one.lower[0], one.upper[0]) for one in found.pre)
        self._triangles.set_bounds(pre)
        self._triangles.set_sides(sides)
        answer = self._triangles.least(row, budget.seconds_left)
        proof = self._triangles.proof(answer)
        if proof is not None:
            if proof.over(sides) > 0:
                return None
            distance = max(distance, proof.distance(self._centre, self._sides, self.radius))
        candidate = self._triangles.inputs(answer)
        if candidate is not None and float(row @ self._network.logits(candidate[None])[0]) <= 0:
            self._take(candidate)
        split = self._choose(found, pre, answer)
        if split is None:
            self._stuck = min(self._stuck, self._settle(row, distance, budget))
            return None
        return _Node(distance, next(self._numbers), pre, split)

    def _settle(self, row: Array, distance: float, budget: Budget) -> float:
        """How near the class can come where every state is fixed, of which `distance` is known; look for its example.

        At that distance the classes tie, and what lies beyond on the ray may have other states. So the points where
        the margin is least a little farther out are candidates, too.
        """
        distance, points = nearest_in_ball(
            self._triangles, row, self._centre, self._sides, self.radius, lambda: budget.seconds_left, distance
        )
        for point in points[::-1]:
            self._take(point)
        most = self.radius
        for share in FARTHER:
            radius = distance + share * most
            if not radius < self.radius or budget.time_is_up():
                break
            self._triangles.set_sides(self._sides(radius))
            candidate = self._triangles.inputs(self._triangles.least(row, budget.seconds_left))
            if candidate is not None:
                self._take(candidate)
        return distance

    def _take(self, candidate: Array) -> None:
        """Offer a candidate, after which the ball may be smaller; it never becomes larger again."""
        self._offer(candidate)
        self.radius = min(self.radius, max(self._reach(), 0.0))

    def _choose(self, found: LayerBounds, pre: Pre, answer: Answer) -> tuple[int, int] | None:
        """The neuron to split: where the program's point is farthest from ReLU, as the margin sees it; None if none."""
        assert found.error_weight is not None
        best, place = -1.0, None
        for layer, bounds in enumerate(pre):
            unstable = (bounds.lower < 0) & (bounds.upper > 0)
            width = np.minimum(-bounds.lower, bounds.upper)
            score = found.error_weight[layer][0, 0] + 1e-9 * width
            if answer.point is not None:
                z, h = self._triangles.activations(answer, layer)
                gap = np.clip((h - np.maximum(z, 0.0)) / np.where(unstable, width, 1.0), 0.0, 1.0)
                score = score * (AT_LEAST + gap)
            score = np.where(unstable, score, -1.0)
            neuron = int(score.argmax()) if score.size else 0
            if score.size and score[neuron] > best:
                best, place = float(score[neuron]), (layer, neuron)
        return place


def _batch(one: Bounds) -> Bounds:
    return Bounds(one.lower[None], one.upper[None])
