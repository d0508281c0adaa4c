"""Recording what a forward executes: every operation that reaches torch's dispatcher, on real tensors.

Nothing is simulated. The module runs on a plain tensor, so that branches on types, shapes and dtypes go as they always
go; below Python each operation passes by with its arguments, and memory.py says which elements of them depend on the
input. An operation on constants alone is a constant. One on data becomes a step (aten_operations.py), or a step that
is refused if the output turns out to need it. What takes a value out of torch is refused even where the module
catches exceptions: it is noted while the forward runs and raised when it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from verifier.errors import UnsupportedLayerError
from verifier.frontends.lowering.steps import INPUT, Step
from verifier.frontends.torch.memory import (
    CONSTANT,
    ChangedMemoryError,
    Elements,
    Memory,
    OtherBytesError,
    SharedMemoryError,
    counting,
    key,
)
from verifier.frontends.torch.naming import Names
from verifier.frontends.torch.numbers import array
from verifier.frontends.torch.schema import signature_of, tensors

# Methods and functions that hand values or memory to something beside torch, without an operation that passes by.
TAKES_VALUES = {
    "tolist", "numpy", "__array__", "__dlpack__", "data_ptr", "storage", "untyped_storage", "_typed_storage",
    "__reduce_ex__", "__deepcopy__", "share_memory_", "__cuda_array_interface__", "to_dlpack", "const_data_ptr",
    "_storage", "map_", "map2_", "apply_",
}  # fmt: skip
MAKES_TENSORS = {"tensor", "as_tensor", "asarray", "Tensor", "FloatTensor", "DoubleTensor"}
CHANGES_PLACE = {"set_", "resize_", "resize_as_", "swap_"}  # in place, but not of values
SAME_SHAPE_INDEX = {"index"}  # its shape depends on values only where an index does


class Refused:
    """In place of an array's name: a step that has no reading, and why."""

    KIND = "Refused"


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Record operations as steps.

    Args:
        names: Names the operations.
        operations: How each is read, by its name in torch without the underscore at the end.
        dtype: The module's own.
    """

    def __init__(self, names: Names, operations: dict[str, Callable[[Call], Any]], dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.names, self.operations, self.dtype = names, operations, dtype
        self.memory = Memory()
        self.steps: list[Step] = []
        self.refusals: dict[int, str] = {}  # of steps that have no reading
        self.violation = ""  # the first value that left torch
        self.shapes: dict[int, tuple[int, ...]] = {}
        self._reshaped: dict[tuple[int, tuple[int, ...]], int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, which takes seconds."""
        return False

    def begin(self, x: torch.Tensor) -> None:
        """Take x as the input."""
        self.shapes[INPUT] = tuple(x.shape)
        self.memory.write(x, Elements(np.full(x.numel(), INPUT), counting(x.numel()), tuple(x.shape)))

    def violate(self, what: str) -> None:
        """Note what makes the module unreadable; the first such thing is told."""
        if not self.violation:
            self.violation = what

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation as it is, and record it."""
        if signature_of(func).view:
            return func(*args, **(kwargs or {}))
        with torch._C.DisableTorchFunction():
            call = Call(self, func, args, kwargs or {})
            try:
                call.look()
                problem = ""
            except ChangedMemoryError:
                problem = "something beside torch has written into a tensor that depends on the input"
            except OtherBytesError:
                problem = "reads numbers of the input's type as another type"
            result = func(*args, **(kwargs or {}))
            if problem:
                self.violate(f"{self.names.here(call.name)}: {problem}")
                return result
            try:
                call.finish(result)
            except OtherBytesError:
                self.violate(f"{self.names.here(call.name)}: writes numbers of one type over numbers of another")
            except SharedMemoryError:
                self.violate(
                    f"{self.names.here(call.name)}: writes values that depend on the input where numpy or another "
                    "library reads, and so out of torch; write it with torch's own operations"
                )
            return result

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
        position = self.emit(Refused.KIND, where, shape, sources)
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
        first = int(steps[0]) if steps.size else CONSTANT
        single = bool((steps == first).all())
        if single and first != CONSTANT:
            size = int(np.prod(self.shapes[first]))
            if size == index.size and np.array_equal(index, counting(size)):
                return self._under_shape(first, shape, where)
        sources = [int(one) for one in np.unique(steps) if one != CONSTANT]
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
            flat = len(shape) == 2 and shape[0] == 1 == self.shapes[position][0]
            known = self.emit("Flatten" if flat else "Reshape", where, shape, (position,))
            self._reshaped[position, shape] = known
        return known


class Call:
    """One operation with its arguments, as the functions of aten_operations.py read it."""

    def __init__(self, recorder: Recorder, func: Any, args: Any, kwargs: Any) -> None:
        self.recorder, self.signature = recorder, signature_of(func)
        self.name = self.signature.name
        self.arguments: dict[str, Any] = {}
        for i, (name, kwarg_only, default) in enumerate(self.signature.arguments):
            if i < len(args) and not kwarg_only:
                self.arguments[name] = args[i]
            else:
                self.arguments[name] = kwargs.get(name, default)
        self._known: dict[int, Elements | None] = {}
        self._before: dict[int, torch.Tensor] = {}  # values that the operation overwrites
        self.has_data = False
        self.takes_shape = self.name in TAKES_SHAPE
        self.where = ""
        self.result: torch.Tensor

    # before it runs

    def look(self) -> None:
        """Look up which arguments hold data, before the operation changes any."""
        memory = self.recorder.memory
        for name, value in self.arguments.items():
            if name in self.signature.outs or (name == "self" and self.name in OVERWRITES):
                continue
            for tensor in tensors(value):
                if memory.inside_data(tensor):
                    self.recorder.violate(
                        f"{self.recorder.names.here(self.name)}: takes memory that numpy or another library shares "
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
        return self.recorder.gather(elements, values.expand(target), self.where)

    def take_elements(self, elements: Elements, values: torch.Tensor | None = None) -> int:
        """The step that gives these elements."""
        return self.recorder.gather(elements, values, self.where)

    def emit(self, kind: str, sources: int | tuple[int, ...], shape: Any = None, **rest: Any) -> int:
        """Add a step; the shape is the result's where none is given."""
        where = tuple(self.result.shape) if shape is None else tuple(int(size) for size in shape)
        sources = (sources,) if isinstance(sources, int) else sources
        return self.recorder.emit(kind, self.where, where, sources, **rest)

    def shape(self, position: int) -> tuple[int, ...]:
        """Shape of a step's output."""
        return self.recorder.shapes[position]

    def refuse(self, why: str) -> UnsupportedLayerError:
        """Make the error of an operation that is not supported."""
        return UnsupportedLayerError(why)

    # after it ran

    def finish(self, result: Any) -> None:
        """Note what the operation gave."""
        recorder, memory, signature = self.recorder, self.recorder.memory, self.signature
        if self.name in CHANGES_PLACE:
            if self.has_data and self.name != "set_":
                recorder.violate(f"{recorder.names.here(self.name)}: resizes a tensor that depends on the input")
            for tensor in tensors(result):
                memory.keep(tensor)
            return
        written = [one for name in signature.writes for one in tensors(self.arguments[name])]
        inputs = {key(one) for value in self.arguments.values() for one in tensors(value)}
        fresh = [one for one in tensors(result) if key(one) not in inputs]
        for one in fresh:
            memory.keep(one)
        if signature.random:
            self._refuse_random(written, fresh)
            return
        if not self.has_data:
            for one in written:
                memory.write(one, None)
            if not written and not fresh and _plain_values(result):
                return
            return
        if not written and not fresh and not _plain_values(result):
            return  # a view
        if _plain_values(result) and not written and not fresh:
            self._refuse_value()
            return
        if signature.dynamic and self._shape_by_values():
            recorder.violate(
                f"{recorder.names.here(self.name)}: the shape of its result depends on the values of the input; "
                "write it without masks and nonzero()"
            )
            return
        self._read(result, written, fresh)

    def _refuse_value(self) -> None:
        recorder = self.recorder
        data = [one for value in self.arguments.values() for one in tensors(value) if self.is_data(one)]
        for one in data:
            for step in np.unique(self.elements(one).steps):
                if int(step) in recorder.refusals and recorder.steps[int(step)].options.get("random"):
                    recorder.violate(recorder.refusals[int(step)])
        recorder.violate(
            f"net ({recorder.names.kind}): its forward decides something by the values of its input, which no single "
            f"chain of layers does: {recorder.names.here(self.name)} takes a value out of torch; write it without if, "
            "for, while, item() or float() on tensors of the input"
        )

    def _shape_by_values(self) -> bool:
        if self.name in SAME_SHAPE_INDEX:
            return any(self.is_data(one) for one in tensors(self.arguments["indices"]))
        return True

    def _random(self) -> str:
        word = self.recorder.names.word or self.name
        if "dropout" in word or self.name == "bernoulli":
            return (
                f"{word} is active even in eval mode: dropout is random; write F.dropout(x, training=self.training) "
                "or nn.Dropout"
            )
        return f"draws random numbers ({word}), so the network changes from call to call; draw them once in __init__"

    def _refuse_random(self, written: list[torch.Tensor], fresh: list[torch.Tensor]) -> None:
        """Let a refused step give every result, in case the output needs one."""
        where, why = self.recorder.names.here(self.name), self._random()
        for one in (*written, *fresh):
            position = self.recorder.refuse(where, why, tuple(one.shape))
            self.recorder.steps[position].options["random"] = True
            self._assign(one, position)

    def _assign(self, tensor: torch.Tensor, position: int) -> None:
        numel = tensor.numel()
        self.recorder.memory.write(
            tensor, Elements(np.full(numel, position, dtype=np.intp), counting(numel), tuple(tensor.shape))
        )

    def _read(self, result: Any, written: list[torch.Tensor], fresh: list[torch.Tensor]) -> None:
        recorder = self.recorder
        targets = written or fresh
        sources = [one for value in self.arguments.values() for one in tensors(value) if self.is_data(one)]
        for one in sources:  # a refused step that is used makes refused results, whatever is done with it
            steps = [int(step) for step in np.unique(self.elements(one).steps)]
            found = next((step for step in steps if step in recorder.refusals), None)
            if found is not None and (self.name not in MOVES or len(steps) == 1):
                for target in (*written, *fresh):
                    position = recorder.emit(Refused.KIND, recorder.steps[found].where, tuple(target.shape))
                    recorder.refusals[position] = recorder.refusals[found]
                    self._assign(target, position)
                return
        self.where = recorder.names.here(self.name)
        read = recorder.operations.get(self.name) if self.signature.namespace == "aten" else None
        if read is None:
            self._refuse_unknown(written, fresh)
            return
        self.result = targets[0]
        before = len(recorder.steps)
        try:
            if not self.result.is_floating_point():
                raise self.refuse(f"gives {self.result.dtype}; only floating-point numbers are supported")
            found_steps = read(self)
        except UnsupportedLayerError as error:
            recorder.forget(before)
            for one in (*written, *fresh):
                self._assign(one, recorder.refuse(self.where, str(error), tuple(one.shape)))
            return
        self._write(found_steps, targets)
        for one in (*targets[1:], *(fresh if written else ())):
            if isinstance(found_steps, int):
                self._assign(one, recorder.refuse(self.where, "only its first result can be used", tuple(one.shape)))

    def _write(self, found: Any, targets: list[torch.Tensor]) -> None:
        if isinstance(found, int):
            self._assign(targets[0], found)
        elif isinstance(found, Elements):
            self.recorder.memory.write(targets[0], found)
        else:
            for one, elements in zip(targets, found, strict=True):
                self.recorder.memory.write(one, elements)

    def _refuse_unknown(self, written: list[torch.Tensor], fresh: list[torch.Tensor]) -> None:
        from verifier.frontends.torch.aten_operations import SUPPORTED

        word = self.where.partition("(")[2].rpartition(")")[0].split(": ")[-1].split(", line")[0]
        for one in (*written, *fresh):
            why = f"{word} is not supported; supported are {SUPPORTED}"
            self._assign(one, self.recorder.refuse(self.where, why, tuple(one.shape)))


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


def _plain_values(result: Any) -> bool:
    """Whether an operation gives numbers or truth values instead of tensors."""
    return result is not None and not any(True for _ in tensors(result)) and not isinstance(result, list | tuple)


class Words(TorchFunctionMode):
    """Beside the recorder: knows the function that the user's code calls, and those that no operation tells of.

    Args:
        recorder: Whose memory says what depends on the input.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder, self.names = recorder, recorder.names

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the function's name while it runs."""
        name = getattr(func, "__name__", str(func))
        if name == "__get__":
            name = getattr(func.__self__, "__name__", name)
        if name in TAKES_VALUES or name in MAKES_TENSORS:
            with torch._C.DisableTorchFunction():
                self._look(name, args)
        outer, names = self.names.word, self.names
        names.word = outer or name
        names.calls += 1
        try:
            result = func(*args, **(kwargs or {}))
            if not outer and isinstance(result, torch.Tensor) and self._holds_data(result):
                names.passed()
            return result
        finally:
            names.word = outer

    def _holds_data(self, tensor: torch.Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            try:
                return self.recorder.memory.holds_data(tensor)
            except (ChangedMemoryError, OtherBytesError):
                return True

    def _look(self, name: str, args: Any) -> None:
        memory, listed = self.recorder.memory, name in MAKES_TENSORS
        if listed and args and isinstance(args[0], torch.Tensor):
            return  # an operation tells of it
        for one in tensors(args):
            if self._holds_data(one):
                place = self.names.here(name)
                self.recorder.violate(
                    f"{place}: {name} takes values that depend on the input out of torch; "
                    + ("use torch.stack or torch.cat" if listed else "write it with torch's own operations")
                )
            elif not listed:
                memory.shared.add(key(one))
