"""The caller's module, run and left as it was: modes, attributes, buffers, gradients, torch's random state.

One thread at a time runs a module of the caller's, and what it changed while it ran is put back before the next.
Nothing is written where nothing has changed, so that another thread that only looks sees no difference.
"""

from __future__ import annotations

import contextlib
import operator
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()
_PLAIN = (bool, int, float, str, bytes, type(None), type)
_PLAIN_TYPES = frozenset(_PLAIN)  # most values are exactly of these
_DICTS = frozenset((dict, OrderedDict))
_EMPTY: dict[Any, Any] = {}
MOST_OBJECTS = 10_000  # of a module's attributes, nested ones included, that are looked at


def lock_of(module: nn.Module) -> threading.RLock:
    """The lock of a module: whoever runs the caller's object holds it."""
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(module, threading.RLock())


@contextlib.contextmanager
def left_as_it_is(module: nn.Module) -> Iterator[Callable[[], None]]:
    """Hold the module's lock, and put back everything that a run of it changes; what is yielded does so earlier."""
    with lock_of(module):
        restore = _Snapshot(module)
        random, dtype = torch.get_rng_state(), torch.get_default_dtype()

        def put_back() -> None:
            restore.put_back()
            if not torch.equal(torch.get_rng_state(), random):
                torch.set_rng_state(random)
            if torch.get_default_dtype() is not dtype:
                torch.set_default_dtype(dtype)

        try:
            yield put_back
        finally:
            put_back()


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run a module in eval mode without gradients, where it is put back afterwards anyway."""
    with torch.inference_mode(False), torch.no_grad():
        for part in module.modules():
            if part.training:
                part.training = False
        yield


@contextlib.contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Run a module in eval mode without gradients, and leave it as it is."""
    with left_as_it_is(module), evaluating(module):
        yield


def runs_torch_alone(module: nn.Module) -> bool:
    """Whether a module is made of torch's own layers, without hooks, so that a run in eval mode changes nothing."""
    return all(
        type(part).__module__.startswith("torch.nn.modules.")
        and "forward" not in vars(part)
        and not (part._forward_hooks or part._forward_pre_hooks)
        for part in module.modules()
    )


class _Snapshot:
    """What a module and its parts hold: attributes, what stands in their lists, and the values of tensors."""

    def __init__(self, module: nn.Module) -> None:
        self._undo: list[Callable[[], None]] = []
        self._dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []  # with a copy of each
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        for part in module.modules():
            self._object(part)

    def put_back(self) -> None:
        """Undo what has changed."""
        for held, before in self._dicts:
            if (held or before) and not _same_objects(held, before):
                _refill(held, before)
        for undo in self._undo:
            undo()

    def _object(self, owner: Any) -> None:
        if id(owner) in self._seen:
            return
        self._seen.add(id(owner))
        self._mapping(vars(owner))

    def _look(self, value: Any) -> None:
        if isinstance(value, _PLAIN) or len(self._seen) > MOST_OBJECTS:
            return
        if id(value) in self._seen or isinstance(value, nn.Module):
            return
        if isinstance(value, dict):
            self._seen.add(id(value))
            self._mapping(value)
        elif isinstance(value, torch.Tensor):
            self._seen.add(id(value))
            self._tensor(value)
        elif isinstance(value, list | set | deque | bytearray):
            self._seen.add(id(value))
            self._collection(value)
        elif isinstance(value, tuple):
            for one in value:
                self._look(one)
        elif isinstance(value, np.ndarray):
            self._seen.add(id(value))
            self._array(value)
        elif hasattr(value, "__dict__") and not callable(value) and type(value).__module__.split(".")[0] != "torch":
            self._object(value)

    def _mapping(self, held: Any) -> None:
        if not isinstance(held, dict):
            return
        before = dict(held)
        self._dicts.append((held, before))
        for value in before.values():
            kind = type(value)
            if kind in _DICTS and not value:  # most of what a module holds
                self._dicts.append((value, _EMPTY))
            elif kind not in _PLAIN_TYPES:
                self._look(value)

    def _collection(self, held: Any) -> None:
        before = list(held)

        def undo() -> None:
            now = list(held)
            if len(now) != len(before) or any(one is not other for one, other in zip(now, before, strict=True)):
                if isinstance(held, list | bytearray):
                    held[:] = before
                else:
                    held.clear()
                    held.update(before) if isinstance(held, set) else held.extend(before)

        self._undo.append(undo)
        for value in before:
            self._look(value)

    def _array(self, held: Any) -> None:
        before = held.copy()

        def undo() -> None:
            if held.dtype != object and held.tobytes() != before.tobytes():
                held[...] = before

        self._undo.append(undo)

    def _tensor(self, held: torch.Tensor) -> None:
        gradient = held.grad if held.is_leaf else None
        values = _Values(held)
        gradients = None if gradient is None else _Values(gradient)
        flag = held.requires_grad

        def undo() -> None:
            values.put_back()
            if held.is_leaf:
                if held.requires_grad != flag:
                    held.requires_grad_(flag)
                if held.grad is not gradient:
                    held.grad = gradient
            if gradients is not None:
                gradients.put_back()

        self._undo.append(undo)


def _same_objects(held: dict[Any, Any], before: dict[Any, Any]) -> bool:
    values, keys = map(operator.is_, held.values(), before.values()), map(operator.is_, held, before)
    return len(held) == len(before) and all(values) and all(keys)


def _refill(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    for key in [key for key in held if key not in before]:
        del held[key]
    for key, value in before.items():
        if key not in held or held[key] is not value:
            held[key] = value


class _Values:
    """The values of a tensor. Its version would not tell of what was written through `.data`."""

    def __init__(self, held: torch.Tensor) -> None:
        self._held = held
        self._data = held.detach()
        self._copy = self._data.clone()

    def put_back(self) -> None:
        """Write the old values where they changed."""
        held = self._held
        moved = held.data_ptr() != self._data.data_ptr() or held.shape != self._data.shape
        if moved or not _same_bits(held.detach(), self._copy):
            with torch.no_grad():
                if moved:
                    held.data = self._data
                self._data.copy_(self._copy)


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.equal(one, other)) or bool(
        torch.equal(torch.isnan(one), torch.isnan(other))
        and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
    )
