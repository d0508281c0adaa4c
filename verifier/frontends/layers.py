"""layers(): a network as plain data, one entry for each operation in order, to look at and to check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.frontends.read import read_subject
from verifier.matrix import dense
from verifier.network import Head, Network


@dataclass(frozen=True, eq=False)
class Layer:
    """One operation of a network.

    Args:
        kind: "Linear", "ReLU", "Conv2d", "Flatten", "Sigmoid", ...: torch's name.
        arrays: The weights by torch's names, e.g. "weight" and "bias", in the dtype they are stored in.
        options: Strides, padding and the like.
        shape: Shape of one output, without the batch; () where it is not known.
        where: Position and name in the caller's network.
    """

    kind: str
    arrays: dict[str, np.ndarray[Any, Any]]
    options: dict[str, Any]
    shape: tuple[int, ...]
    where: str

    def __repr__(self) -> str:
        """Name the kind and the shapes of the arrays."""
        arrays = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"{self.kind}({arrays})"


def layers(net: Any, input_shape: tuple[int, ...] | None = None) -> tuple[Layer, ...]:
    """Read a network and give its operations in the order they are computed.

    Args:
        net: As for verify(). A torch module gives what its forward does; a file or a Network its affine layers, the
            ReLUs between them and the head, after folding.
        input_shape: Shape of one input without the batch, where the network does not tell it.

    Raises:
        NetworkError, UnsupportedLayerError: As for verify().

    Example:
        >>> from verifier import Affine, Network
        >>> layers(Network((Affine(np.eye(2), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1)))))
        (Linear(weight (2, 2), bias (2,)), ReLU(), Linear(weight (1, 2), bias (1,)))
    """
    if not isinstance(net, Network) and hasattr(net, "named_modules"):
        from verifier.frontends.torch.module import trace

        steps = trace(net, input_shape)
        return tuple(
            Layer(step.kind, dict(step.arrays), dict(step.options), tuple(step.shape[1:]), step.where) for step in steps
        )
    network = read_subject(net, input_shape, None).network
    found: list[Layer] = []
    for index, layer in enumerate(network.layers):
        if index:
            found.append(Layer("ReLU", {}, {}, found[-1].shape, f"ReLU {index}"))
        arrays = {"weight": dense(layer.weight), "bias": layer.bias}
        found.append(Layer("Linear", arrays, {}, layer.bias.shape, f"layer {index}"))
    if network.head is not Head.IDENTITY:
        kind = {Head.SIGMOID: "Sigmoid", Head.SOFTMAX: "Softmax", Head.LOG_SOFTMAX: "LogSoftmax"}[network.head]
        found.append(Layer(kind, {}, {}, found[-1].shape, "head"))
    return tuple(found)
