"""What each ingredient of method="milp" is worth: the same instances with and without it, in one run.

    python -m benchmarks.milp --data FOLDER [--family acasxu mnist_fc safenlp cifar] [--count 20] [--timeout 10]

Writes benchmarks/results/milp.csv, a row for each instance and combination, and milp.md, the table. Compared are
sub-problems, nodes and CPU seconds; an instance that is not settled counts the time it was given. Every verdict is held
against the known one, and a difference ends the run.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from course_utils.milp_lab import cat_airplane
from verifier import MilpOptions, Result, Verdict, argmax_is, verify, verify_files

RESULTS = Path(__file__).parent / "results"
KNOWN = {"unsat": Verdict.VERIFIED, "sat": Verdict.FALSIFIED}
# the first seven differ from "all" in one thing each, the others in what is left away
COMBINATIONS = {
    "all": MilpOptions(cuts="during"),
    "cuts before only": MilpOptions(cuts="before"),
    "no dependencies": MilpOptions(cuts="none"),
    "no splitting": MilpOptions(splitting=False, cuts="during"),
    "bounds symbolic": MilpOptions(bounds="symbolic", cuts="during"),
    "bounds ibp": MilpOptions(bounds="ibp", cuts="during"),
    "two workers": MilpOptions(workers=2, cuts="during"),
    "cuts alone": MilpOptions(splitting=False, cuts="before"),
    "programs alone": MilpOptions(splitting=False, cuts="none"),
    "plain HiGHS": MilpOptions(search="highs", cuts="none", splitting=False),
    "plain HiGHS, Balas": MilpOptions(search="highs", cuts="none", splitting=False, formulation="balas"),
}
ONLY_SPLIT = {"no splitting", "two workers"}  # of no use where the box is not split


def instances(data: Path, family: str, count: int) -> list[tuple[Path, Path, str]]:
    """Every n-th instance of a family, `count` of them, with its known verdict."""
    folder = data / "vnncomp" / family
    with (folder / "instances.csv").open() as file:
        rows = list(csv.reader(file))
    with (folder / "expected.csv").open() as file:
        verdicts = [row["verdict"] for row in csv.DictReader(file)]
    step = len(rows) / min(count, len(rows))
    chosen = [int((k + 0.5) * step) for k in range(min(count, len(rows)))]
    return [(_stored(folder / rows[k][0]), _stored(folder / rows[k][1]), verdicts[k]) for k in chosen]


Asked = tuple[str, str, str, Callable[..., Result]]  # network, property, known verdict, and how to ask it


def files(data: Path, family: str, count: int) -> list[Asked]:
    """Instances of a family of VNN-COMP."""
    return [
        (network.name, question.name, known, partial(verify_files, network, question))
        for network, question, known in instances(data, family, count)
    ]


def images(count: int, levels: int) -> list[Asked]:
    """Lab 6's images of CIFAR-10 with up to so many of 255 levels of change in each value; no verdict is known."""
    net, pictures, labels = cat_airplane()
    found: list[Asked] = []
    for k in range(count):
        x = pictures[k].reshape(-1).double()
        box = torch.stack([(x - levels / 255).clamp(0, 1), (x + levels / 255).clamp(0, 1)], dim=1)
        ask = partial(verify, net, box, argmax_is(labels[k]), input_shape=(3, 32, 32))
        found.append(("cat_airplane", f"image {k}", "", ask))
    return found


def _stored(path: Path) -> Path:
    return path if path.exists() else path.with_name(path.name + ".gz")


def _cpu() -> float:
    """CPU seconds of this process and of those that it has started and ended."""
    return sum(os.times()[:4])


def measure(family: str, asked: list[Asked], timeout_s: float, names: list[str]) -> list[dict[str, object]]:
    """Run every combination on every instance."""
    rows: list[dict[str, object]] = []
    for network, question, known, ask in asked:
        for name in names:
            wall, started = time.perf_counter(), _cpu()
            result = ask(method="milp", milp=COMBINATIONS[name], timeout_s=timeout_s, progress=False)
            cpu, wall = _cpu() - started, time.perf_counter() - wall
            if known in KNOWN and result.verdict not in (KNOWN[known], Verdict.UNKNOWN):
                raise SystemExit(f"{network} {question} {name}: {result.verdict.value}, known is {known}")
            work = result.milp
            rows.append({
                "family": family, "network": network, "property": question, "known": known,
                "combination": name, "verdict": result.verdict.value, "guarantee": result.guarantee,
                "cpu_s": round(cpu, 3), "wall_s": round(wall, 3),
                **({} if work is None else work.to_dict()),
            })  # fmt: skip
            print(family, network, question, name, result.verdict.value, f"{cpu:.2f} s", flush=True)
    return rows


def table(rows: list[dict[str, str]]) -> str:
    """Sums for each family and combination; seconds relative to the first combination of the family."""
    lines = [
        "| family | combination | settled | rounded | CPU s | wall s | ratio of CPU | sub-problems | nodes | programs "
        "| dependencies | cuts |",
        "|" + " --- |" * 12,
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        base = 0.0
        for name in dict.fromkeys(row["combination"] for row in rows if row["family"] == family):
            some = [row for row in rows if (row["family"], row["combination"]) == (family, name)]

            def total(*columns: str, some: list[dict[str, str]] = some) -> float:
                return sum(float(row.get(column) or 0) for row in some for column in columns)

            cpu, settled = total("cpu_s"), sum(row["verdict"] != "unknown" for row in some)
            base = base or cpu
            rounded = sum(row["guarantee"] == "rounded" for row in some)
            counts = [total("subproblems"), total("nodes"), total("linear_programs")]
            counts += [total("intra_layer", "consecutive"), total("cuts")]
            cells = [family, name, f"{settled} of {len(some)}", str(rounded), f"{cpu:.1f}", f"{total('wall_s'):.1f}"]
            cells += [f"{cpu / base:.2f}", *(f"{int(one):,}" for one in counts)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--family", nargs="+", default=["acasxu", "mnist_fc", "safenlp"])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--levels", type=int, default=7, help="of change in an image of cifar (default 7 of 255)")
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--combinations", nargs="+", default=list(COMBINATIONS), choices=list(COMBINATIONS))
    parser.add_argument("--csv", type=Path, default=RESULTS / "milp.csv")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for family in given.family:
        names = [one for one in given.combinations if family == "acasxu" or one not in ONLY_SPLIT]
        cifar = family == "cifar"
        asked = images(given.count, given.levels) if cifar else files(given.data, family, given.count)
        rows += measure(family, asked, given.timeout, names)
    fields = list(dict.fromkeys(key for row in rows for key in row))
    with given.csv.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with given.csv.open() as file:
        print(table(list(csv.DictReader(file))))


if __name__ == "__main__":
    main()
