"""The violation of a spec beside an encoded network, in exact rationals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verifier.answer.verdict import Question
from verifier.enclosure import Bounds
from verifier.exact.z3.encode_network import encode_network
from verifier.question.margins import Margin
from verifier.solvers.z3_solver import RationalSolver


@dataclass(frozen=True, eq=False)
class Encoding:
    """What encode_violation wrote.

    Args:
        inputs: The input variables.
        clauses: For each clause the margins' expressions, None for a margin that nothing can change.
    """

    inputs: list[Any]
    clauses: list[list[tuple[Margin, Any]]]

    def violation(self, solver: RationalSolver, by: Fraction | None = None) -> Any:
        """Write "some clause fails": all its margins are below 0 (or equal, where strict), or below -by."""
        options = []
        for clause in self.clauses:
            conditions = []
            for margin, expression in clause:
                if expression is None:
                    conditions.append(solver.truth(margin.offset < 0))
                elif by is None:
                    # an offset known up to an error is taken at the end where the margin is smallest
                    limit = Fraction(margin.offset_error)
                    conditions.append(solver.below(expression, limit, strictly=not margin.strict))
                else:
                    conditions.append(solver.below(expression, -by, strictly=False))
            options.append(solver.all_hold(conditions))
        return solver.any_holds(options)


def encode_violation(
    solver: RationalSolver, question: Question, pre: Sequence[Bounds], stop: Callable[[], bool] = lambda: False
) -> Encoding | None:
    """Write the network and its margins.

    Args:
        solver: Where to write.
        question: Its margins must be linear in the logits.
        pre: Bounds on each hidden layer's z over the box, (neurons,) each.
        stop: Asked at every neuron whether time is up.

    Returns:
        The input variables and the margins; None where time ran out first.
    """
    network = encode_network(solver, question.network, question.box, pre, stop)
    if network is None:
        return None
    margins = question.margins
    expressions = [
        None if margin.row is None else solver.linear(margins.rows[margin.row], network.y, margin.offset)
        for margin in margins.margins
    ]
    return Encoding(network.x, [[(margins.margins[i], expressions[i]) for i in clause] for clause in margins.clauses])
