"""The widest gap of a unit: bounds against enumeration of all weights, and against CP-SAT."""

import itertools

import numpy as np
import pytest

pytest.importorskip("highspy")

from verifier.errors import SketchError
from verifier.synthesis.sketch import Examples, Sketch, between
from verifier.synthesis.widest import fewest_weights, gap_bound, gap_of, solve_gap, widest_unit


def drawn(seed, inputs=5, count=8):
    """Examples that some ternary unit reads correctly."""
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 10, (count, inputs)), rng.integers(-1, 2, inputs)
    z = x @ w
    return Examples(x, (z > np.median(z)).astype(int))


def gaps(examples, largest):
    """Every unit's weights and its gap, counted one example after another."""
    for w in itertools.product(range(-largest, largest + 1), repeat=examples.inputs.shape[1]):
        z = [sum(a * b for a, b in zip(w, x, strict=True)) for x in examples.inputs.tolist()]
        pairs = list(zip(z, examples.labels.tolist(), strict=True))
        yield w, min(v for v, label in pairs if label) - max(v for v, label in pairs if not label)


@pytest.mark.parametrize("largest", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_no_unit_has_a_wider_gap_than_the_bound(seed, largest):
    examples = drawn(seed, inputs=4)
    found, best = widest_unit(examples, largest), max(gap for _, gap in gaps(examples, largest))
    assert found.gap <= best <= found.gap_bound
    z = examples.inputs @ found.network.weights[0][0]
    assert found.gap == z[examples.labels == 1].min() - z[examples.labels == 0].max()
    if found.gap > 0:
        assert found.network.right(examples).all()


@pytest.mark.parametrize("seed", range(8))
def test_no_unit_with_that_gap_has_fewer_weights_than_the_bound(seed):
    examples = drawn(seed)
    unit = widest_unit(examples)
    assert unit.gap >= 1  # with these seeds rounding loses no example
    few = fewest_weights(examples, unit, 0.5)
    assert few.network.nonzero >= few.weights_bound
    assert few.gap == gap_of(few.network.weights[0][0], examples)
    least = min(np.count_nonzero(w) for w, gap in gaps(examples, 1) if gap >= few.gap)
    assert few.weights_bound <= least <= few.network.nonzero


def test_a_gap_by_hand():
    """Only the first input differs: w = 1 there gives 7 - 2, and one weight is enough."""
    examples = Examples([[7, 3, 1], [8, 3, 1], [2, 3, 1], [0, 3, 1]], [1, 1, 0, 0])
    unit = widest_unit(examples)
    assert (unit.gap, unit.gap_bound, unit.network.nonzero) == (5, 5, 1)
    few = fewest_weights(examples, unit)
    assert few.network.nonzero == few.weights_bound == 1 and few.network.right(examples).all()


def test_an_example_between_two_of_the_other_class_cannot_be_separated():
    """Class 1 at 1, class 0 at 0 and 2: the multipliers 2, 1, 1 prove it for weights of any size."""
    examples = Examples([[1], [0], [2]], [1, 0, 0])
    assert gap_bound(examples, np.array([2, 1, 1]), 10**6) == 0
    assert gap_bound(examples, solve_gap(examples)[1], 10**6) == 0
    assert widest_unit(examples).gap <= 0
    with pytest.raises(SketchError, match="it gets some examples wrong, so there is no gap"):
        fewest_weights(examples, widest_unit(examples))


@pytest.mark.parametrize("seed", range(3))
def test_cp_sat_finds_no_wider_gap(seed):
    pytest.importorskip("ortools")
    from verifier.synthesis.synthesise import synthesise

    examples = drawn(seed, inputs=7, count=10)
    unit = widest_unit(examples)
    sketch = Sketch((7, 1), between(-1, 1), between(-70, 70))
    best = synthesise(sketch, examples, objective="margin", timeout_s=20)
    if best.network is None:
        assert best.proved and unit.gap < 1
        return
    # z >= m and z <= -1 - m: a gap of 2m + 1 or 2m + 2
    assert best.proved and 2 * best.value + 1 <= unit.gap_bound
    assert unit.gap <= 2 * best.value + 2


@pytest.mark.parametrize("multipliers", [[1, 1, 1], [-1, -1, 0], [0, 0, 0]])
def test_multipliers_that_prove_nothing_are_refused(multipliers):
    with pytest.raises(SketchError, match="one positive sum for each class"):
        gap_bound(Examples([[1], [0], [2]], [1, 0, 0]), np.array(multipliers), 1)


def test_one_class_alone_has_no_gap():
    with pytest.raises(SketchError, match="one of them has no example"):
        widest_unit(Examples([[1], [2]], [1, 1]))
