"""Whether a polynomial in one variable is nowhere negative on an interval: decided in rationals, ties included.

A polynomial changes its sign exactly at its roots of odd multiplicity. So the factors of odd multiplicity are
multiplied up, and Sturm's theorem counts their roots inside the interval. Without one the sign is that at any point
which is not a root.

Source:
    Sturm. Mémoire sur la résolution des équations numériques. 1835.
    Yun. On Square-Free Decomposition Algorithms. SYMSAC 1976.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

Coefficients = list[Fraction]  # of 1, x, x^2, ...; the last one is not 0, and the zero polynomial has none


def is_nonnegative(coefficients: Sequence[Fraction], lower: Fraction, upper: Fraction) -> bool:
    """Decide whether a polynomial is >= 0 at every point of an interval.

    Args:
        coefficients: Of 1, x, x^2, ...
        lower: Left end.
        upper: Right end, at least lower.

    Example:
        >>> is_nonnegative([Fraction(1), Fraction(-2), Fraction(1)], Fraction(0), Fraction(3))  # (x - 1)^2
        True
    """
    polynomial = _trimmed(coefficients)
    if lower == upper:
        return value_at(polynomial, lower) >= 0
    if not polynomial:
        return True
    if _roots_inside(_odd_part(polynomial), lower, upper):
        return False
    steps = len(polynomial) + 1  # more points than it has roots
    inside = (lower + (upper - lower) * Fraction(k, steps) for k in range(1, steps))
    return next(value for value in (value_at(polynomial, x) for x in inside) if value) > 0


def value_at(coefficients: Sequence[Fraction], x: Fraction) -> Fraction:
    """Evaluate by Horner's rule."""
    total = Fraction(0)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def _odd_part(polynomial: Coefficients) -> Coefficients:
    """The product of the factors of odd multiplicity, each once (Yun's algorithm)."""
    slope = _derivative(polynomial)
    common = _gcd(polynomial, slope)
    factor, rest = _divided(polynomial, common)[0], _divided(slope, common)[0]
    rest = _minus(rest, _derivative(factor))
    odd, multiplicity = [Fraction(1)], 1
    while len(factor) > 1:
        part = _gcd(factor, rest)
        if multiplicity % 2:
            odd = _times(odd, part)
        factor, rest = _divided(factor, part)[0], _divided(rest, part)[0]
        rest = _minus(rest, _derivative(factor))
        multiplicity += 1
    return odd


def _roots_inside(polynomial: Coefficients, lower: Fraction, upper: Fraction) -> int:
    """The number of roots strictly between two points of a polynomial whose roots are simple (Sturm)."""
    chain = [polynomial, _derivative(polynomial)]
    while chain[-1]:
        chain.append([-c for c in _divided(chain[-2], chain[-1])[1]])
    changes = [_sign_changes([value_at(one, x) for one in chain]) for x in (lower, upper)]
    return changes[0] - changes[1] - (value_at(polynomial, upper) == 0)


def _sign_changes(values: Sequence[Fraction]) -> int:
    signs = [value > 0 for value in values if value]
    return sum(a != b for a, b in itertools.pairwise(signs))


def _gcd(first: Coefficients, second: Coefficients) -> Coefficients:
    """The greatest common divisor, with leading coefficient 1."""
    while second:
        first, second = second, _monic(_divided(first, second)[1])
    return _monic(first)


def _divided(dividend: Coefficients, divisor: Coefficients) -> tuple[Coefficients, Coefficients]:
    """Quotient and remainder."""
    rest, quotient = list(dividend), [Fraction(0)] * max(0, len(dividend) - len(divisor) + 1)
    for place in reversed(range(len(quotient))):
        factor = rest[place + len(divisor) - 1] / divisor[-1]
        quotient[place] = factor
        for k, coefficient in enumerate(divisor):
            rest[place + k] -= factor * coefficient
    return _trimmed(quotient), _trimmed(rest)


def _times(first: Coefficients, second: Coefficients) -> Coefficients:
    product = [Fraction(0)] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            product[i + j] += a * b
    return product


def _minus(first: Coefficients, second: Coefficients) -> Coefficients:
    pairs = itertools.zip_longest(first, second, fillvalue=Fraction(0))
    return _trimmed([a - b for a, b in pairs])


def _derivative(polynomial: Coefficients) -> Coefficients:
    return [k * coefficient for k, coefficient in enumerate(polynomial)][1:]


def _monic(polynomial: Coefficients) -> Coefficients:
    return [coefficient / polynomial[-1] for coefficient in polynomial]


def _trimmed(coefficients: Sequence[Fraction]) -> Coefficients:
    found = list(coefficients)
    while found and not found[-1]:
        found.pop()
    return found
