"""One operation with its arguments: what it takes, and what its results hold afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from verifier.errors import UnsupportedLayerError
from verifier.frontends.torch.memory import CONSTANT, Elements, key
from verifier.frontends.torch.reading import REFUSED, Reading
from verifier.frontends.torch.schema import signature_of, tensors

CHANGES_PLACE = {"set_", "set", "resize_", "resize", "resize_as", "swap"}  # in place, but not of values
SAME_SHAPE_INDEX = {"index"}  # its shape depends on values only where an index does
# of their argument only the shape and the dtype
TAKES_SHAPE = {
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "new_empty_strided",
}  # fmt: skip
OVERWRITES = {"copy", "fill", "zero"}  # in place, and what was there before does not count
# results made of elements of the arguments, so that a refused element stays where it is
MOVES = {
    "copy", "clone", "cat", "stack", "index", "index_select", "gather", "flip", "roll", "repeat", "constant_pad_nd",
    "select_scatter", "slice_scatter", "index_put", "scatter", "index_copy", "index_fill", "masked_fill", "tril",
    "triu", "contiguous", "_to_copy", "im2col", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "upsample_nearest1d", "upsample_nearest2d", "_unsafe_index", "reflection_pad1d", "reflection_pad2d",
    "replication_pad1d", "replication_pad2d", "take", "fill", "zero", "squeeze", "unsqueeze", "detach",
}  # fmt: skip


class Call:
    """One operation with its arguments, as the functions of aten_operations.py read it."""

    def __init__(self, reading: Reading, func: Any, args: Any, kwargs: Any) -> None:
        self.reading, self.signature = reading, signature_of(func)
        self.name = self.signature.name
        self.arguments: dict[str, Any] = {}
        for i, (name, kwarg_only, default) in enumerate(self.signature.arguments):
            given = i < len(args) and not kwarg_only
            self.arguments[name] = args[i] if given else kwargs.get(name, default)
        self._given = [(name, one) for name, value in self.arguments.items() for one in tensors(value)]
        self._known: dict[int, Elements | None] = {}
        self._before: dict[int, torch.Tensor] = {}  # values that the operation overwrites
        self.has_data = False
        self.takes_shape = self.name in TAKES_SHAPE
        self.where = ""
        self.result: torch.Tensor

    # before it runs

    def look(self) -> None:
        """Look up which arguments hold data, before the operation changes any."""
        memory = self.reading.memory
        for name, tensor in self._given:
            if name in self.signature.outs or (name == "self" and self.name in OVERWRITES):
                continue
            if memory.inside_data(tensor):
                self.reading.violate(
                    f"{self.reading.names.here(self.name)}: takes memory that numpy or another library shares "
                    "with a tensor that depends on the input"
                )
            found = None if self.takes_shape else memory.elements(tensor)
            self._known[id(tensor)] = found
            self.has_data |= found is not None
            if name in self.signature.writes:
                self._before[id(tensor)] = tensor.clone()

    # while it is read

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default where the operation has no such argument."""
        return self.arguments.get(name, default)

    def is_data(self, value: Any) -> bool:
        """Whether an argument is a tensor that depends on the input."""
        return isinstance(value, torch.Tensor) and self._known.get(id(value)) is not None

    def elements(self, tensor: torch.Tensor) -> Elements:
        """Where the elements of an argument come from, constants included."""
        found = self._known.get(id(tensor))
        if found is None:
            numel = tensor.numel()
            return Elements(np.full(numel, CONSTANT), np.zeros(numel, dtype=np.intp), tuple(tensor.shape))
        return found

    def values(self, tensor: torch.Tensor) -> torch.Tensor:
        """An argument as it was before the operation."""
        return self._before.get(id(tensor), tensor)

    def take(self, tensor: torch.Tensor, shape: tuple[int, ...] | None = None) -> int:
        """The step that gives an argument, broadcast to a shape where one is given."""
        values = self.values(tensor)
        target = tuple(tensor.shape) if shape is None else tuple(shape)
        elements = self.elements(tensor).spread(target)
        return self.reading.gather(elements, values.expand(target), self.where)

    def take_elements(self, elements: Elements, values: torch.Tensor | None = None) -> int:
        """The step that gives these elements."""
        return self.reading.gather(elements, values, self.where)

    def placed(self, elements: Elements, values: torch.Tensor) -> int | Elements:
        """The step that gives these elements; where all are constant there is none, and the result holds them."""
        return elements if (elements.steps == CONSTANT).all() else self.take_elements(elements, values)

    def emit(self, kind: str, sources: int | tuple[int, ...], shape: Any = None, **rest: Any) -> int:
        """Add a step; the shape is the result's where none is given."""
        where = tuple(self.result.shape) if shape is None else tuple(int(size) for size in shape)
        sources = (sources,) if isinstance(sources, int) else sources
        return self.reading.emit(kind, self.where, where, sources, **rest)

    def shape(self, position: int) -> tuple[int, ...]:
        """Shape of a step's output."""
        return self.reading.shapes[position]

    def refuse(self, why: str) -> UnsupportedLayerError:
        """Make the error of an operation that is not supported."""
        return UnsupportedLayerError(why)

    # after it ran

    def finish(self, result: Any) -> None:
        """Note what the operation gave."""
        reading, memory, signature = self.reading, self.reading.memory, self.signature
        if self.name in CHANGES_PLACE:
            if self.has_data and self.name != "set_":
                reading.violate(f"{reading.names.here(self.name)}: resizes a tensor that depends on the input")
            for tensor in tensors(result):
                memory.keep(tensor)
            return
        written = [one for name in signature.writes for one in tensors(self.arguments[name])]
        inputs = {key(one) for _, one in self._given}
        fresh = [one for one in tensors(result) if key(one) not in inputs]
        for one in fresh:
            memory.keep(one)
        if signature.random:
            self._refuse_random(written, fresh)
            return
        if not self.has_data:
            for one in written:
                memory.write(one, None)
            return
        if not written and not fresh and not _plain_values(result):
            return  # a view
        if _plain_values(result) and not written and not fresh:
            self._refuse_value()
            return
        if signature.dynamic and self._shape_by_values():
            reading.violate(
                f"{reading.names.here(self.name)}: the shape of its result depends on the values of the input; "
                "write it without masks and nonzero()"
            )
            return
        self._read(result, written, fresh)

    def _refuse_value(self) -> None:
        reading = self.reading
        for _, one in self._given:
            for step in self.elements(one).sources() if self.is_data(one) else ():
                if step in reading.refusals and reading.steps[step].options.get("random"):
                    reading.violate(reading.refusals[step])
        reading.violate(
            f"net ({reading.names.kind}): its forward decides something by the values of its input, which no single "
            f"chain of layers does: {reading.names.here(self.name)} takes a value out of torch; write it without if, "
            "for, while, item() or float() on tensors of the input"
        )

    def _shape_by_values(self) -> bool:
        if self.name in SAME_SHAPE_INDEX:
            return any(self.is_data(one) for one in tensors(self.arguments["indices"]))
        return True

    def _random(self) -> str:
        word = self.reading.names.word or self.name
        if "dropout" in word or self.name == "bernoulli":
            return (
                f"{word} is active even in eval mode: dropout is random; write F.dropout(x, training=self.training) "
                "or nn.Dropout"
            )
        return f"draws random numbers ({word}), so the network changes from call to call; draw them once in __init__"

    def _refuse_random(self, written: list[torch.Tensor], fresh: list[torch.Tensor]) -> None:
        """Let a refused step give every result, in case the output needs one."""
        where, why = self.reading.names.here(self.name), self._random()
        for one in (*written, *fresh):
            position = self.reading.refuse(where, why, tuple(one.shape))
            self.reading.steps[position].options["random"] = True
            self._assign(one, position)

    def _assign(self, tensor: torch.Tensor, position: int) -> None:
        self.reading.memory.write(tensor, Elements.of_step(position, tuple(tensor.shape)))

    def _read(self, result: Any, written: list[torch.Tensor], fresh: list[torch.Tensor]) -> None:
        reading = self.reading
        targets = written or fresh
        sources = [one for _, one in self._given if self.is_data(one)] if reading.refusals else []
        for one in sources:  # a refused step that is used makes refused results, whatever is done with it
            steps = self.elements(one).sources()
            found = next((step for step in steps if step in reading.refusals), None)
            if found is not None and (self.name not in MOVES or len(steps) == 1):
                for target in (*written, *fresh):
                    position = reading.emit(REFUSED, reading.steps[found].where, tuple(target.shape))
                    reading.refusals[position] = reading.refusals[found]
                    self._assign(target, position)
                return
        self.where = reading.names.here(self.name)
        read = reading.operations.get(self.name) if self.signature.namespace == "aten" else None
        if read is None:
            self._refuse_unknown(written, fresh)
            return
        self.result = targets[0]
        before = len(reading.steps)
        try:
            if not self.result.is_floating_point():
                raise self.refuse(f"gives {self.result.dtype}; only floating-point numbers are supported")
            found_steps = read(self)
        except UnsupportedLayerError as error:
            reading.forget(before)
            for one in (*written, *fresh):
                self._assign(one, reading.refuse(self.where, str(error), tuple(one.shape)))
            return
        self._write(found_steps, targets)
        for one in (*targets[1:], *(fresh if written else ())):
            if isinstance(found_steps, int):
                self._assign(one, reading.refuse(self.where, "only its first result can be used", tuple(one.shape)))

    def _write(self, found: Any, targets: list[torch.Tensor]) -> None:
        if isinstance(found, int):
            self._assign(targets[0], found)
        elif isinstance(found, Elements):
            self.reading.memory.write(targets[0], found)
        else:
            for one, elements in zip(targets, found, strict=True):
                self.reading.memory.write(one, elements)

    def _refuse_unknown(self, written: list[torch.Tensor], fresh: list[torch.Tensor]) -> None:
        word = self.where.partition("(")[2].rpartition(")")[0].split(": ")[-1].split(", line")[0]
        for one in (*written, *fresh):
            why = f"{word} is not supported; supported are {self.reading.supported}"
            self._assign(one, self.reading.refuse(self.where, why, tuple(one.shape)))


def _plain_values(result: Any) -> bool:
    """Whether an operation gives numbers or truth values instead of tensors."""
    return result is not None and not any(True for _ in tensors(result)) and not isinstance(result, list | tuple)
