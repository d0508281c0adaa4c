"""Open boxes, compiled: a heap of slots in flat arrays, best box first.

An open box is its two corners, a priority, the margin that its parent proved, and one bit for each neuron that is
active and for each that is inactive: with 5 inputs and 300 neurons 200 bytes. Beyond a limit of open boxes the newest
goes first, so that the search turns depth-first and opens few more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Indices
from verifier.search.compiled.bounds import ACTIVE, INACTIVE, UNSTABLE, Work
from verifier.search.compiled.jit import compiled

OPEN, NEXT, MAX_BEST = 0, 1, 2  # counters: open boxes; boxes opened so far, which breaks ties; boxes kept best-first


class Queue(NamedTuple):
    """Slots heap[0:open] hold open boxes as a binary heap, heap[open:] are free."""

    lower: Array  # (slots, inputs)
    upper: Array
    priority: Array
    margin: Array
    number: Indices
    active: NDArray[np.uint64]  # (slots, words)
    inactive: NDArray[np.uint64]
    heap: Indices
    counters: Indices


def make_queue(slots: int, inputs: int, neurons: int, max_best: int) -> Queue:
    """Allocate an empty queue."""
    words = (neurons + 63) // 64
    return Queue(
        np.zeros((slots, inputs)), np.zeros((slots, inputs)), np.zeros(slots), np.zeros(slots),
        np.zeros(slots, dtype=np.intp), np.zeros((slots, words), dtype=np.uint64),
        np.zeros((slots, words), dtype=np.uint64), np.arange(slots, dtype=np.intp),
        np.array([0, 0, max_best], dtype=np.intp),
    )  # fmt: skip


def open_rows(queue: Queue) -> tuple[Any, ...]:
    """Copy the open boxes out, in no order: lower, upper, priority, margin, number, active, inactive."""
    slots = queue.heap[: queue.counters[OPEN]]
    return tuple(part[slots] for part in queue[:-2])


def refilled(queue: Queue, rows: tuple[Any, ...], opened: int, max_best: int) -> Queue:
    """Put other open boxes into a queue, best first, or into a larger one where there is too little room.

    Args:
        queue: What it holds is forgotten.
        rows: As open_rows() gives them, sorted by priority and number: a sorted list is a heap.
        opened: Boxes opened so far.
        max_best: Boxes kept best-first.
    """
    count, slots = len(rows[0]), len(queue.heap)
    while slots < 2 * count:
        slots *= 2
    if slots > len(queue.heap):
        queue = make_queue(slots, queue.lower.shape[1], 64 * queue.active.shape[1], max_best)
    for part, row in zip(queue[:-2], rows, strict=True):
        part[:count] = row
    queue.heap[:] = np.arange(slots)
    queue.counters[:] = count, opened, max_best
    return queue


def grown(queue: Queue) -> Queue:
    """Copy a queue into one of twice as many slots."""
    slots = len(queue.heap)
    lower, upper, priority, margin, number, active, inactive = (
        np.concatenate([part, np.zeros_like(part)]) for part in queue[:-2]
    )
    heap = np.concatenate([queue.heap, np.arange(slots, 2 * slots, dtype=np.intp)])
    return Queue(lower, upper, priority, margin, number, active, inactive, heap, queue.counters)


@compiled
def push(queue: Queue, work: Work, low: Array, high: Array, priority: float, margin: float) -> None:
    """Open a box with the status of neurons in work.status; there must be a free slot."""
    place = queue.counters[OPEN]
    slot = queue.heap[place]
    queue.lower[slot], queue.upper[slot] = low, high
    queue.number[slot] = queue.counters[NEXT]
    queue.priority[slot] = priority if place < queue.counters[MAX_BEST] else -1e200 - queue.counters[NEXT] * 1e190
    queue.margin[slot] = margin
    queue.active[slot], queue.inactive[slot] = np.uint64(0), np.uint64(0)
    for unit in range(len(work.status)):
        bit = np.uint64(1) << np.uint64(unit % 64)
        if work.status[unit] == ACTIVE:
            queue.active[slot, unit // 64] |= bit
        elif work.status[unit] == INACTIVE:
            queue.inactive[slot, unit // 64] |= bit
    queue.counters[OPEN] += 1
    queue.counters[NEXT] += 1
    while place > 0:
        parent = (place - 1) // 2
        if not _before(queue, queue.heap[place], queue.heap[parent]):
            break
        queue.heap[place], queue.heap[parent] = queue.heap[parent], queue.heap[place]
        place = parent


@compiled
def pop(queue: Queue, work: Work, low: Array, high: Array) -> float:
    """Take the best box: its corners into low and high, its status into work.status; returns its parent's margin."""
    queue.counters[OPEN] -= 1
    count = queue.counters[OPEN]
    slot = queue.heap[0]
    queue.heap[0], queue.heap[count] = queue.heap[count], slot
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and _before(queue, queue.heap[child + 1], queue.heap[child]):
            child += 1
        if not _before(queue, queue.heap[child], queue.heap[place]):
            break
        queue.heap[place], queue.heap[child] = queue.heap[child], queue.heap[place]
        place = child
    low[:], high[:] = queue.lower[slot], queue.upper[slot]
    for unit in range(len(work.status)):
        bit = np.uint64(1) << np.uint64(unit % 64)
        work.status[unit] = UNSTABLE
        if queue.active[slot, unit // 64] & bit:
            work.status[unit] = ACTIVE
        elif queue.inactive[slot, unit // 64] & bit:
            work.status[unit] = INACTIVE
    return float(queue.margin[slot])


@compiled
def _before(queue: Queue, one: int, other: int) -> bool:
    """Whether one slot's box goes first; the older of two equal ones."""
    if queue.priority[one] != queue.priority[other]:
        return bool(queue.priority[one] < queue.priority[other])
    return bool(queue.number[one] < queue.number[other])
