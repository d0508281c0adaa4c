"""All ACAS Xu instances of a data folder: which verdicts are right, and what they cost.

    python -m benchmarks.acasxu --data PATH/vnncomp/acasxu

The folder holds instances.csv, expected.csv, onnx/ and vnnlib/ as in the competition. Every instance runs through the
stages of verify() in this process, one after the other, and a counterexample is replayed in onnxruntime in float32.
Reading files, imports and compilation are not part of the seconds; compilation is done once before. Ends with status 1
on a wrong verdict or when the process took a GiB of memory.
"""

import argparse
import csv
import gzip
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe
from verifier import spec as specs
from verifier.budget import Budget
from verifier.network import Affine, Network, Subject
from verifier.stages import Run
from verifier.verdict import Question, Verdict

MEMORY_LIMIT_MIB = 1024
RESULTS = Path(__file__).parent / "results"
NAMES = {Verdict.VERIFIED: "unsat", Verdict.FALSIFIED: "sat", Verdict.UNKNOWN: "unknown"}


def read_network(path: Path) -> Subject:
    """Read a chain of MatMul, Add and Relu; replay is onnxruntime's, in float32."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    constants = {one.name: numpy_helper.to_array(one).astype(np.float64) for one in graph.initializer}
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    for node in graph.node:
        if node.op_type == "Sub":
            assert not constants[node.input[1]].any(), "inputs are shifted"
        elif node.op_type == "MatMul":
            weights.append(np.ascontiguousarray(constants[node.input[1]].T))
        elif node.op_type == "Add":
            biases.append(constants[node.input[1]].reshape(-1))
        else:
            assert node.op_type in ("Relu", "Flatten"), node.op_type
    network = Network(tuple(Affine(w, b) for w, b in zip(weights, biases, strict=True)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]

    def run(x: np.ndarray) -> np.ndarray:
        rows = [session.run(None, {first.name: row.astype(np.float32).reshape(1, 1, 1, -1)})[0] for row in x]
        return np.array(rows, dtype=np.float64).reshape(len(x), -1)

    return Subject(network, run, lambda x: x.astype(np.float32).astype(np.float64), lambda x: x.astype(np.float32))


def _tree(text: str) -> Iterator[Any]:
    """Nested lists of an s-expression file."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    yield from stack[0]


def _cases(term: list[Any]) -> list[list[list[str]]]:
    """Disjunctive normal form: a list of conjunctions of comparisons."""
    if term[0] == "or":
        return [case for part in term[1:] for case in _cases(part)]
    if term[0] == "and":
        cases: list[list[list[str]]] = [[]]
        for part in term[1:]:
            cases = [[*one, *other] for one in cases for other in _cases(part)]
        return cases
    return [[term]]


def read_property(path: Path, inputs: int, outputs: int) -> list[tuple[specs.Box, specs.OutputSpec]]:
    """Read a property as (box, spec) questions; all must hold."""
    raw = path if path.exists() else path.with_name(path.name + ".gz")
    text = gzip.decompress(raw.read_bytes()).decode() if raw.suffix == ".gz" else raw.read_text()
    boxes = [(np.full(inputs, -np.inf), np.full(inputs, np.inf))]
    unsafe: list[list[list[str]]] = [[]]
    for term in _tree(text):
        if term[0] != "assert":
            continue
        cases = _cases(term[1])
        if "X_" in str(cases):
            boxes = [_narrowed(box, case) for box in boxes for case in cases]
        else:
            unsafe = [[*one, *other] for one in unsafe for other in cases]
    clauses = [specs.any_of(*(_safe(row, outputs) for row in case)) for case in unsafe]
    return [(specs.Box(low, high), specs.all_of(*clauses)) for low, high in boxes]


def _narrowed(box: tuple[np.ndarray, np.ndarray], case: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    low, high = box[0].copy(), box[1].copy()
    for operator, name, value in case:
        index = int(name[2:])
        if operator == "<=":
            high[index] = min(high[index], float(value))
        else:
            low[index] = max(low[index], float(value))
    return low, high


def _safe(row: list[str], outputs: int) -> specs.OutputSpec:
    """The negation of an unsafe row: `left <= right` is unsafe, so left - right > 0 is safe."""
    operator, left, right = row
    coefficients, offset = np.zeros(outputs), 0.0
    for side, sign in ((left, 1.0), (right, -1.0)):
        if side.startswith("Y_"):
            coefficients[int(side[2:])] += sign
        else:
            offset += sign * float(side)
    sign = 1.0 if operator == "<=" else -1.0
    return specs.linear(sign * coefficients, sign * offset, strict=True)


def solve(subject: Subject, questions: list[tuple[specs.Box, specs.OutputSpec]], timeout_s: float) -> dict[str, Any]:
    """Answer every question of an instance; sat as soon as one is."""
    wall, cpu = time.perf_counter(), time.process_time()
    verdict, stages, boxes = "unsat", [], 0
    for box, spec in questions:
        left = timeout_s - (time.perf_counter() - wall)
        run = Run(Question.ask(subject, box, spec), Budget(max(left, 1e-3), show=False), 0, "auto")
        run.go()
        boxes += run.budget.subdomains
        stages.append(run.stage or run.reason)
        if run.verdict is not Verdict.VERIFIED:
            verdict = NAMES[run.verdict]
            if verdict == "sat":
                break
    return {
        "verdict": verdict, "stage": " ".join(stages), "boxes": boxes,
        "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def main() -> int:
    """Read the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with instances.csv, expected.csv, onnx/, vnnlib/"
    )
    parser.add_argument("--timeout", type=float, default=None, help="seconds an instance (default: instances.csv's)")
    parser.add_argument("--only", default="", help="regular expression on 'onnx vnnlib'")
    parser.add_argument("--out", type=Path, default=RESULTS / "acasxu", help="path of the table without its ending")
    parser.add_argument("--verbose", action="store_true", help="print every instance")
    options = parser.parse_args()
    if not (options.data / "instances.csv").exists():
        parser.error(f"--data: {options.data} holds no instances.csv")
    with (options.data / "expected.csv").open() as file:
        expected = [row for row in csv.DictReader(file) if re.search(options.only, f"{row['onnx']} {row['vnnlib']}")]
    warm_up(options.data / expected[0]["onnx"])
    rows = []
    for want in expected:
        subject = read_network(options.data / want["onnx"])
        questions = read_property(options.data / want["vnnlib"], subject.network.inputs, subject.network.outputs)
        limit = options.timeout or float(want["timeout"])
        found = solve(subject, questions, limit)
        row = {
            "onnx": Path(want["onnx"]).stem,
            "vnnlib": Path(want["vnnlib"]).stem,
            "expected": want["verdict"],
            **found,
        }
        rows.append(row)
        if options.verbose:
            print(
                f"{row['onnx'][13:16]} {row['vnnlib']:8} {row['expected']:6} {row['verdict']:8} {row['boxes']:9,} "
                f"{row['cpu_seconds']:8.3f} {row['stage']}", flush=True,
            )  # fmt: skip
    return report(rows, options)


def warm_up(path: Path) -> None:
    """Load what the first instance would wait for."""
    subject = read_network(path)
    question = Question.ask(subject, specs.Box(np.full(5, -0.5), np.full(5, 0.5)), specs.argmax_is(0))
    from verifier.search.compiled_network import flatten
    from verifier.search.compiled_split import CompiledSplit

    net = flatten(question)
    assert net is not None
    CompiledSplit(question, net).run(Budget(max_subdomains=1))
    Run(question, Budget(1.0, show=False), 0, "auto").go()


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> int:
    """Print and write the sums by property."""
    options.out.parent.mkdir(exist_ok=True)
    with options.out.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    lines = [
        "| property | instances | right | wrong | open | boxes | CPU s | longest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    names = sorted({row["vnnlib"] for row in rows}, key=lambda name: int(name.split("_")[1]))
    for name in [*names, "all"]:
        some = [row for row in rows if name in (row["vnnlib"], "all")]
        still = sum(row["verdict"] == "unknown" for row in some)
        right = sum(row["verdict"] == row["expected"] for row in some)
        lines.append(
            f"| {name} | {len(some)} | {right} | {len(some) - right - still} | {still} | "
            f"{sum(row['boxes'] for row in some):,} | {sum(row['cpu_seconds'] for row in some):.2f} | "
            f"{max(row['cpu_seconds'] for row in some):.2f} |"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    peak = f"Peak memory of the process: {memory:.0f} MiB (limit {MEMORY_LIMIT_MIB} MiB)."
    command = f"`python -m benchmarks.acasxu --data {options.data.name}`"
    text = "\n".join([describe(), "", command, "", *lines, "", peak, ""])
    print(text)
    options.out.with_suffix(".md").write_text("# ACAS Xu\n\n" + text)
    wrong = [row for row in rows if row["verdict"] not in (row["expected"], "unknown")]
    return 1 if wrong or memory > MEMORY_LIMIT_MIB else 0


if __name__ == "__main__":
    raise SystemExit(main())
