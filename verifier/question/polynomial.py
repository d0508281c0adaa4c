"""Polynomials with rational coefficients: the formula that a network is compared with, read from what a caller has.

A formula may come as a sympy expression, as a numpy Polynomial, or as a function that computes it with + - * / and
whole powers. Such a function is simply called with polynomials instead of numbers: x itself, as a polynomial, goes
in, and what comes out is the formula. Coefficients are read as they are stored, so a float is the rational it is.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verifier.errors import SpecError

MAX_DEGREE = 100  # beyond it a formula was hardly meant as a polynomial
WHAT_CAN_BE_USED = (
    "use a polynomial: a sympy expression of + - * and whole powers, a numpy Polynomial, or a function of such "
    "operations"
)

Exponents = tuple[int, ...]


@dataclass(frozen=True)
class Polynomial:
    """A polynomial in `variables` variables, with rational coefficients.

    Args:
        variables: Number of variables.
        terms: Coefficient of each monomial, by its exponents; those that are 0 are left out.

    Example:
        >>> x = Polynomial.variable(0, 1)
        >>> (2 * x**2 - 1)(Fraction(1, 2))
        Fraction(-1, 2)
    """

    variables: int
    terms: Mapping[Exponents, Fraction]

    @staticmethod
    def constant(value: Any, variables: int) -> Polynomial:
        """Read a number as a polynomial."""
        number = _rational(value)
        return Polynomial(variables, {(0,) * variables: number} if number else {})

    @staticmethod
    def variable(index: int, variables: int) -> Polynomial:
        """The variable number `index`."""
        return Polynomial(variables, {tuple(int(i == index) for i in range(variables)): Fraction(1)})

    @property
    def degree(self) -> int:
        """The largest sum of a monomial's exponents; 0 for a constant."""
        return max((sum(exponents) for exponents in self.terms), default=0)

    def __call__(self, *point: Fraction) -> Fraction:
        """Evaluate at rational numbers, one for each variable."""
        total = Fraction(0)
        for exponents, coefficient in self.terms.items():
            value = coefficient
            for base, exponent in zip(point, exponents, strict=True):
                value *= base**exponent
            total += value
        return total

    def derivative(self, index: int) -> Polynomial:
        """The derivative with respect to one variable."""
        found: dict[Exponents, Fraction] = {}
        for exponents, coefficient in self.terms.items():
            if exponents[index]:
                lower = tuple(e - (i == index) for i, e in enumerate(exponents))
                found[lower] = coefficient * exponents[index]
        return Polynomial(self.variables, found)

    def coefficients(self) -> list[Fraction]:
        """The coefficients of 1, x, x^2, ... of a polynomial in one variable."""
        return [self.terms.get((power,), Fraction(0)) for power in range(self.degree + 1)]

    def __add__(self, other: Any) -> Any:
        """Sum."""
        other = self._read(other)
        if other is NotImplemented:
            return NotImplemented
        found = dict(self.terms)
        for exponents, coefficient in other.terms.items():
            found[exponents] = found.get(exponents, Fraction(0)) + coefficient
        return Polynomial(self.variables, {e: c for e, c in found.items() if c})

    __radd__ = __add__

    def __neg__(self) -> Polynomial:
        """The negative."""
        return Polynomial(self.variables, {e: -c for e, c in self.terms.items()})

    def __pos__(self) -> Polynomial:
        """Itself."""
        return self

    def __sub__(self, other: Any) -> Any:
        """Difference."""
        other = self._read(other)
        return NotImplemented if other is NotImplemented else self + -other

    def __rsub__(self, other: Any) -> Any:
        """Difference, the other way round."""
        return -self + other

    def __mul__(self, other: Any) -> Any:
        """Product."""
        other = self._read(other)
        if other is NotImplemented:
            return NotImplemented
        if self.degree + other.degree > MAX_DEGREE:
            raise SpecError(f"reference: its degree is beyond {MAX_DEGREE}; {WHAT_CAN_BE_USED} of a lower degree")
        found: dict[Exponents, Fraction] = {}
        for e1, c1 in self.terms.items():
            for e2, c2 in other.terms.items():
                exponents = tuple(a + b for a, b in zip(e1, e2, strict=True))
                found[exponents] = found.get(exponents, Fraction(0)) + c1 * c2
        return Polynomial(self.variables, {e: c for e, c in found.items() if c})

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        """Quotient by a number."""
        other = self._read(other)
        if other is NotImplemented:
            return NotImplemented
        if other.degree or not other.terms:
            raise SpecError(f"reference: divides by a variable or by zero: not a polynomial; {WHAT_CAN_BE_USED}")
        return self * (1 / next(iter(other.terms.values())))

    def __rtruediv__(self, other: Any) -> Any:
        """Quotient of a number by it, which is a polynomial only where this one is a number."""
        return self._read(other) / self

    def __pow__(self, exponent: Any) -> Polynomial:
        """A whole power >= 0."""
        power = float(exponent)
        if not power.is_integer() or power < 0:
            raise SpecError(f"reference: takes the power {exponent} of a variable; {WHAT_CAN_BE_USED}")
        if self.degree * power > MAX_DEGREE:
            raise SpecError(f"reference: its degree is beyond {MAX_DEGREE}; {WHAT_CAN_BE_USED} of a lower degree")
        result: Polynomial = Polynomial.constant(1, self.variables)
        for _ in range(int(power)):
            result = result * self
        return result

    def __rpow__(self, base: Any) -> Polynomial:
        """A number to the power of a variable: not a polynomial."""
        raise SpecError(f"reference: a variable is an exponent ({base}**x): not a polynomial; {WHAT_CAN_BE_USED}")

    def __abs__(self) -> Polynomial:
        """Not a polynomial."""
        raise SpecError(f"reference: takes an absolute value, so it is not a polynomial; {WHAT_CAN_BE_USED}")

    def __bool__(self) -> bool:
        """Refuse to decide: a formula that branches on its variables is not a polynomial."""
        raise SpecError(f"reference: decides something by the value of a variable; {WHAT_CAN_BE_USED}")

    def _compare(self, other: Any) -> bool:
        return bool(self)

    __lt__ = __le__ = __gt__ = __ge__ = _compare

    def _read(self, other: Any) -> Any:
        if isinstance(other, Polynomial):
            return other
        try:
            return Polynomial.constant(other, self.variables)
        except SpecError:
            return NotImplemented


def _rational(value: Any) -> Fraction:
    """Read a finite number exactly."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, numbers.Rational):
        return Fraction(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return Fraction(float(value))
    raise SpecError(f"reference: {value!r} is not a finite real number; {WHAT_CAN_BE_USED}")


def read_polynomial(reference: Any, variables: int) -> Polynomial:
    """Read the formula that a network is compared with.

    Args:
        reference: A sympy expression or Poly in `variables` variables (taken in the order of their names), a numpy
            Polynomial (one variable), a Polynomial, or a function of `variables` numbers (or of one sequence of them)
            that uses + - * / by numbers and whole powers, such as sympy's lambdify makes.
        variables: Number of inputs of the network.

    Returns:
        The polynomial, its coefficients exactly those of the formula.

    Raises:
        SpecError: It is not a polynomial in that many variables; the message says what can be used.
    """
    if isinstance(reference, Polynomial):
        found = reference
    elif hasattr(reference, "free_symbols"):
        found = _from_sympy(reference, variables)
    elif hasattr(reference, "convert") and hasattr(reference, "coef"):
        found = _from_numpy(reference)
    elif callable(reference):
        found = _from_function(reference, variables)
    elif isinstance(reference, numbers.Real):
        found = Polynomial.constant(reference, variables)
    else:
        raise SpecError(f"reference: expected a formula, found {type(reference).__name__}; {WHAT_CAN_BE_USED}")
    if found.variables != variables:
        raise SpecError(
            f"reference: a polynomial in {found.variables} variable{'' if found.variables == 1 else 's'}, but the "
            f"network has {variables} input{'' if variables == 1 else 's'}"
        )
    return found


def _from_sympy(expression: Any, variables: int) -> Polynomial:
    sympy = sys.modules["sympy"]
    if isinstance(expression, sympy.Poly):
        symbols, expression = list(expression.gens), expression.as_expr()
    else:
        symbols = sorted(expression.free_symbols, key=lambda symbol: _natural(symbol.name))
    if len(symbols) > variables:
        names = ", ".join(str(symbol) for symbol in symbols)
        raise SpecError(
            f"reference: has the variables {names}, but the network has {variables} "
            f"input{'' if variables == 1 else 's'}; one variable for each input"
        )
    if 0 < len(symbols) < variables:
        names = ", ".join(str(symbol) for symbol in symbols)
        raise SpecError(
            f"reference: only {names} appear{'s' if len(symbols) == 1 else ''}, but the network has {variables} "
            "inputs, and nothing says which is which; pass sympy.Poly(expression, x0, x1, ...) with all of them"
        )
    if not symbols:
        return Polynomial.constant(_sympy_rational(sympy, expression), variables)
    try:
        poly = sympy.Poly(expression, *symbols)
    except sympy.PolynomialError as error:
        raise SpecError(f"reference: {expression} is not a polynomial; {WHAT_CAN_BE_USED}") from error
    if poly.total_degree() > MAX_DEGREE:
        raise SpecError(f"reference: its degree is beyond {MAX_DEGREE}; {WHAT_CAN_BE_USED} of a lower degree")
    terms = {tuple(int(e) for e in exponents): _sympy_rational(sympy, c) for exponents, c in poly.terms()}
    return Polynomial(len(symbols), {e: c for e, c in terms.items() if c})


def _natural(name: str) -> tuple[str, int]:
    """Order x2 before x10."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or -1)


def _sympy_rational(sympy: Any, number: Any) -> Fraction:
    if number.is_Rational:
        return Fraction(int(number.p), int(number.q))
    if number.is_Float:
        exact = sympy.Rational(number)
        return Fraction(int(exact.p), int(exact.q))
    raise SpecError(
        f"reference: the coefficient {number} is not a rational number; write it as one (sympy.Rational) or as a "
        "float, and account for the difference in the tolerance"
    )


def _from_numpy(reference: Any) -> Polynomial:
    """Read a numpy Polynomial, or another of numpy's series, whose window is mapped from its domain."""
    x = Polynomial.variable(0, 1)
    try:
        power = reference if type(reference).__name__ == "Polynomial" else None
        low, high = (Fraction(float(end)) for end in reference.domain)
        left, right = (Fraction(float(end)) for end in reference.window)
        coefficients = [_rational(c) for c in reference.coef]
    except (TypeError, AttributeError) as error:
        raise SpecError(f"reference: cannot be read as a numpy Polynomial ({error}); {WHAT_CAN_BE_USED}") from error
    if power is None:
        raise SpecError(
            f"reference: a numpy {type(reference).__name__} series; write reference.convert(kind=Polynomial), or give "
            "it as a sympy expression, whose coefficients are exact"
        )
    if high == low:
        raise SpecError("reference: the domain of the numpy Polynomial is empty")
    inner = (x - low) * ((right - left) / (high - low)) + left
    total = Polynomial.constant(0, 1)
    for coefficient in reversed(coefficients):
        total = total * inner + coefficient
    return total


def _from_function(function: Callable[..., Any], variables: int) -> Polynomial:
    """Call the function with the variables themselves; what comes out is its formula."""
    arguments = [Polynomial.variable(index, variables) for index in range(variables)]
    try:
        value = _called(function, arguments)
    except SpecError:
        raise
    except Exception as error:  # the caller's own function may raise anything
        raise SpecError(
            f"reference: the function cannot be called with a polynomial in place of a number "
            f"({type(error).__name__}: {error}); {WHAT_CAN_BE_USED}. Functions such as sin, exp or abs are not "
            "polynomials"
        ) from error
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if hasattr(value, "shape") and getattr(value, "size", 0) == 1:
        value = value.reshape(-1)[0]
    found = value if isinstance(value, Polynomial) else Polynomial.constant(value, variables)
    _check_function(function, found)
    return found


def _check_function(function: Callable[..., Any], found: Polynomial) -> None:
    """Compare the formula with the function at a few numbers, to notice one that treats numbers differently.

    Raises:
        SpecError: They differ by more than rounding.
    """
    for first in (0.375, -0.8125, 1.5):
        point = [Fraction(first) / (i + 1) for i in range(found.variables)]
        theirs = float(_called(function, [float(value) for value in point]))
        scale = sum(
            abs(c) * math.prod(abs(v) ** e for v, e in zip(point, exponents, strict=True))
            for exponents, c in found.terms.items()
        )
        if not abs(theirs - float(found(*point))) <= 1e-9 * (float(scale) + 1):
            raise SpecError(
                f"reference: at {[float(v) for v in point]} the function gives {theirs:g}, but its formula "
                f"{float(found(*point)):g}; does it treat numbers differently?"
            )


def _called(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Call with one argument for each variable, or with one sequence of them."""
    try:
        return function(*arguments)
    except TypeError:
        if len(arguments) == 1:
            raise
        return function(list(arguments))
