"""Search: what every splitting search offers to the stages, whatever it splits.

A search holds the parts of the question that are open. run() bounds parts, settles them, looks for counterexamples and
splits what is left, until nothing is open, a counterexample was replayed, or a limit is reached; it can be called
again. An observer is told of every part (events.py), and open_parts.py holds those that are open. What finds candidates
has them replayed here.
"""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import Protocol

from verifier.answer.budget import Budget
from verifier.answer.outcome import Outcome
from verifier.answer.reason import Why
from verifier.answer.verdict import Counterexample, Question, Rejection, check_candidates, check_counterexample
from verifier.enclosure import Array
from verifier.search.between import really_violated


class Search(Protocol):
    """A search that can be continued."""

    def run(self, budget: Budget, max_boxes: float = math.inf) -> None:
        """Go on until settled, until the budget is exhausted, or for about max_boxes parts."""

    @property
    def open_boxes(self) -> Sized:
        """Parts that are not settled yet."""

    @property
    def verified(self) -> bool:
        """Whether every part is settled and none is violated."""

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one that was replayed."""

    @property
    def near(self) -> bool:
        """Whether a candidate was met whose margin is below rounding."""

    @property
    def margin(self) -> float:
        """The best lower bound on the worst margin that the parts prove."""

    @property
    def reason(self) -> Why | None:
        """Why the search ended without an answer, where no limit was reached."""


def outcome_of(search: Search, budget: Budget) -> Outcome:
    """Write down what a search has found so far."""
    if search.counterexample is not None:
        return Outcome.refuted(search.counterexample)
    if search.verified:
        return Outcome.proved(margin=search.margin)
    return Outcome.left_open(budget.exhausted() or search.reason, margin=search.margin, near=search.near)


class Replayer:
    """Replays candidates of one question, and keeps the counterexamples: whatever finds candidates goes through here.

    Args:
        question: What is asked.
    """

    def __init__(self, question: Question) -> None:
        """Know of none yet."""
        self.question = question
        self.counterexamples: list[Counterexample] = []  # in the order they were met
        self.near = False  # a candidate was met whose margin is below rounding
        self.violated = False  # one where the real network violates the spec, and no counterexample is (between.py)

    @property
    def counterexample(self) -> Counterexample | None:
        """The first one."""
        return self.counterexamples[0] if self.counterexamples else None

    def confirms(self, candidate: Array) -> bool:
        """Replay a candidate, (inputs,); True, and kept, where it is a counterexample."""
        confirmed = self._keep(check_counterexample(self.question, candidate))
        self.violated = self.violated or (not confirmed and really_violated(self.question, candidate))
        return confirmed

    def confirm(self, candidates: Array) -> list[bool]:
        """Replay some candidates, (candidates, inputs), at once: of which confirms() is true.

        Whether the real network violates the spec at one that is not confirmed is left open here.
        """
        return [self._keep(found) for found in check_candidates(self.question, candidates)]

    def _keep(self, found: Counterexample | Rejection) -> bool:
        if isinstance(found, Counterexample):
            self.counterexamples.append(found)
            return True
        self.near |= found.near
        return False
