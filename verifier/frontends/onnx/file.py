"""Frontend for ONNX files: the graph is read as a chain of steps, without torch.

The weights are those that the file stores. Replay runs the file itself in onnxruntime, in the dtype of the file.
Where onnxruntime is not installed, or refuses a file that mixes float32 and float64, as some exporters write, the
caller's object is the Network, in float64 at values of the dtype of the file's input; the Result's note says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import operator
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from verifier.enclosure import Array
from verifier.errors import NetworkError, UnsupportedLayerError, VerifierError, missing
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import INPUT, Step
from verifier.frontends.onnx.constants import FOLDED, shape_of
from verifier.frontends.onnx.node import Constant, Data, Node
from verifier.frontends.onnx.operations import OPERATORS
from verifier.frontends.reading_check import check_reading
from verifier.subject import Subject, one_by_one

_INPUT_TYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 11: np.dtype(np.float64)}
SUPPORTED = ", ".join(sorted(OPERATORS))


def read_onnx(path: Path, input_shape: tuple[int, ...] | None = None, inputs: int | None = None) -> Subject:
    """Read an ONNX file as a Subject, and check the reading on sample points where onnxruntime is installed.

    Args:
        path: An .onnx file, or one compressed with gzip (.onnx.gz).
        input_shape: Shape of one input without the batch, where the file leaves it open.
        inputs: The number of inputs that x_specs speaks of, used where nothing else tells.

    Raises:
        UnsupportedLayerError: Names the node that is not supported.
        NetworkError: The file cannot be read, or onnxruntime computes something else than was read.
        MissingDependencyError: The package onnx is not installed.
    """
    model, content = _load(path)
    with _malformed(f"net ({path.name})"):
        graph = _Graph(model, path, _whole_shape(input_shape), inputs)
        steps = graph.read()
        network = lower_steps(steps, graph.shape, first_shape=graph.shape)
    caller = _Caller(path, content, graph.shape, graph.dtype)
    name = path.name
    caller.mixed = graph.mixed
    if caller.session is None:
        return Subject(
            network, one_by_one(network), caller.round, caller.to_caller, name, from_file=True, note=caller.note
        )
    check_reading(
        network, caller.run, caller.round, graph.dtype,
        f"net ({name}): onnxruntime computes something else than was read",
        "please report the file",
    )  # fmt: skip
    return Subject(network, caller.run, caller.round, caller.to_caller, name, from_file=True)


def _load(path: Path) -> tuple[Any, bytes | None]:
    """Parse the file; its content is given where it cannot be opened by name again."""
    try:
        import onnx
    except ImportError as error:
        raise missing(f"net: {path.name} is an ONNX file, and the package onnx is not installed", "onnx") from error
    try:
        if path.stat().st_size == 0:
            raise NetworkError(f"net: {str(path)!r} is an empty file")
        if path.suffix == ".gz":
            content = gzip.decompress(path.read_bytes())
            return onnx.load_model_from_string(content), content
        return onnx.load(str(path)), None
    except NetworkError:
        raise
    except OSError as error:
        raise NetworkError(f"net: {str(path)!r} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # protobuf's own errors, which differ between its versions
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetworkError(f"net: {str(path)!r} is no ONNX file: {first}") from error


@contextlib.contextmanager
def _malformed(where: str) -> Iterator[None]:
    """Tell what no file of ONNX's rules leads to: attributes that are missing, shapes that do not fit together."""
    try:
        yield
    except VerifierError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise NetworkError(
            f"{where}: does not follow ONNX's rules ({type(error).__name__}: {first}); was it exported whole?"
        ) from error


def _whole_shape(input_shape: Any) -> tuple[int, ...] | None:
    if input_shape is None:
        return None
    try:
        shape = tuple(operator.index(size) for size in input_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise NetworkError(
            f"input_shape: expected a tuple of whole numbers >= 1 such as (1, 28, 28), found {input_shape!r}"
        )
    return shape


class _Graph:
    """Walk the graph from its input to its output and read each node."""

    def __init__(self, model: Any, path: Path, input_shape: tuple[int, ...] | None, inputs: int | None) -> None:
        from onnx import helper, numpy_helper

        self._array, self._attribute = numpy_helper.to_array, helper.get_attribute_value
        self.graph, self.name = model.graph, path.name
        self.opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=1)
        self.constants: dict[str, Constant] = {one.name: self._array(one) for one in self.graph.initializer}
        self.input = self._only_input()
        self.shape = self._input_shape(input_shape, inputs)
        self.values: dict[str, Data] = {self.input.name: Data(self.shape)}  # every value that depends on the input
        self.positions = {self.input.name: INPUT}  # the step that gives each of them
        self.steps: list[Step] = []

    def _only_input(self) -> Any:
        found = [one for one in self.graph.input if one.name not in self.constants]
        if len(found) != 1:
            names = ", ".join(one.name for one in found)
            raise UnsupportedLayerError(
                f"net ({self.name}): {len(found)} inputs ({names}); only networks of one input tensor are supported"
            )
        if len(self.graph.output) != 1:
            names = ", ".join(one.name for one in self.graph.output)
            raise UnsupportedLayerError(
                f"net ({self.name}): {len(self.graph.output)} outputs ({names}); only one output tensor is supported"
            )
        kind = found[0].type.tensor_type.elem_type
        if kind not in _INPUT_TYPES:
            raise UnsupportedLayerError(
                f"net ({self.name}): input {found[0].name} is not of float32 or float64; export it in one of them"
            )
        self.dtype = _INPUT_TYPES[kind]
        return found[0]

    def _input_shape(self, input_shape: tuple[int, ...] | None, inputs: int | None) -> tuple[int, ...]:
        """The shape of one input in the file's own form, its batch axis included."""
        declared = self.input.type.tensor_type
        sizes = [one.dim_value for one in declared.shape.dim] if declared.HasField("shape") else None
        if input_shape is not None:
            batched = sizes is None or len(sizes) != len(input_shape)
            return (1, *input_shape) if batched else tuple(input_shape)
        if sizes is None and inputs is not None:
            return (1, inputs)
        if sizes and len(sizes) > 1 and sizes[0] < 1:
            sizes[0] = 1  # an open batch axis
        if sizes and sizes.count(0) == 1 and inputs is not None:
            sizes[sizes.index(0)] = inputs // max(1, int(np.prod([size for size in sizes if size])))
        if sizes is None or min(sizes, default=1) < 1:
            raise NetworkError(
                f"net ({self.name}): input {self.input.name} leaves its shape open ({sizes}); pass input_shape=..."
            )
        return tuple(sizes)

    @property
    def mixed(self) -> bool:
        """Whether float32 and float64 meet: in what is declared of input and output, and in stored weights."""
        stored = {value.dtype for value in self.constants.values()}
        declared = {self.dtype, _INPUT_TYPES.get(self.graph.output[0].type.tensor_type.elem_type)}
        return len((stored | declared) & set(_INPUT_TYPES.values())) > 1

    def read(self) -> list[Step]:
        """Read the nodes that the output depends on, in the order of the data."""
        for position, node in self._in_order():
            with _malformed(self._where(position, node)):
                self._read_node(node, self._where(position, node))
        output = self.graph.output[0].name
        if output not in self.constants and output not in self.positions:
            raise NetworkError(f"net ({self.name}): no node computes its output {output}")
        if output in self.constants:
            raise UnsupportedLayerError(f"net ({self.name}): its output {output} does not depend on its input")
        if self.positions[output] != len(self.steps) - 1:
            raise UnsupportedLayerError(f"net ({self.name}): its output {output} is not what its last node computes")
        return self.steps

    def _in_order(self) -> list[tuple[int, Any]]:
        """Give the nodes that the output needs, each after those that it needs itself."""
        maker = {name: (i, node) for i, node in enumerate(self.graph.node) for name in node.output if name}
        needed: dict[int, Any] = {}
        names = [self.graph.output[0].name]
        while names:
            position, node = maker.get(names.pop(), (-1, None))
            if node is not None and position not in needed:
                needed[position] = node
                names.extend(node.input)
        ordered: list[tuple[int, Any]] = []
        waiting = sorted(needed.items())
        while waiting:
            missing = {name for _, node in waiting for name in node.output}
            later: list[tuple[int, Any]] = []
            for position, node in waiting:
                if missing.intersection(node.input):
                    later.append((position, node))
                else:
                    ordered.append((position, node))
                    missing.difference_update(node.output)
            if len(later) == len(waiting):
                raise NetworkError(f"net ({self.name}): {self._where(*later[0])} depends on itself")
            waiting = later
        return ordered

    def _where(self, position: int, node: Any) -> str:
        return f"node {position} ({node.op_type} {(node.name or (list(node.output) or ['?'])[0])!r})"

    def _read_node(self, proto: Any, where: str) -> None:
        if proto.domain not in ("", "ai.onnx"):
            raise UnsupportedLayerError(f"{where}: an operator of {proto.domain}; only ONNX's own are supported")
        node = Node(
            proto.op_type, where, tuple(self._value(name, where) for name in proto.input),
            {one.name: self._plain(one) for one in proto.attribute}, self.opset,
        )  # fmt: skip
        if node.op == "Constant":
            self.constants[proto.output[0]] = self._constant(node)
        elif node.op == "Shape":
            self.constants[proto.output[0]] = shape_of(node)
        elif not any(isinstance(value, Data) for value in node.inputs):
            if node.op not in FOLDED:
                raise node.refusal("is not supported on constants; fold it before the network is exported")
            self.constants[proto.output[0]] = FOLDED[node.op](node)
        else:
            self._extend(node, list(proto.input), proto.output[0])

    def _extend(self, node: Node, names: list[str], output: str) -> None:
        """Add a node to the graph; the first of its steps takes the values that the node names."""
        if node.op not in OPERATORS:
            raise node.refusal(f"{node.op} is not supported; supported are {SUPPORTED}")
        first, *others = OPERATORS[node.op](node)
        sources = tuple(self.positions[name] for name in names if name in self.values)
        if sources != (len(self.steps) - 1,):  # else it takes what the step before gives
            first = dataclasses.replace(first, sources=sources)
        self.steps.extend([first, *others])
        self.values[output], self.positions[output] = Data(self.steps[-1].shape), len(self.steps) - 1

    def _value(self, name: str, where: str) -> Constant | Data | None:
        if not name:
            return None
        if name in self.values:
            return self.values[name]
        if name not in self.constants:
            raise UnsupportedLayerError(f"{where}: its input {name!r} is computed by nothing that is supported")
        return self.constants[name]

    def _plain(self, attribute: Any) -> Any:
        value = self._attribute(attribute)
        if isinstance(value, bytes):
            return value.decode()
        return self._array(value) if hasattr(value, "data_type") else value

    def _constant(self, node: Node) -> Constant:
        for name, kind in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                           ("value_ints", np.int64)):  # fmt: skip
            if name in node.attributes:
                return np.array(node.attributes[name], dtype=kind)
        value = node.attributes.get("value")
        if not isinstance(value, np.ndarray):
            raise node.refusal("holds no plain array")
        return value


class _Caller:
    """The file as replay uses it: one point at a time in onnxruntime, on one thread."""

    def __init__(self, path: Path, content: bytes | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.source: str | bytes = str(path) if content is None else content
        self.shape, self.dtype, self.name = shape, dtype, path.name
        self.mixed = False  # whether the file mixes float32 and float64, which onnxruntime refuses
        self.note = ""

    @cached_property
    def session(self) -> Any:
        """The file in onnxruntime, or None, with a note, where the Network has to take its place."""
        try:
            import onnxruntime
        except ImportError:
            self.note = "replayed by the Network that was read, since onnxruntime is not installed"
            return None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        try:
            return onnxruntime.InferenceSession(self.source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for every status
            if self.mixed:
                self.note = (
                    "replayed by the Network that was read, its stored weights exact, since onnxruntime does not load "
                    "a file that mixes float32 and float64"
                )
                return None
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise NetworkError(f"net ({self.name}): onnxruntime cannot load it: {first}") from error

    def run(self, x: Array) -> Array:
        """Run the file on points (batch, inputs)."""
        name = self.session.get_inputs()[0].name
        try:
            rows = [self.session.run(None, {name: self.to_caller(point)})[0] for point in x]
        except Exception as error:  # onnxruntime has a class of its own for every status
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise NetworkError(
                f"net ({self.name}): onnxruntime cannot run it on an input of shape {self.shape}: {first}; if another "
                "shape is meant, pass input_shape=..."
            ) from error
        return np.stack([np.asarray(row, dtype=np.float64).reshape(-1) for row in rows])

    def round(self, x: Array) -> Array:
        """Round to the file's dtype, to nearest."""
        return np.asarray(x, dtype=np.float64).astype(self.dtype).astype(np.float64)

    def to_caller(self, x: Array) -> np.ndarray[Any, Any]:
        """Make the array that the file takes as it is."""
        return np.asarray(x).astype(self.dtype).reshape(self.shape)
