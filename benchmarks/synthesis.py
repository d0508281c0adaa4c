"""Networks found by solvers: the longer searches of lab 7, each written down as soon as it is done.

OMP_NUM_THREADS=1 python -m benchmarks.synthesis [--part NAME ...] [--mnist FOLDER]

Parts: cats, rivals, fewest, ten, digits, halves, pairs, formulas, robust, tried. What is not named is kept as it was
measured before. `fewest` takes about a quarter of an hour, and so do all others together.
`--mnist` names a folder with the four files of MNIST, for `pairs`; without, it takes the course's own 7,500 images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.synthesis_formulas import run_formulas
from benchmarks.synthesis_pairs import run_pairs
from course_utils.synthesis import (
    binary_sketch,
    cats,
    digits,
    first_of_each,
    gradient_rival,
    one_against_rest,
    robust_digit,
    ternary_by_gradients,
    unit_of_cats,
)
from verifier.solvers.highs_solver import Program, solve
from verifier.solvers.status import Status
from verifier.synthesis.few_weights import few_ternary, walk_ternary
from verifier.synthesis.gradient import train_signs
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.sketch import Examples, Sketch, between
from verifier.synthesis.synthesise import by_layers, synthesise
from verifier.synthesis.widest import gap_bound, solve_gap

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
    rows += grid_of_cats(test)
    found = unit_of_cats(8, 1)
    rows.append(row("8x8, weights up to 1: all 40?", found, test, weights=found.network.nonzero))
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
    coarse = Examples(cats().inputs // 64, cats().labels)
    eight = Sketch((64, 1), between(-1, 1), between(-128, 127), bits=8)
    any_40 = synthesise(eight, coarse, objective="any")
    rows.append(row("8x8, 4 grey levels, 8-bit sums, weights up to 1: all 40?", any_40,
                    Examples(test.inputs // 64, test.labels)))  # fmt: skip
    for largest in (1, 2):
        low = Examples(cats(side=2).inputs // 16, cats().labels)
        eight = Sketch((4, 1), between(-largest, largest), between(-128, 127), bits=8)
        rows.append(row(f"2x2, 16 grey levels, 8-bit sums, weights up to {largest}", synthesise(eight, low)))
    return rows


def run_rivals() -> Rows:
    """Gradients on the 40 images at 8x8 pixels: nothing is proved."""
    train, test, rows = cats(), cats("test"), []
    for what, trained in (
        ("logistic regression", lambda: gradient_rival(train)),
        ("gradient descent: 64-16-1, ReLU, real weights", lambda: gradient_rival(train, hidden=16)),
        ("gradient descent: 64-1, weights rounded to -1, 0, 1", lambda: ternary_by_gradients(train).accuracy),
    ):
        began = time.process_time()
        accuracy = trained()
        rows.append({
            "what": f"8x8, {what}", "right": round(len(train) * accuracy(train)), "of": len(train),
            "test": round(accuracy(test), 4), "seconds": round(time.process_time() - began, 1),
        })  # fmt: skip
    return rows


def run_fewest() -> Rows:
    """The fewest ternary weights that read all 40 at 8x8 pixels: walks, and a proof that fewer are too few."""
    train, test = cats(), cats("test")
    few_ternary(first_of_each(train, 1), 1)  # compiled before the seconds count
    began = time.process_time()
    best = walk_ternary(train, walks=40, timeout_s=1800)
    if best is None or not best.right(train).all():
        raise RuntimeError("no walk has found a unit that reads all 40")
    rows: Rows = [{
        "what": "8x8: fewest ternary weights for all 40, by walks", "status": "", "right": len(train), "of": len(train),
        "value": -best.nonzero, "weights": best.nonzero, "test": round(best.accuracy(test), 4),
        "seconds": round(time.process_time() - began, 1), "unit": best.weights[0][0].tolist(),
    }]  # fmt: skip
    for most in range(1, best.nonzero):
        began = time.process_time()
        status, network = few_ternary(train, most, timeout_s=20_000)
        rows.append({
            "what": f"8x8, at most {most} ternary weight{'s'[: most - 1]}: all 40?, by branching",
            "status": "satisfiable" if network else status.value, "right": 40 if network else 0, "of": 40,
            "weights": network.nonzero if network else "", "seconds": round(time.process_time() - began, 1),
        })  # fmt: skip
        print(rows[-1], flush=True)
        if status is not Status.INFEASIBLE:
            break
    else:
        rows[0] |= {"status": "optimal", "bound": rows[0]["value"]}
    return rows


def grid_of_cats(test: Examples) -> Rows:
    """One unit at 2x2, 4x4 and 8x8 pixels, from cheap to expensive: the first with 40 of 40, and its fewest weights."""
    rows: Rows = []
    began, two = time.perf_counter(), cats(side=2)
    bound = gap_bound(two, solve_gap(two)[1], 127)
    if bound >= 1:
        raise RuntimeError("the multipliers do not prove that 2x2 pixels are too few")
    rows.append({"what": "2x2, weights up to 127: all 40?, by a linear program", "status": "infeasible", "right": 0,
                 "of": 40, "seconds": round(time.perf_counter() - began, 1)})  # fmt: skip
    for largest in (1, 2, 3, 7, 14, 15):
        rows.append(row(f"4x4, weights up to {largest}: all 40?", unit_of_cats(4, largest)))
    four, small = cats(side=4), cats("test", side=4)
    sketch = Sketch((16, 1), between(-15, 15), between(-61200, 61200))
    fewest = synthesise(sketch, four, objective="weights")
    rows.append(row("4x4, weights up to 15: fewest weights for all 40", fewest, small, weights=-(fewest.value or 0)))
    began = time.perf_counter()
    least = fewest_by_highs(four, 15)
    rows.append({"what": "the same by HiGHS", "status": "optimal" if least is not None else "time limit",
                 "weights": least or "", "seconds": round(time.perf_counter() - began, 1)})  # fmt: skip
    return rows


def fewest_by_highs(examples: Examples, largest: int) -> int | None:
    """The fewest weights of a unit with all right, as a mixed-integer program of its own; None without a proof."""
    count, inputs = examples.inputs.shape
    first = examples.labels == 1
    sides = np.where(first, 1.0, -1.0)[:, None]
    # columns: the weights, the threshold c, a switch for each weight; w x >= c for cats, w x <= c - 1 for the others
    right = np.hstack([sides * examples.inputs, -sides, np.zeros((count, inputs))])
    switch = [np.hstack([s * np.eye(inputs), np.zeros((inputs, 1)), largest * np.eye(inputs)]) for s in (1, -1)]
    rows = np.vstack([right, *switch])
    reach = np.append(np.full(inputs, float(largest)), 255.0 * largest * inputs)
    answer = solve(
        Program(
            np.append(np.zeros(inputs + 1), np.ones(inputs)), np.append(-reach, np.zeros(inputs)),
            np.append(reach, np.ones(inputs)), tuple((np.flatnonzero(r).astype(np.int32), r[r != 0]) for r in rows),
            np.append(np.where(first, 0.0, 1.0), np.zeros(2 * inputs)), np.full(len(rows), np.inf),
            np.ones(2 * inputs + 1, bool),
        ),
        timeout_s=60,
    )  # fmt: skip
    return round(answer.objective) if answer.status is Status.OPTIMAL else None


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


def run_robust() -> Rows:
    """One unit for the digit 0 that keeps its labels when one or two bits flip."""
    rows = []
    test = one_against_rest(digits("test"), 0)
    plain = synthesise(binary_sketch(64, 1), one_against_rest(digits(), 0, 15), objective="any", timeout_s=60)
    rows.append(row("0: 64-1 on 15 + 15, no flips", plain, test))
    for flips in (1, 2):
        done = robust_digit(0, flips=flips, timeout_s=120)
        what = f"0: 64-1 on 15 + 15, {flips} flip{'s' if flips > 1 else ''}"
        rows.append(row(what, done.last, test, rounds=done.rounds, added=done.added,
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
    "cats": run_cats, "rivals": run_rivals, "fewest": run_fewest, "ten": run_ten, "digits": run_digits,
    "halves": run_halves, "pairs": run_pairs, "formulas": run_formulas, "robust": run_robust, "tried": run_tried,
}  # fmt: skip


def main() -> None:
    """Run the sections, write each down when it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(SECTIONS), help="run this part; may be repeated")
    parser.add_argument("--mnist", type=Path, help="folder with MNIST's four .gz files, for the part pairs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    run = {
        "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "load": round(os.getloadavg()[0], 1),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }  # fmt: skip
    for name in asked.part or SECTIONS:
        cpu, began = time.process_time(), time.perf_counter()
        rows = run_pairs(asked.mnist) if name == "pairs" else SECTIONS[name]()
        stored = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
        stored[name] = {
            "rows": rows, "cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.perf_counter() - began, 1),
            "load": round(os.getloadavg()[0], 1), "run": run,
            "versions": {one: version(one) for one in ("ortools", "highspy", "z3-solver", "torch", "numpy")},
        }  # fmt: skip
        print(f"{name}: {stored[name]['cpu_s']} CPU s, {stored[name]['wall_s']} s", flush=True)
        TARGET.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        TABLE.write_text(as_table(stored), encoding="utf-8")


def of_runs(stored: dict[str, Any]) -> list[str]:
    """Which parts were measured in which run, the newest run first; the others are older, and say so."""
    parts: dict[tuple[str, float | None, int | None], list[str]] = {}
    for name, section in stored.items():
        run = section["run"]
        parts.setdefault((run["started"], run["load"], run["cores"]), []).append(name)
    lines: list[str] = []
    for (started, load, cores), names in sorted(parts.items(), key=lambda one: one[0][0], reverse=True):
        before = "load not recorded" if load is None else f"load {load}"
        said = f"{started}, on {cores} core{'' if cores == 1 else 's'}, {before} before it began"
        which = "all parts" if len(parts) == 1 else ", ".join(names)
        lines.append(f"- {'an older run, ' if lines else ''}{said}: {which}")
    return lines


def as_table(stored: dict[str, Any]) -> str:
    """The stored figures in Markdown."""
    stored = {name: stored[name] for name in SECTIONS if name in stored}
    text = [
        "# Networks found by solvers",
        "",
        "`OMP_NUM_THREADS=1 python -m benchmarks.synthesis`, CP-SAT with two threads. Measured in",
        "",
        *of_runs(stored),
        "",
        "Seconds are of wall time, so other work on the same cores makes them longer and leaves more unproved. In",
        "`fewest`, `rivals`, `pairs` and `formulas` they are CPU seconds. `right` counts training examples, `bound` is",
        "proved of `value`, `test` is the (balanced) accuracy on unseen ones. In `pairs` `test` is the mean of five",
        "draws, `of` the test images (10,000: with `--mnist FOLDER`).",
        "",
    ]
    columns = ("what", "right", "of", "value", "bound", "status", "test", "seconds", "start", "start_test", "rounds",
               "spread", "bound_share", "weights", "agree", "open", "verify_median", "verify_slowest", "sat_median",
               "sat_slowest")  # fmt: skip
    for name, section in stored.items():
        versions = ", ".join(f"{one} {number}" for one, number in section["versions"].items())
        used = [one for one in columns if any(one in line for line in section["rows"])]
        taken = f"{section['cpu_s']} CPU s, {section['wall_s']} s on the clock, load {section['load']} at the end"
        text += [f"## {name}", "", f"{versions}; {taken}.", "",
                 "| " + " | ".join(used) + " |", "|---" * len(used) + "|"]  # fmt: skip
        text += ["| " + " | ".join(str(line.get(one, "")) for one in used) + " |" for line in section["rows"]]
        text.append("")
    return "\n".join(text)


if __name__ == "__main__":
    main()
