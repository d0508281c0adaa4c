"""What an operation is called in messages: the layer or the function, where the user wrote it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn

_CALL = nn.Module._call_impl.__code__
_TORCH = str(Path(torch.__file__).parent)
_LIBRARY = str(Path(__file__).parents[2])


class Names:
    """Names operations by the Python frames that they are called from; the caller's classes are not changed.

    Args:
        module: The module that runs.
    """

    def __init__(self, module: nn.Module) -> None:
        self._paths = {id(part): name for name, part in module.named_modules(remove_duplicate=True)}
        self.kind = type(module).__name__
        self._single = _is_torch_layer(module)
        self._last: Any = None
        self._layer = 0
        self._told = ""
        self._frame: FrameType | None = None
        self.word = ""  # the function of torch that the user's code has called, "" outside of one
        self.calls = 0  # of such functions so far
        self.told = 0  # operations that were named so far

    def here(self, operation: str) -> str:
        """Name the operation that is running, e.g. "layer 3 (2.conv: Conv2d)"."""
        self.told += 1
        self._told = self._name(operation)
        return self._told

    def _name(self, operation: str) -> str:
        layer, frame, line = self._find()
        token: Any = (id(frame), id(layer)) if layer is not None else ("function", self.calls, self.word)
        if token != self._last or (layer is None and not self.word):
            self._layer += 1
            self._last, self._frame = token, frame  # the frame is kept, so that no other takes its identity
        if layer is not None:
            path = self._paths.get(id(layer)) or ("0" if self._single else "")
            kind = type(layer).__name__
            return f"layer {self._layer} ({path}: {kind})" if path else f"layer {self._layer} ({kind})"
        word = self.word or operation
        return f"layer {self._layer} ({word}, {line})" if line else f"layer {self._layer} ({word})"

    def passed(self) -> None:
        """Count a layer that computes nothing, such as Dropout in eval mode."""
        layer, frame, _ = self._find()
        token: Any = (id(frame), id(layer)) if layer is not None else ("function", self.calls, self.word)
        if token != self._last:
            self._layer += 1
            self._last, self._frame = token, frame

    def last(self) -> str:
        """Where the forward was last, for an error that it raised."""
        return f", after {self._told}" if self._told else ""

    def _find(self) -> tuple[nn.Module | None, FrameType | None, str]:
        """The layer of torch.nn that is running, outermost of nested ones, its frame, and the user's own line."""
        frame: FrameType | None = sys._getframe(3)
        layer: nn.Module | None = None
        found: FrameType | None = None
        line = ""
        while frame is not None:
            code: CodeType = frame.f_code
            if code is _CALL:
                running = frame.f_locals.get("self")
                if isinstance(running, nn.Module) and _is_torch_layer(running):
                    layer, found = running, frame
                else:
                    break
            elif layer is None and not line and not code.co_filename.startswith((_TORCH, _LIBRARY)):
                line = f"line {frame.f_lineno} of {code.co_name}"
            elif code.co_filename.startswith(_LIBRARY) and code.co_name == "run_forward":
                break
            frame = frame.f_back
        return layer, found, line


def _is_torch_layer(module: nn.Module) -> bool:
    """Whether a module is one of torch's own layers, and not one of its containers."""
    kind = type(module)
    if kind.__module__ == "torch.nn.utils.parametrize" or kind.__name__.startswith("Parametrized"):
        kind = kind.__mro__[1]
    return kind.__module__.startswith("torch.nn.") and not isinstance(
        module, nn.Sequential | nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict
    )
