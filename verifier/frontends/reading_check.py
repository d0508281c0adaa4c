"""The second reading of a network: what was read is compared with what the caller's object computes.

How much rounding matters is measured at each point instead of estimated from norms, whose product is larger than the
outputs after a few layers: the network is run again with every value off by a relative random amount of NOISE, and
what that changes at the outputs says how far a run that rounds to eps may be off. So the tolerance is a small share of
the outputs at any depth, and a layer that was read wrongly shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import MAX_MAGNITUDE, UNIT_ROUNDOFF, Array
from verifier.errors import MisreadError
from verifier.network import Network

NOISE = 2.0**-30
RUNS = 8  # with noise; in all of them together two values that cancel hardly get the same noise
SLACK = 64.0  # for sums of many terms, over what one rounding of each value does
FOLDED_SLACK = 256.0  # where operations that are folded here are run one by one there
HIDDEN_SLACK = 8.0  # for errors that are not independent, over their root mean square
EPS64 = 2.0 * UNIT_ROUNDOFF


def sample_points(box: tuple[Array, Array] | None, inputs: int) -> Array:
    """Points at which a reading is checked, (points, inputs): corners, centre, inside and outside of the box."""
    rng = np.random.default_rng(0)
    around = np.concatenate([rng.uniform(0, 1, (2, inputs)), rng.normal(0, 1, (2, inputs))])
    if box is None:
        return around
    low, high = (np.clip(side, -1e30, 1e30) for side in box)
    width = high - low
    inside = low + rng.uniform(0, 1, inputs) * width
    corner = np.where(rng.integers(0, 2, inputs) == 1, low, high)
    outside = low + rng.uniform(-1, 2, inputs) * np.maximum(width, 1e-3)
    return np.stack([low, high, low + width / 2, corner, inside, outside, around[2]])


def sensitivity(network: Network, points: Array, floor: float = 0.0) -> Array:
    """How much the outputs change, per unit of relative rounding of every value on the way, (points, 1).

    Args:
        network: What is run.
        points: (points, inputs).
        floor: Values are taken to be off by at least NOISE times this, for what underflow loses.
    """
    plain = network(points)
    noisy = _disturbed(network, np.tile(points, (RUNS, 1)), floor).reshape(RUNS, len(points), -1)
    return np.asarray(np.abs(noisy - plain).max(axis=(0, 2))[:, None] / NOISE)


def own_error(network: Network, points: Array, floor: float = 0.0) -> Array:
    """How far the Network's float64 outputs may be from the true ones, folded weights included, (points, 1)."""
    ours = np.abs(network(points)).max(axis=1, keepdims=True)
    felt = SLACK * EPS64 * (sensitivity(network, points, floor) + ours)
    return np.asarray(felt + hidden_error(network, points, EPS64))


def hidden_error(network: Network, points: Array, *eps: float) -> Array:
    """What rounding to eps may do that noise does not show, (points, 1), or (several, points, 1) for several eps: at a
    ReLU about to change its sign, or where values cancel to the last digit.

    A running error estimate sees both. Errors are added up as independent ones are, by their squares: worst cases added
    up by their sizes would grow with depth until nothing could differ by more.

    Source:
        Higham. Accuracy and Stability of Numerical Algorithms. 2002, section 3.3 (running errors) and 2.8 (statistics).
    """
    scale = np.array(eps)[:, None, None] / EPS64
    h, squares = points, np.zeros((len(eps), *points.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for index, layer in enumerate(network.layers):
            squared = matrix.with_entries(layer.magnitude, matrix.entries(layer.magnitude) ** 2)
            rounding = layer.error(np.abs(h)) * scale
            squares = matrix.forward(squared, squares) + rounding**2
            z = layer.forward(h) + layer.bias
            if index < len(network.layers) - 1:
                h, squares = np.maximum(z, 0.0), np.where(z + HIDDEN_SLACK * np.sqrt(squares) > 0, squares, 0.0)
    found = HIDDEN_SLACK * np.sqrt(squares.max(axis=2, keepdims=True))
    return np.asarray(found if len(eps) > 1 else found[0])


def _disturbed(network: Network, points: Array, floor: float) -> Array:
    """The outputs with noise on every value, and as much from weights that are known up to a radius."""
    rng = np.random.default_rng(0)

    def off(values: Array, size: Array) -> Array:
        return values + NOISE * rng.uniform(-1.0, 1.0, values.shape) * (size + floor)

    h = off(points, np.abs(points))
    for index, layer in enumerate(network.layers):
        z = layer.forward(h) + layer.bias
        size = np.abs(z) + np.abs(layer.bias)
        radius = np.zeros_like(z)
        if layer.weight_error is not None:
            radius = radius + matrix.forward(layer.weight_error, np.abs(h))
        if layer.bias_error is not None:
            radius = radius + layer.bias_error
        z = off(z, size + radius / UNIT_ROUNDOFF)
        h = np.maximum(z, 0.0) if index < len(network.layers) - 1 else z
    return network.head.apply(h)


def measurable(network: Network, points: Array) -> bool:
    """Whether the network's values stay so small that a comparison says something; else nothing is claimed of it."""
    return network.reach(np.abs(points).max(axis=0)) <= MAX_MAGNITUDE


def refuse_difference(theirs: Array, ours: Array, allowed: Array, complaint: str, question: str) -> None:
    """Compare outputs (points, outputs); what is not finite agrees with nothing.

    Raises:
        MisreadError: Some differ by more than is allowed, (points, 1) or (points, outputs).
    """
    if theirs.shape == ours.shape:
        with np.errstate(invalid="ignore"):
            fine = (np.abs(theirs - ours) <= allowed).all(axis=1)
        if fine.all():
            return
        place = int(np.flatnonzero(~fine)[0])
        theirs, ours = theirs[place], ours[place]
    shown = [np.array2string(one.reshape(-1)[:3], precision=8) for one in (theirs, ours)]
    raise MisreadError(f"{complaint} (at a sample point {shown[0]} instead of {shown[1]}); {question}")


def check_reading(
    network: Network, run: Callable[[Array], Array], rounding: Callable[[Array], Array], dtype: np.dtype[np.floating],
    complaint: str, question: str, box: tuple[Array, Array] | None = None,
) -> None:  # fmt: skip
    """Compare a Network with the object that it was read from, on a few points.

    Args:
        network: What was read.
        run: The object on points (batch, inputs).
        rounding: To the object's dtype.
        dtype: In which the object computes.
        complaint: How the error begins: who computes something else than what.
        question: How it ends.
        box: Lower and upper limits of the inputs that are asked about, where they are known.

    Raises:
        MisreadError: They differ by more than rounding.
    """
    points = rounding(sample_points(box, network.inputs))
    if measurable(network, points):
        compare(network, points, run(points), dtype, complaint, question)


def compare(
    network: Network, points: Array, theirs: Array, dtype: np.dtype[np.floating], complaint: str, question: str
) -> None:
    """Compare what an object gave at some points with the Network; both are finite, or it is not the same.

    Raises:
        MisreadError: They differ by more than rounding.
    """
    limits = np.finfo(dtype)
    ours, floor = network(points), float(limits.tiny) / float(limits.eps)
    size = np.abs(ours).max(axis=1, keepdims=True)
    allowed = FOLDED_SLACK * float(limits.eps) * (sensitivity(network, points, floor) + size)
    allowed = allowed + own_error(network, points) + hidden_error(network, points, float(limits.eps))
    refuse_difference(theirs, ours, allowed, complaint, question)
