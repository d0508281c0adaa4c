"""What lab 3 puts around a student's verifier: answers in any form, stand-ins that are sound, bowls, a stopwatch."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from course_utils.data import circle_network
from course_utils.own_verifier import (
    Bowl,
    Stopwatch,
    attack_from,
    from_layers,
    from_library,
    layers_of,
    library_pairs,
    numbers,
    pairs,
    random_attack,
    split_digit,
)

HALF = torch.tensor([0.5, 0.5], dtype=torch.float64)


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([1.0, 2.0]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0], requires_grad=True),
        np.array([1.0, 2.0], np.float32), [1, 2.0], (torch.tensor(1.0), np.float64(2)),
        [torch.tensor(1.0, requires_grad=True), 2],
    ],
)  # fmt: skip
def test_numbers_are_read_in_every_form(value):
    found = numbers(value)
    assert found.dtype == torch.float64 and found.tolist() == [1.0, 2.0] and not found.requires_grad


def test_what_is_not_numbers_is_named():
    for value, said in [
        (None, "None"),
        ("ab", "a value of type str"),
        ([1, [2, 3]], "a list of 2"),
        (len, "type builtin"),
    ]:
        with pytest.raises(AssertionError, match=said):
            numbers(value)


def test_pairs_say_what_came_back_instead():
    assert [part.tolist() for part in pairs([([1], [2])], 1)[0]] == [[1.0], [2.0]]
    with pytest.raises(AssertionError, match="found a list of 1; expected 2"):
        pairs([([1], [2])], 2)
    with pytest.raises(AssertionError, match=r"found a tensor of shape \(2,\)"):
        pairs(HALF, 2)
    with pytest.raises(AssertionError, match="entry 0 is a value of type int"):
        pairs([3], 1)


def test_layers_of_refuses_what_is_not_a_chain_of_linear_and_relu():
    assert [tuple(weight.shape) for weight, _ in layers_of(circle_network())] == [(64, 2), (64, 64), (1, 64)]
    for net in [nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.Linear(1, 1)), nn.Sequential()]:
        with pytest.raises(ValueError, match="Linear layers with a ReLU"):
            layers_of(net)


def test_a_bounding_function_that_is_neither_intervals_nor_crown_is_not_gone_on_with():
    with pytest.raises(ValueError, match="neither the intervals' nor CROWN's"):
        from_layers(lambda layers, lower, upper: [(torch.zeros(1), torch.ones(1))] * len(layers))
    known = from_layers(lambda layers, lower, upper: library_pairs(circle_network(), lower, upper, "ibp"))
    assert known(circle_network())((HALF - 0.1, HALF + 0.1)) <= 1.0


@pytest.mark.parametrize("method", ["ibp", "crown"])
def test_the_librarys_stand_in_bounds_the_network_from_below(method):
    part = (HALF - 0.2, HALF + 0.2)
    bound = from_library(method)(circle_network())(part)
    points = part[0] + 0.4 * torch.rand(1000, 2, dtype=torch.float64)
    assert bound <= circle_network().double()(points).min()
    assert bound == pytest.approx(float(library_pairs(circle_network(), *part, method)[-1][0]))


def test_an_attack_that_leaves_the_box_is_not_gone_on_with():
    with pytest.raises(ValueError, match="outside the box"):
        attack_from(lambda net, lower, upper: upper + 1)
    net = circle_network().double().requires_grad_(False)
    point, value = attack_from(lambda net, lower, upper: upper)(net)((HALF, HALF + 0.5))
    assert point.tolist() == [1.0, 1.0] and value == float(net(point[None]))


def test_random_points_stay_in_the_box_and_one_of_them_is_low():
    net = circle_network().double().requires_grad_(False)
    point, value = random_attack(net)((HALF, HALF + 0.5))
    assert bool(((point >= HALF) & (point <= HALF + 0.5)).all()) and value == pytest.approx(float(net(point[None])))
    assert value < float(net(HALF[None]))


def test_the_bound_of_a_bowl_holds_on_a_grid_and_is_reached_on_a_point():
    bowl = Bowl({"steep": [1.0, -2.0], "middle": [0.3, 0.1], "offset": 0.5})
    part = (torch.zeros(2), torch.ones(2))
    grid = itertools.product(np.linspace(0, 1, 21), repeat=2)
    assert all(bowl.bound(part) <= bowl.value(list(point)) for point in grid)
    assert bowl.bound((HALF, HALF)) == bowl.value(HALF) == pytest.approx(0.5 + 0.04 - 2 * 0.16)
    assert bowl.attack(part)[1] == bowl.value(HALF)


def test_the_digit_is_read_rightly_and_its_rival_falls_behind():
    digit = split_digit()
    scores = digit.net(digit.image[None])[0]
    assert int(scores.argmax()) == digit.label == 4
    (weight, bias), (row, offset) = digit.against(9)
    margin = row @ (weight @ digit.image + bias).clamp(min=0) + offset
    assert float(margin[0]) == pytest.approx(float(scores[4] - scores[9]))
    lower, upper = digit.box(0.07)
    assert float(lower.min()) == 0 and float((upper - lower).max()) == pytest.approx(0.14)


def test_the_stopwatch_counts_calls_and_hands_on_what_they_give():
    watch = Stopwatch()
    add = watch.timed("add", lambda a, b: a + b)
    assert add(1, b=2) == 3 and add(3, 4) == 7
    assert watch.calls["add"] == 2 and watch.seconds["add"] >= 0
