"""Bounds on the outputs from bounds on the logits, the head included."""

from __future__ import annotations

import numpy as np

from verifier.enclosure import ELEMENTARY_RTOL, Array, Bounds
from verifier.network import Head

ENTRIES = 2**22  # of a table of differences of logits, 32 MiB


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
    at_once = max(1, ENTRIES // max(others.size, 1))
    result = np.empty_like(own)
    for first in range(0, count, at_once):
        some = np.arange(first, min(first + at_once, count))
        differences = others[..., None, :] - own[..., some, None]
        differences[..., np.arange(some.size), some] = 0.0
        result[..., some] = -np.logaddexp.reduce(differences, axis=-1)
    return result
