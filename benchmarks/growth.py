"""How cost grows with a network's width, depth and inputs and with the radius of the box, by method.

    OMP_NUM_THREADS=1 python -m benchmarks.growth --marabou-python PATH

Random networks with a fixed seed, so that nothing need be at hand. Each question is whether an output stays above a
threshold in a box; the threshold lies a tenth of the output's sampled range below the least value that samples and
descent find, so that nearly every spec holds and must be proved. PATH is a Python that has maraboupy
(benchmarks/README.md); without it that curve is left out. Writes benchmarks/results/growth.csv and
docs/images/growth_{width,depth,inputs,radius}.png; ends with status 1 if two methods settle a question differently.
"""

import argparse
import csv
import statistics
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import verifier
from benchmarks.machine import describe
from judges.marabou import ask_marabou
from verifier.answer.verdict import Question
from verifier.attack import attack
from verifier.subject import Subject

ROOT = Path(__file__).parent.parent
METHODS = ("auto", "split", "relu_split", "milp", "z3")
NAMES = (*METHODS, "marabou")
COLOURS = dict(zip(NAMES, ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"), strict=True))
MARKERS = dict(zip(NAMES, "os^Dvh", strict=True))
ROOM = 0.1  # of the sampled range of the output, between the least value found and the threshold
# of each family: the values of what varies, and (inputs, width, depth, radius) with it in its place
FAMILIES: dict[str, tuple[tuple[float, ...], str]] = {
    "width": ((4, 8, 16, 32, 64), "neurons in each of 2 hidden layers (4 inputs, radius 0.3)"),
    "depth": ((1, 2, 3, 4, 6), "hidden layers of 12 neurons (4 inputs, radius 0.3)"),
    "inputs": ((1, 2, 4, 8, 16, 32), "inputs (2 hidden layers of 16 neurons, radius 0.3)"),
    "radius": ((0.03, 0.1, 0.2, 0.4, 0.8), "radius of the box (4 inputs, 2 hidden layers of 16 neurons)"),
}


@dataclass(frozen=True)
class Asked:
    """One question: layers as (weight, bias), the box, and the threshold that the output must exceed."""

    family: str
    value: float
    seed: int
    layers: list[tuple[np.ndarray, np.ndarray]]
    centre: np.ndarray
    radius: float
    threshold: float


def shape_of(family: str, value: float) -> tuple[int, int, int, float]:
    """Inputs, width, depth and radius of one question."""
    shape: dict[str, float] = {"inputs": 4, "width": 12 if family == "depth" else 16, "depth": 2, "radius": 0.3}
    shape[family] = value
    return int(shape["inputs"]), int(shape["width"]), int(shape["depth"]), shape["radius"]


def draw(family: str, value: float, seed: int) -> Asked:
    """Draw a network of He-normal weights, a box, and a threshold just below what samples and descent reach."""
    inputs, width, depth, radius = shape_of(family, value)
    rng = np.random.default_rng([seed, list(FAMILIES).index(family), round(1000 * value)])
    sizes = [inputs, *[width] * depth, 1]
    layers = [(rng.normal(size=(b, a)) * np.sqrt(2 / a), rng.normal(size=b) * 0.1) for a, b in pairwise(sizes)]
    centre = rng.uniform(-0.5, 0.5, inputs)
    points = rng.uniform(centre - radius, centre + radius, (20_000, inputs))
    network = network_of(layers)
    y = network(points)[:, 0]
    box = verifier.Box(centre - radius, centre + radius)
    falls = Question.ask(Subject.of_network(network), box, verifier.greater_than(float(y.min())))
    least = min(float(y.min()), float(network(attack(falls, wanted=sys.maxsize)).min()))
    return Asked(family, value, seed, layers, centre, radius, least - ROOM * float(np.ptp(y)))


def network_of(layers: list[tuple[np.ndarray, np.ndarray]]) -> verifier.Network:
    """The verifier's own form of a network."""
    return verifier.Network(tuple(verifier.Affine(weight, bias) for weight, bias in layers))


def ask(asked: Asked, method: str, timeout_s: float) -> dict[str, Any]:
    """Ask one method; CPU seconds of this process, solvers included."""
    box = verifier.Box(asked.centre - asked.radius, asked.centre + asked.radius)
    started = time.process_time()
    result = verifier.verify(
        network_of(asked.layers), box, verifier.greater_than(asked.threshold),
        method=method, timeout_s=timeout_s, progress=False,
    )  # fmt: skip
    seconds = time.process_time() - started
    return {"verdict": result.verdict.value, "subdomains": result.subdomains, "cpu_seconds": seconds}


def ask_marabou_all(questions: list[Asked], python: str, timeout_s: float) -> list[dict[str, Any]]:
    """Ask Marabou all questions in one process; wall time, on one thread, without the start of Python."""
    queries = [
        {
            "layers": [[weight.tolist(), bias.tolist()] for weight, bias in asked.layers],
            "lower": (asked.centre - asked.radius).tolist(),
            "upper": (asked.centre + asked.radius).tolist(),
            "unsafe": [[[1.0], -asked.threshold]],
            "timeout_s": timeout_s,
        }
        for asked in questions
    ]
    answers = ask_marabou(python, queries)
    return [{"verdict": a["verdict"], "subdomains": a["states"], "cpu_seconds": a["seconds"]} for a in answers]


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ask everything; a method that left every question of a value open is not asked larger ones of that family."""
    rows: list[dict[str, Any]] = []
    warm = draw("inputs", 8, 10**6)
    for method in options.methods:
        ask(warm, method, 30.0)
    methods = [*options.methods, *(["marabou"] if options.marabou_python else [])]
    with tqdm(total=len(methods) * sum(len(values) for values, _ in FAMILIES.values()), unit="point") as bar:
        for family, (values, _) in FAMILIES.items():
            given_up: set[str] = set()
            for value in values:
                questions = [draw(family, value, seed) for seed in range(options.seeds)]
                for method in methods:
                    bar.update()
                    if method in given_up:
                        continue
                    if method == "marabou":
                        found = ask_marabou_all(questions, options.marabou_python, options.timeout)
                    else:
                        found = [ask(asked, method, options.timeout) for asked in questions]
                    if all(one["verdict"] == "unknown" for one in found):
                        given_up.add(method)
                    rows += [
                        {"family": family, "value": value, "seed": asked.seed, "method": method, **one}
                        for asked, one in zip(questions, found, strict=True)
                    ]
    return rows


def conflicts(rows: list[dict[str, Any]]) -> list[str]:
    """Questions that two methods settled differently."""
    settled: dict[Any, set[str]] = {}
    for row in rows:
        if row["verdict"] != "unknown":
            settled.setdefault((row["family"], row["value"], row["seed"]), set()).add(row["verdict"])
    return [f"{key}: {sorted(verdicts)}" for key, verdicts in settled.items() if len(verdicts) > 1]


def draw_picture(family: str, rows: list[dict[str, Any]], timeout_s: float, folder: Path) -> None:
    """Draw CPU seconds and subdomains against what varies: medians, least to most, hollow where some are unsolved."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    mine = [row for row in rows if row["family"] == family]
    for panel, column, label in (
        (panels[0], "cpu_seconds", "CPU seconds (Marabou: seconds)"),
        (panels[1], "subdomains", "subdomains (Marabou: tree states)"),
    ):
        for position, method in enumerate(COLOURS):
            if column == "subdomains" and method in ("milp", "z3"):
                continue  # their trees are not counted
            points = []
            for value in FAMILIES[family][0]:
                some = [row for row in mine if row["method"] == method and row["value"] == value]
                if some:
                    numbers = sorted(max(float(row[column]), 1e-4 if column == "cpu_seconds" else 1.0) for row in some)
                    solved = sum(row["verdict"] != "unknown" for row in some)
                    points.append((value, statistics.median(numbers), numbers[0], numbers[-1], solved == len(some)))
            if not points:
                continue
            x = np.array([p[0] for p in points]) * 1.03 ** (position - 2)  # side by side, so that ranges can be told
            middle, low, high = (np.array([p[k] for p in points]) for k in (1, 2, 3))
            panel.errorbar(
                x, middle, (middle - low, high - middle), color=COLOURS[method], linewidth=1.2, elinewidth=0.8,
                capsize=2, label=method,
            )  # fmt: skip
            for at, y, point in zip(x, middle, points, strict=True):
                face = COLOURS[method] if point[4] else "white"
                panel.plot(at, y, MARKERS[method], color=COLOURS[method], markerfacecolor=face, markersize=5)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(FAMILIES[family][0], [f"{value:g}" for value in FAMILIES[family][0]])
        panel.minorticks_off()
        panel.set_xlabel(FAMILIES[family][1])
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
    panels[0].axhline(timeout_s, color="grey", linestyle=":", linewidth=1)
    panels[0].text(FAMILIES[family][0][0], timeout_s, "time limit", va="bottom", color="grey", fontsize=8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle(f"Growth with {family}: median, least and most; hollow where some are unsolved", fontsize=11)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"growth_{family}.png", dpi=110)
    plt.close(figure)


def main() -> int:
    """Read the command line, run, write the table and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marabou-python", metavar="PATH", help="a Python that has maraboupy")
    parser.add_argument("--seeds", type=int, default=3, help="networks a point (default 3)")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds a question and method (default 3)")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS), help="comma-separated")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/growth.csv", help="path of the table")
    parser.add_argument("--images", type=Path, default=ROOT / "docs/images", help="folder of the pictures")
    options = parser.parse_args()
    if not options.marabou_python:
        print("Marabou is left out: pass --marabou-python PATH to compare with it")
    rows = run(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        file.write(f"# {describe()}; time limit {options.timeout:g} s\n")
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({k: f"{v:.4f}" if k == "cpu_seconds" else v for k, v in row.items()} for row in rows)
    for family in FAMILIES:
        draw_picture(family, rows, options.timeout, options.images)
    wrong = conflicts(rows)
    for one in wrong:
        print(f"CONFLICT: {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
