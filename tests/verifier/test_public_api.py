"""The public names that an expert reaches for: small, and each does what its docstring says."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from tests.verifier.networks import random_network
from verifier import Affine, Box, Counterexample, Network, Rejection, SpecError, Verdict


def doubling() -> Network:
    return Network((Affine(np.array([[2.0]]), np.zeros(1)),))


def test_box_around_a_point_is_cut_to_the_valid_range() -> None:
    box = Box.around([[0.1, 0.5], [0.9, 1.0]], 0.25, clip=(0.0, 1.0))
    assert box.lower.tolist() == [0.0, 0.25, 0.65, 0.75] and box.upper.tolist() == [0.35, 0.75, 1.0, 1.0]
    assert Box.around(torch.zeros(3), 1).lower.tolist() == [-1.0] * 3
    with pytest.raises(SpecError, match="radius: found 0, expected a number > 0"):
        Box.around([0.0], 0.0)
    with pytest.raises(SpecError, match="clip: the x has 3 at input 1"):
        Box.around([0.0, 3.0], 0.1, clip=(0, 1))


def test_a_point_of_one_s_own_is_replayed() -> None:
    found = verifier.check_counterexample(doubling(), [(0, 1)], [(None, 1.5)], [0.9])
    assert isinstance(found, Counterexample) and found.y[0] == 1.8 and found.guarantee == "rounded"
    assert isinstance(verifier.check_counterexample(doubling(), [(0, 1)], [(None, 1.5)], [0.5]), Rejection)
    with pytest.raises(SpecError, match="candidate: 2 numbers, but the network takes 1"):
        verifier.check_counterexample(doubling(), [(0, 1)], [(None, 1.5)], [0.5, 0.5])


def test_all_counterexamples_are_in_the_result_as_in_the_list() -> None:
    cases: list[torch.Tensor] = []
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    result = verifier.verify(net, [(-1, 1)] * 2, verifier.less_than(-100.0), cases, max_counterexamples=5)
    assert result.verdict is Verdict.FALSIFIED and len(result.counterexamples) == len(cases) > 1
    for one, other in zip(result.counterexamples, cases, strict=True):
        assert torch.equal(one, other)
    assert len(verifier.verify(net, [(-1, 1)] * 2, verifier.less_than(-100.0)).counterexamples) == 1
    assert verifier.verify(net, [(-1, 1)] * 2, verifier.less_than(100.0)).counterexamples == ()


@pytest.mark.parametrize("limit", [1e6, -1e6, 0.0])
def test_a_result_is_data_that_json_can_hold(limit: float) -> None:
    network = random_network(0, 2, 4, 1)
    result = verifier.verify(
        network, [(-1, 1)] * 2, verifier.less_than(limit), method="ibp" if limit == 0.0 else "auto"
    )
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["verdict"] == result.verdict.value and data["guarantee"] == result.guarantee
    assert data["output_bounds"]["upper"] == result.output_bounds.upper.tolist()
    assert (data["cause"] is None) == bool(result.verdict is not Verdict.UNKNOWN)
    assert (data["counterexample"] is None) == (result.verdict is not Verdict.FALSIFIED)


def test_layers_of_a_module_and_of_a_network() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(dim=-1))
    found = verifier.layers(net, (2, 2))
    assert [layer.kind for layer in found] == ["Flatten", "Linear", "ReLU", "Linear", "Softmax"]
    assert found[1].arrays["weight"].shape == (3, 4) and found[1].arrays["weight"].dtype == np.float32
    np.testing.assert_array_equal(found[3].arrays["bias"], net[3].bias.detach().numpy())
    network = random_network(0, 2, 4, 1)
    assert [layer.kind for layer in verifier.layers(network)] == ["Linear", "ReLU", "Linear"]


def test_robustness_is_shown_in_a_notebook() -> None:
    network = random_network(0, 2, 6, 3)
    page = verifier.pointwise_robustness(network, [0.1, 0.2], 0.5)._repr_html_()
    assert "every radius" in page and "<th>radius</th>" in page


ASKING = [
    verifier.verify, verifier.verify_robust, verifier.pointwise_robustness, verifier.verified_accuracy,
    verifier.verify_files, verifier.verify_function, verifier.max_error, verifier.output_bounds, verifier.split_trace,
]  # fmt: skip
OWN_DEFAULT = {
    "timeout_s": {"pointwise_robustness", "verified_accuracy"},  # which limit each radius or image instead
    "method": {"output_bounds", "split_trace"},  # a bounding method
    "max_subdomains": {"split_trace"},
}


@pytest.mark.parametrize("function", ASKING, ids=lambda function: function.__name__)
def test_options_have_the_names_the_order_and_the_defaults_of_verify(function: Callable[..., object]) -> None:
    wanted = inspect.signature(verifier.verify).parameters
    found = inspect.signature(function).parameters
    assert all(one.kind is not one.VAR_KEYWORD for one in found.values()), "every option is named"
    options = [name for name, one in found.items() if one.kind is one.KEYWORD_ONLY and name in wanted]
    assert options == [name for name in wanted if name in options]
    for name in options:
        if function.__name__ not in OWN_DEFAULT.get(name, ()):
            assert found[name].default == wanted[name].default, name


@pytest.mark.parametrize("function", ASKING, ids=lambda function: function.__name__)
def test_options_of_verify_that_make_sense_are_options_of_all(function: Callable[..., object]) -> None:
    found = inspect.signature(function).parameters
    if function not in (verifier.output_bounds, verifier.split_trace):
        assert {"timeout_s", "max_subdomains", "method", "seed", "progress"} <= found.keys()
    assert "input_shape" in found or function is verifier.verify_files, "a file tells its shape"


def test_a_trace_is_shown_in_a_notebook_with_how_its_boxes_ended() -> None:
    trace = verifier.split_trace(doubling(), [(0, 1)], [(None, 2.5)])
    assert "VERIFIED" in trace._repr_html_() and "1 box: 1 verified" in trace._repr_html_()
    assert len(trace.events) == len(trace.boxes) == 1
