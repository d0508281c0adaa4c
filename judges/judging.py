"""Hold a verify() result against the exact answer of the enumeration; used by the tests and by the benchmark."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from judges.enumeration import Answer, ExactNetwork, exact_range, holds_at
from judges.random_problems import ROUNDING, Problem, exact_spec

COMPLETE = ("auto", "split", "z3", "milp")  # methods that must settle whatever is not below rounding


@dataclass(frozen=True)
class Judgement:
    """What is to be said of one result.

    Attributes:
        wrong: Faults, in words: a wrong verdict, a false counterexample, bounds that miss the exact range.
        unknown_with_room: A complete method gave up although the worst margin is above rounding.
        below_rounding: The worst margin is so small that UNKNOWN is accepted.
    """

    wrong: tuple[str, ...]
    unknown_with_room: bool
    below_rounding: bool


def judge(
    problem: Problem, answer: Answer, net: nn.Module, result: Any, counterexamples: list[Any], method: str = "auto"
) -> Judgement:
    """Compare a verdict, its counterexamples and its output bounds with what is true.

    Args:
        problem: The question.
        answer: Its exact answer.
        net: The torch module that verify() was given.
        result: What verify() returned.
        counterexamples: The list that verify() filled.
        method: The method asked for; only complete ones are blamed for an UNKNOWN.
    """
    wrong = []
    verdict = result.verdict.value
    if verdict == "verified" and not answer.holds:
        wrong.append(f"VERIFIED, but violated at {[float(v) for v in answer.violation or ()]}")
    if verdict == "falsified" and answer.holds:
        wrong.append(f"FALSIFIED, but it holds with worst margin {float(answer.worst_margin):.3g}")
    if verdict == "falsified" and not (counterexamples and result.counterexample is not None):
        wrong.append("FALSIFIED without a counterexample")
    if verdict == "verified" and counterexamples:
        wrong.append("VERIFIED with counterexamples")
    shown = [] if result.counterexample is None else [result.counterexample]
    for x in [*counterexamples, *shown]:
        wrong += check_replay(problem, net, x)
    wrong += check_bounds(problem, result.output_bounds.lower, result.output_bounds.upper)
    below = abs(answer.worst_margin) <= Fraction(ROUNDING[problem.dtype]) * Fraction(problem.scale())
    gave_up = verdict == "unknown" and method in COMPLETE and not below
    return Judgement(tuple(wrong), gave_up, below)


def check_replay(problem: Problem, net: nn.Module, x: Any) -> list[str]:
    """What is wrong with a counterexample: type, dtype, box, the module's own outputs, or the exact outputs."""
    if not isinstance(x, torch.Tensor) or x.dtype != getattr(torch, problem.dtype):
        return [f"counterexample is {type(x).__name__} of {getattr(x, 'dtype', None)}, not of {problem.dtype}"]
    found = []
    point = [Fraction(v) for v in x.double().reshape(-1).tolist()]
    lower, upper = problem.hull()
    if len(point) != len(lower) or not all(low <= v <= high for low, v, high in zip(lower, point, upper, strict=True)):
        found.append(f"counterexample {[float(v) for v in point]} is outside the box")
    spec = exact_spec(problem.form, problem.outputs)
    if holds_at(spec, ExactNetwork(problem.layers).outputs_at(point), point):
        found.append(f"counterexample {[float(v) for v in point]} does not violate the spec in exact arithmetic")
    with torch.no_grad():
        y = net(x).double().reshape(-1).tolist()
    if problem.sigmoid:
        spec = exact_spec((problem.form[0], 0.5, problem.form[2]), problem.outputs)
    if holds_at(spec, [Fraction(v) for v in y], point):
        found.append(f"counterexample {[float(v) for v in point]} does not violate the spec when fed to the module")
    return found


def check_bounds(problem: Problem, lower: np.ndarray, upper: np.ndarray) -> list[str]:
    """What is wrong with bounds on the outputs: they must contain the exact range, with nothing allowed for rounding.

    Behind a sigmoid the exact range is not rational, so its ends are compared in float64 with an allowance.
    """
    least, greatest = exact_range(problem.layers, *problem.hull())
    found = []
    for j, (low, high) in enumerate(zip(least, greatest, strict=True)):
        if problem.sigmoid:
            low, high = (Fraction(0.5 + 0.5 * float(np.tanh(0.5 * float(value)))) for value in (low, high))
            low, high = low + Fraction(1e-15), high - Fraction(1e-15)  # float64 tanh, a few ulps of 1
        if np.isnan(lower[j]) or lower[j] == np.inf or (np.isfinite(lower[j]) and Fraction(float(lower[j])) > low):
            found.append(f"output {j}: lower bound {lower[j]:.17g}, but the exact least value is {float(low):.17g}")
        if np.isnan(upper[j]) or upper[j] == -np.inf or (np.isfinite(upper[j]) and Fraction(float(upper[j])) < high):
            found.append(f"output {j}: upper bound {upper[j]:.17g}, but the exact greatest value is {float(high):.17g}")
    return found
