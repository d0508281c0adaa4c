"""Sketch and Examples: a network with holes in place of its weights, and what it must do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from verifier.errors import SketchError

Whole = NDArray[np.int64]
LARGEST_SUM = 2**52  # a sum beyond it fits neither the encodings nor an exact float64
LARGEST_ENCODING = 3_000_000  # products of a hole and a value, over all examples: about 2 GB of model

Activation = Literal["relu", "sign", "halves"]
Reading = Literal["value", "sign", "argmax", "one-hot"]


@dataclass(frozen=True)
class Sketch:
    """A network with holes.

    Args:
        topology: Neurons of each layer, the inputs first, such as (64, 32, 32, 10).
        weights: The values that each weight may have.
        biases: The values that each bias may have; (0,) for none.
        activation: Of the hidden layers. "relu": max(z, 0). "sign": 1 where z >= 0, else -1; with inputs and weights of
            -1 and 1 this is popcount(xnor(inputs, weights)) >= half the inputs. "halves": the upper half of the word
            xnor(inputs, weights), as an integer, is greater than its lower half; 1 or -1.
        output: How the last layer is read. "value": it equals the label. "sign": one output, class 1 where z >= 0.
            "argmax": the largest output, a tie being an error. "one-hot": exactly one output is >= 0.
        output_relu: Whether the last layer has ReLU, too.
        bits: None for exact sums; with 8, every sum is kept in eight bits, and what does not fit wraps around.

    Raises:
        SketchError: A domain is empty, a layer has no neuron, or the parts do not fit together.
    """

    topology: tuple[int, ...]
    weights: tuple[int, ...] = (-1, 1)
    biases: tuple[int, ...] = (0,)
    activation: Activation = "relu"
    output: Reading = "sign"
    output_relu: bool = False
    bits: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no network can be."""
        object.__setattr__(self, "topology", _whole_numbers("topology", self.topology, "such as (64, 8, 1)"))
        for name in ("weights", "biases"):
            given = _whole_numbers(name, getattr(self, name), "such as between(-1, 1)")
            values = tuple(sorted(set(given)))
            if not values:
                raise SketchError(f"{name}: the domain is empty, so no hole can be filled; give at least one value")
            object.__setattr__(self, name, values)
        if len(self.topology) < 2 or min(self.topology) < 1:
            raise SketchError(
                f"topology: found {self.topology}, expected the inputs and at least one layer, none of them empty"
            )
        for name, known in (("activation", ("relu", "sign", "halves")), ("output", _READINGS)):
            if getattr(self, name) not in known:
                raise SketchError(f"{name}: found {getattr(self, name)!r}, expected one of {', '.join(known)}")
        if self.output == "sign" and self.topology[-1] != 1:
            raise SketchError(
                f"topology: output='sign' reads one output, found {self.topology[-1]}; output='argmax' reads several"
            )
        if self.output in ("argmax", "one-hot") and self.topology[-1] < 2:
            raise SketchError(
                f"topology: output={self.output!r} needs two outputs or more, found 1; output='sign' reads one"
            )
        if self.activation == "halves":
            odd = [size for size in self.topology[:-1] if size % 2]
            if odd:
                raise SketchError(f"topology: activation='halves' cuts each word in two; {odd[0]} is odd")
        if self.bits is not None and (not isinstance(self.bits, int) or self.bits < 2):
            raise SketchError(f"bits: found {self.bits!r}, expected None or a whole number of at least 2")

    @property
    def holes(self) -> int:
        """How many weights and biases are to be found."""
        layers = list(zip(self.topology[:-1], self.topology[1:], strict=True))
        return sum(n * m for n, m in layers) + (sum(self.topology[1:]) if len(self.biases) > 1 else 0)

    @property
    def name(self) -> str:
        """The topology as text, such as "64-8-1"."""
        return "-".join(str(size) for size in self.topology)

    def scale(self, inputs: int) -> list[int]:
        """What each value of a layer counts: 1, or with "halves" its power of two, negative in the lower half."""
        if self.activation != "halves":
            return [1] * inputs
        half = inputs // 2
        powers = [2 ** (half - 1 - place) for place in range(half)]
        return powers + [-power for power in powers]

    @property
    def threshold(self) -> int:
        """The sum from which on a neuron's bit is set."""
        return 1 if self.activation == "halves" else 0


_READINGS = ("value", "sign", "argmax", "one-hot")


@dataclass(frozen=True, eq=False)
class Examples:
    """Whole-number inputs and their labels.

    Args:
        inputs: Shape (examples, inputs).
        labels: The class of each, from 0 on, (examples,); for output="value" the wanted outputs, (examples, outputs).

    Raises:
        SketchError: They are no whole numbers, or their shapes differ.
    """

    inputs: Whole
    labels: Whole

    def __post_init__(self) -> None:
        """Read lists, tensors and arrays alike."""
        for name in ("inputs", "labels"):
            try:
                found = np.asarray(getattr(self, name))
                if found.dtype.kind == "f" and not np.isfinite(found).all():
                    raise SketchError(f"{name}: found numbers that are not finite (NaN or infinity)")
                exact = found.astype(np.int64)
            except SketchError:
                raise
            except (ValueError, TypeError, OverflowError) as error:
                raise SketchError(f"{name}: not an array of whole numbers ({error})") from error
            if not np.array_equal(exact, found):
                raise SketchError(f"{name}: found numbers that are not whole; scale and round them first")
            object.__setattr__(self, name, exact)
        if self.inputs.ndim != 2 or not self.inputs.size:
            raise SketchError(f"inputs: found shape {self.inputs.shape}, expected (examples, inputs)")
        if len(self.labels) != len(self.inputs):
            raise SketchError(f"labels: found {len(self.labels)} for {len(self.inputs)} inputs")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.inputs)

    def contradictions(self) -> list[tuple[int, int]]:
        """Pairs of examples with one input and different labels: the first of that input, and one that differs."""
        first: dict[bytes, int] = {}
        found = []
        for place, x in enumerate(self.inputs):
            before = first.setdefault(x.tobytes(), place)
            if not np.array_equal(self.labels[before], self.labels[place]):
                found.append((before, place))
        return found

    def best_possible(self) -> int:
        """How many a function can get right at most: for each input, those with its commonest label."""
        groups: dict[bytes, dict[bytes, int]] = {}
        for x, label in zip(self.inputs, self.labels, strict=True):
            counts = groups.setdefault(x.tobytes(), {})
            counts[label.tobytes()] = counts.get(label.tobytes(), 0) + 1
        return sum(max(counts.values()) for counts in groups.values())


def check_fit(sketch: Sketch, examples: Examples) -> None:
    """Refuse examples that a sketch cannot take, and a sketch that is too large to be written down.

    Raises:
        SketchError: The message says which, and the size.
    """
    if not isinstance(sketch, Sketch):
        raise SketchError(f"sketch: found {type(sketch).__name__}, expected a Sketch, such as Sketch((2, 1))")
    if not isinstance(examples, Examples):
        raise SketchError(f"examples: found {type(examples).__name__}, expected Examples(inputs, labels)")
    if sketch.topology[0] != examples.inputs.shape[1]:
        raise SketchError(
            f"topology: {sketch.name} takes {sketch.topology[0]} inputs, the examples have {examples.inputs.shape[1]}"
        )
    outputs = sketch.topology[-1]
    if sketch.output == "value":
        if examples.labels.shape != (len(examples), outputs):
            raise SketchError(
                f"labels: found shape {examples.labels.shape}, expected {(len(examples), outputs)}: with "
                "output='value' a label is the list of the wanted outputs"
            )
    else:
        classes = 2 if sketch.output == "sign" else outputs
        if examples.labels.ndim != 1:
            raise SketchError(
                f"labels: found shape {examples.labels.shape}, expected ({len(examples)},): one class for each example"
            )
        if examples.labels.min() < 0 or examples.labels.max() >= classes:
            raise SketchError(
                f"labels: {sketch.name} with output={sketch.output!r} tells classes 0 to {classes - 1}, found "
                f"{examples.labels.min()} to {examples.labels.max()}"
            )
    if sketch.activation != "relu" and set(np.unique(examples.inputs).tolist()) - {-1, 1}:
        raise SketchError(
            f"inputs: activation={sketch.activation!r} takes inputs of -1 and 1; bits_as_signs() makes them of 0 and 1"
        )
    if sketch.activation == "halves" and set(sketch.weights) - {-1, 1}:
        raise SketchError("weights: activation='halves' takes weights of -1 and 1")
    size = len(examples) * sum(n * m for n, m in zip(sketch.topology[:-1], sketch.topology[1:], strict=True))
    if size > LARGEST_ENCODING:
        raise SketchError(
            f"{sketch.name} on {len(examples)} examples is too large for the encoding: {size:,} products, "
            f"at most {LARGEST_ENCODING:,}; take fewer examples or neurons"
        )
    ranges(sketch, int(np.abs(examples.inputs).max()))


def ranges(sketch: Sketch, largest_input: int) -> list[tuple[int, int]]:
    """Between which numbers the sums of each layer lie, before they are wrapped.

    Raises:
        SketchError: They are beyond LARGEST_SUM.
    """
    found, reach = [], largest_input
    for layer, inputs in enumerate(sketch.topology[:-1], start=1):
        weight, bias = (max(abs(value) for value in values) for values in (sketch.weights, sketch.biases))
        most = sum(abs(scale) for scale in sketch.scale(inputs)) * weight * reach + bias
        if most > LARGEST_SUM:
            raise SketchError(
                f"weights: the domain is too large for the encoding: sums of layer {layer} reach {most:,}, "
                f"at most {LARGEST_SUM:,} fit; take smaller weights, inputs or layers"
            )
        found.append((-most, most))
        held = most if sketch.bits is None else 2 ** (sketch.bits - 1)
        reach = 1 if sketch.activation != "relu" else min(most, held)
    return found


def between(low: int, high: int) -> tuple[int, ...]:
    """The whole numbers from one to another, both included.

    Raises:
        SketchError: The first is larger than the second.

    Example:
        >>> between(-1, 1)
        (-1, 0, 1)
    """
    if low > high:
        raise SketchError(f"between: found {low} and {high}, the smaller comes first; were they swapped?")
    return tuple(range(low, high + 1))


def _whole_numbers(name: str, given: Any, example: str) -> tuple[int, ...]:
    """What was given as whole numbers; text, a single number and fractions are refused."""
    wrong = f"{name}: found {given!r}, expected whole numbers, {example}"
    if isinstance(given, str | bytes):
        raise SketchError(wrong)
    try:
        values = list(given)
        exact = tuple(int(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise SketchError(wrong) from error
    if any(one != value for one, value in zip(exact, values, strict=True)):
        raise SketchError(wrong)
    return exact


def cost(sketch: Sketch) -> tuple[int, int]:
    """What orders sketches from cheap to expensive: holes first, then the values that a weight may have."""
    return sketch.holes, len(sketch.weights)


def in_order(sketches: Sequence[Sketch]) -> list[Sketch]:
    """A metasketch's sketches from cheap to expensive."""
    return sorted(sketches, key=cost)


def bits_as_signs(bits: Any) -> Whole:
    """Bits as -1 and 1."""
    return 2 * np.asarray(bits, dtype=np.int64) - 1
