"""Every kind of step is complete: read, lowered, rebuilt, documented; and what is rebuilt gives the same outputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier.frontends.lowering.affine_steps import AFFINE, SCALES
from verifier.frontends.lowering.as_relus import AS_RELUS
from verifier.frontends.lowering.kinds import KINDS, documentation
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import HEADS, SHAPE_ONLY
from verifier.frontends.onnx.operations import OPERATORS
from verifier.frontends.torch.aten_operations import OPERATIONS
from verifier.frontends.torch.module import trace
from verifier.frontends.torch.rebuild import REBUILT, rebuild

FRONTENDS = Path(verifier.__file__).parent / "frontends"
ROOT = Path(__file__).parents[4]
BY_LOWERING_ITSELF = {"ReLU", "Sum", "Join"}  # lower.py takes them without a table


class Applied(nn.Module):
    """A function behind a Linear, and a Linear behind it."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], inputs: int = 3) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(inputs, 3), nn.Linear(3, 1), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.function(self.first(x)))


# how each kind is written in torch, the input's shape, and the kind; grading rebuilds what it says
WRITTEN = {
    "Linear": (nn.Linear(3, 2), (3,)),
    "Conv2d": (nn.Sequential(nn.Conv2d(2, 3, 2, padding=1, stride=2), nn.Flatten()), (2, 4, 5)),
    "AvgPool2d": (nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), (1, 4, 4)),
    "BatchNorm": (nn.Sequential(nn.BatchNorm1d(3)), (3,)),
    "MaxPool2d": (nn.Sequential(nn.MaxPool2d(2), nn.Flatten()), (1, 4, 4)),
    "ReLU": (nn.Sequential(nn.Linear(3, 3), nn.ReLU()), (3,)),
    "Abs": (Applied(torch.abs), (3,)),
    "Clip": (Applied(nn.Hardtanh(-0.5, 0.75)), (3,)),
    "LeakyReLU": (nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.3)), (3,)),
    "Sigmoid": (nn.Sequential(nn.Linear(3, 3), nn.Sigmoid()), (3,)),
    "Softmax": (nn.Sequential(nn.Linear(3, 3), nn.Softmax(-1)), (3,)),
    "LogSoftmax": (nn.Sequential(nn.Linear(3, 3), nn.LogSoftmax(-1)), (3,)),
}


def test_every_kind_that_a_frontend_writes_stands_in_the_table() -> None:
    """The kinds are taken from the source: what is passed to emit(), step() and _add()."""
    written = set()
    for path in FRONTENDS.rglob("*.py"):
        written |= set(re.findall(r"(?:emit|step|_add)\(\s*\"([A-Z]\w+)\"", path.read_text()))
    assert {"Linear", "LeakyReLU", "Select"} <= written <= set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read_lowered_and_rebuilt(name: str) -> None:
    kind = KINDS[name]
    assert set(kind.torch) <= set(OPERATIONS) and set(kind.onnx) <= set(OPERATORS)
    assert kind.torch or kind.onnx
    ways = [AFFINE, SCALES, AS_RELUS, HEADS, SHAPE_ONLY, BY_LOWERING_ITSELF]
    assert sum(name in way for way in ways) == 1
    assert name in REBUILT


def test_nothing_is_lowered_or_rebuilt_that_is_not_in_the_table() -> None:
    known = {*AFFINE, *SCALES, *AS_RELUS, *HEADS, *SHAPE_ONLY, *BY_LOWERING_ITSELF}
    assert known == set(KINDS) and set(REBUILT) == set(KINDS)


def test_every_operator_of_onnx_stands_with_a_kind() -> None:
    assert set(OPERATORS) == {one for kind in KINDS.values() for one in kind.onnx}


def test_the_page_on_layers_is_written_from_the_table() -> None:
    assert (ROOT / "docs" / "layers.md").read_text() == documentation()


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_read_and_rebuilt_gives_the_same_outputs(name: str) -> None:
    """Module, Network and rebuilt module at random points, some far out."""
    torch.manual_seed(0)
    net, shape = WRITTEN[name]
    net = net.double().eval()
    steps = trace(net, shape)
    assert name in {step.kind for step in steps}
    x = np.random.default_rng(0).normal(size=(40, *shape)) * np.repeat([1.0, 20.0], 20).reshape(-1, *[1] * len(shape))
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).reshape(40, -1).numpy()
        rebuilt = rebuild(steps)(torch.from_numpy(x)).reshape(40, -1).numpy()
    np.testing.assert_allclose(rebuilt, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(lower_steps(steps, shape)(x.reshape(40, -1)), wanted, rtol=1e-12, atol=1e-12)


BENT = {
    "Abs": torch.abs,
    "Hardtanh": nn.Hardtanh(-0.5, 0.75),
    "ReLU6": nn.ReLU6(),
    "limits from below": lambda x: x.clamp(min=-0.25),
    "limits from above": lambda x: x.clamp(max=0.25),
    "limits of each": lambda x: torch.clamp(x, torch.tensor([-1.0, 0.5, 0.0]), torch.tensor([-1.0, 2.0, 3.0])),
}
BENDS = {
    "Abs": (0.0,), "Hardtanh": (-0.5, 0.75), "ReLU6": (0.0, 6.0), "limits from below": (-0.25,),
    "limits from above": (0.25,), "limits of each": (-1.0, 0.5, 0.0, 2.0, 3.0),
}  # fmt: skip


@pytest.mark.parametrize("name", BENT)
def test_the_largest_output_is_the_one_that_enumeration_finds(name: str) -> None:
    """On one input the module is linear between breaks, so that its largest value stands at a break or an end.

    The breaks are where a neuron meets one of the places at which the function bends.
    """
    torch.manual_seed(1)
    net = Applied(BENT[name], inputs=1).double()
    slope, offset = net.first.weight[:, 0], net.first.bias
    at = torch.cat([(bend - offset) / slope for bend in BENDS[name]] + [torch.tensor([-9.0, 9.0])]).detach()
    at = at[(at >= -9) & (at <= 9)].double()
    with torch.no_grad():
        top = float(net(at[:, None]).max())
        sampled = net(torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None])
    assert len(at) > 2 and float(sampled.max()) <= top + 1e-12
    assert verifier.verify(net, [[-9, 9]], [[None, top + 1e-6]]).verdict is verifier.Verdict.VERIFIED
    assert verifier.verify(net, [[-9, 9]], [[None, top - 1e-6]]).verdict is verifier.Verdict.FALSIFIED
