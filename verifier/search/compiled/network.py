"""A question as flat arrays: what the compiled search needs of a network, its spec and their rounding.

The margins become the network's last layer: margin = C (W h + b) + d, with a radius for what this folding rounds. What
a layer can round depends on the largest values that reach it; those of the whole box hold in every part of it, so the
rounding terms are computed here once, and a backward pass adds one dot product a layer for them.

Error analysis, with u = 2**-53, gamma(n) of enclosure.py (twice n u, and 16 u to spare), and for hidden layer k over
the whole box H_k >= |inputs of the layer|, Z >= |z|, e_k = Affine.error(H_k). A backward pass keeps, for real h and
computed c, t and E: row >= sum c_j h_j + t - E for every x of the box.

1.  ReLU. The line's value c_j s_j z_j loses at most u |c_j| Z_j when c_j s_j is rounded (0 <= s_j <= 1), and the
    offset c_j o_j at most u |c_j| o_j, where o_j <= 1.0001 Z_j (+ UNDERFLOW) since the bounds used are clipped to those
    of the whole box. Both are within gamma(2) * 2.1 Z_j |c_j|.
2.  Layer. Replacing z by W h + b, with the sums c W computed in any order, with or without fused operations, loses
    |c s| . e_k; e_k also holds the radius of weights that are not known exactly. Since |c_j s_j| <= |c_j| (1 + u), the
    factor 1.01 covers it. A neuron known to be inactive has h = 0 exactly and is left out.
3.  Constant. t is one running sum of at most 2 N + 2 terms (N hidden neurons), whose absolute values sum to at most
    R = |t_0| + sum |c_j| (1.0001 Z_j + |b_j|) (1 + u); it loses at most half of gamma(2 N + 4) R, and taking E from it
    less than the other half.

So E = E_0 + gamma(2 N + 4) |t_0| + sum |c_j| f_j with f_j = 1.01 e_j + gamma(2) 2.1 Z_j + gamma(2 N + 4) 1.01 (Z_j +
|b_j|): `row_rounding` below. E itself is a sum of positive terms, multiplied by 1.001 when it is used. E_0 is e of the
layer that the row belongs to; for a mixture of margins, twice the mixture of theirs: once for what the margins' rows
are not known exactly, once for the sums of multipliers times rows, which round as C W with another C.
Underflow: every operation loses at most 2**-1074, seen at values up to LARGEST; UNDERFLOW, added once a row, is more
than these can sum to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from verifier.answer.verdict import Question
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import UNDERFLOW, Array, Bounds, Indices, gamma
from verifier.errors import BoundsError
from verifier.matrix import dense
from verifier.network import Affine, Network

LARGEST = 1e100  # magnitudes beyond it are left to the numpy search


class CompiledNetwork(NamedTuple):
    """Flat arrays. Layer k maps values 0..sizes[k] - 1 to 0..sizes[k + 1] - 1; the last layer gives the margins.

    Weights of layer k stand from weight_at[k] on, row by row; what belongs to its outputs (bias, rounding, bounds) from
    unit_at[k] on, hidden neurons before margins.
    """

    sizes: Indices
    weight_at: Indices
    unit_at: Indices
    weight: Array
    bias: Array
    rounding: Array  # e: of computing a layer's value from its inputs, at the largest inputs in the whole box
    row_rounding: Array  # f: what a coefficient of 1 on a hidden neuron adds to the error of a backward pass
    constant_rounding: float  # what a constant of 1 adds
    root_lower: Array  # bounds of hidden neurons in the whole box
    root_upper: Array
    strict: Array  # 1.0 where the margin must be > 0, 0.0 where >= 0
    clause_at: Indices  # margins of clause i: clause_margins[clause_at[i]:clause_at[i + 1]]
    clause_margins: Indices


def flatten(question: Question, known: Sequence[Bounds] | None = None) -> CompiledNetwork | None:
    """Write a question as flat arrays; None where the compiled search cannot take it.

    It takes specs whose margins are linear in the logits, with at least one clause, none of which fails at every
    point, and magnitudes up to LARGEST.

    Args:
        question: What is asked.
        known: Bounds on each hidden layer, shape (neurons,), that hold in the whole box.
    """
    margins, network = question.margins, question.network
    if not margins.linear:
        return None
    clauses: list[list[int]] = []
    for clause in margins.clauses:
        if any(margins.margins[m].offset == math.inf for m in clause):
            continue  # holds everywhere
        members = [m for m in clause if margins.margins[m].offset != -math.inf]
        if not members:
            return None  # fails everywhere
        clauses.append(members)
    if not clauses:
        return None
    used = sorted({m for members in clauses for m in members})
    position = {m: i for i, m in enumerate(used)}
    root = _root(question, known)
    if root is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        layers = [*network.layers[:-1], _margin_layer(question, used)]
        rounding, row_rounding, largest = _rounding(layers, root, question)
    if not largest <= LARGEST:
        return None
    sizes = [network.inputs] + [layer.bias.size for layer in layers]
    weights = [layer.bias.size * width for layer, width in zip(layers, sizes, strict=False)]
    hidden = [np.zeros(0)]
    return CompiledNetwork(
        sizes=np.array(sizes, dtype=np.intp),
        weight_at=np.cumsum([0, *weights], dtype=np.intp),
        unit_at=np.cumsum([0, *sizes[1:]], dtype=np.intp),
        weight=np.concatenate([dense(layer.weight).reshape(-1) for layer in layers]),
        bias=np.concatenate([layer.bias for layer in layers]),
        rounding=np.concatenate(rounding),
        row_rounding=np.concatenate(hidden + row_rounding),
        constant_rounding=gamma(2 * network.neurons + 4),
        root_lower=np.concatenate(hidden + [one.lower for one in root]),
        root_upper=np.concatenate(hidden + [one.upper for one in root]),
        strict=np.array([float(margins.margins[m].strict) for m in used]),
        clause_at=np.cumsum([0] + [len(members) for members in clauses], dtype=np.intp),
        clause_margins=np.array([position[m] for members in clauses for m in members], dtype=np.intp),
    )


def _root(question: Question, known: Sequence[Bounds] | None) -> list[Bounds] | None:
    """Bounds on the hidden layers in the whole box, shape (neurons,) each."""
    box = Bounds(question.box.lower[None], question.box.upper[None])
    handed = None if known is None else [Bounds(one.lower[None], one.upper[None]) for one in known]
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = crown_bounds(question.network, box, question.margins.rows, handed)
    except BoundsError:  # an overflow
        return None
    return [Bounds(one.lower[0], one.upper[0]) for one in found.pre]


def _margin_layer(question: Question, used: list[int]) -> Affine:
    """Fold the last layer and the margins into one, with the radius of what this rounds."""
    margins, last = question.margins, question.network.layers[-1]
    chosen = [margins.margins[m] for m in used]
    rows = np.array([margins.rows[0 if one.row is None else one.row] for one in chosen])
    offset, offset_error = np.array([one.offset for one in chosen]), np.array([one.offset_error for one in chosen])
    size, terms = np.abs(rows), gamma(rows.shape[1] + 2)
    weight_error = terms * (size @ last.magnitude) + UNDERFLOW
    bias_error = terms * (size @ np.abs(last.bias) + np.abs(offset)) + offset_error * 1.001 + UNDERFLOW
    if last.weight_error is not None:
        weight_error = weight_error + 1.001 * (size @ last.weight_error)
    if last.bias_error is not None:
        bias_error = bias_error + 1.001 * (size @ last.bias_error)
    return Affine.made(rows @ last.weight, rows @ last.bias + offset, weight_error, bias_error)


def _rounding(layers: list[Affine], root: list[Bounds], question: Question) -> tuple[list[Array], list[Array], float]:
    """The terms e and f of the module's docstring, and the largest magnitude met."""
    terms = gamma(2 * question.network.neurons + 4)
    magnitude = np.maximum(np.abs(question.box.lower), np.abs(question.box.upper))
    rounding, row_rounding = [], []
    largest = float(magnitude.max(initial=0.0))
    for index, layer in enumerate(layers):
        rounding.append(layer.error(magnitude))
        largest = max(largest, *(float(np.abs(a).max(initial=0.0)) for a in (layer.weight, layer.bias, rounding[-1])))
        if index < len(root):
            size = root[index].magnitude
            row_rounding.append(
                1.01 * rounding[-1] + gamma(2) * 2.1 * size + terms * 1.01 * (size + np.abs(layer.bias)) + UNDERFLOW
            )
            magnitude = np.maximum(root[index].upper, 0.0)
            largest = max(largest, float(size.max(initial=0.0)))
    return rounding, row_rounding, largest


def network_work(network: Network) -> int:
    """Multiplications of one box at worst, when every neuron is unstable: what a box may cost."""
    sizes = [network.inputs] + [layer.bias.size for layer in network.layers]
    products = [a * b for a, b in itertools.pairwise(sizes)]
    return sum(2 * sizes[k + 1] * sum(products[:k]) for k in range(len(products)))
