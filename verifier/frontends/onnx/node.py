"""One node of an ONNX graph, with its inputs as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verifier.errors import UnsupportedLayerError
from verifier.frontends.lowering.steps import Step

Constant = np.ndarray[Any, Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class Data:
    """A value that depends on the network's input."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """One node of the graph, with its inputs as far as they are known.

    Args:
        op: The operator.
        where: Position, operator and name, for messages.
        inputs: A constant, the data, or None where an optional input is left out.
        attributes: Plain data and arrays.
        opset: Version of ONNX's own operators that the file uses.
    """

    op: str
    where: str
    inputs: tuple[Constant | Data | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 13

    def input(self, index: int) -> Constant | Data | None:
        """Input `index`, or None where there is none."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int, name: str) -> Constant | None:
        """Input `index` where it must be a constant or left out."""
        value = self.input(index)
        if isinstance(value, Data):
            raise self.refusal(f"its {name} is computed from the network's input; only constants are supported")
        return value

    def weights(self, index: int, name: str) -> Constant:
        """Input `index` as stored floating-point weights."""
        value = self.constant(index, name)
        if value is None:
            raise self.refusal(f"it has no {name}")
        if value.dtype not in FLOATS:
            raise self.refusal(f"its {name} is of {value.dtype}; only float32 and float64 are supported")
        return value

    @property
    def data(self) -> Data:
        """The one input that is data."""
        return next(value for value in self.inputs if isinstance(value, Data))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return self.data.shape

    def integers(self, name: str, index: int, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """Whole numbers that newer files give as input `index` and older ones as an attribute."""
        value = self.constant(index, name)
        if value is None:
            value = self.attributes.get(name, default)
        return None if value is None else tuple(int(number) for number in np.asarray(value).reshape(-1))

    def refusal(self, reason: str) -> UnsupportedLayerError:
        """Name the node in an error."""
        return UnsupportedLayerError(f"{self.where}: {reason}")

    def step(self, kind: str, shape: Sequence[int], arrays: dict[str, Constant] | None = None, **options: Any) -> Step:
        """Make a step of this node."""
        return Step(kind, self.where, arrays or {}, options, tuple(int(size) for size in shape))


def only_data(node: Node) -> None:
    """Refuse a node with two inputs that depend on the network's input."""
    if sum(isinstance(value, Data) for value in node.inputs) > 1:
        raise node.refusal("joins two values that both depend on the input; only their sum and difference are affine")
