"""Bounds with given or optimised slopes and multipliers hold, in rationals and on samples of each subdomain."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.verifier.test_rounding import digit_losing_network
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Array, Bounds
from verifier.network import Affine, Network
from verifier.search.relu.alpha_crown import (
    Choice,
    Relaxed,
    Subdomains,
    Target,
    default_choice,
    gradients,
    lower_bound,
    optimise,
)
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.optimised_root import optimised_root
from verifier.search.relu.split_bounds import RootBox, SplitBounds

FLOAT32_RTOL = 1e-4  # sums of float32 products over a few dozen terms, with cancellation


def random_network(rng: np.random.Generator, sizes: tuple[int, ...]) -> Network:
    layers = [
        Affine(rng.normal(size=(outputs, inputs)) / np.sqrt(inputs), 0.3 * rng.normal(size=outputs))
        for inputs, outputs in pairwise(sizes)
    ]
    return Network(tuple(layers))


def crown_root(network: Network, box: Bounds) -> tuple[RootBox, list[Bounds]]:
    """CROWN's hidden bounds and the rounding terms of the box."""
    found = crown_bounds(network, Bounds(box.lower[None], box.upper[None]), np.eye(network.outputs))
    root, pre = RootBox(network, box), [Bounds(z.lower[0], z.upper[0]) for z in found.pre]
    for z in pre:
        root.pass_layer(z)
    return root, pre


def halves(pre: list[Bounds], signs: list[Array]) -> list[Bounds]:
    """The bounds in a subdomain: signs (rows, neurons) fix neurons."""
    return [
        Bounds(
            np.where(s > 0, np.maximum(z.lower, 0), np.minimum(z.lower, np.where(s < 0, 0, np.inf))),
            np.where(s < 0, np.minimum(z.upper, 0), np.maximum(z.upper, np.where(s > 0, 0, -np.inf))),
        )
        for z, s in zip(pre, signs, strict=True)
    ]


def given_bounds(
    network: Network, box: Bounds, rng: np.random.Generator, signs: list[Array], added: list[Array] | None = None
) -> SplitBounds:
    """Bound each output and its opposite, plus `added` . z, with random slopes and multipliers of any sign and size."""
    root, pre = crown_root(network, box)
    count = 2 * network.outputs
    rows = np.concatenate([np.eye(network.outputs), -np.eye(network.outputs)])
    zero = np.zeros(count)
    start = root.logit_rows(rows, zero, np.abs(rows), zero, 1)
    slopes = [rng.uniform(-0.5, 1.5, (count, z.lower.size)) for z in pre]
    scale = 10.0 ** rng.uniform(-3, 1)
    multipliers = [scale * rng.normal(size=(count, z.lower.size)) for z in pre]
    return root.lower_bounds(start, halves(pre, signs), slopes, multipliers, added)


@pytest.mark.parametrize("seed", range(40))
def test_random_slopes_and_multipliers_bound_every_sample_of_the_subdomain(seed: int) -> None:
    """The subdomain is that of a random point, fixing a random third of the neurons to that point's signs."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, (4, 12, 10, 3) if seed % 2 else (3, 8, 2))
    centre = rng.uniform(-1, 1, network.inputs)
    box = Bounds(centre - 0.7, centre + 0.7)
    x = rng.uniform(box.lower, box.upper, (20_000, network.inputs))
    values = network.pre_activations(x)
    signs = [np.where(rng.random(z.shape[1]) < 0.3, np.sign(z[0]), 0.0)[None] for z in values[:-1]]
    inside = np.all(np.concatenate([z * s >= 0 for z, s in zip(values[:-1], signs, strict=True)], axis=1), axis=1)
    assert inside[0]
    found = given_bounds(network, box, rng, signs)
    logits = values[-1][inside]
    assert (np.concatenate([logits, -logits], axis=1) >= found.lower - 1e-12).all()
    assert np.isfinite(found.lower).all()


@pytest.mark.parametrize("seed", range(30))
def test_random_slopes_and_multipliers_bound_exact_values(seed: int) -> None:
    """Weights made to lose digits, a box that is one point, signs fixed to those of the exact values there."""
    network = digit_losing_network(seed, (6, 24, 24, 3))
    rng = np.random.default_rng(seed + 1000)
    x = rng.uniform(-1, 1, 6)
    signs = []
    h = [Fraction(float(v)) for v in x]
    for layer in network.layers:
        z = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        h = [max(v, Fraction(0)) for v in z]
        signs.append(np.array([[0.0 if rng.random() < 0.5 else float((v > 0) - (v < 0)) for v in z]]))
    found = given_bounds(network, Bounds(x, x), rng, signs[:-1])
    for i, value in enumerate([*z, *(-v for v in z)]):
        assert Fraction(float(found.lower[i])) <= value


@pytest.mark.parametrize("seed", range(30))
def test_rows_with_coefficients_on_hidden_values_bound_exact_values(seed: int) -> None:
    """As above, for rows y_i + a . z and -y_i + a . z with coefficients a on hidden z of all sizes."""
    network = digit_losing_network(seed, (6, 16, 16, 3))
    rng = np.random.default_rng(seed + 3000)
    x = rng.uniform(-1, 1, 6)
    hidden, h = [], [Fraction(float(v)) for v in x]
    for layer in network.layers:
        z = [
            sum((Fraction(float(w)) * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        h = [max(v, Fraction(0)) for v in z]
        hidden.append(z)
    added = [rng.normal(size=(6, 16)) * 10.0 ** rng.uniform(-8, 8, (6, 16)) * (rng.random((6, 16)) < 0.3)
             for _ in range(2)]  # fmt: skip
    found = given_bounds(network, Bounds(x, x), rng, [np.zeros((1, 16))] * 2, added)
    for i, value in enumerate([*hidden[-1], *(-v for v in hidden[-1])]):
        for a, z in zip(added, hidden[:-1], strict=True):
            value += sum((Fraction(float(c)) * v for c, v in zip(a[i], z, strict=True)), Fraction(0))
        assert Fraction(float(found.lower[i])) <= value


@pytest.mark.parametrize("seed", range(20))
def test_random_slopes_bound_exact_values_at_corners_of_a_narrow_box(seed: int) -> None:
    """Neurons that are unstable in a box of radius 1e-9 have their kink where digits are lost."""
    rng = np.random.default_rng(seed + 2000)
    network = digit_losing_network(seed, (3, 12, 2))
    centre = rng.uniform(-1, 1, 3)
    first = network.layers[0]
    network = Network((Affine(first.weight, -first.weight @ centre), network.layers[1]))
    box = Bounds(centre - 1e-9, centre + 1e-9)
    corners = [np.where([i >> k & 1 for k in range(3)], box.upper, box.lower) for i in range(8)]
    nothing = [np.zeros((1, 12))]
    found = given_bounds(network, box, rng, nothing)
    for corner in corners:
        exact = network.exact_logits(corner)
        for i, value in enumerate([*exact, *(-v for v in exact)]):
            assert Fraction(float(found.lower[i])) <= value


def test_a_multiplier_of_the_wrong_sign_is_not_believed() -> None:
    """relu(x) - relu(-x) is x; without a split, a multiplier on the first neuron would prove more than holds."""
    network = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.array([[1.0, -1.0]]), np.zeros(1))))
    root, pre = crown_root(network, Bounds(np.array([-1.0]), np.array([1.0])))
    start = root.logit_rows(np.eye(1), np.zeros(1), np.eye(1), np.zeros(1), 1)
    for multiplier in (-3.0, 3.0, np.nan, np.inf):
        slopes = [np.full((1, 2), 5.0)]
        found = root.lower_bounds(start, [Bounds(z.lower[None], z.upper[None]) for z in pre], slopes,
                                  [np.full((1, 2), multiplier)])  # fmt: skip
        assert found.lower[0] <= -1.0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("radius", [0.05, 0.3, 1.0])
def test_optimised_hidden_bounds_are_no_looser_than_crown_s(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, (5, 14, 14, 14, 2))
    centre = rng.uniform(-1, 1, 5)
    box = Bounds(centre - radius, centre + radius)
    _, known = crown_root(network, box)
    pre = optimised_root(network, box, known).pre
    for tight, loose in zip(pre, known, strict=True):
        assert (tight.lower >= loose.lower).all() and (tight.upper <= loose.upper).all()
    values = network.pre_activations(rng.uniform(box.lower, box.upper, (5000, 5)))
    for z, one in zip(values, pre, strict=False):
        assert (z >= one.lower - 1e-12).all() and (z <= one.upper + 1e-12).all()
    if radius == 0.3:
        assert sum((z.upper - z.lower).sum() for z in pre) < sum((z.upper - z.lower).sum() for z in known)


def folded(network: Network, pre: list[Bounds], box: Bounds) -> tuple[FoldedGraph, Target, Subdomains]:
    """The whole box, the outputs as rows."""
    graph = FoldedGraph(network, box, pre)
    last = network.layers[-1]
    low, high = (graph.gather([getattr(z, side) for z in pre])[None] for side in ("lower", "upper"))
    return graph, Target(*graph.start(last.weight, last.bias)), Subdomains.of(low, high, np.zeros_like(low))


@pytest.mark.parametrize("radius", [0.02, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_folded_graph_gives_the_bounds_of_the_network(seed: int, radius: float) -> None:
    """Few or many neurons unstable, so that some layers are folded and some are not."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, (6, 20, 20, 20, 3))
    centre = rng.uniform(-1, 1, 6)
    box = Bounds(centre - radius, centre + radius)
    root, pre = crown_root(network, box)
    graph, target, domains = folded(network, pre, box)
    choice = default_choice(domains, 3, graph.unstable_count)
    choice.slope = torch.from_numpy(rng.uniform(0, 1, choice.slope.shape).astype(np.float32))
    value, slope, before = lower_bound(graph, target, Relaxed(domains), choice)
    zero = [np.zeros(z.lower.size) for z in pre]
    slopes = graph.scatter(choice.slope.numpy().astype(np.float64), zero)
    start = root.logit_rows(np.eye(3), np.zeros(3), np.eye(3), np.zeros(3), 1)
    wide = [Bounds(z.lower[None], z.upper[None]) for z in pre]
    found = root.lower_bounds(start, wide, slopes, [z[None] for z in zero])
    size = np.abs(found.lower).max() + 1
    np.testing.assert_allclose(value.numpy(), found.lower, atol=FLOAT32_RTOL * size)
    np.testing.assert_allclose(slope.numpy(), found.slope, atol=FLOAT32_RTOL * np.abs(found.slope).max())
    expected = network.layers[-1].weight[:, graph.unstable[-1]]  # before the last ReLUs stands the last layer
    np.testing.assert_allclose(before[-1].numpy(), expected, atol=FLOAT32_RTOL * size)


def test_optimising_never_returns_a_worse_bound_and_ends_when_asked() -> None:
    rng = np.random.default_rng(3)
    network = random_network(rng, (6, 20, 20, 3))
    box = Bounds(np.full(6, -0.4), np.full(6, 0.4))
    _, pre = crown_root(network, box)
    graph, target, domains = folded(network, pre, box)
    start = default_choice(domains, 3, graph.unstable_count)
    before, _ = optimise(graph, target, domains, start, steps=0)
    after, choice = optimise(graph, target, domains, start, steps=40)
    assert (after >= before).all() and (after > before + 1e-3).any()
    assert ((choice.slope >= 0) & (choice.slope <= 1)).all()
    again, _ = optimise(graph, target, domains, choice, steps=0)
    assert torch.allclose(after, again, atol=1e-5)
    asked = []
    optimise(graph, target, domains, start, steps=1000, stop=lambda: asked.append(1) or len(asked) >= 3)
    assert len(asked) == 3


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_those_of_small_differences(seed: int, mixed: bool) -> None:
    """In float64, for slopes, multipliers, mixtures and weights, with coefficients on hidden values in the rows."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = random_network(rng, (3, 6, 5, 4))
    network = Network((Affine(network.layers[0].weight * 2e9, network.layers[0].bias * 2e9), *network.layers[1:]))
    box = Bounds(-np.ones(3), np.ones(3))
    _, pre = crown_root(network, box)
    graph = FoldedGraph(network, box, pre)
    assert graph.dtype == torch.float64  # because values are large
    rows, unstable = (2, graph.unstable_count) if mixed else (4, graph.unstable_count)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    sources, constant = graph.start(network.layers[-1].weight, network.layers[-1].bias)
    valid = None
    if mixed:
        sources = {j: one.reshape(2, 2, -1) for j, one in sources.items()}
        constant, valid = constant.reshape(2, 2), torch.ones(2, 2, dtype=torch.bool)
    target = Target(sources, constant, valid, random(rows, unstable) - 0.5)
    low, high = (torch.from_numpy(graph.gather([getattr(z, side) for z in pre])) for side in ("lower", "upper"))
    sign = torch.from_numpy(rng.choice([-1.0, 0.0, 0.0, 1.0], (rows, unstable)))
    lines = Relaxed(Subdomains(low.expand(rows, -1), high.expand(rows, -1), sign))
    choice = Choice(
        random(rows, unstable), random(rows, unstable), random(rows, 2) if mixed else None, random(rows)
    )  # fmt: skip
    value, slope, before = lower_bound(graph, target, lines, choice)
    found = gradients(graph, target, lines, choice, slope, before)
    for name in ("slope", "multiplier", "mixture", "weight"):
        given = getattr(choice, name)
        if given is None:
            continue
        expected = torch.zeros_like(given)
        for index in np.ndindex(*given.shape):
            moved = given.clone()
            moved[index] += 1e-6
            after = lower_bound(graph, target, lines, Choice(**{**vars(choice), name: moved}))[0]
            expected[index] = (after[index[0]] - value[index[0]]) / 1e-6
        scale = float(expected.abs().max())
        assert scale > 0
        assert float((getattr(found, name) - expected).abs().max()) < 1e-5 * max(scale, float(value.abs().max()))
