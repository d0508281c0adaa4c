"""A network, a polynomial and a box: what verify_function() and max_error() ask about, and how a point is judged."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from verifier.answer.verdict import Counterexample, Question, Rejection, check_counterexample, into_box
from verifier.enclosure import Array
from verifier.errors import NetworkError, SpecError
from verifier.exact.bernstein import bernstein
from verifier.frontends.read import read_subject
from verifier.network import Head
from verifier.question.numbers import as_finite, shown
from verifier.question.polynomial import Polynomial, read_polynomial
from verifier.question.spec import AllOf, Box, within
from verifier.subject import Subject

MANY_COEFFICIENTS = 20_000  # of a Bernstein form, beyond which one box takes seconds


@dataclass(frozen=True, eq=False)
class FunctionQuestion:
    """What is compared, and where.

    Args:
        subject: The network, with one output and no head.
        polynomial: In as many variables as the network has inputs.
        box: As the caller wrote it.
        plain: The question of the box alone, whose spec always holds: it knows the hull and the caller's values.
    """

    subject: Subject
    polynomial: Polynomial
    box: Box
    plain: Question

    @staticmethod
    def read(net: Any, reference: Any, x_specs: Any, input_shape: tuple[int, ...] | None) -> FunctionQuestion:
        """Read what the caller has.

        Raises:
            NetworkError: The network cannot be read, has several outputs, or ends with a head.
            SpecError: The reference is not a polynomial in the network's inputs, or the box does not fit.
        """
        box = Box.from_pairs(x_specs)
        subject = read_subject(net, input_shape, box.lower.size, (box.lower, box.upper))
        network = subject.network
        if network.outputs != 1:
            raise NetworkError(f"net: has {network.outputs} outputs; a function is compared with a network of one")
        if network.head is not Head.IDENTITY:
            raise NetworkError(
                f"net: ends with {network.head.value}; a function is compared with a network whose last layer is "
                "linear, so leave its last layer out, or ask verify() about limits on its output"
            )
        box = Box.from_pairs(box, network.inputs)
        polynomial = read_polynomial(reference, network.inputs)
        degrees = [max((e[i] for e in polynomial.terms), default=0) for i in range(network.inputs)]
        if math.prod(degree + 1 for degree in degrees) > MANY_COEFFICIENTS:
            raise SpecError(
                f"reference: degrees {degrees} in {network.inputs} variables are too many to bound it; use a "
                "polynomial of lower degree or of fewer variables"
            )
        return FunctionQuestion(subject, polynomial, box, Question.ask(subject, box, AllOf(())))

    def nearest(self, point: Array) -> Array:
        """The caller's value inside the caller's box that is nearest to a point, (inputs,)."""
        return into_box(self.plain, point)

    def error_at(self, x: Array) -> Fraction:
        """|net(x) - p(x)| exactly, for a network whose weights are exact."""
        return abs(self.subject.network.exact_logits(x)[0] - self.polynomial(*(Fraction(float(v)) for v in x)))

    def polynomial_range(self, box: Box, slope: Array | None = None) -> tuple[Fraction, Fraction]:
        """Enclose p(x) - slope . x on a box, exactly, by its Bernstein coefficients.

        Args:
            box: Where.
            slope: One coefficient for each input; None for zeros.
        """
        rest = self.polynomial
        for i, value in enumerate([] if slope is None else slope):
            rest = rest - Fraction(float(value)) * Polynomial.variable(i, rest.variables)
        sides = ([Fraction(float(v)) for v in side] for side in (box.lower, box.upper))
        found = bernstein(rest, *sides).reshape(-1)
        return min(found), max(found)

    def replay(self, x: Array, tolerance: Fraction) -> Counterexample | Rejection:
        """Ask the one replay whether x violates |net(x) - p(x)| <= tolerance.

        At one x the polynomial is a number, so the spec is a pair of limits. They are rounded outward: who violates
        them violates the spec.
        """
        value = self.polynomial(*(Fraction(float(v)) for v in x))
        limits = [[round_down(value - tolerance), round_up(value + tolerance)]]
        return check_counterexample(Question.ask(self.subject, self.box, within(limits)), x)


def read_tolerance(tolerance: Any) -> Fraction:
    """A tolerance as the rational that it is.

    Raises:
        SpecError: It is not a finite number > 0.
    """
    exact = tolerance if isinstance(tolerance, numbers.Rational) and not isinstance(tolerance, bool) else None
    found = Fraction(as_finite(tolerance, "tolerance")) if exact is None else Fraction(exact)
    if found <= 0:
        raise SpecError(f"tolerance: found {shown(tolerance)}, expected a number > 0 in the unit of the output")
    return found


def round_down(value: Fraction) -> float:
    """The largest float64 that is not above a rational."""
    try:
        near = float(value)
    except OverflowError:
        return -math.inf if value < 0 else float(np.finfo(np.float64).max)
    return near if near <= value else math.nextafter(near, -math.inf)


def round_up(value: Fraction) -> float:
    """The smallest float64 that is not below a rational."""
    return -round_down(-value)
