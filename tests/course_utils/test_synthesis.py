"""What lab 7 takes from the course: images as whole numbers and bits, the parcels, stored results, pictures."""

import itertools

import numpy as np
import pytest

pytest.importorskip("z3")
pytest.importorskip("ortools")

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt

from course_utils.plots.style import described
from course_utils.plots.synthesis import draw_answers, draw_over_time, draw_small_images, draw_weights
from course_utils.synthesis import (
    WEIGHTS,
    binary_sketch,
    bits_of,
    cats,
    classify_bits,
    digits,
    every_clause,
    first_of_each,
    one_against_rest,
    parcels_above,
    parcels_by_optimisers,
    sat_answer,
    stored_results,
)
from verifier.synthesis.gradient import train_signs


def test_cats_are_twenty_and_twenty_and_smaller_ones_are_averages():
    train, test = cats(), cats("test")
    assert train.inputs.shape == (40, 64) and test.inputs.shape == (1000, 64) and train.labels.sum() == 20
    assert np.abs(cats(side=2).inputs[:, 0] - train.inputs.reshape(-1, 8, 8)[:, :4, :4].mean(axis=(1, 2))).max() <= 0.5
    assert not train.contradictions()


def test_digits_are_signs_and_are_chosen_in_order():
    train = digits()
    assert set(np.unique(train.inputs)) == {-1, 1} and train.inputs.shape[1] == 64
    assert np.bincount(first_of_each(train, 3).labels).tolist() == [3] * 10
    assert one_against_rest(train, 4, 5).labels.tolist() == [1] * 5 + [0] * 5


@pytest.mark.parametrize("limit", [-1, 40, 70, 74, 75, 79])
def test_parcels_are_those_of_trying_all(limit):
    totals = {sum(chosen) for count in range(6) for chosen in itertools.combinations(WEIGHTS, count)}
    better = {total for total in totals if limit < total < 80}
    found = parcels_above(limit)
    assert found in better if better else found is None


def test_optimisers_give_the_best_strictly_below_and_at_most():
    assert {best for best, _ in parcels_by_optimisers().values()} == {75}
    assert {best for best, _ in parcels_by_optimisers(81).values()} == {80}


def test_bits_and_thresholds_read_a_digit_as_the_network_does():
    train = one_against_rest(digits(), 0, 20)
    network = train_signs(binary_sketch(64, 3, 1), train, steps=10)
    read = classify_bits(network)
    for signs, wanted in zip(train.inputs[:10], network.predict(train.inputs[:10]), strict=True):
        h = [int(value > 0) for value in signs]
        for weights, thresholds in bits_of(network):
            counts = [sum(a == b for a, b in zip(h, row, strict=True)) for row in weights]
            h = [int(count >= least) for count, least in zip(counts, thresholds, strict=True)]
        assert h == [wanted] == [read([int(value > 0) for value in signs])]


def test_all_clauses_contradict_each_other_and_seven_do_not():
    assert not sat_answer(every_clause()) and sat_answer(every_clause()[:-1])


def test_stored_results_claim_an_optimum_only_where_it_meets_the_bound():
    stored = stored_results()
    assert {"cats", "ten", "digits", "halves", "pairs", "robust", "tried"} <= stored.keys()
    for section in stored.values():
        for line in section["rows"]:
            if line.get("status") == "optimal" and "value" in line:
                assert line["value"] == line["bound"] or "flip" in line["what"] or "all 40" in line["what"]


def test_pictures_say_in_words_what_they_show():
    shown = [
        (draw_answers([40, 75], 80, 70), "40, 75"),
        (draw_small_images(cats().inputs[:3], ["a", "b", "c"]), "3 images"),
        (draw_over_time([[0.0, 0.5, 0.5], [2.0, 0.9, 0.8]], 3.0, True), "90.0% on training"),
        (draw_weights([[1, 0, -1, 0]], ["w"]), "Weights of 1"),
    ]
    for ax, words in shown:
        assert words in described(ax.get_figure())
    plt.close("all")
