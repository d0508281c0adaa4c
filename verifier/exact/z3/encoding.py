"""A network and the violation of its spec, written as Z3 expressions in exact rationals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from verifier.answer.verdict import Question
from verifier.enclosure import Array, Bounds
from verifier.matrix import Matrix, row_terms
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
    """Write the network and its margins; stored weights are exact rationals, stable neurons are simplified away.

    A weight that is known only up to a radius becomes a free error on its neuron, as large as the inputs' bounds let it
    be: "unsatisfiable" still means verified.

    Args:
        solver: Where to write.
        question: Its margins must be linear in the logits.
        pre: Bounds on each hidden layer's z over the box, (neurons,) each.
        stop: Asked at every neuron whether time is up.

    Returns:
        The input variables and the margins; None where time ran out first.
    """
    network, box = question.network, question.box
    h: list[Any] = [
        solver.constant(low) if low == high else solver.variable(f"x{i}", low, high)
        for i, (low, high) in enumerate(zip(box.lower, box.upper, strict=True))
    ]
    inputs = list(h)
    reach = np.maximum(np.abs(box.lower), np.abs(box.upper))
    for index, layer in enumerate(network.layers):
        last = index == len(network.layers) - 1
        z: list[Any] = []
        for j, bias in enumerate(layer.bias):
            if stop():
                return None
            inactive = not last and pre[index].upper[j] <= 0
            if inactive:
                z.append(solver.constant(0))
                continue
            columns, row = row_terms(layer.weight, j)
            expression = solver.linear(row.tolist(), [h[i] for i in columns], bias)
            radius = _radius(layer.weight_error, layer.bias_error, j, reach)
            if radius:
                expression = expression + solver.variable(f"e{index}_{j}", -radius, radius)
            if last or pre[index].lower[j] >= 0:
                z.append(solver.name(expression, f"z{index}_{j}"))
            else:
                lower, upper = _short(pre[index].lower[j], math.floor), _short(pre[index].upper[j], math.ceil)
                pre_activation = solver.variable(f"z{index}_{j}", lower, upper)
                solver.require(pre_activation == expression)
                activation = solver.variable(f"h{index}_{j}", 0, upper)
                solver.require(activation == solver.relu(pre_activation))
                z.append(activation)
        h = z
        if not last:
            reach = np.maximum(pre[index].upper, 0.0)
    margins = question.margins
    expressions = [
        None if margin.row is None else solver.linear(margins.rows[margin.row], h, margin.offset)
        for margin in margins.margins
    ]
    return Encoding(inputs, [[(margins.margins[i], expressions[i]) for i in clause] for clause in margins.clauses])


def _short(bound: float, rounding: Callable[[float], int]) -> Fraction:
    """Round a bound outward to a multiple of 2**-10, so that Z3 need not carry 53 digits of it."""
    return Fraction(rounding(bound * 1024), 1024)


def _radius(weight_error: Matrix | None, bias_error: Array | None, neuron: int, reach: Array) -> Fraction:
    """Bound, exactly, what the uncertain weights of a neuron can add."""
    total = Fraction(0)
    if weight_error is not None:
        for i, error in zip(*row_terms(weight_error, neuron), strict=True):
            total += Fraction(float(error)) * Fraction(float(reach[i]))
    if bias_error is not None:
        total += Fraction(float(bias_error[neuron]))
    return total
