"""Branching: which input of a box to split."""

from __future__ import annotations

import numpy as np

from verifier.bounds.layers import LayerBounds
from verifier.enclosure import Array, Bounds, Indices
from verifier.question.margins import Margins


def choose_inputs(bounds: LayerBounds, boxes: Bounds, margins: Margins, worst: Indices) -> Indices:
    """Choose, for each box, the input whose split should tighten the worst margin most.

    Each unstable neuron's relaxation costs the margin a known amount; that cost is shared among the inputs by their
    part in the neuron's pre-activation width. The input with the largest sum is split. Where the bounding method tells
    nothing of this, or no neuron is unstable, the widest side is split.

    Args:
        bounds: What the bounding method returned for the boxes.
        boxes: (batch, inputs).
        margins: The spec on the logits.
        worst: The margin to tighten in each box, (batch,).

    Returns:
        An input for each box, (batch,).
    """
    width = boxes.upper - boxes.lower
    scores = np.zeros_like(width)
    if bounds.influence is not None and bounds.error_weight is not None:
        uses = _rows_of(margins)
        for influence, cost in zip(bounds.influence, bounds.error_weight, strict=True):
            seen = (uses[worst][:, None, :] @ cost)[:, 0]  # (batch, neurons): what each neuron costs the margin
            parts = influence * width[:, None, :]
            total = parts.sum(axis=2)
            share = np.divide(seen, total, out=np.zeros_like(seen), where=total > 0)
            scores += (share[:, None, :] @ parts)[:, 0]
    flat = scores.max(axis=1) <= 0
    scores[flat] = width[flat]
    scores[width <= 0] = -1.0
    return np.asarray(scores.argmax(axis=1))


def _rows_of(margins: Margins) -> Array:
    """Which rows each margin is made of, (margins, rows) of 0 and 1."""
    uses = np.zeros((len(margins.margins), len(margins.rows)))
    for index, margin in enumerate(margins.margins):
        if margin.row is not None:
            uses[index, margin.row] = 1.0
        for term in margin.terms:
            uses[index, list(term.rows)] = 1.0
    return uses
