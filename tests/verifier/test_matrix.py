"""Sparse weights: the same matrices in two forms, and the same answers from every method."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import verifier
from tests.verifier.test_rounding import digit_losing_network
from verifier import argmax_is, matrix
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import Bounds
from verifier.folding import Enclosed, compose, scaled
from verifier.frontends.read import read_subject
from verifier.network import Affine, Network, propagate_interval


@pytest.fixture
def all_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every matrix sparse, however small or full."""
    monkeypatch.setattr(matrix, "DENSE_ENTRIES", 0)
    monkeypatch.setattr(matrix, "SPARSE_SHARE", 2.0)


def as_sparse(array: np.ndarray) -> matrix.Matrix:
    from scipy.sparse import csr_array

    return csr_array(array)


def some_matrix(seed: int, rows: int, columns: int) -> np.ndarray:
    """Small numbers and many zeros, so that sums of products are exact in any order."""
    rng = np.random.default_rng(seed)
    return rng.integers(-4, 5, (rows, columns)) * 0.25 * (rng.uniform(size=(rows, columns)) < 0.4)


sizes = st.integers(1, 6)


@given(st.integers(0, 10**6), sizes, sizes, st.lists(sizes, min_size=0, max_size=2))
@settings(max_examples=60)
def test_both_forms_say_the_same(seed: int, rows: int, columns: int, leading: list[int]) -> None:
    array = some_matrix(seed, rows, columns)
    sparse = as_sparse(array)
    rng = np.random.default_rng(seed)
    h, c = (rng.integers(-8, 9, (*leading, size)) * 0.5 for size in (columns, rows))
    assert np.array_equal(matrix.forward(sparse, h), matrix.forward(array, h))
    assert np.array_equal(matrix.backward(sparse, c), matrix.backward(array, c))
    for ours, theirs in zip(matrix.signed_parts(sparse), matrix.signed_parts(array), strict=True):
        assert np.array_equal(matrix.dense(ours), theirs)
    assert np.array_equal(matrix.dense(matrix.magnitude(sparse)), np.abs(array))
    for axis in (0, 1):
        assert matrix.most_in(sparse, axis) == matrix.most_in(array, axis)
        joined = matrix.stacked([sparse, array], axis)
        assert np.array_equal(matrix.dense(joined), np.concatenate([array, array], axis=axis))
    for row in range(rows):
        for ours, theirs in zip(matrix.row_terms(sparse, row), matrix.row_terms(array, row), strict=True):
            assert np.array_equal(ours, theirs)
    terms = max(max(np.count_nonzero(array, axis=axis).max() for axis in (0, 1)), 1)
    assert terms <= matrix.most_terms(sparse) <= matrix.most_terms(array)


def test_a_matrix_is_stored_in_the_form_that_suits_it() -> None:
    large = matrix.selection(np.arange(2000), 2000)
    assert matrix.is_sparse(large) and large.nnz == 2000
    assert not matrix.is_sparse(matrix.selection(np.arange(20), 20))
    full = np.ones((600, 600))
    assert matrix.settle(full) is full
    assert matrix.is_sparse(matrix.settle(np.eye(600))) and not matrix.is_sparse(matrix.settle(as_sparse(full)))


@pytest.mark.parametrize("seed", range(6))
def test_rounding_of_sparse_layers_is_contained(seed: int, all_sparse: None) -> None:
    """The exact value at a point lies within the bounds, on weights that are made to lose digits."""
    dense = digit_losing_network(seed, (6, 40, 40, 3))
    keep = np.random.default_rng(seed).uniform(size=(40, 40)) < 0.2
    layers = [
        Affine(as_sparse(one.weight * (keep if one.weight.shape == keep.shape else 1)), one.bias)
        for one in dense.layers
    ]
    network = Network(tuple(layers))
    x = np.random.default_rng(seed + 100).uniform(-1, 1, 6)
    exact = network.exact_logits(x)
    for bound in (interval_bounds, crown_bounds):
        found = bound(network, Bounds(x[None], x[None]), np.eye(3))
        for value, low, high in zip(exact, found.rows.lower[0], found.rows.upper[0], strict=True):
            assert Fraction(float(low)) <= value <= Fraction(float(high))


@pytest.mark.parametrize("seed", range(8))
def test_folding_sparse_layers_accounts_for_what_it_rounds(seed: int, all_sparse: None) -> None:
    """second after first after a scale, in rationals, lies within the folded layer's radius at a point."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(size=(5, 5)) * 10.0 ** rng.uniform(-8, 8, (5, 5)) * (rng.uniform(size=(5, 5)) < 0.6)
        for _ in range(2)
    ]
    first, second = (Affine(as_sparse(part), rng.normal(size=5)) for part in parts)
    scale = Enclosed(rng.normal(size=5), np.zeros(5))
    shift = Enclosed(rng.normal(size=5), np.zeros(5))
    folded = scaled(compose(first, second), scale, shift)
    x = rng.uniform(-1, 1, 5)
    inner = Network((first, second)).layers
    h = [Fraction(float(value)) for value in x]
    for layer in inner:
        weights = [[Fraction(float(w)) for w in row] for row in matrix.dense(layer.weight)]
        h = [
            sum((w * v for w, v in zip(row, h, strict=True)), Fraction(float(b)))
            for row, b in zip(weights, layer.bias, strict=True)
        ]
    exact = [Fraction(float(a)) * z + Fraction(float(b)) for a, z, b in zip(scale.value, h, shift.value, strict=True)]
    found = propagate_interval(folded, Bounds(x[None], x[None]))
    for value, low, high in zip(exact, found.lower[0], found.upper[0], strict=True):
        assert Fraction(float(low)) <= value <= Fraction(float(high))


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=40)
def test_what_only_moves_values_rounds_nothing(seed: int, sparse: bool) -> None:
    """Rows of at most one of 1, 2, 4, ... have their exact interval; the others a wider one."""
    rng = np.random.default_rng(seed)
    weight = np.zeros((8, 5))
    weight[np.arange(8), rng.integers(0, 5, 8)] = rng.choice([0.0, 1.0, -2.0, 4.0], 8)
    weight[6] = 0.1, 0.2, 0.3, 0.4, 0.5
    weight[7] = 0.0, 0.0, 0.3, 0.0, 0.0
    bias = np.zeros(8)
    bias[5] = 1e-3
    layer = Affine(as_sparse(weight) if sparse else weight, bias)
    assert list(layer.moves) == [True] * 5 + [False] * 3
    low = rng.uniform(0, 1, 5)
    high = low + rng.uniform(0, 1, 5)
    found = propagate_interval(layer, Bounds(low, high))
    assert (found.lower[:5][weight[:5].sum(axis=1) >= 0] >= 0).all()
    scale, source = weight[:5].sum(axis=1), np.abs(weight[:5]).argmax(axis=1)
    ends = np.sort([scale * low[source], scale * high[source]], axis=0)
    assert np.array_equal(found.lower[:5], ends[0]) and np.array_equal(found.upper[:5], ends[1])
    assert found.lower[7] < 0.3 * low[2] and found.upper[7] > 0.3 * high[2]


def test_values_that_are_carried_along_stay_stable() -> None:
    """A shortcut over a layer of ReLUs adds no unstable neuron."""
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.block, self.last = nn.Linear(3, 4), block, nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.first(x))
            return self.last(self.block(h) + h)

    torch.manual_seed(3)
    network = read_subject(Shortcut(), (3,), 3).network
    assert network.layers[1].bias.size == 8 and network.layers[1].moves.sum() == 4
    found = interval_bounds(network, Bounds(-np.ones((1, 3)), np.ones((1, 3))), np.eye(2))
    assert (found.pre[1].lower[0, 4:] >= 0).all()


def conv_network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2) if seed % 2 else nn.AvgPool2d(2),
        nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_those_of_dense_layers_and_contain_samples(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = conv_network(seed)
    dense = read_subject(net, (1, 6, 6), 36).network
    monkeypatch.setattr(matrix, "DENSE_ENTRIES", 0)
    monkeypatch.setattr(matrix, "SPARSE_SHARE", 2.0)
    sparse = read_subject(net, (1, 6, 6), 36).network
    assert all(matrix.is_sparse(layer.weight) for layer in sparse.layers[:-1])
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, 1, (2, 36))
    box = Bounds(centre - 0.1, centre + 0.1)
    rows = rng.normal(size=(4, 3))
    for method in (interval_bounds, crown_bounds):
        ours, theirs = (method(network, box, rows) for network in (sparse, dense))
        assert np.allclose(ours.rows.lower, theirs.rows.lower, rtol=0, atol=1e-9)
        assert np.allclose(ours.rows.upper, theirs.rows.upper, rtol=0, atol=1e-9)
        for one, other in zip(ours.pre, theirs.pre, strict=True):
            assert np.allclose(one.lower, other.lower, atol=1e-9) and np.allclose(one.upper, other.upper, atol=1e-9)
        for k in range(2):
            points = rng.uniform(box.lower[k], box.upper[k], (500, 36))
            values = (
                net(torch.tensor(points, dtype=torch.float32).reshape(-1, 1, 6, 6)).detach().double().numpy() @ rows.T
            )
            assert (values >= ours.rows.lower[k] - 1e-5).all() and (values <= ours.rows.upper[k] + 1e-5).all()


@pytest.mark.parametrize("method", ["auto", "auto_lirpa", "relu_split", "lp", "milp", "z3", "split"])
def test_every_method_reads_sparse_layers(method: str, all_sparse: None) -> None:
    """A box so small that all can prove it, and a specification that is false at its centre."""
    net = conv_network(1)
    x = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    label = int(net(x).argmax())
    box = [(float(v) - 1e-3, float(v) + 1e-3) for v in x.reshape(-1)]
    ask = {"input_shape": (1, 6, 6), "method": method, "max_subdomains": 200, "progress": False}
    assert verifier.verify(net, box, argmax_is(label), **ask).verdict.value == "verified"
    wrong = verifier.verify(net, box, argmax_is((label + 1) % 3), **ask)
    assert wrong.verdict.value in ("falsified", "unknown")
    if method not in ("auto_lirpa", "lp"):
        assert wrong.verdict.value == "falsified"


def test_a_large_convolution_takes_little_memory() -> None:
    """As a dense matrix the first layer alone would take 1.2 GiB."""
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(1600, 2)
    ).eval()
    network = read_subject(net, (3, 40, 40), 3 * 40 * 40).network
    stored = sum(matrix.entries(layer.weight).size for layer in network.layers)
    assert stored < 2_000_000 < math.prod(network.layers[0].weight.shape)
    x = np.random.default_rng(0).uniform(size=(2, 4800))
    theirs = net(torch.tensor(x, dtype=torch.float32).reshape(2, 3, 40, 40)).detach().numpy()
    assert np.allclose(network(x), theirs, atol=1e-5)


def test_auto_lirpa_refuses_what_would_be_dense_and_huge_and_auto_does_without() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(576, 2)
    ).eval()
    ask = {"input_shape": (1, 48, 48), "progress": False}
    box = [(0.5, 0.5)] * 48 * 48
    with pytest.raises(verifier.VerifierError, match="dense"):
        verifier.verify(net, box, argmax_is(0), method="auto_lirpa", timeout_s=None, **ask)
    assert verifier.verify(net, box, argmax_is(0), **ask).verdict.value != "unknown"
