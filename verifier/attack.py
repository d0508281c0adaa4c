"""Search for candidates by projected gradient descent on the margins, from many starts at once.

What is found here is only a candidate; check_counterexample decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.answer.verdict import Question
from verifier.enclosure import Array, Indices, Mask
from verifier.network import Network
from verifier.question.margins import Margins
from verifier.question.spec import Box

WALKS, STEPS = 24, 60  # of a first attack, for each clause
THOROUGH_WALKS, THOROUGH_STEPS = 600, 200
THOROUGH_WORK = 2e10  # operations of a thorough attack on one question, about a second
MIN_WALKS, MAX_WALKS = 4, 600  # for each clause; for all clauses of a first attack
MAX_TARGETS = 500  # clauses that a walk is sent to: memory grows with the square of their number
MOMENTUM = 0.9
FEW_INPUTS = 16  # up to which counterexamples are looked for on faces rather than where outputs differ
SIGNED, LARGE, SCALE_FREE = (True, 0.1, 1e-4), (True, 0.25, 2.5e-3), (False, 0.3, 1e-4)
FEW_KINDS, MANY_KINDS = (SIGNED, SCALE_FREE), (SIGNED, LARGE, SCALE_FREE)  # signed?; first and last step, in box widths
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.1, 1e-3  # in typical margins at the starts
ON_FACE = 0.6  # how likely each input of a start on a face stands at one of its limits
DIVERSE_STEPS, DIVERSE_STEP = 2, 0.25  # steps that push a start's logits in a random direction, in box widths
CLEAR = 1e-4  # of a typical margin: a violation by more ends the walk, a smaller one may be rounding
FLOAT32_WEIGHTS = 50_000  # weights from which on the network is run in float32


def attack(
    question: Question, *, starts: Array | None = None, walks: int | None = None, steps: int = STEPS, wanted: int = 1,
    patience: int | None = None, seed: int = 0, stop: Callable[[], bool] = lambda: False,
) -> Array:  # fmt: skip
    """Look for inputs that violate the spec.

    Every clause is a target of its own; of more than MAX_TARGETS, those with the lowest margins at a few points. A
    clause is violated where its largest margin is negative, and along the ridge where two margins tie a step down one
    is a step up the other; the largest is therefore replaced by a softmax-weighted sum whose temperature falls from
    step to step. Walks have momentum and differ in where they start (the given points, the centre, random points,
    random points on faces of the box, points whose logits were driven in a random direction) and in how they step: a
    signed step moves every input by as much of its side, which leads into corners; a scale-free one moves them in
    proportion to the gradient, which stays on a slope.

    Args:
        question: What is asked.
        starts: Promising points, (points, inputs), or None.
        walks: Walks a clause, beside those from `starts`; None for WALKS, fewer where clauses are many.
        steps: Gradient steps a walk.
        wanted: End early when so many walks have clearly violated their clause.
        patience: End early when in so many steps no further walk has violated its clause, or in half as many none at
            all; None for never.
        seed: For the random starts.
        stop: Asked at every step whether time is up; then the walks end where they are.

    Returns:
        The best point of every walk, best first, then the first violating point on each walk's way where there is
        one, which lie further apart; (points, inputs).

    Source:
        Madry et al. Towards Deep Learning Models Resistant to Adversarial Attacks. ICLR 2018 (PGD); Dong et al.
        Boosting Adversarial Attacks with Momentum. CVPR 2018; Tashiro, Song, Ermon. Diversity can be Transferred:
        Output Diversification for White- and Black-box Attacks. NeurIPS 2020. The falling temperature is ours.
    """
    box, margins = question.box, _promising(question, seed)
    targets = _Targets.of(margins)
    if targets is None:
        return np.zeros((0, box.lower.size))
    if walks is None:
        walks = max(MIN_WALKS, min(WALKS, MAX_WALKS // len(targets.member)))
    runner = _Runner(question.network, margins, box)
    with np.errstate(over="ignore", invalid="ignore"):
        kinds = FEW_KINDS if np.count_nonzero(box.width) <= FEW_INPUTS else MANY_KINDS
        points = _starts(runner, box, starts, walks, len(kinds), np.random.default_rng(seed))
        return _walk(runner, targets, box, points, kinds, steps, wanted, patience, stop)


def _promising(question: Question, seed: int) -> Margins:
    """The margins of at most MAX_TARGETS clauses, those that are closest to a violation at a few random points."""
    margins, box, network = question.margins, question.box, question.network
    if len(margins.clauses) <= MAX_TARGETS:
        return margins
    points = np.random.default_rng(seed).uniform(box.lower, box.upper, (MIN_WALKS, box.lower.size))
    points[0] = 0.5 * box.lower + 0.5 * box.upper
    lowest = margins.clause_margins(margins.lower(network.logits(points) @ margins.rows.T)).min(axis=0)
    chosen = np.sort(np.argsort(lowest, kind="stable")[:MAX_TARGETS])
    clauses = [margins.clauses[i] for i in chosen]
    used = {old: new for new, old in enumerate(sorted({index for clause in clauses for index in clause}))}
    renamed = tuple(tuple(used[index] for index in clause) for clause in clauses)
    return Margins(margins.rows, tuple(margins.margins[old] for old in used), renamed)


def thorough_attack(
    question: Question, *, starts: Array | None = None, wanted: int = 1, seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Array:  # fmt: skip
    """Attack with as many and as long walks as THOROUGH_WORK allows; arguments and result as for attack().

    Of the given starts as many are used as there are other walks.
    """
    network, margins = question.network, question.margins
    # a step runs forward and back; what it does to each margin, neuron and input costs as much as hundreds of products
    targets = min(len(margins.clauses), MAX_TARGETS)
    step = 6 * _weights(network) + 400 * (len(margins.margins) + network.neurons + network.inputs)
    affordable = THOROUGH_WORK / step / max(1, targets)
    steps = int(min(THOROUGH_STEPS, max(STEPS, affordable / WALKS)))
    walks = max(MIN_WALKS, int(min(THOROUGH_WALKS, affordable / steps)))
    given = None if starts is None else starts[:walks]
    return attack(question, starts=given, walks=walks, steps=steps, wanted=wanted, seed=seed, stop=stop)


def _weights(network: Network) -> int:
    return sum(layer.weight.size for layer in network.layers)


@dataclass(frozen=True, eq=False)
class _Targets:
    """The clauses that can be violated: member (clauses, margins) tells which margins each has."""

    member: Mask

    @staticmethod
    def of(margins: Margins) -> _Targets | None:
        """Leave out clauses that hold at every point, and margins that hold at none; None where no clause is left."""
        offset = np.array([margin.offset for margin in margins.margins])
        member = np.zeros((len(margins.clauses), len(offset)), dtype=bool)
        for index, clause in enumerate(margins.clauses):
            member[index, list(clause)] = True
        can_fail = ~(member & (offset == math.inf)).any(axis=1)
        member = member[can_fail] & (offset != -math.inf)
        return _Targets(member) if len(member) else None


class _Runner:
    """The network and its margins at points, and gradients, in the smallest sufficient dtype."""

    def __init__(self, network: Network, margins: Margins, box: Box) -> None:
        magnitude = np.maximum(np.abs(box.lower), np.abs(box.upper))
        small = _weights(network) < FLOAT32_WEIGHTS or network.reach(magnitude) > 1e30
        self.dtype: Any = np.float64 if small else np.float32
        self.margins = margins
        rows = margins.rows if len(margins.rows) else np.zeros((1, network.outputs))  # margins may all be constant
        self.rows: Any = rows.astype(self.dtype, copy=False)
        self._layers: list[tuple[Any, Any]] = [
            (one.weight.astype(self.dtype, copy=False), one.bias.astype(self.dtype)) for one in network.layers
        ]
        self._row = np.array([0 if one.row is None else one.row for one in margins.margins], dtype=np.intp)
        self._offset = np.array([one.offset for one in margins.margins])
        is_row = np.array([one.row is not None for one in margins.margins], dtype=bool)
        self._slopes = self.rows[self._row] * is_row[:, None]  # of the linear margins, (margins, logits)
        self.outputs = network.outputs

    def forward(self, x: Array) -> list[Array]:
        """Pre-activations of every layer at x (points, inputs)."""
        pre: list[Array] = []
        h: Any = x.astype(self.dtype, copy=False)
        for weight, bias in self._layers:
            z = h @ weight.T
            z += bias
            pre.append(z)
            h = np.maximum(z, 0.0)
        return pre

    def values(self, logits: Array) -> tuple[Array, Array]:
        """Margins (points, margins) and rows (points, rows) at logits."""
        rows = logits @ self.rows.T
        values = rows[:, self._row] + self._offset if self.margins.linear else self.margins.lower(rows.astype(float))
        return values, rows

    def logit_gradient(self, weight: Array, rows: Array) -> Array:
        """Gradient with respect to the logits of sum(weight * margins), weight (points, margins), at these rows."""
        slope = weight.astype(self.dtype, copy=False) @ self._slopes
        for index, margin in enumerate(self.margins.margins):
            for term in margin.terms:
                # every term increases with its rows, each in proportion to its share of the exponential sum
                side = -1.0 if term.weight > 0 else 1.0
                exponents = side * rows[:, list(term.rows)].astype(float)
                share = np.exp(exponents - np.logaddexp.reduce(exponents, axis=1, keepdims=True))
                slope = slope + (weight[:, index, None] * share) @ self.rows[list(term.rows)]
        return np.asarray(slope)

    def backward(self, slope: Array, pre: list[Array]) -> Array:
        """Gradient with respect to the input of slope . logits, slope (points, logits)."""
        for (weight, _), z in zip(self._layers[:0:-1], pre[-2::-1], strict=True):
            slope = slope @ weight
            slope *= z > 0
        return np.asarray(slope @ self._layers[0][0], dtype=np.float64)


def _starts(
    runner: _Runner, box: Box, given: Array | None, walks: int, kinds: int, random: np.random.Generator
) -> Array:  # fmt: skip
    """The given points, the centre, and random points inside, on faces and, with many inputs, of diverse outputs.

    One of each for every kind of walk, and again.
    """
    points = random.uniform(box.lower, box.upper, (walks, box.lower.size))
    if walks:
        points[0] = 0.5 * box.lower + 0.5 * box.upper
    sources = 2 if np.count_nonzero(box.width) <= FEW_INPUTS else 3
    source: Indices = (np.arange(walks) // kinds) % sources
    faces, diverse = np.flatnonzero(source == 1), np.flatnonzero(source == 2)
    limits = np.where(random.random((len(faces), box.lower.size)) < 0.5, box.lower, box.upper)
    on_face = random.random(limits.shape) < ON_FACE
    points[faces] = np.where(on_face, limits, points[faces])
    direction: Any = random.uniform(-1.0, 1.0, (len(diverse), runner.outputs)).astype(runner.dtype)
    x = points[diverse]
    for _ in range(DIVERSE_STEPS if len(diverse) else 0):
        gradient = runner.backward(direction, runner.forward(x))
        x = np.clip(x + DIVERSE_STEP * box.width * np.sign(gradient), box.lower, box.upper)
    points[diverse] = x
    return points if given is None else np.concatenate([np.clip(given, box.lower, box.upper), points])


def _walk(
    runner: _Runner, targets: _Targets, box: Box, points: Array, kinds: tuple[tuple[bool, float, float], ...],
    steps: int, wanted: int, patience: int | None, stop: Callable[[], bool],
) -> Array:  # fmt: skip
    """Walk from every point towards a violation of every clause."""
    clauses, count = len(targets.member), len(points)
    member = np.repeat(targets.member, count, axis=0)
    kind = np.tile(np.arange(count) % len(kinds), clauses)
    signed, first_step, last_step = (np.array(column)[kind][:, None] for column in zip(*kinds, strict=True))
    x, velocity = np.tile(points, (clauses, 1)), np.zeros((clauses * count, box.lower.size))
    best, lowest = x.copy(), np.full(len(x), np.inf)
    first, violated = x.copy(), np.zeros(len(x), dtype=bool)
    every, width = bool(member.all()), box.width
    unit, latest = 0.0, 0
    for step in range(steps + 1):
        pre = runner.forward(x)
        values, rows = runner.values(pre[-1])
        if not every:
            values = np.where(member, values, -np.inf)
        largest = values.max(axis=1)
        better = largest < lowest
        best[better], lowest[better] = x[better], largest[better]
        violating = largest < 0
        if violating.any():
            new = violating & ~violated
            if new.any():
                first[new] = x[new]
                violated |= new
                latest = step
        if step == 0:
            finite = np.abs(largest[np.isfinite(largest)])
            unit = max(float(np.median(finite)) if finite.size else 0.0, 1e-30)
        if patience is not None and step - latest >= (patience if violated.any() else patience // 2):
            break
        if step == steps or np.count_nonzero(lowest < -CLEAR * unit) >= wanted or stop():
            break
        part = step / max(steps - 1, 1)
        temperature = unit * FIRST_TEMPERATURE * (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** part
        weight = _zero_for_nan(np.exp((values - largest[:, None]) / temperature))
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
        gradient = runner.backward(runner.logit_gradient(weight, rows), pre)
        steepest = gradient * width
        steepest /= np.abs(steepest).max(axis=1, keepdims=True) + 1e-300
        velocity *= MOMENTUM
        velocity += (1.0 - MOMENTUM) * np.where(signed, np.sign(gradient), steepest)
        size = first_step * (last_step / first_step) ** part
        x = np.minimum(np.maximum(x - _zero_for_nan(size * width * velocity), box.lower), box.upper)
    order = np.argsort(lowest, kind="stable")
    return np.concatenate([best[order], first[order][violated[order]]])


def _zero_for_nan(values: Array) -> Array:
    """Put 0 for NaN, in place."""
    missing = np.isnan(values)
    if missing.any():
        values[missing] = 0.0
    return values
