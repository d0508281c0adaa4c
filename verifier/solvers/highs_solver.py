"""Adapter for HiGHS: linear programs and mixed-integer programs in floating point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Indices, Mask
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

    @cached_property
    def entries(self) -> tuple[Indices, Indices, Array]:
        """Every coefficient of A, row by row: its row, its column, and its value."""
        lengths = [len(index) for index, _ in self.rows]
        column = np.concatenate([np.zeros(0, dtype=np.intp), *(index for index, _ in self.rows)])
        value = np.concatenate([np.zeros(0), *(one for _, one in self.rows)])
        return np.repeat(np.arange(len(lengths)), lengths), column.astype(np.intp), value


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
    solver = _prepared_solver(highspy)
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
    linear = _linear_answer(highspy, solver, program.cost, len(program.rows))
    if not program.whole.any():
        return linear
    status, point, duals, objective = linear.status, linear.point, linear.duals, linear.objective
    info = solver.getInfo()
    gap = math.inf if point is None else float(info.mip_gap)
    return Answer(status, point, duals, objective, float(info.mip_dual_bound), gap, max(int(info.mip_node_count), 0))


class ChangingProgram:
    """A linear program that changes, and that HiGHS solves again each time from where it ended before.

    Attributes:
        cost, lower, upper, row_lower, row_upper, entries: As for Program, as they are by now; to be read only.
    """

    def __init__(self, program: Program) -> None:
        """Begin with a program without whole numbers.

        Raises:
            MissingDependencyError: highspy is not installed.
        """
        self._highs = require_highs()
        self.cost, self.lower, self.upper = program.cost.copy(), program.lower.copy(), program.upper.copy()
        self.row_lower, self.row_upper = program.row_lower.copy(), program.row_upper.copy()
        row, column, value = program.entries
        self.entries = (row, column, value.copy())
        self._solver = _prepared_solver(self._highs)
        self._solver.setOptionValue("presolve", "off")
        self._solver.HandleKeyboardInterrupt = False  # each run is short, and a thread for it would take longer
        self._solver.passModel(_model(self._highs, program))

    def limit_columns(self, columns: Indices, lower: Array, upper: Array) -> None:
        """Give some columns other bounds, (n,) each."""
        self.lower[columns], self.upper[columns] = lower, upper
        self._solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def limit_rows(self, rows: Indices, lower: Array, upper: Array) -> None:
        """Give some rows other limits, (n,) each."""
        self.row_lower[rows], self.row_upper[rows] = lower, upper
        self._solver.changeRowsBounds(len(rows), rows.astype(np.int32), lower, upper)

    def set_entries(self, numbers: Indices, values: Array) -> None:
        """Give some coefficients, by their places in `entries`, other values."""
        row, column, value = self.entries
        for number, new in zip(numbers, values, strict=True):
            if value[number] != new:
                value[number] = new
                self._solver.changeCoeff(int(row[number]), int(column[number]), float(new))

    def set_cost(self, cost: Array) -> None:
        """Minimise something else, (columns,)."""
        changed = np.flatnonzero(cost != self.cost)
        self.cost[changed] = cost[changed]
        self._solver.changeColsCost(len(changed), changed.astype(np.int32), cost[changed])

    def solve(self, timeout_s: float) -> Answer:
        """Solve it as it is by now."""
        limit = self._solver.getRunTime() + max(timeout_s, 0.0) if np.isfinite(timeout_s) else math.inf
        self._solver.setOptionValue("time_limit", float(limit))
        self._solver.run()
        return _linear_answer(self._highs, self._solver, self.cost, len(self.row_lower))


def _linear_answer(highspy: Any, solver: Any, cost: Array, rows: int) -> Answer:
    """What HiGHS says after a run, read as a linear program's answer.

    Raises:
        KeyboardInterrupt: The run was interrupted.
    """
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
    objective = float(cost @ point) if point is not None else math.inf
    ray = _ray(solver, rows) if status is Status.INFEASIBLE else None
    bound, gap = (objective, 0.0) if status is Status.OPTIMAL else (-math.inf, math.inf)
    return Answer(status, point, duals, objective, bound, gap, ray=ray)


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


def _prepared_solver(highspy: Any) -> Any:
    """A silent solver of one thread, with the tolerances that answers here are judged by."""
    solver = _silent_solver(highspy)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 0)
    solver.setOptionValue("primal_feasibility_tolerance", FEASIBILITY_ATOL)
    solver.setOptionValue("mip_feasibility_tolerance", FEASIBILITY_ATOL)
    return solver


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
    row, column, value = program.entries
    model.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))]).astype(np.int32)
    model.a_matrix_.index_, model.a_matrix_.value_ = column.astype(np.int32), value
    if program.whole.any():
        kinds = highspy.HighsVarType
        model.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in program.whole]
    return model
