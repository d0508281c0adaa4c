"""How many satisfiable instances the attack finds by itself, and what it costs.

    OMP_NUM_THREADS=1 python -m benchmarks.attack --data PATH/vnncomp --out benchmarks/results/attack.csv

PATH/vnncomp holds a folder for each family, with expected.csv, onnx/ and vnnlib/. Every instance that is known to be
satisfiable is asked with method="attack", whose counterexamples are replayed in onnxruntime. Reading of files and
imports are not part of the milliseconds. --all asks the others, too: what the attack costs where there is nothing.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from verifier.errors import VerifierError
from verifier.frontends.read import read_subject
from verifier.frontends.vnnlib_file import read_vnnlib
from verifier.pipeline import verify
from verifier.verdict import Verdict

RESULTS = Path(__file__).parent / "results"
FAMILIES = ("acasxu", "mnist_fc", "reach_prob_density", "verivital", "oval21", "test")


def stored(path: Path) -> Path:
    """The file, or its compressed form."""
    return path if path.exists() else path.with_name(path.name + ".gz")


def ask(folder: Path, onnx: str, vnnlib: str, timeout_s: float, seed: int) -> dict[str, Any]:
    """Attack every box of one instance until one gives a counterexample."""
    problem, subject = read_vnnlib(stored(folder / vnnlib)), read_subject(stored(folder / onnx), None, None)
    found, margin = False, float("nan")
    started, wall = time.process_time(), time.perf_counter()
    for case in problem.cases:
        spec = case.spec(problem.outputs)
        result = verify(subject, case.box, spec, method="attack", timeout_s=timeout_s, seed=seed, progress=False)
        margin = result.margin
        if result.verdict is Verdict.FALSIFIED:
            found = True
            break
    seconds = time.process_time() - started
    return {"found": found, "cpu_ms": 1000 * seconds, "wall_ms": 1000 * (time.perf_counter() - wall), "bound": margin}


def main() -> int:
    """Read the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a family")
    parser.add_argument("--families", default=",".join(FAMILIES), help="comma-separated")
    parser.add_argument("--all", action="store_true", help="ask the instances that are not satisfiable, too")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds an instance (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the attack")
    parser.add_argument("--out", type=Path, default=RESULTS / "attack.csv", help="path of the table")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for family in options.families.split(","):
        folder = options.data / family
        if not (folder / "expected.csv").exists():
            parser.error(f"--data: {folder} holds no expected.csv")
        with (folder / "expected.csv").open() as file:
            listed = [one for one in csv.DictReader(file) if options.all or one["verdict"] == "sat"]
        for number, one in enumerate(listed):
            row = {"family": family, "onnx": Path(one["onnx"]).stem, "vnnlib": Path(one["vnnlib"]).stem}
            row["expected"] = one["verdict"]
            try:
                if number == 0:
                    ask(folder, one["onnx"], one["vnnlib"], options.timeout, options.seed)  # imports
                row |= ask(folder, one["onnx"], one["vnnlib"], options.timeout, options.seed)
            except VerifierError as error:
                row |= {"found": "not read", "cpu_ms": float("nan"), "wall_ms": float("nan"), "bound": str(error)}
            rows.append(row)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    print(describe() + "\n")
    print("| family | expected | asked | found | median CPU ms | largest CPU ms | not found |\n" + "|---" * 7 + "|")
    for family in options.families.split(","):
        for verdict in ("sat", "unsat", "unknown"):
            some = [row for row in rows if (row["family"], row["expected"]) == (family, verdict)]
            read = [row for row in some if row["found"] != "not read"]
            if not read:
                continue
            missed = [f"{row['onnx']} {row['vnnlib']}" for row in read if not row["found"]]
            times = [row["cpu_ms"] for row in read]
            named = "; ".join(missed) if verdict == "sat" else str(len(missed))
            print(
                f"| {family} | {verdict} | {len(read)} of {len(some)} | {len(read) - len(missed)} "
                f"| {statistics.median(times):.0f} | {max(times):.0f} | {named} |"
            )
    return 1 if any(row["found"] is True and row["expected"] == "unsat" for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
