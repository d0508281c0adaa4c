"""Relaxations of ReLU: a convex set around its graph on an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verifier.enclosure import Array, Bounds, gamma, up


@dataclass(frozen=True, eq=False)
class LinearRelaxation:
    """Two lines around ReLU on each neuron's interval, shape (..., neurons) each.

    lower_slope * z <= relu(z) <= upper_slope * z + upper_offset.
    """

    lower_slope: Array
    upper_slope: Array
    upper_offset: Array


def relax_relu(pre: Bounds) -> LinearRelaxation:
    """Enclose ReLU between two lines on each neuron's pre-activation interval.

    An unstable neuron gets the chord through (l, 0) and (u, u) above and a line through the origin below, of slope 1
    if u > -l and 0 otherwise. A stable neuron is enclosed exactly. The chord's offset is rounded up so far that the
    computed line lies above both end points. Sound for any bounds that contain z.

    Args:
        pre: Bounds on z, two arrays of shape (..., neurons).

    Returns:
        lower_slope, upper_slope and upper_offset, each of shape (..., neurons).

    Source:
        Zhang, Weng, Chen, Hsieh, Daniel. Efficient Neural Network Robustness Certification with General Activation
        Functions. NeurIPS 2018 (CROWN).

    Example:
        >>> relax_relu(Bounds(np.array([-1.0]), np.array([3.0]))).upper_slope
        array([0.75])
    """
    lower, upper = pre.lower, pre.upper
    unstable = (lower < 0) & (upper > 0)
    active = lower >= 0
    width = np.where(unstable, upper - lower, 1.0)
    slope = np.minimum(np.where(unstable, upper / width, np.where(active, 1.0, 0.0)), 1.0)
    offset = np.maximum(-slope * lower, upper - slope * upper)
    offset = np.where(unstable, up(offset * (1.0 + gamma(4)) + gamma(4) * (upper - lower)), 0.0)
    lower_slope = np.where(unstable, (upper > -lower).astype(np.float64), slope)
    return LinearRelaxation(lower_slope, slope, offset)


def relaxation_gap(pre: Bounds, relaxation: LinearRelaxation) -> tuple[Array, Array]:
    """How far the lower and the upper line lie from ReLU at worst, each of shape (..., neurons)."""
    unstable = (pre.lower < 0) & (pre.upper > 0)
    below = np.where(relaxation.lower_slope > 0, -pre.lower * relaxation.lower_slope, 0.0)
    below = np.maximum(below, pre.upper * (1.0 - relaxation.lower_slope))
    return np.where(unstable, below, 0.0), relaxation.upper_offset
