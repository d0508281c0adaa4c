"""What lies between the values of the caller's dtype: real points that violate a spec, which no counterexample can be.

The box asked about is real, and its hull reaches up to the nearest values of the caller's dtype (x <= 0.1 up to
float32(0.1) = 0.1000000015). Where the real network violates the spec between two such values, VERIFIED is out of
reach and so is a counterexample: nothing is left to find there, and splitting would go on down to neighbouring float64
numbers.
"""

from __future__ import annotations

import numpy as np

from verifier.answer.verdict import Question
from verifier.enclosure import Array, Bounds, Mask
from verifier.network import Affine, propagate_interval
from verifier.question.box import rounded_up


def really_violated(question: Question, point: Array) -> bool:
    """Whether the real network surely violates the spec at a real point of the box, (inputs,), whatever its dtype."""
    if not question.box.contains(point):
        return False
    logits, margins = question.network.enclose_logits(point[None]), question.margins
    rows = propagate_interval(Affine.made(margins.rows, np.zeros(len(margins.rows))), logits)
    return margins.violated(margins.upper(rows.upper)[0])


def holds_callers_value(question: Question, boxes: Bounds) -> Mask:
    """Whether a counterexample could lie in each box (boxes, inputs): a point of the caller's dtype, as replay takes.

    Returns:
        Shape (boxes,).
    """
    low = np.maximum(boxes.lower, question.points.lower)
    high = np.minimum(boxes.upper, question.points.upper)
    return np.asarray((rounded_up(low, question.subject.round) <= high).all(axis=1))
