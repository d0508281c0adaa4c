"""LayerBounds, what every bounding method returns, and the signature they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from verifier.enclosure import Array, Bounds
from verifier.network import Network


@dataclass(frozen=True, eq=False)
class Plane:
    """A linear function below the rows over a box: row >= slope . x + offset - (its rounding, already taken off).

    Args:
        slope: Shape (batch, rows, inputs).
        offset: Shape (batch, rows).
    """

    slope: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class LayerBounds:
    """Bounds on every pre-activation and on the rows asked for, over each box of a batch.

    Args:
        pre: Bounds on z of each hidden layer, (batch, neurons) each.
        rows: Bounds on rows @ logits, (batch, rows).
        plane: Linear lower bounds on the rows, where the method has them.
        influence: For each hidden layer |d z / d x| of its linear bound, (batch, neurons, inputs); what a split of an
            input does to a neuron. Where the method has it.
        error_weight: For each hidden layer how much each neuron's relaxation costs each row, (batch, rows, neurons).
        slopes: For each hidden layer the slope of the line below each ReLU that the rows' planes were made with,
            (batch, neurons). Where the method tells.
    """

    pre: tuple[Bounds, ...]
    rows: Bounds
    plane: Plane | None = None
    influence: tuple[Array, ...] | None = None
    error_weight: tuple[Array, ...] | None = None
    slopes: tuple[Array, ...] | None = None


class BoundingMethod(Protocol):
    """What a bounding method looks like to the search."""

    def __call__(
        self, network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None
    ) -> LayerBounds:
        """Bound.

        Args:
            network: What is bounded.
            boxes: Input boxes, (batch, inputs).
            rows: Linear functions of the logits, (rows, logits).
            known: Bounds on each hidden layer's z that hold in these boxes already; the result is no looser.
        """
