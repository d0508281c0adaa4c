"""The compiled loop: take the best box, bound it, cut it, look for a candidate, split it; some boxes, then return.

Python sees to the clock, to replays and to memory between two slices; what the search does does not depend on where
one slice ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Indices
from verifier.search.compiled.bounds import UNSTABLE, Work, bound_hidden
from verifier.search.compiled.clauses import Planes, bound_margins, cut, mix_margins
from verifier.search.compiled.jit import bring_kept, compiled, compiled_entry, is_kept, source_digest
from verifier.search.compiled.network import CompiledNetwork
from verifier.search.compiled.points import Points, promising_point
from verifier.search.compiled.queue import OPEN, Queue, pop, push

MIN_RELATIVE_WIDTH = 1e-13  # a narrower side is not split: its ends are neighbouring numbers, or nearly so
DONE, CANDIDATE, FULL = 0, 1, 2  # why a slice ended
BOXES, STUCK = 0, 1  # counts: boxes bounded, boxes too small to split


@compiled
def _step(
    net: CompiledNetwork, work: Work, planes: Planes, points: Points, queue: Queue, low: Array, high: Array,
    scores: Array, counts: Indices, stuck_margin: Array,
) -> float:  # fmt: skip
    """Settle, cut and split the best box; returns the margin at points.best, infinite where the box is settled."""
    handed = pop(queue, work, low, high)
    bound_hidden(net, work, low, high)
    bound_margins(net, work, planes, low, high)
    worst = mix_margins(net, work, planes, low, high)
    if worst < 0:
        return np.inf
    margin = max(handed, _open_margin(planes))
    if not cut(net, planes, low, high):
        return np.inf
    value = promising_point(net, work, planes, points, worst)
    axis = _choose_input(work, net, planes, scores)
    middle = 0.5 * planes.left_lower[axis] + 0.5 * planes.left_upper[axis]
    low[:], high[:] = planes.left_lower, planes.left_upper
    size = MIN_RELATIVE_WIDTH * max(abs(low[axis]), abs(high[axis]), 1e-3)
    if high[axis] - low[axis] <= size or not (low[axis] < middle < high[axis]):
        counts[STUCK] += 1
        stuck_margin[0] = min(stuck_margin[0], margin)
        return value
    end, high[axis] = high[axis], middle
    push(queue, work, low, high, value, margin)
    low[axis], high[axis] = middle, end
    push(queue, work, low, high, value, margin)
    return value


@compiled
def _open_margin(planes: Planes) -> float:
    """The smallest margin proved of a clause that is still open."""
    least = np.inf
    for clause in range(len(planes.settled)):
        if planes.settled[clause] == 0.0:
            least = min(least, planes.margin[clause])
    return least


@compiled
def _choose_input(work: Work, net: CompiledNetwork, planes: Planes, scores: Array) -> int:
    """Choose the input whose split should tighten the worst clause's mixture most (branching.py); its row is in lane 0.

    Each unstable neuron's lines cost the mixture a known amount, shared among the inputs by their part in the neuron's
    width.
    """
    inputs = len(scores)
    scores[:] = 0.0
    for layer in range(len(net.sizes) - 2):
        at = net.unit_at[layer]
        for j in range(work.alive_count[layer]):
            unit = at + work.alive[at + j]
            if work.status[unit] != UNSTABLE:
                continue
            c, low_slope = work.coefficients[layer, j, 0], work.lower_slope[at + j]
            gap = max(-work.lower[unit] * low_slope, work.upper[unit] * (1.0 - low_slope))
            cost = max(c, 0.0) * gap - min(c, 0.0) * work.upper_offset[at + j]
            total = 0.0
            for i in range(inputs):
                total += work.influence[unit, i] * (planes.left_upper[i] - planes.left_lower[i])
            if total > 0.0:
                for i in range(inputs):
                    scores[i] += cost / total * work.influence[unit, i] * (planes.left_upper[i] - planes.left_lower[i])
    axis, best, widest = 0, 0.0, -1.0
    for i in range(inputs):
        width = planes.left_upper[i] - planes.left_lower[i]
        if width > 0.0 and (scores[i] > best or (best == 0.0 and width > widest)):
            axis, best, widest = i, max(scores[i], 0.0), width
    return axis


def _make_run_slice(digest: int) -> Callable[..., Any]:
    """Compile the entry; it holds the digest so that what is kept of it is renewed with its parts."""

    @compiled_entry
    def run_slice(
        net: CompiledNetwork, work: Work, planes: Planes, points: Points, queue: Queue, low: Array, high: Array,
        scores: Array, counts: Indices, stuck_margin: Array, max_boxes: int, threshold: float, stop: NDArray[np.uint8],
    ) -> int:  # fmt: skip
        """Bound at most max_boxes boxes; end at a point of margin up to the threshold, when slots run out, or at stop.

        stop[0] is written by another thread while this one runs without Python's lock.
        """
        for _ in range(max_boxes):
            if stop[0] != 0:
                return DONE
            if queue.counters[OPEN] == 0:
                return DONE
            if queue.counters[OPEN] + 1 > len(queue.heap):
                return FULL
            value = _step(net, work, planes, points, queue, low, high, scores, counts, stuck_margin)
            counts[BOXES] += 1
            if value <= threshold:
                return CANDIDATE
        return DONE if digest != 0 else FULL

    return run_slice


run_slice = _make_run_slice(source_digest())


def is_compiled() -> bool:
    """Whether calling run_slice does not wait for compilation."""
    return is_kept(run_slice)


def use_kept_code() -> None:
    """Spare this process the compilation where the sources' own folder holds the machine code; see bring_kept()."""
    bring_kept(run_slice)
