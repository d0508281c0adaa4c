"""A network of several inputs against a polynomial: boxes on which the polynomial is nearly linear.

On a box p(x) = a . x + r(x), where a is p's gradient at the middle and r lies between two numbers that Bernstein
coefficients give exactly. So |net(x) - p(x)| <= tolerance follows there from two linear inequalities,

    net(x) - a . x >= max r - tolerance    and    net(x) - a . x <= min r + tolerance,

which is a question of inputs and outputs for verify(). Whatever breaks them is judged against p itself. A box on which
r varies too much, or whose question stays open, is halved.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, INTERRUPTED, Why
from verifier.answer.verdict import Counterexample, Verdict
from verifier.asking.function_question import FunctionQuestion, round_down
from verifier.enclosure import Array
from verifier.pipeline import verify
from verifier.question.numbers import as_numbers
from verifier.question.spec import Box, all_of, linear

ASK_BELOW = Fraction(1, 2)  # of the tolerance: how much of it the remainder r may take before verify() is asked
SAMPLES = 200  # random points that are looked at first, for an error that is attained
MAX_REJECTED = 10  # candidates that fail the replay before the question is given up


class FunctionBoxes:
    """Decides |net(x) - p(x)| <= tolerance box by box, and remembers the largest error that it met.

    Args:
        question: What is compared, and where.
        budget: For all questions together.
        method: "auto" for splitting, or what verify() shall ask by name.
        seed: For the random points.
    """

    def __init__(self, question: FunctionQuestion, budget: Budget, method: str, seed: int) -> None:
        """Look at a few points."""
        self._question, self._budget, self._seed = question, budget, seed
        self._method = "split" if method == "auto" else method
        box = question.box
        rng = np.random.default_rng(seed)
        points = question.nearest(box.lower + box.width * rng.random((SAMPLES, box.lower.size)))
        middle = question.nearest((box.lower + box.upper) / 2)
        outputs = question.subject.run(points)[:, 0]
        errors = [
            abs(float(y) - float(question.polynomial(*map(Fraction, point.tolist()))))
            for point, y in zip(points, outputs, strict=True)
        ]
        self.at, self.attained = middle, Fraction(0)
        for x in (middle, points[int(np.nanargmax(errors)) if np.isfinite(errors).any() else 0]):
            self._remember(x)

    def decide(self, tolerance: Fraction) -> tuple[Counterexample | None, Why | None]:
        """A counterexample, or why the question is open; neither where it is proved."""
        question, budget = self._question, self._budget
        rejected = 0
        if self.attained > tolerance:
            case = question.replay(self.at, tolerance)
            if isinstance(case, Counterexample):
                return case, None
            rejected += 1
        hull = question.plain.box
        open_boxes, stuck = [hull], False
        while open_boxes:
            why = budget.exhausted()
            if why is not None:
                return None, why
            if rejected > MAX_REJECTED:
                return None, BELOW_ROUNDING
            box = open_boxes.pop()
            slope, (low, high) = self._linear_part(box)
            if high - low <= ASK_BELOW * tolerance:
                result = verify(
                    question.subject, box,
                    all_of(
                        linear([1.0], round_down(tolerance - high), x=-slope),
                        linear([-1.0], round_down(tolerance + low), x=slope),
                    ),
                    timeout_s=None if budget.seconds_left == np.inf else max(budget.seconds_left, 1e-3),
                    max_subdomains=None if budget.max_subdomains is None else max(1, int(budget.subdomains_left)),
                    method=self._method, seed=self._seed, progress=False,
                )  # fmt: skip
                budget.count(max(1, result.subdomains), self._note(len(open_boxes)))
                if result.interrupted:
                    return None, INTERRUPTED
                if result.verdict is Verdict.VERIFIED:
                    continue
                if result.counterexample is not None:
                    x = question.nearest(np.asarray(as_numbers(result.counterexample, "counterexample")).reshape(-1))
                    found = self._judge(x, tolerance)
                    if isinstance(found, Counterexample):
                        return found, None
                    rejected += found
            else:
                budget.count(1, self._note(len(open_boxes)))
            parts = _halves(box)
            stuck = stuck or not parts
            open_boxes += parts
            if not parts or len(open_boxes) > 1_000_000:
                stuck = True
        return None, BELOW_ROUNDING if stuck or rejected else None

    @staticmethod
    def _note(boxes: int) -> Callable[[], str]:
        return lambda: f"{boxes} boxes left"

    def raise_to(self, error: Fraction, case: Counterexample | None) -> None:
        """Remember a counterexample to an error, of a network whose weights are not known exactly."""
        if case is not None and error > self.attained:
            self.at, self.attained = case.x, error

    def _judge(self, x: Array, tolerance: Fraction) -> Counterexample | bool:
        """A counterexample to |net - p| <= tolerance, or whether x is one in the reals alone."""
        error = self._remember(x)
        if error is not None and error <= tolerance:
            return False
        case = self._question.replay(x, tolerance)
        return case if isinstance(case, Counterexample) else error is not None

    def _remember(self, x: Array) -> Fraction | None:
        """The exact error at x, kept if it is the largest so far; None where weights are not known exactly."""
        if not self._question.subject.network.exact:
            return None
        error = self._question.error_at(x)
        if error > self.attained:
            self.at, self.attained = x, error
        return error

    def _linear_part(self, box: Box) -> tuple[Array, tuple[Fraction, Fraction]]:
        """The polynomial's gradient at the middle, and the range of what is left of it."""
        polynomial = self._question.polynomial
        middle = [Fraction(float(v)) for v in (box.lower + box.upper) / 2]
        slope = np.array([float(polynomial.derivative(i)(*middle)) for i in range(polynomial.variables)])
        return slope, self._question.polynomial_range(box, slope)


def _halves(box: Box) -> list[Box]:
    """The halves across the longest side, or none where float64 has no number between its ends."""
    side = int(np.argmax(box.width))
    middle = box.lower[side] + box.width[side] / 2
    if not box.lower[side] < middle < box.upper[side]:
        return []
    left, right = box.upper.copy(), box.lower.copy()
    left[side] = right[side] = middle
    return [Box(box.lower, left), Box(right, box.upper)]
