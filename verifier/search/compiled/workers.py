"""Workers of the compiled search: each has open boxes of its own, and all of them search at the same time.

The compiled loop runs without Python's lock, so threads are enough. Workers share nothing while they run but a flag
that the first to end raises for the others: when it is out of boxes, met a candidate, or did its share. Between two
slices the open boxes are shared out again, the most promising first and to each worker in turn, so that all work on
what is most promising. One worker alone searches in an order that does not depend on time; several do not.
"""

from __future__ import annotations

import os
import threading

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Indices
from verifier.search.compiled import bounds, clauses, loop, points
from verifier.search.compiled.network import CompiledNetwork
from verifier.search.compiled.queue import NEXT, OPEN, Queue, grown, make_queue, open_rows, refilled

FIRST_SLOTS = 1024
MIN_SHARED = 8  # open boxes below which one worker goes on alone: handing out would cost more than it gives
ALWAYS_DEALT = 5_000  # open boxes up to which dealing out takes about a millisecond, so that every slice begins with it
UNEVEN = 2  # more boxes than this are dealt out when one worker has that many times the boxes of another


class Worker:
    """A queue of open boxes, and the scratch space to search it."""

    def __init__(self, net: CompiledNetwork, max_best: int) -> None:
        """Begin without a box."""
        inputs, neurons = int(net.sizes[0]), int(net.root_lower.size)
        self.net = net
        self.queue: Queue = make_queue(FIRST_SLOTS, inputs, neurons, max_best)
        self.points = points.make_points(net)
        self.counts: Indices = np.zeros(2, dtype=np.intp)  # loop.BOXES and STUCK
        self.stuck_margin: Array = np.array([np.inf])
        self.ended = loop.DONE
        self._work, self._planes = bounds.make_work(net), clauses.make_planes(net)
        self._low, self._high, self._scores = np.zeros(inputs), np.zeros(inputs), np.zeros(inputs)

    @property
    def open(self) -> int:
        """How many boxes are open."""
        return int(self.queue.counters[OPEN])

    def run(self, size: int, threshold: float, stop: NDArray[np.uint8]) -> None:
        """Bound at most `size` boxes, or fewer where stop[0] is raised meanwhile; raise it at the end."""
        self.ended = loop.run_slice(
            self.net, self._work, self._planes, self.points, self.queue, self._low, self._high, self._scores,
            self.counts, self.stuck_margin, size, threshold, stop,
        )  # fmt: skip
        stop[0] = 1
        if self.ended == loop.FULL:
            self.queue = grown(self.queue)


def run_together(workers: list[Worker], size: int, threshold: float) -> None:
    """Run a slice of every worker; returns when all have stopped, also where Ctrl-C came meanwhile."""
    stop = np.zeros(1, dtype=np.uint8)
    threads = [threading.Thread(target=worker.run, args=(size, threshold, stop)) for worker in workers[1:]]
    interrupted: KeyboardInterrupt | None = None
    try:
        for thread in threads:
            thread.start()
        workers[0].run(size, threshold, stop)
    finally:
        stop[0] = 1
        for thread in threads:
            while thread.is_alive():  # for the time of one box
                try:
                    thread.join()
                except KeyboardInterrupt as error:
                    interrupted = error
    if interrupted is not None:
        raise interrupted


def deal(workers: list[Worker], share: int, max_best: int) -> None:
    """Deal all open boxes out to the first `share` workers, best first, one to each in turn.

    Args:
        workers: All that may hold boxes.
        share: How many are to have some.
        max_best: Open boxes, of all together, up to which the search is best-first.
    """
    if not _uneven([worker.open for worker in workers], share):
        return
    opened = max(int(worker.queue.counters[NEXT]) for worker in workers)
    rows = tuple(np.concatenate(parts) for parts in zip(*(open_rows(worker.queue) for worker in workers), strict=True))
    order = np.lexsort((rows[4], rows[2]))  # by priority, then by number
    for index, worker in enumerate(workers):
        mine = order[index::share] if index < share else order[:0]
        worker.queue = refilled(worker.queue, tuple(part[mine] for part in rows), opened, max_best // share)


def _uneven(counts: list[int], share: int) -> bool:
    """Whether dealing out is worth it."""
    if share == 1:
        return any(counts[1:])
    return sum(counts) <= ALWAYS_DEALT or max(counts[:share]) > UNEVEN * min(counts[:share])


def cores() -> int:
    """Cores that this process may use: those it is bound to, or fewer where OMP_NUM_THREADS says so."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # no affinity on this system
        count = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(count, int(wanted)) if wanted.isdecimal() and int(wanted) > 0 else count
