"""Numbers of every kind that a caller may hold are read, or refused by their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier import Box, argmax_is, less_than, linear, verify
from verifier.errors import NetworkError, SpecError
from verifier.solvers.z3_solver import MAX_WORK, Answer, RationalSolver

HUGE = 10**400  # no float64


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: verify(net(), [(0, HUGE)] * 2, argmax_is(0)), r"x_specs\[0\]\[1\]: 1000.* beyond the largest float64"),
        (lambda: verify(net(), [(0, 1)] * 2, [[0, 1], [0, HUGE], [0, 1]]), r"y_specs\[1\]\[1\]: 1000.* beyond"),
        (lambda: Box([-HUGE], [1]), r"Box lower\[0\]: -1000.* beyond"),
        (lambda: less_than(HUGE), r"less_than\(value\): 1000.* beyond"),
        (lambda: linear([1, HUGE]), r"linear\(y\)\[1\]: 1000.* beyond"),
        (lambda: linear([1, 2], offset=HUGE), r"linear\(offset=\): 1000.* beyond"),
        (lambda: argmax_is(torch.tensor([1, 2])), r"argmax_is\(label\): expected a whole number >= 0, found Tensor"),
        (lambda: argmax_is(np.array([])), r"argmax_is\(label\): expected a whole number >= 0, found ndarray"),
        (lambda: verify(net(), torch.zeros(2, 2, dtype=torch.complex64), argmax_is(0)), "expected real numbers, found"),
        (lambda: verify(net(), [torch.zeros(2, dtype=torch.complex64)] * 2, argmax_is(0)), "expected real numbers"),
        (lambda: verify(net(), [np.zeros(2, dtype=complex)] * 2, argmax_is(0)), "expected numbers, found an array of"),
        (lambda: verify(net(), [{-1, 1}] * 2, argmax_is(0)), r"x_specs\[0\]: expected a number, found set"),
    ],
)
def test_what_is_no_real_number_is_refused_by_its_place(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        call()


def test_a_sparse_tensor_is_read_as_the_dense_one() -> None:
    pairs = torch.tensor([[0.0, 1.0], [-2.0, 0.0]])
    assert np.array_equal(Box.from_pairs(pairs.to_sparse()).lower, [0.0, -2.0])


@pytest.mark.parametrize("method", ["auto", "split", "relu_split", "z3", "milp"])
def test_numpys_integers_are_limits_like_pythons(method: str) -> None:
    results = [
        verify(net(), [(-1, 1)] * 2, [[None, 5.0]] * 3, method=method, max_subdomains=limit, timeout_s=HUGE)
        for limit in (100, np.int32(100))
    ]
    assert [result.verdict for result in results] == [verifier.Verdict.VERIFIED] * 2
    assert results[0].subdomains == results[1].subdomains


def test_work_beyond_32_bits_is_a_limit_still() -> None:
    """2**32 units of work would be cut to 0 and 2**32 + 1 to 1, too few for the simplest question."""
    for work in (MAX_WORK, MAX_WORK + 1, MAX_WORK + 2):
        solver = RationalSolver()
        x = solver.variable("x", 0, 1)
        solver.require(solver.below(x + x, 1, strictly=True))
        assert solver.check(60.0, work) is Answer.SATISFIABLE
        assert solver._solver.statistics().get_key_value("rlimit count") > 0


def test_an_input_shape_beyond_all_memory_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"input_shape: \(1000000000000000,\) does not fit into memory"):
        verify(net(), [(0, 1)] * 2, argmax_is(0), input_shape=(10**15,))
