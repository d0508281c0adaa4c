"""WholeNetwork: a sketch with its holes filled, evaluated in whole numbers and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.errors import SketchError
from verifier.synthesis.sketch import Examples, Sketch, Whole

TIE = -1  # the class of an input whose outputs name none


@dataclass(frozen=True, eq=False)
class WholeNetwork:
    """A network of whole numbers.

    Args:
        sketch: What it fills.
        weights: One array for each layer, (outputs, inputs).
        biases: One array for each layer, (outputs,).

    Raises:
        SketchError: The shapes are not those of the sketch.
    """

    sketch: Sketch
    weights: tuple[Whole, ...]
    biases: tuple[Whole, ...]

    def __post_init__(self) -> None:
        """Compare the shapes."""
        for name, dims in (("weights", 2), ("biases", 1)):
            arrays = tuple(np.asarray(one, dtype=np.int64) for one in getattr(self, name))
            object.__setattr__(self, name, arrays)
            wanted = [(m, n)[:dims] for n, m in zip(self.sketch.topology[:-1], self.sketch.topology[1:], strict=True)]
            if [one.shape for one in arrays] != wanted:
                raise SketchError(f"{name}: found shapes {[one.shape for one in arrays]}, expected {wanted}")

    def sums(self, inputs: Any) -> list[Whole]:
        """The sums of every layer, z, at some inputs of shape (examples, inputs); each (examples, neurons).

        Raises:
            SketchError: The inputs have another shape.
        """
        h = np.asarray(inputs, dtype=np.int64)
        if h.ndim != 2 or h.shape[1] != self.sketch.topology[0]:
            raise SketchError(
                f"inputs: found shape {h.shape}, expected (examples, {self.sketch.topology[0]}); "
                "one example is a list of one row"
            )
        found = []
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            scale = np.asarray(self.sketch.scale(weight.shape[1]), dtype=np.int64)
            z = h @ (weight * scale).T + bias
            if self.sketch.bits is not None:
                half = 2 ** (self.sketch.bits - 1)
                z = (z + half) % (2 * half) - half
            last = layer == len(self.weights)
            if self.sketch.output_relu and last:
                z = np.maximum(z, 0)
            found.append(z)
            h = np.maximum(z, 0) if self.sketch.activation == "relu" else np.where(z >= self.sketch.threshold, 1, -1)
        return found

    def outputs(self, inputs: Any) -> Whole:
        """The last layer's values, (examples, outputs)."""
        return self.sums(inputs)[-1]

    def predict(self, inputs: Any) -> Whole:
        """The class of each input, (examples,); TIE where the outputs name none.

        Raises:
            SketchError: The sketch has output="value", which names no class.
        """
        y = self.outputs(inputs)
        if self.sketch.output == "value":
            raise SketchError("predict: output='value' names no class; look at outputs()")
        if self.sketch.output == "sign":
            return (y[:, 0] >= self.sketch.threshold).astype(np.int64)
        best = y.max(axis=1, keepdims=True) if self.sketch.output == "argmax" else None
        chosen = y == best if best is not None else y >= self.sketch.threshold
        return np.where(chosen.sum(axis=1) == 1, chosen.argmax(axis=1), TIE)

    def right(self, examples: Examples) -> Whole:
        """Which examples it gets right, (examples,), as 0 and 1."""
        if self.sketch.output == "value":
            right: Whole = (self.outputs(examples.inputs) == examples.labels).all(axis=1).astype(np.int64)
        else:
            right = (self.predict(examples.inputs) == examples.labels).astype(np.int64)
        return right

    def accuracy(self, examples: Examples) -> float:
        """The share that it gets right."""
        return float(self.right(examples).mean())

    def balanced_accuracy(self, examples: Examples) -> float:
        """The mean over the classes of the share that it gets right."""
        right = self.right(examples)
        return float(np.mean([right[examples.labels == label].mean() for label in np.unique(examples.labels)]))

    @property
    def nonzero(self) -> int:
        """How many weights are not zero."""
        return sum(int(np.count_nonzero(weight)) for weight in self.weights)
