"""Adapter for Clarabel: semidefinite programs in floating point, in the form in which their multipliers are unknown."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from verifier.enclosure import Array
from verifier.errors import missing
from verifier.matrix import compressed


class SdpStatus(enum.Enum):
    """How a run ended; every status of Clarabel that is not mapped by name is OTHER."""

    SOLVED = "solved"
    ALMOST_SOLVED = "almost solved"
    TIME_LIMIT = "time limit"
    ITERATION_LIMIT = "iteration limit"
    OTHER = "other"


@dataclass(frozen=True, eq=False)
class LargestShift:
    """Maximise t such that objective - t E - sum of y_i constraints[i] has no negative eigenvalue.

    E is 1 in its first corner and 0 elsewhere; y_i >= 0 where the constraint is an inequality.

    Args:
        objective: Symmetric, (n, n).
        constraints: Symmetric, (m, n, n).
        inequality: Which y_i must be >= 0, (m,).
    """

    objective: Array
    constraints: Array
    inequality: Array


@dataclass(frozen=True, eq=False)
class SdpAnswer:
    """What Clarabel returned; nothing of it is taken at its word. t and y are None where there is no point."""

    status: SdpStatus
    t: float | None = None
    y: Array | None = None


def largest_shift(program: LargestShift, timeout_s: float = float("inf")) -> SdpAnswer:
    """Solve it.

    Args:
        program: See LargestShift.
        timeout_s: Time limit in seconds.

    Raises:
        MissingDependencyError: clarabel is not installed.
    """
    try:
        import clarabel
    except ImportError as error:
        raise missing("Clarabel (the package clarabel) is not installed", "sdp") from error
    n, m = program.objective.shape[0], program.constraints.shape[0]
    upper = np.triu_indices(n)
    column_major = np.lexsort(upper)  # Clarabel stacks the upper triangle column by column
    i, j = upper[0][column_major], upper[1][column_major]
    weight = np.where(i == j, 1.0, np.sqrt(2.0))
    flat = program.constraints[:, i, j] * weight  # (m, triangle)
    # unknowns (t, y); A unknowns + s = b with s in the cones: y >= 0 for inequalities, then the matrix itself
    chosen = np.flatnonzero(program.inequality)
    constraint, place = np.nonzero(flat)
    rows = np.concatenate([np.arange(chosen.size), [chosen.size], chosen.size + place])
    columns = np.concatenate([1 + chosen, [0], 1 + constraint])
    values = np.concatenate([-np.ones(chosen.size), [1.0], flat[constraint, place]])
    matrix = compressed(rows, columns, values, (chosen.size + i.size, 1 + m))
    b = np.concatenate([np.zeros(chosen.size), program.objective[i, j] * weight])
    cones = [clarabel.NonnegativeConeT(int(chosen.size)), clarabel.PSDTriangleConeT(n)]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    if np.isfinite(timeout_s):
        settings.time_limit = max(timeout_s, 1e-3)
    q = np.zeros(1 + m)
    q[0] = -1.0
    none = np.zeros(0, dtype=np.intp)
    quadratic = compressed(none, none, np.zeros(0), (1 + m, 1 + m))
    solution = clarabel.DefaultSolver(quadratic, q, matrix, b, cones, settings).solve()
    found = np.asarray(solution.x, dtype=np.float64)
    status = {
        "Solved": SdpStatus.SOLVED,
        "AlmostSolved": SdpStatus.ALMOST_SOLVED,
        "MaxTime": SdpStatus.TIME_LIMIT,
        "MaxIterations": SdpStatus.ITERATION_LIMIT,
    }.get(str(solution.status), SdpStatus.OTHER)
    if found.shape != (1 + m,) or not np.isfinite(found).all():
        return SdpAnswer(status)
    return SdpAnswer(status, float(found[0]), found[1:])
