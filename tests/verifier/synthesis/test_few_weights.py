"""The fewest weights of a ternary unit: against every unit of small cases, and against CP-SAT."""

import itertools

import numpy as np
import pytest

pytest.importorskip("numba")

from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis import few_weights
from verifier.synthesis.few_weights import few_ternary, fewest_ternary
from verifier.synthesis.sketch import Examples, Sketch, between
from verifier.synthesis.synthesise import synthesise


def drawn(seed, inputs=6, count=8, largest=9):
    rng = np.random.default_rng(seed)
    while True:
        found = Examples(rng.integers(0, largest + 1, (count, inputs)), np.arange(count) % 2)
        if not found.contradictions():
            return found


def fewest_by_trying_all(examples):
    """The fewest weights of all 3^inputs units; None where none gets all examples right."""
    units = np.array(list(itertools.product((-1, 0, 1), repeat=examples.inputs.shape[1])))
    z = units @ examples.inputs.T
    fits = z[:, examples.labels == 1].min(axis=1) > z[:, examples.labels == 0].max(axis=1)
    return int(np.count_nonzero(units[fits], axis=1).min()) if fits.any() else None


@pytest.mark.parametrize("walks", [0, 2])
def test_the_fewest_weights_are_those_of_trying_all_units(walks, monkeypatch):
    monkeypatch.setattr(few_weights, "STEPS", 200)
    known = set()
    for seed in range(60):
        examples = drawn(seed, count=6 + seed % 5)
        found, wanted = fewest_ternary(examples, walks=walks, timeout_s=60), fewest_by_trying_all(examples)
        known.add(wanted)
        if wanted is None:
            assert found.status is Status.INFEASIBLE and found.network is None and found.bound == -7
        else:
            assert found.status is Status.OPTIMAL and -found.value == -found.bound == wanted == found.network.nonzero
            assert found.network.right(examples).all()
    assert {None, 2, 3, 4} <= known  # the draws are not all easy


def test_each_number_of_weights_is_decided_as_by_trying_all_units():
    for seed in range(20):
        examples = drawn(seed, inputs=7, count=8)
        wanted = fewest_by_trying_all(examples)
        for most in range(1, 8):
            status, network = few_ternary(examples, most)
            assert (status is Status.SATISFIABLE) == (wanted is not None and most >= wanted)
            assert status is Status.INFEASIBLE if network is None else network.nonzero <= most


def test_cp_sat_proves_the_same():
    pytest.importorskip("ortools")
    examples = drawn(3, inputs=9, count=10)
    sketch = Sketch((9, 1), between(-1, 1), between(-81, 81))
    theirs = synthesise(sketch, examples, objective="weights", workers=1)
    assert theirs.proved and theirs.value == fewest_ternary(examples).value


def test_a_search_in_many_slices_decides_the_same(monkeypatch):
    examples = drawn(1, inputs=8, count=10)
    whole = [few_ternary(examples, most)[0] for most in range(1, 9)]
    monkeypatch.setattr(few_weights, "SLICE", 1)
    assert [few_ternary(examples, most)[0] for most in range(1, 9)] == whole


def test_one_input_that_decides_needs_one_weight_and_no_time_proves_nothing():
    """By hand: the first input tells the classes apart; without time, one weight is all that is known to be needed."""
    examples = Examples([[5, 1, 2], [4, 7, 2], [1, 3, 9], [0, 7, 2]], [1, 1, 0, 0])
    found = fewest_ternary(examples)
    assert found.proved and found.value == -1 and found.network.weights[0].tolist() == [[1, 0, 0]]
    hurried = fewest_ternary(examples, timeout_s=-1.0)
    assert hurried.status in (Status.TIME_LIMIT, Status.OPTIMAL) and hurried.bound == -1


def test_an_interrupt_gives_what_was_found(monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(few_weights, "search", stopped)
    found = fewest_ternary(drawn(8))
    assert found.status is Status.INTERRUPTED and not found.proved and found.bound == -1
    assert found.network is None or found.network.right(drawn(8)).all()


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ([[1], [2]], [1, 1], "tells two classes apart, and one of them has no example"),
        ([[1], [1]], [0, 1], "examples 0 and 1 have the same input"),
        ([[1], [2]], [0, 2], "tells classes 0 to 1"),
        ([[0], [2**31]], [0, 1], "scale the inputs down"),
    ],
)
def test_what_no_unit_can_be_asked_for_is_refused(inputs, labels, message):
    with pytest.raises(SketchError, match=message):
        fewest_ternary(Examples(inputs, labels))


@pytest.mark.parametrize("most", [0, 3])
def test_a_number_of_weights_is_one_to_all_inputs(most):
    with pytest.raises(SketchError, match=f"most: found {most}, expected 1 to 2"):
        few_ternary(Examples([[1, 0], [0, 1]], [0, 1]), most)
