"""Adapter for HiGHS: linear programs and mixed-integer programs in floating point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Mask
from verifier.errors import missing
from verifier.solvers.status import Answer, Status

FEASIBILITY_ATOL = 1e-7  # how far a row or a switch may be off; at 1e-9 HiGHS 1.15 called feasible programs infeasible


@dataclass(frozen=True, eq=False)
class Program:
    """Minimise cost . v subject to row_lower <= A v <= row_upper, lower <= v <= upper, some v whole numbers.

    Args:
        cost: Shape (columns,).
        lower, upper: Shape (columns,), finite.
        rows: A by rows: for each row its column numbers and coefficients.
        row_lower, row_upper: Shape (rows,), infinite where there is no limit.
        whole: Which columns are whole numbers, (columns,).
        columns: The numbers of columns that have a name; -1 in place of one that is not there.
    """

    cost: Array
    lower: Array
    upper: Array
    rows: tuple[tuple[NDArray[np.int32], Array], ...]
    row_lower: Array
    row_upper: Array
    whole: Mask
    columns: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)


def solve(
    program: Program, *, timeout_s: float, max_nodes: int | None = None, presolve: bool = True,
    gap: float | None = None,
) -> Answer:  # fmt: skip
    """Run HiGHS on one thread.

    Args:
        program: What to minimise.
        timeout_s: Time limit in seconds.
        max_nodes: Limit on branch-and-bound nodes, for repeatable runs.
        presolve: Whether the program is simplified first; without, "infeasible" comes from another part of HiGHS.
        gap: Relative gap of a mixed-integer program at which to end; None for HiGHS's own, 1e-4.

    Raises:
        MissingDependencyError: highspy is not installed.
    """
    highspy = require_highs()
    solver = _silent_solver(highspy)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 0)
    solver.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_ATOL)
    solver.setOptionValue("mip_feasibility_tolerance", FEASIBILITY_ATOL)
    if np.isfinite(timeout_s):
        solver.setOptionValue("time_limit", float(max(timeout_s, 0.0)))
    if gap is not None:
        solver.setOptionValue("mip_rel_gap", float(gap))
    if not presolve:
        solver.setOptionValue("presolve", "off")
    if max_nodes is not None:
        solver.setOptionValue("mip_max_nodes", int(max_nodes))
    solver.HandleKeyboardInterrupt = True
    solver.passModel(_model(highspy, program))
    solver.run()
    statuses = highspy.HighsModelStatus
    names = {
        statuses.kOptimal: Status.OPTIMAL,
        statuses.kInfeasible: Status.INFEASIBLE,
        statuses.kTimeLimit: Status.TIME_LIMIT,
        statuses.kSolutionLimit: Status.NODE_LIMIT,
        statuses.kInterrupt: Status.INTERRUPTED,
    }
    status = names.get(solver.getModelStatus(), Status.OTHER)
    if status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    solution = solver.getSolution()
    point = np.array(solution.col_value) if solution.value_valid else None
    duals = np.array(solution.row_dual) if solution.dual_valid else None
    info = solver.getInfo()
    objective = float(program.cost @ point) if point is not None else math.inf
    if not program.whole.any():
        optimal = status is Status.OPTIMAL
        ray = _ray(solver, len(program.rows)) if status is Status.INFEASIBLE else None
        bound, gap = (objective, 0.0) if optimal else (-math.inf, math.inf)
        return Answer(status, point, duals, objective, bound, gap, ray=ray)
    gap = math.inf if point is None else float(info.mip_gap)
    return Answer(status, point, duals, objective, float(info.mip_dual_bound), gap, max(int(info.mip_node_count), 0))


def require_highs() -> Any:
    """HiGHS's own module.

    Raises:
        MissingDependencyError: highspy is not installed.
    """
    try:
        import highspy
    except ImportError as error:
        raise missing("HiGHS (the package highspy) is not installed", "exact") from error
    return highspy


def _ray(solver: Any, rows: int) -> Array | None:
    """Multipliers that HiGHS says show infeasibility, where it has any."""
    _, has_ray, ray = solver.getDualRay()
    return np.array(ray, dtype=np.float64) if has_ray and len(ray) == rows else None


def _silent_solver(highspy: Any) -> Any:
    """A solver that prints nothing.

    HiGHS 1.16 prints a banner from its own constructor, where it enables its callbacks: before any option can be set
    from outside, and once per solver.
    """

    class Silent(highspy.Highs):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # HiGHS's own name
            self.setOptionValue("output_flag", False)
            self.setOptionValue("log_to_console", False)
            super().enableCallbacks()

    solver = Silent()
    solver.setOptionValue("output_flag", False)  # also where a release's constructor enables no callbacks
    return solver


def _model(highspy: Any, program: Program) -> Any:
    """Write a program as HiGHS takes it."""
    model = highspy.HighsLp()
    columns, rows = len(program.cost), len(program.rows)
    model.num_col_, model.num_row_ = columns, rows
    model.col_cost_, model.col_lower_, model.col_upper_ = program.cost, program.lower, program.upper
    model.row_lower_, model.row_upper_ = program.row_lower, program.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.num_col_, model.a_matrix_.num_row_ = columns, rows
    model.a_matrix_.start_ = np.cumsum([0, *(len(index) for index, _ in program.rows)]).astype(np.int32)
    model.a_matrix_.index_ = np.concatenate([index for index, _ in program.rows]).astype(np.int32)
    model.a_matrix_.value_ = np.concatenate([value for _, value in program.rows])
    if program.whole.any():
        kinds = highspy.HighsVarType
        model.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in program.whole]
    return model
