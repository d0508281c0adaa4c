"""Torch modules that no reading is certain of are refused by name, and every error is the verifier's own."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import verifier
from verifier.errors import NetworkError, UnsupportedLayerError


class Own(nn.Module):
    """A forward given as a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda net, x: {}["missing"], "KeyError: 'missing'"),
        (lambda net, x: x * (1 / 0), "ZeroDivisionError: division by zero"),
        (lambda net, x: undefined(x), "NameError: name 'undefined'"),  # type: ignore[name-defined]  # noqa: F821
    ],
)
def test_whatever_a_forward_raises_is_told_as_the_networks_error(function: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=f"its forward fails on an input of shape .*{said}"):
        verifier.verify(Own(function), [(0, 1)], [[0, 1]])


class Called(nn.Linear):
    """What __call__ adds is no part of the forward."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return super().__call__(x).clamp(max=100.0)


def test_a_call_of_its_own_is_what_runs() -> None:
    assert verifier.verify(Called(1, 1), [(0, 1000)], [[None, 100]])


class Clipped(nn.Conv2d):
    """A convolution that clips its input first, far beyond every sample."""

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> torch.Tensor:
        return super()._conv_forward(F.relu(input + 100.0) - 100.0, weight, bias)


class Same(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight


def test_a_parametrised_layer_with_a_convolution_of_its_own_is_read_as_it_runs() -> None:
    """parametrize makes torch's own class of it. At x <= -200 it gives -100 w + b, the weight being 1."""
    layer = Clipped(1, 1, 1)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    torch.nn.utils.parametrize.register_parametrization(layer, "weight", Same())
    net = nn.Sequential(layer)
    assert verifier.verify(net, [(-300, -200)], [[-100, -100]], input_shape=(1, 1, 1))


@pytest.mark.parametrize(("dtype", "said"), [(torch.int64, "net.float"), (torch.complex64, "complex")])
def test_weights_that_are_no_floating_point_numbers_are_refused(dtype: torch.dtype, said: str) -> None:
    net = nn.Linear(1, 1)
    for name in ("weight", "bias"):
        setattr(net, name, nn.Parameter(torch.ones_like(getattr(net, name)).to(dtype), requires_grad=False))
    with pytest.raises(UnsupportedLayerError, match=said):
        verifier.verify(net, [(-1, 1)], [[None, 10]])


def test_bits_read_as_whole_numbers_are_refused() -> None:
    net = Own(lambda net, x: net.layer((x.view(torch.int32) * 1).view(torch.float32)))
    with pytest.raises(UnsupportedLayerError, match=r"reads numbers of the input's type as another type"):
        verifier.verify(net, [(-1, 1)], [[None, 10]])


@pytest.mark.parametrize("pool", [nn.Conv2d(1, 1, 2), nn.AvgPool2d(2), nn.MaxPool2d(2)])
def test_images_made_of_the_batch_axis_are_refused(pool: nn.Module) -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.pool = nn.Linear(8, 8), pool

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.pool(self.first(x).reshape(2, 1, 2, 2)).reshape(1, -1)

    with pytest.raises(UnsupportedLayerError, match="a batch of 2 images"):
        verifier.verify(Halves(), [(-1, 1)] * 8, [[None, 10]] * 2, input_shape=(8,))


def test_a_layer_without_neurons_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of initialising nothing
        net = nn.Sequential(nn.Linear(2, 0), nn.ReLU(), nn.Linear(0, 1))
    with pytest.raises(NetworkError, match=r"has no weights \(shape \(0, 2\)\)"):
        verifier.verify(net, [(-1, 1)] * 2, [[None, 10]])


@pytest.mark.parametrize("method", ["auto", "auto_lirpa_optimized"])
def test_a_question_asked_in_inference_mode_is_answered(method: str) -> None:
    net = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 1))
    bound = 1.0 + 9 * 7 * max(float(p.detach().abs().max()) for p in net.parameters())
    with torch.inference_mode():
        assert verifier.verify(net, [(-1, 1)] * 6, [[-bound, bound]], method=method, max_subdomains=100)
        assert verifier.verify(net, [(-1, 1)] * 6, [[-1e-6, 1e-6]], max_subdomains=100).verdict.name == "FALSIFIED"
