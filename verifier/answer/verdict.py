"""Verdict and Result: what verify() answers."""

from __future__ import annotations

import enum
import html
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verifier.answer.milp_work import MilpWork
from verifier.answer.page import bounds_table, numbers, plain
from verifier.answer.reason import Reason
from verifier.answer.replay import Counterexample as Counterexample
from verifier.answer.replay import Rejection as Rejection
from verifier.answer.replay import check_candidates as check_candidates
from verifier.answer.replay import check_counterexample as check_counterexample
from verifier.answer.replay import into_box as into_box
from verifier.enclosure import Array, Bounds
from verifier.errors import ResultComparisonError
from verifier.question.inequality import Clause
from verifier.question.question import Question as Question
from verifier.question.spec import OutputSpec


class Verdict(enum.StrEnum):
    """Verified, falsified or unknown; VNN-LIB tools print unsat, sat, unknown.

    A verdict equals its text, so that `result.verdict == "verified"` means what it says.
    """

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


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
            point = {"x": plain(self.counterexample), "y": plain(self.counterexample_output)}
        return {
            "verdict": self.verdict.value, "stage": self.stage, "guarantee": self.guarantee, "reason": self.reason,
            "cause": None if self.cause is None else self.cause.name.lower(),
            "margin": plain(self.margin)[0], "subdomains": self.subdomains, "seconds": self.seconds,
            "output_bounds": {"lower": plain(outputs.lower), "upper": plain(outputs.upper)},
            "counterexample": point, "counterexamples": [plain(one) for one in self.counterexamples],
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
            x, y = numbers(self.counterexample), numbers(self.counterexample_output)
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
        parts.append(bounds_table(self.output_bounds, self.clauses))
        if self.counterexample is not None and self.counterexample_output is not None:
            parts.append(
                f"<div>counterexample: x = <code>{html.escape(numbers(self.counterexample))}</code>, "
                f"y = <code>{html.escape(numbers(self.counterexample_output))}</code></div>"
            )
        return "".join(parts)
