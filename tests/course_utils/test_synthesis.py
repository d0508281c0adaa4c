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
from course_utils.plots.synthesis import (
    draw_answers,
    draw_formulas,
    draw_over_time,
    draw_small_images,
    draw_weights,
)
from course_utils.synthesis import (
    WEIGHTS,
    best_bias,
    binary_sketch,
    bits_of,
    cats,
    classify_bits,
    digits,
    every_clause,
    first_of_each,
    gradient_rival,
    one_against_rest,
    parcels_above,
    parcels_by_optimisers,
    sat_answer,
    stored_results,
    ternary_by_gradients,
)
from verifier.synthesis.gradient import train_signs
from verifier.synthesis.sketch import Examples

FORMULAS = [
    {"variables": n, "clauses": clauses, "of": 10, "open": left, "verify_median": 0.25, "verify_slowest": slowest,
     "sat_median": 0.001, "sat_slowest": 0.002}
    for n, clauses, left, slowest in ((4, 17, 0, 0.5), (6, 26, 2, 20.0))
]  # fmt: skip


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
    wanted = {"cats", "rivals", "fewest", "ten", "digits", "halves", "pairs", "formulas", "robust", "tried"}
    assert stored.keys() == wanted
    for section in stored.values():
        for line in section["rows"]:
            if line.get("status") == "optimal" and "value" in line:
                assert line["value"] == line["bound"] or "flip" in line["what"] or "all 40" in line["what"]


def test_the_stored_unit_of_fewest_weights_reads_all_cats_and_each_smaller_number_was_asked():
    best, *smaller = stored_results()["fewest"]["rows"]
    z = cats().inputs @ np.array(best["unit"])
    assert z[cats().labels == 1].min() > z[cats().labels == 0].max()
    assert np.count_nonzero(best["unit"]) == best["weights"] == -best["value"]
    proved = [line["status"] == "infeasible" for line in smaller]
    assert all(proved[:-1]) and len(smaller) < best["weights"]
    assert (best["status"] == "optimal") == (all(proved) and len(smaller) == best["weights"] - 1)


def test_gradients_separate_what_a_line_separates():
    """The class is the sign of the first input; the others are noise."""
    drawn = np.random.default_rng(0)
    inputs = drawn.integers(0, 256, (60, 5))
    inputs[:, 0] = np.where(np.arange(60) % 2, drawn.integers(160, 256, 60), drawn.integers(0, 90, 60))
    examples = Examples(inputs, np.arange(60) % 2)
    assert gradient_rival(examples)(examples) == gradient_rival(examples, hidden=4)(examples) == 1.0
    unit = ternary_by_gradients(examples)
    assert set(np.unique(unit.weights[0])) <= {-1, 0, 1} and unit.accuracy(examples) == 1.0


def test_the_best_bias_is_that_of_trying_all():
    examples = Examples(np.array([[0, 3], [1, 1], [4, 0], [2, 2], [5, 1]]), np.array([0, 1, 1, 0, 0]))
    for weights in itertools.product((-1, 0, 1), repeat=2):
        z = examples.inputs @ np.array(weights)
        tried = [int(((z + bias >= 0) == (examples.labels == 1)).sum()) for bias in range(-20, 20)]
        assert int(best_bias(examples, np.array(weights)).right(examples).sum()) == max(tried)


def test_pictures_say_in_words_what_they_show():
    shown = [
        (draw_answers([40, 75], 80, 70), "40, 75"),
        (draw_small_images(cats().inputs[:3], ["a", "b", "c"]), "3 images"),
        (draw_over_time([[0.0, 0.5, 0.5], [2.0, 0.9, 0.8]], 3.0, True), "90.0% on training"),
        (
            draw_formulas(FORMULAS),
            "At 6 variables and 26 clauses the verifier takes 0.250 s at the median and 20.000 s",
        ),
        (draw_formulas(FORMULAS), "leaves 2 of 20 open"),
        (draw_weights([[1, 0, -1, 0]], ["w"]), "Weights of 1"),
    ]
    for ax, words in shown:
        assert words in described(ax.get_figure())
    marked = [len(line.get_xdata()) for line in draw_formulas(FORMULAS).lines if line.get_label() == "some left open"]
    assert marked == [1]
    plt.close("all")
