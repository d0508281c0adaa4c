"""The adapter for HiGHS: what a process prints is its own, whatever the solver's release prints by itself."""

import subprocess
import sys

import numpy as np

from verifier.solvers.highs_solver import Program, Status, solve

ASK = """
import numpy as np
from verifier.solvers.highs_solver import Program, solve
rows = ((np.array([0, 1], dtype=np.int32), np.array([1.0, 1.0])),)
for whole in (False, True):
    program = Program(
        np.array([1.0, 1.0]), np.zeros(2), np.ones(2), rows, np.array([0.5]), np.array([np.inf]), np.full(2, whole)
    )
    for presolve in (True, False):
        print(solve(program, timeout_s=10.0, presolve=presolve).status.value)
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
    assert printed(ASK) == ("optimal\n" * 4, "")


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
