"""The same instances through this verifier and through other tools of the package index, each as a program of its own.

    python -m benchmarks.peers acasxu --data PATH/vnncomp --every 6 --timeout 20 \
        --vibecheck DIR/bin/vibecheck --marabou-python DIR/bin/python

Every tool gets the same files, one core and the same time limit; its seconds are those of the whole process, with
reading, imports and what it loads compiled from a cache. An instance that a tool leaves open costs it the limit.
Marabou is given each box and each disjunct as a query of its own, in one process, since it reads none together.
Writes results/peers_FAMILY_TOOL.csv in the columns of `python -m verifier batch`, results/peers_FAMILY.md and the
picture results/peers_FAMILY.png; ends with status 1 if our verdict contradicts a known one.
"""

import argparse
import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.machine import describe
from benchmarks.processes import Ran, plain, run_process
from judges.marabou import DRIVER
from verifier.command.batch import COLUMNS, Instance, read_expected, read_instances

RESULTS = Path(__file__).parent / "results"
OURS = "verifier"


def ask_verifier(onnx: Path, vnnlib: Path, limit_s: float, _: str) -> tuple[str, Ran]:
    """Ask this project's command line."""
    ran = run_process(
        [sys.executable, "-m", "verifier", "verify", str(onnx), str(vnnlib), "--timeout", repr(limit_s)], limit_s
    )
    return first_line(ran.printed), ran


def ask_vibecheck(onnx: Path, vnnlib: Path, limit_s: float, program: str) -> tuple[str, Ran]:
    """Ask vibecheck-nn's command line, which reads plain property files only."""
    command = [program, "verify", str(vnnlib), "--network", f"N={onnx}", "--timeout", repr(limit_s)]
    ran = run_process(command, limit_s)
    return first_line(ran.printed), ran


def ask_marabou(onnx: Path, vnnlib: Path, limit_s: float, python: str) -> tuple[str, Ran]:
    """Ask Marabou's core, one query for each box and each disjunct of what is unsafe."""
    from verifier.frontends.read import read_subject
    from verifier.frontends.vnnlib.file import read_vnnlib

    problem = read_vnnlib(vnnlib)
    network = read_subject(str(onnx), None, problem.inputs).network
    layers = [[layer.weight.tolist(), layer.bias.tolist()] for layer in network.layers]
    queries = [
        {
            "layers": layers, "lower": case.box.lower.tolist(), "upper": case.box.upper.tolist(), "timeout_s": limit_s,
            "unsafe": [(row.coefficients, -row.limit) for row in disjunct],
        }
        for case in problem.cases
        for disjunct in case.unsafe
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "queries.json", Path(folder) / "answers.json"
        question.write_text(json.dumps(queries))
        ran = run_process([python, str(DRIVER), str(question), str(answer)], limit_s)
        found = json.loads(answer.read_text()) if answer.exists() else []
    statuses = [one["status"] for one in found]
    if "sat" in statuses:
        return "sat", ran
    return ("unsat" if len(statuses) == len(queries) and set(statuses) == {"unsat"} else "unknown"), ran


def first_line(printed: str) -> str:
    """The verdict where the first line is one."""
    word = (printed.split() or ["unknown"])[0]
    return word if word in ("sat", "unsat") else "unknown"


def measure(
    tools: dict[str, tuple[Any, str]], instances: list[Instance], folder: Path, limit_s: float | None
) -> dict[str, list[dict[str, Any]]]:
    """Ask every tool about every instance, the tools in turn, so that a change of the machine's load meets all."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tools}
    with tempfile.TemporaryDirectory() as unpacked, tqdm(total=len(tools) * len(instances), unit="run") as bar:
        for instance in instances:
            onnx, vnnlib = (plain(folder / name, Path(unpacked)) for name in (instance.onnx, instance.vnnlib))
            limit = min(instance.timeout_s, limit_s or instance.timeout_s)
            for name, (ask, program) in tools.items():
                bar.set_description(f"{name} {Path(instance.vnnlib).stem}")
                verdict, ran = ask(onnx, vnnlib, limit, program)
                if (ran.seconds > limit + 1 and name != OURS) or ran.seconds > limit + 2:
                    verdict = "timeout"  # start-up is granted a second, and import of torch counts as start-up
                rows[name].append(
                    {
                        "onnx": instance.onnx, "vnnlib": instance.vnnlib, "verdict": verdict,
                        "seconds": round(ran.seconds, 3), "cpu_seconds": round(ran.cpu_seconds, 3),
                        "subdomains": "", "stage": "", "limit": limit,
                    }
                )  # fmt: skip
                bar.update()
    return rows


def summarise(rows: dict[str, list[dict[str, Any]]], known: dict[tuple[str, str], str], said: str) -> str:
    """Write the comparison as markdown."""
    lines = [
        said, "",
        "| tool | settled | right | wrong | CPU s, open at the limit | median CPU s | median ratio | total ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    ours = {(row["onnx"], row["vnnlib"]): row for row in rows[OURS]}
    cost = {name: sum(charged(row) for row in found) for name, found in rows.items()}
    for name, found in rows.items():
        settled = [row for row in found if row["verdict"] in ("sat", "unsat")]
        judged = [known.get((row["onnx"], row["vnnlib"]), "unknown") for row in settled]
        right = sum(row["verdict"] == verdict for row, verdict in zip(settled, judged, strict=True))
        wrong = sum(verdict in ("sat", "unsat") for verdict in judged) - right
        ratios = [
            row["cpu_seconds"] / ours[row["onnx"], row["vnnlib"]]["cpu_seconds"]
            for row in settled
            if ours[row["onnx"], row["vnnlib"]]["verdict"] in ("sat", "unsat")
        ]
        lines.append(
            f"| {name} | {len(settled)} of {len(found)} | {right} | {wrong} | {cost[name]:.1f} "
            f"| {statistics.median(charged(row) for row in found):.2f} "
            f"| {f'{statistics.median(ratios):.1f}' if ratios else '-'} | {cost[name] / cost[OURS]:.1f} |"
        )
    return "\n".join(lines) + "\n"


def charged(row: dict[str, Any]) -> float:
    """What an instance cost: the CPU time, and at least the limit where it was left open."""
    open_ = row["verdict"] not in ("sat", "unsat")
    return float(max(row["cpu_seconds"], row["limit"]) if open_ else row["cpu_seconds"])


def main() -> int:
    """Read the command line, run, write the tables and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", help="a folder of --data, such as acasxu")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the families")
    parser.add_argument("--every", type=int, default=1, help="take the first of every so many instances (default all)")
    parser.add_argument("--timeout", type=float, help="seconds an instance, at most (default that of the list)")
    parser.add_argument("--vibecheck", metavar="PATH", help="the program vibecheck of vibecheck-nn")
    parser.add_argument("--marabou-python", metavar="PATH", help="a Python that has maraboupy")
    options = parser.parse_args()
    folder = options.data / options.family
    instances = read_instances(folder / "instances.csv")[:: options.every]
    known = read_expected(folder / "expected.csv")
    tools: dict[str, tuple[Any, str]] = {OURS: (ask_verifier, "")}
    if options.vibecheck:
        tools["vibecheck-nn"] = (ask_vibecheck, str(Path(options.vibecheck).absolute()))
    if options.marabou_python:
        tools["Marabou"] = (ask_marabou, str(Path(options.marabou_python).absolute()))
    rows = measure(tools, instances, folder, options.timeout)
    limit = f"at most {options.timeout:g} s" if options.timeout else "the list's limit"
    said = (
        f"# {options.family} beside other tools\n\n{len(instances)} instances, {limit} each, every tool a process of "
        f"its own on one core, on {describe()}."
    )
    table = summarise(rows, known, said)
    for name, found in rows.items():
        with (RESULTS / f"peers_{options.family}_{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
    (RESULTS / f"peers_{options.family}.md").write_text(table)
    draw(options.family, list(rows), folder / "expected.csv")
    print(table)
    wrong = [row for row in rows[OURS] if {row["verdict"], known.get((row["onnx"], row["vnnlib"]))} == {"sat", "unsat"}]
    return 1 if wrong else 0


def draw(family: str, tools: list[str], expected: Path) -> None:
    """Draw how many each tool settles within a time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from course_utils.plots import draw_solved_over_time

    files = {name: RESULTS / f"peers_{family}_{name}.csv" for name in tools}
    ax = draw_solved_over_time(files, expected=expected, seconds="cpu_seconds")
    ax.set_title(f"{family}: whole process, one core")
    figure = ax.get_figure(root=True)
    assert figure is not None  # it was just drawn
    figure.savefig(RESULTS / f"peers_{family}.png", dpi=90)


if __name__ == "__main__":
    sys.exit(main())
