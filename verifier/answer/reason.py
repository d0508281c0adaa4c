"""Reason: why a question stays open, one name for each cause. Nothing decides anything by the words.

A Result says in words why it is UNKNOWN, with the numbers of the case at hand, and names the cause beside them. Whoever
wants to know whether time ran out asks for the name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """Why a question stays open; each value is a sentence that ends with what may help."""

    TIME_LIMIT = "The time limit was reached: a larger timeout_s may settle it."
    WORK_LIMIT = "The limit on subdomains was reached: a larger max_subdomains may settle it."
    MEMORY = "The memory was not enough: a smaller box or network may settle it."
    INTERRUPTED = "It was interrupted: run it again to go on from the start."
    BELOW_ROUNDING = (
        "Somewhere in the box the margin is smaller than what floating point rounds: ask for a little more or a little "
        "less than this threshold."
    )
    NOT_SUPPORTED = "The method does not support this spec: choose another method, or method='auto'."
    BOUNDS_OPEN = "The bounds do not settle it, which proves nothing: a complete method such as 'auto' goes on."
    ATTACK_OPEN = "The attack found no counterexample, which proves nothing: a complete method such as 'auto' goes on."
    TOO_LARGE = "Values are too large for bounds in float64: scale the inputs or the weights down."
    SOLVER_TOLERANCE = "The margin is within the solver's own tolerance: method='auto' or 'z3' is more exact."
    SOLVER_GAVE_UP = "The solver ended without an answer: choose another method, or method='auto'."
    WORKER_DIED = "A worker process died on one sub-problem three times: it may need more memory or fewer workers."
    LIBRARY_MISSING = "A library that this needs is not installed: the message names it."
    UNDECIDED = "No stage settled it: choose a complete method by name, or a smaller box."


@dataclass(frozen=True)
class Why:
    """A reason, and the words for the case at hand.

    Args:
        reason: The cause.
        words: What is shown, numbers included; "" for the reason's own sentence.
    """

    reason: Reason
    words: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        return self.words or self.reason.value


BELOW_ROUNDING = Why(Reason.BELOW_ROUNDING, "margin below rounding")
INTERRUPTED = Why(Reason.INTERRUPTED, "interrupted")


def time_is_up(limit_s: float, what: str = "reached") -> Why:
    """The limit of time, in words."""
    return Why(Reason.TIME_LIMIT, f"time limit of {limit_s:g} s {what}")
