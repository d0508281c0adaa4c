"""Verdict, Result, and check_counterexample, the replay that turns a candidate into a counterexample."""

from __future__ import annotations

import enum
import html
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from verifier.answer.milp_work import MilpWork
from verifier.answer.reason import BELOW_ROUNDING, Reason
from verifier.enclosure import Array, Bounds
from verifier.errors import ResultComparisonError, SpecError
from verifier.network import Affine, Network, Subject, propagate_interval
from verifier.question.carried import carry_functions
from verifier.question.margins import Margins, compile_margins
from verifier.question.numbers import as_numbers
from verifier.question.spec import Box, Clause, Inequality, OutputSpec


class Verdict(enum.StrEnum):
    """Verified, falsified or unknown; VNN-LIB tools print unsat, sat, unknown.

    A verdict equals its text, so that `result.verdict == "verified"` means what it says.
    """

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Question:
    """A subject, the box of its inputs and the spec of its outputs, checked to fit together.

    Args:
        subject: The network and the caller's object.
        box: The hull of the caller's box and its rounding to the caller's dtype.
        points: The values of the caller's dtype within the caller's box, where counterexamples are looked for; a side
            that holds none has the nearest ones, which lie in the hull.
        spec: What must hold of the outputs.
        margins: The spec on the logits.
        clauses: The spec on the outputs.
        network: The subject's network as methods bound it: where the spec speaks of the input, with further logits for
            that (carried.py).
    """

    subject: Subject
    box: Box
    points: Box
    spec: OutputSpec
    margins: Margins
    clauses: tuple[Clause, ...]
    network: Network

    @staticmethod
    def ask(subject: Subject, box: Box, spec: OutputSpec) -> Question:
        """Put a question together.

        Raises:
            SpecError: The box does not fit the network's inputs, or the spec its outputs.
        """
        network = subject.network
        box = Box.from_pairs(box, network.inputs)
        margins = compile_margins(spec, network.outputs, network.head, network.inputs)
        hull, points = box.hull(subject.round), box.inward(subject.round)
        seen = network if margins.functions is None else carry_functions(network, hull, margins.functions)
        return Question(subject, hull, points, spec, margins, spec.clauses(network.outputs), seen)


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
        SpecError: The candidate is no point of so many numbers.
    """
    subject, box = question.subject, question.box
    if not isinstance(candidate, np.ndarray) or candidate.shape != box.lower.shape:
        candidate = np.asarray(as_numbers(candidate, "candidate")).reshape(-1)
        if candidate.shape != box.lower.shape:
            raise SpecError(f"candidate: {candidate.size} numbers, but the network takes {box.lower.size}")
    x = into_box(question, candidate)
    if not box.contains(x):
        return Rejection("outside the box")
    y = subject.run(x[None].copy())[0]  # x stays as it is, whatever the caller's object does with its input
    if subject.check is not None:
        subject.check(x[None], y[None])
    in_caller = _violated_outputs(question.clauses, x, y)
    logits = question.network.enclose_logits(x[None])
    margins = question.margins
    rows = _point_rows(margins, logits)
    if margins.violated(margins.upper(rows.upper)[0]):
        in_network, guarantee = True, "rounded"
    elif margins.settled(margins.lower(rows.lower))[0].all():
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


COLOURS = {Verdict.VERIFIED: "green", Verdict.FALSIFIED: "red", Verdict.UNKNOWN: "yellow"}
_HTML_COLOURS = {Verdict.VERIFIED: "#117733", Verdict.FALSIFIED: "#b2182b", Verdict.UNKNOWN: "#8a6d00"}


@dataclass(frozen=True, eq=False)
class Result:
    """What verify() found; true in a boolean context only when VERIFIED.

    Args:
        verdict: The answer.
        stage: Which stage settled it, e.g. "interval", "crown", "attack", "split", "z3".
        guarantee: What the answer rests on. "exact": rational arithmetic. "rounded": float64, widened by what was
            rounded. "solver tolerance": VERIFIED up to the tolerance of the solver that was asked for by name. "" for
            UNKNOWN.
        reason: Why the answer is UNKNOWN, in words, with the numbers of the case; "" otherwise.
        cause: The same by its name, for code that decides by it; None where there is an answer.
        output_bounds: Bounds on every output over the box, shape (outputs,) each.
        margin: Best proved lower bound on the worst clause's margin (it holds where >= 0); -inf if unknown.
        counterexample: A point that violates the spec, as it can be fed to the caller's object; None otherwise.
        counterexample_output: What the caller's object computes there, shape (outputs,).
        subdomains: Parts of the box that were bounded.
        seconds: Wall time.
        spec: The spec that was asked.
        counterexamples: All that were met and confirmed, as `counterexample`; more than one only where verify() was
            given a list for them.
        milp: What method="milp" did, in numbers; None for other methods.
        note: What else to know, e.g. that onnxruntime took no part in the replay; "" for nothing.
    """

    verdict: Verdict
    stage: str
    guarantee: str
    reason: str
    output_bounds: Bounds
    margin: float
    subdomains: int
    seconds: float
    spec: OutputSpec
    clauses: tuple[Clause, ...] = field(default=(), repr=False)
    counterexample: Any = None
    counterexample_output: Array | None = None
    cause: Reason | None = None
    note: str = ""
    counterexamples: tuple[Any, ...] = ()
    milp: MilpWork | None = None

    @property
    def timed_out(self) -> bool:
        """Whether the answer is UNKNOWN because time ran out."""
        return self.cause is Reason.TIME_LIMIT

    @property
    def interrupted(self) -> bool:
        """Whether the answer is UNKNOWN because of Ctrl-C."""
        return self.cause is Reason.INTERRUPTED

    def to_dict(self) -> dict[str, Any]:
        """Write everything as data that JSON can hold: text, numbers, lists; infinities are None."""
        outputs, point = self.output_bounds, None
        if self.counterexample is not None:
            point = {"x": _plain(self.counterexample), "y": _plain(self.counterexample_output)}
        return {
            "verdict": self.verdict.value, "stage": self.stage, "guarantee": self.guarantee, "reason": self.reason,
            "cause": None if self.cause is None else self.cause.name.lower(),
            "margin": _plain(self.margin)[0], "subdomains": self.subdomains, "seconds": self.seconds,
            "output_bounds": {"lower": _plain(outputs.lower), "upper": _plain(outputs.upper)},
            "counterexample": point, "counterexamples": [_plain(one) for one in self.counterexamples],
            "note": self.note, "milp": None if self.milp is None else self.milp.to_dict(),
        }  # fmt: skip

    def __bool__(self) -> bool:
        """Whether the spec is verified."""
        return self.verdict is Verdict.VERIFIED

    def __eq__(self, other: object) -> bool:
        """Whether it is the same Result.

        Raises:
            ResultComparisonError: `other` is a truth value, a text or a Verdict, to which no Result is equal.
        """
        if isinstance(other, (bool, np.bool_, str)):
            found = str(other) if isinstance(other, Verdict) else repr(other)
            raise ResultComparisonError(
                f"a Result was compared with {found}; write `if result:` to ask whether it is verified, or compare "
                '`result.verdict`, e.g. `result.verdict == "falsified"`'
            )
        return self is other

    __hash__ = object.__hash__

    def __str__(self) -> str:
        """Write the verdict in one line, and the counterexample in a second."""
        text = self.verdict.value.upper()
        parts = [f"by {self.stage}" if self.stage else "", self.guarantee and f"guarantee: {self.guarantee}"]
        if self.verdict is Verdict.UNKNOWN:
            parts = [self.reason]
            if np.isfinite(self.margin):
                parts.append(f"worst margin >= {self.margin:.3g}")
        parts.append(f"{self.subdomains:,} subdomain{'' if self.subdomains == 1 else 's'}, {self.seconds:.3g} s")
        parts.append(self.note)
        lines = [f"{text}: " + "; ".join(part for part in parts if part)]
        if self.counterexample is not None and self.counterexample_output is not None:
            x, y = _numbers(self.counterexample), _numbers(self.counterexample_output)
            lines.append(f"  counterexample x = {x} gives y = {y}")
        if self.milp is not None:
            lines.append(f"  {self.milp}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show the coloured verdict, the output bounds beside the spec, and the counterexample."""
        colour = _HTML_COLOURS[self.verdict]
        head, *rest = str(self).split(": ", 1)
        first = html.escape(rest[0].splitlines()[0] if rest else "")
        # white on the verdict's colour, which can be read on a dark page too
        parts = [f'<div><b style="color:#ffffff;background:{colour};padding:0 0.4em">{head}</b> {first}</div>']
        if self.cause is not None:
            parts.append(f"<div>{html.escape(self.cause.value)}</div>")
        shown = min(self.output_bounds.lower.size, 20)
        limits = _limits(self.clauses, self.output_bounds.lower.size)
        rows = "".join(
            f"<tr><td>{i}</td><td>{_number(self.output_bounds.lower[i])}</td><td>{_number(self.output_bounds.upper[i])}</td>"
            f"<td>{html.escape(limits[i])}</td></tr>"
            for i in range(shown)
        )
        parts.append(
            "<table><tr><th>output</th><th>lower bound</th><th>upper bound</th><th>spec</th></tr>" + rows + "</table>"
        )
        if self.counterexample is not None and self.counterexample_output is not None:
            parts.append(
                f"<div>counterexample: x = <code>{html.escape(_numbers(self.counterexample))}</code>, "
                f"y = <code>{html.escape(_numbers(self.counterexample_output))}</code></div>"
            )
        return "".join(parts)


def _limits(clauses: tuple[Clause, ...], outputs: int) -> list[str]:
    """Describe, for each output, what the spec's single inequalities say of it."""
    found: list[list[str]] = [[] for _ in range(outputs)]
    for clause in clauses:
        for inequality in clause:
            used = [i for i, c in enumerate(inequality.coefficients) if c]
            sign = (
                ("> " if inequality.strict else ">= ")
                if used and inequality.coefficients[used[0]] > 0
                else ("< " if inequality.strict else "<= ")
            )
            joint = " (or another)" if len(clause) > 1 else ""
            if inequality.inputs:
                for i in used:
                    found[i].append(f"compared with the input{joint}")
                continue
            if len(used) == 1:
                limit = -inequality.offset / inequality.coefficients[used[0]]
                found[used[0]].append(f"{sign}{limit:.6g}{joint}")
            elif len(used) == 2 and not inequality.offset:
                found[used[0]].append(f"{sign}y{used[1]}{joint}")
    return [", ".join(parts[:4]) + (", ..." if len(parts) > 4 else "") for parts in found]


def _plain(values: Any) -> list[float | None]:
    """Numbers as a list that JSON can hold."""
    flat = values.reshape(-1) if hasattr(values, "reshape") else [values]
    return [float(value) if math.isfinite(value) else None for value in flat]


def _number(value: Any) -> str:
    return f"{float(value):.6g}"


def _numbers(value: Any) -> str:
    array = value.detach().cpu().double() if hasattr(value, "detach") else value
    flat = np.asarray(array, dtype=np.float64).reshape(-1)
    shown = ", ".join(f"{v:.6g}" for v in flat[:8])
    return f"[{shown}{', ...' if flat.size > 8 else ''}]"
