"""What each element of torch's memory holds while a forward runs: a constant, or an element of a step's output.

Tensors are views: a place to begin, sizes and strides over a storage. So what is known is kept for storages, and a
tensor's elements are looked up through its own sizes and strides. Aliases, buffers, slices, `expand`, `.data` and
operations in place are then no special cases.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from verifier.enclosure import Indices

CONSTANT = -2  # in place of a step: the element is the number that stands there
LARGEST_COMPARED = 2**24  # bytes of a storage up to which its content is compared with what torch wrote


@dataclass(frozen=True, eq=False)
class Elements:
    """Where the elements of one tensor come from, in the order of its flattened values.

    Args:
        steps: The step that gave each element, or CONSTANT, shape (numel,).
        index: Which element of that step's flattened output it is, shape (numel,).
        shape: The tensor's shape.
        whole: The step whose whole output, in order, these are, where that is known without looking; else CONSTANT.
    """

    steps: Indices
    index: Indices
    shape: tuple[int, ...]
    whole: int = CONSTANT

    @staticmethod
    def of_step(step: int, shape: tuple[int, ...]) -> Elements:
        """A step's whole output under a shape."""
        size = math.prod(shape)
        return Elements(np.full(size, step, dtype=np.intp), counting(size), shape, step)

    def sources(self) -> list[int]:
        """The steps that gave some of the elements, and CONSTANT where some are constants, in order."""
        return [self.whole] if self.whole != CONSTANT else [int(one) for one in np.unique(self.steps)]

    def spread(self, shape: tuple[int, ...]) -> Elements:
        """The elements of the tensor broadcast to another shape."""
        if shape == self.shape:
            return self
        steps, index = (np.broadcast_to(one.reshape(self.shape), shape).reshape(-1) for one in (self.steps, self.index))
        return Elements(steps, index, shape)

    def moved(self, order: tuple[int, ...]) -> Elements:
        """The elements of the tensor with its axes in another order."""
        steps, index = (one.reshape(self.shape).transpose(order).reshape(-1) for one in (self.steps, self.index))
        return Elements(steps, index, tuple(self.shape[axis] for axis in order))

    def reshaped(self, shape: tuple[int, ...]) -> Elements:
        """The same elements under another shape."""
        return Elements(self.steps, self.index, shape, self.whole)


class _Content:
    """What one storage holds."""

    def __init__(self, storage: torch.UntypedStorage, dtype: torch.dtype) -> None:
        self.storage = storage  # kept alive, so that its place in memory is not given to another
        self.dtype = dtype
        size = storage.nbytes() // dtype.itemsize
        self.steps: Indices = np.full(size, CONSTANT, dtype=np.intp)
        self.index: Indices = np.zeros(size, dtype=np.intp)
        self.whole = CONSTANT  # the step whose whole output fills the storage
        self.written: bytes | None = None  # its bytes after the last write that was seen

    def grow(self) -> None:
        """Follow a storage that was made larger for a result."""
        more = self.storage.nbytes() // self.dtype.itemsize - self.steps.size
        if more > 0:
            self.whole = CONSTANT
            self.steps = np.concatenate([self.steps, np.full(more, CONSTANT, dtype=np.intp)])
            self.index = np.concatenate([self.index, np.zeros(more, dtype=np.intp)])


class Memory:
    """The storages that hold data, by their identity; every other storage is constant."""

    def __init__(self) -> None:
        self._contents: dict[int, _Content] = {}
        self.shared: set[int] = set()  # storages whose memory something beside torch can read
        self._kept: list[Any] = []

    def holds_data(self, tensor: torch.Tensor) -> bool:
        """Whether some element of a tensor depends on the input."""
        if not self._contents or tensor.layout is not torch.strided:
            return False
        content = self._contents.get(key(tensor))
        if content is not None and content.whole != CONSTANT and tensor.numel():
            return True
        return content is not None and self.elements(tensor) is not None

    def elements(self, tensor: torch.Tensor) -> Elements | None:
        """Where a tensor's elements come from; None where all of them are constants.

        Raises:
            ChangedMemoryError: The storage's content is not what torch wrote there last.
            OtherBytesError: The tensor reads data as numbers of another type.
        """
        if not self._contents or tensor.layout is not torch.strided:
            return None
        content = self._contents.get(key(tensor))
        if content is None:
            return None
        if content.written is not None and content.written != _bytes(content.storage):
            raise ChangedMemoryError
        if tensor.dtype is not content.dtype or tensor.is_neg():
            raise OtherBytesError
        shape, numel = tuple(tensor.shape), tensor.numel()
        if content.whole != CONSTANT and 0 < numel == content.steps.size and tensor.is_contiguous():
            return Elements(content.steps, content.index, shape, content.whole)
        steps, index = (_view(one, tensor, numel) for one in (content.steps, content.index))
        if (steps == CONSTANT).all():
            return None
        return Elements(steps, index, shape)

    def write(self, tensor: torch.Tensor, elements: Elements | None) -> None:
        """Note what a tensor's elements are after an operation has written them; None for constants.

        Raises:
            OtherBytesError: The tensor writes over data of another type.
            SharedMemoryError: Data come where something beside torch reads.
        """
        place = key(tensor)
        content = self._contents.get(place)
        if elements is not None and place in self.shared and (elements.steps != CONSTANT).any():
            raise SharedMemoryError
        if content is None:
            if elements is None:
                return
            content = _Content(tensor.untyped_storage(), tensor.dtype)
            self._contents[place] = content
        elif tensor.dtype is not content.dtype:
            raise OtherBytesError
        content.grow()
        _assign(content.steps, tensor, CONSTANT if elements is None else elements.steps)
        _assign(content.index, tensor, 0 if elements is None else elements.index)
        covers = elements is not None and tensor.numel() == content.steps.size and tensor.is_contiguous()
        content.whole = elements.whole if elements is not None and covers else CONSTANT
        content.written = _bytes(content.storage)

    def keep(self, tensor: torch.Tensor) -> None:
        """Keep a tensor's storage alive, so that no other takes its identity."""
        self._kept.append(tensor.untyped_storage())

    def inside_data(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor that is not known to torch as a view lies in memory that holds data."""
        if not self._contents or key(tensor) in self._contents:
            return False
        pointer = tensor.untyped_storage().data_ptr()
        if not pointer:
            return False
        for one in self._contents.values():
            first = one.storage.data_ptr()
            if first <= pointer < first + one.storage.nbytes():
                return True
        return False


class ChangedMemoryError(Exception):
    """Something beside torch has written into memory that holds data."""


class SharedMemoryError(Exception):
    """Data are written where something beside torch reads."""


class OtherBytesError(Exception):
    """Data are read or written as numbers of another type."""


def key(tensor: torch.Tensor) -> int:
    """The identity of a tensor's storage."""
    return int(tensor.untyped_storage()._cdata)


@lru_cache(maxsize=64)
def counting(size: int) -> Indices:
    """0, 1, ..., size - 1, kept; not to be written."""
    found = np.arange(size, dtype=np.intp)
    found.flags.writeable = False
    return found


def _bytes(storage: torch.UntypedStorage) -> bytes | None:
    if storage.device.type != "cpu" or storage.nbytes() > LARGEST_COMPARED or not storage.nbytes():
        return None
    return ctypes.string_at(storage.data_ptr(), storage.nbytes())


def _view(array: Indices, tensor: torch.Tensor, numel: int) -> Indices:
    offset = tensor.storage_offset()
    if tensor.is_contiguous():
        return array[offset : offset + numel]
    strides = tuple(stride * array.itemsize for stride in tensor.stride())
    view = np.lib.stride_tricks.as_strided(array[offset:], tuple(tensor.shape), strides, writeable=False)
    return view.reshape(-1)


def _assign(array: Indices, tensor: torch.Tensor, value: Any) -> None:
    offset, numel = tensor.storage_offset(), tensor.numel()
    if not numel:
        return
    if tensor.is_contiguous():
        array[offset : offset + numel] = value
        return
    strides = tuple(stride * array.itemsize for stride in tensor.stride())
    view = np.lib.stride_tricks.as_strided(array[offset:], tuple(tensor.shape), strides)
    view[...] = value if np.ndim(value) == 0 else value.reshape(view.shape)
