"""Input splitting, compiled: the search of input_split.py for specs linear in the logits, many times as fast."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.budget import Budget
from verifier.enclosure import Array, Bounds
from verifier.search.compiled_network import CompiledNetwork, flatten, network_work
from verifier.search.descent import descend
from verifier.search.input_split import InputSplit
from verifier.verdict import BELOW_ROUNDING, Counterexample, Question, check_counterexample

SLICE_S = 0.05  # what a slice should last, so that limits and Ctrl-C are heeded
FIRST_SLOTS = 1024
MAX_BEST = 200_000  # open boxes kept best-first
FIRST_DESCENT = 1000  # boxes before the first descent and between the first few
DESCENT_GROWTH = 1.5  # later ones wait for half as many boxes again as there have been
STARTS = 300  # of a descent, over all clauses: in the best open boxes, random ones, and random ones on faces of the box
ON_FACE = 0.6  # how likely each input of a start on a face stands at one of its limits
REPLAYED = 5  # the best points of a descent
COMPILE_S = 60.0  # time that compilation may take where the machine code is not kept from an earlier process
MAX_WORK = 200_000_000  # multiplications of one box, beyond which limits of time could not be kept
FREE_REJECTIONS = 20  # candidates that may fail the replay before only lower margins are replayed


@dataclass(frozen=True, eq=False)
class OpenBox:
    """A box not settled yet, shape (inputs,) a side, and the margin that is proved of it."""

    lower: Array
    upper: Array
    margin: float


class CompiledSplit:
    """A search that can be continued, with the interface of InputSplit.

    Best-first by the margin at a promising point of each box, depth-first when many boxes are open. Deterministic: the
    order of boxes does not depend on time. Sound; complete but for boxes whose margin is below rounding.

    Args:
        question: What is asked.
        net: flatten(question).
        boxes: Where to begin, anything with lower, upper and margin; None for the whole box.
        known: Bounds on each hidden layer, shape (neurons,), that hold in all of these boxes.
        stuck: Margins of boxes that were too small to split before; with any there is no VERIFIED.
        max_best: Open boxes up to which the search is best-first.
        seed: For the random starts of descents.
    """

    def __init__(
        self, question: Question, net: CompiledNetwork, boxes: Iterable[Any] | None = None, *,
        known: tuple[Bounds, ...] | None = None, stuck: Sequence[float] = (), max_best: int = MAX_BEST, seed: int = 0,
    ) -> None:  # fmt: skip
        """Begin with the boxes; imports Numba."""
        from verifier.search import compiled_bounds, compiled_clauses, compiled_loop, compiled_points, compiled_queue

        self._loop, self._queues = compiled_loop, compiled_queue
        self.question, self.net = question, net
        self.counterexample: Counterexample | None = None
        self.near = False  # a candidate was met whose margin is below rounding
        if boxes is None:
            boxes = [OpenBox(question.box.lower, question.box.upper, -np.inf)]
        start = list(boxes)
        inputs, neurons = int(net.sizes[0]), int(net.root_lower.size)
        work = compiled_bounds.make_work(net)
        self._queue = compiled_queue.make_queue(max(FIRST_SLOTS, 2 * len(start)), inputs, neurons, max_best)
        self._low, self._high = np.zeros(inputs), np.zeros(inputs)
        self._counts, self._stuck_margin = np.zeros(2, dtype=np.intp), np.array([min(stuck, default=np.inf)])
        self._counts[compiled_loop.STUCK] = len(stuck)
        self._state = (work, compiled_clauses.make_planes(net), compiled_points.make_points(net))
        self._scores = np.zeros(inputs)
        self._threshold, self._rejected = 0.0, 0
        self._boxes_per_s = 1000.0
        self._random, self._next_descent = np.random.default_rng(seed), FIRST_DESCENT
        self._fill(start, known)

    def _fill(self, start: list[Any], known: tuple[Bounds, ...] | None) -> None:
        """Open the boxes; a heap whose priorities never fall from one entry to the next is in order."""
        queue, count = self._queue, len(start)
        queue.lower[:count] = [box.lower for box in start]
        queue.upper[:count] = [box.upper for box in start]
        queue.margin[:count] = [box.margin for box in start]
        queue.priority[:count] = -np.inf
        queue.number[:count] = np.arange(count)
        queue.counters[:2] = count
        lower, upper = self.net.root_lower, self.net.root_upper
        if known:
            lower = np.concatenate([one.lower for one in known])
            upper = np.concatenate([one.upper for one in known])
        for unit in range(lower.size):
            bit = np.uint64(1 << (unit % 64))
            if lower[unit] >= 0:
                queue.active[:count, unit // 64] |= bit
            elif upper[unit] <= 0:
                queue.inactive[:count, unit // 64] |= bit

    @property
    def open_boxes(self) -> OpenBoxes:
        """Boxes not settled yet."""
        return OpenBoxes(self._queue)

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""
        return self.counterexample is None and not self.open_boxes and not self._counts[self._loop.STUCK]

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""
        margins = self._queue.margin[self._queue.heap[: len(self.open_boxes)]]
        least = float(np.minimum(margins.min(initial=np.inf), self._stuck_margin[0]))
        return least if least == least else -np.inf

    @property
    def reason(self) -> str:
        """Why the search ended without an answer, where no limit was reached."""
        return BELOW_ROUNDING if self._counts[self._loop.STUCK] and not self.open_boxes else ""

    def run(self, budget: Budget, max_boxes: float = np.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for at most max_boxes boxes."""
        used = 0
        while self.open_boxes and self.counterexample is None and not budget.exhausted() and used < max_boxes:
            seconds = min(SLICE_S, budget.seconds_left)
            size = int(min(max(1.0, seconds * self._boxes_per_s), budget.subdomains_left, max_boxes - used))
            size = min(size, self._next_descent - self._bounded)
            done = self._run_slice(size)
            used += done
            budget.count(done, lambda: f"{len(self.open_boxes):,} open")
            if self._bounded >= self._next_descent:
                self._next_descent = max(self._bounded + FIRST_DESCENT, int(self._bounded * DESCENT_GROWTH))
                self._descend()

    def _run_slice(self, size: int) -> int:
        """Run one slice, replay its candidate, make room; returns the boxes bounded."""
        before, started = self._bounded, time.perf_counter()
        ended = self._loop.run_slice(
            self.net, *self._state, self._queue, self._low, self._high, self._scores, self._counts,
            self._stuck_margin, size, self._threshold,
        )  # fmt: skip
        done, seconds = self._bounded - before, time.perf_counter() - started
        if ended == self._loop.FULL:
            self._queue = self._queues.grown(self._queue)
        elif ended == self._loop.CANDIDATE:
            self._replay(self._state[2].best)
            self._rejected += 1
            if self._rejected > FREE_REJECTIONS:
                self._threshold = min(self._threshold, self._state[2].lowest[0])
        if done:
            self._boxes_per_s = min(max(done / max(seconds, 1e-6), 0.1), 2.0 * max(self._boxes_per_s, 1.0))
        return done

    @property
    def _bounded(self) -> int:
        return int(self._counts[self._loop.BOXES])

    def _descend(self) -> None:
        """Look for a narrow counterexample from the best open boxes and from random points, inside and on faces."""
        box, queue = self.question.box, self._queue
        count = max(2, STARTS // (3 * len(self.question.margins.clauses)))
        slots = queue.heap[: len(self.open_boxes)]
        slots = slots[np.lexsort((queue.number[slots], queue.priority[slots]))[:count]]
        centres = 0.5 * queue.lower[slots] + 0.5 * queue.upper[slots]
        inside = self._random.uniform(box.lower, box.upper, (count, box.lower.size))
        limits = np.where(self._random.random(inside.shape) < 0.5, box.lower, box.upper)
        faces = np.where(self._random.random(inside.shape) < ON_FACE, limits, inside)
        starts = np.concatenate([centres, inside, faces])
        points, values = descend(self.question, starts)
        for point, value in zip(points[:REPLAYED], values[:REPLAYED], strict=True):
            if value <= 0.0 and self.counterexample is None:
                self._replay(point)

    def _replay(self, point: Array) -> None:
        found = check_counterexample(self.question, point.copy())
        if isinstance(found, Counterexample):
            self.counterexample = found
            return
        self.near |= found.near


def continue_compiled(search: InputSplit, budget: Budget, seed: int = 0) -> CompiledSplit | None:
    """Hand the open boxes of a numpy search to the compiled one; None where that one cannot take them.

    It takes margins linear in the logits and networks of which a box costs well below a second. Where Numba is missing,
    or where its code would have to be compiled first and the time left is short, the numpy search goes on.
    """
    if not search.question.margins.linear or network_work(search.question.subject.network) > MAX_WORK:
        return None
    if importlib.util.find_spec("numba") is None:
        return None
    net = flatten(search.question)
    if net is None or (budget.seconds_left < COMPILE_S and not _is_compiled()):
        return None
    return CompiledSplit(search.question, net, search.open_boxes, stuck=search.stuck, seed=seed)


def _is_compiled() -> bool:
    """Whether this process or an earlier one has compiled the loop."""
    from verifier.search import compiled_loop

    return compiled_loop.is_compiled()


class OpenBoxes:
    """A view of the open boxes, in no order: len() and truth cost nothing, iterating makes a copy of each."""

    def __init__(self, queue: Any) -> None:
        """Look at a queue."""
        self._queue = queue

    def __len__(self) -> int:
        """How many boxes are open."""
        return int(self._queue.counters[0])

    def __iter__(self) -> Iterator[OpenBox]:
        """Copy them out one by one."""
        queue = self._queue
        for slot in queue.heap[: len(self)]:
            yield OpenBox(queue.lower[slot].copy(), queue.upper[slot].copy(), float(queue.margin[slot]))
