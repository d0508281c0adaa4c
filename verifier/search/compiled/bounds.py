"""CROWN bounds of one box, compiled: what crown.py does for a batch, with what the parents of the box know.

A neuron that is stable in a box is stable in every part of it, so its status is handed down: an inactive one is left
out, an active one is passed through, and neither is bounded again. Every other neuron that intervals leave unstable
gets a backward pass for its lower and its upper bound. Eight rows are walked back at once, one a lane, because eight
sums side by side are what a processor adds in one instruction. Rounding: see network.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import UNDERFLOW, Array, Indices, gamma
from verifier.search.compiled.jit import compiled, compiled_gamma
from verifier.search.compiled.network import CompiledNetwork

LANES = 8
UNSTABLE, ACTIVE, INACTIVE = 0, 1, 2
CHORD = gamma(4)


class Work(NamedTuple):
    """Scratch space for one box; every search has its own."""

    status: NDArray[np.int8]  # UNSTABLE, ACTIVE or INACTIVE, of each hidden neuron
    lower: Array  # bounds of each hidden neuron
    upper: Array
    alive: Indices  # of each layer, at unit_at: the neurons that are not inactive
    alive_count: Indices
    packed: Array  # weights between alive neurons, at weight_at: (alive of the layer before or inputs, alive)
    bias: Array  # of alive neurons, at unit_at; so are the next four
    rounding: Array
    lower_slope: Array
    upper_slope: Array
    upper_offset: Array
    influence: Array  # |d z / d x| of each hidden neuron, (neurons, inputs)
    targets: Indices  # the neurons to be bounded by a backward pass
    coefficients: Array  # before each ReLU, (layers, neurons, LANES)
    scaled: Array  # after the ReLU, (neurons, LANES)
    slope: Array  # at the input, (inputs, LANES)
    total: Array  # constants, (LANES,)
    error: Array  # rounding, (LANES,)
    value: Array  # lower bounds, (LANES,)


def make_work(net: CompiledNetwork) -> Work:
    """Allocate scratch space."""
    inputs, hidden, layers = int(net.sizes[0]), int(net.root_lower.size), len(net.sizes) - 2
    widest = int(net.sizes.max())
    return Work(
        np.zeros(hidden, dtype=np.int8), np.zeros(hidden), np.zeros(hidden), np.zeros(hidden, dtype=np.intp),
        np.zeros(max(layers, 1), dtype=np.intp), np.zeros(int(net.weight_at[-1])), np.zeros(hidden), np.zeros(hidden),
        np.zeros(hidden), np.zeros(hidden), np.zeros(hidden), np.zeros((hidden, inputs)),
        np.zeros(widest, dtype=np.intp), np.zeros((max(layers, 1), widest, LANES)), np.zeros((widest, LANES)),
        np.zeros((inputs, LANES)), np.zeros(LANES), np.zeros(LANES), np.zeros(LANES),
    )  # fmt: skip


@compiled
def bound_hidden(net: CompiledNetwork, work: Work, low: Array, high: Array) -> None:
    """Bound all hidden neurons over a box; work.status holds what the parents know, and is brought up to date."""
    for layer in range(len(net.sizes) - 2):
        count = _bound_by_intervals(net, work, layer, low, high)
        if layer > 0:
            for first in range(0, count, LANES // 2):
                _bound_by_lines(net, work, layer, first, min(LANES // 2, count - first), low, high)
        _enclose_relu(net, work, layer)


@compiled
def _bound_by_intervals(net: CompiledNetwork, work: Work, layer: int, low: Array, high: Array) -> int:
    """Bound a layer from the one before, and list the neurons that this leaves unstable."""
    at, weight_at, width = net.unit_at[layer], net.weight_at[layer], net.sizes[layer]
    targets = 0
    for j in range(net.sizes[layer + 1]):
        unit = at + j
        if work.status[unit] == INACTIVE:
            continue
        below = above = net.bias[unit]
        row = weight_at + j * width
        if layer == 0:
            for i in range(width):
                w = net.weight[row + i]
                below += w * (low[i] if w > 0.0 else high[i])
                above += w * (high[i] if w > 0.0 else low[i])
        else:
            before = net.unit_at[layer - 1]
            for i in range(work.alive_count[layer - 1]):
                k = work.alive[before + i]
                w = net.weight[row + k]
                least, most = max(work.lower[before + k], 0.0), work.upper[before + k]
                below += w * (least if w > 0.0 else most)
                above += w * (most if w > 0.0 else least)
        error = 2.0 * net.rounding[unit]
        work.lower[unit] = max(below - error, net.root_lower[unit])
        work.upper[unit] = min(above + error, net.root_upper[unit])
        if layer == 0:
            for i in range(width):
                work.influence[unit, i] = abs(net.weight[row + i])
        _settle_status(work, unit)
        if work.status[unit] == UNSTABLE:
            work.targets[targets] = j
            targets += 1
    return targets


@compiled
def _settle_status(work: Work, unit: int) -> None:
    """Note a neuron that its bounds show to be stable."""
    if work.status[unit] == UNSTABLE:
        if work.lower[unit] >= 0.0:
            work.status[unit] = ACTIVE
        elif work.upper[unit] <= 0.0:
            work.status[unit] = INACTIVE


@compiled
def _bound_by_lines(
    net: CompiledNetwork, work: Work, layer: int, first: int, count: int, low: Array, high: Array
) -> None:
    """Bound up to four target neurons by backward passes: lane n is neuron n, lane n + 4 its negative."""
    half = LANES // 2
    width, before = net.sizes[layer], net.unit_at[layer - 1]
    for n in range(half):
        row = net.weight_at[layer] + work.targets[first + min(n, count - 1)] * width
        for i in range(work.alive_count[layer - 1]):
            w = net.weight[row + work.alive[before + i]]
            work.coefficients[layer - 1, i, n] = w
            work.coefficients[layer - 1, i, n + half] = -w
        unit = net.unit_at[layer] + work.targets[first + min(n, count - 1)]
        bias, error = net.bias[unit], net.rounding[unit] + net.constant_rounding * abs(net.bias[unit])
        work.total[n], work.total[n + half] = bias, -bias
        work.error[n] = work.error[n + half] = error
    walk_back(net, work, layer - 1)
    minimise(work, low, high)
    for n in range(count):
        unit = net.unit_at[layer] + work.targets[first + n]
        work.lower[unit] = max(work.lower[unit], work.value[n])
        work.upper[unit] = min(work.upper[unit], -work.value[n + half])
        for i in range(len(low)):
            work.influence[unit, i] = max(abs(work.slope[i, n]), abs(work.slope[i, n + half]))
        _settle_status(work, unit)


@compiled
def _enclose_relu(net: CompiledNetwork, work: Work, layer: int) -> None:
    """Put lines around each ReLU of a layer (relaxation.py), and pack what a backward pass needs of alive neurons."""
    at, weight_at, width = net.unit_at[layer], net.weight_at[layer], net.sizes[layer]
    count = 0
    for j in range(net.sizes[layer + 1]):
        unit = at + j
        if work.status[unit] == INACTIVE:
            continue
        slot = at + count
        work.alive[slot] = j
        work.bias[slot] = net.bias[unit]
        work.rounding[slot] = net.row_rounding[unit]
        if work.status[unit] == ACTIVE:
            work.lower_slope[slot] = work.upper_slope[slot] = 1.0
            work.upper_offset[slot] = 0.0
        else:
            below, above = work.lower[unit], work.upper[unit]
            slope = min(above / (above - below), 1.0)
            offset = max(-slope * below, above - slope * above)
            work.upper_slope[slot] = slope
            work.upper_offset[slot] = offset * (1.0 + CHORD) + CHORD * (above - below) + UNDERFLOW
            work.lower_slope[slot] = 1.0 if above > -below else 0.0
        count += 1
    work.alive_count[layer] = count
    rows = width if layer == 0 else work.alive_count[layer - 1]
    for i in range(rows):
        column = i if layer == 0 else work.alive[net.unit_at[layer - 1] + i]
        for j in range(count):
            work.packed[weight_at + i * count + j] = net.weight[weight_at + work.alive[at + j] * width + column]


@compiled
def walk_back(net: CompiledNetwork, work: Work, top: int) -> None:
    """Walk eight rows from the values after the ReLU of layer `top` back to the input.

    Takes work.coefficients[top], work.total and work.error; leaves work.slope, and the coefficients before each ReLU.
    """
    for layer in range(top, -1, -1):
        at, count = net.unit_at[layer], work.alive_count[layer]
        for j in range(count):
            low_slope, high_slope = work.lower_slope[at + j], work.upper_slope[at + j]
            offset, bias, rounding = work.upper_offset[at + j], work.bias[at + j], work.rounding[at + j]
            for lane in range(LANES):
                c = work.coefficients[layer, j, lane]
                positive, negative = max(c, 0.0), min(c, 0.0)
                scaled = positive * low_slope + negative * high_slope
                work.scaled[j, lane] = scaled
                work.total[lane] += negative * offset + scaled * bias
                work.error[lane] += (positive - negative) * rounding
        if layer > 0:
            _multiply(work.packed, net.weight_at[layer], work.scaled, count, work.coefficients[layer - 1],
                      work.alive_count[layer - 1])  # fmt: skip
        else:
            _multiply(work.packed, net.weight_at[0], work.scaled, count, work.slope, net.sizes[0])


@compiled
def _multiply(packed: Array, start: int, scaled: Array, count: int, out: Array, rows: int) -> None:
    """Multiply packed (rows, count) by scaled (count, LANES), two rows at a time.

    Sums in variables of their own stay in registers, and two rows of eight are enough sums under way that an addition
    need not wait for the one before. The last row of an odd number is computed twice.
    """
    for i in range(0, rows, 2):
        k = min(i + 1, rows - 1)
        a0 = b0 = c0 = d0 = e0 = f0 = g0 = h0 = 0.0
        a1 = b1 = c1 = d1 = e1 = f1 = g1 = h1 = 0.0
        first, second = start + i * count, start + k * count
        for j in range(count):
            v, w = packed[first + j], packed[second + j]
            a0 += v * scaled[j, 0]
            b0 += v * scaled[j, 1]
            c0 += v * scaled[j, 2]
            d0 += v * scaled[j, 3]
            e0 += v * scaled[j, 4]
            f0 += v * scaled[j, 5]
            g0 += v * scaled[j, 6]
            h0 += v * scaled[j, 7]
            a1 += w * scaled[j, 0]
            b1 += w * scaled[j, 1]
            c1 += w * scaled[j, 2]
            d1 += w * scaled[j, 3]
            e1 += w * scaled[j, 4]
            f1 += w * scaled[j, 5]
            g1 += w * scaled[j, 6]
            h1 += w * scaled[j, 7]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = a0, b0, c0, d0
        out[i, 4], out[i, 5], out[i, 6], out[i, 7] = e0, f0, g0, h0
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = a1, b1, c1, d1
        out[k, 4], out[k, 5], out[k, 6], out[k, 7] = e1, f1, g1, h1


@compiled
def minimise(work: Work, low: Array, high: Array) -> None:
    """Minimise eight rows over the box and take off what was rounded."""
    spare = compiled_gamma(len(low) + 2) * 2.0
    for lane in range(LANES):
        value, size = work.total[lane], abs(work.total[lane])
        for i in range(len(low)):
            s = work.slope[i, lane]
            value += s * (low[i] if s > 0.0 else high[i])
            size += abs(s) * max(abs(low[i]), abs(high[i]))
        work.value[lane] = value - 1.001 * work.error[lane] - spare * size - UNDERFLOW
