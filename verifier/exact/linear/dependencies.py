"""Dependencies: where one ReLU's state fixes another's, so that fewer configurations are left to search.

Write q+ and q- for neuron q active (z_q >= 0) and inactive (z_q <= 0). Each layer's pre-activations are affine on the
box of what enters the layer, which is where every question below is asked; a dependency that holds there holds of the
network.

- Two neurons of one layer: if z_q > 0 wherever z_r = 0, the region z_q <= 0 lies on one side of z_r = 0, so q- fixes
  r. Whether z_q > 0 there is a linear program with one equation over a box. By weak duality every multiplier gives a
  lower bound, so the one that a sort finds is as sound as any other.
- Two neurons of consecutive layers: without q's contribution, which is at most weight * u_q, r may be stable.

A dependency "q inactive implies r active" is the cut d_q + d_r >= 1 on binaries d with d = 1 for active; its
contrapositive is the same cut.

Source:
    Botoeva, Kouvaros, Kronqvist, Lomuscio, Misener. Efficient Verification of ReLU-based Neural Networks via Dependency
    Analysis. AAAI 2020. Looking at consecutive layers only is sound, and misses dependencies that need a sum over
    several paths; tests/verifier/exact/linear/test_dependencies.py holds one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from verifier.enclosure import UNDERFLOW, Array, Bounds, Indices, Mask, gamma
from verifier.matrix import dense
from verifier.network import Affine, Network, propagate_interval

Neuron = tuple[int, int]  # hidden layer and position in it, both from 0


@dataclass(frozen=True)
class Dependency:
    """If `first` is in state `when` (True for active), `second` is in state `then`."""

    first: Neuron
    when: bool
    second: Neuron
    then: bool

    @property
    def kind(self) -> str:
        """ "intra-layer" or "consecutive"."""
        return "intra-layer" if self.first[0] == self.second[0] else "consecutive"

    @property
    def contrapositive(self) -> Dependency:
        """The same said the other way round."""
        return Dependency(self.second, not self.then, self.first, not self.when)

    def holds(self, active: Sequence[Mask]) -> bool:
        """Whether a configuration, the state of every hidden neuron layer by layer, agrees with it."""
        first, second = active[self.first[0]][self.first[1]], active[self.second[0]][self.second[1]]
        return bool(first) is not self.when or bool(second) is self.then


def find_dependencies(
    network: Network,
    box: Bounds,
    pre: Sequence[Bounds],
    *,
    kinds: Sequence[str] = ("intra-layer", "consecutive"),
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Dependency, ...]:
    """Find the dependencies within each layer and between consecutive layers, each once (not its contrapositive too).

    Args:
        network: What is asked about; weights known up to a radius are allowed for.
        box: The input box, (inputs,).
        pre: Bounds on z of each hidden layer, (neurons,) each, that hold under the states fixed so far: fixing a
            neuron is giving it bounds of one sign.
        kinds: Which are looked for.
        stop: Asked now and then whether time is up; then those found so far are all.

    Returns:
        Dependencies between neurons that these bounds leave unstable. Sound: at every x of the box at which the
        bounds hold, every one of them holds.
    """
    entering = [box, *(Bounds(np.maximum(z.lower, 0.0), np.maximum(z.upper, 0.0)) for z in pre[:-1])]
    found: list[Dependency] = []
    for index, (h, z) in enumerate(zip(entering, pre, strict=True)):
        if "intra-layer" in kinds:
            found.extend(_within(network.layers[index], index, h, z, stop))
        if "consecutive" in kinds and index + 1 < len(pre):
            found.extend(_between(network.layers[index + 1], index, z, pre[index + 1]))
    return tuple(dict.fromkeys(min(one, one.contrapositive, key=_order) for one in found))


def _order(one: Dependency) -> tuple[Neuron, Neuron]:
    return one.first, one.second


def _unstable(z: Bounds) -> Indices:
    return np.flatnonzero((z.lower < 0) & (z.upper > 0))


def _within(layer: Affine, index: int, h: Bounds, z: Bounds, stop: Callable[[], bool]) -> Iterator[Dependency]:
    """Dependencies of two neurons of one layer: Lemma on intra-layer dependencies.

    The paper finds the sign of z_r on the half z_q <= 0 at any of its points; here that is where z_q is least.
    """
    neurons = _unstable(z)
    if neurons.size < 2:
        return
    weight, bias = layer.rows(neurons), layer.bias[neurons]
    error = layer.error(h.magnitude)[neurons]
    for half in (False, True):  # q inactive, then q active
        sign = -1.0 if half else 1.0
        for r in range(neurons.size):
            if stop():
                return
            away = _least_on_line(sign * weight, sign * bias, weight[r], bias[r], h, error, error[r]) > 0
            away[r] = False
            for q in np.flatnonzero(away):
                state = _state_at_least(sign * weight[q], weight[r], bias[r], h, error[r])
                if state is not None:
                    yield Dependency((index, int(neurons[q])), half, (index, int(neurons[r])), state)


def _least_on_line(
    weight: Array, bias: Array, line: Array, line_bias: float, h: Bounds, error: Array, line_error: float
) -> Array:
    """Bound weight h + bias below where line h + line_bias = 0 and h lies in its box, one bound for each row.

    Maximises the dual over the multiplier of the equation: it is concave and piecewise linear, its slope begins at the
    largest value of the line over the box and falls at each breakpoint.
    """
    width = h.upper - h.lower
    used = np.flatnonzero((line != 0) & (width > 0))
    if used.size == 0:
        return np.full(len(bias), -np.inf)
    with np.errstate(over="ignore"):
        breaks = -weight[:, used] / line[used]
    order = np.argsort(breaks, axis=1)
    drops = np.cumsum((np.abs(line) * width)[used][order], axis=1)
    top = float(np.maximum(line * h.lower, line * h.upper).sum() + line_bias)
    position = np.minimum((drops < top).sum(axis=1), used.size - 1)
    multiplier = np.take_along_axis(breaks, np.take_along_axis(order, position[:, None], axis=1), axis=1)[:, 0]
    multiplier = np.where(np.isfinite(multiplier), multiplier, 0.0)
    rows = weight + multiplier[:, None] * line
    value = np.minimum(rows * h.lower, rows * h.upper).sum(axis=1) + bias + multiplier * line_bias
    steep = np.abs(multiplier)
    size = (np.abs(weight) + steep[:, None] * np.abs(line)) @ h.magnitude + np.abs(bias) + steep * abs(line_bias)
    rounding = gamma(line.size + 6) * size * 1.001
    return np.asarray(value - rounding - (error + steep * line_error) * 1.001 - UNDERFLOW)


def _state_at_least(weight: Array, other: Array, other_bias: float, h: Bounds, error: float) -> bool | None:
    """The state of another neuron at the point of the box where weight h is least; None where rounding hides it."""
    point = np.where(weight > 0, h.lower, h.upper)
    value = float(other @ point + other_bias)
    rounding = gamma(other.size + 2) * float(np.abs(other) @ np.abs(point) + abs(other_bias)) + error + UNDERFLOW
    return None if abs(value) <= rounding else value > 0


def _between(layer: Affine, index: int, before: Bounds, after: Bounds) -> Iterator[Dependency]:
    """Dependencies of a neuron q and a neuron r that it feeds: Lemma on inter-layer dependencies, consecutive layers.

    Where q is inactive its activation is 0, so r's bounds without it decide: u_r - w u_q <= 0 for w > 0 makes r
    inactive, l_r - w u_q >= 0 for w < 0 makes it active.
    """
    sources, targets = _unstable(before), _unstable(after)
    if not (sources.size and targets.size):
        return
    h = Bounds(np.maximum(before.lower, 0.0), np.maximum(before.upper, 0.0))
    rows = layer.part(targets)
    z = propagate_interval(rows, h)  # widened by its own rounding
    weight = dense(rows.weight)[:, sources]
    share = weight * h.upper[sources]  # what q adds at most, (targets, sources)
    rounding = gamma(4) * (np.abs(share) + np.abs(z.upper)[:, None] + np.abs(z.lower)[:, None])
    off = (weight > 0) & (z.upper[:, None] - share + rounding <= 0)
    on = (weight < 0) & (z.lower[:, None] - share - rounding >= 0)
    for mask, state in ((off, False), (on, True)):
        for r, q in zip(*np.nonzero(mask), strict=True):
            yield Dependency((index, int(sources[q])), False, (index + 1, int(targets[r])), state)


def allowed_configurations(pre: Sequence[Bounds], dependencies: Sequence[Dependency]) -> Iterator[list[Mask]]:
    """Every configuration that bounds and dependencies leave, for small networks: 2^unstable are looked at.

    Args:
        pre: Bounds on z of each hidden layer, (neurons,) each.
        dependencies: Cuts to obey.

    Returns:
        The state of every hidden neuron, layer by layer, one list for each configuration.
    """
    base = [np.asarray(z.lower >= 0) for z in pre]
    free = [(layer, int(neuron)) for layer, z in enumerate(pre) for neuron in _unstable(z)]
    for states in itertools.product((False, True), repeat=len(free)):
        active = [one.copy() for one in base]
        for (layer, neuron), state in zip(free, states, strict=True):
            active[layer][neuron] = state
        if all(one.holds(active) for one in dependencies):
            yield active
