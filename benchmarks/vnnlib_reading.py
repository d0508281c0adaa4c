"""How fast VNN-LIB properties are read: `python -m benchmarks.vnnlib_reading [--data FOLDER]`.

Files of the kinds that are public are generated, and read in one process: megabytes for each CPU second. With --data
the competition's properties in that folder (its sub-folder vnncomp) are read, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from verifier.frontends.vnnlib.file import problem, vnnlib_text


def declared(inputs: int, outputs: int) -> str:
    """Declarations, one in each line."""
    names = [f"X_{i}" for i in range(inputs)] + [f"Y_{i}" for i in range(outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


def box(low: np.ndarray, high: np.ndarray) -> Iterator[str]:
    """The bounds of a box as comparisons."""
    for i, (lower, upper) in enumerate(zip(low, high, strict=True)):
        yield f"(>= X_{i} {lower:.9f})"
        yield f"(<= X_{i} {upper:.9f})"


def many_boxes(boxes: int, inputs: int, seed: int = 0) -> str:
    """One disjunction of boxes, each with one row, as in nn4sys and in properties of several images."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(boxes):
        low = rng.uniform(-1, 1, inputs)
        parts.append(f"(and {' '.join(box(low, low + 0.01))} (>= Y_0 1000))")
    return declared(inputs, 1) + "(assert (or\n" + "\n".join(parts) + "\n))\n"


def many_disjuncts(disjuncts: int, inputs: int = 5, outputs: int = 5) -> str:
    """One box and a disjunction of pairs of rows."""
    low = np.zeros(inputs)
    asserted = "".join(f"(assert {one})\n" for one in box(low, low + 1))
    rows = [f"(and (<= Y_{i % outputs} {i / 7:.6f}) (>= Y_{(i + 1) % outputs} Y_0))" for i in range(1, disjuncts + 1)]
    return declared(inputs, outputs) + asserted + "(assert (or\n" + "\n".join(rows) + "\n))\n"


def unrepeated(disjuncts: int, outputs: int = 5) -> str:
    """Pairs of rows whose numbers all differ."""
    limits = np.random.default_rng(3).normal(size=(disjuncts, 2))
    rows = [
        f"(and (<= Y_{i % outputs} {low:.8f}) (>= Y_{(i + 1) % outputs} {high:.8f}))"
        for i, (low, high) in enumerate(limits)
    ]
    return declared(1, outputs) + "(assert (>= X_0 0))(assert (<= X_0 1))(assert (or\n" + "\n".join(rows) + "\n))\n"


def one_box(megabytes: float) -> str:
    """One box of so many inputs that its assertions fill the file, with comments, one in each line."""
    inputs = int(megabytes * 1e6 / 95)
    low = np.random.default_rng(1).uniform(-1, 1, inputs)
    asserted = "".join(f"(assert {one})\n" for one in box(low, low + 0.01))
    return "; inputs\n" + declared(inputs, 2) + "; their box\n" + asserted + "(assert (<= Y_0 Y_1))\n"


def sums(rows: int, outputs: int = 10) -> str:
    """Weighted sums of several outputs."""
    weights = np.random.default_rng(2).normal(size=(rows, outputs))
    terms = (" ".join(f"(* {w:.9f} Y_{i})" for i, w in enumerate(row)) for row in weights)
    asserted = "".join(f"(assert (<= (+ {term}) 0.5))\n" for term in terms)
    return declared(1, outputs) + "(assert (>= X_0 0))(assert (<= X_0 1))\n" + asserted


def report(name: str, text: str) -> None:
    """Read a text and print what it took."""
    started = time.process_time()
    found = problem(text, name)
    seconds = time.process_time() - started
    size = len(text) / 1e6
    disjuncts = sum(len(case.unsafe) for case in found.cases)
    print(
        f"{name:34} {size:7.2f} MB {seconds:7.2f} CPU s {size / seconds:7.1f} MB/s   "
        f"{len(found.cases)} boxes, {disjuncts} disjuncts",
        flush=True,
    )


def main() -> None:
    """Print one line for each kind, and one for all files of the reference data together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the reference data")
    options = parser.parse_args()
    problem(one_box(0.1))  # whatever is loaded or filled once
    report("100 boxes of 3,072 inputs", many_boxes(100, 3072))
    report("300 boxes of 300 inputs", many_boxes(300, 300))
    report("32,768 disjuncts", many_disjuncts(32_768))
    report("32,768 disjuncts, no number twice", unrepeated(32_768))
    report("one box, 10 MB", one_box(10))
    report("sums of outputs", sums(1_000))
    if options.data is not None:
        files = sorted((options.data / "vnncomp").glob("*/**/*.vnnlib*"))
        texts = [(file.name, vnnlib_text(file)) for file in files]
        started = time.process_time()
        for name, text in texts:
            problem(text, name)
        seconds, size = time.process_time() - started, sum(len(text) for _, text in texts) / 1e6
        print(f"{len(files)} files of the reference data: {size:.2f} MB, {size / seconds:.1f} MB a CPU second")


if __name__ == "__main__":
    main()
