"""Symbolic intervals: a linear function of the input below every neuron and one above it, carried forward.

Interval arithmetic forgets that two neurons depend on the same inputs. Here each value keeps two linear functions of x
that enclose it over the whole box; a layer adds them up by the signs of its weights. Before a ReLU both are looked at
over the box: where the upper function can have either sign it is replaced by the chord of ReLU over its own range, and
the lower one is scaled by its own slope. One pass forward, so a neuron's bounds never profit from the layers after it:
backward bounds (crown.py) are tighter and cost more.

Rounding: the functions that are stored are computed ones. What their coefficients may have lost anywhere in the box is
summed beside them, from the magnitudes met, and taken off when a function is turned into numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.bounds.layers import LayerBounds, Plane
from verifier.bounds.relaxation import relax_relu
from verifier.enclosure import UNDERFLOW, Array, Bounds, Mask, gamma
from verifier.matrix import dense
from verifier.network import Affine, Network


@dataclass(frozen=True, eq=False)
class _Forms:
    """Linear functions slope . x + offset of the inputs, each known up to an error over the box.

    slope has shape (batch, values, inputs), offset and error (batch, values).
    """

    slope: Array
    offset: Array
    error: Array

    def magnitude(self, boxes: Bounds) -> Array:
        """Bound what the terms of each function add up to in size, (batch, values)."""
        return np.asarray((np.abs(self.slope) @ boxes.magnitude[..., None])[..., 0] + np.abs(self.offset))

    def least(self, boxes: Bounds) -> Array:
        """A lower bound on each function over its box, (batch, values)."""
        positive, negative = np.maximum(self.slope, 0.0), np.minimum(self.slope, 0.0)
        value = (positive @ boxes.lower[..., None] + negative @ boxes.upper[..., None])[..., 0] + self.offset
        rounding = gamma(2 * boxes.lower.shape[1] + 2) * self.magnitude(boxes)
        return np.asarray(value - rounding - self.error * 1.001 - UNDERFLOW)

    def greatest(self, boxes: Bounds) -> Array:
        """An upper bound on each function over its box, (batch, values)."""
        return -_Forms(-self.slope, -self.offset, self.error).least(boxes)

    def scaled(self, factor: Array, shift: Array, boxes: Bounds) -> _Forms:
        """factor * (function) + shift, with factor in [0, 1] of shape (batch, values)."""
        slope, offset = self.slope * factor[..., None], self.offset * factor + shift
        rounding = gamma(2) * (factor * self.magnitude(boxes) + np.abs(shift))
        return _Forms(slope, offset, self.error * factor * 1.001 + rounding)


def symbolic_bounds(network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None) -> LayerBounds:
    """Bound every pre-activation and the rows by symbolic intervals, in float64, widened by the rounding term.

    Args:
        network: What is bounded; sound for every Network.
        boxes: Input boxes, (batch, inputs).
        rows: Linear functions of the logits, (rows, logits).
        known: Bounds on each hidden layer that hold already; the result is no looser.

    Returns:
        LayerBounds with the planes of the rows' lower functions.

    Source:
        Wang, Pei, Whitehouse, Yang, Jana. Formal Security Analysis of Neural Networks using Symbolic Intervals. USENIX
        Security 2018 (ReluVal); the same. Efficient Formal Safety Analysis of Neural Networks. NeurIPS 2018 (Neurify:
        the chord and the scaled lower function, each over its own range). Departs from them by the rounding term.
    """
    batch, inputs = boxes.lower.shape
    eye = np.broadcast_to(np.eye(inputs), (batch, inputs, inputs))
    nothing = np.zeros((batch, inputs))
    below = above = _Forms(eye, nothing, nothing)
    largest = boxes.magnitude  # of what enters the layer at hand
    pre: list[Bounds] = []
    for index, layer in enumerate(network.layers[:-1]):
        below, above = _through(layer, below, above, largest, boxes)
        z = Bounds(below.least(boxes), np.maximum(above.greatest(boxes), below.least(boxes)))
        if known is not None:
            z = z.intersect(known[index])
        pre.append(z)
        below, above = _rectified(below, above, z, boxes)
        largest = np.maximum(z.upper, 0.0)
    last = network.layers[-1]
    folded = Affine.made(np.asarray(rows @ last.weight), np.asarray(rows @ last.bias))
    # what folding rounds, and the last layer's own error, seen through the rows
    extra = last.error(largest) @ np.abs(rows).T * 1.001
    below, above = _through(folded, below, above, largest, boxes)
    lower = below.least(boxes) - extra
    upper = np.maximum(above.greatest(boxes) + extra, lower)
    plane = Plane(below.slope, below.offset - (below.error + extra) * 1.001)
    return LayerBounds(tuple(pre), Bounds(lower, upper), plane)


def _through(layer: Affine, below: _Forms, above: _Forms, largest: Array, boxes: Bounds) -> tuple[_Forms, _Forms]:
    """Pass a layer's weights: each sum takes the function below where a weight is positive, above where negative."""
    weight = dense(layer.weight)
    positive, negative = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    own = layer.error(largest)
    size_below, size_above = below.magnitude(boxes), above.magnitude(boxes)
    found = []
    for first, second, sizes in (
        (below, above, (size_below, size_above)),
        (above, below, (size_above, size_below)),
    ):
        slope = positive @ first.slope + negative @ second.slope
        offset = first.offset @ positive.T + second.offset @ negative.T + layer.bias
        carried = first.error @ positive.T - second.error @ negative.T
        size = sizes[0] @ positive.T - sizes[1] @ negative.T + np.abs(layer.bias)
        rounding = gamma(2 * weight.shape[1] + 2) * size * 1.001
        found.append(_Forms(slope, offset, (carried + rounding + own) * 1.001))
    return found[0], found[1]


def _rectified(below: _Forms, above: _Forms, z: Bounds, boxes: Bounds) -> tuple[_Forms, _Forms]:
    """Pass ReLU, which increases: what lies below z stays below relu(z) when it is rectified, and above likewise."""
    active, inactive = z.lower >= 0, z.upper <= 0
    return _lower_form(below, active, inactive, boxes), _upper_form(above, active, inactive, boxes)


def _lower_form(below: _Forms, active: Mask, inactive: Mask, boxes: Bounds) -> _Forms:
    """relu(f) >= s f for every slope s in [0, 1]; s = u / (u - l) over the range of f, as its chord has."""
    low, high = below.least(boxes), below.greatest(boxes)
    width = np.where(high > low, high - low, 1.0)
    slope = np.clip(np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, high / width)), 0.0, 1.0)
    slope = np.where(active, 1.0, np.where(inactive, 0.0, slope))
    return below.scaled(slope, np.zeros_like(slope), boxes)


def _upper_form(above: _Forms, active: Mask, inactive: Mask, boxes: Bounds) -> _Forms:
    """relu(f) <= the chord of ReLU over the range of f."""
    chord = relax_relu(Bounds(above.least(boxes), above.greatest(boxes)))
    slope = np.where(active, 1.0, np.where(inactive, 0.0, chord.upper_slope))
    shift = np.where(active | inactive, 0.0, chord.upper_offset)
    return above.scaled(slope, shift, boxes)
