"""Input splitting: bound a box, cut it down, look for a counterexample in it, split it, and so on until all is settled.

Complete for networks with few inputs: given time, every box whose margin is not below rounding is settled. Where the
real network violates the spec between two values of the caller's dtype, that part is left alone (between.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, Why
from verifier.answer.verdict import Counterexample, Question
from verifier.bounds.layers import BoundingMethod, LayerBounds, Plane
from verifier.enclosure import Array, Bounds, Indices, Mask
from verifier.search.between import holds_callers_value
from verifier.search.events import By, Event, Fate, Lines, Observer, Proof, Split
from verifier.search.inputs.branching import choose_inputs
from verifier.search.inputs.reduce import cut_boxes, margin_planes, mixtures
from verifier.search.open_parts import InHand, OpenParts, Part
from verifier.search.protocol import Replayer

MAX_BATCH = 128  # boxes bounded at once: large enough that numpy's overhead vanishes, small enough for the cache
KNOWN_BYTES = 256 * 2**20  # memory for bounds handed down to open boxes; beyond it children start without
MAX_OPEN = 200_000  # open boxes kept best-first; beyond it the search goes depth-first, which opens few
MIN_RELATIVE_WIDTH = 1e-13  # a narrower side is not split: its ends are neighbouring numbers, or nearly so


@dataclass(eq=False)
class OpenBox(Part):
    """An open box: its sides, (inputs,) each, and bounds on the hidden layers that hold in it, (neurons,) each."""

    lower: Array
    upper: Array
    known: tuple[Bounds, ...] | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class _Batch:
    """What is known of the boxes of one step.

    Args:
        boxes: (batch, inputs).
        bounds: What the bounding method says of them.
        margin_lower: Lower bounds on the margins, (batch, margins).
        settled: Which clauses hold in the whole box, (batch, clauses).
        mixture: What shows it where no single margin does, by clause: (batch, margins of the clause).
        planes: Of the margins, (batch, margins, inputs); None where the method has none.
        left: What is left of the boxes, (batch, inputs).
    """

    boxes: Bounds
    bounds: LayerBounds
    margin_lower: Array
    settled: Mask
    mixture: dict[int, Array]
    planes: Plane | None
    left: Bounds


class InputSplit:
    """A search that can be continued: run() goes on until the question is settled or a limit is reached.

    Args:
        question: What is asked.
        bound: The bounding method; CROWN settles in far fewer boxes than intervals.
        order: "best" opens the box with the smallest margin at its most promising point first, "depth" the newest.
        known: Bounds on the hidden layers that hold in the whole box.
        observe: Told of every box what became of it (events.py).
        at_once: Open boxes that are bounded at once from the beginning on; later as many as were bounded before.

    Source:
        Wang et al. Formal Security Analysis of Neural Networks using Symbolic Intervals. USENIX Security 2018
        (input bisection); Bunel et al. Branch and Bound for Piecewise Linear Neural Network Verification. JMLR 2020.
    """

    def __init__(
        self, question: Question, bound: BoundingMethod, *, order: str = "best",
        known: tuple[Bounds, ...] | None = None, observe: Observer | None = None, at_once: int = 1,
    ) -> None:  # fmt: skip
        """Begin with the whole box."""
        self._at_once = at_once
        self.question, self.bound, self.order = question, bound, order
        self._replayer = Replayer(question)
        # stuck are boxes too small to split, or without a value of the caller's dtype
        self._parts: OpenParts[OpenBox] = OpenParts(observe)
        self._layers = question.network.layers[:-1]
        box, number = question.box, self._parts.number()
        self._parts.push(OpenBox(self._priority(0, -np.inf, 0), number, None, 0, -np.inf, box.lower, box.upper, known))

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one that was replayed."""
        return self._replayer.counterexample

    @property
    def near(self) -> bool:
        """Whether a candidate was met whose margin is below rounding."""
        return self._replayer.near

    @property
    def open_boxes(self) -> OpenParts[OpenBox]:
        """Boxes not settled yet."""
        return self._parts

    @property
    def observed(self) -> bool:
        """Whether an observer is told of every box."""
        return self._parts.observe is not None

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""
        return self.counterexample is None and self._parts.settled

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""
        return self._parts.margin

    @property
    def reason(self) -> Why | None:
        """Why the search ended without an answer, where no limit was reached."""
        return BELOW_ROUNDING if self._parts.stuck and not self._parts else None

    def run(self, budget: Budget, max_boxes: float = np.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for at most max_boxes boxes."""
        used = 0
        while self._parts and self.counterexample is None and not budget.exhausted() and used < max_boxes:
            size = int(
                min(MAX_BATCH, len(self._parts), max(self._at_once, used), budget.subdomains_left, max_boxes - used)
            )
            with self._parts.in_hand(size) as step:
                self._step(step)
                step.finished = True
            used += size
            budget.count(size, lambda: f"{len(self._parts):,} open")

    def _step(self, step: InHand[OpenBox]) -> None:
        """Bound a batch of boxes and settle, cut or split each."""
        question, margins, batch = self.question, self.question.margins, step.parts
        boxes = Bounds(np.array([box.lower for box in batch]), np.array([box.upper for box in batch]))
        bounds = self.bound(question.network, boxes, margins.rows, self._known(batch))
        margin_lower = margins.lower(bounds.rows.lower)
        settled = margins.settled(margin_lower)
        left, empty, planes = boxes, np.zeros(len(batch), dtype=bool), None
        mixture: dict[int, Array] = {}
        if bounds.plane is not None and not settled.all():
            planes = margin_planes(margins, bounds.plane)
            slope, offset = planes.slope, planes.offset
            for index, clause in enumerate(margins.clauses):
                if len(clause) > 1:
                    mixture[index] = mixtures(slope[:, list(clause)], offset[:, list(clause)], boxes)
                    settled[:, index] |= mixture[index].any(axis=1)
            open_clauses = [(clause, ~settled[:, i]) for i, clause in enumerate(margins.clauses)]
            left, empty = cut_boxes(slope, offset, boxes, open_clauses)
        found = _Batch(boxes, bounds, margin_lower, settled, mixture, planes, left)
        open_boxes = ~settled.all(axis=1) & ~empty
        splits: dict[int, Split | None] = {}  # None where a box was given up
        falsified = None
        if open_boxes.any():
            falsified = self._look(np.flatnonzero(open_boxes), found, step, splits)
        if self.observed:
            for i in range(len(batch)):
                fate = Fate.OPEN if open_boxes[i] else Fate.VERIFIED
                fate = Fate.SPLIT if splits.get(i) else Fate.FALSIFIED if i == falsified else fate
                step.events.append(self._event(batch[i], i, found, fate, splits.get(i)))

    def _look(
        self, chosen: Indices, found: _Batch, step: InHand[OpenBox], splits: dict[int, Split | None]
    ) -> int | None:
        """Look for counterexamples in the boxes that are still open, and split them; which box holds one, if any."""
        question, margins, batch = self.question, self.question.margins, step.parts
        bounds, left, margin_lower = found.bounds, found.left, found.margin_lower
        network = question.network
        clause_lower = np.where(found.settled, np.inf, margins.clause_margins(margin_lower))
        worst_clause = clause_lower.argmin(axis=1)
        worst = np.array(
            [max(margins.clauses[c], key=lambda m: margin_lower[i, m]) for i, c in enumerate(worst_clause)],
            dtype=np.intp,
        )
        points = [0.5 * (left.lower + left.upper)[chosen]]
        if found.planes is not None:
            down = found.planes.slope[chosen, worst[chosen]]
            points.append(np.where(down > 0, left.lower[chosen], left.upper[chosen]))
        rows = [network.logits(point) @ margins.rows.T for point in points]
        values = [margins.clause_margins(margins.lower(row)).min(axis=1) for row in rows]
        best = np.min(values, axis=0)
        for k in np.argsort(best, kind="stable")[:4]:
            if best[k] > 0:
                break
            if self._replayer.confirms(points[int(np.argmin([value[k] for value in values]))][k]):
                return int(chosen[k])
        hopeless = np.zeros(len(chosen), dtype=bool)
        if self._replayer.violated:
            hopeless = ~holds_callers_value(question, Bounds(left.lower[chosen], left.upper[chosen]))
        inputs = choose_inputs(bounds, left, margins, worst)
        for k, i in enumerate(chosen):
            lower, upper, axis = left.lower[i], left.upper[i], inputs[i]
            width = upper[axis] - lower[axis]
            middle = lower[axis] + 0.5 * width
            margin = float(clause_lower[i].min())
            narrow = width <= MIN_RELATIVE_WIDTH * max(abs(lower[axis]), abs(upper[axis]), 1e-3)
            if hopeless[k] or narrow or not (lower[axis] < middle < upper[axis]):
                batch[i].margin = margin
                step.stuck.append(batch[i])
                continue
            known = None
            if len(bounds.pre) == len(self._layers) and self._room_for_known(len(step.children)):
                known = tuple(Bounds(pre.lower[i], pre.upper[i]) for pre in bounds.pre)
            first_upper, second_lower = upper.copy(), lower.copy()
            first_upper[axis] = second_lower[axis] = middle
            for one_lower, one_upper in ((lower, first_upper), (second_lower, upper)):
                depth, number = batch[i].depth + 1, self._parts.number()
                priority = self._priority(depth, float(best[k]), len(step.children))
                step.children.append(
                    OpenBox(priority, number, batch[i].number, depth, margin, one_lower, one_upper, known)
                )
            below, above = (one.number for one in step.children[-2:])
            splits[int(i)] = Split((int(axis),), float(middle), below, above)
        return None

    def _event(self, box: OpenBox, i: int, found: _Batch, fate: Fate, split: Split | None) -> Event:
        """Write down what became of a box, and what shows it."""
        proof, margins = None, self.question.margins
        planes = None if found.planes is None else Plane(found.planes.slope[i], found.planes.offset[i])
        if fate is Fate.VERIFIED or (split is not None and planes is not None):
            slopes = () if found.bounds.slopes is None else tuple(one[i] for one in found.bounds.slopes)
            lines = []
            for index, clause in enumerate(margins.clauses):
                weights = np.zeros(len(clause))
                if index in found.mixture and found.mixture[index][i].any():
                    weights = found.mixture[index][i]
                elif found.settled[i, index]:  # a margin that holds by itself, the clearest of them
                    weights[int(np.argmax(found.margin_lower[i, list(clause)]))] = 1.0
                lines.append(Lines(slopes, tuple(np.zeros(one.shape) for one in slopes), weights))
            pre = tuple(Bounds(one.lower[i], one.upper[i]) for one in found.bounds.pre)
            by = By.BOUNDS if found.settled[i].all() else By.CUT
            proof = Proof(by, pre, tuple(lines), planes, found.margin_lower[i])
        left = None if split is None else Bounds(found.left.lower[i], found.left.upper[i])
        return Event(box.number, box.parent, fate, box.lower, box.upper, left=left, split=split, proof=proof)

    def _priority(self, depth: int, value: float, more: int) -> float:
        """Where a box stands among the open ones, of which `more` are in hand."""
        deep = self.order == "depth" or len(self._parts) + more > MAX_OPEN
        return -1e300 - depth if deep else value

    def _room_for_known(self, more: int) -> bool:
        neurons = sum(layer.bias.size for layer in self._layers)
        return (len(self._parts) + more) * neurons * 8 <= KNOWN_BYTES  # two children share one copy

    def _known(self, batch: list[OpenBox]) -> tuple[Bounds, ...] | None:
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
