"""Frontend for Keras models: a Sequential or Functional model read as a Network, and kept as what replay runs.

The layers and their weights are read, not what a backend executes, so a model is read alike on torch, JAX and
TensorFlow. What was read is compared with what the model computes, in the backend that the caller has chosen.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from verifier.enclosure import Array
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.keras.layers import SUPPORTED, Reader, to_array
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import INPUT, Step
from verifier.frontends.reading_check import check_reading
from verifier.subject import Subject


def is_keras(net: Any) -> bool:
    """Whether it is a Keras model; none exists before Keras was imported."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(net, keras.Model)


def read_keras(model: Any, input_shape: tuple[int, ...] | None = None) -> Subject:
    """Read a Keras model as a Subject, and check the reading on sample points.

    Args:
        model: A built Sequential or Functional model of one input and one output; left as it is.
        input_shape: Shape of one input without the batch, where the model leaves a size open.

    Raises:
        UnsupportedLayerError: A layer, or an option of it, is not supported.
        NetworkError: The model cannot be read, or computes something else than its layers say.
    """
    steps, shape = keras_steps(model, input_shape)
    network = lower_steps(steps, shape)
    caller = _Caller(model, shape)
    check_reading(
        network, caller.run, caller.round, np.dtype(caller.dtype),
        f"net ({model.name}): computes something else than its layers say",
        "does a layer have a call of its own?",
    )  # fmt: skip
    return Subject(network, caller.run, caller.round, caller.to_caller, type(model).__name__)


def keras_steps(model: Any, input_shape: tuple[int, ...] | None = None) -> tuple[tuple[Step, ...], tuple[int, ...]]:
    """Read the layers of a model as steps, and the shape of one input.

    Raises:
        UnsupportedLayerError: A layer, or an option of it, is not supported.
        NetworkError: The model is not built, has several inputs or outputs, or does not tell its shape.
    """
    if not _is_graph(model):
        raise NetworkError(
            f"net: a {type(model).__name__} with a call of its own cannot be read; build it as keras.Sequential([...]) "
            "or keras.Model(inputs, outputs)"
        )
    if not model.built:
        raise NetworkError("net: the Keras model is not built yet; begin it with keras.Input(shape) or call it once")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedLayerError(
            f"net: the Keras model has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each can be "
            "read"
        )
    if model.dtype_policy.compute_dtype not in ("float32", "float64"):
        raise UnsupportedLayerError(
            f"net: the Keras model computes in {model.dtype_policy.compute_dtype}; use float32 or float64"
        )
    known = tuple(model.inputs[0].shape[1:])
    if input_shape is not None:
        if len(input_shape) != len(known) or any(k not in (None, g) for k, g in zip(known, input_shape, strict=True)):
            raise NetworkError(f"input_shape: {tuple(input_shape)} does not fit the model's {known}")
        known = tuple(int(size) for size in input_shape)
    if None in known or not known:
        raise NetworkError(
            f"input_shape: the model leaves sizes open, {known}; pass input_shape=(height, width, channels)"
        )
    reader = Reader(known, np.dtype(model.dtype_policy.compute_dtype))
    last = _read_graph(model, reader, INPUT, (1, *known))
    if last != len(reader.steps) - 1:
        raise UnsupportedLayerError("net: the model does not return what its last layer computed")
    return tuple(reader.steps), known


def _is_graph(model: Any) -> bool:
    """Whether it is one of Keras's own two kinds of model, which are nothing but their layers."""
    return type(model).__module__.startswith("keras.") and type(model).__name__ in ("Sequential", "Functional")


def _read_graph(model: Any, reader: Reader, source: int, shape: tuple[int, ...]) -> int:
    """Read a model's layers in order; returns the position of its output."""
    values: dict[int, tuple[int, tuple[int, ...]]] = {id(model.inputs[0]): (source, shape)}
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            continue
        if "call" in vars(layer):
            raise UnsupportedLayerError(f"net: the call of {layer.name} was replaced on the object, which is not read")
        try:
            taken, given = layer.input, layer.output
        except (AttributeError, ValueError) as error:  # Keras raises either where it knows no call of the layer
            raise UnsupportedLayerError(f"net: the layer {layer.name} has no place in the model") from error
        sources = [values.get(id(one)) for one in (taken if isinstance(taken, list | tuple) else [taken])]
        if any(one is None for one in sources) or isinstance(given, list | tuple):
            raise UnsupportedLayerError(
                f"net: {layer.name} takes or gives what the layers before it do not; supported are {SUPPORTED}"
            )
        found = [one for one in sources if one is not None]
        if _is_graph(layer):
            position = _read_graph(layer, reader, *found[0])
        else:
            position = reader.read(layer, [at for at, _ in found], found[0][1])
        values[id(given)] = (position, reader.shape)
    end = values.get(id(model.outputs[0]))
    if end is None or end[0] == INPUT:
        repeated = [layer.name for layer in model.layers if len(layer._inbound_nodes) > 1]
        if repeated:
            raise UnsupportedLayerError(
                f"net: the layer {repeated[0]} is used more than once; give each place a layer of its own"
            )
        raise UnsupportedLayerError("net: the model's output is not computed by its layers from its input")
    return end[0]


class _Caller:
    """The caller's model as replay uses it: one point at a time, in the shape it is handed out."""

    def __init__(self, model: Any, shape: tuple[int, ...]) -> None:
        self.model, self.shape = model, (1, *shape)
        self.dtype = np.dtype(model.dtype_policy.compute_dtype)

    def run(self, x: Array) -> Array:
        """Run the model on points (batch, inputs), one by one as they are handed out."""
        rows = []
        for point in x:
            y = self.model(self.to_caller(point.copy()), training=False)
            rows.append(to_array(y).astype(np.float64).reshape(-1))
        return np.stack(rows)

    def round(self, x: Array) -> Array:
        """Round to the model's dtype, to nearest."""
        return np.asarray(x).astype(self.dtype).astype(np.float64)

    def to_caller(self, x: Array) -> Any:
        """Make what the model takes as it is: a tensor of its backend, with a batch of 1."""
        keras = sys.modules["keras"]
        return keras.ops.convert_to_tensor(np.array(x, dtype=self.dtype).reshape(self.shape))
