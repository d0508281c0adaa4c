"""The rounding term is real: bounds contain the exact rational value on networks made to lose digits."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import verifier
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.bounds.layers import BoundingMethod
from verifier.bounds.lirpa import lirpa_bounds
from verifier.bounds.relaxation import relax_relu
from verifier.bounds.symbolic import symbolic_bounds
from verifier.enclosure import Bounds
from verifier.errors import NetworkError
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import Step
from verifier.network import Affine, Network, propagate_interval

METHODS = {
    "interval": interval_bounds,
    "symbolic": symbolic_bounds,
    "crown": crown_bounds,
    "auto-LiRPA": lirpa_bounds,
}


def digit_losing_network(seed: int, sizes: tuple[int, ...]) -> Network:
    """Weights between 1e-8 and 1e8 of both signs, in pairs that nearly cancel."""
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in pairwise(sizes):
        weight = rng.normal(size=(outputs, inputs)) * 10.0 ** rng.uniform(-8, 8, (outputs, inputs))
        half = inputs // 2
        weight[:, half : 2 * half] = -weight[:, :half] * (1 + rng.choice([0, 2.0**-52, -(2.0**-50)], (outputs, half)))
        layers.append(Affine(weight, rng.normal(size=outputs) * 10.0 ** rng.uniform(-8, 8, outputs)))
    return Network(tuple(layers))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(12))
def test_bounds_at_a_point_contain_the_exact_value(method: str, seed: int) -> None:
    """A box of zero width, where nothing but rounding separates the bounds from the value."""
    bound: BoundingMethod = METHODS[method]
    network = digit_losing_network(seed, (6, 40, 40, 3))
    x = np.random.default_rng(seed + 100).uniform(-1, 1, 6)
    exact = network.exact_logits(x)
    rows = np.random.default_rng(seed + 200).normal(size=(4, 3)) * 10.0 ** np.arange(-6, 6, 3)[:, None]
    found = bound(network, Bounds(x[None], x[None]), rows)
    for row, low, high in zip(rows, found.rows.lower[0], found.rows.upper[0], strict=True):
        value = sum((Fraction(float(c)) * z for c, z in zip(row, exact, strict=True)), Fraction(0))
        assert Fraction(float(low)) <= value <= Fraction(float(high))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(12))
def test_bounds_over_a_box_contain_exact_values_at_its_corners(method: str, seed: int) -> None:
    bound: BoundingMethod = METHODS[method]
    network = digit_losing_network(seed, (3, 12, 2))
    centre = np.random.default_rng(seed + 300).uniform(-1, 1, 3)
    box = Bounds(centre[None] - 1e-9, centre[None] + 1e-9)
    found = bound(network, box, np.eye(2))
    for corner in range(8):
        x = np.array([box.upper[0, i] if corner >> i & 1 else box.lower[0, i] for i in range(3)])
        for value, low, high in zip(network.exact_logits(x), found.rows.lower[0], found.rows.upper[0], strict=True):
            assert Fraction(float(low)) <= value <= Fraction(float(high))


def test_long_dot_product_is_contained() -> None:
    """20,000 terms whose exact sum is far smaller than what rounding loses."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=10_000) * 10.0 ** rng.uniform(-8, 8, 10_000)
    weight = np.concatenate([half, -half])[rng.permutation(20_000)][None]
    x = np.full(20_000, 0.1)
    bounds = propagate_interval(Affine(weight, np.zeros(1)), Bounds(x[None], x[None]))
    exact = sum((Fraction(float(w)) * Fraction(0.1) for w in weight[0]), Fraction(0))
    assert Fraction(float(bounds.lower[0, 0])) <= exact <= Fraction(float(bounds.upper[0, 0]))


@pytest.mark.parametrize("seed", range(20))
def test_chord_lies_above_relu_exactly(seed: int) -> None:
    """Checked in rationals at both ends, where a chord that was rounded down would show."""
    rng = np.random.default_rng(seed)
    lower, upper = -(10.0 ** rng.uniform(-20, 8, 50)), 10.0 ** rng.uniform(-20, 8, 50)
    lines = relax_relu(Bounds(lower, upper))
    for low, high, slope, offset in zip(lower, upper, lines.upper_slope, lines.upper_offset, strict=True):
        slope, offset = Fraction(float(slope)), Fraction(float(offset))
        assert slope * Fraction(float(low)) + offset >= 0
        assert slope * Fraction(float(high)) + offset >= Fraction(float(high))
        assert 0 <= slope <= 1


def test_folded_layers_enclose_their_exact_product() -> None:
    """Two affine layers in a row are one matrix; the error radius covers the exact product of the stored weights."""
    rng = np.random.default_rng(1)
    first, second = (rng.normal(size=(5, 5)) * 10.0 ** rng.uniform(-8, 8, (5, 5)) for _ in range(2))
    steps = [
        Step("Linear", "first", {"weight": first, "bias": rng.normal(size=5)}, {}, (1, 5)),
        Step("Linear", "second", {"weight": second}, {}, (1, 5)),
    ]
    folded = lower_steps(steps, (5,)).layers[0]
    assert folded.weight_error is not None
    for i in range(5):
        for j in range(5):
            exact = sum((Fraction(second[i, k]) * Fraction(first[k, j]) for k in range(5)), Fraction(0))
            assert abs(exact - Fraction(folded.weight[i, j])) <= Fraction(folded.weight_error[i, j])


def test_batch_norm_s_square_root_is_enclosed() -> None:
    """(scale - error)^2 (var + eps) <= weight^2 <= (scale + error)^2 (var + eps), all exact."""
    rng = np.random.default_rng(2)
    arrays = {
        "running_mean": rng.normal(size=6),
        "running_var": 10.0 ** rng.uniform(-8, 8, 6),
        "weight": rng.uniform(0.5, 2, 6),
        "bias": rng.normal(size=6),
    }
    layer = lower_steps([Step("BatchNorm", "norm", arrays, {"eps": 1e-5}, (1, 6))], (6,)).layers[0]
    assert layer.weight_error is not None
    for i in range(6):
        spread = Fraction(arrays["running_var"][i]) + Fraction(1e-5)
        scale, error = Fraction(layer.weight[i, i]), Fraction(layer.weight_error[i, i])
        assert (scale - error) ** 2 * spread <= Fraction(arrays["weight"][i]) ** 2 <= (scale + error) ** 2 * spread


def test_moving_values_about_keeps_weights_exact() -> None:
    """A permutation, a flip of sign and a halving lose nothing, so Z3 still gets the stored weights."""
    steps = [
        Step("Permute", "permute", {}, {"order": [0, 2, 1]}, (1, 3, 2)),
        Step("Flatten", "flatten", {}, {}, (1, 6)),
        Step("Linear", "linear", {"weight": np.random.default_rng(3).normal(size=(2, 6))}, {}, (1, 2)),
        Step("Scale", "halve", {"scale": np.array(-0.5)}, {}, (1, 2)),
    ]
    assert lower_steps(steps, (2, 3)).exact


@pytest.mark.parametrize("method", ["ibp", "crown", "split", "z3", "auto"])
def test_what_underflows_is_not_taken_for_zero(method: str) -> None:
    """Twelve layers of 2**-100: y = 2**-1200 x is above 0 at x = 1, and 0 in float64."""
    network = Network(tuple(Affine(np.array([[2.0**-100]]), np.zeros(1)) for _ in range(12)))
    assert network.exact_logits(np.ones(1))[0] == Fraction(1, 2**1200)
    assert not verifier.verify(network, [(0, 1)], [[None, 0]], method=method, max_subdomains=300)


@pytest.mark.parametrize(
    "constants", [(2.0**-600, 2.0**-600, 2.0**600, 2.0**600), (1e-200, 1e-150, 1e250, 1e100), (1e-300, 1e250, 1e50)]
)
def test_folding_constants_that_underflow_is_refused(constants: tuple[float, ...]) -> None:
    """The constants multiply to 1 or so, but computed one after another to 0 or to few digits."""
    steps = [Step("Scale", f"step {c}", {"scale": np.array(c)}, {}, (1, 1)) for c in constants]
    with pytest.raises(NetworkError, match="multiply weights to below 1e-289"):
        lower_steps(steps, (1,))


def test_folding_layers_that_underflow_is_refused() -> None:
    steps = [Step("Linear", f"step {i}", {"weight": np.full((1, 1), 1e-170)}, {}, (1, 1)) for i in range(2)]
    with pytest.raises(NetworkError, match="multiply weights to below 1e-289"):
        lower_steps(steps, (1,))
