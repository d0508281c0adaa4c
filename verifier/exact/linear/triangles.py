"""A network relaxed by triangles, as one program that follows what becomes known of the inputs and the neurons.

Written once, it is changed from question to question: other sides of the box, tighter bounds on neurons, another cost.
HiGHS begins each time where it ended before, which takes a few steps where a new program would take hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verifier.bounds.relaxation import relax_relu
from verifier.enclosure import Array, Bounds
from verifier.exact.linear.builder import NONE, Builder
from verifier.exact.linear.check import DualBound, dual_bound
from verifier.exact.linear.encode_network import encode_network
from verifier.network import Network, propagate_interval
from verifier.question.box import Box
from verifier.solvers.highs_solver import ChangingProgram
from verifier.solvers.status import Answer, Status

NEWTON_STEPS = 12  # on the radius at most
HELPS = 1e-9  # share of the distance by which one of them must improve it for another one
SMALLEST = 1e-9  # share of the radius that is asked about in place of 0
SHAVED = (1.0, 1.0 - 1e-12, 1.0 - 1e-10, 1.0 - 1e-8, 1.0 - 1e-6, 1.0 - 1e-4, 0.5)  # of a root found up to rounding


class Triangles:
    """The program of one network.

    Attributes:
        pre: Bounds on each hidden layer, (neurons,) each, that the triangles stand on by now.
    """

    def __init__(self, network: Network, sides: Bounds, pre: Sequence[Bounds]) -> None:
        """Write it for a box, sides (inputs,), and bounds on each hidden layer over it, (neurons,) each.

        Raises:
            MissingDependencyError: highspy is not installed.
        """
        last = Bounds(np.maximum(pre[-1].lower, 0.0), np.maximum(pre[-1].upper, 0.0)) if pre else sides
        builder = Builder()
        self._columns = encode_network(
            builder, network, Box(sides.lower, sides.upper), pre, propagate_interval(network.layers[-1], last),
            switches=False,
        )  # fmt: skip
        self._program = ChangingProgram(builder.program({}))
        self._starts = np.searchsorted(self._program.entries[0], np.arange(len(self._program.row_lower)))
        self.pre = tuple(pre)

    def set_sides(self, sides: Bounds) -> None:
        """Put the inputs into another box within the first one, (inputs,)."""
        self._program.limit_columns(self._columns.x.astype(np.intp), sides.lower, sides.upper)

    def set_bounds(self, pre: Sequence[Bounds]) -> None:
        """Put the triangles on other bounds, which must lie within those that the program was written for."""
        columns = self._columns
        for index, (now, new) in enumerate(zip(self.pre, pre, strict=True)):
            changed = np.flatnonzero((now.lower != new.lower) | (now.upper != new.upper))
            if not changed.size:
                continue
            lower, upper = new.lower[changed], new.upper[changed]
            self._program.limit_columns(columns.z[index][changed].astype(np.intp), lower, upper)
            h = columns.h[index][changed].astype(np.intp)
            self._program.limit_columns(h, np.maximum(lower, 0.0), np.maximum(upper, 0.0))
            free = changed[columns.chords[index][changed] != NONE]
            above, chords = columns.above[index][free].astype(np.intp), columns.chords[index][free].astype(np.intp)
            bounds = Bounds(new.lower[free], new.upper[free])
            lines = relax_relu(bounds)
            most = np.where(bounds.lower >= 0, 0.0, np.inf)
            self._program.limit_rows(above, np.zeros(free.size), most)
            self._program.limit_rows(chords, np.full(free.size, -np.inf), lines.upper_offset)
            self._program.set_entries(self._starts[chords] + 1, -lines.upper_slope)
        self.pre = tuple(pre)

    def least(self, row: Array, timeout_s: float) -> Answer:
        """Minimise a linear function of the logits, (logits,)."""
        cost = np.zeros(len(self._program.cost))
        cost[self._columns.y] = row
        self._program.set_cost(cost)
        return self._program.solve(timeout_s)

    def inputs(self, answer: Answer) -> Array | None:
        """The inputs that an answer proposes, (inputs,)."""
        return None if answer.point is None else answer.point[self._columns.x]

    def activations(self, answer: Answer, layer: int) -> tuple[Array, Array]:
        """What an answer with a point proposes before and after the ReLUs of a hidden layer, (neurons,) each."""
        assert answer.point is not None
        return answer.point[self._columns.z[layer]], answer.point[self._columns.h[layer]]

    def proof(self, answer: Answer) -> SidesBound | None:
        """Turn an answer's multipliers into a linear function of the inputs that never exceeds the cost.

        None where the answer has no multipliers.

        Where HiGHS finds that no values of the columns meet all rows, it is 0 or less wherever some do.
        """
        infeasible = answer.status is Status.INFEASIBLE
        multipliers = answer.ray if infeasible else answer.duals
        if multipliers is None:
            return None
        program = self._program
        bound = dual_bound(program, multipliers, np.zeros(len(program.cost)) if infeasible else None)
        return SidesBound(bound, program.lower.copy(), program.upper.copy(), self._columns.x.astype(np.intp))


def nearest_in_ball(
    triangles: Triangles, row: Array, centre: Array, sides: Callable[[float], Bounds], most: float,
    seconds: Callable[[], float], known: float = 0.0,
) -> tuple[float, list[Array]]:  # fmt: skip
    """How near to the centre a linear function of the logits can be 0 or less, where the triangles are those of a ball.

    Newton's method on the radius, from below: the least value over a ball is convex in its radius, and each program's
    multipliers are a tangent, whose root is a distance that holds.

    Args:
        triangles: On bounds that hold over the ball of radius `most`.
        row: The function, (logits,).
        centre: Of the ball, (inputs,).
        sides: A box that surely holds the ball of a radius.
        most: The ball's radius.
        seconds: Time left.
        known: Below this it is surely above 0.

    Returns:
        A distance below which it is above 0, infinite where it is over the whole ball, and points of the programs, the
        last of which are nearest.
    """
    points: list[Array] = []
    distance, radius = known, most
    for _ in range(NEWTON_STEPS):
        if seconds() <= 0:
            break
        triangles.set_sides(sides(radius))
        answer = triangles.least(row, seconds())
        point, proof = triangles.inputs(answer), triangles.proof(answer)
        points += [] if point is None else [point]
        if proof is None:
            break
        if proof.over(sides(most)) > 0:
            return np.inf, points
        near = proof.distance(centre, sides, most)
        if near <= distance * (1.0 + HELPS) and radius < most:
            break
        distance = max(distance, near)
        radius = max(distance, SMALLEST * most)
    return distance, points


class SidesBound:
    """A lower bound on a program's cost as a function of the box that its inputs lie in."""

    def __init__(self, bound: DualBound, lower: Array, upper: Array, x: Array) -> None:
        """Take the other columns' bounds from the program."""
        self._bound, self._lower, self._upper, self._x = bound, lower, upper, x

    def over(self, sides: Bounds) -> float:
        """The bound for a box within the program's, (inputs,); rounded down."""
        self._lower[self._x], self._upper[self._x] = sides.lower, sides.upper
        return self._bound.least(self._lower, self._upper)

    def distance(self, centre: Array, sides: Callable[[float], Bounds], most: float) -> float:
        """The largest radius of a ball over which the bound is above 0, as far as `most`; 0 where there is none.

        What is found as the root of a piecewise linear function, up to rounding, is checked with rounding.

        Args:
            centre: Of the balls, (inputs,).
            sides: A box that holds the ball of a radius.
            most: A radius of whose ball the program holds.
        """
        widest = sides(most)
        at_centre = self.over(Bounds(centre, centre))
        if at_centre <= 0:
            return 0.0
        slope = self._bound.reduced[self._x]
        room = np.where(slope > 0, centre - widest.lower, widest.upper - centre)  # what a change may be at most
        order = np.argsort(room)
        room, slope = room[order], np.abs(slope[order])
        moving = np.append(slope[::-1].cumsum()[::-1], 0.0)  # slopes of all inputs that are not at their limit yet
        spent = np.append(0.0, (slope * room).cumsum())
        limit = int(np.searchsorted(spent[1:] + moving[1:] * room, at_centre))  # so many have reached it at the root
        with np.errstate(divide="ignore"):
            radius = min(float(np.divide(at_centre - spent[limit], moving[limit])), most)
        for share in SHAVED:
            if (radius * share) > 0 and self.over(sides(radius * share)) > 0:
                return radius * share
        return 0.0
