"""IntegerModel: what synthesis asks of a solver for whole numbers; Z3 and CP-SAT offer it in their adapters.

A term is the solver's own expression, or a plain int. Bits are terms that are 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from verifier.solvers.status import Status

Term = Any


class IntegerModel(Protocol):
    """Variables, terms and requirements over whole numbers, and the search for the best."""

    def one_of(self, values: Sequence[int]) -> Term:
        """Add a variable that has one of these values."""

    def whole(self, lower: int, upper: int) -> Term:
        """Add a variable between two numbers."""

    def total(self, parts: Sequence[Term]) -> Term:
        """Write a sum of terms and numbers."""

    def product(self, hole: Term, term: Term, lower: int, upper: int) -> Term:
        """Write hole * term, which lies between two numbers; the hole comes from one_of()."""

    def positive_part(self, term: Term, lower: int, upper: int) -> Term:
        """Write max(term, 0) of a term between two numbers."""

    def reaches(self, term: Term, limit: int) -> Term:
        """Write the bit that is 1 exactly where term >= limit."""

    def as_sign(self, bit: Term) -> Term:
        """Write 1 where a bit is 1, and -1 where it is 0."""

    def all_one(self, bits: Sequence[Term]) -> Term:
        """Write the bit that is 1 exactly where all of these are."""

    def at_least(self, term: Term, limit: Term) -> None:
        """Require term >= limit."""

    def hint(self, term: Term, value: int) -> None:
        """Suggest a value for a variable, from which the search may start."""

    def best(
        self,
        objective: Term,
        upper: int,
        *,
        timeout_s: float,
        tell: Callable[[int, int], None],
        work: float | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> tuple[Status, int | None, int]:
        """Maximise a term.

        Args:
            objective: What is maximised; it cannot exceed `upper`.
            upper: A bound that is known in advance.
            timeout_s: Wall time in seconds.
            tell: Called with (value, bound) at each improvement.
            work: A limit in the solver's own unit, which does not depend on the machine's load; None for none.
            workers: Threads, where the solver has them.
            seed: Of the search.

        Returns:
            How it ended; the best value found or None; the proved bound. Ctrl-C ends it with Status.INTERRUPTED.
        """

    def value_of(self, term: Term) -> int:
        """Read a term in the best answer so far."""
