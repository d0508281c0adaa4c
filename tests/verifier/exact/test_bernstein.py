"""Bernstein coefficients enclose the polynomial, meet it in the corners, and halve as the boxes do."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from verifier.exact.bernstein import bernstein, halves
from verifier.question.polynomial import Polynomial

small = st.fractions(min_value=-2, max_value=2, max_denominator=4)
polynomials = st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 2)), small, max_size=6).map(
    lambda terms: Polynomial(2, {e: c for e, c in terms.items() if c})
)


def test_a_parabola_worked_by_hand():
    """x^2 on [-1, 1]: 1 at both ends, and -1 between, below the least value 0."""
    x = Polynomial.variable(0, 1)
    assert list(bernstein(x * x, [Fraction(-1)], [Fraction(1)])) == [1, -1, 1]


@given(polynomials, small, small, st.fractions(0, 1, max_denominator=8), st.fractions(0, 1, max_denominator=8))
def test_the_polynomial_lies_between_its_coefficients_and_meets_them_in_the_corners(p, start, width, s, t):
    low, high = [start, Fraction(-1)], [start + abs(width), Fraction(2)]
    coefficients = bernstein(p, low, high)
    value = p(low[0] + s * (high[0] - low[0]), low[1] + t * (high[1] - low[1]))
    assert coefficients.min() <= value <= coefficients.max()
    assert coefficients[0, 0] == p(*low)
    assert coefficients[-1, -1] == p(*high)
    assert coefficients[-1, 0] == p(high[0], low[1])


@given(polynomials, st.integers(0, 1))
def test_halves_are_the_forms_on_the_half_boxes(p, axis):
    low, high = [Fraction(-1), Fraction(0)], [Fraction(2), Fraction(1, 2)]
    middle = (low[axis] + high[axis]) / 2
    left, right = halves(bernstein(p, low, high), axis)
    assert np.array_equal(left, bernstein(p, low, [middle if i == axis else h for i, h in enumerate(high)]))
    assert np.array_equal(right, bernstein(p, [middle if i == axis else v for i, v in enumerate(low)], high))
