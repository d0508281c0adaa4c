"""A network and one clause of its spec as a linear or mixed-integer program, in matrices.

Columns: the inputs, then z and h of every hidden layer, then the logits, then the clause's best margin t; for a
mixed-integer program a switch for every unstable neuron follows. The program's smallest t is the smallest value that
the clause's best margin takes over the box (mixed-integer), or a lower bound on it (linear: the triangle relaxation).
Every coefficient is a stored weight or a rounded-up line, so what the program says is true of the real network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.answer.verdict import Question
from verifier.bounds.relaxation import relax_relu
from verifier.enclosure import Array, Bounds, Mask
from verifier.matrix import row_terms
from verifier.network import Affine
from verifier.solvers.highs_solver import Program

Columns = NDArray[np.int32]


class Builder:
    """Columns and rows as they are added."""

    def __init__(self) -> None:
        self.lower: list[Array] = []
        self.upper: list[Array] = []
        self.count = 0
        self.rows: list[tuple[Columns, Array]] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []

    def columns(self, lower: Array, upper: Array) -> Columns:
        """Add columns between bounds and return their numbers."""
        self.lower.append(lower)
        self.upper.append(upper)
        self.count += len(lower)
        return np.arange(self.count - len(lower), self.count, dtype=np.int32)

    def row(self, columns: Sequence[Any], values: Sequence[float], lower: float, upper: float) -> None:
        """Add lower <= values . columns <= upper; coefficients of zero are left out."""
        index, value = np.asarray(columns, dtype=np.int32), np.asarray(values, dtype=np.float64)
        kept = value != 0
        self.rows.append((index[kept], value[kept]))
        self.row_lower.append(lower)
        self.row_upper.append(upper)

    def program(self, cost_column: int, whole: Columns) -> Program:
        """Put it together: minimise one column."""
        cost = np.zeros(self.count)
        cost[cost_column] = 1.0
        is_whole: Mask = np.zeros(self.count, dtype=np.bool_)
        is_whole[whole] = True
        return Program(
            cost, np.concatenate(self.lower), np.concatenate(self.upper), tuple(self.rows),
            np.array(self.row_lower), np.array(self.row_upper), is_whole,
        )  # fmt: skip


def encode_clause(
    question: Question, clause: tuple[int, ...], pre: Sequence[Bounds], logits: Bounds, *, switches: bool,
    room: float = np.inf,
) -> Program:  # fmt: skip
    """Write "how small can the best margin of this clause get?".

    Args:
        question: Its margins must be linear in the logits.
        clause: The margins of the clause, by index.
        pre: Bounds on each hidden layer's z over the box, (neurons,) each: they make neurons stable and are the big-M.
        logits: Bounds on the logits over the box, (outputs,).
        switches: True for a mixed-integer program, False for its linear relaxation by triangles.
        room: Margins above this are not asked for.

    Returns:
        The program; its first columns are the inputs.

    Source:
        Tjeng, Xiao, Tedrake. Evaluating Robustness of Neural Networks with Mixed Integer Programming. ICLR 2019;
        Ehlers. Formal Verification of Piece-Wise Linear Feed-Forward Neural Networks. ATVA 2017 (the triangle).
    """
    network, box, margins = question.network, question.box, question.margins
    builder = Builder()
    h = builder.columns(box.lower, box.upper)
    reach = np.maximum(np.abs(box.lower), np.abs(box.upper))
    unstable_parts: list[tuple[Columns, Columns, Bounds]] = []
    for index, layer in enumerate(network.layers):
        last = index == len(network.layers) - 1
        bounds = logits if last else pre[index]
        z = builder.columns(bounds.lower, bounds.upper)
        affine_rows(builder, layer, h, z, reach)
        if last:
            break
        h = builder.columns(np.maximum(bounds.lower, 0.0), np.maximum(bounds.upper, 0.0))
        for j in np.flatnonzero(bounds.lower >= 0):
            builder.row([h[j], z[j]], [1.0, -1.0], 0.0, 0.0)
        chosen = np.flatnonzero((bounds.lower < 0) & (bounds.upper > 0))
        for j in chosen:
            builder.row([h[j], z[j]], [1.0, -1.0], 0.0, np.inf)
        unstable_parts.append((z[chosen], h[chosen], Bounds(bounds.lower[chosen], bounds.upper[chosen])))
        reach = np.maximum(bounds.upper, 0.0)
    size = _size(question, clause, logits)
    t = builder.columns(np.array([-size]), np.array([min(room, size)]))
    for number in clause:
        margin = margins.margins[number]
        if margin.row is None:  # nothing can change it: it holds always (the clause is settled) or never
            continue
        # t >= rows . logits + offset - error
        coefficients = margins.rows[margin.row]
        builder.row(
            [*t, *z], [1.0, *(-coefficients)], np.nextafter(margin.offset - margin.offset_error, -np.inf), np.inf
        )
    whole = np.zeros(0, dtype=np.int32)
    for z_part, h_part, bounds in unstable_parts:
        if switches:
            delta = builder.columns(np.zeros(len(z_part)), np.ones(len(z_part)))
            whole = np.concatenate([whole, delta])
            for z_j, h_j, d_j, low, high in zip(z_part, h_part, delta, bounds.lower, bounds.upper, strict=True):
                builder.row([h_j, z_j, d_j], [1.0, -1.0, -low], -np.inf, -low)  # h <= z - l (1 - delta)
                builder.row([h_j, d_j], [1.0, -high], -np.inf, 0.0)  # h <= u delta
        else:
            lines = relax_relu(bounds)
            for z_j, h_j, slope, offset in zip(z_part, h_part, lines.upper_slope, lines.upper_offset, strict=True):
                builder.row([h_j, z_j], [1.0, -slope], -np.inf, offset)  # the chord
    return builder.program(int(t[0]), whole)


def _size(question: Question, clause: tuple[int, ...], logits: Bounds) -> float:
    """Bound the clause's margins by the logits' bounds alone, so that t has two ends; no larger than need be, because
    a multiplier's rounding is seen times this."""
    margins = question.margins
    sizes = [
        1.001 * float(np.abs(margins.rows[m.row]) @ logits.magnitude + abs(m.offset) + m.offset_error) + 1.0
        for m in (margins.margins[number] for number in clause)
        if m.row is not None
    ]
    return max(sizes, default=1.0)


def tolerance_gain(question: Question, clause: tuple[int, ...]) -> float:
    """How much larger a tolerance on every row can be at the clause's margins: the weights after it, added up."""
    margins, layers = question.margins, question.network.layers
    used = [margins.margins[number].row for number in clause]
    seen = np.abs(margins.rows[[row for row in used if row is not None]]).max(axis=0, initial=0.0)
    total = 1.0 + seen.sum()
    for layer in layers[:0:-1]:
        seen = seen @ layer.magnitude
        total += 2.0 * seen.sum()  # a row for z and one for h
    return float(total)


def affine_rows(
    builder: Builder, layer: Affine, h: Columns,
    z: Columns, reach: Array,
) -> None:  # fmt: skip
    """Add z - weight h = bias, or within the radius of what is not known of the weights."""
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
        builder.row([z[j], *h[columns]], [1.0, *(-row)], low, high)
