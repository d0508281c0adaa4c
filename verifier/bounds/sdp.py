"""SDP bounds: ReLU as quadratic equations, relaxed to a semidefinite program, its multipliers made good.

An unstable ReLU h = relu(z) says h >= 0, h >= z and h (h - z) = 0. Over one matrix of all products of values, the
equations are linear; what is lost is that the matrix has rank one. Neurons stay correlated in it, across layers too,
where linear relaxations treat each alone. A program with n unstable neurons takes about n^3.5 operations, so this is
for small dense networks.

What a solver returns is a guess. For any multipliers (of the right sign where a fact is an inequality) the quadratic
function "row minus multipliers times facts" lies below the row at every true point. With every value written as s in
[-1, 1], t + (n + 1) * (least eigenvalue of it minus t in the corner) is below that in turn: the bound is computed so,
with the eigenvalue and all coefficients up to their rounding. Nothing that the solver says has to be true.

Source:
    Raghunathan, Steinhardt, Liang. Semidefinite relaxations for certifying robustness to adversarial examples. NeurIPS
    2018. Departs from it by the chord of each neuron as a further fact, so that no bound is looser than the triangle's,
    by leaving stable neurons out, and by the repair of the dual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verifier.bounds.crown import crown_bounds
from verifier.bounds.layers import LayerBounds
from verifier.bounds.relaxation import relax_relu
from verifier.enclosure import UNDERFLOW, Array, Bounds, gamma, up
from verifier.errors import BoundsError
from verifier.matrix import dense
from verifier.network import Network
from verifier.solvers.clarabel_solver import LargestShift, largest_shift

MAX_VALUES = 150  # inputs and unstable neurons, beyond which one program takes minutes
SHIFTS = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)  # of the solver's t, relative, tried for the best repaired bound


class TooManyValues(BoundsError):
    """There are more inputs and unstable neurons than one semidefinite program can hold."""


@dataclass(frozen=True, eq=False)
class _Values:
    """Values of the network as affine functions of s in [-1, 1]^n, up to an error: slope s + offset, (values, n)."""

    slope: Array
    offset: Array
    error: Array


@dataclass(frozen=True, eq=False)
class _Facts:
    """Quadratic functions of (1, s) that are >= 0, or = 0, at every true point, up to an error.

    matrices has shape (facts, n + 1, n + 1), symmetric; magnitude bounds what rounding saw, (facts,).
    """

    matrices: Array
    inequality: Array
    error: Array


def sdp_bounds(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, *,
    stop: Callable[[], bool] = lambda: False, seconds_left: Callable[[], float] = lambda: float("inf"),
) -> LayerBounds:  # fmt: skip
    """Bound the rows by a semidefinite relaxation; hidden neurons keep CROWN's bounds, on which it stands.

    Args:
        network: What is bounded; sound for every Network, practical for up to about 100 unstable neurons.
        boxes: Input boxes, (batch, inputs).
        rows: Linear functions of the logits, (rows, logits).
        known: Bounds on each hidden layer that hold already.
        stop: Asked before each program whether time is up; rows that are left keep CROWN's bounds.
        seconds_left: Time limit of each program.

    Returns:
        LayerBounds whose rows are at least as tight as CROWN's, since the two are intersected.

    Raises:
        TooManyValues: There are too many inputs and unstable neurons.
        MissingDependencyError: clarabel is not installed.
    """
    base = crown_bounds(network, boxes, rows, known)
    lower, upper = base.rows.lower.copy(), base.rows.upper.copy()
    for b in range(len(boxes.lower)):
        box = Bounds(boxes.lower[b], boxes.upper[b])
        pre = [Bounds(z.lower[b], z.upper[b]) for z in base.pre]
        facts, last = _relaxed(network, box, pre)
        for k, row in enumerate(rows):
            for sign, side in ((1.0, lower), (-1.0, upper)):
                if stop():
                    break
                bound = _row_below(network, sign * row, facts, last, seconds_left())
                side[b, k] = max(side[b, k], bound) if sign > 0 else min(side[b, k], -bound)
    return LayerBounds(base.pre, Bounds(lower, np.maximum(upper, lower)), base.plane, base.influence, base.error_weight)


def refuse_too_many(values: int) -> None:
    """Refuse a program over more inputs and unstable neurons than can be solved."""
    if values > MAX_VALUES:
        raise TooManyValues(
            f"method 'sdp': {values} inputs and unstable neurons are too many (at most {MAX_VALUES}); use a smaller "
            "box or network, or method='crown_optimized'"
        )


def _relaxed(network: Network, box: Bounds, pre: Sequence[Bounds]) -> tuple[_Facts, _Values]:
    """Write down what is known of s, and what enters the last layer as a function of s."""
    centre = (box.lower + box.upper) / 2
    radius = np.where(box.upper > box.lower, up(up(np.maximum(box.upper - centre, centre - box.lower))), 0.0)
    moving = np.flatnonzero(radius > 0)
    unstable = [np.flatnonzero((z.lower < 0) & (z.upper > 0)) for z in pre]
    n = moving.size + sum(one.size for one in unstable)
    refuse_too_many(n)
    slope = np.zeros((box.lower.size, n))
    slope[moving, np.arange(moving.size)] = radius[moving]
    values = _Values(slope, centre, np.zeros(box.lower.size))
    collected = _Collector(n)
    place = moving.size
    for index, (z_bounds, chosen) in enumerate(zip(pre, unstable, strict=True)):
        z = _through(network, index, values)
        h_slope = np.where((z_bounds.lower >= 0)[:, None], z.slope, 0.0)
        h_offset = np.where(z_bounds.lower >= 0, z.offset, 0.0)
        h_error = np.where(z_bounds.lower >= 0, z.error, 0.0)
        lines = relax_relu(z_bounds)
        for neuron in chosen:
            top = float(z_bounds.upper[neuron])
            half = float(np.nextafter(top / 2, np.inf))  # h = half (1 + s), a little beyond [0, top]
            collected.relu(
                place, half, z.slope[neuron], float(z.offset[neuron]), float(z.error[neuron]),
                float(lines.upper_slope[neuron]), float(lines.upper_offset[neuron]),
            )  # fmt: skip
            h_slope[neuron], h_offset[neuron], h_error[neuron] = 0.0, half, 0.0
            h_slope[neuron, place] = half
            place += 1
        values = _Values(h_slope, h_offset, h_error)
    return collected.facts(), values


def _through(network: Network, index: int, h: _Values) -> _Values:
    """Pass a layer: z = weight h + bias as functions of s, with what computing them rounds."""
    layer = network.layers[index]
    weight = dense(layer.weight)
    size = np.abs(h.slope).sum(axis=1) + np.abs(h.offset) + h.error
    rounding = gamma(weight.shape[1] + h.slope.shape[1] + 4) * (np.abs(weight) @ size + np.abs(layer.bias))
    error = (np.abs(weight) @ h.error + rounding + layer.error(size)) * 1.001 + UNDERFLOW
    return _Values(weight @ h.slope, weight @ h.offset + layer.bias, error)


class _Collector:
    """Gathers facts as symmetric matrices over (1, s)."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._matrices: list[Array] = []
        self._inequality: list[bool] = []
        self._error: list[float] = []
        for i in range(n):  # 1 - s_i^2 >= 0
            square = np.zeros((n + 1, n + 1))
            square[0, 0], square[i + 1, i + 1] = 1.0, -1.0
            self._add(square, True, 0.0)

    def _add(self, matrix: Array, inequality: bool, error: float) -> None:
        # the entries were computed with a few roundings each
        self._matrices.append(matrix)
        self._inequality.append(inequality)
        self._error.append(error * 1.001 + gamma(8) * float(np.abs(matrix).sum()) + UNDERFLOW)

    def _linear(self, slope: Array, offset: float) -> Array:
        matrix = np.zeros((self.n + 1, self.n + 1))
        matrix[0, 0] = offset
        matrix[0, 1:] = matrix[1:, 0] = slope / 2
        return matrix

    def relu(
        self, place: int, half: float, slope: Array, offset: float, error: float, chord: float, chord_offset: float
    ) -> None:
        """Add what h = relu(z) says, with h = half (1 + s_place) and z = slope . s + offset up to an error."""
        h = np.zeros(self.n)
        h[place] = half
        # each sum of two numbers rounds once, relative to its parts, which the terms below bound
        size = float(np.abs(slope).sum()) + abs(offset) + 2 * half
        once = gamma(4) * size
        self._add(self._linear(h - slope, half - offset), True, error + once)  # h - z
        self._add(self._linear(h, half), True, 0.0)  # h
        self._add(
            self._linear(chord * slope - h, chord * offset + chord_offset - half),
            True,
            error + once + gamma(4) * chord_offset,
        )  # chord - h
        # h (h - z) = 0
        difference = self._linear(h - slope, half - offset)
        left = np.zeros(self.n + 1)
        left[0], left[place + 1] = half, half
        right = np.concatenate([[difference[0, 0]], 2 * difference[0, 1:]])
        product = (np.outer(left, right) + np.outer(right, left)) / 2
        self._add(product, False, 2 * half * (error + once))

    def facts(self) -> _Facts:
        """All of them."""
        shape = (len(self._matrices), self.n + 1, self.n + 1)
        return _Facts(
            np.array(self._matrices).reshape(shape), np.array(self._inequality, dtype=bool), np.array(self._error)
        )


def _row_below(network: Network, row: Array, facts: _Facts, last: _Values, seconds: float) -> float:
    """A lower bound on one row of the logits: the program solved, and its multipliers made good."""
    z = _through(network, len(network.layers) - 1, last)
    slope, offset = row @ z.slope, float(row @ z.offset)
    size = float(np.abs(row) @ (np.abs(z.slope).sum(axis=1) + np.abs(z.offset)))
    error = float(np.abs(row) @ z.error) * 1.001 + gamma(row.size + 4) * size
    n = slope.size
    objective = np.zeros((n + 1, n + 1))
    objective[0, 0] = offset
    objective[0, 1:] = objective[1:, 0] = slope / 2
    scale = max(float(np.abs(objective).max()), 1e-300)
    sizes = np.maximum(np.abs(facts.matrices).max(axis=(1, 2)), 1e-300)  # a solver likes numbers near 1
    answer = largest_shift(
        LargestShift(objective / scale, facts.matrices / sizes[:, None, None], facts.inequality), seconds
    )
    if answer.t is None or answer.y is None:
        return -np.inf
    y = answer.y * scale / sizes
    y = np.where(facts.inequality, np.maximum(y, 0.0), y)
    return _made_good(objective, facts, y, answer.t * scale) - error


def _made_good(objective: Array, facts: _Facts, y: Array, t: float) -> float:
    """A bound that holds for these multipliers whatever they are, by the least eigenvalue of what they leave."""
    left = objective - np.tensordot(y, facts.matrices, axes=1)
    size = np.abs(objective) + np.tensordot(np.abs(y), np.abs(facts.matrices), axes=1)
    error = float(np.abs(y) @ facts.error) * 1.001 + gamma(y.size + 4) * float(size.sum())
    best = -np.inf
    for shift in SHIFTS:
        corner = t - shift * (1.0 + abs(t))
        rest = left.copy()
        rest[0, 0] -= corner
        rounding = gamma(2) * (abs(float(left[0, 0])) + abs(corner))
        # |(1, s)|^2 <= n + 1
        best = max(best, corner + len(rest) * min(0.0, least_eigenvalue(rest)) - rounding)
    return best - error - gamma(4) * abs(best)


def least_eigenvalue(matrix: Array) -> float:
    """A lower bound, not above 0, on the least eigenvalue of a symmetric matrix, rounding included.

    With computed eigenvectors V and values D, A = V D V' + R, so x' A x >= min(D) |V' x|^2 - |R| |x|^2 for min(D) <= 0,
    and |V' x|^2 <= (1 + |V' V - I|) |x|^2. Norms are bounded by Frobenius's, with what computing these rounds.

    Example:
        >>> -1.001 < least_eigenvalue(np.array([[0.0, 1.0], [1.0, 0.0]])) <= -1
        True
    """
    n = len(matrix)
    values, vectors = np.linalg.eigh(matrix)
    product = (vectors * values) @ vectors.T
    size = (np.abs(vectors) * np.abs(values)) @ np.abs(vectors).T
    residual = float(np.linalg.norm(matrix - product)) + gamma(n + 4) * float(np.linalg.norm(size + np.abs(matrix)))
    gram = vectors.T @ vectors
    stretch = float(np.linalg.norm(gram - np.eye(n))) + gamma(n + 4) * float(
        np.linalg.norm(np.abs(vectors).T @ np.abs(vectors) + np.eye(n))
    )
    return (min(0.0, float(values[0])) * (1.0 + stretch) - residual) * (1.0 + gamma(n * n)) - UNDERFLOW
