"""Bounds on the outputs from bounds on the logits, the head included."""

from __future__ import annotations

import numpy as np

from verifier.enclosure import ELEMENTARY_RTOL, Array, Bounds
from verifier.network import Head


def head_bounds(logits: Bounds, head: Head) -> Bounds:
    """Bound the outputs over all logits within bounds, (..., outputs); rounded outward.

    Sigmoid increases; an output of Softmax is smallest where its own logit is smallest and all others are largest.
    """
    if head is Head.IDENTITY:
        return logits
    if head is Head.SIGMOID:
        lower, upper = _probability(-logits.lower), _probability(-logits.upper)
    else:
        lower = _softmax(logits.lower, logits.upper)
        upper = _softmax(logits.upper, logits.lower)
        if head is Head.LOG_SOFTMAX:
            slack = ELEMENTARY_RTOL * (logits.lower.shape[-1] + 2)
            size = 1.0 + np.maximum(np.abs(lower), np.abs(upper))
            return Bounds(lower - slack * size, np.minimum(upper + slack * size, 0.0))
        lower, upper = np.exp(lower), np.exp(upper)
    slack = ELEMENTARY_RTOL * (logits.lower.shape[-1] + 2)
    return Bounds(np.maximum(lower * (1 - slack) - slack**2, 0.0), np.minimum(upper * (1 + slack) + slack**2, 1.0))


def _probability(negated: Array) -> Array:
    """1 / (1 + exp(negated)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, negated)))


def _softmax(own: Array, others: Array) -> Array:
    """Logarithm of output i of Softmax at own logit i and the others' logits, for every i."""
    count = own.shape[-1]
    differences = others[..., None, :] - own[..., :, None]
    differences[..., np.arange(count), np.arange(count)] = 0.0
    return np.asarray(-np.logaddexp.reduce(differences, axis=-1))
