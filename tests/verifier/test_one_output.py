"""A network with one output has no largest output: what asks for one is refused, and says what to ask instead."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from verifier import (
    SpecError,
    any_of,
    argmax_is,
    less_than,
    pointwise_robustness,
    split_trace,
    verified_accuracy,
    verify,
    verify_robust,
)

NET = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
BOX = [[0, 1]] * 2


@pytest.mark.parametrize(
    "ask",
    [
        lambda: verify(NET, BOX, argmax_is(0)),
        lambda: verify(NET, BOX, argmax_is(1)),
        lambda: verify(NET, BOX, any_of(less_than(0.5), argmax_is(0))),
        lambda: split_trace(NET, BOX, argmax_is(0)),
        lambda: verify_robust(NET, [0.1, 0.2], 0, 1e6),
        lambda: verify_robust(NET, [0.1, 0.2], 1, 1e6),
        lambda: pointwise_robustness(NET, [0.1, 0.2], 1e6),
        lambda: verified_accuracy(NET, [[0.1, 0.2], [3.0, 4.0]], [0, 0], 100.0),
        lambda: verified_accuracy(NET, torch.zeros(1, 2), [0], 100.0, method="attack"),
    ],
)
def test_classes_of_a_network_with_one_output_are_refused(ask: Callable[[], Any]) -> None:
    with pytest.raises(SpecError, match=r"one output.*less_than\(0.5\).*greater_than\(0.5\)") as refused:
        ask()
    assert "\n" not in str(refused.value)
