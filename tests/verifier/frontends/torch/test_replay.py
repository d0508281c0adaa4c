"""Replay in the caller's own module: what a module does to its input in place stays outside the verifier."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier import Box, Verdict, less_than, pointwise_robustness, verified_accuracy, verify, verify_robust
from verifier.subject import Subject


def relu_first(outputs: int, weight: list[list[float]], bias: list[float]) -> nn.Sequential:
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(1, outputs)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(weight))
        net[1].bias.copy_(torch.tensor(bias))
    return net


class ShiftsInPlace(nn.Module):
    """An operation in place that gives something else when it is applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.sub_(0.5))


@pytest.mark.parametrize("method", ["auto", "attack", "split", "relu_split", "lp", "milp", "z3"])
def test_counterexamples_of_a_module_that_begins_in_place_lie_in_the_box(method: str) -> None:
    """relu(x) + 3 is 3 everywhere on [-2, -1], so every point of the box, and no other, is a counterexample."""
    cases: list[Any] = []
    net = relu_first(1, [[1.0]], [3.0])
    result = verify(net, [[-2.0, -1.0]], less_than(3.0), cases, method=method, progress=False)
    if method != "lp":  # a tie is not a violation to a linear program's candidates
        assert result.verdict is Verdict.FALSIFIED
        assert -2 <= result.counterexample.item() <= -1
    assert all(-2 <= case.item() <= -1 for case in cases)


def test_distance_of_a_counterexample_is_measured_from_the_image_as_given() -> None:
    """The class is 1 while relu(x) < 0.2, so it does not change within 1.2 of x = -1."""
    net = relu_first(2, [[1.0], [0.0]], [0.0, 0.2])
    x = torch.tensor([-1.0], dtype=torch.float64)
    result = pointwise_robustness(net, x, 2.0, progress=False)
    assert x.item() == -1.0
    assert 1.1 < result.lower <= 1.2 <= result.upper < 1.3
    assert 0.2 <= result.counterexample.item() <= 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_module_that_overwrites_its_input_is_read(dtype: torch.dtype) -> None:
    net = ShiftsInPlace().to(dtype)
    with torch.no_grad():
        net.linear.weight.fill_(2.0)
        net.linear.bias.fill_(1.0)
    # 2 (x - 0.5) + 1 = 2 x lies in [-4, -2]
    assert verify(net, [[-2.0, -1.0]], [[-4.5, -1.5]], progress=False).verdict is Verdict.VERIFIED
    assert verify(net, [[-2.0, -1.0]], less_than(-3.0), progress=False).verdict is Verdict.FALSIFIED


def test_images_of_the_caller_stay_as_they_are() -> None:
    net = relu_first(2, [[1.0], [0.0]], [0.0, 0.2])
    images = torch.tensor([[-1.0], [-3.0]], dtype=torch.float64)
    assert verified_accuracy(net, images, [1, 1], 0.5, progress=False).verified == 1.0
    assert verify_robust(net, images[0], 1, 1.5, progress=False).verdict is Verdict.FALSIFIED
    assert images.tolist() == [[-1.0], [-3.0]]


def test_replay_keeps_the_candidate_from_a_caller_that_overwrites_it() -> None:
    network = verifier.Network((verifier.Affine([[1.0]], [0.0]),))

    def run(x: Any) -> Any:
        y = x.copy()
        x[:] = 100.0
        return y

    subject = Subject(network, run, lambda x: x, lambda x: x.copy())
    question = verifier.Question.ask(subject, Box([0.0], [1.0]), less_than(0.5))
    found = verifier.check_counterexample(question, np.array([0.75]))
    assert isinstance(found, verifier.Counterexample)
    assert found.x.tolist() == [0.75]
