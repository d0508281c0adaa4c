"""The second reading of a network: what was read is compared with what the caller's object computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import MAX_MAGNITUDE, Array
from verifier.errors import NetworkError
from verifier.network import Network


def check_reading(network: Network, run: Callable[[Array], Array], rounding: Callable[[Array], Array], eps: float,
                  complaint: str, question: str) -> None:  # fmt: skip
    """Compare a Network with the caller's object on a few points.

    Args:
        network: What was read.
        run: The caller's object on points (batch, inputs).
        rounding: To the caller's dtype.
        eps: The machine epsilon of that dtype; the tolerance grows with the magnitudes met on the way.
        complaint: How the error begins: who computes something else than what.
        question: How it ends.

    Raises:
        NetworkError: They differ by more than rounding.
    """
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 1, (2, network.inputs)), rng.normal(0, 1, (2, network.inputs))])
    points = rounding(points)
    if network.reach(np.abs(points).max(axis=0)) > MAX_MAGNITUDE:
        return  # nothing is claimed of such a network
    theirs, ours = run(points), network(points)
    reach = np.abs(points)
    terms = 0
    for layer in network.layers:
        reach = matrix.forward(layer.magnitude, reach) + np.abs(layer.bias)
        terms += layer.terms + 4
    tolerance = eps * terms * (reach.max(axis=1, keepdims=True) + 1.0)
    if theirs.shape != ours.shape or not (np.abs(theirs - ours) <= tolerance).all():
        raise NetworkError(f"{complaint} (at a sample point {theirs[0][:3]} instead of {ours[0][:3]}); {question}")
