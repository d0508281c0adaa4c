"""RobustnessResult, and the Enclosure that becomes one: what is proved of a radius from below, and met from above."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

from verifier.answer.budget import Budget
from verifier.answer.verdict import Verdict
from verifier.asking.ball import Ball
from verifier.asking.nearest_example import NearestExample
from verifier.subject import Subject

_STATUS = {Verdict.VERIFIED: "robust", Verdict.FALSIFIED: "not robust", Verdict.UNKNOWN: "unknown"}


@dataclass(frozen=True)
class RadiusVerdict:
    """What was found at one radius: the verdict, the stage that settled it or the reason why none did, and its time."""

    radius: float
    verdict: Verdict
    stage: str
    seconds: float


@dataclass(frozen=True, eq=False)
class RobustnessResult:
    """How far from an input the class cannot change, and how near it does; true only where the radius is VERIFIED.

    Args:
        lower: Certified: the class is the same at every input up to this distance; 0 where nothing was proved.
        upper: Attained: the distance of the nearest counterexample met; infinite where none was met.
        counterexample: That counterexample, as it can be fed to the network; None where none was met.
        label: The class.
        table: Every radius that was asked, in order.
        verdict: Of the radius that was asked for: VERIFIED, the class is the same everywhere; FALSIFIED, there is a
            counterexample; UNKNOWN, neither was reached.
        label_found: The class that the network gives the counterexample. It is the label itself where only a tie
            was met, which is not robust either.
        guarantee: What `lower` rests on: "exact" or "rounded", a proof; "solver tolerance", a solver's word; "" where
            it is 0.
        norm: In which distances are measured: "inf", "1" or "2".
    """

    lower: float
    upper: float
    counterexample: Any
    label: int
    table: tuple[RadiusVerdict, ...]
    verdict: Verdict = Verdict.UNKNOWN
    label_found: int | None = None
    guarantee: str = ""
    norm: str = "inf"

    @property
    def gap(self) -> float:
        """What lies between proof and counterexample."""
        return self.upper - self.lower

    @property
    def status(self) -> str:
        """The verdict in the words of robustness: "robust", "not robust" or "unknown"."""
        return _STATUS[self.verdict]

    @property
    def lower_is_proved(self) -> bool:
        """Whether `lower` is above 0 and rests on a proof, rounding included, and not on a solver's word."""
        return self.lower > 0 and self.guarantee in ("exact", "rounded")

    @property
    def upper_is_proved(self) -> bool:
        """Whether `upper` is the distance of a counterexample that was replayed."""
        return self.counterexample is not None

    def __bool__(self) -> bool:
        """Whether the class is proved to be the same within the whole radius."""
        return self.verdict is Verdict.VERIFIED

    def __str__(self) -> str:
        """Write both distances in one line."""
        met = f"a counterexample at {self.upper:.6g}" if math.isfinite(self.upper) else "no counterexample met"
        if self.counterexample is not None:
            met += " (a tie)" if self.label_found == self.label else f" (class {self.label_found})"
        rests = " up to the solver's tolerance" if self.guarantee == "solver tolerance" else ""
        return (
            f"class {self.label}, {self.status}: proved up to {self.lower:.6g}{rests}, {met}; "
            f"{len(self.table)} radii asked"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{row.radius:.6g}</td><td>{row.verdict.value}</td><td>{html.escape(row.stage)}</td>"
            f"<td>{row.seconds:.3g}</td></tr>"
            for row in self.table
        )
        heads = "".join(f"<th>{name}</th>" for name in ("radius", "verdict", "by", "seconds"))
        table = f"<table><tr>{heads}</tr>{rows}</table>"
        return f"<div>{html.escape(str(self))}</div><details><summary>every radius</summary>{table}</details>"


class Enclosure:
    """What is known so far of the distance at which the class of an input changes.

    Attributes:
        subject, label, ball: What is asked.
        budget: Of the whole call.
        wanted: The gap at which to stop.
        lower: What is proved; both ends only ever improve.
        guarantee: What it rests on.
        verified: Whether the whole radius is.
        nearest: The nearest example.
        table: Every radius that was asked.
    """

    def __init__(self, subject: Subject, label: int, ball: Ball, budget: Budget, wanted: float) -> None:
        """Know nothing yet."""
        self.subject, self.label, self.ball, self.budget, self.wanted = subject, label, ball, budget, wanted
        self.lower, self.guarantee, self.verified = 0.0, "", False
        self.nearest = NearestExample(subject, label, ball)
        self.table: list[RadiusVerdict] = []

    @property
    def upper(self) -> float:
        """The distance of the nearest example."""
        return self.nearest.distance

    def proved(self, radius: float, guarantee: str, *, whole: bool = False) -> None:
        """The class is the same at every input up to this distance; `whole` where that is the whole radius."""
        if whole and not self.verified:
            self.verified, self.guarantee = True, guarantee
        if radius > self.lower:
            self.lower, self.guarantee = radius, guarantee

    def note(self, radius: float, verdict: Verdict, stage: str, seconds: float) -> None:
        """Write a line of the table."""
        self.table.append(RadiusVerdict(radius, verdict, stage, seconds))

    def result(self) -> RobustnessResult:
        """Write down what is known."""
        x = self.nearest.x
        verdict = Verdict.UNKNOWN if x is None else Verdict.FALSIFIED
        return RobustnessResult(
            min(self.lower, self.upper), self.upper, None if x is None else self.subject.to_caller(x), self.label,
            tuple(self.table), Verdict.VERIFIED if self.verified and x is None else verdict, self.nearest.label_found,
            self.guarantee if self.lower > 0 else "", self.ball.norm,
        )  # fmt: skip
