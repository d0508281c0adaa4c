"""LP bounds: every neuron between the sides of its triangle, hidden layers too, each bound a linear program.

The triangle is the smallest convex set around the graph of one ReLU, so no method that looks at neurons one by one is
tighter on the same hidden bounds. HiGHS's multipliers are only a proposal: what counts is computed from them here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from verifier.bounds.crown import crown_bounds
from verifier.bounds.layers import LayerBounds
from verifier.enclosure import Array, Bounds
from verifier.exact.linear.builder import Builder
from verifier.exact.linear.check import safe_lower_bound
from verifier.exact.linear.encode_network import encode_network
from verifier.network import Network, propagate_interval
from verifier.question.box import Box
from verifier.solvers.highs_solver import Program, solve


def lp_bounds(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, *,
    stop: Callable[[], bool] = lambda: False, seconds_left: Callable[[], float] = lambda: float("inf"),
) -> LayerBounds:  # fmt: skip
    """Bound every unstable neuron, layer by layer, and then the rows by linear programs over the triangle relaxation.

    Args:
        network: What is bounded; sound for every Network, practical for some hundred unstable neurons.
        boxes: Input boxes, (batch, inputs), bounded one by one.
        rows: Linear functions of the logits, (rows, logits).
        known: Bounds on each hidden layer that hold already.
        stop: Asked before each program whether time is up; then what is left keeps CROWN's bounds.
        seconds_left: Time limit of each program.

    Returns:
        LayerBounds no looser than CROWN's, with which they are intersected.

    Raises:
        MissingDependencyError: highspy is not installed.

    Source:
        Ehlers. Formal Verification of Piece-Wise Linear Feed-Forward Neural Networks. ATVA 2017 (the triangle);
        Neumaier, Shcherbina. Safe bounds in linear and mixed-integer linear programming. Math. Program. 2004.
    """
    base = crown_bounds(network, boxes, rows, known, stop=stop)
    pre = [Bounds(one.lower.copy(), one.upper.copy()) for one in base.pre]
    lower, upper = base.rows.lower.copy(), base.rows.upper.copy()
    for b in range(len(boxes.lower)):
        box = Box(boxes.lower[b], boxes.upper[b])
        layers = [Bounds(one.lower[b], one.upper[b]) for one in pre]  # views: what is tightened is seen in `pre`
        for index in range(1, len(layers)):  # the first layer is linear in the box: its intervals are exact
            z = layers[index]
            unstable = np.flatnonzero((z.lower < 0) & (z.upper > 0))
            programs = _programs(network, index, box, layers, np.eye(z.lower.size)[unstable])
            for neuron, (low, high) in zip(unstable, programs, strict=True):
                if stop():
                    break
                z.lower[neuron] = max(z.lower[neuron], _least(low, seconds_left()))
                z.upper[neuron] = max(min(z.upper[neuron], -_least(high, seconds_left())), z.lower[neuron])
        for k, (low, high) in enumerate(_programs(network, len(layers), box, layers, rows)):
            if stop():
                break
            lower[b, k] = max(lower[b, k], _least(low, seconds_left()))
            upper[b, k] = max(min(upper[b, k], -_least(high, seconds_left())), lower[b, k])
    return replace(base, pre=tuple(pre), rows=Bounds(lower, upper))


def _programs(
    network: Network, index: int, box: Box, pre: Sequence[Bounds], rows: Array
) -> list[tuple[Program, Program]]:
    """For each row the programs of its least value and of its greatest value's negative, at one layer's values."""
    h = Bounds(box.lower, box.upper)
    if index:
        h = Bounds(np.maximum(pre[index - 1].lower, 0.0), np.maximum(pre[index - 1].upper, 0.0))
    values = propagate_interval(network.layers[index], h)
    builder = Builder()
    part = Network(network.layers[: index + 1])
    y = encode_network(builder, part, box, pre[:index], values, switches=False).y
    shared = builder.program({})
    found = []
    for row in rows:
        cost = shared.cost.copy()
        cost[y] = row
        found.append((replace(shared, cost=cost), replace(shared, cost=-cost)))
    return found


def _least(program: Program, seconds: float) -> float:
    """A lower bound on a program's minimum, whatever HiGHS says."""
    answer = solve(program, timeout_s=seconds)
    return -np.inf if answer.duals is None else safe_lower_bound(program, answer.duals)
