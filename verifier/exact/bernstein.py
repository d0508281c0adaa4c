"""Bernstein form: what a polynomial can be on a box, from its coefficients in another basis.

On a box a polynomial is a mean of its Bernstein coefficients with weights that add up to 1, so it lies between the
least and the greatest of them, and at each corner of the box it is the coefficient there. Halving the box halves
nothing exactly, yet brings the coefficients closer to the polynomial, by a factor of about four each time.

Source:
    Lorentz. Bernstein Polynomials. 1953.
    Garloff. The Bernstein Algorithm. Interval Computations 1993 (several variables, and halving).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verifier.question.polynomial import Polynomial

Coefficients = NDArray[Any]  # of Fractions; one axis for each variable


def bernstein(polynomial: Polynomial, lower: Sequence[Fraction], upper: Sequence[Fraction]) -> Coefficients:
    """Write a polynomial in Bernstein form on a box.

    Args:
        polynomial: In n variables.
        lower: Lower bounds of the box, n rationals.
        upper: Upper bounds.

    Returns:
        The coefficients, an array of Fractions with an axis of length degree + 1 for each variable; exact.

    Example:
        >>> x = Polynomial.variable(0, 1)
        >>> [str(c) for c in bernstein(x * x, [Fraction(-1)], [Fraction(1)])]
        ['1', '-1', '1']
    """
    degrees = [max((exponents[i] for exponents in polynomial.terms), default=0) for i in range(polynomial.variables)]
    powers = np.full([degree + 1 for degree in degrees], Fraction(0), dtype=object)
    for exponents, coefficient in polynomial.terms.items():
        powers[exponents] = coefficient
    for axis, degree in enumerate(degrees):
        powers = np.moveaxis(powers, axis, 0)
        shifted = _composed(powers, lower[axis], upper[axis] - lower[axis])
        rows = []
        for i in range(degree + 1):
            row = shifted[0] * Fraction(1)
            for k in range(1, i + 1):
                row = row + shifted[k] * Fraction(comb(i, k), comb(degree, k))
            rows.append(row)
        powers = np.moveaxis(np.array(rows, dtype=object).reshape(powers.shape), 0, axis)
    return powers


def _composed(powers: Coefficients, start: Fraction, width: Fraction) -> Coefficients:
    """The coefficients in t of a polynomial in x = start + width t, along the first axis."""
    degree = powers.shape[0] - 1
    found = []
    for k in range(degree + 1):
        total = powers[k] * Fraction(1)
        for j in range(k + 1, degree + 1):
            total = total + powers[j] * (comb(j, k) * start ** (j - k))
        found.append(total * width**k)
    return np.array(found, dtype=object).reshape(powers.shape)


def halves(coefficients: Coefficients, axis: int = 0) -> tuple[Coefficients, Coefficients]:
    """The Bernstein forms on the two halves of the box, cut across one axis (de Casteljau's algorithm)."""
    rows = list(np.moveaxis(coefficients, axis, 0))
    left, right = [], []
    while rows:
        left.append(rows[0])
        right.append(rows[-1])
        rows = [(a + b) / 2 for a, b in itertools.pairwise(rows)]
    shape = np.moveaxis(coefficients, axis, 0).shape
    return (
        np.moveaxis(np.array(left, dtype=object).reshape(shape), 0, axis),
        np.moveaxis(np.array(right[::-1], dtype=object).reshape(shape), 0, axis),
    )
