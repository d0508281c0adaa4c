"""The second reading of a torch module: what its forward executes, executed again in float64 beside it.

The module runs as it always runs. Each storage that depends on the input has a second one in float64, and every
operation is carried out there as well, by torch's own kernel, on views of the same sizes and strides. So the result is
what the module would give if torch rounded nothing, up to what float64 rounds. Nothing of the first reading is used:
neither its steps nor its table of operations, nor how it follows memory element by element.

How much rounding matters is measured, not estimated: in a run with noise, every result is off by a relative random
amount of NOISE, and what that changes at the outputs says how far a run that rounds to eps may be off.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from verifier.frontends.reading_check import NOISE
from verifier.frontends.torch.memory import key
from verifier.frontends.torch.numbers import as_computed
from verifier.frontends.torch.schema import signature_of, tensors

WIDE = torch.float64


class Shadow(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Carry float64 values beside a forward.

    Args:
        x: The input as the module takes it.
        seed: Of the noise; None for none.
        floor: The smallest normal number of the module's dtype: results near it lose digits to underflow, too.
    """

    def __init__(self, x: torch.Tensor, seed: int | None = None, floor: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._floor = floor
        self._random = None if seed is None else torch.Generator(device=x.device).manual_seed(seed)
        self._storages: dict[int, torch.Tensor] = {}
        self._kept: list[Any] = []
        self._enter(x, x.to(WIDE))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, which takes seconds."""
        return False

    def value(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the forward in float64; one that does not depend on the input is what it is."""
        storage = self._storages.get(key(tensor))
        if storage is None:
            return tensor.to(WIDE) if tensor.is_floating_point() else tensor
        return torch.as_strided(storage, tensor.shape, tensor.stride(), tensor.storage_offset())

    def _enter(self, tensor: torch.Tensor, values: torch.Tensor) -> None:
        """Begin a second storage for a tensor's, and write the tensor's values there."""
        storage = tensor.untyped_storage()
        self._kept.append(storage)
        size = storage.nbytes() // tensor.dtype.itemsize
        if key(tensor) not in self._storages:
            whole = torch.as_strided(tensor.detach(), (size,), (1,), 0)
            self._storages[key(tensor)] = whole.to(WIDE, copy=True) if size else torch.zeros(0, dtype=WIDE)
        self.value(tensor).copy_(values)
        self._disturb(tensor)

    def _disturb(self, tensor: torch.Tensor) -> None:
        """Add noise to a result, where this run has some."""
        if self._random is not None:
            values = self.value(tensor)
            signs = torch.randint(0, 2, values.shape, generator=self._random, device=values.device) * 2 - 1
            values += NOISE * signs * (values.abs() + self._floor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and run it in float64 where it takes what depends on the input."""
        kwargs = kwargs or {}
        signature = signature_of(func)
        if signature.view:
            return func(*args, **kwargs)
        named = dict(zip(signature.names, args, strict=False)) | kwargs
        inputs = {key(one): one for value in named.values() for one in tensors(value)}
        if not inputs.keys() & self._storages.keys() or signature.name == "set":
            return func(*args, **kwargs)
        writes = [one for name in signature.writes for one in tensors(named.get(name))]
        for one in writes:  # a constant that receives data becomes data
            if key(one) not in self._storages and one.is_floating_point():
                self._enter(one, one.to(WIDE))
        dtype = _computed_in(named)
        wide_args = tuple(self._wide(value, dtype) for value in args)
        wide_kwargs = {name: self._wide(value, dtype) for name, value in kwargs.items()}
        result = func(*args, **kwargs)
        fresh = [one for one in tensors(result) if key(one) not in inputs]
        if not writes and not fresh:
            return result  # a view, or a value
        wide_result = func(*wide_args, **wide_kwargs)
        for one, values in zip(tensors(result), tensors(wide_result), strict=True):
            if key(one) not in inputs and one.is_floating_point():
                self._enter(one, values)
        for one in writes:
            if key(one) in self._storages:
                self._disturb(one)
        return result

    def _wide(self, value: Any, dtype: torch.dtype | None) -> Any:
        if isinstance(value, torch.Tensor):
            wide = self.value(value)
            narrow = dtype is not None and not value.ndim and value.dtype is WIDE and key(value) not in self._storages
            return torch.from_numpy(as_computed(value, dtype)).to(WIDE) if narrow and dtype is not None else wide
        if isinstance(value, list | tuple):
            return type(value)(self._wide(one, dtype) for one in value)
        if isinstance(value, float) and dtype is not None:
            return float(as_computed(value, dtype))
        if isinstance(value, torch.dtype) and value.is_floating_point:
            return WIDE
        return value


def _computed_in(named: dict[str, Any]) -> torch.dtype | None:
    """The dtype of the widest tensor with axes, which says how Python's numbers are rounded."""
    widest: torch.dtype | None = None
    for value in named.values():
        for one in tensors(value):
            if one.is_floating_point() and one.ndim and (widest is None or one.dtype.itemsize > widest.itemsize):
                widest = one.dtype
    return widest
