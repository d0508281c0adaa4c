"""Interval bounds: every value by itself, layer by layer; the cheapest method and the loosest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.bounds.layers import LayerBounds
from verifier.enclosure import Array, Bounds
from verifier.network import Affine, Network, propagate_interval


def interval_bounds(network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None) -> LayerBounds:
    """Bound every pre-activation and the rows by interval arithmetic, in float64, widened by the rounding term.

    The rows are folded into the last layer, so that a comparison of two outputs loses less than two intervals would.

    Args:
        network: What is bounded; sound for every Network.
        boxes: Input boxes, (batch, inputs).
        rows: Linear functions of the logits, (rows, logits).
        known: Bounds on each hidden layer that hold already.

    Returns:
        LayerBounds without planes.

    Source:
        Gowal et al. On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models. 2018.
    """
    pre: list[Bounds] = []
    outputs = [boxes]
    for index in range(len(network.layers) - 1):
        z = network.bound_layer(index, outputs)
        if known is not None:
            z = z.intersect(known[index])
        pre.append(z)
        outputs.append(relu_interval(z))
    return LayerBounds(tuple(pre), row_interval(network, outputs[-1], rows))


def relu_interval(z: Bounds) -> Bounds:
    """Bounds on relu(z)."""
    return Bounds(np.maximum(z.lower, 0.0), np.maximum(z.upper, 0.0))


def row_interval(network: Network, h: Bounds, rows: Array) -> Bounds:
    """Bound the rows of the logits from bounds on the last hidden values, h of shape (batch, neurons)."""
    last = network.layers[-1]
    if rows.shape == (network.outputs, network.outputs) and np.array_equal(rows, np.eye(network.outputs)):
        return propagate_interval(last, h)
    folded = Affine.made(rows @ last.weight, rows @ last.bias)
    bounds = propagate_interval(folded, h)
    # what folding rounds, and the error of the layer's own weights, seen through the rows
    error = last.error(h.magnitude) @ np.abs(rows).T * 1.001
    return Bounds(bounds.lower - error, bounds.upper + error)
