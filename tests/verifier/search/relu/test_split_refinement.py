"""Bounds refined by splitting hold at every sample, are no looser for more effort, and come close to the exact ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verifier.search.relu.test_alpha_crown import random_network
from verifier.enclosure import Bounds
from verifier.search.relu import optimised_root as module
from verifier.search.relu.optimised_root import optimised_root


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("radius", [0.1, 0.5])
def test_refined_hidden_bounds_hold_at_samples_and_are_tighter(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, (4, 12, 12, 12, 2))
    centre = rng.uniform(-1, 1, 4)
    box = Bounds(centre - radius, centre + radius)
    plain = optimised_root(network, box)
    refined = optimised_root(network, box, plain.pre, effort=1e7)
    x = np.concatenate([rng.uniform(box.lower, box.upper, (20_000, 4)), rng.choice([-1, 1], (64, 4)) * radius + centre])
    for z, tight, loose in zip(network.pre_activations(x), refined.pre, plain.pre, strict=False):
        assert (tight.lower >= loose.lower).all() and (tight.upper <= loose.upper).all()
        assert (z >= tight.lower - 1e-12).all() and (z <= tight.upper + 1e-12).all()
    unstable = [sum(int(((z.lower < 0) & (z.upper > 0)).sum()) for z in one.pre) for one in (plain, refined)]
    assert unstable[1] <= unstable[0]
    if unstable[0] > 12:  # the first layer's bounds are exact already
        assert refined.work > 0
        assert sum((z.upper - z.lower).sum() for z in refined.pre) < sum((z.upper - z.lower).sum() for z in plain.pre)


@pytest.mark.parametrize("seed", range(6))
def test_enough_splits_show_every_stable_neuron_of_a_second_layer(seed: int) -> None:
    """Two inputs and a fine grid: what keeps its sign by 0.1 on the grid is shown to be stable, Adam being inexact."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, (2, 8, 30, 1))
    box = Bounds(-np.ones(2), np.ones(2))
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 301)] * 2), axis=-1).reshape(-1, 2)
    z = network.pre_activations(grid)[1]
    plain = optimised_root(network, box).pre[1]
    refined = optimised_root(network, box, effort=1e9).pre[1]
    active, inactive = z.min(axis=0) > 0.1, z.max(axis=0) < -0.1
    assert (refined.lower[active] >= 0).all() and (refined.upper[inactive] <= 0).all()
    settled = [int(((one.lower >= 0) | (one.upper <= 0)).sum()) for one in (plain, refined)]
    assert settled[1] >= settled[0]


def test_a_stop_during_refinement_leaves_bounds_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    network = random_network(rng, (4, 12, 12, 12, 2))
    box = Bounds(np.full(4, -0.5), np.full(4, 0.5))
    z = network.pre_activations(rng.uniform(box.lower, box.upper, (5000, 4)))
    whole, asked = optimised_root(network, box, effort=1e7), []
    optimised_root(network, box, effort=1e7, stop=lambda: bool(asked.append(1)))
    for after in range(0, len(asked), max(1, len(asked) // 12)):
        calls = iter(range(10**9))
        found = optimised_root(network, box, effort=1e7, stop=lambda: next(calls) >= after)  # noqa: B023
        for values, one, best in zip(z, found.pre, whole.pre, strict=False):
            assert (values >= one.lower - 1e-12).all() and (values <= one.upper + 1e-12).all()
            assert np.isfinite(one.lower).all() and one.lower.shape == best.lower.shape


def test_no_effort_is_spent_where_it_pays_for_no_split() -> None:
    rng = np.random.default_rng(0)
    network = random_network(rng, (4, 12, 12, 2))
    box = Bounds(np.full(4, -0.5), np.full(4, 0.5))
    plain, poor = optimised_root(network, box), optimised_root(network, box, effort=10.0)
    assert poor.work == 0.0
    assert all(np.array_equal(a.lower, b.lower) for a, b in zip(plain.pre, poor.pre, strict=True))
    graph = module.FoldedGraph(network, box, plain.pre)
    assert not module.refinable(graph, 10.0) and module.refinable(graph, 1e9)
