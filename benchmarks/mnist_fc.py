"""How many of the 45 mnist_fc instances (VNN-COMP) are settled, how many wrongly, and in how much time?

    OMP_NUM_THREADS=1 python -m benchmarks.mnist_fc --data FOLDER --timeout 20

FOLDER holds `onnx/`, `vnnlib/` and `expected.csv`; nothing of it travels with the project. Reading the files is
part of the time. Writes benchmarks/results/mnist_fc.md and .json and ends with status 1 if a verdict is wrong.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import verifier
from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results"
PRINTED = {"verified": "unsat", "falsified": "sat", "unknown": "unknown"}


def run(data: Path, timeout_s: float | None, only: str, method: str) -> list[dict[str, Any]]:
    """Ask every instance, each with the same limit, or its own from the list."""
    with (data / "expected.csv").open() as file:
        instances = [one for one in csv.DictReader(file) if only in f"{one['onnx']} {one['vnnlib']}"]
    rows = []
    for one in tqdm(instances, file=sys.stderr):
        vnnlib = data / one["vnnlib"]
        vnnlib = vnnlib if vnnlib.exists() else vnnlib.with_name(vnnlib.name + ".gz")
        limit = float(one["timeout"]) if timeout_s is None else timeout_s
        wall, cpu = time.perf_counter(), time.process_time()
        result = verifier.verify_files(data / one["onnx"], vnnlib, timeout_s=limit, method=method, progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        verdict, expected = PRINTED[result.verdict.value], one["verdict"]
        judged = "open" if verdict == "unknown" else "new" if expected == "unknown" else "right"
        if judged == "right" and verdict != expected:
            judged = "WRONG"
        name = f"{Path(one['onnx']).stem.removeprefix('mnist-net_')} {Path(one['vnnlib']).stem}"
        rows.append({"name": name, "expected": expected, "verdict": verdict, "judged": judged, "stage": result.stage,
                     "subdomains": result.subdomains, "margin": result.margin, "wall_s": wall, "cpu_s": cpu,
                     "limit_s": limit})  # fmt: skip
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Write the table in Markdown, the sums by network above it."""
    lines = ["| network | asked | right | new | WRONG | open | CPU s of the settled |", "|---|---|---|---|---|---|---|"]
    for network in sorted({row["name"].split()[0] for row in rows}):
        part = [row for row in rows if row["name"].split()[0] == network]
        counts = [sum(row["judged"] == one for row in part) for one in ("right", "new", "WRONG", "open")]
        seconds = sum(row["cpu_s"] for row in part if row["judged"] != "open")
        lines.append(f"| {network} | {len(part)} | " + " | ".join(map(str, counts)) + f" | {seconds:.1f} |")
    lines += ["", "| instance | expected | found | stage | subdomains | margin at least | CPU s | wall s |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in rows:
        margin = f"{row['margin']:.3g}" if row["judged"] == "open" else ""
        lines.append(
            f"| {row['name']} | {row['expected']} | {row['verdict']} | {row['stage']} | {row['subdomains']:,} "
            f"| {margin} | {row['cpu_s']:.2f} | {row['wall_s']:.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Read the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with onnx/, vnnlib/ and expected.csv")
    parser.add_argument("--timeout", type=float, help="seconds an instance (default: its own)")
    parser.add_argument("--only", default="", help="a part of the names, e.g. 256x2")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--out", type=Path, default=RESULTS / "mnist_fc")
    options = parser.parse_args()
    if not (options.data / "expected.csv").exists():
        parser.error(f"--data: {options.data} holds no expected.csv; give the folder of the mnist_fc benchmark")
    import torch

    torch.set_num_threads(options.threads)
    verifier.verify(verifier.Network((verifier.Affine(np.ones((1, 1)), np.zeros(1)),)), [(0, 1)], [(0, 1)])  # imports
    rows = run(options.data, options.timeout, options.only, options.method)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    limit = "its own limit" if options.timeout is None else f"{options.timeout:g} s"
    how = f"method {options.method}, {limit} an instance, {options.threads} torch thread(s)"
    head = f"# mnist_fc\n\n{describe()}; {how}.\n"
    options.out.with_suffix(".md").write_text(head + "\n" + table(rows) + "\n")
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    return int(any(row["judged"] == "WRONG" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
