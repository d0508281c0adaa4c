"""Limits on Softmax or LogSoftmax outputs where inputs are many: linear bounds on the head, refined by splitting.

A margin with a head in it is an increasing function of rows of the logits. Within a cell, an interval for each row, it
lies above a linear function: exp under its chord, log-sum-exp over its tangent. "Outside the cell, or the linear
function holds" is a question that is linear in the logits, which ReLU splitting answers. A point that violates it is
replayed in the real question; where it is no counterexample there, the tangent moves to it, or the cell is split.
Linear functions and margin come together as cells shrink.
Sound. Complete as far as ReLU splitting is, but for margins that are zero somewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, Reason, Why
from verifier.answer.verdict import Counterexample, Question
from verifier.attack import attack
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Array, Bounds, Mask
from verifier.network import Head
from verifier.question.margins import ALWAYS, Margin, Term
from verifier.question.spec import OutputSpec, any_of, linear
from verifier.search.events import By, Event, Fate, Observer, Proof, Split
from verifier.search.open_parts import InHand, OpenParts, Part
from verifier.search.protocol import Replayer
from verifier.search.relu.split import ReluSplit
from verifier.subject import Subject

CELL_SUBDOMAINS = 64  # of ReLU splitting in a cell before the cell is split instead; doubled with each split
TANGENT_MOVES = 6  # of one cell before it is split
DESCENT_STEPS = 20  # of descents, from a point that violates a linear function in a cell and not the spec
WALKS = 4  # random starts beside it, others each time
SLACK = 1e-11  # of the magnitudes met while a linear function is computed: some thousand times what they can round
MAX_EXPONENT = 300.0  # beyond it a chord would be useless, and exp could overflow
MAX_CELLS = 20_000  # open at once
TOO_CLOSE = Why(Reason.BELOW_ROUNDING, "limits on the head's outputs are met too closely to be decided")
NARROW = 1e-7  # a cell is not split further once its rows are known this closely


@dataclass(eq=False)
class _Cell(Part):
    """A part of the rows' values, for one clause: bounds on every row, and which of them are cuts of this search."""

    clause: int
    lower: Array
    upper: Array
    cut_below: Mask
    cut_above: Mask
    point: Array  # where tangents touch
    part: int  # its number; once its tangent has moved it waits under another
    moves: int = 0


class HeadSplit:
    """A search that can be continued, as ReluSplit, for margins that are not linear in the logits.

    Args:
        question: What is asked.
        known: Bounds on the hidden layers that hold in the whole box, (neurons,) each.
        observe: Told of every cell what became of it, with what ReLU splitting told of it (events.py).
    """

    def __init__(
        self, question: Question, *, known: tuple[Bounds, ...] | None = None, observe: Observer | None = None
    ) -> None:
        """Begin with one cell a clause."""
        self.question, self._known = question, known or None
        self._replayer = Replayer(question)
        self._parts: OpenParts[_Cell] = OpenParts(observe)
        network, margins = question.network, question.margins
        root = Bounds(question.box.lower[None], question.box.upper[None])
        wide = None if known is None else tuple(Bounds(one.lower[None], one.upper[None]) for one in known)
        rows = np.concatenate([np.eye(network.outputs), margins.rows])
        found = crown_bounds(network, root, rows, wide).rows
        lower, upper = found.lower[0, network.outputs :], self._upper(root, wide)
        self._logits = float(np.maximum(np.abs(found.lower), 1.0).max())
        self._bare = Subject(
            replace(network, head=Head.IDENTITY), replace(network, head=Head.IDENTITY), question.subject.round,
            lambda x: x, question.subject.name,
        )  # fmt: skip
        none = np.zeros(len(lower), dtype=bool)
        for clause, members in enumerate(margins.clauses):
            if not any(margins.margins[m].offset == ALWAYS for m in members):
                centre = 0.5 * (lower + upper)
                number = self._parts.number()
                self._parts.push(_Cell(0, number, None, 0, -math.inf, clause, lower, upper, none, none, centre, number))

    def _upper(self, root: Bounds, known: tuple[Bounds, ...] | None) -> Array:
        """Upper bounds on the margins' rows, and on every logit's magnitude."""
        network, margins = self.question.network, self.question.margins
        rows = -np.concatenate([np.eye(network.outputs), margins.rows])
        found = crown_bounds(network, root, rows, known).rows.lower[0]
        self._most = float(np.abs(found).max(initial=1.0))
        return np.asarray(-found[network.outputs :])

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one that was replayed."""
        return self._replayer.counterexample

    @property
    def near(self) -> bool:
        """Whether a candidate was met whose margin is below rounding."""
        return self._replayer.near

    @property
    def open_boxes(self) -> OpenParts[_Cell]:
        """Cells not settled yet."""
        return self._parts

    @property
    def verified(self) -> bool:
        """Whether every cell is settled and none holds a counterexample."""
        return self._parts.settled and self.counterexample is None

    @property
    def margin(self) -> float:
        """Nothing is known of a margin before all cells are settled: -inf, then 0."""
        return 0.0 if self.verified else -math.inf

    @property
    def reason(self) -> Why | None:
        """Why the search ended without an answer, where no limit was reached."""
        if self._parts.stuck:
            return BELOW_ROUNDING if self.near else TOO_CLOSE
        return None

    def run(self, budget: Budget, max_boxes: float = math.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for about max_boxes subdomains."""
        start = budget.subdomains
        while self._parts and self.counterexample is None and not budget.exhausted():
            if budget.subdomains - start >= max_boxes:
                return
            with self._parts.in_hand(1) as step:
                step.finished = self._settle(step.parts[0], step, budget)

    def _settle(self, cell: _Cell, step: InHand[_Cell], budget: Budget) -> bool:
        """Ask about one cell; settle it, or put what is left of it back; False where it must be asked again."""
        spec, gap = self._linear_spec(cell)
        point = cell.point
        if spec is not None:
            question = Question.ask(self._bare, self.question.box, spec)
            told: list[Event] = []
            search = ReluSplit(question, known=self._known, observe=self._parts.observe and told.append)
            search.run(budget, CELL_SUBDOMAINS * 2.0 ** min(cell.depth, 20))
            if search.verified:
                proof = Proof(By.SEARCH, spec=spec, events=tuple(told))
                step.events.append(self._event(cell, Fate.VERIFIED, proof=proof))
                return True
            if search.counterexample is None and budget.exhausted():
                return False
            x = None if search.counterexample is None else search.counterexample.x
            if self._look(x):
                return False
            if x is not None:
                rows = self.question.network.logits(x[None])[0] @ self.question.margins.rows.T
                point = np.clip(rows, cell.lower, cell.upper)
                if gap.tangent and cell.moves < TANGENT_MOVES and not np.allclose(point, cell.point, atol=1e-9):
                    step.children.append(replace(cell, number=self._parts.number(), point=point, moves=cell.moves + 1))
                    return True
        self._split(cell, step, point, gap)
        return True

    def _event(self, cell: _Cell, fate: Fate, *, split: Split | None = None, proof: Proof | None = None) -> Event:
        box, rows = self.question.box, Bounds(cell.lower, cell.upper)
        return Event(
            cell.part, cell.parent, fate, box.lower, box.upper, cell.clause, rows=rows, split=split, proof=proof
        )

    def _look(self, x: Array | None) -> bool:
        """Replay a point that violates a linear function, and descents from it and from random points."""
        starts = None if x is None else x[None]
        lowest = attack(self.question, starts=starts, walks=WALKS, steps=DESCENT_STEPS, seed=self._parts.number())
        return any(self._replayer.confirms(candidate) for candidate in [*([] if x is None else [x]), *lowest[:1]])

    def _split(self, cell: _Cell, step: InHand[_Cell], point: Array, gap: _Gap) -> None:
        """Cut a cell in two at the row whose linear bound loses most."""
        width = np.where(gap.used, cell.upper - cell.lower, 0.0)
        if width.max(initial=0.0) < NARROW or len(self._parts) >= MAX_CELLS:
            step.stuck.append(cell)
            step.events.append(self._event(cell, Fate.OPEN))
            return
        lost = gap.lost(point)
        row = int(np.argmax(lost if lost.max(initial=0.0) > 1e-12 else width))
        if width[row] < NARROW:
            row = int(np.argmax(width))
        inner = 0.2 * width[row]
        value = float(np.clip(point[row], cell.lower[row] + inner, cell.upper[row] - inner))
        for above in (False, True):
            lower, upper = cell.lower.copy(), cell.upper.copy()
            below_cut, above_cut = cell.cut_below.copy(), cell.cut_above.copy()
            if above:
                lower[row], below_cut[row] = value, True
            else:
                upper[row], above_cut[row] = value, True
            touch = np.clip(point, lower, upper)
            touch[row] = 0.5 * (lower[row] + upper[row])
            number, depth = self._parts.number(), cell.depth + 1
            step.children.append(
                _Cell(
                    depth, number, cell.part, depth, -math.inf,
                    cell.clause, lower, upper, below_cut, above_cut, touch, number,
                )
            )  # fmt: skip
        first, second = (one.part for one in step.children[-2:])
        step.events.append(self._event(cell, Fate.SPLIT, split=Split((row,), value, first, second)))

    def _linear_spec(self, cell: _Cell) -> tuple[OutputSpec | None, _Gap]:
        """Write "outside the cell, or a linear function below one of the clause's margins holds"."""
        margins = self.question.margins
        gap = _Gap(cell)
        parts: list[OutputSpec] = []
        for index in margins.clauses[cell.clause]:
            margin = margins.margins[index]
            if margin.offset == -ALWAYS:
                continue
            found = linear_below(margin, cell.lower, cell.upper, cell.point, gap)
            if found is not None:
                row = found.coefficients @ margins.rows
                # what the sum over rows rounds, at logits of this magnitude
                size = float(np.abs(found.coefficients) @ np.abs(margins.rows).sum(axis=1)) * max(
                    self._logits, self._most
                )
                parts.append(linear(row, found.offset - SLACK * size, strict=margin.strict))
        # a row's value at the cut itself belongs to the cell above
        parts += [linear(margins.rows[r], -cell.upper[r]) for r in np.flatnonzero(cell.cut_above)]
        parts += [linear(-margins.rows[r], cell.lower[r], strict=True) for r in np.flatnonzero(cell.cut_below)]
        return (any_of(*parts) if parts else None), gap


@dataclass
class Below:
    """A linear function of the rows, coefficients . rows + offset, that lies below a margin within a cell."""

    coefficients: Array
    offset: float


class _Gap:
    """What the linear functions of one cell lose, row by row, at a point."""

    def __init__(self, cell: _Cell) -> None:
        self._lower, self._upper, self._point = cell.lower, cell.upper, cell.point
        self._chords: list[tuple[int, float, float]] = []  # row, side, shift
        self._tangents: list[tuple[tuple[int, ...], Array]] = []
        self.used = np.zeros(len(cell.lower), dtype=bool)

    @property
    def tangent(self) -> bool:
        """Whether some loss comes from a tangent, which could touch elsewhere."""
        return bool(self._tangents)

    def chord(self, row: int, side: float, shift: float) -> None:
        """Note that exp(side * row - shift) was replaced by its chord."""
        self._chords.append((row, side, shift))
        self.used[row] = True

    def touch(self, rows: tuple[int, ...], weights: Array) -> None:
        """Note that a log-sum-exp was replaced by its tangent."""
        self._tangents.append((rows, weights))
        self.used[list(rows)] = True

    def lost(self, point: Array) -> Array:
        """How much each row's replacement loses at a point, roughly; for the choice of a split."""
        lost = np.zeros(len(self._lower))
        for row, side, shift in self._chords:
            low, high = sorted((side * self._lower[row], side * self._upper[row]))
            at = side * point[row] - shift
            if high > low:
                low, high = low - shift, high - shift
                share = (at - low) / (high - low)
                top, bottom = math.exp(min(high, MAX_EXPONENT)), math.exp(min(low, MAX_EXPONENT))
                lost[row] += bottom + share * (top - bottom) - math.exp(min(at, MAX_EXPONENT))
        for rows, weights in self._tangents:
            index = list(rows)
            lost[index] += weights * np.abs(point[index] - self._point[index])
        return np.asarray(np.where(self.used, lost, 0.0))


def linear_below(margin: Margin, lower: Array, upper: Array, point: Array, gap: _Gap | None = None) -> Below | None:
    """Give a linear function of the rows below a margin, for all rows between lower and upper.

    Args:
        margin: With or without terms.
        lower: Bounds on every row, (rows,).
        upper: Likewise.
        point: Where tangents touch, within the bounds.
        gap: Notes what was replaced by what.

    Returns:
        The function, what computing it can have rounded taken off; None where the rows reach too far for one.
    """
    margin = _single_limit_in_logarithms(margin)
    a = np.zeros(len(lower))
    if margin.row is not None:
        a[margin.row] += 1.0
    b, size = margin.offset - margin.offset_error, abs(margin.offset)
    for term in margin.terms:
        found = _term_below(term, margin, lower, upper, point, gap)
        if found is None:
            return None
        a += found[0]
        b += found[1]
        size += found[2]
    size += float(np.abs(a) @ np.maximum(np.abs(lower), np.abs(upper))) + abs(b)
    return Below(a, b - SLACK * size) if math.isfinite(size) else None


def _single_limit_in_logarithms(margin: Margin) -> Margin:
    """A limit on one probability, w p + d >= 0, as one on its logarithm, which has tighter lines around it."""
    if margin.row is not None or len(margin.terms) != 1 or margin.terms[0].log or margin.offset_error:
        return margin
    (term,) = margin.terms
    threshold = -margin.offset / term.weight
    if not 1e-300 < threshold < 1.0:
        return margin
    sign = 1.0 if term.weight > 0 else -1.0
    offset = -sign * math.log(threshold)
    return Margin(margin.strict, offset, 1e-14 * (1 + abs(offset)), terms=(Term(sign, term.rows, log=True),))


def _term_below(
    term: Term, margin: Margin, lower: Array, upper: Array, point: Array, gap: _Gap | None
) -> tuple[Array, float, float] | None:
    """Coefficients and offset of a linear function below one term, and the magnitudes met on the way."""
    index = list(term.rows)
    w = abs(term.weight)
    a = np.zeros(len(lower))
    if term.weight > 0:
        # g falls with S = 1 + sum exp(e), e = -row: S from above by chords, then log S or 1/S by its tangent at S0
        low, high = -upper[index], -lower[index]
        touch = math.log1p(float(np.exp(np.minimum(-point[index], MAX_EXPONENT)).sum()))
        if term.log and len(margin.terms) == 1 and margin.row is None:
            touch = margin.offset / w  # where the margin is 0 the tangent then loses nothing
        least = math.log1p(float(np.exp(np.minimum(low, MAX_EXPONENT)).sum()))
        most = math.log1p(float(np.exp(np.minimum(high, MAX_EXPONENT)).sum()))
        shift = min(max(touch, least), most)
        if float(high.max(initial=-math.inf)) - shift > MAX_EXPONENT:
            return None
        scale = 1.0 if term.log else math.exp(-shift)  # d(log S) = dS / S0, d(1/S) = -dS / S0 / S0
        constant = shift - 1.0 if term.log else -2.0 * scale
        total, size = constant + scale * math.exp(-shift), abs(shift) + 4.0
        for j, row in enumerate(index):
            slope, offset = _chord(low[j] - shift, high[j] - shift)
            offset -= slope * shift
            a[row] += w * scale * slope  # e = -row, and the term falls with e
            total += scale * offset
            size += scale * (math.exp(high[j] - shift) + abs(slope) * (abs(low[j]) + abs(high[j]) + abs(shift)))
            if gap is not None:
                gap.chord(row, -1.0, shift)
        return a, -w * total, w * size
    # -g falls where log-sum-exp falls: that is convex, and lies above its tangent
    touch_at = point[index]
    top = max(0.0, float(touch_at.max(initial=0.0)))
    shares = np.exp(touch_at - top)
    total_share = float(shares.sum()) + math.exp(-top)
    shares = shares / total_share
    base = top + math.log(total_share) - float(shares @ touch_at)
    size = abs(base) + top + float(shares @ np.maximum(np.abs(lower[index]), np.abs(upper[index]))) + 1.0
    if gap is not None:
        gap.touch(term.rows, shares)
    if term.log:
        np.add.at(a, index, w * shares)
        return a, w * base, w * size
    # p = exp(-lse) <= exp(-tangent), and that lies under its chord over the tangent's values
    low_t = base + float(shares @ lower[index]) - SLACK * size
    high_t = base + float(shares @ upper[index]) + SLACK * size
    if low_t < -MAX_EXPONENT:
        return None
    slope, offset = _chord(-high_t, -low_t)
    np.add.at(a, index, w * slope * shares)
    return a, w * (slope * base - offset), w * (1.0 + slope * size + abs(offset) + math.exp(-low_t))


def _chord(low: float, high: float) -> tuple[float, float]:
    """Slope and offset of a line that lies above exp from low to high: above it at both ends, and exp is convex."""
    bottom, top = math.exp(low), math.exp(high)
    slope = (top - bottom) / (high - low) if high - low > 1e-9 else top
    return slope, max(bottom - slope * low, top - slope * high)
