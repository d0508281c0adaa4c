"""Steps that are being written down while a forward runs, and what each element of memory holds meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from verifier.errors import UnsupportedLayerError
from verifier.frontends.lowering.steps import INPUT, Step
from verifier.frontends.torch.memory import (
    CONSTANT,
    ChangedMemoryError,
    Elements,
    Memory,
    OtherBytesError,
    counting,
)
from verifier.frontends.torch.naming import Names
from verifier.frontends.torch.numbers import array

REFUSED = "Refused"  # the kind of a step that has no reading


class Reading:
    """Steps that are being written down, and what each element of memory holds meanwhile.

    Args:
        names: Names the operations.
        operations: How each is read, by its name in torch without the underscore at the end.
        dtype: The module's own.
        supported: What can be read, for messages.
    """

    def __init__(self, names: Names, operations: dict[str, Any], dtype: torch.dtype, supported: str) -> None:
        self.names, self.operations, self.dtype, self.supported = names, operations, dtype, supported
        self.memory = Memory()
        self.steps: list[Step] = []
        self.refusals: dict[int, str] = {}  # of steps that have no reading
        self.violation = ""  # the first value that left torch
        self.shapes: dict[int, tuple[int, ...]] = {}
        self._reshaped: dict[tuple[int, tuple[int, ...]], int] = {}

    def begin(self, x: torch.Tensor) -> None:
        """Take x as the input."""
        self.shapes[INPUT] = tuple(x.shape)
        self.memory.write(x, Elements.of_step(INPUT, tuple(x.shape)))

    def violate(self, what: str) -> None:
        """Note what makes the module unreadable; the first such thing is told."""
        if not self.violation:
            self.violation = what

    def output(self, result: torch.Tensor) -> Elements | None:
        """Where the elements of what the forward returns come from.

        Raises:
            UnsupportedLayerError: Something beside torch has changed them.
        """
        try:
            return self.memory.elements(result)
        except (ChangedMemoryError, OtherBytesError) as error:
            raise UnsupportedLayerError(
                "the output: something beside torch has written into it, or it is read as another type"
            ) from error

    # steps

    def forget(self, length: int) -> None:
        """Take back every step from a position on."""
        del self.steps[length:]
        for known in (self.shapes, self.refusals):
            for position in [one for one in known if one >= length]:
                del known[position]
        self._reshaped = {where: one for where, one in self._reshaped.items() if one < length}

    def emit(self, kind: str, where: str, shape: tuple[int, ...], sources: tuple[int, ...] = (), **rest: Any) -> int:
        """Add a step; its position."""
        self.steps.append(Step(kind, where, rest.get("arrays", {}), rest.get("options", {}), shape, sources))
        position = len(self.steps) - 1
        self.shapes[position] = shape
        return position

    def refuse(self, where: str, why: str, shape: tuple[int, ...], sources: tuple[int, ...] = ()) -> int:
        """Add a step that is refused where the output needs it."""
        position = self.emit(REFUSED, where, shape, sources)
        self.refusals[position] = f"{where}: {why}"
        return position

    def gather(self, elements: Elements, values: torch.Tensor | None, where: str) -> int:
        """The step whose whole output, in order, is these elements; steps that move values are added where needed.

        Args:
            elements: Where each comes from.
            values: The tensor itself, for the numbers where it is constant.
            where: For messages.
        """
        steps, index, shape = elements.steps, elements.index, elements.shape
        if elements.whole != CONSTANT:
            return self._under_shape(elements.whole, shape, where)
        first = int(steps[0]) if steps.size else CONSTANT
        single = bool((steps == first).all())
        if single and first != CONSTANT:
            size = int(np.prod(self.shapes[first]))
            if size == index.size and np.array_equal(index, counting(size)):
                return self._under_shape(first, shape, where)
        sources = [one for one in elements.sources() if one != CONSTANT]
        refused = [one for one in sources if one in self.refusals]
        if refused:
            return refused[0]
        picks = [np.where(steps == source, index, -1) for source in sources]
        if len(sources) == 1:
            position = self.emit("Select", where, shape, tuple(sources), options={"index": picks[0].tolist()})
        else:
            position = self.emit(
                "Join", where, shape, tuple(sources), options={"index": [one.tolist() for one in picks]}
            )
        constant = steps == CONSTANT
        if constant.any():
            assert values is not None
            numbers = array(values).reshape(-1)
            shift = np.where(constant, numbers, np.zeros((), numbers.dtype)).reshape(shape)
            if shift.any():
                position = self.emit("Scale", where, shape, (position,), arrays={"shift": shift})
        return position

    def _under_shape(self, position: int, shape: tuple[int, ...], where: str) -> int:
        if self.shapes[position] == shape:
            return position
        known = self._reshaped.get((position, shape))
        if known is None:
            flat = len(shape) == 2 and shape[0] == 1 and self.shapes[position][:1] == (1,)
            known = self.emit("Flatten" if flat else "Reshape", where, shape, (position,))
            self._reshaped[position, shape] = known
        return known
