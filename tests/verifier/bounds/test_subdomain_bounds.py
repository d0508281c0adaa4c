"""Hidden bounds recomputed inside a subdomain hold at every sample of it, and an empty one is not one with samples."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verifier.bounds.test_alpha_crown import random_network
from verifier.bounds.folded_graph import FoldedGraph
from verifier.bounds.optimised_root import optimised_root
from verifier.bounds.subdomain_bounds import tighten_subdomains
from verifier.enclosure import Bounds


@pytest.mark.parametrize("seed", range(12))
def test_tightened_bounds_hold_at_samples_and_are_no_looser(seed: int) -> None:
    """Eight subdomains: half fix the signs of a sample, half fix random ones and may be empty."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, (5, 14, 14, 14, 2))
    centre = rng.uniform(-1, 1, 5)
    box = Bounds(centre - 0.5, centre + 0.5)
    root, pre = optimised_root(network, box)
    graph = FoldedGraph(network, box, pre)
    z = graph.gather(network.pre_activations(rng.uniform(box.lower, box.upper, (20_000, 5)))[:-1])
    first = z.shape[1] // 3
    random_signs = np.where(rng.random((8, first)) < 0.4, rng.choice([-1.0, 1.0], (8, first)), 0.0)
    sign = np.zeros((8, z.shape[1]))
    sign[:, :first] = random_signs
    sign[:4] = np.abs(sign[:4]) * np.sign(z[:4])
    low, high = (graph.gather([getattr(one, side) for one in pre]) for side in ("lower", "upper"))
    lower, upper = np.where(sign > 0, 0.0, low), np.where(sign < 0, 0.0, high)
    tight_lower, tight_upper, implied, empty = tighten_subdomains(
        root, graph, pre, lower, upper, sign.astype(np.int8), steps=10
    )
    assert (tight_lower >= lower).all() and (tight_lower <= tight_upper).all()
    assert not empty[:4].any()
    for row in range(8):
        inside = z[(z * sign[row] >= 0).all(axis=1)]
        assert not (empty[row] and len(inside))
        if not empty[row]:
            assert (inside >= tight_lower[row] - 1e-12).all() and (inside <= tight_upper[row] + 1e-12).all()
            assert (inside * implied[row] >= -1e-12).all()
            assert (tight_upper[row] <= upper[row]).all()
    assert (implied[:, sign.any(axis=0)][sign[:, sign.any(axis=0)] != 0] != 0).all()
    assert (tight_upper - tight_lower).sum() < (upper - lower).sum()
