"""How many satisfiable competition instances fall to the attack alone, and for how much CPU time.

    OMP_NUM_THREADS=1 python -m benchmarks.attack --data FOLDER acasxu mnist_fc reach_prob_density

FOLDER holds one folder a family, each with expected.csv, onnx/ and vnnlib/. Two attacks are asked: the first one, and
method="attack", which goes on with the thorough one. Reading files is not part of the time. Writes
benchmarks/results/attack.md.
"""

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from verifier.answer.budget import Budget
from verifier.answer.verdict import Question
from verifier.errors import VerifierError
from verifier.frontends.read import read_subject
from verifier.frontends.vnnlib.file import read_vnnlib
from verifier.stages import Run

RESULTS = Path(__file__).parent / "results"


def questions(folder: Path) -> list[tuple[str, list[Question]]]:
    """Every satisfiable instance that can be read, one question a box."""
    found, subjects = [], {}
    with (folder / "expected.csv").open() as file:
        wanted = [row for row in csv.DictReader(file) if row["verdict"] == "sat"]
    for row in wanted:
        packed = folder / (row["vnnlib"] + ".gz")
        problem = read_vnnlib(packed if packed.exists() else folder / row["vnnlib"])
        try:
            if row["onnx"] not in subjects:
                subjects[row["onnx"]] = read_subject(folder / row["onnx"], None, problem.inputs)
        except VerifierError as error:
            print(f"{row['onnx']} is left out: {error}")
            continue
        asked = [Question.ask(subjects[row["onnx"]], one.box, one.spec(problem.outputs)) for one in problem.cases]
        found.append((f"{Path(row['onnx']).stem} {Path(row['vnnlib']).stem}", asked))
    return found


def attack_one(asked: list[Question], thorough: bool) -> dict[str, Any]:
    """Attack box after box until one falls."""
    started, found = time.process_time(), False
    for question in asked:
        run = Run(question, Budget(60.0, show=False), 0, "attack")
        if thorough:
            run.go()
        else:
            run.attack()
        found = run.settled
        if found:
            break
    return {"found": found, "cpu_ms": 1000 * (time.process_time() - started)}


def main() -> int:
    """Read the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the families")
    parser.add_argument("families", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS / "attack.md", help="path of the table")
    options = parser.parse_args()
    lines = [
        "# Satisfiable instances that fall to the attack alone",
        "",
        f"Made by `python -m benchmarks.attack {' '.join(options.families)}` on {describe()}.",
        "",
        "| family | attack | found | mean CPU ms | longest | missed |",
        "|---|---|---|---|---|---|",
    ]
    for family in options.families:
        asked = questions(options.data / family)
        for thorough in (False, True):
            rows = [(name, attack_one(boxes, thorough)) for name, boxes in asked]
            times = [row["cpu_ms"] for _, row in rows]
            missed = [name for name, row in rows if not row["found"]]
            lines.append(
                f"| {family} | {'and thorough' if thorough else 'first'} | {len(rows) - len(missed)} of {len(rows)} "
                f"| {sum(times) / len(times):.0f} | {max(times):.0f} | {', '.join(missed) if thorough else ''} |"
            )
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
