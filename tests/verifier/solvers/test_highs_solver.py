"""The adapter for HiGHS: what a process prints is its own, whatever the solver's release prints by itself."""

import subprocess
import sys

import numpy as np

from verifier.solvers.highs_solver import ChangingProgram, Program, Status, solve

ASK = """
import numpy as np
from verifier.solvers.highs_solver import ChangingProgram, Program, solve
rows = ((np.array([0, 1], dtype=np.int32), np.array([1.0, 1.0])),)
for whole in (False, True):
    program = Program(
        np.array([1.0, 1.0]), np.zeros(2), np.ones(2), rows, np.array([0.5]), np.array([np.inf]), np.full(2, whole)
    )
    for presolve in (True, False):
        print(solve(program, timeout_s=10.0, presolve=presolve).status.value)
    if not whole:
        print(ChangingProgram(program).solve(10.0).status.value)
"""
CHECK_LEAF = """
import numpy as np
from verifier import Affine, Network, less_than, verify
network = Network((Affine(np.ones((1, 1)), np.zeros(1)), Affine(np.ones((1, 1)), np.zeros(1))))
for method in ("lp", "milp"):
    print(verify(network, [[0, 1]], less_than(2.0), method=method).verdict.value)
"""


def printed(code: str) -> tuple[str, str]:
    """What a whole process prints, C's own buffers included."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_solver_prints_nothing() -> None:
    assert printed(ASK) == ("optimal\n" * 5, "")


def test_methods_that_ask_the_solver_print_nothing() -> None:
    assert printed(CHECK_LEAF) == ("verified\n" * 2, "")


def test_smallest_sum_above_a_half_is_a_half_and_one_in_whole_numbers() -> None:
    rows = ((np.array([0, 1], dtype=np.int32), np.array([1.0, 1.0])),)
    for whole, least in ((False, 0.5), (True, 1.0)):
        program = Program(np.ones(2), np.zeros(2), np.ones(2), rows, np.array([0.5]), np.array([np.inf]),
                          np.full(2, whole))  # fmt: skip
        answer = solve(program, timeout_s=10.0)
        assert answer.status is Status.OPTIMAL
        assert answer.point is not None and abs(answer.point.sum() - least) < 1e-6


def test_a_program_that_changes_is_solved_as_it_is_by_then() -> None:
    """Least x + y with x + y >= 1/2 in the unit square; then each part changes in turn, worked by hand."""
    rows = ((np.array([0, 1], dtype=np.int32), np.array([1.0, 1.0])),)
    square = Program(np.ones(2), np.zeros(2), np.ones(2), rows, np.array([0.5]), np.array([np.inf]), np.full(2, False))
    program, first, second = ChangingProgram(square), np.array([0]), np.array([1])

    def least() -> float:
        answer = program.solve(10.0)
        assert answer.status is Status.OPTIMAL and answer.duals is not None
        return round(answer.objective, 6)

    assert least() == 0.5
    program.limit_rows(first, np.array([0.75]), np.array([np.inf]))
    assert least() == 0.75
    program.set_entries(second, np.array([3.0]))  # x + 3 y >= 3/4
    assert least() == 0.25
    program.limit_columns(second, np.array([0.0]), np.array([0.125]))
    assert least() == 0.5  # y = 1/8, x = 3/8
    program.set_cost(np.array([1.0, -1.0]))
    assert least() == 0.25
    program.limit_rows(first, np.array([2.0]), np.array([np.inf]))
    answer = program.solve(10.0)  # at most 1 + 3/8
    assert answer.status is Status.INFEASIBLE
    assert square.row_lower[0] == 0.5 and square.upper[1] == 1.0 and square.rows[0][1][1] == 1.0
    assert program.solve(0.0).status in (Status.TIME_LIMIT, Status.INFEASIBLE)
