"""Network: affine layers with ReLU between them and an optional head."""

from __future__ import annotations

import enum
import math
import numbers
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

import verifier.matrix as matrix
from verifier.affine import Affine as Affine
from verifier.affine import propagate_interval as propagate_interval
from verifier.enclosure import Array, Bounds, Indices
from verifier.errors import NetworkError
from verifier.folding import compose

ACTIVATIONS = ("relu", "identity")  # what from_arrays() puts between two layers
LABELERS = ("argmax",)  # how it names the class


class Head(enum.Enum):
    """What is applied to the logits, the outputs of the last affine layer."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax"

    def apply(self, logits: Array) -> Array:
        """Turn logits of shape (..., outputs) into outputs of the same shape, in float64."""
        if self is Head.IDENTITY:
            return logits
        if self is Head.SIGMOID:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return np.asarray(shifted - log_sum if self is Head.LOG_SOFTMAX else np.exp(shifted - log_sum))


@dataclass(frozen=True, eq=False)
class Maxima:
    """What is known of one layer of ReLUs beside its weights: it computes with the largest of some values each.

    Max pooling is written as ReLUs, max(a, b) = a + relu(b - a), which forgets that the result is no larger than both.
    Here stands what it forgets: the first values z of the layer are combine @ m, m_i the largest of the values
    `groups[i]`, which are functions of what an earlier layer gives.

    Args:
        source: Number of the layer whose outputs (behind the ReLU) the values come from; -1 for the network's inputs.
        values: The values as functions of those outputs; None where they are the outputs themselves.
        groups: Which of the values each maximum is taken over, shape (maxima, values of each), a value may stand twice.
        combine: z of the layer's first neurons from the maxima.
    """

    source: int
    values: Affine | None
    groups: Indices
    combine: Affine

    def bounds(self, outputs: Bounds) -> Bounds:
        """Bound the layer's first pre-activations from bounds on the source's outputs, (..., neurons) each."""
        values = outputs
        if self.values is not None:
            count = self.values.weight.shape[1]  # further neurons may have been put behind them
            values = propagate_interval(self.values, Bounds(outputs.lower[..., :count], outputs.upper[..., :count]))
        maxima = Bounds(values.lower[..., self.groups].max(axis=-1), values.upper[..., self.groups].max(axis=-1))
        return propagate_interval(self.combine, maxima)


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of affine layers with ReLU between them, and a head.

    Args:
        layers: At least one; the outputs of each are the inputs of the next.
        head: What is applied to the last layer's values (the logits).
        input_shape: Shape of one input without the batch; its product is the number of inputs.
        maxima: What is known of layers that write max pooling as ReLUs, by the layer's number; for the frontends.

    Raises:
        NetworkError: The layers do not fit together, or a weight is NaN or infinite.
    """

    layers: tuple[Affine, ...]
    head: Head = Head.IDENTITY
    input_shape: tuple[int, ...] = field(default=())
    maxima: Mapping[int, Maxima] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check that the chain fits together."""
        object.__setattr__(self, "layers", _chain(self.layers))
        object.__setattr__(self, "head", _head(self.head))
        for index, layer in enumerate(self.layers):
            _check_layer(f"layer {index}", layer)
            if index and layer.weight.shape[1] != self.layers[index - 1].weight.shape[0]:
                raise NetworkError(
                    f"layer {index}: takes {layer.weight.shape[1]} values, but the layer before gives "
                    f"{self.layers[index - 1].weight.shape[0]}"
                )
        object.__setattr__(self, "input_shape", _shape(self.input_shape, self.inputs))

    @classmethod
    def from_arrays(
        cls, weights: Sequence[Any], biases: Sequence[Any], activation: str = "relu", labeler: str = "argmax"
    ) -> Network:
        """Make a Network of the weights and biases of its layers; wherever a torch module is taken, this is as well.

        With the activation "identity" the layers fold into one, with a radius for what the folding rounds.

        Args:
            weights: One weight of shape (out, in) per layer: lists, arrays or tensors.
            biases: One bias of shape (out,) per layer.
            activation: Between two layers, not after the last: "relu" or "identity".
            labeler: How the class is read from the outputs: "argmax", the place of the largest; see classify().

        Raises:
            NetworkError: The shapes do not chain, a weight is not finite, or activation or labeler is not known.

        Example:
            >>> swapped = Network.from_arrays([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 1], [2, 2]])
            >>> swapped(np.array([[1.0, 2.0]])), swapped.classify([1.0, 2.0])
            (array([[5., 4.]]), 0)
        """
        for name, value, known in (("activation", activation, ACTIVATIONS), ("labeler", labeler, LABELERS)):
            if not (isinstance(value, str) and value in known):
                raise NetworkError(f"{name}: found {value!r}, expected one of {', '.join(map(repr, known))}")
        layers = _affine_chain(weights, biases)
        return cls((reduce(compose, layers),) if activation == "identity" else layers)

    def classify(self, x: Any) -> Any:
        """The class of an input: the place of its largest logit, in float64, the lowest of several that are equal.

        A tie has a class, and still no robust one: argmax_is() and the robustness functions ask for more than every
        other output.

        Args:
            x: One input, or a batch of them: shape input_shape or (inputs,), a batch in front of it.

        Returns:
            The class as a whole number; for a batch an array of them, (batch,).

        Raises:
            NetworkError: x is not one input or a batch of them.
        """
        points, batch = _points(x, self.inputs, self.input_shape)
        classes = self.logits(points).argmax(axis=1)
        return classes if batch else int(classes[0])

    @property
    def inputs(self) -> int:
        """Number of inputs, flattened."""
        return int(self.layers[0].weight.shape[1])

    @property
    def outputs(self) -> int:
        """Number of outputs, flattened."""
        return int(self.layers[-1].weight.shape[0])

    @property
    def neurons(self) -> int:
        """Number of ReLUs."""
        return sum(int(layer.weight.shape[0]) for layer in self.layers[:-1])

    @property
    def exact(self) -> bool:
        """Whether every stored weight is the true one."""
        return all(layer.exact for layer in self.layers)

    def bound_layer(self, index: int, outputs: Sequence[Bounds]) -> Bounds:
        """Bound a layer's pre-activations by intervals.

        Args:
            index: Number of the layer.
            outputs: Bounds on the inputs, then on what each layer before gives behind its ReLU, (..., neurons) each.
        """
        z = propagate_interval(self.layers[index], outputs[index])
        if index not in self.maxima:
            return z
        known = self.maxima[index]
        first = known.bounds(outputs[known.source + 1])
        count = first.lower.shape[-1]
        lower, upper = z.lower.copy(), z.upper.copy()
        lower[..., :count] = np.maximum(lower[..., :count], first.lower)
        upper[..., :count] = np.minimum(upper[..., :count], first.upper)
        return Bounds(lower, upper)

    def reach(self, magnitude: Array) -> float:
        """Bound every value and coefficient that a bound of this network can meet, inputs up to `magnitude`."""
        h = np.maximum(magnitude, 1.0)
        largest = float(h.max(initial=1.0))
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in self.layers:
                h = matrix.forward(layer.magnitude, h) + np.abs(layer.bias)
                largest = max(largest, float(h.max()))
                h = np.maximum(h, 1.0)
        return largest if np.isfinite(largest) else float("inf")

    def pre_activations(self, x: Array) -> list[Array]:
        """Compute z of every layer in float64 for x of shape (batch, inputs); the last entry is the logits."""
        values: list[Array] = []
        h = x
        for layer in self.layers:
            z = layer.forward(h) + layer.bias
            values.append(z)
            h = np.maximum(z, 0.0)
        return values

    def logits(self, x: Array) -> Array:
        """Compute the last affine layer's values, shape (batch, outputs), in float64."""
        return self.pre_activations(x)[-1]

    def __call__(self, x: Array) -> Array:
        """Compute the outputs, shape (batch, outputs), in float64."""
        return self.head.apply(self.logits(x))

    def enclose_logits(self, x: Array) -> Bounds:
        """Enclose the true logits at the points x, shape (batch, inputs), with every rounding accounted for."""
        outputs = [Bounds(x, x)]
        for index in range(len(self.layers)):
            bounds = self.bound_layer(index, outputs)
            if index < len(self.layers) - 1:
                outputs.append(Bounds(np.maximum(bounds.lower, 0.0), np.maximum(bounds.upper, 0.0)))
        return bounds

    def exact_logits(self, x: Array) -> list[Fraction]:
        """Compute the logits at one point, shape (inputs,), in rational arithmetic; needs exact weights."""
        h = [Fraction(float(value)) for value in x]
        for index, layer in enumerate(self.layers):
            z = []
            for row, bias in enumerate(layer.bias):
                total = Fraction(float(bias))
                for i, weight in zip(*matrix.row_terms(layer.weight, row), strict=True):
                    if h[i]:
                        total += Fraction(float(weight)) * h[i]
                z.append(total)
            h = z if index == len(self.layers) - 1 else [max(value, Fraction(0)) for value in z]
        return h


def _points(x: Any, inputs: int, input_shape: tuple[int, ...]) -> tuple[Array, bool]:
    """One input or a batch as float64, (batch, inputs), and whether it is a batch."""
    try:
        found = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise NetworkError(f"x: expected numbers of shape ({inputs},), found {type(x).__name__}") from None
    for shape in ((inputs,), input_shape):
        if found.shape == shape or found.shape[1:] == shape:
            return found.reshape(-1, inputs), found.shape != shape
    raise NetworkError(f"x: found shape {found.shape}, expected one input of shape {input_shape} or a batch of them")


def _affine_chain(weights: Any, biases: Any) -> tuple[Affine, ...]:
    """The layers of from_arrays(), each of which takes what the one before gives."""
    given = {"weights": weights, "biases": biases}
    for name, value in given.items():
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
            raise NetworkError(f"{name}: found {type(value).__name__}, expected a list with one array per layer")
    weights, biases = list(weights), list(biases)
    if len(weights) != len(biases) or not weights:
        raise NetworkError(f"found {len(weights)} weights and {len(biases)} biases; expected one of each per layer")
    read = [
        (matrix.stored(weight, f"weights[{i}]"), matrix.stored(bias, f"biases[{i}]"))
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True))
    ]
    for i, (weight, bias) in enumerate(read):
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise NetworkError(
                f"weights[{i}] has shape {weight.shape} and biases[{i}] {bias.shape}; expected (out, in) and (out,)"
            )
        if i and weight.shape[1] != read[i - 1][0].shape[0]:
            before, turned = read[i - 1][0].shape, weight.shape[0] == read[i - 1][0].shape[0]
            raise NetworkError(
                f"weights[{i - 1}] has shape {before} and gives {before[0]} values, but weights[{i}] has shape "
                f"{weight.shape} and takes {weight.shape[1]}" + ("; is it transposed?" if turned else "")
            )
    layers = tuple(Affine(weight, bias) for weight, bias in read)
    for i, layer in enumerate(layers):
        _check_layer(f"layer {i}", layer)
    return layers


def _chain(layers: Any) -> tuple[Affine, ...]:
    """A caller's layers as a tuple."""
    if isinstance(layers, Affine) or not isinstance(layers, Iterable):
        raise NetworkError(f"network: layers is {type(layers).__name__}; give a tuple of Affine layers")
    found = tuple(layers)
    if not found:
        raise NetworkError("network: no layer; give at least one affine layer")
    for index, layer in enumerate(found):
        if not isinstance(layer, Affine):
            raise NetworkError(
                f"layer {index}: found {type(layer).__name__}, expected Affine(weight, bias); ReLU stands between "
                "layers by itself"
            )
    return found


def _head(head: Any) -> Head:
    """A Head, or its value."""
    try:
        return Head(head)
    except ValueError:
        names = ", ".join(repr(one.value) for one in Head)
        raise NetworkError(f"network: head is {head!r}, expected a Head or one of {names}") from None


def _check_layer(where: str, layer: Affine) -> None:
    """Refuse a layer whose parts do not fit together, or are not finite."""
    if layer.weight.ndim != 2 or layer.bias.shape != (layer.weight.shape[0],):
        raise NetworkError(
            f"{where}: weight {layer.weight.shape} and bias {layer.bias.shape} do not fit; expected (out, in) and "
            "(out,)"
        )
    if 0 in layer.weight.shape:
        raise NetworkError(f"{where}: weight has shape {layer.weight.shape}; expected at least one input and output")
    if not (np.isfinite(matrix.entries(layer.weight)).all() and np.isfinite(layer.bias).all()):
        raise NetworkError(f"{where}: a weight is NaN or infinite; train the network again")
    for name, error, like in (
        ("weight_error", layer.weight_error, layer.weight), ("bias_error", layer.bias_error, layer.bias)
    ):  # fmt: skip
        if error is None:
            continue
        if error.shape != like.shape:
            raise NetworkError(f"{where}: {name} has shape {error.shape}, expected {like.shape}")
        values = matrix.entries(error)
        if not np.isfinite(values).all():
            raise NetworkError(f"{where}: what folding its weights rounds is infinite; they are too large")
        if (values < 0).any():
            raise NetworkError(f"{where}: {name} holds a negative number, but it is a radius; give its magnitude")


def _shape(input_shape: Any, inputs: int) -> tuple[int, ...]:
    """The shape of one input, (inputs,) where none is given."""
    if isinstance(input_shape, numbers.Integral):
        input_shape = (input_shape,)
    try:
        shape = tuple(operator.index(size) for size in input_shape) or (inputs,)
    except TypeError:
        raise NetworkError(f"input_shape: found {input_shape!r}, expected a tuple of whole numbers") from None
    if min(shape) < 1 or math.prod(shape) != inputs:
        raise NetworkError(f"input_shape {shape} does not hold {inputs} inputs")
    return shape
