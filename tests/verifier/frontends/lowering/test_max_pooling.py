"""Max pooling is written as ReLUs, and its bounds are those of a maximum: between the largest of the lower bounds and
the largest of the upper ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier import Verdict, less_than, output_bounds, verify
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import Bounds
from verifier.frontends.lowering.as_relus import max_pool_stages
from verifier.frontends.read import read_subject

METHODS = ("ibp", "crown", "auto_lirpa_ibp", "auto_lirpa", "auto_lirpa_optimized")
ROUNDING = 1e-9


class Residual(nn.Module):
    """A value is needed again behind the pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(16, 2)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        return self.last((h + self.pool(h)).flatten(1))


def pooled(kind: str) -> nn.Module:
    torch.manual_seed(4)
    conv = nn.Conv2d(1, 2, 3, padding=1)
    kinds: dict[str, list[nn.Module]] = {
        "inputs": [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2)],
        "before ReLU": [conv, nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)],
        "behind ReLU": [conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)],
        "overlapping": [conv, nn.ReLU(), nn.MaxPool2d(3, stride=1), nn.Flatten(), nn.Linear(8, 2)],
        "padded": [conv, nn.MaxPool2d(3, stride=2, padding=1), nn.Flatten(), nn.Linear(8, 2)],
        "twice": [conv, nn.MaxPool2d(2), nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()],
        "picks": [conv, nn.MaxPool2d(1, stride=2), nn.Flatten(), nn.Linear(8, 2)],
        "last": [conv, nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()],
    }
    return Residual() if kind == "residual" else nn.Sequential(*kinds[kind])


KINDS = ("inputs", "before ReLU", "behind ReLU", "overlapping", "padded", "twice", "picks", "last", "residual")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("radius", [1e-4, 0.1, 1.0])
def test_bounds_hold_every_sampled_value_of_every_layer(kind: str, radius: float) -> None:
    net = pooled(kind).double()
    network = read_subject(net, (1, 4, 4), 16).network
    random = np.random.default_rng(0)
    centre = random.normal(size=(1, 16))
    box = Bounds(centre - radius, centre + radius)
    x = random.uniform(box.lower, box.upper, (3000, 16))
    x[:1000] = np.where(random.random((1000, 16)) < 0.5, box.lower, box.upper)
    values = network.pre_activations(x)
    with torch.no_grad():
        np.testing.assert_allclose(values[-1], net(torch.from_numpy(x).reshape(-1, 1, 4, 4)).numpy(), atol=1e-9)
    for bound in (interval_bounds, crown_bounds):
        found = bound(network, box, np.eye(network.outputs))
        for z, layer in zip(values, [*found.pre, found.rows], strict=True):
            assert (layer.lower - ROUNDING <= z).all() and (z <= layer.upper + ROUNDING).all()
    enclosed = network.enclose_logits(x[:50])
    assert (enclosed.lower <= values[-1][:50] + ROUNDING).all() and (values[-1][:50] <= enclosed.upper + ROUNDING).all()
    for method in METHODS:
        rows = output_bounds(net, np.stack([box.lower[0], box.upper[0]], 1), input_shape=(1, 4, 4), method=method)
        assert (rows.lower <= values[-1]).all() and (values[-1] <= rows.upper).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("relu_first", [False, True])
def test_largest_of_nine_values_lies_where_they_lie(method: str, relu_first: bool) -> None:
    """max of nine values in [-1, 1] lies in [-1, 1], and in [0, 1] behind a ReLU."""
    net = nn.Sequential(*[nn.ReLU()] * relu_first, nn.MaxPool2d(3), nn.Flatten())
    bounds = output_bounds(net, [[-1, 1]] * 9, input_shape=(1, 3, 3), method=method)
    assert -1 + relu_first - ROUNDING <= bounds.lower[0] and bounds.upper[0] <= 1 + ROUNDING


@pytest.mark.parametrize("size", [3, 6])
def test_an_obvious_limit_on_a_maximum_is_verified_by_intervals(size: int) -> None:
    net = nn.Sequential(nn.MaxPool2d(3), nn.Flatten())
    ask: dict[str, Any] = {"input_shape": (1, size, size), "progress": False}
    result = verify(net, [[-1, 1]] * size**2, [[None, 1.05]] * (size // 3) ** 2, **ask)
    assert result.verdict is Verdict.VERIFIED and result.stage == "interval"
    assert verify(net, [[-1, 1]] * size**2, less_than(0.9), **ask).verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("kind", ["inputs", "before ReLU", "last"])
@pytest.mark.parametrize("method", ["auto", "split", "relu_split", "milp", "z3"])
def test_complete_methods_agree_with_the_largest_sampled_output(kind: str, method: str) -> None:
    """Three inputs move; the largest output among 27,000 points of their grid bounds the true one from below."""
    net = pooled(kind).double()
    x_specs = [[0.2, 0.2]] * 13 + [[-0.5, 0.5]] * 3
    side = torch.linspace(-0.5, 0.5, 30, dtype=torch.float64)
    points = torch.full((27000, 16), 0.2, dtype=torch.float64)
    points[:, 13:] = torch.cartesian_prod(side, side, side)
    with torch.no_grad():
        top = net(points.reshape(-1, 1, 4, 4)).max(dim=0).values
    ask: dict[str, Any] = {"input_shape": (1, 4, 4), "method": method, "progress": False, "timeout_s": 30}
    room, short = [[None, t + 0.2] for t in top.tolist()], [[None, t - 1e-3] for t in top.tolist()]
    assert verify(net, x_specs, room, **ask).verdict is Verdict.VERIFIED
    assert verify(net, x_specs, short, **ask).verdict is Verdict.FALSIFIED


def test_small_box_around_an_image_is_verified_without_bounds_on_hidden_neurons() -> None:
    """At radius 1e-4 nearly every window has one winner: one backward pass settles it."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 10),
    )  # fmt: skip
    image = torch.rand(1, 1, 28, 28)
    label = int(net(image).argmax())
    result = verifier.verify_robust(net, image, label, 1e-4, input_shape=(1, 28, 28), progress=False)
    assert result.verdict is Verdict.VERIFIED and result.stage in ("interval", "crown")


@pytest.mark.parametrize("count", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("positive", [False, True])
def test_stages_compute_maxima_and_say_of_which_cells(count: int, positive: bool) -> None:
    random = np.random.default_rng(count)
    cells = np.array([random.permutation(12)[:count] for _ in range(4)])
    value = random.normal(size=12)
    value = np.abs(value) if positive else value
    first = value
    for before, after, groups in max_pool_stages(cells, 12, positive):
        z = before.weight @ value
        if groups is not None:
            np.testing.assert_allclose(before.weight @ first[groups].max(axis=1), z, atol=1e-15)
        value = after.weight @ np.maximum(z, 0.0)
    np.testing.assert_allclose(value, first[cells].max(axis=1), atol=1e-15)
