"""Whether two specs mean the same, decided exactly: for graded specs, which may be written in many forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from verifier.errors import VerifierError
from verifier.question.spec import Box, Clause, Inequality, output_spec
from verifier.solvers.z3_solver import Answer, RationalSolver


def same_box(first: Any, second: Any) -> bool:
    """Whether two x_specs mean the same box; anything that is no box is the same as nothing.

    Example:
        >>> same_box([[0, 1]], Box([0.0], [1.0]))
        True
    """
    try:
        one, two = Box.from_pairs(first), Box.from_pairs(second)
    except VerifierError:
        return False
    return bool(np.array_equal(one.lower, two.lower) and np.array_equal(one.upper, two.upper))


def same_output_spec(first: Any, second: Any, outputs: int, *, timeout_s: float = 10.0) -> bool:
    """Whether two y_specs hold of exactly the same outputs (and inputs), decided by Z3 in rationals.

    Args:
        first: An OutputSpec or [lower, upper] pairs.
        second: The same.
        outputs: Number of outputs of the network they speak of.
        timeout_s: Time limit; running into it counts as "not the same".

    Example:
        >>> same_output_spec([[None, 0.5]], [(float("-inf"), 0.5)], outputs=1)
        True
    """
    try:
        one, two = output_spec(first).clauses(outputs), output_spec(second).clauses(outputs)
    except VerifierError:
        return False
    solver = RationalSolver()
    y = [solver.unlimited(f"y{i}") for i in range(outputs)]
    inputs = {len(i.inputs) for clause in (*one, *two) for i in clause} - {0}
    if len(inputs) > 1:
        return False  # they speak of networks with different numbers of inputs
    x = [solver.unlimited(f"x{i}") for i in range(max(inputs, default=0))]
    holds_one, holds_two = _write(solver, y, x, one), _write(solver, y, x, two)
    differ = solver.any_holds(
        [
            solver.all_hold([holds_one, solver.opposite(holds_two)]),
            solver.all_hold([solver.opposite(holds_one), holds_two]),
        ]
    )
    return solver.check(timeout_s, assuming=[differ]) is Answer.UNSATISFIABLE


def _write(solver: RationalSolver, y: list[Any], x: list[Any], clauses: tuple[Clause, ...]) -> Any:
    """Write "every clause holds"."""

    def holds(one: Inequality) -> Any:
        terms = [*y, *x] if one.inputs else y
        margin = solver.linear((*one.coefficients, *one.inputs), terms, one.offset)
        return solver.opposite(solver.below(margin, 0, strictly=not one.strict))

    return solver.all_hold([solver.any_holds([holds(one) for one in clause]) for clause in clauses])
