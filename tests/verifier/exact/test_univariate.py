"""Whether a polynomial is nowhere negative, against products whose roots one knows."""

from fractions import Fraction

import numpy as np
import pytest

from verifier.exact.univariate import is_nonnegative


def product(roots, factor=1):
    """The coefficients of factor * (x - r1) * (x - r2) ..."""
    found = [Fraction(factor)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [-Fraction(root) * c for c in found] + [Fraction(0)]
        found = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return found


@pytest.mark.parametrize(
    ("roots", "factor", "lower", "upper", "expected"),
    [
        ([], 1, 0, 1, True),
        ([], -1, 0, 1, False),
        ([1, 1], 1, 0, 2, True),  # touches 0 inside
        ([1, 1], -1, 0, 2, False),
        ([1], 1, 1, 2, True),  # 0 at an end
        ([1], 1, 0, 1, False),
        ([1], -1, 0, 1, True),
        ([1, 1, 1], 1, 0, 2, False),  # odd multiplicity: changes its sign
        ([1, 1, 1, 1], 1, 0, 2, True),
        ([0, 1, 1], 1, 0, 5, True),
        ([Fraction(1, 2), Fraction(1, 2), 3], -1, 0, 3, True),
        ([Fraction(1, 2), Fraction(1, 2), 3], -1, 0, 4, False),
    ],
)
def test_the_sign_is_that_of_the_roots(roots, factor, lower, upper, expected):
    assert is_nonnegative(product(roots, factor), Fraction(lower), Fraction(upper)) is expected


def test_irrational_double_roots_are_a_tie():
    """(x^2 - 2)^2 touches 0 at the square root of 2; a millionth less crosses it."""
    square = [Fraction(4), Fraction(0), Fraction(-4), Fraction(0), Fraction(1)]
    assert is_nonnegative(square, Fraction(0), Fraction(2))
    square[0] -= Fraction(1, 10**6)
    assert not is_nonnegative(square, Fraction(0), Fraction(2))


def test_zero_and_single_points():
    assert is_nonnegative([], Fraction(0), Fraction(1))
    assert is_nonnegative([Fraction(0), Fraction(0)], Fraction(0), Fraction(1))
    assert is_nonnegative([Fraction(-1), Fraction(1)], Fraction(1), Fraction(1))
    assert not is_nonnegative([Fraction(-1), Fraction(1)], Fraction(1, 2), Fraction(1, 2))


def test_random_products_agree_with_their_roots():
    """A product changes its sign inside an interval exactly if a root of odd multiplicity lies there."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        roots = [Fraction(int(r), 4) for r in rng.integers(-8, 9, rng.integers(0, 7))]
        factor = int(rng.choice([-1, 1]))
        lower = Fraction(int(rng.integers(-8, 8)), 4)
        upper = lower + Fraction(int(rng.integers(1, 9)), 4)
        crossing = any(lower < r < upper and roots.count(r) % 2 for r in roots)
        near = lower + (upper - lower) * Fraction(1, 1013)  # no root of the grid of quarters lies there
        positive = factor * (-1) ** sum(r > near for r in roots) > 0
        assert is_nonnegative(product(roots, factor), lower, upper) is (positive and not crossing)
