"""The hardest small 3-CNF formulas, 4.26 clauses for each variable: as networks for verify(), and for SAT solvers."""

from __future__ import annotations

from typing import Any

from course_utils.synthesis import random_cnf, sat_answer
from judges.formulas import judge_formulas

RATIO = 4.26  # clauses for each variable, where half of the random formulas are satisfiable
SEEDS = 10
SIZES = (4, 6, 8, 10, 12, 14, 16, 18, 20)
TIMEOUT_S = 20.0


def run_formulas() -> list[dict[str, Any]]:
    """A line for each number of variables: CPU seconds of verify() and of CP-SAT, and whether they agree."""
    return [
        judge_formulas(
            size, [random_cnf(size, round(RATIO * size), seed) for seed in range(SEEDS)], sat_answer, TIMEOUT_S
        )
        for size in SIZES
    ]
