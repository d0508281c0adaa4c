"""Input splitting, compiled: the search of inputs/split.py for specs linear in the logits, many times as fast."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, Why
from verifier.answer.verdict import Counterexample, Question
from verifier.attack import THOROUGH_STEPS, attack
from verifier.enclosure import Array, Bounds
from verifier.errors import installed, warn_caller
from verifier.search.between import holds_callers_value
from verifier.search.compiled.network import CompiledNetwork, flatten, network_work
from verifier.search.inputs.split import InputSplit
from verifier.search.protocol import Replayer

SLICE_S = 0.05  # what a slice should last, so that limits and Ctrl-C are heeded
MAX_BEST = 200_000  # open boxes kept best-first
FIRST_DESCENT = 1000  # boxes before the first descent and between the first few
DESCENT_GROWTH = 2.0  # later ones wait for as many boxes again as there have been
FROM_BOXES, FROM_RANDOM = 100, 200  # walks of a descent over all clauses, from the best open boxes or not
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

    Best-first by the margin at a promising point of each box, depth-first when many boxes are open. With a limit in
    boxes deterministic: the order of boxes does not depend on time. Without one several threads may share the boxes
    (workers.py), and how many boxes it takes can differ from run to run; the answer, where there is one,
    cannot. Sound; complete but for boxes whose margin is below rounding.

    Args:
        question: What is asked.
        net: flatten(question).
        boxes: Where to begin, anything with lower, upper and margin; None for the whole box.
        known: Bounds on each hidden layer, shape (neurons,), that hold in all of these boxes.
        stuck: Margins of boxes that were too small to split before; with any there is no VERIFIED.
        max_best: Open boxes up to which the search is best-first.
        seed: For the random starts of descents.
        threads: Workers at once where no limit in boxes is set; None for as many as there are cores.
    """

    def __init__(
        self, question: Question, net: CompiledNetwork, boxes: Iterable[Any] | None = None, *,
        known: tuple[Bounds, ...] | None = None, stuck: Sequence[float] = (), max_best: int = MAX_BEST, seed: int = 0,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        """Begin with the boxes; imports Numba."""
        from verifier.search.compiled import loop, queue, workers

        self._loop, self._queues, self._together = loop, queue, workers
        self.question, self.net = question, net
        self._replayer = Replayer(question)
        if boxes is None:
            boxes = [OpenBox(question.box.lower, question.box.upper, -np.inf)]
        self._max_best = max_best
        self._threads = workers.cores() if threads is None else threads
        first = workers.Worker(net, max_best)
        first.counts[loop.STUCK] = len(stuck)
        first.stuck_margin[0] = min(stuck, default=np.inf)
        self._workers = [first]
        self._threshold, self._rejected = 0.0, 0
        self._boxes_per_s = 1000.0  # of one worker
        self._seed, self._descents, self._next_descent = seed, 0, FIRST_DESCENT
        self._fill(list(boxes), known)

    def _fill(self, start: list[Any], known: tuple[Bounds, ...] | None) -> None:
        """Open the boxes, each with what is known of its neurons."""
        count, inputs = len(start), int(self.net.sizes[0])
        lower, upper = self.net.root_lower, self.net.root_upper
        if known:
            lower = np.concatenate([one.lower for one in known])
            upper = np.concatenate([one.upper for one in known])
        words = (lower.size + 63) // 64
        active, inactive = np.zeros(words, dtype=np.uint64), np.zeros(words, dtype=np.uint64)
        for unit in range(lower.size):
            bit = np.uint64(1 << (unit % 64))
            if lower[unit] >= 0:
                active[unit // 64] |= bit
            elif upper[unit] <= 0:
                inactive[unit // 64] |= bit
        rows = (
            np.array([box.lower for box in start]).reshape(count, inputs),
            np.array([box.upper for box in start]).reshape(count, inputs),
            np.full(count, -np.inf), np.array([box.margin for box in start]), np.arange(count),
            np.tile(active, (count, 1)), np.tile(inactive, (count, 1)),
        )  # fmt: skip
        self._workers[0].queue = self._queues.refilled(self._workers[0].queue, rows, count, self._max_best)

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one that was replayed."""
        return self._replayer.counterexample

    @property
    def near(self) -> bool:
        """Whether a candidate was met whose margin is below rounding."""
        return self._replayer.near

    @property
    def open_boxes(self) -> OpenBoxes:
        """Boxes not settled yet."""
        return OpenBoxes([worker.queue for worker in self._workers])

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""
        return self.counterexample is None and not self.open_boxes and not self._stuck

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""
        margins = [worker.queue.margin[worker.queue.heap[: worker.open]] for worker in self._workers]
        least = float(np.concatenate([*margins, *(worker.stuck_margin for worker in self._workers)]).min())
        return least if least == least else -np.inf

    @property
    def reason(self) -> Why | None:
        """Why the search ended without an answer, where no limit was reached."""
        return BELOW_ROUNDING if self._stuck and not self.open_boxes else None

    def run(self, budget: Budget, max_boxes: float = np.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for at most max_boxes boxes.

        A limit in boxes keeps to one worker, so that what is searched does not depend on time.
        """
        used = 0
        threads = 1 if budget.max_subdomains is not None or max_boxes < np.inf else self._threads
        while self.open_boxes and self.counterexample is None and not budget.exhausted() and used < max_boxes:
            seconds = min(SLICE_S, budget.seconds_left)
            size = int(min(max(1.0, seconds * self._boxes_per_s), budget.subdomains_left, max_boxes - used))
            share = threads if len(self.open_boxes) >= self._together.MIN_SHARED else 1
            size = min(size, -(-(self._next_descent - self._bounded) // share))
            if share == 1 < threads:
                size = min(size, 2 * self._together.MIN_SHARED)  # there may soon be enough boxes for all
            done = self._run_slice(size, share)
            used += done
            budget.count(done, lambda: f"{len(self.open_boxes):,} open")
            if self._bounded >= self._next_descent and self.counterexample is None:
                self._next_descent = max(self._bounded + FIRST_DESCENT, int(self._bounded * DESCENT_GROWTH))
                self._descend()

    def _run_slice(self, size: int, share: int) -> int:
        """Run one slice of so many workers and replay their candidates; returns the boxes bounded."""
        while len(self._workers) < share:
            self._workers.append(self._together.Worker(self.net, self._max_best))
        self._together.deal(self._workers, share, self._max_best)
        before, started = self._bounded, time.perf_counter()
        self._together.run_together(self._workers[:share], size, self._threshold)
        done, seconds = self._bounded - before, time.perf_counter() - started
        for worker in self._workers[:share]:
            if worker.ended == self._loop.CANDIDATE and self.counterexample is None:
                self._replay(worker.points.best)
                self._rejected += 1
                if self._rejected > FREE_REJECTIONS:
                    self._threshold = min(self._threshold, worker.points.lowest[0])
        if done:
            rate = done / share / max(seconds, 1e-6)
            self._boxes_per_s = min(max(rate, 0.1), 2.0 * max(self._boxes_per_s, 1.0))
        return done

    @property
    def _bounded(self) -> int:
        return sum(int(worker.counts[self._loop.BOXES]) for worker in self._workers)

    @property
    def _stuck(self) -> int:
        return sum(int(worker.counts[self._loop.STUCK]) for worker in self._workers)

    def _descend(self) -> None:
        """Look for a narrow counterexample from the best open boxes, and again from random points."""
        rows = [self._queues.open_rows(worker.queue) for worker in self._workers]
        lower, upper, priority, _, number = (np.concatenate(parts) for parts in list(zip(*rows, strict=True))[:5])
        clauses = len(self.question.margins.clauses)
        chosen = np.lexsort((number, priority))[: max(2, FROM_BOXES // clauses)]
        points = attack(
            self.question, starts=0.5 * lower[chosen] + 0.5 * upper[chosen], walks=max(2, FROM_RANDOM // clauses),
            steps=THOROUGH_STEPS, seed=self._descents + 1_000_003 * (self._seed + 1),
        )  # fmt: skip
        self._descents += 1
        for point in points[:REPLAYED]:
            if self.counterexample is None:
                self._replay(point)

    def _replay(self, point: Array) -> None:
        if not self._replayer.confirms(point.copy()) and self._replayer.violated:
            self._drop_hopeless()

    def _drop_hopeless(self) -> None:
        """Leave boxes alone that hold no value of the caller's dtype: there is neither a proof nor a counterexample."""
        for worker in self._workers:
            rows = self._queues.open_rows(worker.queue)
            lower, upper, priority, margin, number = rows[:5]
            kept = holds_callers_value(self.question, Bounds(lower, upper))
            if kept.all():
                continue
            worker.counts[self._loop.STUCK] += int((~kept).sum())
            worker.stuck_margin[0] = min(worker.stuck_margin[0], float(margin[~kept].min()))
            order = np.flatnonzero(kept)[np.lexsort((number[kept], priority[kept]))]
            opened = int(worker.queue.counters[self._queues.NEXT])
            left = tuple(part[order] for part in rows)
            worker.queue = self._queues.refilled(worker.queue, left, opened, self._max_best)


def continue_compiled(search: InputSplit, budget: Budget, seed: int = 0) -> CompiledSplit | None:
    """Hand the open boxes of a numpy search to the compiled one; None where that one cannot take them.

    It takes margins linear in the logits and networks of which a box costs well below a second. Where Numba is missing,
    where an observer is told of every box, or where its code would have to be compiled first and the time left is
    short, the numpy search goes on.

    An observed search stays in numpy because an observer is told of each closed box what proves it: slopes, mixture,
    and the part that was left. The compiled loop drops these with the box, and would have to hand Python a record for
    each. Without a limit on subdomains its workers also take boxes in an order that depends on time.
    """
    if search.observed or not search.question.margins.linear or network_work(search.question.network) > MAX_WORK:
        return None
    if not installed("numba"):
        _say_that_it_is_slow()
        return None
    net = flatten(search.question)
    if net is None or (budget.seconds_left < COMPILE_S and not _is_compiled()):
        return None
    stuck = [box.margin for box in search.open_boxes.stuck]
    return CompiledSplit(search.question, net, search.open_boxes, stuck=stuck, seed=seed)


@cache  # once in a process
def _say_that_it_is_slow() -> None:
    warn_caller(
        "Numba is not installed, so splitting the inputs goes on without compiled code and takes many times as long; "
        "pip install 'nn-verification-course[fast]'"
    )


def _is_compiled() -> bool:
    """Whether this process or an earlier one has compiled the loop."""
    from verifier.search.compiled import loop as compiled_loop

    return compiled_loop.is_compiled()


class OpenBoxes:
    """A view of the open boxes, in no order: len() and truth cost nothing, iterating makes a copy of each."""

    def __init__(self, queues: list[Any]) -> None:
        """Look at some queues."""
        self._queues = queues

    def __len__(self) -> int:
        """How many boxes are open."""
        return sum(int(queue.counters[0]) for queue in self._queues)

    def __iter__(self) -> Iterator[OpenBox]:
        """Copy them out one by one."""
        for queue in self._queues:
            for slot in queue.heap[: queue.counters[0]]:
                yield OpenBox(queue.lower[slot].copy(), queue.upper[slot].copy(), float(queue.margin[slot]))
