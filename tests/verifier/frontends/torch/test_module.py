"""The torch frontend: what students write is read rightly, or refused by name; nothing of theirs is changed."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import verifier
from verifier.errors import UnsupportedLayerError
from verifier.frontends.read import read_subject
from verifier.frontends.torch.module import trace
from verifier.frontends.torch.rebuild import rebuild


class Mlp(nn.Module):
    """The form most students write: layers as attributes, functional ReLU, a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.view(x.size(0), -1)
        return self.second(F.relu(self.first(x)))


class Wrapped(nn.Module):
    """self.net, an if on the number of axes, a normalisation and a LogSoftmax."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 1:
            x = x.unsqueeze(0)
        x = (torch.flatten(x, 1) - 0.1307) / 0.3081
        return F.log_softmax(self.net(x), dim=1)


class Scaled(nn.Module):
    """Constants made in forward, a matrix product, torch.relu, clamp, squeeze."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 5))
        self.last = nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * torch.tensor([1.0, 2.0, 0.5, -1.0]) + 0.25
        x = torch.relu(x @ self.weight)
        return self.last((-x + 1).clamp(min=0)).squeeze(-1)


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, padding="same", groups=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip


class Residual(nn.Module):
    """Two blocks with shortcuts, one through a convolution, written as students write them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.shortcut, self.last = nn.Conv2d(1, 2, 1), nn.Linear(18, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))
        y = F.max_pool2d(y, 2) - F.leaky_relu(F.max_pool2d(self.second(y), 2), 0.1)
        return self.last(torch.flatten(y, 1))


class Branching(nn.Module):
    """A value that is used twice, one that is added to itself, and one that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        unused = torch.tanh(self.left(x))
        assert unused is not None
        a, b = torch.relu(self.left(x)), torch.relu(self.right(x))
        return (a - b) + a + (b + b)


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "attributes": (Mlp, (4,)),
    "wrapped": (Wrapped, (4,)),
    "scaled": (Scaled, (4,)),
    "sequential": (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2), nn.Softmax(dim=-1)), (4,)),
    "single layer": (lambda: nn.Linear(4, 2), (4,)),
    "ends in ReLU": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,)),
    "begins with ReLU": (lambda: nn.Sequential(nn.ReLU(), nn.Linear(4, 3)), (4,)),
    "no layer": (lambda: nn.Sequential(nn.Identity()), (4,)),
    "two linear in a row": (lambda: nn.Sequential(nn.Linear(4, 7), nn.Linear(7, 2)), (4,)),
    "sigmoid": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1), nn.Sigmoid()), (4,)),
    "convolution": (convolution, (2, 8, 8)),
    "average pool": (
        lambda: nn.Sequential(nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), nn.Flatten(), nn.Linear(24, 2)),
        (2, 6, 5),
    ),
    "pool without padding": (
        lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten(), nn.Linear(18, 2)),
        (2, 5, 6),
    ),
    "dilated": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, (3, 2), stride=(1, 2), padding=(2, 0), dilation=2), nn.Flatten()),
        (1, 6, 7),
    ),
    "residual": (Residual, (1, 6, 6)),
    "branching": (Branching, (4,)),
    "max pool": (
        lambda: nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(18, 2)),
        (2, 5, 6),
    ),
    "dilated max pool after ReLU": (
        lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, stride=1, dilation=2), nn.Flatten(), nn.Linear(12, 2)),
        (1, 5, 6),
    ),
    "overhanging max pool": (
        lambda: nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(9, 2)),
        (1, 5, 6),
    ),
    "linear on the last axis": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, 2)),
        (2, 4),
    ),
}  # fmt: skip


def make(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    module = build()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return module.eval(), shape


@pytest.mark.parametrize("name", NETWORKS)
def test_network_computes_what_the_module_computes(name: str) -> None:
    module, shape = make(name)
    subject = read_subject(module, shape)
    x = torch.randn(20, *shape)
    with torch.no_grad():
        expected = copy.deepcopy(module).double()(x.double()).reshape(20, -1).numpy()
    # a number written in forward, or a slope, is read as float32 sees it, and not as the double of the copy
    tolerance = 1e-6 if name in ("wrapped", "scaled", "residual", "max pool") else 1e-10
    found = subject.network(x.double().reshape(20, -1).numpy())
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_rebuilt_module_computes_the_same_in_the_same_dtype(name: str) -> None:
    module, shape = make(name)
    again = rebuild(trace(module, shape))
    x = torch.randn(5, *shape)
    with torch.no_grad():
        torch.testing.assert_close(again(x).reshape(5, -1), module(x).reshape(5, -1))
    assert all(type(part).__module__.startswith(("torch.nn", "verifier")) for part in again.modules())
    first, second = (read_subject(one, shape).network for one in (module, again))
    np.testing.assert_allclose(first(x.reshape(5, -1).double().numpy()), second(x.reshape(5, -1).double().numpy()))


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_of_the_caller_s_module_is_changed(name: str) -> None:
    module, shape = make(name)
    module.train()
    parameter = next(iter(module.parameters()), None)
    if parameter is not None:
        parameter.requires_grad_(False)
    modes = [part.training for part in module.modules()]
    attributes = {id(part): set(vars(part)) for part in module.modules()}
    state = copy.deepcopy(module.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", verifier.VerifierWarning)
        verifier.verify(module, [(0.0, 0.1)] * int(np.prod(shape)), verifier.less_than(-1e6), input_shape=shape)
    assert [part.training for part in module.modules()] == modes
    assert {id(part): set(vars(part)) for part in module.modules()} == attributes
    assert parameter is None or parameter.requires_grad is False
    assert all(p.grad is None for p in module.parameters())
    for key, value in module.state_dict().items():
        assert torch.equal(value, state[key]) and value.dtype == state[key].dtype


def test_initialised_lazy_layer_is_read() -> None:
    net = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 1))
    net(torch.zeros(1, 2))
    assert read_subject(net).network.inputs == 2


def test_subclass_of_linear_with_a_forward_of_its_own_is_read_by_its_forward() -> None:
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * F.linear(x, self.weight, self.bias)

    net = nn.Sequential(Doubled(2, 1))
    with torch.no_grad():
        expected = net(torch.ones(1, 2)).item()
    assert read_subject(net).network(np.ones((1, 2)))[0, 0] == pytest.approx(expected, rel=1e-6)


def test_parametrised_weight_is_read_as_it_is_computed() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        expected = net(torch.ones(1, 2)).item()
    assert read_subject(net).network(np.ones((1, 2)))[0, 0] == pytest.approx(expected, rel=1e-6)


def test_forward_replaced_on_the_object_is_what_runs() -> None:
    net = nn.Sequential(nn.Linear(2, 1))
    net[0].forward = lambda x: x.sum(1, keepdim=True) * 3  # type: ignore[method-assign]
    assert read_subject(net).network(np.array([[1.0, 2.0]]))[0, 0] == 9.0


def test_hooks_are_read_as_they_run() -> None:
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
    nn.init.ones_(net[0].weight)
    net[0].register_forward_hook(lambda part, args, output: output + 5)
    net[1].register_forward_pre_hook(lambda part, args: (-args[0],))
    assert read_subject(net).network(np.array([[-4.0, -3.0], [1.0, 2.0]])).tolist() == [[2.0], [0.0]]


def test_softmax_over_another_axis_is_refused_with_the_cure() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"layer 2 \(1: Softmax\).*dim=0.*dim=-1"):
        read_subject(nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=0)))


def test_functional_dropout_that_stays_active_is_refused_with_the_cure() -> None:
    class Always(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(F.dropout(x))

    with pytest.raises(UnsupportedLayerError, match=r"dropout.*training=self\.training"):
        read_subject(Always())
