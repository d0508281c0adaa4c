"""Random networks that several tests share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from verifier.network import Affine, Network


def random_network(seed: int, *sizes: int) -> Network:
    """Normal weights, large enough that most neurons are unstable on a box of radius 0.5."""
    rng = np.random.default_rng(seed)
    return Network(
        tuple(Affine(rng.normal(size=(b, a)) * 2 / np.sqrt(a), rng.normal(size=b) * 0.3) for a, b in pairwise(sizes))
    )
