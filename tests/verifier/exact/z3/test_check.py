"""Z3: exact where floating point must give up, and held to its limits."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier.network import Affine, Network
from verifier.question.spec import argmax_is, less_than, within
from verifier.solvers.z3_solver import Answer, RationalSolver


def absolute_value() -> Network:
    """|x| = relu(x) + relu(-x), weights exact."""
    return Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))


def test_margin_of_exactly_zero_is_verified_in_rationals() -> None:
    """|x| <= 1 on [-1, 1] is met with equality at both ends: bounds that round outward cannot show it, Z3 does."""
    result = verifier.verify(absolute_value(), [(-1, 1)], within([[0.0, 1.0]]), method="z3")
    assert result.verdict is verifier.Verdict.VERIFIED
    assert result.guarantee == "exact"
    assert verifier.verify(absolute_value(), [(-1, 1)], within([[0.0, 1.0]])).verdict is verifier.Verdict.VERIFIED


def test_strict_limit_met_with_equality_is_falsified_at_that_point() -> None:
    for method in ("z3", "auto"):
        result = verifier.verify(absolute_value(), [(-1, 0.5)], less_than(1.0), method=method)
        assert result.verdict is verifier.Verdict.FALSIFIED
        assert result.guarantee == "exact"
        assert result.counterexample[0] == -1.0


def test_limit_on_a_softmax_of_three_is_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=-1))
    result = verifier.verify(net, [(0, 1)] * 2, [(0.3, None)] * 3, method="z3")
    assert result.verdict is verifier.Verdict.UNKNOWN
    assert "Softmax" in result.reason


def test_comparison_of_softmax_outputs_is_decided_exactly() -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.Softmax(dim=-1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[0].bias.zero_()
    assert verifier.verify(net, [(0.25, 1)], argmax_is(0), method="z3").verdict is verifier.Verdict.VERIFIED
    assert verifier.verify(net, [(0.0, 1)], argmax_is(0), method="z3").verdict is verifier.Verdict.FALSIFIED  # a tie


def test_batch_norm_is_enclosed_for_z3() -> None:
    """The square root is irrational; Z3 gets an enclosure and still decides what is not a tie."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1)).eval()
    torch.manual_seed(3)
    net[1].running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        highest = net(torch.cartesian_prod(torch.linspace(0, 1, 60), torch.linspace(0, 1, 60))).max().item()
    above, below = ([(None, highest + step)] for step in (0.05, -0.05))
    assert verifier.verify(net, [(0, 1)] * 2, above, method="z3").verdict is verifier.Verdict.VERIFIED
    assert verifier.verify(net, [(0, 1)] * 2, below, method="z3").verdict is verifier.Verdict.FALSIFIED


@pytest.mark.slow
def test_time_limit_is_kept() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 1))
    with torch.no_grad():
        limit = net(torch.rand(4000, 8) * 2 - 1).max().item() + 0.3
    started = time.perf_counter()
    result = verifier.verify(net, [(-1, 1)] * 8, [(None, limit)], method="z3", timeout_s=2)
    assert result.verdict is verifier.Verdict.UNKNOWN
    assert "time limit" in result.reason
    assert time.perf_counter() - started < 6  # two seconds and the encoding; not a measure of speed


@pytest.mark.slow
def test_ctrl_c_while_z3_works_ends_the_call() -> None:
    """In a process of its own, because Z3 takes the signal for itself and so would pytest."""
    code = """
import os, signal, threading, torch, verifier
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 1))
verifier.verify(net, [(-1, 1)] * 8, [(None, 1e6)], method="z3")
limit = net(torch.rand(4000, 8) * 2 - 1).max().item() + 0.3
threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
result = verifier.verify(net, [(-1, 1)] * 8, [(None, limit)], method="z3", timeout_s=60)
print(result.verdict.value, result.reason, result.seconds < 30)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "unknown interrupted True"


def test_limit_of_subdomains_makes_z3_repeatable() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 1))
    with torch.no_grad():
        limit = net(torch.rand(4000, 2) * 2 - 1).max().item() + 0.02
    first, second = (
        verifier.verify(net, [(-1, 1)] * 2, [(None, limit)], method="z3", max_subdomains=4, timeout_s=None)
        for _ in range(2)
    )
    assert (first.verdict, first.reason) == (second.verdict, second.reason)


def test_statuses_are_mapped_by_name_and_unknown_stays_unknown() -> None:
    solver = RationalSolver()
    x = solver.variable("x", 0, 1)
    assert solver.check(10, assuming=[solver.below(x, 0.5, strictly=True)]) is Answer.SATISFIABLE
    assert 0 <= solver.value(x) < 1
    assert solver.check(10, assuming=[solver.below(x, 0, strictly=True)]) is Answer.UNSATISFIABLE
    assert solver.check(0, assuming=[solver.below(x, 0, strictly=True)]) is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (less_than(0.5), less_than(0.5, output=0), True),
        (less_than(0.5), [[None, 0.5]], False),
        ([[0.5, None]], verifier.linear([2.0], -1.0), True),
        (verifier.all_of(less_than(0.5), less_than(0.7)), less_than(0.5), True),
        (verifier.any_of(less_than(0.5), less_than(0.7)), less_than(0.7), True),
        (less_than(0.5), less_than(0.5000001), False),
        (less_than(0.5), "half", False),
    ],
)
def test_output_specs_are_compared_by_meaning(first: object, second: object, same: bool) -> None:
    assert verifier.same_output_spec(first, second, outputs=1) is same


def test_boxes_are_compared_by_meaning() -> None:
    assert verifier.same_box([[0.7, 0.85]] * 2, torch.tensor([[0.7, 0.85]] * 2, dtype=torch.float64))
    assert not verifier.same_box([[0.7, 0.85]] * 2, [[0.7, 0.85]])
    assert not verifier.same_box([[0.7, 0.85]], [[0.85, 0.7]])


def test_a_limit_of_work_is_no_interruption() -> None:
    """Z3 says "canceled" of both; an interruption would end the whole table of verified_accuracy()."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 2))
    result = verifier.verify(net, [(-1, 1)] * 6, verifier.argmax_is(0) | verifier.argmax_is(1), method="z3",
                             max_subdomains=1)  # fmt: skip
    assert result.verdict is verifier.Verdict.UNKNOWN and result.reason == "limit of 1 subdomains reached"
    images = torch.zeros(2, 6)
    label = int(net(images[:1]).argmax())
    found = verifier.verified_accuracy(net, images, [label] * 2, 0.5, method="z3", max_subdomains=1)
    assert not found.interrupted and len(found.table) == 2
