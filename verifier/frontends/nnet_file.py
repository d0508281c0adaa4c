"""Frontend for .nnet files, the text format of the ACAS Xu networks, with its normalisation.

The network of a file is the whole function from physical inputs to physical outputs: inputs are clipped to the file's
range and normalised, outputs are scaled back. Numbers are read as float64, and replay is the Network itself.
"""

from __future__ import annotations

import gzip
import itertools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verifier.enclosure import Array
from verifier.errors import NetworkError, warn_caller
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import Step
from verifier.subject import Subject, one_by_one

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def read_nnet(path: Path) -> Subject:
    """Read a .nnet file, or one compressed with gzip (.nnet.gz).

    The clipping is written with ReLUs, low + relu(x - low) - relu(x - high), which are stable wherever the box of the
    question lies within the range. Four kinds of public files are read:

    - Those that the format's own tools write, with text or numbers in the line of the unused flag.
    - Rows of minima, maxima, means and ranges for more inputs than the network has. The first ones are those of the
      inputs, the last mean and the last range are those of the outputs.
    - Means and ranges without an entry for the outputs, which are then not scaled. Some readers take the last input's
      instead; a warning says so where that makes a difference.
    - Files without normalisation: a single 0 in each of the four rows (NeuralVerification.jl), or no such rows and a
      type, 0, for each layer in the line of the flag (Neurify).

    Raises:
        NetworkError: The file cannot be read, or a row does not fit the network; the message names the line.

    Source:
        Julian, Kochenderfer. The NNet format, github.com/sisl/NNet: comments, then layer count and sizes, a flag that
        is not used, minima, maxima, means and ranges (the outputs' last), then weights and biases of each layer.
    """
    lines = _Lines(path)
    sizes = _sizes(lines)
    inputs = sizes[0]
    scaling = _normalisation(lines, sizes)
    steps = [] if scaling is None else [
        *_clip(scaling.low, scaling.high),
        Step("Scale", "the means of the inputs", {"shift": -scaling.mean}, shape=(1, inputs)),
        Step("Scale", "the ranges of the inputs", {"divisor": scaling.range}, shape=(1, inputs)),
    ]  # fmt: skip
    for index, (columns, rows) in enumerate(itertools.pairwise(sizes)):
        if index:
            steps.append(Step("ReLU", f"ReLU {index}", shape=(1, columns)))
        weight = np.stack([lines.row(columns) for _ in range(rows)])
        bias = np.concatenate([lines.row(1) for _ in range(rows)])
        steps.append(Step("Linear", f"layer {index + 1}", {"weight": weight, "bias": bias}, shape=(1, rows)))
    if scaling is not None:
        arrays = {"scale": np.array([scaling.output_range]), "shift": np.array([scaling.output_mean])}
        steps.append(Step("Scale", "the range of the outputs", arrays, {}, (1, sizes[-1])))
    network = lower_steps(steps, (inputs,))
    return Subject(network, one_by_one(network), lambda x: x, lambda x: x.copy(), path.name, from_file=True)


def _sizes(lines: _Lines) -> list[int]:
    """Read the layer count and, of every layer from the inputs on, the size; refuse what contradicts itself."""
    head = lines.whole()
    count, where = head[0], lines.where
    sizes = lines.whole()
    if len(sizes) != count + 1:
        raise NetworkError(f"{lines.where}: {len(sizes)} sizes where {count} layers and the inputs have {count + 1}")
    for name, said, size in (("inputs", head[1:2], sizes[0]), ("outputs", head[2:3], sizes[-1])):
        if said and said[0] != size:
            raise NetworkError(f"{where}: {said[0]} {name}, but the next line says {size}")
    return sizes


@dataclass(frozen=True, eq=False)
class _Normalisation:
    """Minima, maxima, means and ranges of the inputs, shape (inputs,) each, and the mean and range of the outputs."""

    low: Array
    high: Array
    mean: Array
    range: Array
    output_mean: float
    output_range: float


def _normalisation(lines: _Lines, sizes: Sequence[int]) -> _Normalisation | None:
    """Read the flag and the four rows up to the weights; None where the file says that there are none."""
    weights = 2 * sum(sizes[1:])
    flag = lines.text()
    if lines.left == weights:
        types = lines.cells(flag)
        if len(sizes) > 2 and len(types) == len(sizes) - 1 and not any(map(float, types)):
            return None
        raise NetworkError(
            f"{lines.where}: no minima, maxima, means and ranges follow; only where this line holds a 0 for each of "
            "several layers, which are fully connected, is the file taken to have none"
        )
    if lines.left != weights + 4:
        raise NetworkError(
            f"{lines.where}: {lines.left} lines follow, and {weights + 4} are expected (minima, maxima, means, ranges, "
            "and a line for each row of weights and for each bias); is the file cut off?"
        )
    rows, places = [], []
    for _ in range(4):
        rows.append(lines.row())
        places.append(lines.where)
    if all(row.size == 1 and row[0] == 0 for row in rows):
        return None  # a range of 0 is none: single zeros hold the places of the rows
    return _scaling(rows, places, sizes[0], lines.name)


def _scaling(rows: list[Array], places: list[str], inputs: int, name: str) -> _Normalisation:
    """Take the inputs' first numbers, and the last mean and range as the outputs'."""
    low, high, mean, scale = rows
    listed = low.size
    if listed < inputs:
        raise NetworkError(f"{places[0]}: {listed} minima for {inputs} inputs")
    for i, expected, what in ((1, listed, "maxima, and as many minima"), (3, mean.size, "ranges, and as many means")):
        if rows[i].size != expected:
            raise NetworkError(f"{places[i]}: expected {expected} {what}, found {rows[i].size}")
    without = mean.size == listed == inputs
    if not without and (mean.size == listed or mean.size not in (inputs + 1, listed + 1)):
        raise NetworkError(
            f"{places[2]}: {mean.size} means, but {listed} minima for {inputs} inputs; expected one mean for each "
            "input and a last one for the outputs"
        )
    for i in range(inputs):
        if low[i] > high[i]:
            raise NetworkError(f"{places[1]}: the maximum of input {i} is below its minimum ({high[i]:g} < {low[i]:g})")
    for value in (*scale[:inputs], scale[-1]):
        if value <= 0:
            raise NetworkError(f"{places[3]}: a range is not positive ({value:g})")
    if without and (mean[-1] != 0 or scale[-1] != 1):
        warn_caller(
            f"net: {name}: the means and ranges have no entry for the outputs, which are not scaled; some readers of "
            "the format scale them by the last input's"
        )
    outputs = (0.0, 1.0) if without else (float(mean[-1]), float(scale[-1]))
    return _Normalisation(low[:inputs], high[:inputs], mean[:inputs], scale[:inputs], *outputs)


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
    """The lines of the file from the layer count on, each a row of numbers with commas between them."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            text = content.decode("utf-8-sig")
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise NetworkError(f"net: {str(path)!r} cannot be read: {error}") from error
        filled = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
        self._lines = [(i, line) for i, line in filled if not line.lstrip().startswith("//")]
        self._next = 0
        while self.left > 1 and self._lines[self._next][1].lstrip()[0].isalpha():
            self._next += 1  # a header that no slashes mark
        self._number = filled[0][0] if filled else 1

    @property
    def left(self) -> int:
        """How many lines are left."""
        return len(self._lines) - self._next

    @property
    def where(self) -> str:
        """The line that was read last, for messages."""
        return f"net: {self.name}, line {self._number}"

    @staticmethod
    def cells(line: str) -> list[str]:
        """The numbers of a line as they are written; empty where it holds something else."""
        cells = [cell.strip() for cell in line.strip().removesuffix(",").split(",")]
        return cells if line.isascii() and all(map(_NUMBER.fullmatch, cells)) else []

    def text(self) -> str:
        """The next line as it is."""
        if not self.left:
            raise NetworkError(f"net: {self.name} ends too early; is the file cut off?")
        self._number, line = self._lines[self._next]
        self._next += 1
        return line.strip()

    def row(self, count: int | None = None) -> Array:
        """The next line's numbers, exactly `count` of them where that is given."""
        line = self.text()
        values = np.array([float(cell) for cell in self.cells(line)], dtype=np.float64)
        if not values.size:
            raise NetworkError(f"{self.where}: expected numbers with commas between them, found {line[:40]!r}")
        if not np.isfinite(values).all():
            raise NetworkError(f"{self.where}: a number is beyond float64")
        if count is not None and values.size != count:
            raise NetworkError(f"{self.where}: {values.size} numbers where {count} are expected")
        return values

    def whole(self) -> list[int]:
        """The next line's numbers, which must be whole and positive."""
        values = self.row()
        if (values != np.rint(values)).any() or (values < 1).any():
            raise NetworkError(f"{self.where}: expected whole numbers >= 1")
        return [int(value) for value in values]
