"""The second reading: a layer that was read wrongly shows at any depth and width, and rounding alone does not."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from torch import nn

import verifier
from judges.random_problems import random_problem
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.read import read_subject
from verifier.frontends.reading_check import own_error, sample_points
from verifier.frontends.torch import subject as torch_subject
from verifier.network import Affine, Network


def deep(width: int, depth: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(20, width), nn.ReLU(), *hidden, nn.Linear(width, 3)).to(dtype)


@pytest.mark.parametrize(("width", "depth"), [(8, 1), (64, 3), (128, 9)])
def test_a_weight_read_wrongly_by_a_thousandth_is_noticed(
    monkeypatch: pytest.MonkeyPatch, width: int, depth: int
) -> None:
    right = torch_subject.lower_steps

    def wrong(*arguments: Any) -> Network:
        network = right(*arguments)
        last = network.layers[-1]
        return Network((*network.layers[:-1], Affine(last.weight * 1.001, last.bias)), network.head)

    monkeypatch.setattr(torch_subject, "lower_steps", wrong)
    with pytest.raises(NetworkError, match="computes something else than its layers say"):
        read_subject(deep(width, depth), (20,))


def test_the_tolerance_is_a_small_share_of_the_outputs_at_any_depth() -> None:
    for depth in (1, 4, 9):
        network = read_subject(deep(128, depth), (20,)).network
        points = sample_points((-np.ones(20), np.ones(20)), 20)
        largest = np.abs(network(points)).max(axis=1, keepdims=True)
        assert (own_error(network, points) < 1e-9 * largest).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_rounding_alone_is_not_taken_for_a_difference(dtype: torch.dtype) -> None:
    box = (np.full(20, -3.0), np.full(20, 2.0))
    assert read_subject(deep(64, 4, dtype), (20,), 20, box).network.outputs == 3


def test_cancellation_is_rounding() -> None:
    """relu(x + 1e8) - 1e8 is x, and in float32 a multiple of 8."""
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        for part, bias in ((net[0], 1e8), (net[2], -1e8)):
            part.weight.fill_(1.0)
            part.bias.fill_(bias)
    assert verifier.verify(net, [(0.0, 5.0)], [[0.0, 5.0]])


def test_two_affine_layers_that_cancel_are_read() -> None:
    class Cancels(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1e6) - 1e6

    assert verifier.verify(Cancels(), [(0.0, 1.0)], [[-0.001, 1.001]])


@pytest.mark.parametrize(("top", "verdict"), [(99.99, "FALSIFIED"), (100.05, "VERIFIED")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_number_times_a_half_is_computed_with_the_number_in_float32(
    dtype: torch.dtype, top: float, verdict: str
) -> None:
    """torch multiplies by float32(0.1), not by half(0.1) = 0.09998: 1000 gives 100."""

    class Tenth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)
            nn.init.ones_(self.layer.weight)
            nn.init.zeros_(self.layer.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * 0.1

    assert (
        verifier.verify(Tenth().to(dtype), [(999.0, 1000.0)], [[None, top]], max_subdomains=200).verdict.name == verdict
    )


def test_weights_that_overflow_are_named() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    nn.init.constant_(net[0].weight, 3e38)
    nn.init.constant_(net[2].weight, 3e38)
    with pytest.raises(NetworkError, match="infinite values or NaN in float32; its weights are too large"):
        verifier.verify(net, [(0.5, 1.0)], [[None, 1.0]])


class Row(nn.Module):
    """F.linear with a weight of one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, -1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


def test_a_weight_of_one_axis_is_read() -> None:
    assert verifier.verify(Row(), [(0, 1)] * 3, [[-1, 3]])


def test_pruned_and_normalised_weights_are_read_as_they_run() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    torch.nn.utils.prune.l1_unstructured(net[0], "weight", amount=0.5)
    nn.utils.parametrizations.weight_norm(net[2])
    x = torch.randn(10, 4)
    with torch.no_grad(), warnings.catch_warnings():
        expected = net(x).double().numpy()
    np.testing.assert_allclose(read_subject(net, (4,)).network(x.double().numpy()), expected, atol=1e-5)


def compiled() -> nn.Module:
    return torch.compile(nn.Linear(2, 1))  # type: ignore[return-value]


def parallel() -> nn.Module:
    return nn.DataParallel(nn.Linear(2, 1))


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.Linear(2, 1), torch.ones(1, 2))


class NeedsTwo(nn.Module):
    def forward(self, x: torch.Tensor, *, other: torch.Tensor) -> torch.Tensor:
        return x + other


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (parallel, r"net \(DataParallel\).*use net\.module"),
        (scripted, "TorchScript.*use the nn.Module that it was made from"),
        (lambda: nn.Sequential(parallel()), r"0 \(DataParallel\).*use net\.0\.module"),
        (NeedsTwo, r"forward takes 2 inputs \(x, other\)"),
        (lambda: nn.BatchNorm1d(2, track_running_stats=False), "track_running_stats=False"),
        (lambda: nn.LazyLinear(1), "not initialised yet"),
    ],
)
def test_what_does_not_run_as_it_is_written_is_refused_with_the_cure(make: Any, said: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = make()
    with pytest.raises(NetworkError, match=said):
        verifier.verify(net, [(0, 1)] * 2, [[None, 1]])


@pytest.mark.slow
def test_a_compiled_module_is_refused_with_the_cure() -> None:
    with pytest.raises(NetworkError, match=r"torch\.compile.*use net\._orig_mod"):
        verifier.verify(compiled(), [(0, 1)] * 2, [[None, 1]])


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, *inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        assert mask is None
        (x,) = inputs
        return self.layer(input=x)


def test_defaults_and_a_star_are_one_input() -> None:
    assert verifier.verify(Optional(), [(0, 1)] * 2, [[None, 100]])


def test_an_exported_module_is_read_and_a_program_refused_with_the_cure() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(nn.Linear(2, 1), (torch.ones(1, 2),))
    with pytest.raises(NetworkError, match=r"call its method module\(\)"):
        verifier.verify(program, [(0, 1)] * 2, [[None, 1]])


@pytest.mark.parametrize("dim", [None, -1, 1])
def test_softmax_without_an_axis_is_torch_s_own_choice(dim: int | None) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=dim))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the choice
        assert verifier.verify(net, [(0, 1)] * 2, [[0, 1]] * 3)
        assert read_subject(net).network(np.zeros((1, 2))).sum() == pytest.approx(1.0)


def test_unsupported_layers_are_still_named_by_place() -> None:
    with pytest.raises(UnsupportedLayerError, match=r"layer 4 \(3: Tanh\): Tanh is not supported"):
        read_subject(nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Tanh()), (2,))


@pytest.mark.parametrize(("seed", "index"), [(12, 264), (33, 34), (33, 290), (7, 93)])
def test_a_network_whose_values_cancel_is_not_taken_for_another(seed, index):
    """Outputs of 1e-7 to 1e-22 are left of values near 1, or a ReLU is about to change its sign: that is rounding."""
    problem = random_problem(seed, index)
    box = (np.array(problem.lower, dtype=float), np.array(problem.upper, dtype=float))
    assert read_subject(problem.module(), None, len(problem.lower), box).network.inputs == len(problem.lower)
