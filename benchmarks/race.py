"""Lab 6's race: every method on the same twenty questions; writes the file that the lab draws.

    python -m benchmarks.race [--methods auto Z3 ...] [--marabou-python PATH] [--limit 10]

PATH is a Python that has maraboupy (python3 -m venv DIR; DIR/bin/pip install maraboupy==2.0.0); without it Marabou's
rows stay as they are, and so do those of methods that are not named. A question counts as settled if it took at most
`limit` seconds of CPU time; on the clock it may take three times that, for machines that have other work to do. Ends
with status 1 where two methods contradict each other.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import course_utils
from course_utils.milp_lab import RACE_METHODS, Instance, Lap, race_instances, run_race, stored_race
from judges.marabou import ask_marabou
from verifier import check_counterexample
from verifier.answer.verdict import Counterexample, Question
from verifier.frontends.read import read_subject
from verifier.matrix import dense
from verifier.question.spec import Box, output_spec

FILE = Path(course_utils.__file__).parent / "data_files" / "race.csv"
PATIENCE = 3.0  # seconds on the clock for each second of CPU time


def marabou_queries(one: Instance, timeout_s: float) -> list[dict[str, Any]]:
    """One query for each clause: is there an input at which none of its inequalities holds?"""
    lower, upper = np.array(one.x_specs, dtype=np.float64).T
    box = Box(lower, upper)
    subject = read_subject(one.net, one.input_shape, len(one.x_specs))
    question = Question.ask(subject, box, output_spec(one.y_specs))
    margins = question.margins
    layers = [[dense(layer.weight).tolist(), layer.bias.tolist()] for layer in question.network.layers]
    found = []
    for clause in margins.clauses:
        used = [margins.margins[k] for k in clause]
        unsafe = [[margins.rows[m.row].tolist(), m.offset] for m in used if m.row is not None]
        found.append({
            "layers": layers, "lower": question.box.lower.tolist(), "upper": question.box.upper.tolist(),
            "unsafe": unsafe, "timeout_s": timeout_s,
        })  # fmt: skip
    return found


def run_marabou(python: str, instances: Iterable[Instance], limit: float) -> Iterable[Lap]:
    """Ask Marabou clause by clause; a counterexample that the network does not confirm settles nothing."""
    for one in instances:
        spent, verdict = 0.0, "verified"
        for query in marabou_queries(one, PATIENCE * limit):
            (answer,) = ask_marabou(python, [query])
            spent += answer["cpu_s"]
            if answer["verdict"] != "verified":
                verdict = answer["verdict"]
            if verdict != "verified" or spent > limit:
                break
        if verdict == "falsified":
            found = check_counterexample(one.net, one.x_specs, one.y_specs, answer["x"], input_shape=one.input_shape)
            verdict = verdict if isinstance(found, Counterexample) else "unknown"
        yield Lap("Marabou", one.name, verdict, spent)


def within(laps: Iterable[Lap], limit: float) -> Iterable[Lap]:
    """Count what took longer as not settled."""
    for lap in laps:
        late = lap.seconds > limit
        yield dataclasses.replace(lap, verdict="unknown" if late else lap.verdict, seconds=min(lap.seconds, limit))


def conflicts(laps: Iterable[Lap]) -> list[str]:
    """Questions on which two methods contradict each other."""
    verdicts: dict[str, set[str]] = {}
    for lap in laps:
        verdicts.setdefault(lap.instance, set()).add(lap.verdict)
    return [name for name, given in verdicts.items() if {"verified", "falsified"} <= given]


def main() -> int:
    """Run what is asked for, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(RACE_METHODS), choices=RACE_METHODS)
    parser.add_argument("--marabou-python", metavar="PATH", help="a Python that has maraboupy")
    parser.add_argument("--limit", type=float, default=10.0, help="CPU seconds for each question (default 10)")
    given = parser.parse_args()
    laps = {(lap.method, lap.instance): lap for lap in stored_race()}
    runs = {name: run_race(name, race_instances(), PATIENCE * given.limit) for name in given.methods}
    if given.marabou_python:
        runs["Marabou"] = run_marabou(given.marabou_python, race_instances(), given.limit)
    for run in runs.values():
        for lap in within(run, given.limit):
            laps[lap.method, lap.instance] = lap
            print(f"{lap.method:16} {lap.instance:32} {lap.verdict:10} {lap.seconds:6.2f} s", flush=True)
    order = [*RACE_METHODS, "Marabou"]
    rows = sorted(laps.values(), key=lambda lap: order.index(lap.method))  # stable: questions stay in their order
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "instance", "verdict", "cpu_s"])
        writer.writerows([lap.method, lap.instance, lap.verdict, f"{lap.seconds:.3f}"] for lap in rows)
    wrong = conflicts(rows)
    print("\n".join(f"CONTRADICTION on {name}" for name in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
