"""Frontend for .nnet files, the text format of the ACAS Xu networks, with its normalisation.

The network of a file is the whole function from physical inputs to physical outputs: inputs are clipped to the file's
range and normalised, outputs are scaled back. Numbers are read as float64, and replay is the Network itself.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from verifier.enclosure import Array
from verifier.errors import NetworkError
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import Step
from verifier.network import Subject


def read_nnet(path: Path) -> Subject:
    """Read a .nnet file, or one compressed with gzip (.nnet.gz).

    The clipping is written with ReLUs, low + relu(x - low) - relu(x - high), which are stable wherever the box of the
    question lies within the range.

    Raises:
        NetworkError: The file cannot be read; the message names the line.

    Source:
        Julian, Kochenderfer. The NNet format, github.com/sisl/NNet: comments, then layer count and sizes, a flag that
        is not used, minima, maxima, means and ranges (the outputs' last), then weights and biases of each layer.
    """
    lines = _Lines(path)
    layers = lines.whole(4)[0]
    sizes = lines.whole(layers + 1)
    lines.row(0)
    inputs = sizes[0]
    low, high = lines.row(inputs), lines.row(inputs)
    mean, scale = lines.row(inputs + 1), lines.row(inputs + 1)
    if (scale <= 0).any() or (low > high).any():
        raise NetworkError(f"net: {path.name}: a range is not positive, or a minimum exceeds its maximum")
    steps = [
        *_clip(low, high),
        Step("Scale", "the means of the inputs", {"shift": -mean[:-1]}, shape=(1, inputs)),
        Step("Scale", "the ranges of the inputs", {"divisor": scale[:-1]}, shape=(1, inputs)),
    ]
    for index, (columns, rows) in enumerate(itertools.pairwise(sizes)):
        if index:
            steps.append(Step("ReLU", f"ReLU {index}", shape=(1, columns)))
        weight = np.stack([lines.row(columns) for _ in range(rows)])
        bias = np.concatenate([lines.row(1) for _ in range(rows)])
        steps.append(Step("Linear", f"layer {index + 1}", {"weight": weight, "bias": bias}, shape=(1, rows)))
    steps.append(
        Step("Scale", "the range of the outputs", {"scale": scale[-1:], "shift": mean[-1:]}, {}, (1, sizes[-1]))
    )
    network = lower_steps(steps, (inputs,))
    return Subject(network, network, lambda x: x, lambda x: x.copy(), path.name, from_file=True)


def _clip(low: Array, high: Array) -> list[Step]:
    """Clip each input to its range: low + relu(x - low) - relu(x - high)."""
    count = low.size
    identity = np.eye(count)
    twice = Step(
        "Linear", "the range of the inputs",
        {"weight": np.concatenate([identity, identity]), "bias": -np.concatenate([low, high])}, {}, (1, 2 * count),
    )  # fmt: skip
    relu = Step("ReLU", "the range of the inputs", shape=(1, 2 * count))
    weight = np.concatenate([identity, -identity], axis=1)
    return [twice, relu, Step("Linear", "the range of the inputs", {"weight": weight, "bias": low}, {}, (1, count))]


class _Lines:
    """The lines of the file that are no comments, each a row of numbers with commas between them."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            text = content.decode("ascii")
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise NetworkError(f"net: {str(path)!r} cannot be read: {error}") from error
        self.number = 0
        self.lines: Iterator[tuple[int, str]] = iter(
            [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("//")]
        )

    def row(self, count: int) -> Array:
        """The next line's first `count` numbers."""
        number, line = next(self.lines, (0, ""))
        if not number:
            raise NetworkError(f"net: {self.name} ends too early; is the file cut off?")
        self.number = number
        try:
            values = [float(part) for part in line.split(",") if part.strip()]
        except ValueError as error:
            raise NetworkError(f"net: {self.name}, line {number}: {error}") from error
        if len(values) < count or not np.isfinite(values).all():
            raise NetworkError(
                f"net: {self.name}, line {number}: {len(values)} numbers where {count} finite ones are expected"
            )
        return np.array(values[:count], dtype=np.float64)

    def whole(self, count: int) -> list[int]:
        """The next line's first `count` numbers, which must be whole and positive."""
        values = self.row(count)
        if (values != np.rint(values)).any() or (values < 1).any():
            raise NetworkError(f"net: {self.name}, line {self.number}: expected whole numbers >= 1")
        return [int(value) for value in values]
