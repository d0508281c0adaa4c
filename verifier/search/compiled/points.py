"""Candidates inside a box, compiled: the network at a point, and a few steps downhill. Only the replay decides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from verifier.enclosure import Array
from verifier.search.compiled.bounds import Work
from verifier.search.compiled.clauses import Planes
from verifier.search.compiled.jit import compiled
from verifier.search.compiled.network import CompiledNetwork

STEPS = 2  # downhill from the better of the corner and the centre
FIRST_STEP = 0.25  # of the box's width; each further step is half as long


class Points(NamedTuple):
    """Scratch space for points."""

    values: Array  # of the alive neurons of each layer after the ReLU, (layers, neurons)
    back: Array  # gradient before and after a layer, (2, neurons)
    margins: Array  # (margins,)
    gradient: Array  # (inputs,)
    x: Array  # the point looked at
    best: Array  # the best point so far
    lowest: Array  # (1,): its margin


def make_points(net: CompiledNetwork) -> Points:
    """Allocate."""
    inputs, widest = int(net.sizes[0]), int(net.sizes.max())
    return Points(
        np.zeros((max(len(net.sizes) - 2, 1), widest)), np.zeros((2, widest)), np.zeros(int(net.sizes[-1])),
        np.zeros(inputs), np.zeros(inputs), np.zeros(inputs), np.zeros(1),
    )  # fmt: skip


@compiled
def promising_point(net: CompiledNetwork, work: Work, planes: Planes, points: Points, worst: int) -> float:
    """Find a point of the box that is left with a small margin; returns that margin, the point is points.best.

    Starts from the centre and from the corner where the worst clause's plane is lowest.
    """
    low, high = planes.left_lower, planes.left_upper
    points.x[:] = 0.5 * (low + high)
    best, margin = _evaluate(net, work, points)
    points.best[:] = points.x
    for i in range(len(low)):
        points.x[i] = low[i] if work.slope[i, 0] > 0.0 else high[i]  # lane 0 holds the worst clause's mixture
    value, margin = _evaluate(net, work, points)
    if value < best:
        best = value
        points.best[:] = points.x
    else:
        points.x[:] = points.best
        value, margin = _evaluate(net, work, points)
    for step in range(STEPS):
        _gradient(net, work, points, margin)
        moved = False
        for i in range(len(low)):
            size = FIRST_STEP * 0.5**step * (high[i] - low[i])
            x = points.x[i] - size * np.sign(points.gradient[i])
            x = min(max(x, low[i]), high[i])
            moved = moved or x != points.x[i]
            points.x[i] = x
        if not moved:
            break
        value, margin = _evaluate(net, work, points)
        if value < best:
            best = value
            points.best[:] = points.x
    points.lowest[0] = best
    return best


@compiled
def _evaluate(net: CompiledNetwork, work: Work, points: Points) -> tuple[float, int]:
    """Run the network at points.x, which lies in the box that was bounded; the worst clause's value and best margin."""
    last = len(net.sizes) - 2
    for layer in range(last):
        at, count, start = net.unit_at[layer], work.alive_count[layer], net.weight_at[layer]
        h = points.values[layer]
        for j in range(count):
            h[j] = work.bias[at + j]
        for i in range(net.sizes[0] if layer == 0 else work.alive_count[layer - 1]):
            x = points.x[i] if layer == 0 else points.values[layer - 1, i]
            if x != 0.0:
                for j in range(count):
                    h[j] += x * work.packed[start + i * count + j]
        for j in range(count):
            h[j] = max(h[j], 0.0)
    for margin in range(net.sizes[last + 1]):
        row, z = net.weight_at[last] + margin * net.sizes[last], net.bias[net.unit_at[last] + margin]
        if last == 0:
            for i in range(net.sizes[0]):
                z += net.weight[row + i] * points.x[i]
        else:
            for i in range(work.alive_count[last - 1]):
                z += net.weight[row + work.alive[net.unit_at[last - 1] + i]] * points.values[last - 1, i]
        points.margins[margin] = z
    worst, chosen = np.inf, 0
    for clause in range(len(net.clause_at) - 1):
        value, best = -np.inf, 0
        for entry in range(net.clause_at[clause], net.clause_at[clause + 1]):
            margin = net.clause_margins[entry]
            if points.margins[margin] > value:
                value, best = points.margins[margin], margin
        if value < worst:
            worst, chosen = value, best
    return worst, chosen


@compiled
def _gradient(net: CompiledNetwork, work: Work, points: Points, margin: int) -> None:
    """Gradient of one margin at the point that was evaluated last."""
    last = len(net.sizes) - 2
    row = net.weight_at[last] + margin * net.sizes[last]
    if last == 0:
        for i in range(net.sizes[0]):
            points.gradient[i] = net.weight[row + i]
        return
    for i in range(work.alive_count[last - 1]):
        points.back[(last - 1) % 2, i] = net.weight[row + work.alive[net.unit_at[last - 1] + i]]
    for layer in range(last - 1, -1, -1):
        count, start = work.alive_count[layer], net.weight_at[layer]
        after, h = points.back[layer % 2], points.values[layer]
        for j in range(count):
            if h[j] <= 0.0:
                after[j] = 0.0
        for i in range(net.sizes[0] if layer == 0 else work.alive_count[layer - 1]):
            total = 0.0
            for j in range(count):
                total += after[j] * work.packed[start + i * count + j]
            if layer == 0:
                points.gradient[i] = total
            else:
                points.back[(layer - 1) % 2, i] = total
