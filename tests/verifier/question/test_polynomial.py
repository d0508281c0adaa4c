"""A formula is read exactly, in whatever form it comes; what is not a polynomial is refused with what can be used."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Chebyshev
from numpy.polynomial import Polynomial as NumpyPolynomial

from verifier.errors import SpecError
from verifier.question.polynomial import Polynomial, read_polynomial

X, Y = sympy.symbols("x y")
T4 = sympy.chebyshevt(4, X)  # 8 x^4 - 8 x^2 + 1
FORMS = {
    "sympy": T4,
    "sympy poly": sympy.Poly(T4, X),
    "lambdify": sympy.lambdify(X, T4),
    "lambdify with numpy": sympy.lambdify(X, T4, "numpy"),
    "numpy": NumpyPolynomial([1, 0, -8, 0, 8]),
    "numpy with a domain": NumpyPolynomial([1, 0, -8 * 9, 0, 8 * 81], domain=[-3, 3], window=[-1, 1]),
    "function": lambda x: 1 - 8 * x**2 * (1 - x * x),
    "cosine of four times the angle, written out": lambda x: 2 * (2 * x**2 - 1) ** 2 - 1,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_a_formula_is_the_same_polynomial(form):
    read = read_polynomial(form, 1)
    assert read.coefficients() == [1, 0, -8, 0, 8]


def test_a_float_coefficient_is_the_rational_that_it_is():
    assert read_polynomial(lambda x: 0.1 * x, 1).coefficients()[1] == Fraction(0.1) != Fraction(1, 10)
    assert read_polynomial(X * sympy.Rational(1, 10), 1).coefficients()[1] == Fraction(1, 10)


def test_two_variables_come_in_the_order_of_their_names():
    read = read_polynomial(X**2 - 3 * Y, 2)
    assert read(Fraction(2), Fraction(5)) == 4 - 15
    assert read_polynomial(lambda v: v[0] ** 2 - 3 * v[1], 2) == read
    x2, x10 = sympy.symbols("x2 x10")
    assert read_polynomial(x10 - x2, 2)(Fraction(1), Fraction(5)) == 4  # x2 stands before x10


NOT_POLYNOMIALS = [
    (sympy.sin(X), 1, "sin(x) is not a polynomial"),
    (sympy.Abs(X), 1, "is not a polynomial"),
    (np.sin, 1, "Functions such as sin"),
    (abs, 1, "absolute value"),
    (lambda x: 1 / x, 1, "divides by a variable"),
    (lambda x: 2**x, 1, "a variable is an exponent"),
    (lambda x: x**0.5, 1, "power 0.5"),
    (lambda x: x if x > 0 else -x, 1, "decides something by the value"),
    (lambda x: (x**60) * (x**60), 1, "degree is beyond 100"),
    (X * Y, 1, "one variable for each input"),
    (X, 2, "nothing says which is which"),
    (sympy.sqrt(2) * X, 1, "not a rational number"),
    (Chebyshev([0, 1]), 1, "convert(kind=Polynomial)"),
    (lambda x: float("nan"), 1, "not a finite real number"),
    (lambda x: x if isinstance(x, Polynomial) else 2 * x, 1, "treat numbers differently"),
    ("x**2", 1, "expected a formula, found str"),
    (Polynomial.variable(0, 2), 1, "a polynomial in 2 variables, but the network has 1 input"),
]


@pytest.mark.parametrize(("reference", "inputs", "message"), NOT_POLYNOMIALS)
def test_what_is_not_a_polynomial_is_refused_with_what_can_be_used(reference, inputs, message):
    with pytest.raises(SpecError, match="reference") as error:
        read_polynomial(reference, inputs)
    assert message in str(error.value)


small = st.fractions(min_value=-3, max_value=3, max_denominator=8)


@given(st.lists(small, min_size=1, max_size=4), st.lists(small, min_size=1, max_size=4), small)
def test_sums_products_and_derivatives_agree_with_numbers(left, right, at):
    x = Polynomial.variable(0, 1)
    p = sum((c * x**k for k, c in enumerate(left)), Polynomial.constant(0, 1))
    q = sum((c * x**k for k, c in enumerate(right)), Polynomial.constant(0, 1))
    value, other = (sum(c * at**k for k, c in enumerate(one)) for one in (left, right))
    assert (p + q)(at) == value + other
    assert (p - q)(at) == value - other
    assert (p * q)(at) == value * other
    assert (p * q).derivative(0)(at) == p.derivative(0)(at) * other + value * q.derivative(0)(at)
