"""An exact answer for small ReLU networks: every activation pattern, in integers.

A network of affine layers with ReLU between them is affine on each cell of the input box in which no pre-activation
changes its sign. So the box is cut, neuron by neuron, along the hyperplanes z = 0; on each cell that is left the
outputs are affine, and an affine function on a polytope takes its extremes at vertices. Nothing is rounded: weights,
box and thresholds are floats, hence rationals with a power of two below, and a vertex is a vector of integers
(x_1, ..., x_n, w) that stands for the point x / w with w > 0. There is no tolerance anywhere, so strict and closed
inequalities are told apart.

This file shares nothing with the verifier: it reads plain arrays and uses neither its bounds nor its search. It is
quick enough for about 3 inputs and a dozen neurons, and for those only.

    x2 ^  z = x1 - x2 = 0                 the box [0, 1]^2 cut by one neuron:
     1 +-------/                          cell A (z <= 0): vertices (0,0), (1,1), (0,1)
       | A   / |                          cell B (z >= 0): vertices (0,0), (1,0), (1,1)
       |   /   |
       | /  B  |
     0 +-------+--> x1
       0       1

Source:
    Fukuda, Prodon. Double description method revisited. 1996 (the adjacency test of two vertices).
    Katz, Barrett, Dill, Julian, Kochenderfer. Reluplex. CAV 2017 (the activation patterns as case splits).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Atom:
    """One linear inequality: margin = coefficients . y + inputs . x + offset; holds when margin >= 0 (> 0 if strict).

    `inputs` is empty where the inequality says nothing of the input x.
    """

    coefficients: tuple[Fraction, ...]
    offset: Fraction
    strict: bool = False
    inputs: tuple[Fraction, ...] = ()


@dataclass(frozen=True)
class Every:
    """A spec that holds when every part of it holds."""

    parts: tuple["Spec", ...]


@dataclass(frozen=True)
class Some:
    """A spec that holds when at least one part of it holds."""

    parts: tuple["Spec", ...]


Spec = Atom | Every | Some


def atom(
    coefficients: Sequence[float], offset: float = 0.0, *, strict: bool = False, inputs: Sequence[float] = ()
) -> Atom:
    """Read floats exactly into an Atom over the outputs and the inputs."""
    return Atom(tuple(Fraction(c) for c in coefficients), Fraction(offset), strict, tuple(Fraction(a) for a in inputs))


@dataclass(frozen=True)
class Answer:
    """What is true of one question.

    Attributes:
        holds: No real x of the box violates the spec.
        worst_margin: The least margin over the box, exactly. Where atoms are joined, the margin of "every" is the
            least of its parts and of "some" the greatest.
        violation: A real point of the box, as rationals, that violates the spec; None where it holds.
        cells: Number of cells that the box was cut into.
    """

    holds: bool
    worst_margin: Fraction
    violation: tuple[Fraction, ...] | None
    cells: int


Vertex = tuple[int, ...]  # x_1, ..., x_n, w with w > 0; the point is x / w


@dataclass(frozen=True)
class Polytope:
    """A bounded convex set by its vertices, each with the set of constraints that are tight there (bits of an int)."""

    vertices: tuple[Vertex, ...]
    tight: tuple[int, ...]

    def cut(self, values: Sequence[int], bit: int) -> "Polytope":
        """The part where an affine form is >= 0; `values` are the form at the vertices, `bit` names the new constraint.

        A new vertex lies on each edge whose ends have values of opposite sign. Two vertices share an edge exactly when
        no third vertex is tight wherever both are.
        """
        vertices, tight = [], []
        for vertex, mask, value in zip(self.vertices, self.tight, values, strict=True):
            if value >= 0:
                vertices.append(vertex)
                tight.append(mask if value else mask | bit)
        above = [i for i, value in enumerate(values) if value > 0]
        below = [i for i, value in enumerate(values) if value < 0]
        for i in above:
            for j in below:
                common = self.tight[i] & self.tight[j]
                if any(k not in (i, j) and common & ~mask == 0 for k, mask in enumerate(self.tight)):
                    continue
                p, q = values[i], -values[j]
                point = [q * a + p * b for a, b in zip(self.vertices[i], self.vertices[j], strict=True)]
                divisor = gcd(*point)
                vertices.append(tuple(c // divisor for c in point))
                tight.append(common | bit)
        return Polytope(tuple(vertices), tuple(tight))


def box_polytope(lower: Sequence[Fraction], upper: Sequence[Fraction]) -> Polytope:
    """The closed box as a polytope; a side of zero width gives one vertex instead of two."""
    w = lcm(*(value.denominator for value in (*lower, *upper)))
    vertices: list[tuple[int, ...]] = [()]
    tight = [0]
    for axis, (low, high) in enumerate(zip(lower, upper, strict=True)):
        low_bit, high_bit = 1 << (2 * axis), 2 << (2 * axis)
        ends = [(low, low_bit), (high, high_bit)] if low < high else [(low, low_bit | high_bit)]
        tight = [mask | bit for mask in tight for _, bit in ends]
        vertices = [(*vertex, int(end * w)) for vertex in vertices for end, _ in ends]
    return Polytope(tuple((*vertex, w) for vertex in vertices), tuple(tight))


def evaluate(form: Sequence[int], polytope: Polytope) -> list[int]:
    """The affine form, in homogeneous integers, at each vertex; only the sign of a value means something by itself."""
    return [sum(a * b for a, b in zip(form, vertex, strict=True)) for vertex in polytope.vertices]


class ExactNetwork:
    """Affine layers with ReLU after each but the last, as integers over a power of two.

    Args:
        layers: (weight, bias) pairs, weight of shape (out, in) and bias of shape (out,), of float32 or float64; each
            value is read exactly.
    """

    def __init__(self, layers: Iterable[tuple[ArrayLike, ArrayLike]]) -> None:
        """Read every weight and bias exactly."""
        self.layers: list[tuple[list[list[int]], list[int], int]] = []
        for weight, bias in layers:
            rows = [[Fraction(float(v)) for v in row] for row in np.asarray(weight)]
            offsets = [Fraction(float(v)) for v in np.asarray(bias)]
            scale = lcm(*(v.denominator for row in rows for v in row), *(v.denominator for v in offsets))
            integers = [[int(v * scale) for v in row] for row in rows]
            self.layers.append((integers, [int(v * scale) for v in offsets], scale))
        self.inputs = len(self.layers[0][0][0])

    def outputs_at(self, x: Sequence[Fraction]) -> list[Fraction]:
        """The outputs at one point, exactly."""
        h = list(x)
        for index, (rows, offsets, scale) in enumerate(self.layers):
            z = [
                sum((a * b for a, b in zip(row, h, strict=True)), Fraction(offset)) / scale
                for row, offset in zip(rows, offsets, strict=True)
            ]
            h = z if index == len(self.layers) - 1 else [max(value, Fraction(0)) for value in z]
        return h

    def cells(
        self, lower: Sequence[Fraction], upper: Sequence[Fraction]
    ) -> Iterator[tuple[Polytope, list[list[int]], int, int]]:
        """Cut the box into cells on which the network is affine.

        Yields:
            The cell, the outputs as affine forms of shape (outputs, inputs + 1) in integers, their common scale (an
            output at a vertex is form . vertex / (scale * w)), and the next free constraint bit.
        """
        identity = [[int(i == j) for j in range(self.inputs + 1)] for i in range(self.inputs)]
        yield from self._cells_from(0, box_polytope(lower, upper), identity, 1, 1 << (2 * self.inputs))

    def _cells_from(
        self, index: int, cell: Polytope, h: list[list[int]], h_scale: int, bit: int
    ) -> Iterator[tuple[Polytope, list[list[int]], int, int]]:
        rows, offsets, scale = self.layers[index]
        z = []
        for row, offset in zip(rows, offsets, strict=True):
            form = [sum(a * part[k] for a, part in zip(row, h, strict=True)) for k in range(self.inputs + 1)]
            form[-1] += offset * h_scale
            z.append(form)
        if index == len(self.layers) - 1:
            yield cell, z, scale * h_scale, bit
            return
        zero = [0] * (self.inputs + 1)
        parts: list[tuple[Polytope, list[list[int]]]] = [(cell, [])]
        for form in z:
            finer = []
            for part, active in parts:
                values = evaluate(form, part)
                if max(values) <= 0:
                    finer.append((part, [*active, zero]))
                elif min(values) >= 0:
                    finer.append((part, [*active, form]))
                else:
                    finer.append((part.cut(values, bit), [*active, form]))
                    finer.append((part.cut([-v for v in values], bit), [*active, zero]))
            parts = finer
            bit <<= 1
        for part, active in parts:
            yield from self._cells_from(index + 1, part, active, scale * h_scale, bit)


def clauses(spec: Spec) -> list[tuple[Atom, ...]]:
    """The spec as clauses that must all hold, each a tuple of atoms of which one must hold."""
    if isinstance(spec, Atom):
        return [(spec,)]
    if isinstance(spec, Every):
        return [clause for part in spec.parts for clause in clauses(part)]
    joined: list[tuple[Atom, ...]] = [()]
    for part in spec.parts:
        joined = [(*left, *right) for left in joined for right in clauses(part)]
    return joined


def margin_at(spec: Spec, y: Sequence[Fraction], x: Sequence[Fraction] = ()) -> Fraction:
    """The margin of the spec at outputs y of the input x: least over "every", greatest over "some"."""
    if isinstance(spec, Atom):
        of_inputs = sum((a * v for a, v in zip(spec.inputs, x, strict=True)), Fraction(0)) if spec.inputs else 0
        return sum((c * v for c, v in zip(spec.coefficients, y, strict=True)), spec.offset) + of_inputs
    margins = [margin_at(part, y, x) for part in spec.parts]
    return min(margins) if isinstance(spec, Every) else max(margins)


def holds_at(spec: Spec, y: Sequence[Fraction], x: Sequence[Fraction] = ()) -> bool:
    """Whether outputs y of the input x meet the spec, strict inequalities read strictly."""
    if isinstance(spec, Atom):
        margin = margin_at(spec, y, x)
        return margin > 0 or (margin == 0 and not spec.strict)
    return (all if isinstance(spec, Every) else any)(holds_at(part, y, x) for part in spec.parts)


def _atom_form(one: Atom, outputs: list[list[int]], scale: int) -> tuple[list[int], int]:
    """The atom's margin as an integer form over the inputs, and the scale that it is to be divided by."""
    common = lcm(one.offset.denominator, *(c.denominator for c in (*one.coefficients, *one.inputs)))
    coefficients = [int(c * common) for c in one.coefficients]
    form = [sum(c * row[k] for c, row in zip(coefficients, outputs, strict=True)) for k in range(len(outputs[0]))]
    form[-1] += int(one.offset * common) * scale
    for k, a in enumerate(one.inputs):
        form[k] += int(a * common) * scale
    return form, scale * common


def _least(form: Sequence[int], scale: int, polytope: Polytope) -> Fraction:
    values = evaluate(form, polytope)
    return min(Fraction(value, scale * vertex[-1]) for value, vertex in zip(values, polytope.vertices, strict=True))


def _keep(form: Sequence[int], polytope: Polytope, bit: int) -> Polytope | None:
    """The part of the polytope where the form is >= 0, or None where there is none."""
    values = evaluate(form, polytope)
    if max(values) < 0:
        return None
    return polytope if min(values) > 0 else polytope.cut(values, bit)


def _violation(forms: list[list[int]], strict: list[bool], cell: Polytope, bit: int) -> tuple[Fraction, ...] | None:
    """A point of the cell at which every form's atom is violated: form <= 0 where strict, < 0 elsewhere.

    The closed part is a polytope P. As P is convex, if each closed atom is negative at some vertex of P, then all of
    them are negative at the mean of its vertices.
    """
    part = cell
    for form in forms:
        kept = _keep([-a for a in form], part, bit)
        if kept is None:
            return None
        part = kept
        bit <<= 1
    for form, is_strict in zip(forms, strict, strict=True):
        if not is_strict and min(evaluate(form, part)) >= 0:
            return None
    points = [tuple(Fraction(c, vertex[-1]) for c in vertex[:-1]) for vertex in part.vertices]
    return tuple(sum(axis, Fraction(0)) / len(points) for axis in zip(*points, strict=True))


def _worst(forms: list[tuple[list[int], int]], cell: Polytope, bit: int) -> Fraction | None:
    """The least over the cell of the greatest margin: where margin i is the greatest, its least is at a vertex."""
    if len(forms) == 1:
        return _least(*forms[0], cell)
    least = None
    for i, (form, scale) in enumerate(forms):
        part: Polytope | None = cell
        piece_bit = bit
        for j, (other, other_scale) in enumerate(forms):
            if j != i and part is not None:
                part = _keep([a * other_scale - b * scale for a, b in zip(form, other, strict=True)], part, piece_bit)
                piece_bit <<= 1
        if part is not None:
            value = _least(form, scale, part)
            least = value if least is None else min(least, value)
    return least


def exact_range(
    layers: Sequence[tuple[ArrayLike, ArrayLike]], lower: Sequence[float | Fraction], upper: Sequence[float | Fraction]
) -> tuple[list[Fraction], list[Fraction]]:
    """The least and the greatest value of each output over the closed box, exactly; two lists of length outputs."""
    cells = list(ExactNetwork(layers).cells([Fraction(v) for v in lower], [Fraction(v) for v in upper]))
    outputs = len(cells[0][1])
    least = [min(_least(forms[j], scale, cell) for cell, forms, scale, _ in cells) for j in range(outputs)]
    negative = [[[-a for a in forms[j]] for _, forms, _, _ in cells] for j in range(outputs)]
    greatest = [
        -min(_least(form, scale, cell) for form, (cell, _, scale, _) in zip(negative[j], cells, strict=True))
        for j in range(outputs)
    ]
    return least, greatest


def exact_answer(
    layers: Iterable[tuple[ArrayLike, ArrayLike]],
    lower: Sequence[float | Fraction],
    upper: Sequence[float | Fraction],
    spec: Spec,
) -> Answer:
    """Decide by enumeration whether every real x of the closed box meets the spec.

    Args:
        layers: (weight, bias) pairs as in ExactNetwork.
        lower: The box's lower limits, one an input, read exactly.
        upper: Its upper limits; equal ones make a side of zero width.
        spec: What the outputs must meet.

    Returns:
        The answer, with a real point that violates the spec where there is one.
    """
    network = ExactNetwork(layers)
    parts = clauses(spec)
    worst: Fraction | None = None
    violation = None
    count = 0
    for cell, outputs, scale, bit in network.cells([Fraction(v) for v in lower], [Fraction(v) for v in upper]):
        count += 1
        for clause in parts:
            forms = [_atom_form(one, outputs, scale) for one in clause]
            value = _worst(forms, cell, bit)
            assert value is not None, "some margin is the greatest at every point of the cell"
            worst = value if worst is None else min(worst, value)
            if violation is None and value <= 0:
                violation = _violation([form for form, _ in forms], [one.strict for one in clause], cell, bit)
    assert worst is not None, "a box has at least one cell"
    if violation is not None:
        assert not holds_at(spec, network.outputs_at(violation), violation), "the violation is a violation"
    return Answer(violation is None, worst, violation, count)
