"""Engines against each other: what one verifies no other refutes, and what one falsifies is replayed elsewhere.

Verified by input splitting is asked again of MILP, Z3, ReLU splitting and, where NNV_MARABOU_PYTHON names a Python that
has maraboupy, of Marabou; falsified is replayed in onnxruntime, on the network written as an ONNX file, and in torch.
Work is limited by subdomains, never by seconds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from judges.marabou import ask_marabou
from judges.random_problems import Problem, random_problem
from tests.verifier.networks import random_network
from verifier.answer.budget import Budget
from verifier.answer.verdict import Question, Verdict
from verifier.network import Affine, Network
from verifier.question.spec import (
    Box,
    OutputSpec,
    any_of,
    argmax_is,
    greater_than,
    less_than,
    linear,
    output_spec,
    within,
)
from verifier.search.compiled.network import flatten
from verifier.search.compiled.split import CompiledSplit
from verifier.subject import Subject

VERIFIED, FALSIFIED, UNKNOWN = Verdict.VERIFIED, Verdict.FALSIFIED, Verdict.UNKNOWN
SEED = 51  # of the random problems
MAX_SUBDOMAINS = 4000
CHECKS = ("milp", "z3", "relu_split")
MARABOU_ATOL = 1e-4  # Marabou's tolerances add up along the layers of a network


def settle(network: Any, box: Box, spec: Any, engine: str, limit: int = MAX_SUBDOMAINS) -> tuple[Verdict, Any]:
    """Ask one engine; "compiled" is the search of CompiledSplit by itself."""
    if engine != "compiled":
        result = verifier.verify(network, box, spec, method=engine, max_subdomains=limit, timeout_s=600, progress=False)
        return result.verdict, result.counterexample
    question = Question.ask(Subject.of_network(network), box, output_spec(spec))
    net = flatten(question)
    if net is None:
        return UNKNOWN, None
    search = CompiledSplit(question, net)
    search.run(Budget(max_subdomains=limit))
    if search.counterexample is not None:
        return FALSIFIED, search.counterexample.x
    return (VERIFIED if search.verified else UNKNOWN), None


def write_onnx(layers: list[tuple[np.ndarray, np.ndarray]], path: Path) -> Path:
    """Write float32 layers with ReLU between them as an ONNX file."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "x"
    for index, (weight, bias) in enumerate(layers):
        constants += [numpy_helper.from_array(weight, f"w{index}"), numpy_helper.from_array(bias, f"b{index}")]
        last = index == len(layers) - 1
        made = "y" if last else f"z{index}"
        nodes.append(helper.make_node("Gemm", [name, f"w{index}", f"b{index}"], [made], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [made], [f"h{index}"]))
            name = f"h{index}"
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, size])
        for end, size in (("x", layers[0][0].shape[1]), ("y", layers[-1][0].shape[0]))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def run_onnx(path: Path, x: np.ndarray) -> np.ndarray:
    """Run a file on one input."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.reshape(1, -1).astype(np.float32)})[0], dtype=np.float64)[0]


def worst_margin(problem: Problem, y: np.ndarray) -> float:
    """Margin of the worst clause at outputs y, computed here from the spec's clauses."""
    clauses = output_spec(problem.y_specs()).clauses(problem.outputs)
    return min(max(float(np.dot(one.coefficients, y)) + one.offset for one in clause) for clause in clauses)


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_what_input_splitting_says_no_other_engine_contradicts(first: int, tmp_path: Path) -> None:
    """200 random problems, many with margins near zero: each verdict asked again, each counterexample replayed."""
    settled = 0
    for index in range(first, first + 20):
        problem = random_problem(SEED, index)
        if problem.sigmoid:
            continue
        net, box = problem.module(), Box(problem.lower, problem.upper)
        verdict, x = settle(net, box, problem.y_specs(), "split")
        settled += verdict is not UNKNOWN
        opposite = FALSIFIED if verdict is VERIFIED else VERIFIED
        for check in ("milp", "z3"):
            other = settle(net, box, problem.y_specs(), check)[0]
            at_a_tie = check == "milp" and abs(problem.answer().worst_margin) <= 1e-5 * problem.scale()
            assert verdict is UNKNOWN or other is not opposite or at_a_tie, (
                f"problem {index}: {verdict}, {check}: {other}"
            )
        if verdict is FALSIFIED:
            assert (np.asarray(x, dtype=float).reshape(-1) >= np.array(problem.hull()[0])).all()
            with torch.no_grad():
                y = net(x.reshape(1, -1))[0].double().numpy()
            assert worst_margin(problem, y) <= 0, f"problem {index}: torch computes {y}"
            if problem.dtype == "float32":
                y = run_onnx(write_onnx(problem.layers, tmp_path / f"{index}.onnx"), np.asarray(x))
                rounding = 1e-6 * problem.scale()  # onnxruntime may add up in another order
                assert worst_margin(problem, y) <= rounding, f"problem {index}: onnxruntime computes {y}"
    assert settled >= 12  # most of the others have a Sigmoid or a margin below rounding


def larger_question(seed: int) -> tuple[Network, Box, OutputSpec]:
    """Larger networks than enumeration takes, a threshold a little to one side of the least value on samples."""
    rng = np.random.default_rng([SEED, seed])
    inputs, outputs = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    hidden = [int(n) for n in rng.integers(3, 9, int(rng.integers(1, 4)))]
    network = random_network(1000 + seed, inputs, *hidden, outputs)
    box = Box(*np.sort(rng.uniform(-1, 1, (2, inputs)), axis=0))
    y = network(rng.uniform(box.lower, box.upper, (3000, inputs)))
    row, other = rng.normal(size=(2, outputs))
    room = float(rng.choice([-0.2, -0.02, 0.05, 0.3]))
    one = linear(row, -float((y @ row).min()) + room)
    return network, box, one if seed % 2 else any_of(one, linear(other, -float((y @ other).min()) - 0.3))


@pytest.mark.parametrize("engine", ["compiled", *CHECKS])
@pytest.mark.parametrize("first", range(0, 80, 20))
def test_engines_agree_on_larger_networks(engine: str, first: int) -> None:
    """80 networks of 3 to 24 neurons; every engine settles nearly all, as the numpy search does."""
    both = 0
    for seed in range(first, first + 20):
        network, box, spec = larger_question(seed)
        if engine == "z3" and network.neurons > 11:
            continue  # seconds each
        verdict = settle(network, box, spec, "split")[0]
        other = settle(network, box, spec, engine)[0]
        both += UNKNOWN not in (verdict, other)
        assert verdict is other or UNKNOWN in (verdict, other), f"seed {seed}: split {verdict}, {engine} {other}"
    assert both >= (4 if engine == "z3" else 17)


@pytest.mark.skipif("NNV_MARABOU_PYTHON" not in os.environ, reason="NNV_MARABOU_PYTHON names no Python with maraboupy")
def test_marabou_finds_no_counterexample_to_what_is_verified() -> None:
    """Each clause is a query for inputs at which all of its margins are <= 0."""
    queries, asked = [], []
    for seed in range(80):
        network, box, spec = larger_question(seed)
        verdict = settle(network, box, spec, "compiled")[0]
        for clause in spec.clauses(network.outputs):
            layers = [[layer.weight.tolist(), layer.bias.tolist()] for layer in network.layers]
            unsafe = [[list(one.coefficients), one.offset] for one in clause]
            lower, upper = box.lower.tolist(), box.upper.tolist()
            queries.append({"layers": layers, "lower": lower, "upper": upper, "unsafe": unsafe, "timeout_s": 10})
            asked.append((seed, network, clause, verdict))
    for (seed, network, clause, verdict), answer in zip(
        asked, ask_marabou(os.environ["NNV_MARABOU_PYTHON"], queries), strict=True
    ):
        if verdict is FALSIFIED:
            assert answer["status"] != "unsat", f"seed {seed}"  # one clause each
        elif verdict is VERIFIED and answer["status"] == "sat":
            y = network(np.array([answer["x"]]))[0]
            best = max(float(np.dot(one.coefficients, y)) + one.offset for one in clause)
            assert abs(best) <= MARABOU_ATOL, f"seed {seed}: margin {best} at {answer['x']}"


@dataclass(frozen=True, eq=False)
class Edge:
    """A question of an unusual form, its verdict worked out by hand, and the engines that may leave it open."""

    name: str
    network: Network
    box: Box
    spec: OutputSpec
    verdict: Verdict
    may_leave_open: tuple[str, ...] = ()


def _edges() -> list[Edge]:
    found = []
    # |x| = relu(x) + relu(-x) is 0 at 0 and nowhere below
    absolute = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
    inexact = ("split", "compiled", "milp", "relu_split", "lp")
    found.append(Edge("tie, closed", absolute, Box([-1], [1]), within([[0.0, None]]), VERIFIED, inexact))
    found.append(Edge("tie, strict", absolute, Box([-1], [1]), greater_than(0.0), FALSIFIED, inexact[2:]))
    # a box of zero width in all inputs, and in all but one, at a network whose values are known by running it
    network = random_network(1, 3, 8, 8, 2)
    x = np.array([0.125, -0.25, 0.5])
    y = float(network(x[None])[0, 0])
    for room, verdict in ((0.1, VERIFIED), (-0.1, FALSIFIED)):
        found.append(Edge(f"zero width, {room}", network, Box(x, x), less_than(y + room, 0), verdict))
        side = np.array([0.0, 0.5, 0.0])
        low, high = x - side, x + side
        line = network(np.linspace(low, high, 20_001))[:, 0]  # one input varies: samples are as good as exact
        found.append(
            Edge(f"one input, {room}", network, Box(low, high), less_than(float(line.max()) + room, 0), verdict)
        )
    # every neuron is dead, so that the output is its bias
    dead = Network((Affine(np.ones((4, 2)), np.full(4, -50.0)), Affine(np.ones((1, 4)), np.array([0.25]))))
    square = Box([-1, -1], [1, 1])
    found.append(Edge("dead, holds", dead, square, within([[0.2, 0.3]]), VERIFIED))
    found.append(Edge("dead, fails", dead, square, greater_than(0.3), FALSIFIED))
    # relu(s (x_0 + x_1)) reaches 2 s
    for scale in (1e-8, 1e8):
        scaled = Network((Affine(np.full((1, 2), scale), np.zeros(1)), Affine(np.ones((1, 1)), np.zeros(1))))
        found.append(Edge(f"{scale:g}, holds", scaled, square, less_than(2.1 * scale), VERIFIED, ("milp",)))
        found.append(Edge(f"{scale:g}, fails", scaled, square, less_than(1.9 * scale), FALSIFIED, ("milp",)))
    # no hidden layer: x_0 - 2 x_1 + 0.5 lies in [-1.5, 1.5] on the unit square
    affine = Network((Affine(np.array([[1.0, -2.0]]), np.array([0.5])),))
    unit = Box([0, 0], [1, 1])
    found.append(Edge("no layer, holds", affine, unit, greater_than(-1.75), VERIFIED))
    found.append(Edge("no layer, fails", affine, unit, greater_than(-1.25), FALSIFIED))
    # output k of 100 is k relu(x): the last is the largest at x > 0, and all tie at x = 0
    hundred = Network((Affine(np.ones((1, 1)), np.zeros(1)), Affine(np.arange(100.0)[:, None], np.zeros(100))))
    found.append(Edge("hundred, holds", hundred, Box([0.5], [1]), argmax_is(99), VERIFIED))
    found.append(Edge("hundred, fails", hundred, Box([0.5], [1]), argmax_is(98), FALSIFIED))
    found.append(Edge("hundred, tie", hundred, Box([0], [1]), argmax_is(99), FALSIFIED))
    return found


@pytest.mark.parametrize("engine", ["compiled", "split", "relu_split", "lp", "milp", "z3", "auto"])
@pytest.mark.parametrize("edge", _edges(), ids=lambda edge: edge.name)
def test_every_engine_takes_unusual_questions(edge: Edge, engine: str) -> None:
    """Complete engines give the verdict worked out by hand, incomplete ones that or unknown; nothing is ever wrong."""
    verdict = settle(edge.network, edge.box, edge.spec, engine)[0]
    accepted = {edge.verdict, UNKNOWN} if engine in (*edge.may_leave_open, "lp") else {edge.verdict}
    assert verdict in accepted


def test_a_network_written_as_a_file_is_the_module_it_came_from(tmp_path: Path) -> None:
    """The replay above rests on write_onnx: torch and the file agree on random inputs."""
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    layers = [(net[i].weight.detach().numpy(), net[i].bias.detach().numpy()) for i in (0, 2)]
    path = write_onnx(layers, tmp_path / "net.onnx")
    for x in np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32):
        with torch.no_grad():
            assert np.allclose(run_onnx(path, x), net(torch.from_numpy(x))[None].numpy(), atol=1e-6)
