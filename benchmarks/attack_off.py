"""Satisfiable instances with every counterexample hidden from the verifier: none of them may become "unsat".

    OMP_NUM_THREADS=1 python -m benchmarks.attack_off --data PATH/vnncomp acasxu reach_prob_density test

A wrong bound is easily missed where an attack finds the counterexample first. So here the attacks find nothing, and no
candidate of a search or a solver passes the replay: what is left is proof alone, and proof must fail. Instances are
those of a family's expected.csv whose verdict is sat, and random small networks whose exact answer is known.
Writes benchmarks/results/attack_off.md; ends with status 1 if anything is verified.
"""

import argparse
import importlib
import pkgutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import verifier
from benchmarks.machine import describe
from judges.random_problems import random_problem
from verifier.answer.verdict import Rejection
from verifier.command.batch import read_expected

RESULTS = Path(__file__).parent / "results"
RANDOM_SUBDOMAINS = 2_000
Row = tuple[str, str, str, str, float]  # family, instance, verdict, reason, CPU seconds


def no_points(question: Any, **options: Any) -> Any:
    """An attack that finds nothing."""
    return np.zeros((0, question.box.lower.size))


def no_counterexample(question: Any, candidate: Any) -> Rejection:
    """A replay that nothing passes."""
    return Rejection("hidden")


HIDDEN = {"attack": no_points, "thorough_attack": no_points, "check_counterexample": no_counterexample}


@contextmanager
def hidden_counterexamples() -> Iterator[int]:
    """Replace every attack and every replay in every module of the verifier; gives how many names were replaced."""
    names = [
        one.name for one in pkgutil.walk_packages(verifier.__path__, "verifier.") if one.name != "verifier.__main__"
    ]
    homes = {"verifier.attack", "verifier.answer.replay"}  # where they are defined: others imported them by name
    replaced: list[tuple[Any, str, Any]] = []
    for name in names:
        module = importlib.import_module(name)
        for what, stand_in in HIDDEN.items():
            if callable(getattr(module, what, None)) and name not in homes:
                replaced.append((module, what, getattr(module, what)))
                setattr(module, what, stand_in)
    try:
        yield len(replaced)
    finally:
        for module, what, original in replaced:
            setattr(module, what, original)


def family(folder: Path, timeout_s: float) -> Iterator[Row]:
    """Ask a family's satisfiable instances."""
    expected = read_expected(folder / "expected.csv")
    for onnx, vnnlib in tqdm([names for names, verdict in expected.items() if verdict == "sat"], desc=folder.name):
        before = time.process_time()
        result = verifier.verify_files(folder / onnx, folder / vnnlib, timeout_s=timeout_s, progress=False)
        name = f"{Path(onnx).stem}, {Path(vnnlib).stem}"
        yield folder.name, name, result.verdict.value, result.reason, time.process_time() - before


def random_problems(count: int) -> Iterator[Row]:
    """Ask random small networks whose spec is violated."""
    for index in tqdm(range(count), desc="random"):
        problem = random_problem(7, index)
        if problem.answer().holds:
            continue
        before = time.process_time()
        result = verifier.verify(
            problem.module(), problem.x_specs(), problem.y_specs(), max_subdomains=RANDOM_SUBDOMAINS, timeout_s=30,
            progress=False,
        )  # fmt: skip
        yield "random", str(index), result.verdict.value, result.reason, time.process_time() - before


def table(rows: list[Row], command: str) -> str:
    """The page: counts by family, then whatever was verified."""
    lines = ["# Satisfiable instances with every counterexample hidden", "", f"`{command}`", "", describe(), ""]
    lines += [
        "| family | satisfiable | verified (wrong) | falsified (was not hidden) | unknown | CPU s |",
        "|" + "---|" * 6,
    ]
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == name]
        counts = Counter(row[2] for row in mine)
        shown = " | ".join(str(counts[verdict]) for verdict in ("verified", "falsified", "unknown"))
        lines.append(f"| {name} | {len(mine)} | {shown} | {sum(row[4] for row in mine):.0f} |")
    wrong = [f"- {row[0]}: {row[1]}" for row in rows if row[2] != "unknown"]
    return "\n".join([*lines, "", *(["Wrong:", "", *wrong] if wrong else ["None was verified."]), ""])


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="folders in DATA")
    parser.add_argument("--data", type=Path, help="folder that holds the families")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds for each instance")
    parser.add_argument("--random", type=int, default=300, help="random problems, of which the violated ones are asked")
    parser.add_argument("--out", type=Path, default=RESULTS / "attack_off.md")
    args = parser.parse_args()
    if args.families and args.data is None:
        parser.error("--data: name the folder that holds the families")
    rows: list[Row] = []
    with hidden_counterexamples() as count:
        print(f"{count} attacks and replays are hidden")
        rows += random_problems(args.random)
        for name in args.families:
            rows += family(args.data / name, args.timeout)
    command = "python -m benchmarks.attack_off " + " ".join(sys.argv[1:]).replace(str(args.data), "PATH/vnncomp")
    args.out.write_text(table(rows, command), encoding="utf-8")
    print(args.out.read_text(encoding="utf-8"))
    return int(any(row[2] != "unknown" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
