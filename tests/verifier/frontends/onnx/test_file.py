"""The ONNX frontend: what a file computes is read rightly, or refused by the name of its node."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.shared_data import reference
from verifier import Verdict, less_than, verify
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.errors import MissingDependencyError, NetworkError, UnsupportedLayerError
from verifier.frontends.read import read_subject

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
OPSET = 13
FLOAT32_ATOL = 2e-5  # values here are below ten, and the deepest network sums some hundred of them in float32


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def save(path: Any, nodes: list, constants: dict, shape: tuple, *, opset: int = OPSET, **graph: Any) -> Any:
    """Write a model from its nodes; the input is x, the output the last node's."""
    inputs = graph.get("inputs", [helper.make_tensor_value_info("x", graph.get("kind", TensorProto.FLOAT), shape)])
    outputs = [helper.make_tensor_value_info(name, graph.get("kind", TensorProto.FLOAT), None)
               for name in graph.get("outputs", [nodes[-1].output[0]])]  # fmt: skip
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "net", inputs, outputs, stored), opset_imports=[helper.make_opsetid("", opset)]
    )
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def chain(*ops: tuple) -> list:
    """Nodes in a row: each is (operator, names of its constants, attributes), fed by the one before."""
    nodes, current = [], "x"
    for i, (op, names, attributes) in enumerate(ops):
        nodes.append(helper.make_node(op, [current, *names], [f"v{i}"], name=f"{op.lower()}_{i}", **attributes))
        current = f"v{i}"
    return nodes


def equal_to_onnxruntime(path: Any, points: int = 5) -> Any:
    """Read the file, and compare the Network with the file on random points."""
    subject = read_subject(path)
    x = subject.round(RNG.normal(size=(points, subject.network.inputs)))
    np.testing.assert_allclose(subject.network(x), subject.run(x), atol=FLOAT32_ATOL, rtol=1e-4)
    return subject


IMAGE = (1, 2, 5, 6)
LINE = (1, 2, 7)
READ = {
    "matmul and add": (chain(("MatMul", ["w"], {}), ("Add", ["b"], {})), {"w": weights(4, 3), "b": weights(3)}, (1, 4)),
    "matmul with a vector": (chain(("MatMul", ["w"], {})), {"w": weights(4)}, (3, 4)),
    "matmul of two axes": (chain(("MatMul", ["w"], {})), {"w": weights(4, 3)}, (2, 4)),
    "matmul from the left": ([helper.make_node("MatMul", ["w", "x"], ["y"])], {"w": weights(3, 4)}, (4, 2)),
    "matmul from the left with a vector": ([helper.make_node("MatMul", ["w", "x"], ["y"])], {"w": weights(3, 4)}, (4,)),
    "gemm": (chain(("Gemm", ["w", "b"], {"transB": 1})), {"w": weights(3, 4), "b": weights(3)}, (1, 4)),
    "gemm with factors": (
        chain(("Gemm", ["w", "b"], {"alpha": 0.6, "beta": 0.4, "transA": 1})),
        {"w": weights(2, 3), "b": weights(4, 3)}, (2, 4),
    ),
    "gemm with the constant first": (
        [helper.make_node("Gemm", ["w", "x", "b"], ["y"], transA=1, transB=1)],
        {"w": weights(2, 3), "b": weights(3, 1)}, (4, 2),
    ),
    "normalised input": (
        chain(("Sub", ["mean"], {}), ("Div", ["std"], {}), ("Mul", ["two"], {}), ("MatMul", ["w"], {})),
        {"mean": weights(4), "std": np.float32([1, 3, 0.3, 7]), "two": np.float32(1.7), "w": weights(4, 2)}, (1, 4),
    ),
    "constant minus the value": ([helper.make_node("Sub", ["c", "x"], ["y"])], {"c": weights(2, 3)}, (2, 3)),
    "a constant that is larger than the value": (chain(("Add", ["c"], {})), {"c": weights(3, 4)}, (1, 4)),
    "a constant with one axis more": (chain(("Add", ["c"], {})), {"c": weights(1, 1, 4)}, (1, 4)),
    "convolution": (
        chain(("Conv", ["w", "b"], {"strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2]})),
        {"w": weights(3, 2, 3, 2), "b": weights(3)}, IMAGE,
    ),
    "convolution in groups": (chain(("Conv", ["w"], {"group": 2})), {"w": weights(4, 1, 2, 2)}, IMAGE),
    "convolution with auto_pad above": (
        chain(("Conv", ["w"], {"auto_pad": "SAME_UPPER", "strides": [2, 2]})), {"w": weights(3, 2, 3, 2)}, IMAGE
    ),
    "convolution with auto_pad below": (
        chain(("Conv", ["w"], {"auto_pad": "SAME_LOWER", "strides": [1, 2]})), {"w": weights(3, 2, 2, 3)}, IMAGE
    ),
    "convolution over a line": (
        chain(("Conv", ["w", "b"], {"pads": [2, 1], "strides": [2]})), {"w": weights(3, 2, 3), "b": weights(3)}, LINE
    ),
    "average pooling": (chain(("AveragePool", [], {"kernel_shape": [2, 3], "strides": [2, 2]})), {}, IMAGE),
    "average pooling with padding": (
        chain(("AveragePool", [], {"kernel_shape": [2, 3], "pads": [1, 0, 0, 2]})), {}, IMAGE
    ),
    "average pooling that counts the padding": (
        chain(("AveragePool", [], {"kernel_shape": [2, 3], "pads": [1, 0, 0, 2], "count_include_pad": 1})), {}, IMAGE
    ),
    "global average": (chain(("GlobalAveragePool", [], {})), {}, IMAGE),
    "padding with zeros": (
        chain(("Pad", ["p"], {}), ("Conv", ["w"], {})),
        {"p": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "w": weights(1, 2, 2, 2)}, IMAGE,
    ),
    "batch normalisation": (
        chain(("Conv", ["w"], {}), ("BatchNormalization", ["s", "b", "m", "v"], {"epsilon": 1e-3}), ("Relu", [], {})),
        {"w": weights(3, 2, 2, 2), "s": weights(3), "b": weights(3), "m": weights(3), "v": np.abs(weights(3))}, IMAGE,
    ),
    "max pooling of what may be negative": (
        chain(("MaxPool", [], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]})), {}, IMAGE
    ),
    "max pooling with overhanging windows": (
        chain(("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})), {}, IMAGE
    ),
    "max pooling after a ReLU": (
        chain(("Relu", [], {}), ("MaxPool", [], {"kernel_shape": [2, 2]}), ("Conv", ["w"], {})),
        {"w": weights(1, 2, 2, 2)}, IMAGE,
    ),
    "max pooling over a line": (chain(("MaxPool", [], {"kernel_shape": [3], "strides": [2]})), {}, LINE),
    "leaky relu": (
        chain(("MatMul", ["w"], {}), ("LeakyRelu", [], {"alpha": 0.1}), ("MatMul", ["v"], {})),
        {"w": weights(4, 5), "v": weights(5, 2)}, (1, 4),
    ),
    "absolute values": (
        chain(("MatMul", ["w"], {}), ("Abs", [], {}), ("MatMul", ["v"], {})),
        {"w": weights(4, 5), "v": weights(5, 2)}, (1, 4),
    ),
    "clip": (
        chain(("MatMul", ["w"], {}), ("Clip", ["low", "high"], {}), ("MatMul", ["v"], {})),
        {"w": weights(4, 5), "v": weights(5, 2), "low": np.float32(-0.1), "high": np.float32(0.3)}, (1, 4),
    ),
    "clip from above": (
        chain(("MatMul", ["w"], {}), ("Clip", ["", "high"], {}), ("MatMul", ["v"], {})),
        {"w": weights(4, 5), "v": weights(5, 2), "high": np.float32(0.3)}, (1, 4),
    ),
    "shapes that are computed": (
        [
            helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["n"]),
            helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
            helper.make_node("Concat", ["n1", "minus"], ["shape"], axis=0),
            helper.make_node("Reshape", ["x", "shape"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        {"zero": np.int64(0), "axis": np.array([0]), "minus": np.array([-1]), "w": weights(60, 2)}, IMAGE,
    ),
    "moved and squeezed": (
        chain(("Transpose", [], {"perm": [0, 2, 3, 1]}), ("Squeeze", ["axes"], {}), ("Flatten", [], {"axis": 2}),
              ("Unsqueeze", ["two"], {}), ("Identity", [], {}), ("Dropout", [], {}), ("Cast", [], {"to": 11}),
              ("Cast", [], {"to": 1}), ("Relu", [], {})),
        {"axes": np.array([0]), "two": np.array([1, 3])}, IMAGE,
    ),
    "sigmoid at the end": (chain(("MatMul", ["w"], {}), ("Sigmoid", [], {})), {"w": weights(4, 3)}, (1, 4)),
    "softmax at the end": (chain(("MatMul", ["w"], {}), ("Softmax", [], {"axis": 1})), {"w": weights(4, 3)}, (1, 4)),
    "log softmax at the end": (chain(("MatMul", ["w"], {}), ("LogSoftmax", [], {})), {"w": weights(4, 3)}, (1, 4)),
}  # fmt: skip


BLOCKS = {
    "a shortcut from the input": [("MatMul", ["x", "w"], "h"), ("Relu", ["h"], "r"), ("Add", ["r", "x"], "y")],
    "a shortcut between layers": [
        ("MatMul", ["x", "w"], "a"), ("Relu", ["a"], "r"), ("MatMul", ["r", "w"], "b"), ("Relu", ["b"], "s"),
        ("MatMul", ["s", "v"], "c"), ("Add", ["c", "r"], "d"), ("Relu", ["d"], "e"), ("MatMul", ["e", "v"], "y"),
    ],
    "two branches and a difference": [
        ("MatMul", ["x", "w"], "a"), ("Relu", ["a"], "r"), ("MatMul", ["x", "v"], "b"), ("LeakyRelu", ["b"], "s"),
        ("Sub", ["s", "r"], "d"), ("Relu", ["d"], "e"), ("Sub", ["e", "b"], "y"),
    ],
    "a shortcut over two blocks": [
        ("MatMul", ["x", "w"], "a"), ("Relu", ["a"], "r"), ("Add", ["r", "a"], "b"), ("Relu", ["b"], "s"),
        ("Add", ["s", "x"], "c"), ("Relu", ["c"], "t"), ("Add", ["t", "a"], "d"), ("Add", ["d", "d"], "y"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shape", [(1, 4), (2, 4)])
def test_residual_network_equals_onnxruntime(block, shape, tmp_path):
    """Values that pass layers of ReLUs on their way; every method reads the chain that is left."""
    nodes = [helper.make_node(op, names, [out], name=f"{op}_{i}") for i, (op, names, out) in enumerate(BLOCKS[block])]
    constants = {"w": weights(4, 4), "v": weights(4, 4)}
    subject = equal_to_onnxruntime(save(tmp_path / "net.onnx", nodes, constants, shape), points=20)
    x = RNG.uniform(-1, 1, subject.network.inputs)
    box = Bounds(x[None] - 0.2, x[None] + 0.2)
    found = crown_bounds(subject.network, box, np.eye(subject.network.outputs)).rows
    values = subject.network(RNG.uniform(box.lower, box.upper, (500, x.size)))
    assert (values >= found.lower).all() and (values <= found.upper).all()


@pytest.mark.parametrize("name", READ)
def test_read_network_equals_onnxruntime(name, tmp_path):
    nodes, constants, shape = READ[name]
    equal_to_onnxruntime(save(tmp_path / "net.onnx", nodes, constants, shape))


REFUSED = {
    "a sum of unequal shapes": (
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "x"], ["y"], name="shortcut")],
        {"w": weights(4, 1)}, (1, 4), "shortcut", "shapes",
    ),
    "an unknown operator": (chain(("Tanh", [], {}), ("Relu", [], {})), {}, (1, 4), "tanh_0", "supported are"),
    "a sigmoid in the middle": (chain(("Sigmoid", [], {}), ("Relu", [], {})), {}, (1, 4), "sigmoid_0", "last"),
    "a product of values": ([helper.make_node("Mul", ["x", "x"], ["y"], name="square")], {}, (1, 4), "square", "joins"),
    "one divided by a value": (
        [helper.make_node("Div", ["c", "x"], ["y"], name="inverse")], {"c": weights(4)}, (1, 4), "inverse", "affine"
    ),
    "weights that are computed in floating point": (
        [helper.make_node("Mul", ["w", "w"], ["w2"], name="squared"), helper.make_node("MatMul", ["x", "w2"], ["y"])],
        {"w": weights(4, 4)}, (1, 4), "squared", "fold",
    ),
    "a softmax over a part": (chain(("Softmax", [], {"axis": 1})), {}, (2, 3), "softmax_0", "3 of the 6"),
    "a batch of images": (chain(("Conv", ["w"], {})), {"w": weights(1, 1, 2, 2)}, (2, 1, 3, 3), "conv_0", "batch"),
    "overhanging averages": (
        chain(("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})), {}, IMAGE,
        "averagepool_0", "ceil_mode",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_the_name_of_its_node(name, tmp_path):
    nodes, constants, shape, *said = REFUSED[name]
    with pytest.raises(UnsupportedLayerError) as error:
        read_subject(save(tmp_path / "net.onnx", nodes, constants, shape))
    assert all(part in str(error.value) for part in said), str(error.value)


def test_two_inputs_and_two_outputs_are_refused_by_name(tmp_path):
    both = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in ("left", "right")]
    add = [helper.make_node("Add", ["left", "right"], ["y"])]
    with pytest.raises(UnsupportedLayerError, match=r"2 inputs \(left, right\)"):
        read_subject(save(tmp_path / "net.onnx", add, {}, (), inputs=both))
    with pytest.raises(UnsupportedLayerError, match=r"2 outputs \(v0, v1\)"):
        nodes = chain(("Relu", [], {}), ("Relu", [], {}))
        read_subject(save(tmp_path / "net.onnx", nodes, {}, (1, 2), outputs=["v0", "v1"]))


def test_an_input_of_whole_numbers_is_refused(tmp_path):
    path = save(tmp_path / "net.onnx", chain(("Identity", [], {})), {}, (1, 2), kind=TensorProto.INT64)
    with pytest.raises(UnsupportedLayerError, match="input x is not of float32 or float64"):
        read_subject(path)


def test_open_batch_axis_is_one_and_an_open_image_wants_input_shape(tmp_path):
    path = save(tmp_path / "net.onnx", chain(("Relu", [], {})), {}, ("batch", 3))
    assert read_subject(path).to_caller(np.zeros(3)).shape == (1, 3)
    path = save(tmp_path / "net.onnx", chain(("Conv", ["w"], {})), {"w": weights(1, 1, 2, 2)}, ("n", 1, "h", "w"))
    with pytest.raises(NetworkError, match=r"pass input_shape=\.\.\."):
        read_subject(path)
    assert read_subject(path, input_shape=(1, 3, 4)).network.inputs == 12


def test_older_files_give_axes_as_attributes(tmp_path):
    nodes = chain(("Unsqueeze", [], {"axes": [2]}), ("Squeeze", [], {"axes": [0]}), ("Softmax", [], {"axis": 0}))
    equal_to_onnxruntime(save(tmp_path / "net.onnx", nodes, {}, (1, 3), opset=11))


def test_float64_files_are_replayed_in_float64(tmp_path):
    weight = RNG.normal(size=(3, 2))
    path = save(tmp_path / "net.onnx", chain(("MatMul", ["w"], {})), {"w": weight}, (1, 3), kind=TensorProto.DOUBLE)
    subject = read_subject(path)
    assert subject.round(np.array([0.1]))[0] == 0.1
    np.testing.assert_array_equal(subject.network.layers[0].weight, weight.T)


def test_stored_weights_stay_exact_through_leaky_relu_and_max_pooling(tmp_path):
    """relu(a) + relu(b - a) and slopes of float32 are exact in float64, so nothing needs a radius."""
    nodes = chain(("MatMul", ["w"], {}), ("LeakyRelu", [], {"alpha": 0.1}), ("MatMul", ["v"], {}))
    w, v = weights(2, 2), weights(2, 1)
    network = read_subject(save(tmp_path / "leaky.onnx", nodes, {"w": w, "v": v}, (1, 2))).network
    assert network.exact
    x = [Fraction(-0.5), Fraction(0.75)]
    slope = Fraction(float(np.float32(0.1)))
    z = [sum(Fraction(float(w[i, j])) * x[i] for i in range(2)) for j in range(2)]
    by_hand = sum(Fraction(float(v[j, 0])) * (z[j] if z[j] > 0 else slope * z[j]) for j in range(2))
    assert network.exact_logits(np.array([-0.5, 0.75])) == [by_hand]
    pool = chain(("MaxPool", [], {"kernel_shape": [5, 6]}))
    network = read_subject(save(tmp_path / "pool.onnx", pool, {}, IMAGE)).network
    x = RNG.normal(size=60) - 3
    assert network.exact and network.exact_logits(x) == [Fraction(x[:30].max()), Fraction(x[30:].max())]


def test_verify_reads_a_path_and_hands_out_what_onnxruntime_takes(tmp_path):
    """relu(x) + relu(-x) = |x| < 1 fails at the ends of [-1, 1] only, and holds on [-0.5, 0.5]."""
    nodes = chain(("MatMul", ["w"], {}), ("Relu", [], {}), ("MatMul", ["v"], {}))
    constants = {"w": np.float32([[1, -1]]), "v": np.float32([[1], [1]])}
    path = save(tmp_path / "abs.onnx", nodes, constants, (1, 1))
    (tmp_path / "abs.onnx.gz").write_bytes(gzip.compress(path.read_bytes()))
    for net in (path, str(path), tmp_path / "abs.onnx.gz"):
        assert verify(net, [(-0.5, 0.5)], less_than(1)).verdict is Verdict.VERIFIED
        cases: list = []
        assert verify(net, [(-1, 1)], less_than(1), cases).verdict is Verdict.FALSIFIED
        assert cases[0].dtype == np.float32 and cases[0].shape == (1, 1)
        assert ort.InferenceSession(str(path)).run(None, {"x": cases[0]})[0].item() >= 1


def test_torch_is_not_imported_for_a_file(tmp_path):
    path = save(tmp_path / "net.onnx", chain(("MatMul", ["w"], {}), ("Relu", [], {})), {"w": weights(2, 3)}, (1, 2))
    code = (
        "import sys; from verifier import verify, less_than, any_of\n"
        f"verify({str(path)!r}, [(-1, 1)] * 2, any_of(less_than(0.5, 0), less_than(0.5, 1)))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_files_and_files_that_are_no_onnx_are_refused(tmp_path, monkeypatch):
    with pytest.raises(NetworkError, match="there is no file"):
        read_subject(tmp_path / "net.onnx")
    (tmp_path / "net.pt").touch()
    with pytest.raises(NetworkError, match=r"ends in neither \.onnx"):
        read_subject(tmp_path / "net.pt")
    (tmp_path / "bad.onnx").write_text("no protobuf")
    (tmp_path / "bad.onnx.gz").write_text("no gzip")
    for name in ("bad.onnx", "bad.onnx.gz"):
        with pytest.raises(NetworkError, match=r"cannot be read|is no ONNX file"):
            read_subject(tmp_path / name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'nn-verification-course\[onnx\]'") as told:
        read_subject(tmp_path / "bad.onnx")
    assert told.value.extra == "onnx"


def broken_files(folder: Any) -> Any:
    """Files that parse and are no network: an empty one, and what a flipped bit can make of a node."""
    (folder / "empty.onnx").touch()
    yield folder / "empty.onnx", "is an empty file"
    pool = ("MaxPool", [], {"kernel_shape": [2, 2]})
    for name, op, damage, said in (
        ("kernel", pool, lambda node: node.ClearField("attribute"), r"node 0 \(MaxPool 'maxpool_0'\): .*kernel_shape"),
        ("output", ("Relu", [], {}), lambda node: node.output.__setitem__(0, "other"), "no node computes its output"),
    ):  # fmt: skip
        path = save(folder / f"{name}.onnx", chain(op), {}, (1, 1, 4, 4))
        if damage is not None:
            model = onnx.load(str(path))
            damage(model.graph.node[0])
            onnx.save(model, str(path))
        yield path, said
    path = save(folder / "cut.onnx", chain(("Add", ["b"], {})), {"b": weights(1, 4)}, (1, 4))
    model = onnx.load(str(path))
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:7]
    onnx.save(model, str(path))
    yield path, r"net \(cut\.onnx\): does not follow ONNX's rules"


def test_damaged_files_that_still_parse_are_refused_by_name(tmp_path):
    for path, said in broken_files(tmp_path):
        with pytest.raises(NetworkError, match=said):
            read_subject(path)


def test_without_onnxruntime_the_network_replays_itself_in_the_files_dtype(tmp_path, monkeypatch):
    path = save(tmp_path / "net.onnx", chain(("Relu", [], {})), {}, (1, 2))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    subject = read_subject(path)
    points = np.array([[-0.5, 0.25], [1.0, -2.0]])
    assert np.array_equal(subject.run(points), np.maximum(points, 0.0)) and subject.run(points[:0]).shape == (0, 2)
    assert subject.round(np.array([0.1]))[0] == float(np.float32(0.1))
    found = verify(path, [(0, 1)] * 2, [(None, 0.5)] * 2)
    assert "onnxruntime is not installed" in found.note and found.note in str(found)


DOUBLE, FLOAT = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT


@pytest.mark.parametrize(
    ("into", "stored", "out"),
    [
        (DOUBLE, np.float32, DOUBLE),
        (DOUBLE, np.float32, FLOAT),
        (FLOAT, np.float32, DOUBLE),
        (FLOAT, np.float64, FLOAT),
    ],
)
def test_a_file_that_mixes_its_types_is_read_exactly_and_said_to_be_replayed_by_the_network(
    tmp_path, into, stored, out
):
    """y = w x with the stored w = 0.1, 1; onnxruntime loads none of these files."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])], "net",
        [helper.make_tensor_value_info("x", into, [1, 2])], [helper.make_tensor_value_info("y", out, [1, 1])],
        [numpy_helper.from_array(np.array([[0.1], [1.0]], dtype=stored), "w")],
    )  # fmt: skip
    path = tmp_path / "mixed.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    subject = read_subject(path)
    assert "Network" in subject.note and "mixes float32 and float64" in subject.note
    assert subject.network.exact_logits(np.array([1.0, 0.0])) == [Fraction(float(stored(0.1)))]
    x = subject.to_caller(np.array([0.7, 0.4]))
    assert x.dtype == (np.float64 if into == DOUBLE else np.float32)
    assert subject.run(subject.round(np.array([[0.7, 0.4]])))[0, 0] == pytest.approx(0.7 * float(stored(0.1)) + 0.4)
    found = verify(path, [(0, 1)] * 2, [(None, 1.05)])
    assert found.verdict is Verdict.FALSIFIED and found.note == subject.note
    assert verify(path, [(0, 1)] * 2, [(None, 1.11)]).verdict is Verdict.VERIFIED


def test_a_file_of_one_type_that_onnxruntime_does_not_load_is_refused(tmp_path):
    path = save(tmp_path / "net.onnx", chain(("Relu", [], {})), {}, (1, 2))
    model = onnx.load(str(path))
    model.ir_version = 99
    onnx.save(model, str(path))
    with pytest.raises(NetworkError, match="onnxruntime cannot load it"):
        read_subject(path)


# Every file of the reference data is read or refused; what the refusal must name stands here.
REFUSED_FILES = {
    "fc_matMul.onnx": "MatMul 'matmul2'",  # a product of two constants
    "mnist2x5_sigmoid.onnx": "Sigmoid '/Sigmoid'",
    "oneInput_twoBranches.onnx": "2 outputs",
    "multiInput_add.onnx": "2 inputs",
    "layer-zoo_constant.onnx": "output y does not depend",
    "layer-zoo_dropout_training_mode_true.onnx": "Dropout 'y'",
    "layer-zoo_tanh.onnx": "Tanh 'y'",
}
EQUAL_FILES = [
    "fc1.onnx", "fc2.onnx", "fc_2-2-3.onnx", "linear2-3_bn1-linear3-1.onnx", "mnist2x10.onnx", "conv_mp1.onnx",
    "cnn_max_mninst2.onnx", "KJ_TinyTaxiNet.onnx", "mnist5x20_leaky_relu.onnx",
    *(f"layer-zoo_{name}.onnx" for name in (
        "add", "batchnorm", "cast_int_to_float", "conv", "dropout", "dropout_training_mode_false", "flatten", "gemm",
        "identity", "leakyRelu", "matmul", "maxpool", "relu", "reshape", "reshape_with_dimension_inference", "sigmoid",
        "squeeze", "squeeze_with_axes", "sub", "transpose", "unsqueeze",
    )),
]  # fmt: skip


def test_the_two_lists_are_the_files_of_the_reference_data():
    listed = [entry["file"] for entry in json.loads((reference("onnx_small") / "index.json").read_text())]
    assert sorted(listed) == sorted([*EQUAL_FILES, *REFUSED_FILES])


@pytest.mark.parametrize("name", EQUAL_FILES)
def test_reference_file_gives_its_recorded_outputs(name):
    path = reference("onnx_small") / name
    network = read_subject(path).network
    recorded = np.load(path.with_suffix(".npz"))
    for sample in range(4):
        x, y = recorded[f"input_{sample}_0"].reshape(1, -1), recorded[f"output_{sample}_0"].reshape(1, -1)
        np.testing.assert_allclose(network(x.astype(np.float64)), y, atol=FLOAT32_ATOL, rtol=1e-5)


@pytest.mark.parametrize("name", REFUSED_FILES)
def test_reference_file_is_refused_by_name(name):
    with pytest.raises(UnsupportedLayerError) as error:
        read_subject(reference("onnx_small") / name)
    assert REFUSED_FILES[name] in str(error.value)


@pytest.mark.parametrize("family", ["acasxu", "mnist_fc", "reach_prob_density"])
def test_competition_networks_give_their_recorded_outputs(family):
    """51 networks at random points of a property's box."""
    folder = reference("vnncomp") / family
    recorded = np.load(folder / "reference_io.npz")
    for name in sorted({key.rsplit("/", 1)[0] for key in recorded.files}):
        network = read_subject(folder / "onnx" / f"{name}.onnx").network
        x, y = (recorded[f"{name}/{part}"] for part in "xy")
        ours = network(x.reshape(len(x), -1).astype(np.float64))
        np.testing.assert_allclose(ours, y.reshape(len(y), -1), atol=FLOAT32_ATOL, rtol=1e-5)


CONCAT = {
    "the input and a layer of it": (["x", "h"], 1),
    "three, one of them twice": (["h", "x", "h"], 1),
    "from the last axis": (["h", "x"], -1),
    "a constant in between": (["h", "c", "x"], 1),
    "constants alone beside the data": (["c", "h", "c"], 1),
    "one": (["h"], 1),
}


@pytest.mark.parametrize("how", CONCAT)
def test_values_are_put_behind_each_other(tmp_path, how):
    names, axis = CONCAT[how]
    constants = {"w": weights(3, 4), "b": weights(4), "c": weights(1, 2), "v": weights(len_of(names), 2)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["z"]),
        helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("Concat", names, ["all"], axis=axis),
        helper.make_node("MatMul", ["all", "v"], ["y"]),
    ]
    equal_to_onnxruntime(save(tmp_path / "net.onnx", nodes, constants, (1, 3)))


def len_of(names: list[str]) -> int:
    return sum({"x": 3, "h": 4, "c": 2}[name] for name in names)


def test_channels_are_put_behind_each_other(tmp_path):
    constants = {"k": weights(2, 1, 3, 3), "l": weights(3, 1, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["p"]),
        helper.make_node("Conv", ["x", "l"], ["q"]),
        helper.make_node("Concat", ["p", "q", "x"], ["all"], axis=1),
        helper.make_node("Relu", ["all"], ["y"]),
    ]
    equal_to_onnxruntime(save(tmp_path / "net.onnx", nodes, constants, (1, 1, 4, 5)))


def test_values_that_do_not_fit_behind_each_other_are_refused_by_name(tmp_path):
    nodes = [helper.make_node("Concat", ["x", "c"], ["y"], axis=1, name="both")]
    path = save(tmp_path / "net.onnx", nodes, {"c": weights(2, 2)}, (1, 3))
    with pytest.raises(UnsupportedLayerError, match=r"'both'.*\(1, 3\) and \(2, 2\) do not fit together along axis 1"):
        read_subject(path)
