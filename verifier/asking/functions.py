"""verify_function() and max_error(): a network against a polynomial, for every input in a box.

A network of one input is a broken line, and its error is compared exactly, piece by piece (exact/curve_error.py).
Several inputs are split into boxes on which the polynomial is nearly linear (function_boxes.py).
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import BELOW_ROUNDING, INTERRUPTED, Reason, Why
from verifier.answer.verdict import Counterexample, Result, Verdict
from verifier.asking.function_boxes import FunctionBoxes
from verifier.asking.function_question import FunctionQuestion, read_tolerance, round_down, round_up
from verifier.enclosure import Array, Bounds
from verifier.errors import BoundsError
from verifier.exact.curve_error import DECIDE_AFTER, HALVINGS, CurveError
from verifier.exact.pieces import linear_pieces
from verifier.pipeline import LONGEST_S, check_options, output_bounds
from verifier.question.forms import Net, Reference, Shape, XSpecs
from verifier.question.spec import AllOf

MAX_REJECTED = 10  # candidates that fail the replay before a question is given up: the error is below rounding there
MAX_STEPS = 200  # of the bisection of max_error()


@dataclass(frozen=True, eq=False)
class FunctionError:
    """The largest |net(x) - p(x)| over a box, enclosed.

    Args:
        attained: Its value at `x`, rounded down: the largest error is at least this.
        proved: No error in the box is larger, rounded up.
        x: A value of the caller's dtype in the box, as it can be fed to the network.
        reason: Why the two are farther apart than asked for, in words; "" where they are not.
        cause: The same by its name; None where they are not.
        subdomains: Parts of the box that were bounded.
        seconds: Wall time.
    """

    attained: float
    proved: float
    x: Any
    reason: str
    cause: Reason | None
    subdomains: int
    seconds: float

    @property
    def gap(self) -> float:
        """What lies between the two."""
        return self.proved - self.attained

    def __str__(self) -> str:
        """Write the enclosure in one line."""
        text = (
            f"largest error between {self.attained:.9g} (attained at x = {_numbers(self.x)}) and {self.proved:.9g} "
            f"(proved); {self.subdomains:,} subdomain{'' if self.subdomains == 1 else 's'}, {self.seconds:.3g} s"
        )
        return text + (f"; {self.reason}" if self.reason else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show the enclosure as a small table."""
        rows = [
            ("attained", f"{self.attained:.9g} at x = {_numbers(self.x)}"),
            ("proved", f"{self.proved:.9g}"),
            ("gap", f"{self.gap:.2g}"),
            ("cost", f"{self.subdomains:,} subdomains, {self.seconds:.3g} s"),
        ] + ([("why not closer", self.reason)] if self.reason else [])
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
        return f"<div><b>largest error</b></div><table>{cells}</table>"


def verify_function(
    net: Net, reference: Reference, x_specs: XSpecs, tolerance: float, counterexamples: list[Any] | None = None, *,
    input_shape: Shape | None = None, timeout_s: float | None = 60.0, max_subdomains: int | None = None,
    max_counterexamples: int = 10, method: str = "auto", seed: int = 0, progress: bool | None = None,
) -> Result:  # fmt: skip
    """Decide whether |net(x) - p(x)| <= tolerance for every x in a box, for a polynomial p.

    Networks: those of verify(), with one output and a linear last layer. Sound. Complete for one input and exact
    weights (ties included), given time, except where no value of the caller's dtype shows what the reals do; for
    several inputs complete as far as time allows, except for ties.

    Args:
        net: As for verify().
        reference: p: a sympy polynomial, a numpy Polynomial, or a function of one argument for each input that uses
            + - * and whole powers, such as sympy's lambdify makes. Its coefficients are exact.
        x_specs: As for verify().
        tolerance: The largest error allowed, in the unit of the output; > 0.
        counterexamples: As for verify(); at most one is appended.
        input_shape, timeout_s, max_subdomains, max_counterexamples, seed, progress: As for verify().
        method: "auto", or what verify() shall ask about each part by name.

    Returns:
        A Result, as from verify(). Where it is UNKNOWN, the reason tells between which two numbers the largest error
        lies.

    Raises:
        NetworkError: The network cannot be read, has several outputs, or ends with a Sigmoid or Softmax.
        SpecError: The reference, box or tolerance cannot be read, or do not fit the network.
        OptionError: An option is not one of verify()'s.

    Example:
        >>> from verifier import Affine, Network
        >>> line = Network((Affine(np.array([[1.0]]), np.zeros(1)),))
        >>> verify_function(line, lambda x: x**2, [(0, 1)], 0.25).verdict  # x - x^2 is 1/4 at 1/2
        <Verdict.VERIFIED: 'verified'>
    """
    check_options(counterexamples, timeout_s, max_subdomains, max_counterexamples, method, seed)
    question, wanted = FunctionQuestion.read(net, reference, x_specs, input_shape), read_tolerance(tolerance)
    budget = _budget(timeout_s, max_subdomains, progress)
    case: Counterexample | None = None
    why: Why | None = None
    stage, attained, proved = "pieces", Fraction(0), None
    try:
        curve = _curve(question, budget) if _exact_curve(question, method) else None
        if curve is not None:
            case, why = _decide(question, curve, wanted, budget)
            attained, proved = curve.attained, curve.proved
        elif _exact_curve(question, method):
            why = budget.exhausted() or INTERRUPTED
        else:
            stage = "function split"
            boxes = FunctionBoxes(question, budget, method, seed)
            case, why = boxes.decide(wanted)
            attained = boxes.attained
    except KeyboardInterrupt:
        why = INTERRUPTED
    finally:
        budget.close()
    bounds = _output_bounds(question)
    largest = _crude(question, bounds) if proved is None else proved
    if case is None and why is None:
        largest = min(largest, wanted)
    verdict = Verdict.FALSIFIED if case is not None else Verdict.VERIFIED if why is None else Verdict.UNKNOWN
    words = f"{why}; the largest error is between {round_down(attained):.6g} and {round_up(largest):.6g}" if why else ""
    if case is not None and counterexamples is not None:
        counterexamples.extend([question.subject.to_caller(case.x)][:max_counterexamples])
    return Result(
        verdict, "" if verdict is Verdict.UNKNOWN else stage,
        case.guarantee if case is not None else "" if why else "exact" if stage == "pieces" else "rounded",
        words, bounds, round_down(wanted - largest), budget.subdomains, budget.seconds, AllOf(()),
        counterexample=None if case is None else question.subject.to_caller(case.x),
        counterexample_output=None if case is None else case.y, cause=None if why is None else why.reason,
        note=f"|net(x) - p(x)| <= {float(wanted):.6g}",
    )  # fmt: skip


def max_error(
    net: Net, reference: Reference, x_specs: XSpecs, tolerance: float = 1e-6, *,
    input_shape: Shape | None = None, timeout_s: float | None = 60.0, max_subdomains: int | None = None,
    method: str = "auto", seed: int = 0, progress: bool | None = None,
) -> FunctionError:  # fmt: skip
    """Enclose the largest |net(x) - p(x)| over a box.

    Both ends are claims: `attained` is the exact error at a value of the caller's dtype, `proved` was proved for every
    real x in the box. With one input and exact weights they come as close as asked for, or as neighbouring values of
    the dtype allow; with several inputs as far as time allows.

    Args:
        net, reference, x_specs: As for verify_function().
        tolerance: The gap at which to stop, in the unit of the output; > 0.
        input_shape, timeout_s, max_subdomains, method, seed, progress: As for verify_function(); the limits hold for
            all questions together.

    Raises:
        NetworkError, SpecError, OptionError: As for verify_function().

    Example:
        >>> from verifier import Affine, Network
        >>> line = Network((Affine(np.array([[1.0]]), np.zeros(1)),))
        >>> found = max_error(line, lambda x: x**2, [(0, 1)])
        >>> found.attained, found.x, found.gap < 1e-6
        (0.25, array([0.5]), True)
    """
    check_options(None, timeout_s, max_subdomains, 1, method, seed)
    question, wanted = FunctionQuestion.read(net, reference, x_specs, input_shape), read_tolerance(tolerance)
    budget = _budget(timeout_s, max_subdomains, progress)
    at = question.nearest((question.box.lower + question.box.upper) / 2)
    attained, proved = Fraction(0), _crude(question, _output_bounds(question))
    why: Why | None = None
    try:
        if _exact_curve(question, method):
            curve = _curve(question, budget)
            if curve is None:
                why = budget.exhausted() or INTERRUPTED
            else:
                try:
                    why = _close_gap(curve, wanted, budget)
                finally:
                    at, attained, proved = np.array([curve.at]), curve.attained, min(proved, curve.proved)
        else:
            boxes = FunctionBoxes(question, budget, method, seed)
            for _ in range(MAX_STEPS):
                at, attained = boxes.at, boxes.attained
                if why is not None or proved - attained <= wanted:
                    break
                middle = (attained + proved) / 2
                case, why = boxes.decide(middle)
                if case is not None or boxes.attained > middle:
                    boxes.raise_to(middle, case)
                    why = None
                elif why is None:
                    proved = middle
    except KeyboardInterrupt:
        why = INTERRUPTED
    finally:
        budget.close()
    return FunctionError(
        round_down(attained), round_up(proved), question.subject.to_caller(at), str(why) if why else "",
        None if why is None else why.reason, budget.subdomains, budget.seconds,
    )  # fmt: skip


def _budget(timeout_s: float | None, max_subdomains: int | None, progress: bool | None) -> Budget:
    limit = math.inf if timeout_s is None else float(min(timeout_s, LONGEST_S))
    return Budget(limit, None if max_subdomains is None else int(max_subdomains), progress)


def _exact_curve(question: FunctionQuestion, method: str) -> bool:
    """Whether the network is a broken line that is known exactly, and no method was asked for by name."""
    network = question.subject.network
    return method == "auto" and network.inputs == 1 and network.exact


def _curve(question: FunctionQuestion, budget: Budget) -> CurveError | None:
    """The search over a network of one input; None where time runs out before its pieces are known."""
    hull = question.plain.box
    lower, upper = Fraction(float(hull.lower[0])), Fraction(float(hull.upper[0]))
    pieces = linear_pieces(question.subject.network, lower, upper, budget.time_is_up)
    if pieces is None:
        return None

    def nearest(point: Fraction) -> float:
        return float(question.nearest(np.array([float(point)]))[0])

    return CurveError(pieces, question.polynomial, nearest)


def _decide(
    question: FunctionQuestion, curve: CurveError, tolerance: Fraction, budget: Budget
) -> tuple[Counterexample | None, Why | None]:
    """Compare the largest error with a tolerance: a counterexample, or why it is open; neither where it is proved."""
    rejected, stuck = 0, False
    tried: set[float] = set()
    budget.count(curve.parts)
    while True:
        if curve.attained > tolerance and curve.at not in tried:
            case = question.replay(np.array([curve.at]), tolerance)
            if isinstance(case, Counterexample):
                return case, None
            tried.add(curve.at)
            rejected += 1
        part = curve.pop()
        if part is None or part.reach <= tolerance:
            if part is not None:
                curve.keep(part)
            return None, BELOW_ROUNDING if stuck or rejected else None
        why = budget.exhausted()
        if why is not None or rejected > MAX_REJECTED:
            curve.keep(part)
            return None, why or BELOW_ROUNDING
        budget.count(1, lambda: f"error at most {round_up(curve.proved):.6g}")
        x = curve.try_point(part.farthest)
        narrow = curve.holds_one_value(part)
        within = curve.stays_within(part, tolerance) if narrow or part.halvings >= DECIDE_AFTER else None
        if within:
            curve.settle(part, tolerance)
            continue
        if part.halvings >= HALVINGS or (narrow and within is False and curve.error_at(x) <= tolerance):
            stuck = True
            curve.settle(part, part.reach)
            continue
        if x not in tried and curve.error_at(x) > tolerance and curve.attained > tolerance and curve.at in tried:
            tried.add(x)
            case = question.replay(np.array([x]), tolerance)
            if isinstance(case, Counterexample):
                return case, None
            rejected += 1
        curve.halve(part)


def _close_gap(curve: CurveError, wanted: Fraction, budget: Budget) -> Why | None:
    """Halve the part that reaches farthest until proof and point are as close as wanted, or say why they are not."""
    budget.count(curve.parts)
    while curve.proved - curve.attained > wanted:
        why = budget.exhausted()
        part = curve.pop()
        if part is None:
            return None
        if why is not None or part.halvings >= HALVINGS:
            curve.keep(part)
            return why or BELOW_ROUNDING
        budget.count(1, lambda: f"{round_down(curve.attained):.6g} to {round_up(curve.proved):.6g}")
        curve.try_point(part.farthest)
        curve.halve(part)
    return None


def _output_bounds(question: FunctionQuestion) -> Bounds:
    """Bounds on the output, for the Result to show."""
    try:
        return output_bounds(question.subject, question.box)
    except BoundsError:
        return Bounds(np.array([-np.inf]), np.array([np.inf]))


def _crude(question: FunctionQuestion, bounds: Bounds) -> Fraction:
    """A bound on the error from bounds on the output and on the polynomial."""
    low, high = question.polynomial_range(question.plain.box)
    if not np.isfinite([*bounds.lower, *bounds.upper]).all():
        return Fraction(float(np.finfo(np.float64).max))
    return max(Fraction(float(bounds.upper[0])) - low, high - Fraction(float(bounds.lower[0])))


def _numbers(value: Any) -> str:
    flat: Array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=np.float64).reshape(-1)
    return ", ".join(f"{v:.9g}" for v in flat)
