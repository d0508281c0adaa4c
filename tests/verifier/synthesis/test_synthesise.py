"""Networks found by a solver: optima against enumeration of every network, and against the other solver."""

import itertools
import os
import signal

import numpy as np
import pytest

pytest.importorskip("ortools")
pytest.importorskip("z3")

from verifier.answer.budget import BestBar
from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis.metasketch import search_grid, smallest
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.result import count_right
from verifier.synthesis.sketch import Examples, Sketch, between
from verifier.synthesis.synthesise import by_layers, synthesise

XOR = Examples([[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]])
XOR_CLASSES = Examples([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0])
UNIT = WholeNetwork(Sketch((2, 1)), ([[1, 1]],), ([0],))
SOLVERS = ("cpsat", "z3")


def xor_sketch(*topology, biases=(0,)):
    return Sketch(topology, between(-2, 2), biases, output="value", output_relu=True)


def drawn(sketch, count, seed, signs=True):
    rng = np.random.default_rng(seed)
    inputs = (
        rng.choice([-1, 1], (count, sketch.topology[0])) if signs else rng.integers(0, 4, (count, sketch.topology[0]))
    )
    return Examples(inputs, rng.integers(0, max(2, sketch.topology[-1]), count))


def by_enumeration(sketch, examples):
    """The most examples that any network of a sketch gets right, by trying all."""
    shapes = list(zip(sketch.topology[1:], sketch.topology[:-1], strict=True))
    best = 0
    for values in itertools.product(sketch.weights, repeat=sum(m * n for m, n in shapes)):
        taken = iter(values)
        weights = tuple(np.array([[next(taken) for _ in range(n)] for _ in range(m)]) for m, n in shapes)
        for biases in itertools.product(sketch.biases, repeat=sum(m for m, _ in shapes)):
            left = iter(biases)
            by = tuple(np.array([next(left) for _ in range(m)]) for m, _ in shapes)
            best = max(best, int(WholeNetwork(sketch, weights, by).right(examples).sum()))
    return best


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_hidden_neurons_compute_xor_and_none_do_not(solver):
    found = list(smallest([xor_sketch(2, 2, 1), xor_sketch(2, 1), xor_sketch(2, 1, 1)], XOR, solver=solver))
    assert [(one.sketch.name, one.status) for one in found] == [
        ("2-1", Status.INFEASIBLE), ("2-1-1", Status.INFEASIBLE), ("2-2-1", Status.OPTIMAL),
    ]  # fmt: skip
    assert found[-1].network.outputs(XOR.inputs)[:, 0].tolist() == [0, 1, 1, 0]
    biased = synthesise(xor_sketch(2, 1, biases=between(-2, 2)), XOR, objective="any", solver=solver)
    assert biased.status is Status.INFEASIBLE and biased.network is None and biased.proved


def test_the_networks_of_the_lab_compute_xor():
    """By hand: relu(-2a + b) + relu(a - 2b) is 0, 1, 1, 0."""
    known = WholeNetwork(xor_sketch(2, 2, 1), ([[-2, 1], [1, -2]], [[1, 1]]), ([0, 0], [0]))
    assert known.outputs(XOR.inputs)[:, 0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "sketch",
    [
        Sketch((3, 1), (-1, 0, 1), (-1, 0, 1), output="sign"),
        Sketch((3, 2, 1), (-1, 1), (0,), "sign"),
        Sketch((2, 2, 2), (-1, 1), (0,), "sign", "argmax"),
        Sketch((2, 2, 2), (-1, 1), (-1, 0), "sign", "one-hot"),
        Sketch((4, 2, 1), (-1, 1), (0,), "halves"),
        Sketch((2, 1, 1), (-2, 0, 3), (-3, 0, 2), "relu", bits=4),
    ],
    ids=lambda sketch: f"{sketch.name} {sketch.activation} {sketch.output} {sketch.bits}",
)
def test_the_optimum_is_that_of_enumeration(sketch, solver):
    for seed in range(3):
        examples = drawn(sketch, 9, seed, signs=sketch.activation != "relu")
        found = synthesise(sketch, examples, solver=solver, workers=1)
        assert found.status is Status.OPTIMAL and found.bound == found.value == found.correct
        assert found.correct == by_enumeration(sketch, examples) == int(found.network.right(examples).sum())


def test_eight_bits_wrap_around_as_a_processor_does():
    sketch = Sketch((1, 1, 1), (100,), (0,), "relu", "sign", bits=8)
    sums = WholeNetwork(sketch, ([[100]], [[100]]), ([0], [0])).sums([[1], [2], [3]])
    assert sums[0][:, 0].tolist() == [np.int32(z).astype(np.int8) for z in (100, 200, 300)]
    assert sums[1][:, 0].tolist() == [np.int32(100 * z).astype(np.int8) for z in (100, 0, 44)]


@pytest.mark.parametrize("solver", SOLVERS)
def test_more_than_asks_for_a_strict_improvement(solver):
    sketch = Sketch((3, 1), (-1, 0, 1), (0,))
    examples = drawn(sketch, 9, 5)
    best = synthesise(sketch, examples, solver=solver).correct
    assert synthesise(sketch, examples, more_than=best - 1, solver=solver).correct == best
    assert synthesise(sketch, examples, more_than=best, solver=solver).status is Status.INFEASIBLE


def test_fewest_weights_and_largest_margin_by_hand():
    """Only the first input decides, so one weight is enough."""
    examples = Examples([[1, 1, 1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1]], [1, 1, 0, 0])
    sketch = Sketch((3, 1), between(-1, 1))
    fewest = synthesise(sketch, examples, objective="weights")
    assert fewest.status is Status.OPTIMAL and fewest.network.nonzero == 1 and fewest.value == -1
    clear = synthesise(Sketch((3, 1), between(-3, 3)), examples, objective="margin")
    # z >= m and z <= -1 - m: w1 = 3 with the others 0 gives z = 3 and -3, so m = 2
    assert clear.status is Status.OPTIMAL and clear.value == 2


def test_a_margin_between_outputs_may_be_twice_the_largest_output():
    """Both weights are 1 for the one class and -1 for the other: outputs 2 and -2, so the margin is 4 - 1."""
    clear = synthesise(Sketch((2, 2), output="argmax"), Examples([[1, 1]], [0]), objective="margin")
    assert clear.status is Status.OPTIMAL and clear.value == 3
    with pytest.raises(SketchError, match="objective: 'margin'"):
        synthesise(Sketch((1, 1), output="value"), Examples([[1]], [[1]]), objective="margin")


@pytest.mark.parametrize("seed", [10, 12])
def test_words_are_not_ordered_whose_bits_count_differently(seed):
    """A network of this sketch gets all right; with its neurons in order, 14 of 16 were called the optimum."""
    rng, sketch = np.random.default_rng(seed), Sketch((4, 4, 1), activation="halves", output="value")
    made = WholeNetwork(sketch, (rng.choice([-1, 1], (4, 4)), rng.choice([-1, 1], (1, 4))), ([0] * 4, [0]))
    inputs = np.array(list(itertools.product([-1, 1], repeat=4)))
    best = synthesise(sketch, Examples(inputs, made.outputs(inputs)), symmetry=True)
    assert best.proved and best.correct == 16


def test_neurons_are_not_ordered_that_the_next_layer_knows_apart():
    """Class 0 is where the first neuron is -1 and the second is 1, so the first weight is 1 and the second is -1."""
    sketch, examples = Sketch((1, 2, 1), activation="sign"), Examples([[-1], [1]], [0, 1])
    start = WholeNetwork(sketch, ([[1], [1]], [[1, -1]]), ([0, 0], [0]))
    best = synthesise(sketch, examples, start=start, freeze=(1,), symmetry=True)
    assert best.proved and best.correct == 2 and best.network.weights[0].tolist() == [[1], [-1]]


def test_frozen_layers_stay_and_layers_in_turn_reach_the_optimum():
    sketch = Sketch((4, 3, 1), (-1, 1), (0,), "sign")
    examples = drawn(sketch, 12, 1)
    start = WholeNetwork(sketch, (np.ones((3, 4), int), np.ones((1, 3), int)), ([0, 0, 0], [0]))
    kept = synthesise(sketch, examples, start=start, freeze=(0,))
    assert (kept.network.weights[0] == 1).all()
    turned = by_layers(sketch, examples, start, timeout_s=20)
    best = synthesise(sketch, examples, symmetry=True)
    assert start.right(examples).sum() <= turned.correct <= best.correct and best.proved
    assert best.correct == synthesise(sketch, examples).correct, "ordering the neurons loses nothing"


def test_a_grid_shares_its_bound_and_stops_where_nothing_better_is_possible():
    grid = [Sketch((2, 2, 1), between(-2, 2), output="sign"), Sketch((2, 1), (-1, 0, 1), output="sign"),
            Sketch((2, 3, 1), between(-2, 2), output="sign")]  # fmt: skip
    equal = Examples(XOR.inputs, [1, 0, 0, 1])  # all sums are 0 at (0, 0), which is class 1
    done = search_grid(grid, equal)
    assert [cell.sketch.name for cell in done.cells] == ["2-1", "2-2-1"] and done.proved
    assert done.cells[0].correct < 4 and done.best.correct == 4 and [one.name for one in done.skipped] == ["2-3-1"]


def hard():
    sketch = Sketch((24, 6, 1), (-1, 1), between(-24, 24), "sign")
    return sketch, drawn(sketch, 120, 3)


@pytest.mark.slow
def test_a_limit_of_time_or_work_gives_the_best_found_and_a_bound():
    sketch, examples = hard()
    for limits in ({"timeout_s": 1.5}, {"work": 0.5, "workers": 1}):
        found = synthesise(sketch, examples, **limits)
        assert found.status in (Status.TIME_LIMIT, Status.NODE_LIMIT) and not found.proved
        assert found.correct <= found.bound <= 120
        assert [one.value for one in found.moments] == sorted(one.value for one in found.moments)
    assert synthesise(sketch, examples, timeout_s=0).status is Status.TIME_LIMIT


def test_a_search_that_ends_before_it_finds_anything_has_proved_nothing():
    """CP-SAT itself reports a bound of 0 then."""
    sketch, examples = hard()
    found = synthesise(sketch, examples, work=1e-6, workers=1)
    assert found.network is None and found.bound == 120 and found.status is Status.NODE_LIMIT and not found.proved


def test_ctrl_c_gives_the_best_found(monkeypatch):
    """Pressed as soon as there is something to give."""

    class Pressing(BestBar):
        def step(self, best, bound):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("verifier.synthesis.synthesise.BestBar", Pressing)
    sketch, examples = hard()
    found = synthesise(sketch, examples, timeout_s=300)
    assert found.status is Status.INTERRUPTED and found.network is not None
    assert found.correct == int(found.network.right(examples).sum())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sketch((2, 1), ()), "weights: the domain is empty"),
        (lambda: Sketch((2, 1), biases=()), "biases: the domain is empty"),
        (lambda: Sketch((2,)), r"topology: found \(2,\)"),
        (lambda: Sketch((2, 0, 1)), "topology"),
        (lambda: Sketch((2, 2)), "reads one output, found 2"),
        (lambda: Sketch((2, 1), output="argmax"), "needs two outputs"),
        (lambda: Sketch((3, 1), activation="halves"), "3 is odd"),
        (lambda: Sketch((2, 1), activation="tanh"), "found 'tanh'"),
        (lambda: Sketch((2, 1), bits=1), "bits: found 1"),
        (lambda: Examples([[0.5, 1]], [0]), "not whole"),
        (lambda: Examples([[1, 1]], [0, 1]), "found 2 for 1"),
        (lambda: Examples([1, 1], [0, 1]), "expected \\(examples, inputs\\)"),
        (lambda: synthesise(Sketch((3, 1)), Examples([[1, 1]], [0])), "takes 3 inputs, the examples have 2"),
        (lambda: synthesise(Sketch((2, 1)), Examples([[1, 1]], [2])), "classes 0 to 1"),
        (lambda: synthesise(Sketch((2, 1), activation="sign"), Examples([[0, 1]], [1])), "inputs of -1 and 1"),
        (lambda: synthesise(Sketch((2, 1), (2**52,)), Examples([[1, 1]], [1])), "reach 9,007,199,254,740,992"),
        (
            lambda: synthesise(Sketch((64, 999, 1)), Examples(np.ones((99, 64)), np.ones(99))),
            "too large for the encoding: 6,428,565 products",
        ),
        (lambda: synthesise(Sketch((2, 1)), Examples([[1, 1]], [1]), solver="cplex"), "found 'cplex'"),
        (lambda: synthesise(Sketch((2, 1)), Examples([[1, 1]], [1]), objective="fast"), "found 'fast'"),
        (lambda: synthesise(Sketch((2, 1)), Examples([[1, 1]], [1]), freeze=(0,)), "which is missing"),
        (lambda: search_grid([], XOR), "the grid is empty"),
        (lambda: Sketch((2, 1), (0.5, 1)), r"weights: found \(0.5, 1\), expected whole numbers, such as between"),
        (lambda: Sketch((2, 1), 3), "weights: found 3, expected whole numbers"),
        (lambda: Sketch("2-1"), r"topology: found '2-1', expected whole numbers, such as \(64, 8, 1\)"),
        (lambda: Sketch((2, 2.5, 1)), r"topology: found \(2, 2.5, 1\)"),
        (lambda: Sketch((2, 1), bits="8"), "bits: found '8'"),
        (lambda: between(1, -1), "between: found 1 and -1, .* swapped"),
        (lambda: Examples([[np.nan, 1]], [0]), "inputs: found numbers that are not finite"),
        (lambda: synthesise(Sketch((2, 1)), ([[1, 1]], [1])), r"examples: found tuple, expected Examples\("),
        (lambda: synthesise((2, 1), Examples([[1, 1]], [1])), "sketch: found tuple, expected a Sketch"),
        (
            lambda: synthesise(Sketch((2, 1)), Examples([[1, 1]], [[1]])),
            r"labels: found shape \(1, 1\), expected \(1,\)",
        ),
        (lambda: synthesise(Sketch((2, 1)), Examples([[1, 1]], [-3])), "classes 0 to 1, found -3 to -3"),
        (lambda: synthesise(Sketch((2, 1), output="value"), XOR_CLASSES), "a label is the list of the wanted outputs"),
        (lambda: synthesise(Sketch((2, 1)), XOR_CLASSES, start=UNIT, freeze=(7,)), r"freeze: found \(7,\), .* 0 to 0"),
        (lambda: synthesise(Sketch((2, 2, 1)), XOR_CLASSES, start=UNIT), "start: it is a 2-1 network, .* is 2-2-1"),
        (lambda: synthesise(Sketch((2, 1)), XOR_CLASSES, most_weights=-1), "most_weights: found -1"),
        (lambda: synthesise(Sketch((2, 1)), XOR_CLASSES, workers=0), "workers: found 0"),
        (lambda: UNIT.predict([1, 1]), r"inputs: found shape \(2,\), expected \(examples, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name_and_size(make, words):
    with pytest.raises(SketchError, match=words):
        make()


def test_contradictory_examples_are_named_with_the_best_that_is_possible():
    examples = Examples([[1, 1], [1, -1], [1, 1], [1, 1]], [0, 1, 1, 0])
    assert examples.contradictions() == [(0, 2)] and examples.best_possible() == 3
    sketch = Sketch((2, 1), (-1, 1), (-1, 0, 1), "sign")
    with pytest.raises(SketchError, match=r"examples 0 and 2 .* at most 3 of 4 can be right"):
        synthesise(sketch, examples, objective="any")
    found = synthesise(sketch, examples)
    assert found.correct == found.bound == 3 and found.proved


def test_a_claim_that_running_the_network_does_not_confirm_is_refused():
    network = WholeNetwork(Sketch((2, 1)), ([[1, 1]],), ([0],))
    with pytest.raises(RuntimeError, match="claims 2 right, running the network gives 1"):
        count_right(network, Examples([[1, 1], [1, 1]], [0, 1]), 2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_time_line_holds_networks_whose_value_running_them_confirms(solver):
    sketch = Sketch((4, 2, 1), (-1, 1), (0,), "sign")
    examples = drawn(sketch, 12, 1)
    found = synthesise(sketch, examples, solver=solver, keep=True)
    assert found.moments and found.moments[-1].value == found.correct
    assert [int(one.network.right(examples).sum()) for one in found.moments] == [one.value for one in found.moments]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("most", [0, 1, 2])
def test_few_weights_are_chosen_as_well_as_by_enumeration(solver, most):
    sketch = Sketch((3, 1), (-1, 0, 1), (-1, 0))
    examples = drawn(sketch, 9, 7)
    best = 0
    for weights in itertools.product((-1, 0, 1), repeat=3):
        if np.count_nonzero(weights) <= most:
            for bias in (-1, 0):
                best = max(best, int(WholeNetwork(sketch, ([weights],), ([bias],)).right(examples).sum()))
    assert synthesise(sketch, examples, most_weights=most, solver=solver).correct == best
