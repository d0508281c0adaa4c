"""Accuracies over a set: every row against verify() asked by itself, the order of the three, and Ctrl-C."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import verifier.asking.accuracy
from tests.verifier.networks import random_network
from verifier import Verdict, argmax_is, verified_accuracy, verify
from verifier.asking.robustness import MISCLASSIFIED, perturbation_box
from verifier.errors import OptionError, SpecError

NETWORK = random_network(5, 6, 16, 12, 3)
IMAGES = np.random.default_rng(1).uniform(-1, 1, (40, 6))
LABELS = NETWORK(IMAGES).argmax(axis=1)
LABELS[:3] = (LABELS[:3] + 1) % 3  # misread from the start
RADIUS = 0.08


def verdicts(result):
    return [row.verdict for row in result.table]


def test_every_verdict_is_the_one_that_verify_gives_alone():
    result = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS)
    alone = [
        verify(NETWORK, perturbation_box(x, RADIUS), argmax_is(int(k))) for x, k in zip(IMAGES, LABELS, strict=True)
    ]
    assert verdicts(result) == [one.verdict for one in alone]
    assert {Verdict.VERIFIED, Verdict.FALSIFIED} == set(verdicts(result))
    assert {"crown", MISCLASSIFIED} <= {row.stage for row in result.table}


def test_counterexamples_lie_in_their_box_and_are_read_otherwise():
    for row in verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS).table:
        assert (row.counterexample is not None) == (row.verdict is Verdict.FALSIFIED)
        if row.counterexample is not None:
            case = np.asarray(row.counterexample).reshape(-1)
            assert np.abs(case - IMAGES[row.index]).max() <= RADIUS * (1 + 1e-12)
            assert NETWORK(case[None])[0].argmax() != row.label


def test_samples_of_verified_boxes_keep_the_label():
    rng = np.random.default_rng(2)
    for row in verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS).table:
        if row.verdict is Verdict.VERIFIED:
            samples = IMAGES[row.index] + RADIUS * rng.choice([-1.0, 1.0], (500, 6)) * rng.uniform(0, 1, (500, 1))
            assert (NETWORK(samples).argmax(axis=1) == row.label).all()


def test_verified_attacked_and_clean_stand_in_their_order_and_are_shares_of_all_images():
    result = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS)
    assert result.clean == 37 / 40
    assert 0 < result.verified <= result.attacked <= result.clean
    assert result.verified == result.count(Verdict.VERIFIED) / 40
    assert result.attacked == 1 - result.count(Verdict.FALSIFIED) / 40
    assert "of 40 images" in str(result) and "clean accuracy 92.5%" in str(result)


def test_verified_accuracy_falls_with_the_radius():
    shares = [verified_accuracy(NETWORK, IMAGES, LABELS, radius).verified for radius in (0.01, 0.05, 0.1, 0.3)]
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1]


@pytest.mark.parametrize("method", ["ibp", "crown"])
def test_a_bound_by_name_verifies_or_leaves_open_what_verify_does_with_it(method):
    """The batches share verify()'s bounds; crown's there is the intersected one, so it may settle more, never less."""
    result = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS, method=method)
    for row in result.table:
        if row.label != row.predicted:
            assert row.stage == MISCLASSIFIED
            continue
        box = perturbation_box(IMAGES[row.index], RADIUS)
        alone = verify(NETWORK, box, argmax_is(row.label), method=method).verdict
        if alone is Verdict.VERIFIED:
            assert row.verdict is Verdict.VERIFIED
        elif row.verdict is Verdict.VERIFIED:
            assert verify(NETWORK, box, argmax_is(row.label))
        else:
            assert row.verdict is Verdict.UNKNOWN and method in row.stage


def test_batches_of_any_size_give_one_answer(monkeypatch):
    whole = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS, method="crown")
    monkeypatch.setattr(verifier.asking.accuracy, "BATCH_BYTES", 1)
    assert verdicts(verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS, method="crown")) == verdicts(whole)


def test_the_attack_alone_proves_nothing():
    result = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS, method="attack")
    assert result.verified == 0 and result.count(Verdict.FALSIFIED) >= 3


def test_ctrl_c_keeps_what_is_done(monkeypatch):
    asked = verifier.asking.accuracy.verify_box
    calls = []

    def interrupted_at_the_third(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return asked(*arguments, **named)

    monkeypatch.setattr(verifier.asking.accuracy, "verify_box", interrupted_at_the_third)
    result = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS)
    assert result.interrupted and 2 <= len(result.table) < 40
    assert result.count(Verdict.VERIFIED) > 0, "what the batches settled is kept"
    assert "interrupted after" in str(result)
    assert result.verified <= result.attacked <= 1


def test_the_limit_of_subdomains_makes_it_repeatable():
    limits = {"max_subdomains": 5, "timeout_per_image_s": None}
    first, second = (verified_accuracy(NETWORK, IMAGES, LABELS, 0.2, **limits) for _ in "12")
    assert verdicts(first) == verdicts(second)
    assert [row.stage for row in first.table] == [row.stage for row in second.table]


def test_the_table_is_shown_with_every_image_andharmless_in_html():
    html = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS)._repr_html_()
    assert html.count("<tr>") == 41 and "<script" not in html


def test_a_forward_that_flattens_and_ends_in_softmax_gives_the_same_table():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    dressed = nn.Sequential(nn.Flatten(), *net, nn.Softmax(dim=1))
    images = torch.randn(12, 2, 2)
    labels = net(images.reshape(12, 4)).argmax(dim=1)
    plain = verified_accuracy(net, images.reshape(12, 4), labels, 0.2)
    assert verdicts(verified_accuracy(dressed, images, labels, 0.2, input_shape=(2, 2))) == verdicts(plain)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": LABELS[:5]}, SpecError, "labels: 5 labels for 40 images"),
        ({"labels": 3}, SpecError, "labels: expected one class an image, found int 3"),
        ({"labels": None}, SpecError, "labels: expected one class an image, found NoneType None"),
        ({"labels": torch.eye(40)}, SpecError, r"labels\[0\]: expected a whole number >= 0, found Tensor"),
        ({"timeout_s": -1}, OptionError, "^timeout_s: expected a number of seconds > 0"),
        ({"timeout_per_image_s": 0}, OptionError, "^timeout_per_image_s: expected a number of seconds > 0"),
        ({"images": [], "labels": []}, SpecError, "at least one"),
        ({"images": 3}, SpecError, "images: expected one image a row"),
        ({"images": IMAGES[:, :5]}, SpecError, "5 inputs, but the network takes 6"),
        ({"images": [*IMAGES[:39], IMAGES[39, :5]]}, SpecError, r"images\[39\]: 5 inputs, but images\[0\] has 6"),
        ({"labels": [*LABELS[:39], 3]}, SpecError, r"labels\[39\]: found 3, but the network has 3 outputs"),
        ({"radius": 0}, SpecError, "radius: found 0"),
        ({"norm": "1"}, OptionError, "norm: found '1'"),
        ({"method": "magic"}, OptionError, "magic"),
        ({"clip": (-0.5, 0.5)}, SpecError, "clip: the image has"),
    ],
)
def test_bad_input_is_refused_by_name(change, error, message):
    arguments = {"images": IMAGES, "labels": LABELS, "radius": RADIUS} | change
    with pytest.raises(error, match=message):
        verified_accuracy(NETWORK, **arguments)


def test_raw_pixels_are_warned_of_once_for_all_images():
    with pytest.warns(UserWarning, match="raw pixels") as caught:
        verified_accuracy(NETWORK, IMAGES * 255, LABELS, 1.0, method="crown")
    assert len(caught) == 1


def test_images_that_the_time_of_the_whole_call_leaves_are_unknown_and_say_why():
    late = verified_accuracy(NETWORK, IMAGES, LABELS, RADIUS, timeout_s=1e-9, progress=False)
    assert len(late.table) == 40 and not late.interrupted
    left = [row for row in late.table if row.verdict is Verdict.UNKNOWN]
    assert left and all(row.stage.startswith("time limit") for row in left)
