"""Time and boxes by method on lab-size networks, with the same specs through Marabou in the same run.

    python -m benchmarks.lab_networks --marabou-python PATH

PATH is a Python that has maraboupy (python3 -m venv DIR; DIR/bin/pip install maraboupy==2.0.0); without it that column
is left out and the script says so. Every method answers every spec --repeats times after one call to warm up; the
median counts. Writes benchmarks/results/lab_networks.json and .md, and ends with status 1 if two settled verdicts
differ.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

import verifier
from benchmarks.circle import Asked, questions, train_circle
from benchmarks.machine import describe
from judges.marabou import ask_marabou

RESULTS = Path(__file__).parent / "results"
METHODS = ("auto", "ibp", "crown", "auto_lirpa", "auto_lirpa_optimized", "attack", "split", "z3")


def time_method(net: nn.Module, asked: Asked, method: str, repeats: int, timeout_s: float) -> dict[str, Any]:
    """Ask one method `repeats` times; the median of the seconds counts. A call that times out is not repeated."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = verifier.verify(
            net, asked.x_specs(), asked.y_specs(), [], method=method, timeout_s=timeout_s, progress=False
        )
        seconds.append(time.perf_counter() - started)
        if seconds[-1] > timeout_s / 2:
            break
    return {
        "verdict": result.verdict.value,
        "stage": result.stage,
        "reason": result.reason,
        "boxes": result.subdomains,
        "seconds": statistics.median(seconds),
    }


def layers_of(net: nn.Sequential) -> list[list[Any]]:
    """Weights as plain data for the Marabou driver."""
    return [[layer.weight.tolist(), layer.bias.tolist()] for layer in net if isinstance(layer, nn.Linear)]


def confirm(net: nn.Module, asked: Asked, x: list[float]) -> bool:
    """Whether a point that Marabou calls a counterexample violates the spec in the network, run in float64."""
    with torch.no_grad():
        y = float(copy.deepcopy(net).double()(torch.tensor([x], dtype=torch.float64)))
    return y < asked.threshold if asked.side > 0 else y >= asked.threshold


def conflicts(rows: list[dict[str, Any]]) -> list[str]:
    """Specs on which two methods settled on different verdicts."""
    found = []
    for key in dict.fromkeys((row["seed"], row["name"]) for row in rows):
        settled = {row["verdict"] for row in rows if (row["seed"], row["name"]) == key} - {"unknown"}
        if len(settled) > 1:
            found.append(f"seed {key[0]}, {key[1]}: {', '.join(sorted(settled))}")
    return found


def summarise(rows: list[dict[str, Any]], methods: list[str], arguments: str, timeout_s: float) -> str:
    """Write the tables as markdown."""
    baseline = {(row["seed"], row["name"]): row for row in rows if row["method"] == "auto"}
    specs = len({(row["seed"], row["name"]) for row in rows})
    lines = [
        "# Lab-size networks: time and boxes by method",
        "",
        f"Made by `python -m benchmarks.lab_networks {arguments}` on {describe()}.",
        "",
        "Circle networks of 2-64-64-1 as lab 1 trains them (benchmarks/circle.py), one a seed, and ten specs each;",
        f"second and later calls in one process, time limit {timeout_s:g} s a spec. *Ratio*: the method's time over",
        'that of "auto" on the same spec, median over the specs that both settled. Marabou: maraboupy 2.0.0 with its',
        "defaults, one query a spec, building and solving it, without the start of Python.",
        "",
        f"| method | settled of {specs} | verified | falsified | median ms | total s | max s | median boxes "
        "| max boxes | median ratio to auto |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        seconds = [row["seconds"] for row in mine]
        boxes = [row["boxes"] for row in mine]
        settled = [row for row in mine if row["verdict"] != "unknown"]
        both = [
            row["seconds"] / baseline[row["seed"], row["name"]]["seconds"]
            for row in settled
            if (row["seed"], row["name"]) in baseline and baseline[row["seed"], row["name"]]["verdict"] != "unknown"
        ]
        lines.append(
            f"| {method} | {len(settled)} | {sum(row['verdict'] == 'verified' for row in mine)} "
            f"| {sum(row['verdict'] == 'falsified' for row in mine)} | {1000 * statistics.median(seconds):.1f} "
            f"| {sum(seconds):.2f} | {max(seconds):.2f} | {statistics.median(boxes):.0f} | {max(boxes)} "
            f"| {f'{statistics.median(both):.2f}' if both else '-'} |"
        )
    lines += ["", "By spec, milliseconds (boxes; for Marabou, tree states), `-` where the method left it open:", ""]
    lines += ["| seed | spec | verdict | " + " | ".join(methods) + " |", "|---" * (3 + len(methods)) + "|"]
    for key in dict.fromkeys((row["seed"], row["name"]) for row in rows):
        answers = {row["method"]: row for row in rows if (row["seed"], row["name"]) == key}
        verdict = next((row["verdict"] for row in answers.values() if row["verdict"] != "unknown"), "unknown")
        cells = []
        for method in methods:
            row = answers[method]
            text = f"{1000 * row['seconds']:.1f} ({row['boxes']})"
            cells.append(text if row["verdict"] != "unknown" else f"- {text}")
        lines.append(f"| {key[0]} | {key[1]} | {verdict} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Read the command line, run, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marabou-python", metavar="PATH", help="a Python that has maraboupy")
    parser.add_argument("--seeds", type=int, default=3, help="networks, trained with seeds 0, 1, ... (default 3)")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (default all)")
    parser.add_argument("--repeats", type=int, default=5, help="calls a spec and method (default 5)")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds a spec and method (default 20)")
    parser.add_argument("--out", type=Path, default=RESULTS / "lab_networks", help="path of the .json and .md")
    options = parser.parse_args()
    methods = options.methods.split(",")
    networks = [train_circle(seed) for seed in tqdm(range(options.seeds), desc="training")]
    tasks = [(seed, net, asked) for seed, net in enumerate(networks) for asked in questions(net)]
    rows: list[dict[str, Any]] = []
    warm = Asked("warm-up", (0.2, 0.2), (0.3, 0.3), 1, -5.0)
    with tqdm(total=len(methods) * len(tasks), unit="spec") as bar:
        for method in methods:
            bar.set_description(method)
            time_method(networks[0], warm, method, 1, options.timeout)
            for seed, net, asked in tasks:
                row = time_method(net, asked, method, options.repeats, options.timeout)
                rows.append({"seed": seed, "name": asked.name, "method": method, **row})
                bar.update()
    if options.marabou_python:
        methods.append("marabou")
        queries = [
            {
                "layers": layers_of(net),
                "lower": asked.lower,
                "upper": asked.upper,
                "unsafe": asked.unsafe(),
                "timeout_s": options.timeout,
            }
            for _, net, asked in tasks
        ]
        for (seed, net, asked), answer in zip(tasks, ask_marabou(options.marabou_python, queries), strict=True):
            answer |= {"boxes": answer.pop("states"), "stage": "", "reason": answer["status"]}
            rows.append({"seed": seed, "name": asked.name, "method": "marabou", **answer})
            if answer["x"] is not None and not confirm(net, asked, answer["x"]):
                print(f"note: marabou's counterexample for seed {seed}, {asked.name} is not confirmed by the network")
    else:
        print("Marabou is left out: pass --marabou-python PATH to compare with it")
    wrong = conflicts(rows)
    table = summarise(rows, methods, " ".join(sys.argv[1:]), options.timeout)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps({"machine": describe(), "rows": rows}, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table)
    print(table)
    for conflict in wrong:
        print(f"CONFLICT: {conflict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
