"""What linear bounds say of a box, compiled: margins, mixtures of margins, and the part of the box that is left.

reduce.py in numpy does the same for a batch. Here a mixture is also walked back through the network by itself: one
row with its own choice of lines is tighter than the mixture of the rows' planes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from verifier.enclosure import UNDERFLOW, Array
from verifier.search.compiled.bounds import LANES, Work, minimise, walk_back
from verifier.search.compiled.jit import compiled, compiled_gamma
from verifier.search.compiled.network import CompiledNetwork

JOINT_STEPS = 6


class Planes(NamedTuple):
    """Linear functions below the margins and, for each clause, below a mixture of its margins."""

    slope: Array  # (margins, inputs)
    offset: Array  # (margins,), rounding taken off
    lower: Array  # lower bounds of the margins over the box
    mixed_slope: Array  # (clauses, inputs)
    mixed_offset: Array  # (clauses,); -inf where there is none
    mixed_lower: Array
    weight: Array  # the multiplier of each entry of clause_margins
    settled: Array  # 1.0 for a clause that holds in the whole box
    margin: Array  # (clauses,): the best lower bound known
    left_lower: Array  # (inputs,): what is left of the box
    left_upper: Array
    cut_lower: Array
    cut_upper: Array


def make_planes(net: CompiledNetwork) -> Planes:
    """Allocate."""
    inputs, margins, clauses = int(net.sizes[0]), int(net.sizes[-1]), len(net.clause_at) - 1
    return Planes(
        np.zeros((margins, inputs)), np.zeros(margins), np.zeros(margins), np.zeros((clauses, inputs)),
        np.zeros(clauses), np.zeros(clauses), np.zeros(net.clause_margins.size), np.zeros(clauses), np.zeros(clauses),
        np.zeros(inputs), np.zeros(inputs), np.zeros(inputs), np.zeros(inputs),
    )  # fmt: skip


@compiled
def bound_margins(net: CompiledNetwork, work: Work, planes: Planes, low: Array, high: Array) -> None:
    """Bound every margin below, by a backward pass and by intervals, and note the clauses that hold."""
    last = len(net.sizes) - 2
    count, width, at = net.sizes[last + 1], net.sizes[last], net.unit_at[last]
    for first in range(0, count, LANES):
        for lane in range(LANES):
            margin = min(first + lane, count - 1)
            row, unit = net.weight_at[last] + margin * width, at + margin
            for i in range(width if last == 0 else work.alive_count[last - 1]):
                if last == 0:
                    work.slope[i, lane] = net.weight[row + i]
                else:
                    work.coefficients[last - 1, i, lane] = net.weight[row + work.alive[net.unit_at[last - 1] + i]]
            work.total[lane] = net.bias[unit]
            work.error[lane] = net.rounding[unit] + net.constant_rounding * abs(net.bias[unit])
        walk_back(net, work, last - 1)
        minimise(work, low, high)
        for lane in range(min(LANES, count - first)):
            for i in range(len(low)):
                planes.slope[first + lane, i] = work.slope[i, lane]
            planes.offset[first + lane] = work.total[lane] - 1.001 * work.error[lane] - UNDERFLOW
            planes.lower[first + lane] = max(work.value[lane], _interval(net, work, first + lane))
    for clause in range(len(net.clause_at) - 1):
        planes.settled[clause], planes.margin[clause] = 0.0, -np.inf
        for entry in range(net.clause_at[clause], net.clause_at[clause + 1]):
            margin = net.clause_margins[entry]
            value = planes.lower[margin]
            planes.margin[clause] = max(planes.margin[clause], value)
            if value > 0.0 or (value >= 0.0 and net.strict[margin] == 0.0):
                planes.settled[clause] = 1.0


@compiled
def _interval(net: CompiledNetwork, work: Work, margin: int) -> float:
    """Bound a margin below from the bounds of the last hidden layer; a line can lose at a kink what this keeps."""
    last = len(net.sizes) - 2
    if last == 0:
        return -np.inf
    row, before = net.weight_at[last] + margin * net.sizes[last], net.unit_at[last - 1]
    below = net.bias[net.unit_at[last] + margin]
    for i in range(work.alive_count[last - 1]):
        k = work.alive[before + i]
        w = net.weight[row + k]
        below += w * (max(work.lower[before + k], 0.0) if w > 0.0 else work.upper[before + k])
    return float(below - 2.0 * net.rounding[net.unit_at[last] + margin])


@compiled
def mix_margins(net: CompiledNetwork, work: Work, planes: Planes, low: Array, high: Array) -> int:
    """Bound, for each open clause, a mixture of its margins; a positive one shows that they cannot all fail together.

    Any multipliers >= 0 prove it. Returns the worst open clause, or -1 where every clause holds; lane 0 then keeps the
    coefficients of its mixture, from which the input to split is chosen.
    """
    clauses = len(net.clause_at) - 1
    for clause in range(clauses):
        planes.mixed_offset[clause] = -np.inf
        if planes.settled[clause] == 0.0 and net.clause_at[clause + 1] - net.clause_at[clause] > 1:
            _choose_weights(net, planes, clause, low, high)
            _walk_mixture_back(net, work, planes, clause, low, high)
    worst = -1
    for clause in range(clauses):
        if planes.settled[clause] == 0.0 and (worst < 0 or planes.margin[clause] < planes.margin[worst]):
            worst = clause
    if worst >= 0 and (clauses > 1 or planes.mixed_offset[worst] == -np.inf):
        if net.clause_at[worst + 1] - net.clause_at[worst] == 1:
            planes.weight[net.clause_at[worst]] = 1.0
        _walk_mixture_back(net, work, planes, worst, low, high)
    return worst


@compiled
def _choose_weights(net: CompiledNetwork, planes: Planes, clause: int, low: Array, high: Array) -> None:
    """Look for the multipliers (of sum 1) whose mixture of planes has the largest minimum over the box.

    The dual of the linear program "is there x in the box with every plane <= 0?". Each step moves weight from one
    margin to another, as far as is best: the minimum is a concave function of the weight moved, with a kink where an
    input's slope changes sign, so the best amount is one of those kinks or an end. Moved to is the margin that is
    largest at the mixture's lowest corner, moved from each of the others in turn.
    """
    start, end = net.clause_at[clause], net.clause_at[clause + 1]
    count = end - start
    weight, mixed = planes.weight[start:end], planes.mixed_slope[clause]
    weight[:] = 1.0 / count
    for step in range(JOINT_STEPS):
        mixed[:] = 0.0
        for n in range(count):
            for i in range(len(low)):
                mixed[i] += weight[n] * planes.slope[net.clause_margins[start + n], i]
        most, least, gainer, giver = -np.inf, np.inf, 0, 0
        for n in range(count):
            margin = net.clause_margins[start + n]
            value = planes.offset[margin]
            for i in range(len(low)):
                value += planes.slope[margin, i] * (low[i] if mixed[i] > 0.0 else high[i])
            if value > most:
                most, gainer = value, n
            if weight[n] > 0.0 and value < least:
                least, giver = value, n
        if step % 2 == 1:  # every other step takes from the margins in turn, for where the lowest one is stuck
            giver = (step // 2) % count
        if giver == gainer or weight[giver] == 0.0:
            continue
        one, other = net.clause_margins[start + gainer], net.clause_margins[start + giver]
        best, moved = _after_moving(planes, one, other, mixed, 0.0, low, high), 0.0
        for i in range(-1, len(low)):
            change = planes.slope[one, i] - planes.slope[other, i] if i >= 0 else 0.0
            amount = weight[giver] if i < 0 else (-mixed[i] / change if change != 0.0 else 0.0)
            amount = min(max(amount, -weight[gainer]), weight[giver])
            value = _after_moving(planes, one, other, mixed, amount, low, high)
            if value > best:
                best, moved = value, amount
        weight[gainer] = max(weight[gainer] + moved, 0.0)
        weight[giver] = max(weight[giver] - moved, 0.0)


@compiled
def _after_moving(
    planes: Planes, one: int, other: int, mixed: Array, amount: float, low: Array, high: Array
) -> float:  # fmt: skip
    """What the mixture's minimum becomes, but for a constant, when an amount of weight goes from `other` to `one`."""
    value = amount * (planes.offset[one] - planes.offset[other])
    for i in range(len(low)):
        slope = mixed[i] + amount * (planes.slope[one, i] - planes.slope[other, i])
        value += slope * (low[i] if slope > 0.0 else high[i])
    return float(value)


@compiled
def _walk_mixture_back(net: CompiledNetwork, work: Work, planes: Planes, clause: int, low: Array, high: Array) -> None:
    """Bound the mixture of a clause's margins by a backward pass of its own, in lane 0."""
    last = len(net.sizes) - 2
    width = net.sizes[last] if last == 0 else work.alive_count[last - 1]
    for i in range(width):
        for lane in range(LANES):
            if last > 0:
                work.coefficients[last - 1, i, lane] = 0.0
            else:
                work.slope[i, lane] = 0.0
    for lane in range(LANES):
        work.total[lane] = work.error[lane] = 0.0
    for entry in range(net.clause_at[clause], net.clause_at[clause + 1]):
        weight, margin = planes.weight[entry], net.clause_margins[entry]
        unit, row = net.unit_at[last] + margin, net.weight_at[last] + margin * net.sizes[last]
        for i in range(width):
            if last > 0:
                k = work.alive[net.unit_at[last - 1] + i]
                work.coefficients[last - 1, i, 0] += weight * net.weight[row + k]
            else:
                work.slope[i, 0] += weight * net.weight[row + i]
        work.total[0] += weight * net.bias[unit]
        # 2: the multiplication by the weight and the sum over margins round once more, as C W with another C
        work.error[0] += weight * (2.0 * net.rounding[unit] + net.constant_rounding * abs(net.bias[unit]))
    walk_back(net, work, last - 1)
    minimise(work, low, high)
    for i in range(len(low)):
        planes.mixed_slope[clause, i] = work.slope[i, 0]
    planes.mixed_offset[clause] = work.total[0] - 1.001 * work.error[0] - UNDERFLOW
    planes.mixed_lower[clause] = work.value[0]
    if work.value[0] > 0.0:
        planes.settled[clause] = 1.0
    planes.margin[clause] = max(planes.margin[clause], work.value[0])


@compiled
def cut(net: CompiledNetwork, planes: Planes, low: Array, high: Array) -> bool:
    """Cut the box down to where some open clause can still fail; False where nothing is left.

    The result, in planes.left_lower and left_upper, is the hull of what each open clause leaves.
    """
    inputs, found = len(low), False
    for clause in range(len(net.clause_at) - 1):
        if planes.settled[clause] > 0.0:
            continue
        planes.cut_lower[:], planes.cut_upper[:] = low, high
        possible = True
        for entry in range(net.clause_at[clause], net.clause_at[clause + 1]):
            margin = net.clause_margins[entry]
            possible = possible and _cut_by(planes, planes.slope[margin], planes.offset[margin])
        if planes.mixed_offset[clause] > -np.inf:
            possible = possible and _cut_by(planes, planes.mixed_slope[clause], planes.mixed_offset[clause])
        if not possible:
            planes.settled[clause] = 1.0
            continue
        for i in range(inputs):
            planes.left_lower[i] = min(planes.left_lower[i], planes.cut_lower[i]) if found else planes.cut_lower[i]
            planes.left_upper[i] = max(planes.left_upper[i], planes.cut_upper[i]) if found else planes.cut_upper[i]
        found = True
    return found


@compiled
def _cut_by(planes: Planes, slope: Array, offset: float) -> bool:
    """Limit each input by slope . x + offset <= 0, rounded outward; False where no point of the box satisfies it."""
    low, high = planes.cut_lower, planes.cut_upper
    least, size = offset, abs(offset)
    for i in range(len(low)):
        least += slope[i] * (low[i] if slope[i] > 0.0 else high[i])
        size += abs(slope[i]) * max(abs(low[i]), abs(high[i]))
    slack = 2.0 * compiled_gamma(len(low) + 4) * size - least  # how far the plane may rise from its lowest corner
    if not np.isfinite(slack):
        return True
    if slack < 0.0:
        return False
    for i in range(len(low)):
        if slope[i] == 0.0:
            continue
        reach = slack / abs(slope[i]) * (1.0 + 1e-14)
        if slope[i] > 0.0:
            high[i] = min(high[i], low[i] + reach + 1e-15 * (abs(low[i]) + reach) + UNDERFLOW)
        else:
            low[i] = max(low[i], high[i] - reach - 1e-15 * (abs(high[i]) + reach) - UNDERFLOW)
    return True
