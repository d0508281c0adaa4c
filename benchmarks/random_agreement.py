"""Agreement of verify() with exact enumeration on random small networks.

    python -m benchmarks.random_agreement --problems 10000 --seed 1

Every problem is asked with each method named; its verdict, its counterexamples and its output bounds are held against
the exact answer. Writes benchmarks/results/random_agreement.json and .md, and ends with status 1 if anything is wrong.
What is done stands in a .part.jsonl beside them until all is; the same command goes on where one was stopped.
"""

import argparse
import json
import sys
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import verifier
from benchmarks.machine import describe
from judges.judging import judge
from judges.random_problems import ROUNDING, random_problem

RESULTS = Path(__file__).parent / "results"
CHUNK = 20  # problems a task: long enough to outweigh the pipe, short enough for a smooth bar


def ask(seed: int, index: int, methods: list[str], max_subdomains: int) -> list[dict[str, Any]]:
    """Put one problem to every method and judge the results."""
    problem = random_problem(seed, index)
    answer = problem.answer()
    net = problem.module()
    rows = []
    for method in methods:
        counterexamples: list[Any] = []
        started = time.perf_counter()
        row: dict[str, Any] = {"index": index, "method": method, "dtype": problem.dtype, "holds": answer.holds}
        row["tie"] = answer.worst_margin == 0
        try:
            result = verifier.verify(
                net,
                problem.x_specs(),
                problem.y_specs(),
                counterexamples,
                method=method,
                max_subdomains=max_subdomains,
                timeout_s=60,
                progress=False,
            )
        except Exception:  # a crash is a finding: it is reported with its problem, and the run goes on
            row |= {"verdict": "error", "wrong": [traceback.format_exc(limit=-4)], "below": False, "room": True}
        else:
            verdict = judge(problem, answer, net, result, counterexamples, method)
            row |= {
                "verdict": result.verdict.value,
                "stage": result.stage,
                "guarantee": result.guarantee,
                "reason": result.reason,
                "wrong": list(verdict.wrong),
                "below": verdict.below_rounding,
                "room": verdict.unknown_with_room,
                "subdomains": result.subdomains,
            }
        row["seconds"] = time.perf_counter() - started
        row["relative_margin"] = float(answer.worst_margin) / problem.scale()
        rows.append(row)
    return rows


def ask_many(seed: int, indices: range, methods: list[str], max_subdomains: int) -> list[dict[str, Any]]:
    """Run one task of a worker process, on one thread."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    return [row for index in indices for row in ask(seed, index, methods, max_subdomains)]


def read_part(path: Path, head: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Rows by the first problem of their chunk, from a run that was stopped; a line cut off at the end is left out."""
    done: dict[int, list[dict[str, Any]]] = {}
    if not path.exists():
        path.write_text(json.dumps(head) + "\n")
        return done
    lines = path.read_text().splitlines()
    if json.loads(lines[0]) != head:
        raise SystemExit(f"{path} belongs to other options: {lines[0]}; move it away or choose another --out")
    for line in lines[1:]:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        done[entry["first"]] = entry["rows"]
    entries = [head, *({"first": first, "rows": rows} for first, rows in done.items())]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return done


def summarise(rows: list[dict[str, Any]], methods: list[str], arguments: str) -> str:
    """Write the tables as markdown."""
    lines = [
        "# verify() against exact enumeration on random small networks",
        "",
        f"Made by `python -m benchmarks.random_agreement {arguments}` on {describe()}.",
        "",
        "1 to 3 inputs, 1 or 2 hidden layers of at most 8 ReLUs in all, 1 to 3 outputs; weights normal, small",
        "integers, halves, sparse or of mixed scales; boxes with and without sides of zero width; every form of spec;",
        "thresholds at the exact optimum or a chosen distance to either side.",
        "",
        "- *Below rounding*: |exact worst margin| at most "
        + ", ".join(f"{value:g} ({dtype})" for dtype, value in ROUNDING.items())
        + " times the size of the numbers added up.",
        "- *Wrong*: a wrong verdict, a counterexample that is none in exact arithmetic or in the module, bounds that",
        "  miss the exact range, or a crash.",
        "- *Left open*: UNKNOWN from a complete method with a margin above rounding.",
        "",
        "| method | asked | hold | ties | verified | falsified | unknown, below rounding | unknown, above | wrong "
        "| left open | median ms | max s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        verdicts = Counter(row["verdict"] for row in mine)
        below = sum(row["verdict"] == "unknown" and row["below"] for row in mine)
        seconds = sorted(row["seconds"] for row in mine)
        lines.append(
            f"| {method} | {len(mine):,} | {sum(row['holds'] for row in mine):,} | {sum(row['tie'] for row in mine):,} "
            f"| {verdicts['verified']:,} | {verdicts['falsified']:,} | {below:,} | {verdicts['unknown'] - below:,} "
            f"| {sum(bool(row['wrong']) for row in mine)} | {sum(row['room'] for row in mine)} "
            f"| {1000 * seconds[len(seconds) // 2]:.1f} | {seconds[-1]:.2f} |"
        )
    stages = Counter((row["method"], row["verdict"], row.get("stage", "")) for row in rows if row["method"] == "auto")
    if stages:
        lines += ["", 'Which stage of "auto" settled it:', "", "| verdict | stage | problems |", "|---|---|---|"]
        lines += [f"| {verdict} | {stage or '-'} | {n:,} |" for (_, verdict, stage), n in sorted(stages.items())]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Read the command line, run, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=10_000, help="how many random problems (default 10000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the problems (default 1)")
    parser.add_argument("--first", type=int, default=0, help="index of the first problem (default 0)")
    parser.add_argument(
        "--methods", default="auto", help="comma-separated, e.g. auto,ibp,crown,split,z3 (default auto)"
    )
    parser.add_argument("--max-subdomains", type=int, default=5000, help="limit of the search (default 5000)")
    parser.add_argument("--processes", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--out", type=Path, default=RESULTS / "random_agreement", help="path of the .json and .md")
    options = parser.parse_args()
    methods = options.methods.split(",")
    chunks = [
        range(start, min(start + CHUNK, options.first + options.problems))
        for start in range(options.first, options.first + options.problems, CHUNK)
    ]
    rows: list[dict[str, Any]] = []
    bad = 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_suffix(".part.jsonl")
    head = {"seed": options.seed, "methods": methods, "max_subdomains": options.max_subdomains, "chunk": CHUNK}
    done = read_part(part, head)
    started, asked = time.perf_counter(), 0
    with (
        part.open("a") as file, ProcessPoolExecutor(options.processes) as pool,
        tqdm(total=options.problems, unit="problem") as bar,
    ):  # fmt: skip
        futures = {
            chunk.start: pool.submit(ask_many, options.seed, chunk, methods, options.max_subdomains)
            for chunk in chunks
            if len({row["index"] for row in done.get(chunk.start, ())}) != len(chunk)
        }
        for chunk in chunks:
            if chunk.start in futures:
                found = futures[chunk.start].result()
                asked += len(chunk)
                file.write(json.dumps({"first": chunk.start, "rows": found}) + "\n")
                file.flush()
            else:
                found = done[chunk.start]
            for row in found:
                rows.append(row)
                if row["wrong"] or row["room"]:
                    bad += 1
                    what = "; ".join(row["wrong"]) or f"left open: {row['reason']}"
                    tqdm.write(f"problem ({options.seed}, {row['index']}), {row['method']}, {row['verdict']}: {what}")
            bar.update(len(chunk))
            bar.set_postfix(faults=bad)
    print(f"{asked:,} problems asked in {time.perf_counter() - started:.0f} s, {len(rows):,} answers in all")
    table = summarise(rows, methods, " ".join(sys.argv[1:]))
    odd = [row for row in rows if row["wrong"] or row["room"] or row["verdict"] == "unknown"]
    slowest = sorted(rows, key=lambda row: -row["seconds"])[:10]
    record = {"seed": options.seed, "problems": options.problems, "machine": describe()}
    record |= {"slowest": slowest, "not_settled_or_wrong": odd}
    options.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table)
    part.unlink()
    print(table)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
