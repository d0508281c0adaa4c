"""What a forward changes in place is read where that is certain, and refused by name where the record would lie."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import verifier
from verifier.errors import UnsupportedLayerError
from verifier.frontends.read import read_subject

# z = x + 10: positive at every point where the reading of a network is compared with the network itself
SHIFT = 10.0


class Forward(nn.Module):
    """A forward given as a function of the module and x, with one ReLU in place at hand."""

    def __init__(self, function: Callable[[Forward, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        nn.init.ones_(self.layer.weight)
        nn.init.constant_(self.layer.bias, SHIFT)
        self.relu = nn.ReLU(inplace=True)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def residual_by_function(net: Forward, x: torch.Tensor) -> torch.Tensor:
    z = net.layer(x)
    return F.relu_(z) - z


def residual_by_module(net: Forward, x: torch.Tensor) -> torch.Tensor:
    z = net.layer(x)
    return net.relu(z) - z


def result_not_taken(net: Forward, x: torch.Tensor) -> torch.Tensor:
    z = net.layer(x)
    F.relu_(z)
    return z


def through_a_view(net: Forward, x: torch.Tensor) -> torch.Tensor:
    z = net.layer(x)
    z.view(-1).relu_()
    return z


def through_data(net: Forward, x: torch.Tensor) -> torch.Tensor:
    z = net.layer(x)
    z.data.relu_()
    return z


def through_out(net: Forward, x: torch.Tensor) -> torch.Tensor:
    z = net.layer(x)
    torch.clamp(z, min=0, out=z)
    return z


@pytest.mark.parametrize(
    "forward",
    [residual_by_function, residual_by_module, result_not_taken, through_a_view, through_data, through_out],
)
def test_a_value_taken_after_it_was_changed_in_place_is_refused(forward: Callable[..., torch.Tensor]) -> None:
    """At x = -30 the record without the change says -20 or 20, the module 0; no sample point lies there."""
    with pytest.raises(UnsupportedLayerError, match="changed it in place; write y = relu"):
        verifier.verify(Forward(forward), [(-30, -20)], [[0.5, None]])


def test_what_the_forward_changes_in_place_is_noticed_in_inference_mode() -> None:
    with torch.inference_mode(), pytest.raises(UnsupportedLayerError, match="changed it in place"):
        verifier.verify(Forward(residual_by_function), [(-30, -20)], [[0.5, None]])


def in_the_usual_way(net: Forward, x: torch.Tensor) -> torch.Tensor:
    out = net.relu(net.layer(x))
    shortcut = out
    out = net.layer(out)
    out += shortcut
    return F.relu(out, inplace=True)


def test_the_results_of_operations_in_place_are_read() -> None:
    net = Forward(in_the_usual_way)
    points = torch.linspace(-30.0, 30.0, 25)[:, None]
    with torch.no_grad():
        expected = net(points.clone()).double().numpy()
    network = read_subject(net, None, 1).network
    assert abs(network(points.double().numpy()) - expected).max() < 1e-4  # float32, values up to 90
