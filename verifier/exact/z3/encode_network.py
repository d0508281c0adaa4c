"""A network as expressions over any arithmetic: what is written is the same for reals, floats or anything between.

Nothing is asked here. The expressions of inputs, hidden values and logits come back by name, and whoever asks writes
conditions on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from verifier.enclosure import Array, Bounds
from verifier.matrix import Matrix, row_terms
from verifier.network import Network
from verifier.question.spec import Box

Number = float | Fraction


class Arithmetic(Protocol):
    """What a solver's arithmetic has to offer for a network to be written in it; RationalSolver is one."""

    def constant(self, value: Number) -> Any:
        """Write a number."""

    def variable(self, name: str, lower: Number, upper: Number) -> Any:
        """Add a variable between two numbers."""

    def linear(self, coefficients: Sequence[Number], terms: Sequence[Any], offset: Number) -> Any:
        """Write sum of coefficients times terms plus offset."""

    def name(self, expression: Any, name: str) -> Any:
        """Give an expression a variable of its own, so that it is written once."""

    def relu(self, z: Any) -> Any:
        """Write relu(z)."""

    def require(self, condition: Any) -> None:
        """Add a condition."""


@dataclass(frozen=True, eq=False)
class NetworkExpressions:
    """Which expression is which value of the network.

    Args:
        x: The inputs, one for each.
        z: Pre-activations of each hidden layer, None for a neuron that its bounds show to be inactive.
        h: Activations of each hidden layer.
        y: The logits.
    """

    x: list[Any]
    z: list[list[Any]]
    h: list[list[Any]]
    y: list[Any]


def encode_network(
    arithmetic: Arithmetic, network: Network, box: Box, pre: Sequence[Bounds],
    stop: Callable[[], bool] = lambda: False,
) -> NetworkExpressions | None:  # fmt: skip
    """Write a network over a box; stored weights are exact, stable neurons are simplified away.

    A weight that is known only up to a radius becomes a free error on its neuron, as large as the inputs' bounds let it
    be, so that "unsatisfiable" still means that no input does it.

    Args:
        arithmetic: Where to write.
        network: What is encoded; its head plays no part.
        box: The inputs.
        pre: Bounds on each hidden layer's z over the box, (neurons,) each.
        stop: Asked at every neuron whether time is up.

    Returns:
        The expressions; None where time ran out first.
    """
    x: list[Any] = [
        arithmetic.constant(low) if low == high else arithmetic.variable(f"x{i}", low, high)
        for i, (low, high) in enumerate(zip(box.lower, box.upper, strict=True))
    ]
    found = NetworkExpressions(x, [], [], [])
    h, reach = x, np.maximum(np.abs(box.lower), np.abs(box.upper))
    for index, layer in enumerate(network.layers):
        last = index == len(network.layers) - 1
        before: list[Any] = []
        after: list[Any] = []
        for j, bias in enumerate(layer.bias):
            if stop():
                return None
            if not last and pre[index].upper[j] <= 0:
                before.append(None)
                after.append(arithmetic.constant(0))
                continue
            columns, row = row_terms(layer.weight, j)
            expression = arithmetic.linear(row.tolist(), [h[i] for i in columns], bias)
            radius = _radius(layer.weight_error, layer.bias_error, j, reach)
            if radius:
                expression = expression + arithmetic.variable(f"e{index}_{j}", -radius, radius)
            if last or pre[index].lower[j] >= 0:
                before.append(arithmetic.name(expression, f"z{index}_{j}"))
                after.append(before[-1])
            else:
                lower, upper = _short(pre[index].lower[j], math.floor), _short(pre[index].upper[j], math.ceil)
                pre_activation = arithmetic.variable(f"z{index}_{j}", lower, upper)
                arithmetic.require(pre_activation == expression)
                activation = arithmetic.variable(f"h{index}_{j}", 0, upper)
                arithmetic.require(activation == arithmetic.relu(pre_activation))
                before.append(pre_activation)
                after.append(activation)
        if last:
            found.y.extend(before)
            break
        found.z.append(before)
        found.h.append(after)
        h, reach = after, np.maximum(pre[index].upper, 0.0)
    return found


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
