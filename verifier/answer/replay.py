"""check_counterexample, the replay that turns a candidate into a counterexample."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifier.answer.reason import BELOW_ROUNDING
from verifier.enclosure import Array, Bounds
from verifier.errors import SpecError
from verifier.network import Affine, propagate_interval
from verifier.question.inequality import Clause, Inequality
from verifier.question.margins import Margins
from verifier.question.numbers import as_numbers
from verifier.question.question import Question


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A point that passed check_counterexample.

    Args:
        x: The input, shape (inputs,), a value of the caller's dtype in float64.
        y: What the caller's object computed for it, shape (outputs,).
        guarantee: "rounded" or "exact": the arithmetic in which the real network's violation was confirmed.
    """

    x: Array
    y: Array
    guarantee: str


@dataclass(frozen=True)
class Rejection:
    """Why a candidate is no counterexample; `near` where the two arithmetics disagree."""

    reason: str
    near: bool = False


def check_counterexample(question: Question, candidate: Array) -> Counterexample | Rejection:
    """Replay a candidate: in the box, violating in the caller's object, and violating in the real network.

    The candidate is rounded to the caller's dtype and moved to the nearest such value inside the box first. The
    caller's object is run as it is; the network's own violation is shown in rounded arithmetic or, where that does
    not decide, in rationals.

    Args:
        question: What is asked.
        candidate: A point, shape (inputs,), float64.

    Returns:
        A Counterexample, or a Rejection that says which of the checks failed.

    Raises:
        SpecError: The candidate does not have one number for each input.
    """
    box = question.box
    if not isinstance(candidate, np.ndarray) or candidate.shape != box.lower.shape:
        candidate = np.asarray(as_numbers(candidate, "candidate")).reshape(-1)
        if candidate.shape != box.lower.shape:
            raise SpecError(f"candidate: {candidate.size} numbers, but the network takes {box.lower.size}")
    return check_candidates(question, candidate[None])[0]


def check_candidates(question: Question, candidates: Array) -> list[Counterexample | Rejection]:
    """Replay some candidates, (candidates, inputs), as check_counterexample() does each; once for all is cheaper."""
    subject, network = question.subject, question.network
    points = into_box(question, candidates)
    inside = np.array([question.box.contains(x) for x in points])
    found: list[Counterexample | Rejection] = [Rejection("outside the box")] * len(points)
    if not inside.any():
        return found
    x = points[inside]
    y = subject.run(x.copy())  # x stays as it is, whatever the caller's object does with its input
    if subject.check is not None:
        subject.check(x, y)
    rows = _point_rows(question.margins, network.enclose_logits(x))
    lower, upper = question.margins.lower(rows.lower), question.margins.upper(rows.upper)
    for index, place in enumerate(np.flatnonzero(inside)):
        found[place] = _judged(question, x[index], y[index], lower[index], upper[index])
    return found


def _judged(question: Question, x: Array, y: Array, lower: Array, upper: Array) -> Counterexample | Rejection:
    """Whether a point of the box is a counterexample, from the caller's outputs there and bounds on its margins."""
    margins = question.margins
    in_caller = _violated_outputs(question.clauses, x, y)
    if margins.violated(upper):
        in_network, guarantee = True, "rounded"
    elif margins.settled(lower[None])[0].all():
        in_network, guarantee = False, "rounded"
    elif in_caller and question.network.exact:
        decided = margins.violated_exactly(question.network.exact_logits(x))
        in_network, guarantee = bool(decided), "exact"
    else:
        return Rejection(str(BELOW_ROUNDING), near=True)
    if in_caller and in_network:
        return Counterexample(x, y, guarantee)
    if in_caller or in_network:
        return Rejection(str(BELOW_ROUNDING), near=True)
    return Rejection("the spec holds there")


def into_box(question: Question, candidate: Array) -> Array:
    """Round points (..., inputs) to the caller's dtype and move them to the nearest such value in the caller's box."""
    low, high = question.points.lower, question.points.upper
    return np.clip(question.subject.round(np.clip(candidate, low, high)), low, high)


def _point_rows(margins: Margins, logits: Bounds) -> Bounds:
    """Bound the rows at points from enclosed logits (batch, logits), without forgetting the rows' own rounding."""
    return propagate_interval(Affine.made(margins.rows, np.zeros(len(margins.rows))), logits)


def _violated_outputs(clauses: tuple[Clause, ...], x: Array, y: Array) -> bool:
    """Whether outputs y at the input x, taken as exact numbers, violate some clause; NaN and infinity never do."""
    if not np.isfinite(y).all():
        return False

    def fails(one: Inequality) -> bool:
        margin = Fraction(one.offset) + _dot(one.coefficients, y)
        margin += _dot(one.inputs, x) if one.inputs else 0
        return margin <= 0 if one.strict else margin < 0

    return any(all(fails(one) for one in clause) for clause in clauses)


def _dot(coefficients: tuple[float, ...], values: Array) -> Fraction:
    """Exactly."""
    terms = zip(coefficients, values, strict=True)
    return sum((Fraction(c) * Fraction(float(value)) for c, value in terms if c), Fraction(0))
