"""Damaged files: each is read as what it says, or refused in one line; never a traceback, never another network.

Every case changes one small file in one place: a character is lost, doubled or replaced, a line is lost or doubled, all
lines are shuffled, or the file is cut off.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.verifier import small_files
from tests.verifier.frontends.vnnlib import slow_reader
from verifier import VerifierError
from verifier.__main__ import main
from verifier.frontends.read import read_subject
from verifier.frontends.vnnlib.file import problem
from verifier.frontends.vnnlib.syntax import parse

PROPERTY = (
    small_files.DECLARED
    + small_files.UNIT_BOX
    + "(assert (or (and (<= X_0 0.5) (>= Y_0 1.25)) (and (>= X_1 0.5) (<= Y_1 Y_0) (<= 2.5 Y_0))))\n"
    + "(assert (<= (+ Y_0 (* 2 Y_1)) 7))\n"
)


def damaged(text: str, count: int, seed: int) -> list[str]:
    """Copies of a text, each with one damage."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        at, kind = draw.randrange(len(text)), draw.randrange(7)
        lines = text.splitlines(keepends=True)
        line = draw.randrange(len(lines))
        if kind == 0:
            found.append(text[:at] + text[at + 1 :])
        elif kind == 1:
            found.append(text[:at] + text[at] + text[at:])
        elif kind == 2:
            found.append(text[:at] + draw.choice('()<>=-+.,0123456789eXY_ \n;|"#x\u00e9\x00') + text[at + 1 :])
        elif kind == 3:
            found.append(text[:at])
        elif kind == 4:
            found.append("".join(lines[:line] + lines[line + 1 :]))
        elif kind == 5:
            found.append("".join([*lines[:line], lines[line], *lines[line:]]))
        else:
            found.append("".join(draw.sample(lines, len(lines))))
    return found


def test_damaged_properties_are_read_as_by_the_slow_reader_or_refused_in_one_line():
    """What the slow reader takes for a property, ours may refuse (it checks more), but never reads otherwise."""
    read = 0
    for text in damaged(PROPERTY, 1_500, 1):
        try:
            found = problem(text)
        except VerifierError as error:
            assert "\n" not in str(error)
            continue
        read += 1
        boxes = {
            (
                tuple(zip(case.box.lower.tolist(), case.box.upper.tolist(), strict=True)),
                frozenset(frozenset(row[:3] for row in disjunct) for disjunct in case.unsafe),
            )
            for case in found.cases
        }
        related = any(row.inputs for case in found.cases for disjunct in case.unsafe for row in disjunct)
        if not (related or set(text) & set('|"#')):  # the slow reader knows no rows that name inputs
            assert boxes == slow_reader.read(text), text
        assert parse(text)  # the reader of tokens takes it, too
    assert read > 200


def test_damaged_nnet_files_are_read_as_their_numbers_or_refused_in_one_line(tmp_path):
    """A file that is read has the numbers of the text: those of the last layers are compared, digit by digit."""
    path, read = tmp_path / "net.nnet", 0
    for text in damaged(small_files.NETWORK, 1_000, 2):
        path.write_text(text)
        try:
            network = read_subject(path).network
        except VerifierError as error:
            assert "\n" not in str(error)
            continue
        except Warning:
            continue
        read += 1
        rows = [line.strip().removesuffix(",").split(",") for line in text.splitlines() if line.strip()]
        rows = rows[next(i for i, row in enumerate(rows) if not row[0].strip()[:1].isalpha() and row[0][:2] != "//") :]
        numbers = [[float(cell) for cell in row] for row in rows[3:]]
        low, high, mean, scale, *layers = numbers
        x = np.array([0.75, 0.5])
        z = (np.clip(x, low[:2], high[:2]) - mean[:2]) / scale[:2]
        hidden = np.maximum(np.array(layers[:2]) @ z + np.array(layers[2:4])[:, 0], 0)
        outputs = (np.array(layers[4:6]) @ hidden + np.array(layers[6:8])[:, 0]) * scale[-1] + mean[-1]
        assert network(x[None])[0] == pytest.approx(outputs, rel=1e-12, abs=1e-12), text
    assert read > 100


def test_damaged_onnx_files_are_read_or_refused_in_one_line(tmp_path, capsys):
    """Through the command line, which would show a traceback."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    stored = [numpy_helper.from_array(np.ones((2, 2), np.float32), "w")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])], "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.DOUBLE, (1, 2))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, (1, 2))], stored,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    whole, draw = model.SerializeToString(), random.Random(3)
    path, spec = tmp_path / "net.onnx", str(small_files.above(tmp_path, 5))
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 2)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(bytes(content if draw.random() < 0.8 else content[: draw.randrange(len(content))]))
        status = main(["verify", str(path), spec, "--timeout", "5", "--method", "ibp"])
        printed = capsys.readouterr()
        if status == 0:
            assert printed.out.split("\n")[0] in ("unsat", "sat", "unknown", "timeout")
        else:
            assert status == 2 and printed.out == "" and printed.err.startswith("error: ")
            assert printed.err.count("\n") == 1
