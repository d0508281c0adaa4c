"""The second reading of a torch module: what its forward executes, executed again in float64 beside it.

The module runs as it always runs. Each storage that depends on the input has a second one in float64, and every
operation is carried out there as well, by torch's own kernel, on views of the same sizes and strides. So the result is
what the module would give if torch rounded nothing, up to what float64 rounds. Nothing of the first reading is used:
neither its steps nor its table of operations, nor how it follows memory element by element.

How much rounding matters is measured, not estimated: in a run with noise, every result is off by a relative random
amount of NOISE, and what that changes at the outputs says how far a run that rounds to eps may be off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from verifier.frontends.reading_check import NOISE
from verifier.frontends.torch.memory import key
from verifier.frontends.torch.numbers import as_computed
from verifier.frontends.torch.schema import signature_of, tensors

WIDE = torch.float64


class Shadow(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Carry float64 values beside a forward, in one lane or in several that differ by their noise.

    Args:
        x: The input as the module takes it.
        seeds: One for each lane: the seed of its noise, or None for none.
        floor: The smallest normal number of the module's dtype: results near it lose digits to underflow, too.
    """

    def __init__(self, x: torch.Tensor, seeds: Sequence[int | None] = (None,), floor: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._floor = floor
        self._random = [None if seed is None else torch.Generator(device=x.device).manual_seed(seed) for seed in seeds]
        self._storages: dict[int, list[torch.Tensor]] = {}
        self._kept: list[Any] = []
        self._enter(key(x), x, [x.to(WIDE, copy=True) for _ in seeds])

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, which takes seconds."""
        return False

    def values(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """A tensor of the forward in float64, for each lane; one that does not depend on the input is what it is."""
        return [self._value(tensor, key(tensor), lane) for lane in range(len(self._random))]

    def _value(self, tensor: torch.Tensor, place: int, lane: int) -> torch.Tensor:
        storages = self._storages.get(place)
        if storages is None:
            return tensor.to(WIDE) if tensor.is_floating_point() else tensor
        return torch.as_strided(storages[lane], tensor.shape, tensor.stride(), tensor.storage_offset())

    def _enter(self, place: int, tensor: torch.Tensor, values: Sequence[torch.Tensor]) -> None:
        """Begin second storages for a tensor's, and put the tensor's values there.

        Args:
            place: The identity of the tensor's storage.
            tensor: Of the forward.
            values: Its float64 values, for each lane, of which nobody else writes the memory.
        """
        storage = tensor.untyped_storage()
        size = storage.nbytes() // tensor.dtype.itemsize
        known = self._storages.get(place)
        if known is None and size == tensor.numel() and tensor.is_contiguous():  # as a rule: the whole storage
            self._kept.append(storage)
            self._storages[place] = [one.reshape(-1) for one in values]
        else:
            if known is None:
                self._kept.append(storage)
                whole = torch.as_strided(tensor.detach(), (size,), (1,), 0)
                self._storages[place] = [
                    whole.to(WIDE, copy=True) if size else torch.zeros(0, dtype=WIDE) for _ in values
                ]
            for lane, one in enumerate(values):
                self._value(tensor, place, lane).copy_(one)
        self._disturb(place, tensor)

    def _disturb(self, place: int, tensor: torch.Tensor) -> None:
        """Add noise to a result, in the lanes that have some."""
        for lane, random in enumerate(self._random):
            if random is not None:
                values = self._value(tensor, place, lane)
                signs = torch.randint(0, 2, values.shape, generator=random, dtype=WIDE, device=values.device)
                values += signs.sub_(0.5).mul_(2 * NOISE).mul_(values.abs().add_(self._floor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and run it in float64 where it takes what depends on the input."""
        kwargs = kwargs or {}
        signature = signature_of(func)
        if signature.view:
            return func(*args, **kwargs)
        given = [one for value in (*args, *kwargs.values()) for one in tensors(value)]
        places = {id(one): key(one) for one in given}
        inputs = set(places.values())
        if inputs.isdisjoint(self._storages) or signature.name == "set":
            return func(*args, **kwargs)
        writes: list[torch.Tensor] = []
        if signature.writes:
            named = dict(zip(signature.names, args, strict=False)) | kwargs
            writes = [one for name in signature.writes for one in tensors(named.get(name))]
        for one in writes:  # a constant that receives data becomes data
            place = places[id(one)]
            if place not in self._storages and one.is_floating_point():
                self._enter(place, one, [one.to(WIDE, copy=True) for _ in self._random])
        dtype = _computed_in(given)
        wide = [
            (
                tuple(self._wide(value, dtype, places, lane) for value in args),
                {name: self._wide(value, dtype, places, lane) for name, value in kwargs.items()},
            )
            for lane in range(len(self._random))
        ]
        result = func(*args, **kwargs)
        fresh = [(one, key(one)) for one in tensors(result)]
        if not writes and all(place in inputs for _, place in fresh):
            return result  # a view, or a value
        wide_results = [list(tensors(func(*wide_args, **wide_kwargs))) for wide_args, wide_kwargs in wide]
        for (one, place), *values in zip(fresh, *wide_results, strict=True):
            if place not in inputs and one.is_floating_point():
                self._enter(place, one, values)
        for one in writes:
            if places[id(one)] in self._storages:
                self._disturb(places[id(one)], one)
        return result

    def _wide(self, value: Any, dtype: torch.dtype | None, places: dict[int, int], lane: int) -> Any:
        if isinstance(value, torch.Tensor):
            place = places[id(value)]
            if dtype is not None and not value.ndim and value.dtype is WIDE and place not in self._storages:
                return torch.from_numpy(as_computed(value, dtype)).to(WIDE)
            return self._value(value, place, lane)
        if isinstance(value, list | tuple):
            return type(value)(self._wide(one, dtype, places, lane) for one in value)
        if isinstance(value, float) and dtype is not None:
            return float(as_computed(value, dtype))
        if isinstance(value, torch.dtype) and value.is_floating_point:
            return WIDE
        return value


def _computed_in(given: list[torch.Tensor]) -> torch.dtype | None:
    """The dtype of the widest tensor with axes, which says how Python's numbers are rounded."""
    widest: torch.dtype | None = None
    for one in given:
        if one.is_floating_point() and one.ndim and (widest is None or one.dtype.itemsize > widest.itemsize):
            widest = one.dtype
    return widest
