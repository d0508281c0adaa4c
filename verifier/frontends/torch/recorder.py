"""Recording what a forward executes: every operation that reaches torch's dispatcher, on real tensors.

Nothing is simulated. The module runs on a plain tensor, so that branches on types, shapes and dtypes go as they always
go; below Python each operation passes by with its arguments, and memory.py says which elements of them depend on the
input. An operation on constants alone is a constant. One on data becomes a step (aten_operations.py), or a step that
is refused if the output turns out to need it. What takes a value out of torch is refused even where the module
catches exceptions: it is noted while the forward runs and raised when it has ended.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from verifier.frontends.torch.call import Call
from verifier.frontends.torch.memory import ChangedMemoryError, OtherBytesError, SharedMemoryError, key
from verifier.frontends.torch.reading import Reading
from verifier.frontends.torch.schema import signature_of, tensors

# Methods and functions that hand values or memory to something beside torch, without an operation that passes by.
TAKES_VALUES = {
    "tolist", "numpy", "__array__", "__dlpack__", "data_ptr", "storage", "untyped_storage", "_typed_storage",
    "__reduce_ex__", "__deepcopy__", "share_memory_", "__cuda_array_interface__", "to_dlpack", "const_data_ptr",
    "_storage", "map_", "map2_", "apply_",
}  # fmt: skip
MAKES_TENSORS = {"tensor", "as_tensor", "asarray", "Tensor", "FloatTensor", "DoubleTensor"}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Record operations as steps.

    Args:
        reading: Where they are written down.
    """

    def __init__(self, reading: Reading) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.reading = reading

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, which takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation as it is, and record it."""
        if signature_of(func).view:
            return func(*args, **(kwargs or {}))
        reading = self.reading
        with torch._C.DisableTorchFunction():
            call = Call(reading, func, args, kwargs or {})
            try:
                call.look()
                problem = ""
            except ChangedMemoryError:
                problem = "something beside torch has written into a tensor that depends on the input"
            except OtherBytesError:
                problem = "reads numbers of the input's type as another type"
            result = func(*args, **(kwargs or {}))
            if problem:
                reading.violate(f"{reading.names.here(call.name)}: {problem}")
                return result
            try:
                call.finish(result)
            except OtherBytesError:
                reading.violate(f"{reading.names.here(call.name)}: writes numbers of one type over numbers of another")
            except SharedMemoryError:
                reading.violate(
                    f"{reading.names.here(call.name)}: writes values that depend on the input where numpy or another "
                    "library reads, and so out of torch; write it with torch's own operations"
                )
            return result


class Words(TorchFunctionMode):
    """Beside the recorder: knows the function that the user's code calls, and those that no operation tells of.

    Args:
        reading: Whose memory says what depends on the input.
    """

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading, self.names = reading, reading.names

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
        told = names.told
        try:
            result = func(*args, **(kwargs or {}))
            if not outer and told == names.told and isinstance(result, torch.Tensor) and self._holds_data(result):
                names.passed()
            return result
        finally:
            names.word = outer

    def _holds_data(self, tensor: torch.Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            try:
                return self.reading.memory.holds_data(tensor)
            except (ChangedMemoryError, OtherBytesError):
                return True
            except (RuntimeError, NotImplementedError):  # a tensor of torch.func, which has no memory of its own
                return True

    def _look(self, name: str, args: Any) -> None:
        memory, listed = self.reading.memory, name in MAKES_TENSORS
        if listed and args and isinstance(args[0], torch.Tensor):
            return  # an operation tells of it
        for one in tensors(args):
            if self._holds_data(one):
                place = self.names.here(name)
                self.reading.violate(
                    f"{place}: {name} takes values that depend on the input out of torch; "
                    + ("use torch.stack or torch.cat" if listed else "write it with torch's own operations")
                )
            elif not listed:
                memory.shared.add(key(one))
