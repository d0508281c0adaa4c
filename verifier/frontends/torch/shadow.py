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
from verifier.frontends.torch.schema import signature_of, tensors_of

WIDE = torch.float64
DRAWN_AT_ONCE = 512  # signs of noise


class Shadow(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Carry float64 values beside a forward, in one lane or in several that differ by their point or their noise.

    Args:
        x: The input as the module takes it.
        lanes: The point where each lane begins, of x's shape and dtype, and the seed of its noise or None for none.
        floor: The smallest normal number of the module's dtype: results near it lose digits to underflow, too.
    """

    def __init__(
        self, x: torch.Tensor, lanes: Sequence[tuple[torch.Tensor, int | None]], floor: float = 0.0
    ) -> None:  # fmt: skip
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._noise = [None if seed is None else _Noise(seed, floor, x.device) for _, seed in lanes]
        self._lanes = range(len(lanes))
        self._second: dict[int, list[torch.Tensor]] = {}  # the second storages, by the identity of the first
        self._kept: list[Any] = []
        self._enter(key(x), x, [point.to(WIDE, copy=True) for point, _ in lanes])

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not import its compiler, which takes seconds."""
        return False

    def values(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """A tensor of the forward in float64, for each lane; one that does not depend on the input is what it is."""
        found = self._views(tensor, key(tensor))
        return [_widened(tensor)] * len(self._lanes) if found is None else found

    def _views(self, tensor: torch.Tensor, place: int, new: bool = False) -> list[torch.Tensor] | None:
        """What stands in the second storages where a tensor of the forward stands; None where it has none.

        Args:
            tensor: Of the forward.
            place: The identity of its storage.
            new: Whether they are for an operation in place, which may give the tensor object itself another shape.
        """
        second = self._second.get(place)
        if second is None:
            return None
        shape = tensor.shape
        if not new and shape == second[0].shape and not tensor.storage_offset() and tensor.is_contiguous():
            return second
        stride, offset = tensor.stride(), tensor.storage_offset()
        return [torch.as_strided(one, shape, stride, offset) for one in second]

    def _enter(self, place: int, tensor: torch.Tensor, values: Sequence[torch.Tensor]) -> None:
        """Begin second storages for a tensor's, and put the tensor's values there.

        Args:
            place: The identity of the tensor's storage.
            tensor: Of the forward.
            values: Its float64 values, for each lane, of which nobody else writes the memory.
        """
        known = place in self._second
        if not known:
            storage = tensor.untyped_storage()
            self._kept.append(storage)  # so that its place in memory is not given to another
            size = storage.nbytes() // tensor.dtype.itemsize
            if size == tensor.numel() and tensor.is_contiguous():  # as a rule: the whole storage
                self._second[place] = [_whole(one) for one in values]
                self._disturb(self._second[place])
                return
            around = torch.as_strided(tensor.detach(), (size,), (1,), 0)
            self._second[place] = [
                around.to(WIDE, copy=True) if size else torch.zeros(0, dtype=WIDE) for _ in self._lanes
            ]
        views = self._views(tensor, place) or []
        for view, one in zip(views, values, strict=True):
            view.copy_(one)
        self._disturb(views)

    def _disturb(self, values: list[torch.Tensor]) -> None:
        """Add noise to a result, in the lanes that have some."""
        for noise, one in zip(self._noise, values, strict=True):
            if noise is not None:
                noise.add_to(one)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and run it in float64 where it takes what depends on the input."""
        kwargs = kwargs or {}
        signature = signature_of(func)
        if signature.view:
            return func(*args, **kwargs)
        given = [one for value in (*args, *kwargs.values()) for one in tensors_of(value)]
        places = {id(one): key(one) for one in given}
        inputs = set(places.values())
        if inputs.isdisjoint(self._second) or signature.name == "set":
            return func(*args, **kwargs)
        writes: list[torch.Tensor] = []
        if signature.writes:
            named = dict(zip(signature.names, args, strict=False)) | kwargs
            writes = [one for name in signature.writes for one in tensors_of(named.get(name))]
        for one in writes:  # a constant that receives data becomes data
            place = places[id(one)]
            if place not in self._second and one.is_floating_point():
                self._enter(place, one, [one.to(WIDE, copy=True) for _ in self._lanes])
        dtype = _computed_in(given)
        wide = {id(one): self._wide_tensor(one, places[id(one)], dtype, bool(writes)) for one in given}
        calls = [
            (
                [_wide(value, dtype, wide, lane) for value in args],
                {name: _wide(value, dtype, wide, lane) for name, value in kwargs.items()},
            )
            for lane in self._lanes
        ]
        result = func(*args, **kwargs)
        fresh = [(one, key(one)) for one in tensors_of(result)]
        if not writes and all(place in inputs for _, place in fresh):
            return result  # a view, or a value
        wide_results = [tensors_of(func(*wide_args, **wide_kwargs)) for wide_args, wide_kwargs in calls]
        for (one, place), *values in zip(fresh, *wide_results, strict=True):
            if place not in inputs and one.is_floating_point():
                self._enter(place, one, values)
        for one in writes:
            views = self._views(one, places[id(one)])
            if views is not None:
                self._disturb(views)
        return result

    def _wide_tensor(
        self, tensor: torch.Tensor, place: int, dtype: torch.dtype | None, new: bool
    ) -> list[torch.Tensor]:  # fmt: skip
        """An argument in float64, for each lane."""
        found = self._views(tensor, place, new)
        if found is not None:
            return found
        if dtype is not None and tensor.dtype is WIDE and not tensor.ndim:
            return [torch.from_numpy(as_computed(tensor, dtype)).to(WIDE)] * len(self._lanes)
        return [_widened(tensor)] * len(self._lanes)


class _Noise:
    """Relative noise for one lane: every value is off by NOISE of it and of a floor, up or down at random.

    Args:
        seed: Of the signs.
        floor: Values are disturbed as if they were at least so large.
        device: Where the values are.
    """

    def __init__(self, seed: int, floor: float, device: torch.device) -> None:
        self._random = torch.Generator(device=device).manual_seed(seed)
        self._floor, self._device = floor, device
        self._factors = self._offsets = torch.zeros(0, dtype=WIDE)
        self._used = 0

    def add_to(self, values: torch.Tensor) -> None:
        """Disturb values in place; each sign is used once."""
        first, last = self._used, self._used + values.numel()
        if last > self._factors.numel():
            length, first, last = max(last - first, DRAWN_AT_ONCE), 0, last - first
            signs = torch.randint(0, 2, (length,), generator=self._random, dtype=WIDE, device=self._device)
            change = signs.sub_(0.5).mul_(2 * NOISE)
            self._factors, self._offsets = 1.0 + change, self._floor * change
        self._used = last
        shape = values.shape
        torch.addcmul(self._offsets[first:last].view(shape), self._factors[first:last].view(shape), values, out=values)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(WIDE) if tensor.is_floating_point() else tensor


def _whole(values: torch.Tensor) -> torch.Tensor:
    """Values that fill a storage of their own, in order."""
    fills = values.is_contiguous() and not values.storage_offset()
    return values if fills else values.clone(memory_format=torch.contiguous_format)


def _wide(value: Any, dtype: torch.dtype | None, wide: dict[int, list[torch.Tensor]], lane: int) -> Any:
    """An argument of an operation as its float64 run gets it."""
    if isinstance(value, torch.Tensor):
        return wide[id(value)][lane]
    if isinstance(value, list | tuple):
        return type(value)(_wide(one, dtype, wide, lane) for one in value)
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
