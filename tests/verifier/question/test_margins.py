"""Margins on the logits, head by head, against the heads computed in high precision."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.network import Head
from verifier.question.margins import compile_margins
from verifier.question.spec import OutputSpec, any_of, argmax_is, greater_than, less_than, linear, within


def outputs_in_decimals(logits: np.ndarray, head: Head) -> list[Decimal]:
    """The head in 60 digits, written from its definition."""
    with localcontext() as context:
        context.prec = 60
        z = [Decimal(float(value)) for value in logits]
        if head is Head.IDENTITY:
            return z
        if head is Head.SIGMOID:
            return [1 / (1 + (-value).exp()) for value in z]
        top = max(z)
        total = sum(((value - top).exp() for value in z), Decimal(0))
        if head is Head.SOFTMAX:
            return [(value - top).exp() / total for value in z]
        return [value - top - total.ln() for value in z]


def margins_in_decimals(spec: OutputSpec, logits: np.ndarray, head: Head) -> list[list[Decimal]]:
    """Every clause's margins c.y + d in 60 digits."""
    y = outputs_in_decimals(logits, head)
    with localcontext() as context:
        context.prec = 60
        return [
            [
                sum((Decimal(c) * value for c, value in zip(i.coefficients, y, strict=True)), Decimal(i.offset))
                for i in clause
            ]
            for clause in spec.clauses(len(logits))
        ]


SPECS = {
    "argmax": argmax_is(1),
    "limits": within([[0.2, 0.9], [None, 0.5], [-3.0, None]]),
    "below": less_than(0.5),
    "above one output": greater_than(0.3, output=2),
    "difference and offset": linear([1.0, -1.0, 0.0], 0.1),
    "sum of three": linear([1.0, -2.0, 0.5], 0.25, strict=True),
    "either": any_of(less_than(0.4, output=0), argmax_is(2)),
}


@pytest.mark.parametrize("head", list(Head))
@pytest.mark.parametrize("name", SPECS)
@given(logits=st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_margins_at_a_point_enclose_the_spec_s_own(name: str, head: Head, logits: list[float]) -> None:
    """The sign of every margin is that of c.y + d in 60 digits, where the enclosure decides it at all."""
    point, spec = np.array(logits), SPECS[name]
    margins = compile_margins(spec, 3, head)
    rows = (point @ margins.rows.T)[None]
    slack = 1e-13 * (1 + np.abs(rows))  # computing the rows in this test rounds
    lower, upper = margins.lower(rows - slack)[0], margins.upper(rows + slack)[0]
    for clause, exact in zip(margins.clauses, margins_in_decimals(spec, point, head), strict=True):
        for index, value in zip(clause, exact, strict=True):
            if lower[index] > 0:
                assert value > 0
            if upper[index] < 0:
                assert value < 0


@given(first=st.lists(st.floats(-5, 5), min_size=3, max_size=3), step=st.lists(st.floats(0, 3), min_size=8, max_size=8))
@pytest.mark.parametrize("head", list(Head))
@pytest.mark.parametrize("name", SPECS)
def test_margins_increase_with_every_row(name: str, head: Head, first: list[float], step: list[float]) -> None:
    """So a lower bound on every row gives a lower bound on every margin."""
    margins = compile_margins(SPECS[name], 3, head)
    rows = np.array(first) @ margins.rows.T
    higher = rows + np.array(step)[: len(rows)]
    assert (margins.lower(rows[None]) <= margins.upper(higher[None])).all()


def test_threshold_of_one_half_on_a_sigmoid_is_zero_on_the_logit_exactly() -> None:
    margins = compile_margins(less_than(0.5), 1, Head.SIGMOID)
    assert margins.margins[0].exact
    assert margins.margins[0].offset == 0.0


def test_threshold_on_a_sigmoid_encloses_the_logit() -> None:
    margin = compile_margins(greater_than(0.9), 1, Head.SIGMOID).margins[0]
    with localcontext() as context:
        context.prec = 60
        p = Decimal.from_float(0.9)
        logit = (p / (1 - p)).ln()
    assert abs(Decimal(-margin.offset) - logit) <= Decimal(margin.offset_error)
    assert margin.offset_error < 1e-14


def test_comparison_of_softmax_outputs_is_linear_in_the_logits() -> None:
    margins = compile_margins(argmax_is(0), 10, Head.SOFTMAX)
    assert margins.linear
    assert all(margin.exact for margin in margins.margins)


def test_limits_that_no_probability_can_break_hold_always() -> None:
    margins = compile_margins(within([[0.0, 1.0]] * 3), 3, Head.SOFTMAX)
    assert margins.settled(margins.lower(np.zeros((1, 0)))).all()
    assert all(margin.offset == math.inf for margin in margins.margins)


def test_limit_that_every_probability_breaks_never_holds() -> None:
    margins = compile_margins(greater_than(1.0), 1, Head.SIGMOID)
    assert margins.violated(margins.upper(np.zeros((1, len(margins.rows))))[0])


def test_one_softmax_output_is_always_one() -> None:
    holds, fails = (compile_margins(spec, 1, Head.SOFTMAX) for spec in (within([[1.0, 1.0]]), less_than(1.0)))
    assert holds.settled(holds.lower(np.zeros((1, 0)))).all()
    assert fails.violated(fails.upper(np.zeros((1, 0)))[0])


def test_same_inequality_twice_is_bounded_once() -> None:
    margins = compile_margins(any_of(less_than(0.4), less_than(0.4)), 1, Head.IDENTITY)
    assert len(margins.rows) == 1
