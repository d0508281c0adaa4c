"""Networks found by solvers: the longer searches of lab 7, each written down as soon as it is done.

OMP_NUM_THREADS=1 python -m benchmarks.synthesis [SECTION ...]

Sections: cats, ten, digits, halves, pairs, robust, tried. What is not named is kept as it was measured before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils.data import load_file
from course_utils.synthesis import (
    binary_sketch,
    cats,
    digits,
    first_of_each,
    logistic_regression,
    one_against_rest,
    robust_digit,
    unit_of_cats,
)
from verifier.synthesis.gradient import train_signs
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.sketch import Examples, Sketch, between
from verifier.synthesis.synthesise import by_layers, synthesise

TARGET = Path(__file__).parents[1] / "course_utils" / "data_files" / "synthesis.json"
TABLE = Path(__file__).parent / "results" / "synthesis.md"
Rows = list[dict[str, Any]]


def row(what: str, found: Any, test: Examples | None = None, **more: Any) -> dict[str, Any]:
    """One line of the table, from a Synthesis."""
    line = {
        "what": what, "status": found.status.value, "right": found.correct, "of": found.examples, "value": found.value,
        "bound": found.bound, "seconds": round(found.seconds, 1),
    }  # fmt: skip
    if found.bound == 0 and found.value in (0, None):
        del line["value"], line["bound"]  # nothing was maximised
    if test is not None and found.network is not None:
        line["test"] = round(found.network.balanced_accuracy(test), 4)
    return line | more


def run_cats() -> Rows:
    """The grid of units, families whose optimum is below 40, eight bits, and the fewest weights."""
    rows, test = [], cats("test")
    for largest in (1, 2, 3):
        rows.append(row(f"2x2, weights up to {largest}: most right", unit_of_cats(2, largest, 40)))
    for side, largest in ((2, 3), (4, 1), (4, 2), (4, 3)):
        rows.append(row(f"{side}x{side}, weights up to {largest}: all 40?", unit_of_cats(side, largest)))
    found = unit_of_cats(8, 1)
    rows.append(row("8x8, weights up to 1: all 40?", found, test))
    started, best = time.perf_counter(), [best_few(count) for count in (1, 2, 3)]
    for count, right in enumerate(best, start=1):
        rows.append({
            "what": f"8x8, at most {count} ternary weights: most right, by enumeration", "status": "optimal",
            "right": right, "of": 40, "bound": right, "seconds": round(time.perf_counter() - started, 1),
        })  # fmt: skip
    ternary = Sketch((64, 1), between(-1, 1), between(-16320, 16320))
    rows.append(row("8x8, at most 1 ternary weight: most right", synthesise(ternary, cats(), most_weights=1)))
    fewest = synthesise(ternary, cats(), objective="weights", start=found.network, timeout_s=60)
    rows.append(row("8x8: fewest ternary weights for all 40", fewest, test))
    for largest in (1, 3):
        low = Examples(cats(side=2).inputs // 16, cats().labels)
        eight = Sketch((4, 1), between(-largest, largest), between(-128, 127), bits=8)
        rows.append(row(f"2x2, 16 grey levels, 8-bit sums, weights up to {largest}", synthesise(eight, low)))
    rival = logistic_regression(cats())
    rows.append({"what": "8x8, logistic regression", "right": round(40 * rival(cats())), "of": 40,
                 "test": round(rival(test), 4)})  # fmt: skip
    return rows


def best_few(count: int) -> int:
    """The most of the 40 that a unit with so many weights of -1 and 1 and any bias gets right, by trying all."""
    x, y, best = cats().inputs, cats().labels, 0
    places = np.array(list(itertools.combinations(range(64), count)))
    for signs in itertools.product((-1, 1), repeat=count):
        for chunk in np.array_split(places, max(1, len(places) // 20000)):
            z = (x[:, chunk] * np.array(signs)).sum(axis=2).T
            order = np.argsort(z, axis=1, kind="stable")
            ranked, labels = np.take_along_axis(z, order, 1), y[order]
            # cut before each place: what lies below is class 0, and equal sums stay together
            zeros = np.concatenate([np.zeros((len(z), 1), int), np.cumsum(labels == 0, axis=1)], axis=1)
            ones = np.concatenate([np.cumsum((labels == 1)[:, ::-1], axis=1)[:, ::-1], np.zeros((len(z), 1), int)], 1)
            cut = np.ones((len(z), 41), bool)
            cut[:, 1:-1] = ranked[:, 1:] != ranked[:, :-1]
            best = max(best, int(np.where(cut, zeros + ones, 0).max()))
    return best


def run_ten() -> Rows:
    """64-32-32-10 on the first ten of each digit."""
    train, test = first_of_each(digits(), 10), digits("test")
    sketch = binary_sketch(64, 32, 32, 10, free_thresholds=False)
    started = time.perf_counter()
    start = train_signs(sketch, train)
    rows = [{"what": "gradients alone", "right": int(start.right(train).sum()), "of": 100,
             "test": round(start.accuracy(test), 4), "seconds": round(time.perf_counter() - started, 1)}]  # fmt: skip
    found = synthesise(sketch, train, start=start, freeze=(0, 1), objective="margin", timeout_s=60)
    rows.append(row("last layer by CP-SAT, largest margin", found, test))
    drawn = np.random.default_rng(0)
    layers = list(zip(sketch.topology[1:], sketch.topology[:-1], strict=True))
    chance = WholeNetwork(
        sketch, tuple(drawn.choice([-1, 1], shape) for shape in layers), tuple(np.zeros(m, int) for m, _ in layers)
    )
    rows.append(row("CP-SAT alone, layer by layer from random weights",
                    by_layers(sketch, train, chance, timeout_s=300, step_s=45), test))  # fmt: skip
    one_hot = Sketch(sketch.topology, (-1, 1), (0,), "sign", "one-hot")
    known = WholeNetwork(one_hot, start.weights, start.biases)
    rows.append({"what": "gradients alone, read by the one-hot rule", "right": int(known.right(train).sum()),
                 "of": 100, "test": round(known.accuracy(test), 4)})  # fmt: skip
    return rows


def run_digits() -> Rows:
    """64-8-1 for each digit against the rest: gradients, then CP-SAT layer by layer; and CP-SAT alone."""
    rows = []
    for digit in range(10):
        train, test = one_against_rest(digits(), digit, 125), one_against_rest(digits("test"), digit)
        sketch = binary_sketch(64, 8, 1)
        began = time.perf_counter()
        start = train_signs(sketch, train)
        found = by_layers(sketch, train, start, timeout_s=25, step_s=10)
        line = row(f"{digit}: 64-8-1", found, test, start=int(start.right(train).sum()))
        rows.append(line | {"start_test": round(start.balanced_accuracy(test), 4),
                            "seconds": round(time.perf_counter() - began, 1)})  # fmt: skip
    for digit in (0, 3):
        train, test = one_against_rest(digits(), digit, 125), one_against_rest(digits("test"), digit)
        found = synthesise(binary_sketch(64, 1), train, timeout_s=30, keep=True)
        found_at = [
            [
                round(one.seconds, 2),
                round(one.network.accuracy(train), 4),
                round(one.network.balanced_accuracy(test), 4),
            ]
            for one in found.moments
            if one.network is not None
        ]
        rows.append(row(f"{digit}: 64-1, CP-SAT alone", found, test, line=found_at))
    return rows


def run_halves() -> Rows:
    """The activation that compares the two halves of the xnor word as integers."""
    rows = []
    for digit in (0, 3):
        train, test = one_against_rest(digits(), digit, 125), one_against_rest(digits("test"), digit)
        for topology in ((64, 1), (64, 4, 1)):
            sketch = Sketch(topology, (-1, 1), (0,), "halves")
            found = synthesise(sketch, train, timeout_s=30)
            rows.append(row(f"{digit}: {sketch.name}, halves", found, test))
    return rows


def run_pairs() -> Rows:
    """A network of bits for each pair of digits, 28x28, and a vote."""
    stored, rows = load_file("mnist_subset.npz"), []

    def signs(part: str) -> Any:
        return 2 * (stored[f"{part}_images"].reshape(-1, 784) >= 64).astype(int) - 1

    x, y, tests, wanted = signs("train"), stored["train_labels"], signs("test"), stored["test_labels"]
    for count, method in ((10, "margin"), (40, "gradients")):
        votes, began = np.zeros((len(tests), 10), int), time.perf_counter()
        for a, b in itertools.combinations(range(10), 2):
            first, second = (np.flatnonzero(y == digit)[:count] for digit in (a, b))
            train = Examples(np.vstack([x[first], x[second]]), np.repeat([1, 0], count))
            if method == "margin":
                sketch = Sketch((784, 1), (-1, 1), (0,), "sign")
                net = synthesise(sketch, train, objective="margin", timeout_s=4, workers=1).network
            else:
                net = train_signs(Sketch((784, 1), (-1, 1), between(-784, 784), "sign"), train, steps=100)
            if net is not None:
                says = net.predict(tests) == 1
                votes[says, a] += 1
                votes[~says, b] += 1
        share = float((votes.argmax(axis=1) == wanted).mean())
        rows.append({"what": f"vote of 45, {count} images of each digit, {method}", "test": round(share, 4),
                     "seconds": round(time.perf_counter() - began, 1)})  # fmt: skip
    return rows


def run_robust() -> Rows:
    """One unit for the digit 0 that keeps its labels when one or two bits flip."""
    rows = []
    test = one_against_rest(digits("test"), 0)
    plain = synthesise(binary_sketch(64, 1), one_against_rest(digits(), 0, 15), objective="any", timeout_s=60)
    rows.append(row("0: 64-1 on 15 + 15, no flips", plain, test))
    for flips in (1, 2):
        done = robust_digit(0, flips=flips, timeout_s=120)
        rows.append(row(f"0: 64-1 on 15 + 15, {flips} flips", done.last, test, rounds=done.rounds, added=done.added,
                        robust=done.robust) | {"seconds": round(done.seconds, 1)})  # fmt: skip
    return rows


def run_tried() -> Rows:
    """Symmetry breaking, warm starts and layers on one small question: digit 0, 64-4-1 on 30 + 30 images."""
    train, sketch = one_against_rest(digits(), 0, 30), binary_sketch(64, 4, 1)
    start = train_signs(sketch, train, steps=40)
    rows = [row(name, synthesise(sketch, train, timeout_s=30, **options)) for name, options in (
        ("as it is", {}), ("hidden neurons ordered", {"symmetry": True}), ("from gradients", {"start": start}),
    )]  # fmt: skip
    rows.append(row("from gradients, layer by layer", by_layers(sketch, train, start, timeout_s=30)))
    return rows


SECTIONS = {
    "cats": run_cats, "ten": run_ten, "digits": run_digits, "halves": run_halves, "pairs": run_pairs,
    "robust": run_robust, "tried": run_tried,
}  # fmt: skip


def main() -> None:
    """Run the sections, write each down when it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=list(SECTIONS))
    torch.set_num_threads(1)
    for name in parser.parse_args().sections:
        cpu = time.process_time()
        rows = SECTIONS[name]()
        stored = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
        stored[name] = {
            "rows": rows, "cpu_s": round(time.process_time() - cpu, 1), "load": round(os.getloadavg()[0], 1),
            "versions": {one: version(one) for one in ("ortools", "z3-solver", "torch", "numpy")},
        }  # fmt: skip
        TARGET.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        TABLE.write_text(as_table(stored), encoding="utf-8")


def as_table(stored: dict[str, Any]) -> str:
    """The stored figures in Markdown."""
    text = [
        "# Networks found by solvers",
        "",
        "`OMP_NUM_THREADS=1 python -m benchmarks.synthesis`, two cores, CP-SAT with two threads. Other work ran on the",
        "same cores: seconds are of wall time and upper bounds; an idle machine proves more in them. `right` counts",
        "training examples, `bound` is proved of `value`, `test` is the (balanced) accuracy on unseen ones.",
        "",
    ]
    columns = ("what", "right", "of", "value", "bound", "status", "test", "seconds", "start", "start_test", "rounds")
    for name, section in stored.items():
        versions = ", ".join(f"{one} {number}" for one, number in section["versions"].items())
        used = [one for one in columns if any(one in line for line in section["rows"])]
        text += [f"## {name}", "", f"{versions}; {section['cpu_s']} CPU s, load {section['load']}.", "",
                 "| " + " | ".join(used) + " |", "|---" * len(used) + "|"]  # fmt: skip
        text += ["| " + " | ".join(str(line.get(one, "")) for one in used) + " |" for line in section["rows"]]
        text.append("")
    return "\n".join(text)


if __name__ == "__main__":
    main()
