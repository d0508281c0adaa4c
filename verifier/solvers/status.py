"""Status and Answer: what an adapter says of its solver's run, in the same words for every solver.

An adapter follows one template. It maps each status of its solver by name, and one that it does not know is OTHER. It
hands over what the solver found, point, value, proved bound, multipliers, and takes none of it at its word.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from verifier.answer.reason import Reason
from verifier.enclosure import Array


class Status(enum.Enum):
    """How a run ended."""

    OPTIMAL = "optimal"
    SATISFIABLE = "satisfiable"
    INFEASIBLE = "infeasible"
    TIME_LIMIT = "time limit"
    NODE_LIMIT = "node limit"
    INTERRUPTED = "interrupted"
    OTHER = "other"

    @property
    def reason(self) -> Reason:
        """Why a question stays open after a run that ended like this, without an answer."""
        return _REASONS.get(self, Reason.SOLVER_GAVE_UP)


_REASONS = {
    Status.TIME_LIMIT: Reason.TIME_LIMIT,
    Status.NODE_LIMIT: Reason.WORK_LIMIT,
    Status.INTERRUPTED: Reason.INTERRUPTED,
}


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solver returned for a program that it minimised; nothing of it is taken at its word.

    Args:
        status: How the run ended.
        point: The best point found, (columns,), or None.
        duals: Multipliers of the rows of a linear program, (rows,), or None.
        objective: The value at `point`; infinite where there is none.
        bound: The solver's lower bound on the minimum; -inf where it has none.
        gap: (objective - bound) / |objective|, as the solver says it; 0 for a linear program at its optimum.
        nodes: Branch-and-bound nodes; 0 for a linear program.
        ray: Multipliers of the rows, (rows,), that are to show that a linear program is infeasible, or None.
    """

    status: Status
    point: Array | None
    duals: Array | None
    objective: float = math.inf
    bound: float = -math.inf
    gap: float = math.inf
    nodes: int = 0
    ray: Array | None = None
