"""Outcome: what one method found, in one shape for searches, programs, Z3 and leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from verifier.answer.reason import Why
from verifier.answer.verdict import Counterexample, Verdict
from verifier.enclosure import Array, Bounds


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method found about a question, or about a part of it.

    Args:
        verdict: VERIFIED, FALSIFIED, or UNKNOWN.
        guarantee: Of a settled verdict: "exact", "rounded" or "solver tolerance".
        counterexample: A replayed one where the verdict is FALSIFIED.
        margin: The proved lower bound on the worst clause's margin; -inf where nothing is proved.
        why: Why it is UNKNOWN, where the method can tell; None otherwise.
        near: Whether a candidate was met whose margin is below rounding.
        candidate: A point that is worth a replay, (inputs,), where the method does not replay by itself.
        work: How much it took, in subdomains, nodes or the solver's own unit.
        multipliers: Of a linear program's rows, where they prove it; None otherwise.
        bounds: Bounds on the outputs that were found on the way, (outputs,), or None.
    """

    verdict: Verdict
    guarantee: str = ""
    counterexample: Counterexample | None = None
    margin: float = -math.inf
    why: Why | None = None
    near: bool = False
    candidate: Array | None = None
    work: float = 0.0
    bounds: Bounds | None = None
    multipliers: Array | None = None

    @staticmethod
    def proved(guarantee: str = "rounded", *, margin: float = -math.inf, work: float = 0.0) -> Outcome:
        """Every clause holds."""
        return Outcome(Verdict.VERIFIED, guarantee, margin=margin, work=work)

    @staticmethod
    def refuted(counterexample: Counterexample, *, margin: float = -math.inf, work: float = 0.0) -> Outcome:
        """A counterexample was found and replayed."""
        return Outcome(Verdict.FALSIFIED, counterexample.guarantee, counterexample, margin, work=work)

    @staticmethod
    def left_open(
        why: Why | None, *, margin: float = -math.inf, near: bool = False, candidate: Array | None = None,
        work: float = 0.0,
    ) -> Outcome:  # fmt: skip
        """Neither was found."""
        return Outcome(Verdict.UNKNOWN, margin=margin, why=why, near=near, candidate=candidate, work=work)

    @property
    def verified(self) -> bool:
        """Whether every clause holds."""
        return self.verdict is Verdict.VERIFIED
