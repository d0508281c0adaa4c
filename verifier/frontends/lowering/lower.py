"""Steps become a Network: affine steps are folded between the ReLUs, and what is needed further on is carried along.

A network that branches and joins again (a residual connection) is a chain too, if each layer of ReLUs hands on the
values that later steps need: a value h >= 0, as all are behind a ReLU, passes as relu(h); an input x of the network
as relu(x) and relu(-x), whose difference it is. Nothing is rounded and every method reads the result. Bounds lose
nothing at relu(h), which is stable; where an input's sign is open, relu(x) - relu(-x) is relaxed like any ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import Indices
from verifier.errors import UnsupportedLayerError
from verifier.folding import added, compose, joined
from verifier.frontends.lowering.affine_steps import append_step, identity
from verifier.frontends.lowering.as_relus import AS_RELUS
from verifier.frontends.lowering.steps import HEADS, INPUT, SHAPE_ONLY, Step
from verifier.network import Affine, Head, Maxima, Network


def lower_steps(
    steps: Sequence[Step], input_shape: tuple[int, ...], first_shape: tuple[int, ...] | None = None
) -> Network:
    """Write steps as a Network.

    Args:
        steps: In the order of the data; the last one gives the output.
        input_shape: Shape of one input, without the batch.
        first_shape: Shape that the first step takes, where it is another than (1, *input_shape).

    Raises:
        UnsupportedLayerError: A head stands before the end.
        NetworkError: A weight is NaN or infinite, or a layer is too large for a matrix.
    """
    lowering = _Lowering(int(np.prod(input_shape)), _last_uses(steps))
    shapes = {INPUT: (1, *input_shape) if first_shape is None else first_shape}
    head, head_where = Head.IDENTITY, ""
    for position, step in enumerate(steps):
        if head is not Head.IDENTITY and step.kind not in SHAPE_ONLY:
            raise UnsupportedLayerError(
                f"{head_where}: {step.where} follows it, but a {head.value} is only supported as the last operation; "
                "use ReLU between layers"
            )
        if step.kind in HEADS:
            head, head_where = HEADS[step.kind], step.where
        lowering.take(position, step, shapes[_sources(position, step)[0]])
        shapes[position] = step.shape
    lowering.layers.append(lowering.expression(len(steps) - 1))
    return Network(tuple(lowering.layers), head, tuple(input_shape), lowering.maxima)


def _sources(position: int, step: Step) -> tuple[int, ...]:
    return step.sources or (position - 1,)


def _last_uses(steps: Sequence[Step]) -> dict[int, int]:
    """The last step that takes each step's output."""
    return {source: i for i, step in enumerate(steps) for source in _sources(i, step)}


class _Lowering:
    """The layers so far, and every value that is still needed as an affine function of what the last one gives."""

    def __init__(self, inputs: int, last_use: dict[int, int]) -> None:
        self.layers: list[Affine] = []
        self.maxima: dict[int, Maxima] = {}
        self._last_use = last_use
        self._width = inputs  # of what the last layer of ReLUs gives, or of the input
        self._values: dict[int, Affine | None] = {INPUT: None}  # None for the values themselves

    def expression(self, position: int) -> Affine:
        """A step's output as a function of what the last layer gives."""
        found = self._values[position]
        return identity(self._width) if found is None else found

    def take(self, position: int, step: Step, shape: tuple[int, ...]) -> None:
        """Lower one step, whose first source has this shape."""
        source, *others = _sources(position, step)
        if step.kind == "Sum":
            first, second = step.options["signs"]
            value: Affine | None = added(self.expression(source), self.expression(others[0]), first, second)
        elif step.kind == "Join":
            value = joined([self.expression(one) for one in (source, *others)], step.options["index"])
        elif step.kind == "ReLU":
            self._relu(position, self.expression(source))
            return
        elif step.kind in AS_RELUS:
            current = self._values[source]
            positive = bool(self.layers) and (current is None or _stays_positive(current))
            origin, cells = len(self.layers) - 1, current
            for before, after, groups in AS_RELUS[step.kind](step, shape, positive):
                pending = before if current is None else compose(current, before)
                if groups is not None:
                    self.maxima[len(self.layers)] = Maxima(origin, cells, groups, before)
                self._relu(position, pending)
                mine = self._values[position]
                current = after if mine is None else compose(mine, after)
            value = current
        elif step.kind in SHAPE_ONLY or step.kind in HEADS:
            value = self._values[source]
        else:
            value = append_step(self._values[source], step, shape)
        self._values[position] = value
        for old in [one for one in self._values if one != position and self._last_use.get(one, -2) <= position]:
            del self._values[old]

    def _relu(self, position: int, layer: Affine) -> None:
        """Add a layer of ReLUs for one step, with rows that carry what later steps need."""
        later = {
            one: value
            for one, value in self._values.items()
            if self._last_use.get(one, -2) > position and one != position
        }
        if not later:
            self.layers.append(layer)
            self._width, self._values = layer.bias.size, {position: None}
            return
        needed = self._needed(list(later.values()))
        carry = [matrix.selection(needed, self._width)]
        if not self.layers:  # inputs have either sign
            carry.append(-carry[0])
        own, kept = layer.bias.size, needed.size
        width = own + kept * len(carry)
        error = layer.weight_error
        self.layers.append(
            Affine.made(
                matrix.settle(matrix.stacked([layer.weight, *carry], 0)),
                np.concatenate([layer.bias, np.zeros(width - own)]),
                None if error is None else matrix.stacked([error, *(one * 0.0 for one in carry)], 0),
                None if layer.bias_error is None else np.concatenate([layer.bias_error, np.zeros(width - own)]),
            )
        )
        # what was h_i is now the value own + (position of i among the needed), less its negative part for an input
        place = np.full(self._width, -1)
        place[needed] = own + np.arange(kept)
        back = matrix.selection(place, width)
        if len(carry) == 2:
            place[needed] += kept
            back = matrix.settle(back - matrix.selection(place, width))
        restore = Affine.made(back, np.zeros(self._width))
        self._values = {one: restore if value is None else compose(restore, value) for one, value in later.items()}
        self._values[position] = Affine.made(matrix.selection(np.arange(own), width), np.zeros(own))
        self._width = width

    def _needed(self, values: list[Affine | None]) -> Indices:
        """Which of the values at hand some expressions use."""
        used = np.zeros(self._width, dtype=bool)
        for value in values:
            if value is None:
                used[:] = True
                continue
            for part in (value.weight, value.weight_error):
                if part is not None:
                    used[part.nonzero()[1]] = True
        return np.flatnonzero(used)


def _stays_positive(layer: Affine) -> bool:
    """Whether no value >= 0 can become negative."""
    return layer.exact and bool((matrix.entries(layer.weight) >= 0).all() and (layer.bias >= 0).all())
