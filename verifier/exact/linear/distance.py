"""How near can another class come, in the sum of all changes? The least such distance at which another logit ties.

A network over a box, as encode_network() writes it, with a column above the change of each input. Linear, with
triangles, the program's bound holds for the network, since a relaxation encloses it; mixed-integer, its solution is a
point of the network, up to HiGHS's tolerances. A point of a linear program is a candidate and nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from verifier.enclosure import Array, Bounds
from verifier.exact.linear.builder import Builder
from verifier.exact.linear.check import safe_lower_bound
from verifier.exact.linear.encode_network import encode_network
from verifier.network import Network
from verifier.question.box import Box
from verifier.solvers.highs_solver import Program, solve
from verifier.solvers.status import Status

GAP = 1e-7  # relative, at which HiGHS may end a mixed-integer search
BOUNDING = (Status.OPTIMAL, Status.TIME_LIMIT, Status.NODE_LIMIT)  # after which HiGHS's bound means something


@dataclass(frozen=True, eq=False)
class Nearness:
    """What one program said of one class.

    Args:
        distance: No input of the box at which the class reaches the label is nearer; infinite where there is none.
        candidate: An input that the program proposes, (inputs,), or None.
        status: How the solver ended.
    """

    distance: float
    candidate: Array | None
    status: Status


class DistancePrograms:
    """The programs of one input and box, a class at a time; what they share is written once.

    Args:
        network: What is asked about.
        centre: The input, (inputs,).
        box: The inputs meant; it holds the centre.
        pre: Bounds on each hidden layer over the box, (neurons,) each.
        logits: Bounds on the logits over the box.
        label: The class at the centre.
        exact: True for mixed-integer programs, False for linear ones.
    """

    def __init__(
        self, network: Network, centre: Array, box: Box, pre: Sequence[Bounds], logits: Bounds, label: int, *,
        exact: bool,
    ) -> None:  # fmt: skip
        """Write what all classes share."""
        builder = Builder()
        columns = encode_network(builder, network, box, pre, logits, switches=exact)
        self._x, self._y, self._label, self._exact = columns.x, columns.y, label, exact
        moving = np.flatnonzero(box.upper > box.lower)
        most = np.maximum(box.upper - centre, centre - box.lower)[moving] * 1.001 + 1e-300
        distance = builder.columns(np.zeros(moving.size), most)
        for i, d in zip(moving, distance, strict=True):
            builder.row([columns.x[i], d], [1.0, -1.0], -np.inf, float(centre[i]))
            builder.row([columns.x[i], d], [1.0, 1.0], float(centre[i]), np.inf)
        self._shared = builder.program({int(d): 1.0 for d in distance})

    def nearest(self, other: int, timeout_s: float, max_nodes: int | None = None) -> Nearness:
        """Ask how near one class can come.

        Linear: the bound is computed here from HiGHS's multipliers (Neumaier, Shcherbina 2004), and a program that
        HiGHS calls infeasible counts as such only where the least margin's own bound is above 0. Mixed-integer: what
        HiGHS says, "infeasible" twice, with and without presolve.
        """
        program = self._with_row(other)
        answer = solve(program, timeout_s=timeout_s, max_nodes=max_nodes, gap=GAP if self._exact else None)
        candidate = None if answer.point is None else answer.point[self._x]
        if self._exact:
            if answer.status is Status.INFEASIBLE:
                again = solve(program, timeout_s=timeout_s, max_nodes=max_nodes, presolve=False, gap=GAP)
                return Nearness(np.inf if again.status is Status.INFEASIBLE else 0.0, None, again.status)
            bound = max(answer.bound, 0.0) if answer.status in BOUNDING else 0.0
            return Nearness(bound, candidate, answer.status)
        if answer.status is Status.INFEASIBLE:
            least = self.least_margin(other, timeout_s)
            return Nearness(np.inf if least > 0 else 0.0, None, answer.status)
        bound = 0.0 if answer.duals is None else max(0.0, safe_lower_bound(program, answer.duals))
        return Nearness(bound, candidate, answer.status)

    def least_margin(self, other: int, timeout_s: float) -> float:
        """A lower bound on the label's logit less another's, over the whole box."""
        cost = np.zeros(len(self._shared.cost))
        cost[self._y[self._label]], cost[self._y[other]] = 1.0, -1.0
        program = replace(self._shared, cost=cost)
        answer = solve(program, timeout_s=timeout_s)
        return -np.inf if answer.duals is None else safe_lower_bound(program, answer.duals)

    def _with_row(self, other: int) -> Program:
        """The shared program where the other logit is at least the label's."""
        row = (self._y[[other, self._label]], np.array([1.0, -1.0]))
        return replace(
            self._shared, rows=(*self._shared.rows, row), row_lower=np.append(self._shared.row_lower, 0.0),
            row_upper=np.append(self._shared.row_upper, np.inf),
        )  # fmt: skip
