"""How each Keras layer is read as steps.

Keras keeps a Dense layer's weights as (in, out), transposed against torch's, and images as (height, width, channels).
Steps are in torch's order, so an image is turned before a convolution or a pooling, and turned back after it; turning
only moves values. Weights are taken from the layers, whatever backend runs the model.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.lowering.steps import Step

SUPPORTED = (
    "Dense, Conv2D, Flatten, Reshape, Activation, ReLU, LeakyReLU, Dropout, BatchNormalization, Rescaling, "
    "AveragePooling2D, MaxPooling2D, GlobalAveragePooling2D, Add, Subtract, and a final Sigmoid or Softmax"
)
NOTHING_AT_INFERENCE = (
    "InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
    "ActivityRegularization", "Identity",
)  # fmt: skip
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]

Arrays = dict[str, np.ndarray[Any, Any]]


def to_array(tensor: Any) -> np.ndarray[Any, Any]:
    """Copy a tensor of any of Keras's backends to numpy."""
    if hasattr(tensor, "detach"):  # torch's own way; Keras's makes numpy warn
        return np.array(tensor.detach().cpu().numpy())
    return np.array(sys.modules["keras"].ops.convert_to_numpy(tensor))


class Reader:
    """Steps for one model, in the order of its layers; every layer's result keeps its place by name.

    Args:
        shape: Shape of one input, without the batch.
        dtype: The dtype that the model computes in, to which options such as a slope are rounded.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Begin with the input."""
        self.steps: list[Step] = []
        self.shape: tuple[int, ...] = (1, *shape)
        self.dtype = dtype
        self._layers = 0
        self._sources: tuple[int, ...] = ()

    def read(self, layer: Any, sources: Sequence[int], shape: tuple[int, ...]) -> int:
        """Read one layer, which takes what the steps at `sources` give; returns the position of its result.

        Args:
            layer: A Keras layer.
            sources: Positions of the steps, or INPUT.
            shape: What the first of them gives, with a batch of 1.

        Raises:
            UnsupportedLayerError: The layer, or an option of it, is not supported.
        """
        kind = type(layer).__name__
        where = f"layer {self._layers} ({layer.name}: {kind})"
        self._layers += 1
        self._sources, self.shape = tuple(sources), shape
        if kind in NOTHING_AT_INFERENCE:
            self._add("Identity", where, shape=shape)
        elif not type(layer).__module__.startswith("keras."):
            raise UnsupportedLayerError(f"{where}: a layer of your own; supported are Keras's {SUPPORTED}")
        elif kind in _LAYERS:
            if kind not in ("Add", "Subtract") and len(sources) != 1:
                raise UnsupportedLayerError(f"{where}: takes {len(sources)} values; only Add and Subtract may")
            _LAYERS[kind](self, layer, where)
        else:
            raise UnsupportedLayerError(f"{where}: {kind} is not supported; supported are {SUPPORTED}")
        return len(self.steps) - 1

    def _add(
        self, kind: str, where: str, arrays: Arrays | None = None, shape: tuple[int, ...] | None = None, **options: Any
    ) -> None:
        self.shape = self.shape if shape is None else shape
        sources = () if self._sources == (len(self.steps) - 1,) else self._sources
        self.steps.append(Step(kind, where, arrays or {}, options, self.shape, sources))
        self._sources = (len(self.steps) - 1,)

    def _dense(self, layer: Any, where: str) -> None:
        weights = self._weights(layer, where, kernel=layer.kernel, bias=layer.bias)
        arrays = {"weight": weights["kernel"].T.copy(), **({"bias": weights["bias"]} if "bias" in weights else {})}
        self._add("Linear", where, arrays, (*self.shape[:-1], arrays["weight"].shape[0]))
        self._activation(layer.activation, where)

    def _conv2d(self, layer: Any, where: str) -> None:
        self._turn(layer, where, TO_CHANNELS_FIRST)
        weights = self._weights(layer, where, kernel=layer.kernel, bias=layer.bias)
        kernel = weights.pop("kernel")  # (height, width, in, out)
        options = self._windows(layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate, where)
        out = (1, kernel.shape[-1], *options.pop("out"))
        # torch's layer pads both sides alike; where Keras pads the end more, values are moved into a larger image first
        end = options.pop("padding_end")
        if tuple(end) != tuple(options["padding"]):
            self._pad(where, options["padding"], end)
            options["padding"] = (0, 0)
        arrays = {"weight": np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), **weights}
        self._add("Conv2d", where, arrays, out, groups=int(layer.groups), **options)
        self._turn(layer, where, TO_CHANNELS_LAST)
        self._activation(layer.activation, where)

    def _pad(self, where: str, begin: Sequence[int], end: Sequence[int]) -> None:
        _, channels, height, width = self.shape
        index = np.arange(channels * height * width).reshape(channels, height, width)
        padded = np.pad(index, ((0, 0), (begin[0], end[0]), (begin[1], end[1])), constant_values=-1)
        self._add("Select", where, shape=(1, *padded.shape), index=padded.reshape(-1).tolist())

    def _pool(self, layer: Any, where: str) -> None:
        self._turn(layer, where, TO_CHANNELS_FIRST)
        options = self._windows(layer.pool_size, layer.strides, layer.padding, (1, 1), where)
        out = (1, self.shape[1], *options.pop("out"))
        options |= {"kernel": tuple(int(k) for k in layer.pool_size), "ceil_mode": False}
        if tuple(options["padding_end"]) == tuple(options["padding"]):
            del options["padding_end"]
        if type(layer).__name__ == "MaxPooling2D":
            self._add("MaxPool2d", where, None, out, **options)
        else:
            self._add("AvgPool2d", where, None, out, count_include_pad=False, divisor=None, **options)
        self._turn(layer, where, TO_CHANNELS_LAST)

    def _global_average(self, layer: Any, where: str) -> None:
        self._turn(layer, where, TO_CHANNELS_FIRST)
        kernel, out = self.shape[2:], (1, self.shape[1], 1, 1)
        self._add(
            "AvgPool2d", where, None, out, kernel=kernel, stride=kernel, padding=(0, 0), count_include_pad=False,
            divisor=None, ceil_mode=False,
        )  # fmt: skip
        self._turn(layer, where, TO_CHANNELS_LAST)
        if not layer.keepdims:
            self._add("Reshape", where, shape=(1, out[1]))

    def _batch_norm(self, layer: Any, where: str) -> None:
        axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
        axis = axis % len(self.shape)
        if axis == 0:
            raise UnsupportedLayerError(f"{where}: axis={layer.axis} normalises over the batch; use the last axis")
        order = [0, axis, *(i for i in range(1, len(self.shape)) if i != axis)]
        weights = self._weights(
            layer, where, weight=layer.gamma if layer.scale else None, bias=layer.beta if layer.center else None,
            running_mean=layer.moving_mean, running_var=layer.moving_variance,
        )  # fmt: skip
        before = self.shape
        if order != list(range(len(before))):
            self._add("Permute", where, shape=tuple(before[i] for i in order), order=order)
        self._add("BatchNorm", where, weights, eps=float(self.dtype.type(layer.epsilon)))
        if order != list(range(len(before))):
            self._add("Permute", where, shape=before, order=[order.index(i) for i in range(len(order))])

    def _rescaling(self, layer: Any, where: str) -> None:
        scale, shift = (np.asarray(value, dtype=self.dtype) for value in (layer.scale, layer.offset))
        self._add("Scale", where, {"scale": scale, "shift": shift})

    def _flatten(self, layer: Any, where: str) -> None:
        if getattr(layer, "data_format", "channels_last") == "channels_first" and len(self.shape) > 2:
            order = [0, *range(2, len(self.shape)), 1]  # Keras flattens the channels last
            self._add("Permute", where, shape=tuple(self.shape[i] for i in order), order=order)
        self._add("Flatten", where, shape=(1, int(np.prod(self.shape))))

    def _reshape(self, layer: Any, where: str) -> None:
        target = [int(size) for size in layer.target_shape]
        if -1 in target:
            known = -int(np.prod(target))
            target[target.index(-1)] = int(np.prod(self.shape)) // known
        self._add("Reshape", where, shape=(1, *target))

    def _sum(self, layer: Any, where: str) -> None:
        if len(self._sources) != 2:
            raise UnsupportedLayerError(f"{where}: takes {len(self._sources)} values; only two can be added")
        self._add("Sum", where, shape=self.shape, signs=(1, 1 if type(layer).__name__ == "Add" else -1))

    def _relu(self, layer: Any, where: str) -> None:
        if layer.max_value is not None or layer.threshold:
            raise UnsupportedLayerError(f"{where}: max_value and threshold are not supported; use ReLU() without them")
        self._rectify(float(layer.negative_slope or 0.0), where)

    def _leaky_relu(self, layer: Any, where: str) -> None:
        self._rectify(float(layer.negative_slope), where)

    def _rectify(self, slope: float, where: str) -> None:
        if slope:
            self._add("LeakyReLU", where, slope=float(self.dtype.type(slope)))
        else:
            self._add("ReLU", where)

    def _activation(self, activation: Any, where: str) -> None:
        """Read the function at the end of a layer, which Keras keeps under its name."""
        name = getattr(activation, "__name__", type(activation).__name__)
        if not getattr(activation, "__module__", "").startswith("keras."):
            raise UnsupportedLayerError(f"{where}: an activation of your own ({name}); use 'relu'")
        if name == "linear":
            return
        if name == "relu":
            self._add("ReLU", where)
        elif name == "leaky_relu":
            self._rectify(0.2, where)  # Keras's default, which a name alone stands for
        elif name in ("sigmoid", "softmax", "log_softmax"):
            kind = {"sigmoid": "Sigmoid", "softmax": "Softmax", "log_softmax": "LogSoftmax"}[name]
            self._head(kind, where)
        else:
            raise UnsupportedLayerError(f"{where}: the activation {name!r} is not supported; use 'relu' between layers")

    def _head(self, kind: str, where: str) -> None:
        if kind != "Sigmoid" and self.shape[-1] != int(np.prod(self.shape)):
            raise UnsupportedLayerError(
                f"{where}: its softmax runs over {self.shape[-1]} of {int(np.prod(self.shape))} outputs; "
                "flatten them first"
            )
        self._add(kind, where)

    def _softmax(self, layer: Any, where: str) -> None:
        axis = layer.axis
        if axis not in (-1, len(self.shape) - 1):
            raise UnsupportedLayerError(f"{where}: axis={axis} is not supported; use axis=-1")
        self._head("Softmax", where)

    def _turn(self, layer: Any, where: str, order: list[int]) -> None:
        if len(self.shape) != 4:
            raise NetworkError(f"{where}: takes an image of shape (height, width, channels), found {self.shape[1:]}")
        if layer.data_format == "channels_last":
            self._add("Permute", where, shape=tuple(self.shape[i] for i in order), order=order)

    def _windows(self, kernel: Any, strides: Any, padding: str, dilation: Any, where: str) -> dict[str, Any]:
        """Strides and padding for an image (1, channels, height, width), as Keras takes them."""
        kernel, strides, dilation = ([int(k) for k in one] for one in (kernel, strides, dilation))
        begin, end, out = [], [], []
        for size, k, stride, d in zip(self.shape[2:], kernel, strides, dilation, strict=True):
            reach = d * (k - 1) + 1
            total = max(0, (-(-size // stride) - 1) * stride + reach - size) if padding == "same" else 0
            begin.append(total // 2)
            end.append(total - total // 2)
            out.append((size + total - reach) // stride + 1)
        if padding not in ("same", "valid"):
            raise UnsupportedLayerError(f"{where}: padding={padding!r} is not supported; use 'valid' or 'same'")
        return {
            "stride": tuple(strides), "padding": tuple(begin), "padding_end": tuple(end), "dilation": tuple(dilation),
            "out": tuple(out),
        }  # fmt: skip

    def _weights(self, layer: Any, where: str, **weights: Any) -> Arrays:
        """Copy weights as they are stored."""
        if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
            raise UnsupportedLayerError(f"{where}: quantized or with LoRA; only plain weights are supported")
        found = {}
        for name, weight in weights.items():
            if weight is not None:
                array = to_array(weight.value)
                if array.dtype not in (np.float32, np.float64):
                    raise UnsupportedLayerError(f"{where}: weights of {array.dtype}; use float32 or float64")
                found[name] = array
        return found


_LAYERS: dict[str, Callable[[Reader, Any, str], None]] = {
    "Dense": Reader._dense,
    "Conv2D": Reader._conv2d,
    "AveragePooling2D": Reader._pool,
    "MaxPooling2D": Reader._pool,
    "GlobalAveragePooling2D": Reader._global_average,
    "BatchNormalization": Reader._batch_norm,
    "Rescaling": Reader._rescaling,
    "Flatten": Reader._flatten,
    "Reshape": Reader._reshape,
    "Add": Reader._sum,
    "Subtract": Reader._sum,
    "ReLU": Reader._relu,
    "LeakyReLU": Reader._leaky_relu,
    "Softmax": Reader._softmax,
    "Activation": lambda reader, layer, where: reader._activation(layer.activation, where),
}
