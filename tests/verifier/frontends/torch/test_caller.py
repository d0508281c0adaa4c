"""The caller's module is left as it was: after an answer, after a refusal, and while several threads ask."""

from __future__ import annotations

import pickle
import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier.frontends.torch.caller import eval_mode, left_as_it_is


class Busy(nn.Module):
    """Changes whatever a forward can change."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.last: Any = None
        self.seen: list[Any] = []
        self.notes = {"calls": 0, "more": [1]}
        self.counted = np.zeros(2)
        self.plain = torch.zeros(2)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last, self.fresh = x, x.shape
        self.seen.append(x)
        self.notes["calls"] += 1
        self.notes["more"].append(2)
        self.counted += 1
        self.plain.add_(1)
        self.calls += 1
        self.layer.weight.data.mul_(1.0)
        self.layer.note = "called"
        torch.rand(3)
        return self.layer(x)


def state(net: nn.Module) -> bytes:
    busy = next(part for part in net.modules() if isinstance(part, Busy))
    attributes = {name: value for name, value in vars(busy).items() if not name.startswith("_")}
    values = [value.detach().numpy().tobytes() for value in net.state_dict().values()]
    return pickle.dumps((attributes, values, [sorted(vars(part)) for part in net.modules()],
                         [part.training for part in net.modules()], torch.get_rng_state().numpy().tobytes(),
                         torch.get_default_dtype(), [p.requires_grad for p in net.parameters()]))  # fmt: skip


@pytest.mark.parametrize("last", [nn.ReLU(), nn.Tanh(), nn.Dropout(0.2)])
def test_nothing_of_the_caller_s_is_changed(last: nn.Module) -> None:
    """nn.Tanh is refused; the limit is falsified, and so the module itself was run."""
    net = nn.Sequential(Busy(), last).eval()
    net[0].layer.weight.grad = torch.ones(1, 2)
    before = state(net)
    cases: list[torch.Tensor] = []
    try:
        verifier.verify(net, [(-1, 1)] * 2, verifier.less_than(-1e6), cases, method="attack")
    except verifier.VerifierError:
        assert isinstance(last, nn.Tanh)
    assert state(net) == before
    assert torch.equal(net[0].layer.weight.grad, torch.ones(1, 2))


def test_a_module_that_has_no_copy_is_read_and_left_as_it_is() -> None:
    net = nn.Sequential(Busy(), nn.ReLU()).eval()
    net[0].lock = threading.Lock()  # which no deepcopy takes
    attributes = dict(vars(net[0]), seen=[], notes={"calls": 0, "more": [1]})
    assert verifier.verify(net, [(-1, 1)] * 2, verifier.less_than(100.0))
    for name, value in attributes.items():
        assert vars(net[0])[name] is value or vars(net[0])[name] == value, name
    assert net[0].calls.item() == 0


def test_a_value_that_is_not_a_leaf_does_not_stop_the_reading() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[0].kept = net(torch.ones(1, 2))  # deepcopy refuses tensors with a history
    assert verifier.verify(net, [(-1, 1)] * 2, [[None, 100.0]] * 2)
    assert net[0].kept.requires_grad


def test_eval_mode_ends_where_the_forward_raises() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    with pytest.raises(ZeroDivisionError), eval_mode(net):
        assert not net[1].training
        raise ZeroDivisionError
    assert net.training and net[1].training


def test_python_s_containers_and_default_dtype_are_put_back() -> None:
    net = nn.Linear(1, 1)
    net.kinds, net.text = {"a"}, bytearray(b"ab")
    with left_as_it_is(net):
        net.kinds.add("b")
        net.text.extend(b"c")
        net.weight = None
        torch.set_default_dtype(torch.float64)
        random.random()
    assert (net.kinds, net.text, torch.get_default_dtype()) == ({"a"}, b"ab", torch.float32)
    assert net.weight is not None


def test_a_first_operation_in_place_does_not_move_the_counterexample() -> None:
    """In float64 a candidate and its tensor could share memory: relu_ would write 0 over it, outside of the box."""
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(1, 1)).double()
    nn.init.ones_(net[1].weight)
    nn.init.constant_(net[1].bias, 3.0)
    cases: list[torch.Tensor] = []
    assert verifier.verify(net, [(-2.0, -1.0)], verifier.less_than(3.0), cases).verdict is verifier.Verdict.FALSIFIED
    assert cases and all(-2.0 <= float(x) <= -1.0 for x in cases)


def test_a_first_operation_in_place_does_not_move_the_image() -> None:
    """Class 1 holds while relu(x) < 0.2, so up to 1.2 from -1."""
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(1, 2)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0], [0.0]]))
        net[1].bias.copy_(torch.tensor([0.0, 0.2]))
    x0 = torch.tensor([-1.0], dtype=torch.float64)
    found = verifier.pointwise_robustness(net, x0, 2.0)
    assert 1.15 < found.lower <= 1.2 <= found.upper < 1.25
    assert x0.tolist() == [-1.0]
