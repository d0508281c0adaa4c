"""Builder: a linear program as it is written down, column by column and row by row, each group of columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.enclosure import Array, Mask
from verifier.matrix import row_terms
from verifier.network import Affine
from verifier.solvers.highs_solver import Program

Columns = NDArray[np.int32]
NONE = -1  # in place of a column's number: a neuron without that column


class Builder:
    """Columns and rows as they are added.

    Attributes:
        count: Number of columns so far.
        named: The numbers of the columns that were added under a name.
    """

    def __init__(self) -> None:
        """Begin with an empty program."""
        self.lower: list[Array] = []
        self.upper: list[Array] = []
        self.count = 0
        self.rows: list[tuple[Columns, Array]] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []
        self.named: dict[str, Columns] = {}
        self._whole: list[Columns] = []

    def columns(self, lower: Array, upper: Array, name: str = "", *, whole: bool = False) -> Columns:
        """Add columns between bounds, (n,), and return their numbers; `whole` ones are whole numbers."""
        self.lower.append(lower)
        self.upper.append(upper)
        self.count += len(lower)
        added = np.arange(self.count - len(lower), self.count, dtype=np.int32)
        if name:
            self.named[name] = added
        if whole:
            self._whole.append(added)
        return added

    def limits(self, columns: Columns) -> tuple[Array, Array]:
        """The bounds of some columns, (n,) each."""
        lower, upper = np.concatenate(self.lower), np.concatenate(self.upper)
        return lower[columns], upper[columns]

    def row(self, columns: Sequence[Any], values: Sequence[float], lower: float, upper: float) -> int:
        """Add lower <= values . columns <= upper, and return its number; coefficients of zero are left out."""
        index, value = np.asarray(columns, dtype=np.int32), np.asarray(values, dtype=np.float64)
        kept = value != 0
        self.rows.append((index[kept], value[kept]))
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        return len(self.rows) - 1

    def affine_rows(self, layer: Affine, h: Columns, z: Columns, reach: Array) -> None:
        """Add z - weight h = bias for |h| <= reach, or within the radius of what is not known of the weights."""
        radius = np.zeros(len(layer.bias))
        if layer.weight_error is not None:
            radius = radius + 1.001 * (layer.weight_error @ reach)
        if layer.bias_error is not None:
            radius = radius + 1.001 * layer.bias_error
        for j, bias in enumerate(layer.bias):
            columns, row = row_terms(layer.weight, j)
            low, high = float(bias), float(bias)
            if radius[j] > 0:
                low, high = np.nextafter(bias - radius[j], -np.inf), np.nextafter(bias + radius[j], np.inf)
            self.row([z[j], *h[columns]], [1.0, *(-row)], low, high)

    def program(self, cost: Mapping[int, float]) -> Program:
        """Put it together: minimise the sum of some columns, each times its cost."""
        costs = np.zeros(self.count)
        for column, value in cost.items():
            costs[column] = value
        is_whole: Mask = np.zeros(self.count, dtype=np.bool_)
        for columns in self._whole:
            is_whole[columns] = True
        return Program(
            costs, np.concatenate(self.lower), np.concatenate(self.upper), tuple(self.rows),
            np.array(self.row_lower), np.array(self.row_upper), is_whole, dict(self.named),
        )  # fmt: skip
