"""Backward linear bounds with given slopes and split multipliers, in float64: what a ReLU-splitting search may believe.

A search may find its slopes and multipliers however it likes, in float32 and by gradient; this file alone turns them
into bounds. For a neuron whose sign a split has fixed, m z >= 0 holds in the subdomain for every multiplier m of that
sign, so m z may be taken off a lower bound: before a ReLU the coefficient c on z becomes c - m. A slope outside [0, 1]
or a multiplier of the wrong sign is mended, never believed, so that a bound is sound whatever is given.

What rounding can have lost. For every x of the subdomain the computed coefficients are followed from the row to the
input, and each step's own rounding is weighed with the largest magnitude that the values it acts on have there:
    c * slope and c * offset    gamma(2) |c| (|z| + offset) at neurons whose line is not zero
    c - m                       gamma(1) |c - m| |z| at neurons with a multiplier
    c + a                       gamma(1) |c + a| |z| at neurons whose z has a coefficient a in the row itself
    c @ weight, c @ bias        |c| . e, with e the layer's rounding error at its largest inputs (Affine.error)
    the sums of the offset      gamma(2 layers) times the sum of the magnitudes added
The last step minimises over the whole box, of which the subdomain is a part: gamma(inputs + 2) |c| . |x|. Magnitudes
are those of the whole box (`errors`, `reach`), which hold in every part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.bounds.interval import relu_interval
from verifier.bounds.relaxation import relax_relu
from verifier.enclosure import UNDERFLOW, Array, Bounds, Indices, gamma
from verifier.network import Network

CHECKED_ENTRIES = 2**22  # of an array of rows and neurons that is checked at once: 32 MiB, and a dozen of them


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear functions of the inputs h of one layer (of x for layer 0), computed with an error.

    Args:
        weight: Shape (rows, neurons of the layer before, or inputs).
        offset: Shape (rows,).
        error: What computing weight and offset may have lost, seen at the value of the row, shape (rows,).
    """

    weight: Array
    offset: Array
    error: Array

    def part(self, some: slice) -> Rows:
        """Some of the rows."""
        return Rows(self.weight[some], self.offset[some], self.error[some])


@dataclass(frozen=True, eq=False)
class SplitBounds:
    """Lower bounds on rows, each over a subdomain of its own, and the linear functions of x that prove them.

    Args:
        lower: Shape (rows,); -inf where the arithmetic overflowed.
        slope: Coefficients at the input, shape (rows, inputs).
    """

    lower: Array
    slope: Array


def chunks(network: Network, count: int) -> list[slice]:
    """Cut so many rows into parts whose check fits into memory."""
    at_once = max(1, CHECKED_ENTRIES // max(max(layer.weight.shape) for layer in network.layers))
    return [slice(first, first + at_once) for first in range(0, max(1, count), at_once)]


class RootBox:
    """A network over one input box: the magnitudes that every rounding term in it is measured by.

    Args:
        network: What is bounded; sound for every Network.
        box: The input box, shape (inputs,) a side.
    """

    def __init__(self, network: Network, box: Bounds) -> None:
        """Know the first layer's rounding error; the others follow with the bounds of the layers before."""
        self.network, self.box = network, box
        self.errors: list[Array] = []  # rounding error of each layer over the box, (neurons,)
        self._magnitude = box.magnitude  # of the inputs of the next layer
        self.errors.append(network.layers[0].error(self._magnitude))

    def pass_layer(self, pre: Bounds) -> None:
        """Take bounds on z of the next hidden layer, (neurons,), that hold in the whole box."""
        self._magnitude = relu_interval(pre).magnitude
        self.errors.append(self.network.layers[len(self.errors)].error(self._magnitude))

    def neuron_rows(self, neurons: Indices, signs: Array, index: int) -> Rows:
        """Write signs * z of neurons of layer `index` as rows; every layer before it must have been passed."""
        layer = self.network.layers[index]
        return Rows(
            signs[:, None] * layer.rows(neurons), signs * layer.bias[neurons], self.errors[index][neurons]
        )  # fmt: skip

    def logit_rows(self, rows: Array, offset: Array, size: Array, offset_error: Array, terms: int) -> Rows:
        """Write rows @ logits + offset as rows on the last hidden values; every hidden layer must have been passed.

        Args:
            rows: Computed coefficients, (rows, logits).
            offset: Shape (rows,).
            size: Sum of the magnitudes that `rows` was added up from, (rows, logits).
            offset_error: What the offset may be off by, (rows,).
            terms: How many terms each entry of `rows` was added up from.
        """
        last = self.network.layers[-1]
        reach = self._magnitude @ last.magnitude.T + np.abs(last.bias)
        error = size @ self.errors[-1] * 1.001 + 2.0 * gamma(rows.shape[1] + terms) * (size @ reach)
        value = rows @ last.bias + offset
        error = error + gamma(2) * (np.abs(offset) + np.abs(value)) + 1.001 * offset_error
        return Rows(rows @ last.weight, value, error)

    def lower_bounds(
        self, rows: Rows, pre: Sequence[Bounds], slopes: Sequence[Array], multipliers: Sequence[Array],
        added: Sequence[Array] | None = None,
    ) -> SplitBounds:  # fmt: skip
        """Bound each row below over its own subdomain.

        Args:
            rows: Functions of the inputs of layer len(pre).
            pre: Bounds on z of the hidden layers before it that hold in the subdomain, (rows or 1, neurons) each.
            slopes: Slopes of the line below each unstable ReLU, (rows or 1, neurons) each.
            multipliers: For each neuron m with m z >= 0 in the subdomain, (rows or 1, neurons) each.
            added: Coefficients on the z of hidden layers that belong to the rows, too, (rows, neurons) each.

        Returns:
            Bounds that hold for every x of the box at which `pre` holds.

        Source:
            Xu et al. Fast and Complete: Enabling Complete Neural Network Verification with Rapid and Massively
            Parallel Incomplete Verifiers. ICLR 2021 (slopes); Wang et al. Beta-CROWN. NeurIPS 2021 (multipliers).
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._lower_bounds(rows, pre, slopes, multipliers, added)

    def _lower_bounds(
        self, rows: Rows, pre: Sequence[Bounds], slopes: Sequence[Array], multipliers: Sequence[Array],
        added: Sequence[Array] | None = None,
    ) -> SplitBounds:  # fmt: skip
        network, box = self.network, self.box
        coefficients, total = rows.weight, rows.offset
        error, reach = rows.error + gamma(1) * np.abs(rows.offset), np.abs(rows.offset)
        for k in range(len(pre) - 1, -1, -1):
            z, layer = pre[k], network.layers[k]
            lines = relax_relu(z)
            lower_slope = np.where((z.lower < 0) & (z.upper > 0), _unit(slopes[k]), lines.lower_slope)
            m = np.where(z.lower >= 0, np.maximum(multipliers[k], 0.0), 0.0)
            m = m + np.where(z.upper <= 0, np.minimum(multipliers[k], 0.0), 0.0)
            positive, negative = np.maximum(coefficients, 0.0), np.minimum(coefficients, 0.0)
            above = (negative * lines.upper_offset).sum(axis=1)
            relu_error = np.where(z.upper > 0, z.magnitude, 0.0) + lines.upper_offset
            error = error + gamma(2) * ((positive - negative) * relu_error).sum(axis=1)
            coefficients = positive * lower_slope + negative * lines.upper_slope - m
            size = np.abs(coefficients)
            error = error + gamma(1) * (size * np.where(m != 0, z.magnitude, 0.0)).sum(axis=1)
            if added is not None:
                coefficients = coefficients + added[k]
                size = np.abs(coefficients)
                error = error + gamma(1) * (size * np.where(added[k] != 0, z.magnitude, 0.0)).sum(axis=1)
            bias = coefficients @ layer.bias
            bias_size = size @ np.abs(layer.bias)
            reach = reach + np.abs(above) + bias_size
            error = error + (size @ self.errors[k]) * 1.001 + gamma(layer.bias.size) * (bias_size + np.abs(above))
            total = total + above + bias
            coefficients = layer.backward(coefficients)
        error = (error + gamma(2 * len(pre)) * reach) * 1.001 + UNDERFLOW
        positive, negative = np.maximum(coefficients, 0.0), np.minimum(coefficients, 0.0)
        value = positive @ box.lower + negative @ box.upper
        value_size = (positive - negative) @ box.magnitude + np.abs(total)
        lower = value + total - error - gamma(box.lower.size + 2) * 2.0 * value_size - UNDERFLOW
        return SplitBounds(np.where(np.isfinite(lower), lower, -np.inf), coefficients)


def _unit(slopes: Array) -> Array:
    """Slopes moved into [0, 1]."""
    return np.asarray(np.clip(np.nan_to_num(slopes, nan=0.0), 0.0, 1.0))
