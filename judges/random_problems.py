"""Random small questions for verify(), drawn so that ties, dead neurons and margins near zero are common.

A question is plain data: arrays, floats, and a spec as nested tuples, from which both sides build their own: the
verifier its OutputSpec, the enumeration its exact Spec. Thresholds are placed at the exact optimum of the spec's margin
over the box, or a chosen distance to either side, so that about half of the specs hold and many are close.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from judges.enumeration import Answer, Atom, Every, Some, Spec, atom, exact_answer

Form = tuple[
    Any, ...
]  # e.g. ("less_than", 0.5, 0), ("linear", [1.0, -1.0], 0.25, True[, inputs]), ("any_of", [form, form])
Layers = list[tuple[np.ndarray, np.ndarray]]

# Distances of the threshold from the exact optimum, in units of the network's scale: none, below rounding, above it.
DISTANCES = (0.0, 0.0, 1e-9, 3e-6, 3e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)

# An UNKNOWN is accepted where |worst margin| <= ROUNDING * scale. One float32 operation is off by at most 6e-8 of its
# result, and a network of this size does about fifteen one after the other; for float64 the same with 1.1e-16, and
# room for the widening of bounds.
ROUNDING = {"float32": 1e-6, "float64": 1e-13}


@dataclass(frozen=True)
class Problem:
    """One question about a small network.

    Attributes:
        seed: The pair of numbers that it is drawn from.
        layers: (weight, bias) pairs, weight of shape (out, in); ReLU stands between them.
        dtype: "float32" or "float64", of the arrays and of the torch module.
        lower: Lower limits of the box, one an input, as the caller writes them.
        upper: Upper limits.
        form: The spec on the outputs as plain data; on the logits where there is a sigmoid.
        sigmoid: The torch module ends in a Sigmoid and the caller's spec is a threshold of 0.5 on its output.
    """

    seed: tuple[int, int]
    layers: Layers
    dtype: str
    lower: list[float]
    upper: list[float]
    form: Form
    sigmoid: bool = False

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.layers[-1][1])

    def hull(self) -> tuple[list[float], list[float]]:
        """The box that is verified: the hull of the caller's and of its rounding to the network's dtype."""
        kind = np.dtype(self.dtype).type
        lower = [min(value, float(kind(value))) for value in self.lower]
        return lower, [max(value, float(kind(value))) for value in self.upper]

    def scale(self) -> float:
        """The size of what is added up for a margin: |C| (|W_k| (... |W_1| |x| + |b_1| ...) + |b_k|) + |d|."""
        size = reach = np.maximum(np.abs(self.lower), np.abs(self.upper))
        for weight, bias in self.layers:
            size = np.abs(weight.astype(np.float64)) @ size + np.abs(bias.astype(np.float64))
        largest = max(
            float(np.abs([float(c) for c in one.coefficients]) @ size)
            + abs(float(one.offset))
            + (float(np.abs([float(a) for a in one.inputs]) @ reach) if one.inputs else 0.0)
            for one in atoms(exact_spec(self.form, self.outputs))
        )
        return max(largest, 1.0 if self.sigmoid else 1e-30)  # a network of zeros has no size of its own

    def answer(self) -> Answer:
        """The exact answer by enumeration."""
        return exact_answer(self.layers, *self.hull(), exact_spec(self.form, self.outputs))

    def module(self) -> Any:
        """The network as a torch nn.Sequential of the problem's dtype."""
        import torch
        from torch import nn

        dtype = getattr(torch, self.dtype)
        parts: list[nn.Module] = []
        for weight, bias in self.layers:
            layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=dtype)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(bias))
            parts += [layer, nn.ReLU()]
        parts[-1:] = [nn.Sigmoid()] if self.sigmoid else []
        return nn.Sequential(*parts)

    def x_specs(self) -> list[list[float]]:
        """The box as the caller passes it: one [lower, upper] pair an input."""
        return [[low, high] for low, high in zip(self.lower, self.upper, strict=True)]

    def y_specs(self) -> Any:
        """The spec as the caller passes it, built with the verifier's own words."""
        form = self.form
        if self.sigmoid:
            form = (form[0], 0.5, form[2])
        return caller_spec(form)


def atoms(spec: Spec) -> list[Atom]:
    """All linear inequalities of a spec."""
    return [spec] if isinstance(spec, Atom) else [one for part in spec.parts for one in atoms(part)]


def exact_spec(form: Form, outputs: int) -> Spec:
    """The spec as the enumeration reads it: intervals closed, less_than, greater_than and argmax_is strict."""

    def unit(output: int, sign: float) -> list[float]:
        return [sign * (j == output) for j in range(outputs)]

    kind, *rest = form
    if kind == "within":
        limits: list[Spec] = []
        for j, (low, high) in enumerate(rest[0]):
            if low is not None and np.isfinite(low):
                limits.append(atom(unit(j, 1.0), -low))
            if high is not None and np.isfinite(high):
                limits.append(atom(unit(j, -1.0), high))
        return Every(tuple(limits))
    if kind in ("less_than", "greater_than"):
        sign = 1.0 if kind == "greater_than" else -1.0
        named = range(outputs) if rest[1] is None else [rest[1]]
        return Every(tuple(atom(unit(j, sign), -sign * rest[0], strict=True) for j in named))
    if kind == "argmax_is":
        others = [j for j in range(outputs) if j != rest[0]]
        return Every(
            tuple(atom([float(i == rest[0]) - float(i == j) for i in range(outputs)], strict=True) for j in others)
        )
    if kind == "linear":
        return atom(rest[0], rest[1], strict=rest[2], inputs=rest[3] if len(rest) > 3 else ())
    parts = tuple(exact_spec(part, outputs) for part in rest[0])
    return Every(parts) if kind == "all_of" else Some(parts)


def caller_spec(form: Form) -> Any:
    """The spec as a caller of verify() writes it; "within" stays a list of pairs."""
    import verifier

    kind, *rest = form
    if kind == "within":
        return rest[0]
    if kind in ("any_of", "all_of"):
        parts = [verifier.within(part[1]) if part[0] == "within" else caller_spec(part) for part in rest[0]]
        return getattr(verifier, kind)(*parts)
    if kind == "linear":
        return verifier.linear(rest[0], rest[1], strict=rest[2], x=rest[3] if len(rest) > 3 else None)
    if kind == "argmax_is":
        return verifier.argmax_is(rest[0])
    return getattr(verifier, kind)(rest[0], output=rest[1])


def shift(form: Form, by: float) -> Form:
    """The same form with `by` added to every margin; argmax_is has no threshold and stays as it is."""
    kind, *rest = form
    if kind == "within":
        pairs = [[None if low is None else low - by, None if high is None else high + by] for low, high in rest[0]]
        return (kind, pairs)
    if kind == "less_than":
        return (kind, rest[0] + by, rest[1])
    if kind == "greater_than":
        return (kind, rest[0] - by, rest[1])
    if kind == "linear":
        return (kind, rest[0], rest[1] + by, *rest[2:])
    if kind in ("any_of", "all_of"):
        return (kind, [shift(part, by) for part in rest[0]])
    return form


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def _small_integers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-2, 3, size=shape).astype(float)


def _halves(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-4, 5, size=shape) / 2.0


def _sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape) * (rng.random(shape) < 0.5)


def _mixed_scales(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 2, size=shape)


WEIGHTS: tuple[Callable[[np.random.Generator, tuple[int, ...]], np.ndarray], ...] = (
    _normal,
    _small_integers,
    _halves,
    _sparse,
    _mixed_scales,
)


def _layers(rng: np.random.Generator, sizes: list[int], dtype: str) -> Layers:
    draw = WEIGHTS[rng.integers(len(WEIGHTS))]
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        weight, bias = draw(rng, (fan_out, fan_in)), draw(rng, (fan_out,))
        if rng.random() < 0.1:
            bias[rng.integers(fan_out)] = -20.0  # most often a dead neuron
        if rng.random() < 0.1:
            weight[rng.integers(fan_out)] = 0.0  # a constant neuron
        if rng.random() < 0.1 and fan_out > 1:
            weight[1], bias[1] = weight[0], bias[0]  # two neurons that tie everywhere
        layers.append((weight.astype(dtype), bias.astype(dtype)))
    return layers


def _box(rng: np.random.Generator, inputs: int) -> tuple[list[float], list[float]]:
    kind = rng.integers(5)
    if kind == 0:  # corners on a grid of halves, where integer networks have exact ties
        corners = np.sort(rng.integers(-4, 5, size=(2, inputs)) / 2.0, axis=0)
    else:
        centre = rng.uniform(-1, 1, size=inputs)
        radius = rng.uniform(0, 1, size=inputs) * (1.0, 1.0, 10.0, 1e-4)[kind - 1]
        corners = np.stack([centre - radius, centre + radius])
    if kind == 1:  # as people write them, e.g. 0.7, which no binary float equals
        corners = np.round(corners, 1)
    if rng.random() < 0.15:
        axis = rng.integers(inputs)
        corners[1, axis] = corners[0, axis]  # a side of zero width
    return corners[0].tolist(), corners[1].tolist()


def _output_or_none(rng: np.random.Generator, outputs: int) -> int | None:
    return int(rng.integers(outputs)) if rng.random() < 0.7 else None  # None: every output


def _form(rng: np.random.Generator, outputs: int, depth: int = 0) -> Form:
    kinds = ["within", "less_than", "greater_than", "linear"] + ["argmax_is"] * (outputs > 1)
    if depth < 2:
        kinds += ["any_of", "all_of"]
    kind = kinds[rng.integers(len(kinds))]
    if kind == "within":
        pairs: list[list[float | None]] = [[None, None] for _ in range(outputs)]
        one = int(rng.integers(outputs))
        pairs[one] = [0.0, None] if rng.random() < 0.5 else [None, 0.0]
        return (kind, pairs)
    if kind in ("less_than", "greater_than"):
        return (kind, 0.0, _output_or_none(rng, outputs))
    if kind == "argmax_is":
        return (kind, int(rng.integers(outputs)))
    if kind == "linear":
        draw = WEIGHTS[rng.integers(3)]
        return (kind, draw(rng, (outputs,)).tolist(), 0.0, bool(rng.random() < 0.5))
    return (kind, [_form(rng, outputs, depth + 1) for _ in range(rng.integers(2, 4))])


def random_problem(seed: int, index: int) -> Problem:
    """Draw one question: 1 to 3 inputs, 1 or 2 hidden layers of at most 8 ReLUs in all, 1 to 3 outputs."""
    rng = np.random.default_rng([seed, index])
    inputs, outputs = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    first = int(rng.integers(1, 9))
    hidden = [first] if first == 8 or rng.random() < 0.5 else [first, int(rng.integers(1, 9 - first))]
    dtype = "float32" if rng.random() < 0.6 else "float64"
    layers = _layers(rng, [inputs, *hidden, outputs], dtype)
    lower, upper = _box(rng, inputs)
    sigmoid = bool(rng.random() < 0.08)
    form = _form(rng, outputs)
    if sigmoid:
        form = ("less_than" if rng.random() < 0.5 else "greater_than", 0.0, _output_or_none(rng, outputs))
    problem = Problem((seed, index), layers, dtype, lower, upper, form, sigmoid)
    return _place(rng, problem)


def random_relation(seed: int, index: int) -> Problem:
    """Draw one question whose spec compares outputs with the input: the same networks and boxes, another spec."""
    rng = np.random.default_rng([seed, index, 1])
    problem = replace(random_problem(seed, index), sigmoid=False)
    inputs, outputs = len(problem.lower), problem.outputs

    def relation() -> Form:
        draw = WEIGHTS[rng.integers(3)]
        y, x = draw(rng, (outputs,)), draw(rng, (inputs,))
        if rng.random() < 0.1:
            y = y * 0.0  # it speaks of the input only
        return ("linear", y.tolist(), 0.0, bool(rng.random() < 0.5), x.tolist())

    first = relation()
    kind = rng.integers(5)
    if kind == 0:
        form: Form = first
    elif kind == 1:  # |c . y + a . x| <= width: one function of the input and its negative
        other = ("linear", [-c for c in first[1]], 0.0, first[3], [-a for a in first[4]])
        form = ("all_of", [first, other])
    elif kind == 2:
        form = ("any_of", [first, relation()])
    elif kind == 3:
        form = ("any_of", [first, _form(rng, outputs, 2)])
    else:
        form = ("all_of", [("any_of", [first, relation()]), _form(rng, outputs, 2)])
    return _place(rng, replace(problem, seed=(seed, index), form=form))


def _place(rng: np.random.Generator, problem: Problem) -> Problem:
    """Move the thresholds, or the last bias where there are none to move, so that the worst margin is a chosen one."""
    worst = problem.answer().worst_margin
    distance = float(rng.choice(DISTANCES)) * problem.scale() * float(rng.choice([-1.0, 1.0]))
    by = float(Fraction(distance) - worst)
    if problem.sigmoid or problem.form[0] == "argmax_is":
        output = problem.form[1] if problem.form[0] == "argmax_is" else (problem.form[2] or 0)
        weight, bias = problem.layers[-1]
        bias = bias.copy()
        bias[output] += -by if problem.form[0] == "less_than" else by
        return replace(problem, layers=[*problem.layers[:-1], (weight, bias)])
    placed = shift(problem.form, by)
    if placed[0] == "within" and rng.random() < 0.5:
        placed = (placed[0], [_other_side(pair) for pair in placed[1]])
    return replace(problem, form=placed)


def _other_side(pair: list[float | None]) -> list[float | None]:
    """Give an interval with one limit a far one on its other side, or an infinite one."""
    low, high = pair
    if low is None and high is None:
        return [-float("inf"), float("inf")]
    if low is None and high is not None:
        return [high - 1e6, high]
    assert low is not None
    return [low, low + 1e6]
