"""ONNX files that break ONNX's rules, or follow rules that changed since, are refused by name and never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from verifier import verify
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.read import read_subject

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ONES = {"c": np.ones(3, np.float32)}
NORM = {name: np.ones(3, np.float32) for name in "sbmv"}


def save(path: Any, shape: tuple, constants: dict, op: str, names: str = "", opset: int = 13, **attributes: Any) -> Any:
    """A file of one node that takes x and constants."""
    nodes = [helper.make_node(op, ["x", *names], ["y"], **attributes)] if op else []
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, one) for name, one in (("x", shape), ("y", None))]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((1, 1, 4, 4), {}, "MaxPool"), r"node 0 \(MaxPool 'y'\): does not follow ONNX's rules \(KeyError"),
        (((1, 1, 4, 4), {}, "MaxPool", "", 13, {"kernel_shape": [2, 2], "pads": [1]}), r"MaxPool.* \(IndexError"),
        (((1, 1, 4, 4), {}, "MaxPool", "", 13, {"kernel_shape": [2, 2], "strides": [0, 1]}), "MaxPool.*ZeroDivision"),
        (((2, 1, 4), {"a": np.array([0])}, "Squeeze", "a"), r"node 0 \(Squeeze 'y'\): does not follow"),
        (((1, 2), {"w": np.ones((2, 2), np.float32), **ONES}, "Gemm", "wc"), r"net \(f.onnx\): does not follow"),
        (((3,), NORM, "BatchNormalization", "sbmv"), "does not follow ONNX's rules"),
        (((1, 4), NORM, "BatchNormalization", "sbmv"), "does not follow ONNX's rules"),
        (((1, 3), {}, ""), "no node computes its output y"),
    ],
)
def test_a_file_that_breaks_the_rules_is_refused(arguments: tuple, said: str, tmp_path: Any) -> None:
    *plain, attributes = arguments if isinstance(arguments[-1], dict) and len(arguments) > 4 else (*arguments, {})
    with pytest.raises(NetworkError, match=said):
        read_subject(save(tmp_path / "f.onnx", *plain, **attributes))


@pytest.mark.parametrize(
    ("op", "constants", "names", "attributes"),
    [
        ("Add", ONES, "c", {"broadcast": 1, "axis": 0}),
        ("Mul", ONES, "c", {"broadcast": 1, "axis": 0}),
        ("Gemm", {"w": np.eye(3, dtype=np.float32), **ONES}, "wc", {"broadcast": 1}),
        ("BatchNormalization", NORM, "sbmv", {"is_test": 0}),
        ("Dropout", {}, "", {"is_test": 0}),
    ],
)
def test_rules_before_opset_7_are_refused_without_onnxruntime_too(
    op: str, constants: dict, names: str, attributes: dict, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Add with axis=0 adds c to the columns of x, not to its rows: guessed, it would be verified as another network."""
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    path = save(tmp_path / "f.onnx", (3, 3), constants, op, names, 6, **attributes)
    with pytest.raises(UnsupportedLayerError, match=rf"node 0 \({op} 'y'\): it is written by the rules of opset 6"):
        read_subject(path)


@pytest.mark.parametrize("input_shape", [5, "ab", (0, 3), ()])
def test_an_input_shape_that_is_none_is_refused_for_files(input_shape: Any, tmp_path: Any) -> None:
    path = save(tmp_path / "f.onnx", (1, 3), {}, "Relu")
    with pytest.raises(NetworkError, match="input_shape: expected a tuple of whole numbers >= 1"):
        verify(path, [(0, 1)] * 3, [[None, 2]] * 3, input_shape=input_shape)


def test_an_input_shape_that_the_file_does_not_take_is_refused(tmp_path: Any) -> None:
    pytest.importorskip("onnxruntime")
    path = save(tmp_path / "f.onnx", (1, 3), {}, "Relu")
    with pytest.raises(
        NetworkError, match=r"onnxruntime cannot run it on an input of shape \(1, 4\).*pass input_shape"
    ):
        verify(path, [(0, 1)] * 4, [[None, 2]] * 4, input_shape=(4,))
