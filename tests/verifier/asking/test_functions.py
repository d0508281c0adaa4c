"""A network against a polynomial: one input exactly, several inputs box by box, and what callers get wrong."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.polynomial import Polynomial as NumpyPolynomial

import verifier.asking.function_boxes as function_boxes
from tests.verifier.networks import random_network
from verifier import (
    Affine,
    Head,
    Network,
    NetworkError,
    OptionError,
    Reason,
    SpecError,
    Verdict,
    max_error,
    verify_function,
)

sympy = pytest.importorskip("sympy")
X = sympy.Symbol("x")
T4 = sympy.chebyshevt(4, X)
ZERO = Network((Affine(np.zeros((1, 1)), np.zeros(1)),))
LINE = Network((Affine(np.array([[1.0]]), np.zeros(1)),))
ABSOLUTE = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))


def torch_net(seed, *sizes):
    torch.manual_seed(seed)
    parts = []
    for inputs, outputs in itertools.pairwise(sizes):
        parts += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def t4(x):
    return 8 * x**4 - 8 * x**2 + 1


def test_the_error_of_zero_against_t4_is_1_attained_three_times_and_at_two_irrational_points():
    """|T4| is 1 at -1, 0 and 1, and at plus and minus the square root of 1/2."""
    assert verify_function(ZERO, T4, [(-1, 1)], 1).guarantee == "exact"
    assert verify_function(ZERO, T4, [(-1, 1)], 1).verdict is Verdict.VERIFIED
    assert verify_function(ZERO, T4, [(-1, 1)], math.nextafter(1, 0)).verdict is Verdict.FALSIFIED
    found = max_error(ZERO, T4, [(-1, 1)])
    assert found.attained == 1
    assert 1 <= found.proved <= 1 + 1e-6


def test_a_tie_at_an_irrational_point_alone_is_decided():
    """On [1/2, 3/4] |T4| is 1 only at the square root of 1/2, which no float64 is."""
    assert verify_function(ZERO, T4, [(0.5, 0.75)], 1).verdict is Verdict.VERIFIED
    assert verify_function(ZERO, T4, [(0.5, 0.75)], 1 - 1e-9).verdict is Verdict.FALSIFIED


def test_a_tolerance_that_only_an_irrational_point_exceeds_is_unknown():
    """The largest error lies above the tolerance by less than any float64 can show, so there is no counterexample."""
    result = verify_function(ZERO, T4, [(0.5, 0.75)], Fraction(1) - Fraction(1, 10**40))
    assert result.verdict is Verdict.UNKNOWN
    assert result.cause is Reason.BELOW_ROUNDING


def test_a_tie_at_a_kink_is_verified_and_a_little_less_falsified():
    """| |x| - x^2 | is 1/4 at plus and minus 1/2; the replay rounds its limits outward, so "a little" is a few ulps."""
    cases = []
    assert verify_function(ABSOLUTE, X**2, [(-1, 1)], 0.25)
    result = verify_function(ABSOLUTE, X**2, [(-1, 1)], 0.25 - 1e-15, cases)
    assert result.verdict is Verdict.FALSIFIED
    assert abs(float(cases[0][0])) == 0.5


@pytest.mark.parametrize(("seed", "hidden"), [(0, (6,)), (1, (5, 4)), (2, (20, 25)), (3, (3, 3, 3))])
def test_one_input_agrees_with_a_dense_grid_and_a_lipschitz_bound(seed, hidden):
    """The error is Lipschitz: between two grid points it exceeds theirs by at most L times half their distance."""
    net = torch_net(seed, 1, *hidden, 1)
    found = max_error(net, T4, [(-1, 1)])
    grid = np.linspace(-1, 1, 20_001)
    with torch.no_grad():
        values = net.double()(torch.tensor(grid)[:, None])[:, 0].numpy()
    largest = float(np.abs(values - t4(grid)).max())
    weights = [part.weight.detach().abs().numpy() for part in net if isinstance(part, torch.nn.Linear)]
    lipschitz = float(np.linalg.multi_dot([*weights[::-1], np.ones(1)])[0]) + 16  # |T4'| <= 16 on [-1, 1]
    assert found.attained <= found.proved
    assert largest - 1e-9 <= found.proved
    assert found.attained <= largest + lipschitz * 5e-5 + 1e-9
    assert found.gap <= 1e-6
    net.float()
    assert verify_function(net, T4, [(-1, 1)], found.proved).verdict is Verdict.VERIFIED
    result = verify_function(net, T4, [(-1, 1)], found.attained - 1e-5)
    assert result.verdict is Verdict.FALSIFIED
    x = float(result.counterexample.reshape(-1)[0])
    assert abs(float(net(result.counterexample).detach()) - t4(x)) > found.attained - 1e-5 - 1e-6


def test_the_attained_error_is_the_exact_error_at_a_value_of_the_dtype():
    net = torch_net(5, 1, 8, 1)
    found = max_error(net, T4, [(-0.3, 0.7)])
    assert found.x.dtype == torch.float32
    x = Fraction(float(found.x.reshape(-1)[0]))
    assert Fraction(-0.3) <= x <= Fraction(0.7)
    h = [Fraction(float(x))]
    layers = [part for part in net if isinstance(part, torch.nn.Linear)]
    for place, part in enumerate(layers):
        rows = zip(part.weight.tolist(), part.bias.tolist(), strict=True)
        z = [sum(Fraction(w) * v for w, v in zip(row, h, strict=True)) + Fraction(b) for row, b in rows]
        h = z if place == len(layers) - 1 else [max(v, Fraction(0)) for v in z]
    error = abs(h[0] - t4(x))
    assert 0 <= error - Fraction(found.attained) <= Fraction(1, 10**12)


@pytest.mark.parametrize(
    "reference",
    [T4, sympy.Poly(T4, X), NumpyPolynomial([1, 0, -8, 0, 8]), t4, sympy.lambdify(X, T4)],
    ids=["sympy", "Poly", "numpy", "function", "lambdify"],
)
def test_a_reference_may_come_in_every_form(reference):
    assert max_error(LINE, reference, [(-1, 1)]).attained == 2  # at -1


def test_one_point_as_interval():
    assert verify_function(LINE, T4, [(0.5, 0.5)], 1).verdict is Verdict.VERIFIED  # 1/2 against -1/2
    assert verify_function(LINE, T4, [(0.5, 0.5)], 0.999).verdict is Verdict.FALSIFIED


def plane_grid(net, formula, steps=81):
    axis = np.linspace(-1, 1, steps)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    return float(np.abs(net(points)[:, 0] - formula(*points.T)).max())


@pytest.mark.parametrize(
    ("formula", "slope"),
    [(lambda a, b: a * a + b * b, 4.0), (lambda a, b: a * b, 2.0)],
    ids=["paraboloid", "product"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_two_inputs_agree_with_a_dense_grid_and_a_lipschitz_bound(formula, slope, seed):
    """Slopes are in the maximum norm: the sum of the absolute derivatives."""
    net = random_network(seed, 2, 5, 1)
    largest = plane_grid(net, formula)
    lipschitz = float((np.abs(net.layers[1].weight) @ np.abs(net.layers[0].weight)).sum()) + slope
    beyond = largest + lipschitz / 80  # half a step of the grid
    assert verify_function(net, formula, [(-1, 1)] * 2, beyond).verdict is Verdict.VERIFIED
    cases = []
    result = verify_function(net, formula, [(-1, 1)] * 2, largest * 0.98, cases)
    assert result.verdict is Verdict.FALSIFIED
    assert abs(float(net(cases[0][None])[0, 0]) - formula(*cases[0])) > largest * 0.98


def test_max_error_in_two_inputs_encloses_what_one_knows_by_hand():
    """|0 - x1 x2| is 1 at the corners of [-1, 1]^2."""
    net = Network((Affine(np.zeros((1, 2)), np.zeros(1)),))
    found = max_error(net, lambda a, b: a * b, [(-1, 1)] * 2, tolerance=0.05, timeout_s=None)
    assert found.attained <= 1 <= found.proved
    assert found.gap <= 0.05


def test_three_inputs():
    net = Network((Affine(np.array([[1.0, 1.0, 1.0]]), np.zeros(1)),))
    formula = lambda a, b, c: a + b + c + a * b * c / 10  # noqa: E731 - a formula
    assert verify_function(net, formula, [(-1, 1)] * 3, 0.11).verdict is Verdict.VERIFIED
    assert verify_function(net, formula, [(-1, 1)] * 3, 0.09).verdict is Verdict.FALSIFIED


def test_a_named_method_and_one_input_take_the_same_verdicts():
    for method in ("split", "auto_lirpa", "crown"):
        result = verify_function(ABSOLUTE, X**2, [(-1, 1)], 0.3, method=method, max_subdomains=2000)
        assert result.verdict is not Verdict.FALSIFIED
    assert verify_function(ABSOLUTE, X**2, [(-1, 1)], 0.3, method="split").verdict is Verdict.VERIFIED


def test_weights_known_up_to_a_radius_are_compared_box_by_box():
    layer = Affine(np.array([[1.0]]), np.zeros(1), np.array([[1e-9]]), np.zeros(1))
    assert verify_function(Network((layer,)), X, [(-1, 1)], 1e-6).verdict is Verdict.VERIFIED
    assert verify_function(Network((layer,)), X + 1, [(-1, 1)], 0.5).verdict is Verdict.FALSIFIED


def test_limits_leave_it_open_with_the_band_that_is_certain():
    net = random_network(3, 2, 12, 12, 1)
    result = verify_function(net, lambda a, b: a * b, [(-1, 1)] * 2, 100, max_subdomains=1)
    assert result.verdict in (Verdict.VERIFIED, Verdict.UNKNOWN)
    largest = plane_grid(net, lambda a, b: a * b)
    result = verify_function(net, lambda a, b: a * b, [(-1, 1)] * 2, largest * 1.01, max_subdomains=3)
    assert result.verdict is Verdict.UNKNOWN
    assert result.cause is Reason.WORK_LIMIT
    assert "the largest error is between" in result.reason
    found = max_error(net, lambda a, b: a * b, [(-1, 1)] * 2, max_subdomains=3)
    assert found.cause is Reason.WORK_LIMIT
    assert found.attained <= largest + 1e-9
    assert found.proved >= largest - 1e-9
    found = max_error(torch_net(0, 1, 20, 25, 1), T4, [(-1, 1)], tolerance=1e-12, max_subdomains=5)
    assert found.cause is Reason.WORK_LIMIT
    assert found.attained < found.proved < math.inf


def test_ctrl_c_leaves_the_band_that_is_certain(monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(function_boxes, "verify", interrupted)
    net = random_network(1, 2, 4, 1)
    result = verify_function(net, lambda a, b: a * b, [(-1, 1)] * 2, 50)
    assert result.interrupted
    found = max_error(net, lambda a, b: a * b, [(-1, 1)] * 2)
    assert found.cause is Reason.INTERRUPTED
    assert found.attained <= plane_grid(net, lambda a, b: a * b) + 1e-9 <= found.proved + 1e-6


def test_a_function_error_prints_in_a_line_and_as_a_table():
    found = max_error(ZERO, T4, [(-1, 1)])
    assert str(found).startswith("largest error between 1 (attained at x = ")
    assert "<table>" in found._repr_html_()


@pytest.mark.parametrize("tolerance", [0, -1, math.nan, math.inf, "1", None])
def test_a_tolerance_is_a_number_above_zero(tolerance):
    for ask in (verify_function, max_error):
        with pytest.raises(SpecError, match="tolerance"):
            ask(LINE, T4, [(-1, 1)], tolerance)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (sympy.Symbol("a") * sympy.Symbol("b"), r"variables a, b, but the network has 1 input; one variable"),
        (sympy.sin(X), "is not a polynomial; use a polynomial"),
        (math.sin, "Functions such as sin, exp or abs are not polynomials"),
        (np.sin, "polynomial"),
        (sympy.lambdify(X, sympy.sin(X)), "polynomial"),
        ("x**2", "expected a formula, found str"),
    ],
    ids=["another variable", "sympy's sin", "math's sin", "numpy's sin", "lambdify of sin", "text"],
)
def test_a_reference_that_is_not_a_polynomial_of_the_inputs_is_refused(reference, message):
    with pytest.raises(SpecError, match=message):
        verify_function(LINE, reference, [(-1, 1)], 1)


@pytest.mark.parametrize(
    ("box", "message"),
    [([(1, -1)], "swapped"), ([(-math.inf, 1)], "finite"), ([(-1, 1)] * 2, "input"), ([(None, 1)], "finite|None|NaN")],
    ids=["swapped", "infinite", "two pairs", "None"],
)
def test_an_interval_is_two_finite_ends_in_order(box, message):
    with pytest.raises((SpecError, NetworkError), match=message):
        verify_function(LINE, T4, box, 1)


def test_networks_of_several_outputs_or_with_a_head_are_refused():
    with pytest.raises(NetworkError, match="has 2 outputs; a function is compared with a network of one"):
        verify_function(Network((Affine(np.ones((2, 1)), np.zeros(2)),)), T4, [(-1, 1)], 1)
    with pytest.raises(NetworkError, match="ends with sigmoid"):
        verify_function(Network((Affine(np.ones((1, 1)), np.zeros(1)),), Head.SIGMOID), T4, [(-1, 1)], 1)


def test_too_many_coefficients_are_refused():
    net = Network((Affine(np.ones((1, 6)), np.zeros(1)),))
    with pytest.raises(SpecError, match="too many to bound it"):
        verify_function(net, lambda *x: math.prod(v**5 for v in x), [(-1, 1)] * 6, 1)


def test_options_are_those_of_verify():
    with pytest.raises(OptionError, match="method"):
        verify_function(LINE, T4, [(-1, 1)], 1, method="guess")
    with pytest.raises(OptionError, match="timeout_s"):
        max_error(LINE, T4, [(-1, 1)], timeout_s=-1)
