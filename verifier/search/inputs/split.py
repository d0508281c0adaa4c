"""Input splitting: bound a box, cut it down, look for a counterexample in it, split it, and so on until all is settled.

Complete for networks with few inputs: given time, every box whose margin is not below rounding is settled. Where the
real network violates the spec between two values of the caller's dtype, that part is left alone (between.py).
"""

from __future__ import annotations

import enum
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, Why
from verifier.answer.verdict import Counterexample, Question
from verifier.bounds.layers import BoundingMethod, LayerBounds
from verifier.enclosure import Array, Bounds, Indices, Mask
from verifier.search.between import holds_callers_value
from verifier.search.inputs.branching import choose_inputs
from verifier.search.inputs.reduce import cut_boxes, hold_together, margin_planes
from verifier.search.protocol import Replayer

MAX_BATCH = 128  # boxes bounded at once: large enough that numpy's overhead vanishes, small enough for the cache
KNOWN_BYTES = 256 * 2**20  # memory for bounds handed down to open boxes; beyond it children start without
MAX_OPEN = 200_000  # open boxes kept best-first; beyond it the search goes depth-first, which opens few
MIN_RELATIVE_WIDTH = 1e-13  # a narrower side is not split: its ends are neighbouring numbers, or nearly so


class BoxStatus(enum.Enum):
    """What became of a box of the search; all but SPLIT are leaves."""

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    SPLIT = "split"
    OPEN = "open"


@dataclass(frozen=True, eq=False)
class TracedBox:
    """One box of a search, shape (inputs,) a side, and what became of it."""

    lower: Array
    upper: Array
    status: str


Observer = Callable[[Bounds, list[BoxStatus]], None]


@dataclass(order=True)
class _Open:
    """An open box, the most promising first."""

    priority: float
    number: int
    lower: Array = field(compare=False)
    upper: Array = field(compare=False)
    known: tuple[Bounds, ...] | None = field(compare=False)
    depth: int = field(compare=False)
    margin: float = field(compare=False)


class InputSplit:
    """A search that can be continued: run() goes on until the question is settled or a limit is reached.

    Args:
        question: What is asked.
        bound: The bounding method; CROWN settles in far fewer boxes than intervals.
        order: "best" opens the box with the smallest margin at its most promising point first, "depth" the newest.
        known: Bounds on the hidden layers that hold in the whole box.
        observe: Called with every batch of boxes and what became of them, for pictures.

    Source:
        Wang et al. Formal Security Analysis of Neural Networks using Symbolic Intervals. USENIX Security 2018
        (input bisection); Bunel et al. Branch and Bound for Piecewise Linear Neural Network Verification. JMLR 2020.
    """

    def __init__(
        self, question: Question, bound: BoundingMethod, *, order: str = "best",
        known: tuple[Bounds, ...] | None = None, observe: Observer | None = None,
    ) -> None:  # fmt: skip
        """Begin with the whole box."""
        self.question, self.bound, self.order, self.observe = question, bound, order, observe
        self._replayer = Replayer(question)
        self.stuck: list[float] = []  # margins of boxes too small to split, or without a value of the caller's dtype
        self._numbers = itertools.count()
        self._open: list[_Open] = []
        self._layers = question.network.layers[:-1]
        self._push(question.box.lower, question.box.upper, known, 0, -np.inf, -np.inf)

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one that was replayed."""
        return self._replayer.counterexample

    @property
    def near(self) -> bool:
        """Whether a candidate was met whose margin is below rounding."""
        return self._replayer.near

    @property
    def open_boxes(self) -> list[_Open]:
        """Boxes not settled yet."""
        return self._open

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""
        return self.counterexample is None and not self._open and not self.stuck

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""
        return min([box.margin for box in self._open] + self.stuck, default=np.inf)

    @property
    def reason(self) -> Why | None:
        """Why the search ended without an answer, where no limit was reached."""
        return BELOW_ROUNDING if self.stuck and not self._open else None

    def run(self, budget: Budget, max_boxes: float = np.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for at most max_boxes boxes."""
        used = 0
        while self._open and self.counterexample is None and not budget.exhausted() and used < max_boxes:
            size = int(min(MAX_BATCH, len(self._open), max(1, used), budget.subdomains_left, max_boxes - used))
            batch = [self._pop() for _ in range(size)]
            try:
                self._step(batch)
            except KeyboardInterrupt:
                self._open.extend(batch)  # nothing of them is lost
                raise
            used += size
            budget.count(size, lambda: f"{len(self._open):,} open")

    def _step(self, batch: list[_Open]) -> None:
        """Bound a batch of boxes and settle, cut or split each."""
        question, margins = self.question, self.question.margins
        boxes = Bounds(np.array([box.lower for box in batch]), np.array([box.upper for box in batch]))
        bounds = self.bound(question.network, boxes, margins.rows, self._known(batch))
        margin_lower = margins.lower(bounds.rows.lower)
        settled = margins.settled(margin_lower)
        status = [BoxStatus.VERIFIED] * len(batch)
        left, empty = boxes, np.zeros(len(batch), dtype=bool)
        if bounds.plane is not None and not settled.all():
            slope, offset = margin_planes(margins, bounds.plane)
            for index, clause in enumerate(margins.clauses):
                if len(clause) > 1:
                    settled[:, index] |= hold_together(slope[:, list(clause)], offset[:, list(clause)], boxes)
            open_clauses = [(clause, ~settled[:, i]) for i, clause in enumerate(margins.clauses)]
            left, empty = cut_boxes(slope, offset, boxes, open_clauses)
        open_boxes = ~settled.all(axis=1) & ~empty
        if open_boxes.any():
            self._look(np.flatnonzero(open_boxes), boxes, bounds, margin_lower, settled, left, batch, status)
        if self.observe is not None:
            self.observe(boxes, status)

    def _look(
        self, chosen: Indices, boxes: Bounds, bounds: LayerBounds,
        margin_lower: Array, settled: Mask, left: Bounds, batch: list[_Open], status: list[BoxStatus],
    ) -> None:  # fmt: skip
        """Look for counterexamples in the boxes that are still open, and split them."""
        question, margins = self.question, self.question.margins
        network = question.network
        clause_lower = np.where(settled, np.inf, margins.clause_margins(margin_lower))
        worst_clause = clause_lower.argmin(axis=1)
        worst = np.array(
            [max(margins.clauses[c], key=lambda m: margin_lower[i, m]) for i, c in enumerate(worst_clause)],
            dtype=np.intp,
        )
        points = [0.5 * (left.lower + left.upper)[chosen]]
        if bounds.plane is not None:
            slope, _ = margin_planes(margins, bounds.plane)
            down = slope[chosen, worst[chosen]]
            points.append(np.where(down > 0, left.lower[chosen], left.upper[chosen]))
        rows = [network.logits(point) @ margins.rows.T for point in points]
        values = [margins.clause_margins(margins.lower(row)).min(axis=1) for row in rows]
        best = np.min(values, axis=0)
        for k in np.argsort(best, kind="stable")[:4]:
            if best[k] > 0:
                break
            if self._replayer.confirms(points[int(np.argmin([value[k] for value in values]))][k]):
                status[chosen[k]] = BoxStatus.FALSIFIED
                for i in chosen[chosen != chosen[k]]:
                    status[i] = BoxStatus.OPEN
                return
        hopeless = np.zeros(len(chosen), dtype=bool)
        if self._replayer.violated:
            hopeless = ~holds_callers_value(question, Bounds(left.lower[chosen], left.upper[chosen]))
        inputs = choose_inputs(bounds, left, margins, worst)
        for k, i in enumerate(chosen):
            lower, upper, axis = left.lower[i], left.upper[i], inputs[i]
            width = upper[axis] - lower[axis]
            middle = lower[axis] + 0.5 * width
            narrow = width <= MIN_RELATIVE_WIDTH * max(abs(lower[axis]), abs(upper[axis]), 1e-3)
            if hopeless[k] or narrow or not (lower[axis] < middle < upper[axis]):
                self.stuck.append(float(clause_lower[i].min()))
                status[i] = BoxStatus.OPEN
                continue
            status[i] = BoxStatus.SPLIT
            known = None
            if len(bounds.pre) == len(self._layers) and self._room_for_known():
                known = tuple(Bounds(pre.lower[i], pre.upper[i]) for pre in bounds.pre)
            first_upper, second_lower = upper.copy(), lower.copy()
            first_upper[axis] = second_lower[axis] = middle
            margin = float(clause_lower[i].min())
            for one_lower, one_upper in ((lower, first_upper), (second_lower, upper)):
                self._push(one_lower, one_upper, known, batch[i].depth + 1, float(best[k]), margin)

    def _room_for_known(self) -> bool:
        neurons = sum(layer.bias.size for layer in self._layers)
        return len(self._open) * neurons * 8 <= KNOWN_BYTES  # two children share one copy

    def _push(
        self, lower: Array, upper: Array, known: tuple[Bounds, ...] | None, depth: int, value: float, margin: float
    ) -> None:
        deep = self.order == "depth" or len(self._open) > MAX_OPEN
        priority = -1e300 - depth if deep else value
        heapq.heappush(self._open, _Open(priority, next(self._numbers), lower, upper, known, depth, margin))

    def _pop(self) -> _Open:
        return heapq.heappop(self._open)

    def _known(self, batch: list[_Open]) -> tuple[Bounds, ...] | None:
        """Stack what the boxes inherited; a box that inherited nothing gets infinite bounds."""
        if all(box.known is None for box in batch):
            return None
        stacked = []
        for index, layer in enumerate(self._layers):
            size = layer.bias.size
            stacked.append(
                Bounds(
                    np.array([box.known[index].lower if box.known else np.full(size, -np.inf) for box in batch]),
                    np.array([box.known[index].upper if box.known else np.full(size, np.inf) for box in batch]),
                )
            )
        return tuple(stacked)
