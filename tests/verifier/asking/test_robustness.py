"""Robustness around one image: against radii worked by hand, against vertices of the box, and what is refused."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.verifier.networks import random_network
from verifier import Affine, Network, Verdict, argmax_is, pointwise_robustness, verified_accuracy, verify, verify_robust
from verifier.asking.robustness import MISCLASSIFIED, perturbation_box
from verifier.errors import NetworkError, OptionError, SpecError, UnsupportedLayerError
from verifier.frontends.read import read_subject
from verifier.frontends.torch import subject as torch_subject


def threshold_net(weight: float = 1.0, at: float = 1.0, inputs: int = 3) -> nn.Sequential:
    """Class 1 where weight * (input 0) exceeds `at`, class 0 where it does not reach it; a tie at equality."""
    net = nn.Sequential(nn.Linear(inputs, 2))
    rows = torch.zeros(2, inputs)
    rows[1, 0] = weight
    net.load_state_dict({"0.weight": rows, "0.bias": torch.tensor([at, 0.0])})
    return net


def relu_net(seed: int = 3) -> nn.Sequential:
    """A classifier of 4 inputs and 3 classes with hidden ReLUs."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3))


class Flattening(nn.Module):
    """The same classifier, which flattens (2, 2) images itself and ends with a head."""

    def __init__(self, net: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.net, self.head = net, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.net(x.reshape(-1, 4)))


# --- one radius ---


@pytest.mark.parametrize(("radius", "verdict"), [(0.4, Verdict.VERIFIED), (0.6, Verdict.FALSIFIED)])
def test_the_label_holds_up_to_the_border_and_not_beyond(radius, verdict):
    """Input 0 is 0.5 and the border lies at 1."""
    cases = []
    result = verify_robust(threshold_net(), [0.5, 0.0, 0.0], 0, radius, counterexamples=cases)
    assert result.verdict is verdict
    for case in cases:
        assert case[0] >= 1.0 and (case - torch.tensor([0.5, 0.0, 0.0])).abs().max() <= radius + 1e-6
    assert bool(cases) == (verdict is Verdict.FALSIFIED)


def test_a_tie_is_a_violation():
    """The box ends exactly on the border: 0.5 + 0.5 = 1 in floating point, too."""
    assert verify_robust(threshold_net(), [0.5, 0.0, 0.0], 0, 0.5).verdict is Verdict.FALSIFIED


def test_clip_cuts_the_counterexample_away():
    image = [0.5, 0.0, 0.0]
    assert verify_robust(threshold_net(), image, 0, 0.9).verdict is Verdict.FALSIFIED
    assert verify_robust(threshold_net(), image, 0, 0.9, clip=(0.0, 0.99)).verdict is Verdict.VERIFIED


def test_a_box_cut_to_the_valid_range_is_one_sided_at_its_end():
    box = perturbation_box([0.0, 0.4, 1.0], 0.25, clip=(0.0, 1.0))
    assert box.lower.tolist() == [0.0, 0.15000000000000002, 0.75]
    assert box.upper.tolist() == [0.25, 0.65, 1.0]


def test_an_image_rounded_a_little_beyond_the_range_stays_in_its_own_box():
    image = np.array([1.0 + 1e-8, -1e-8])
    box = perturbation_box(image, 0.1, clip=(0.0, 1.0))
    assert (box.lower <= image).all() and (image <= box.upper).all()


def test_a_misclassified_image_is_falsified_by_itself_and_says_so():
    cases = []
    result = verify_robust(threshold_net(), [3.0, 0.0, 0.0], 0, 0.1, counterexamples=cases)
    assert result.verdict is Verdict.FALSIFIED and result.stage == MISCLASSIFIED
    assert "radius 0" in str(result)
    assert len(cases) == 1 and cases[0].tolist() == [3.0, 0.0, 0.0]


@pytest.mark.parametrize("head", [nn.Softmax(dim=1), nn.LogSoftmax(dim=1)])
@pytest.mark.parametrize("radius", [0.02, 0.3, 2.0])
def test_a_head_and_a_forward_that_flattens_change_no_verdict(head, radius):
    image = torch.tensor([[0.3, -0.2], [0.5, 0.1]])
    net = relu_net()
    label = int(net(image.reshape(1, 4)).argmax())
    plain = verify_robust(net, image.reshape(4), label, radius)
    cases = []
    dressed = verify_robust(Flattening(net, head), image, label, radius, input_shape=(2, 2), counterexamples=cases)
    assert dressed.verdict is plain.verdict is not Verdict.UNKNOWN
    for case in cases:
        assert case.shape == (2, 2) and int(Flattening(net, head)(case[None]).argmax()) != label


@pytest.mark.parametrize("seed", range(8))
def test_no_corner_and_no_sample_of_a_verified_box_has_another_label(seed):
    network = random_network(seed, 4, 8, 3)
    image = np.random.default_rng(seed).uniform(-1, 1, 4)
    label = int(np.argmax(network(image[None])[0]))
    found = pointwise_robustness(network, image, 1.0)
    rng = np.random.default_rng(100 + seed)
    moves = np.concatenate([np.array(list(product((-1.0, 1.0), repeat=4))), rng.uniform(-1, 1, (5000, 4))])
    assert (network(image + found.lower * moves).argmax(axis=1) == label).all()
    assert found.label == label


# --- the largest radius ---


def test_bisection_encloses_the_radius_worked_by_hand():
    """2 x passes 1 at x = 0.5, which is 0.3 away from 0.2."""
    found = pointwise_robustness(threshold_net(weight=2.0), [0.2, 0.0, 0.0], 1.0, tolerance=1e-4)
    assert found.lower < 0.3 + 1e-7 and found.upper > 0.3 - 1e-7
    assert 0 <= found.gap <= 1e-4
    assert found.label == 0
    distance = float((found.counterexample.double() - torch.tensor([0.2, 0.0, 0.0], dtype=torch.float64)).abs().max())
    assert distance <= found.upper <= distance + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_proof_and_counterexample_meet_on_a_network_that_is_decided_completely(seed):
    network = random_network(seed, 4, 8, 3)
    image = np.random.default_rng(seed).uniform(-1, 1, 4)
    found = pointwise_robustness(network, image, 2.0, tolerance=1e-3)
    assert math.isinf(found.upper) or found.gap <= 1e-3
    if found.counterexample is not None:
        assert int(np.argmax(network(np.asarray(found.counterexample).reshape(1, 4))[0])) != found.label
    assert all(row.radius <= found.lower + 1e-9 for row in found.table if row.verdict is Verdict.VERIFIED)


def test_the_largest_radius_verified_at_once_asks_once_and_claims_no_counterexample():
    found = pointwise_robustness(threshold_net(at=100.0), [0.5, 0.0, 0.0], 1.0)
    assert found.lower == pytest.approx(1.0) and found.lower <= 1.0
    assert math.isinf(found.upper) and found.counterexample is None
    assert len(found.table) == 1 and "no counterexample met" in str(found)


def test_weaker_bounds_prove_no_more():
    net, image = relu_net(), [0.3, -0.2, 0.5, 0.1]
    intervals, crown, every = (pointwise_robustness(net, image, 1.0, method=m).lower for m in ("ibp", "crown", "auto"))
    assert intervals <= crown + 0.01 and crown <= every + 0.01
    assert intervals < every


def test_a_wrong_label_is_not_robust_at_radius_0():
    found = pointwise_robustness(threshold_net(), [0.5, 0.0, 0.0], 1.0, label=1)
    assert found.lower == found.upper == 0.0 and found.table[0].stage == MISCLASSIFIED


def test_clip_makes_the_radius_one_within_the_valid_range():
    found = pointwise_robustness(threshold_net(), [0.5, 0.0, 0.0], 4.0, clip=(-1.0, 0.9))
    assert found.lower == pytest.approx(4.0)


# --- what is refused ---

IMAGE = [0.5, 0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"radius": 0.0}, SpecError, r"radius: found 0, expected a number > 0 in the unit of the inputs"),
        ({"radius": -0.1}, SpecError, r"radius: found -0.1, expected a number > 0"),
        ({"radius": float("nan")}, SpecError, "radius"),
        ({"radius": "wide"}, SpecError, "radius"),
        ({"label": 2}, SpecError, r"label: found 2, but the network has 2 outputs, numbered 0 to 1"),
        ({"label": -1}, SpecError, "label"),
        ({"label": 0.5}, SpecError, "label"),
        ({"image": [0.5, 0.0]}, SpecError, r"2 inputs, but the network takes 3"),
        ({"image": [[0.5, 0.0, 0.0]] * 2}, SpecError, r"6 inputs, but the network takes 3; was one image meant"),
        ({"image": [0.5, float("nan"), 0.0]}, SpecError, r"image\[1\] is NaN"),
        ({"image": [0.5, float("inf"), 0.0]}, SpecError, r"image: a value is NaN, None or infinite"),
        ({"norm": "2"}, OptionError, r"norm: found '2', but only 'inf'"),
        ({"clip": (1.0, 0.0)}, SpecError, r"clip: \(1, 0\) is no range"),
        ({"clip": (0, 10**400)}, SpecError, r"clip: .* is beyond the largest float64"),
        ({"norm": [2.0, 2.0]}, OptionError, r"norm: found \[2.0, 2.0\], but only 'inf'"),
        ({"norm": torch.ones(2)}, OptionError, "norm: found tensor"),
        ({"label": torch.tensor([0, 1])}, SpecError, "label: expected a whole number >= 0, found Tensor"),
        ({"speed": 3}, TypeError, "unexpected keyword argument 'speed'"),
        ({"timeout_s": 0}, OptionError, "timeout_s: expected a number of seconds > 0"),
        # misclassified: verify() is not asked
        ({"label": 1, "method": "magic"}, OptionError, "method: 'magic' is not one of auto"),
        ({"label": 1, "counterexamples": ()}, OptionError, "counterexamples: expected a list"),
        ({"clip": 0.5}, SpecError, r"clip: expected \(lowest, highest\) valid value"),
        ({"clip": (0.1, 1.0)}, SpecError, r"clip: the image has 0 at input 1, outside \(0.1, 1\)"),
    ],
)
def test_bad_input_is_refused_by_name(change, error, message):
    arguments = {"image": IMAGE, "label": 0, "radius": 0.1} | change
    with pytest.raises(error, match=message):
        verify_robust(threshold_net(), **arguments)


def test_a_tolerance_of_nothing_is_refused():
    with pytest.raises(SpecError, match="tolerance: found 0, expected a number > 0"):
        pointwise_robustness(threshold_net(), IMAGE, 1.0, tolerance=0.0)


def test_an_unsupported_layer_is_named():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with pytest.raises(UnsupportedLayerError, match=r"[Tt]anh"):
        verify_robust(net, IMAGE, 0, 0.1)


def test_raw_pixels_are_warned_of_once():
    net = threshold_net(at=1000.0)
    with pytest.warns(UserWarning, match="values up to 255: this looks like raw pixels") as caught:
        verify_robust(net, [255.0, 0.0, 3.0], 0, 1.0)
    assert len(caught) == 1


def test_a_model_in_train_mode_with_dropout_is_warned_of_and_verified_in_eval_mode():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    net.train()
    label = int(net.eval()(torch.tensor([IMAGE])).argmax())
    net.train()
    with pytest.warns(UserWarning, match="train"):
        result = verify_robust(net, IMAGE, label, 1e-3)
    assert net.training
    assert result.verdict is verify(net.eval(), perturbation_box(IMAGE, 1e-3), argmax_is(label)).verdict


def far_net() -> nn.Sequential:
    """Class 0 by 5 + relu(x - 10), with a hidden neuron that is silent near 0."""
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2))
    net.load_state_dict({
        "0.weight": torch.tensor([[1.0]]), "0.bias": torch.tensor([-10.0]),
        "2.weight": torch.tensor([[1.0], [0.0]]), "2.bias": torch.tensor([5.0, 0.0]),
    })  # fmt: skip
    return net


@pytest.mark.parametrize(
    "ask",
    [
        lambda net: verify_robust(net, [12.0], 0, 0.5),
        lambda net: pointwise_robustness(net, [12.0], 0.5),
        lambda net: verified_accuracy(net, [[0.5], [12.0]], [0, 0], 0.25, progress=False),
    ],
    ids=["verify_robust", "pointwise_robustness", "verified_accuracy"],
)
def test_the_reading_is_checked_around_the_image(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The neuron that is read wrongly is silent at every point that is tried without knowing the image."""
    right = torch_subject.lower_steps

    def wrong(*arguments: Any) -> Network:
        first, last = right(*arguments).layers
        return Network((first, Affine(1.5 * last.weight, last.bias)))

    monkeypatch.setattr(torch_subject, "lower_steps", wrong)
    assert read_subject(far_net()).network.inputs == 1
    with pytest.raises(NetworkError, match="computes something else than its layers say"):
        ask(far_net())


def test_the_whole_call_ends_with_its_time_and_claims_nothing_that_it_had_no_time_for():
    found = pointwise_robustness(threshold_net(weight=2.0), [0.2, 0.0, 0.0], 1.0, timeout_s=1e-9, progress=False)
    assert [row.verdict for row in found.table] == [Verdict.UNKNOWN]
    assert "time limit" in found.table[0].stage
    assert found.lower == 0 and found.upper == np.inf


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "soon"])
def test_the_time_for_one_radius_is_checked_by_its_own_name(value):
    with pytest.raises(OptionError, match="timeout_per_radius_s: expected a number of seconds > 0"):
        pointwise_robustness(threshold_net(), IMAGE, 1.0, timeout_per_radius_s=value)
