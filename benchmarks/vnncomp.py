"""All instances of a VNN-COMP family: which verdicts are right, what they cost, and how much memory they took.

    python -m benchmarks.vnncomp mnist_fc --data PATH/vnncomp --workers 2
    OMP_NUM_THREADS=1 python -m benchmarks.vnncomp acasxu --data PATH/vnncomp --in-process

A family's folder holds instances.csv, expected.csv, onnx/ and vnnlib/ as in the competition. Every instance is a
process of its own, `python -m verifier verify`, whose CPU seconds and memory are those of the whole process; `seconds`
and `cpu_seconds` are verify_files() alone, reading included. With --in-process all run one after the other in this
process, after a question that loads what is compiled: then `cpu_seconds` are those of the answers alone, and memory is
the peak so far.
Writes results/FAMILY.csv, whose columns begin as those of `python -m verifier batch`, and results/FAMILY.md; ends with
status 1 on a wrong verdict.
"""

import argparse
import csv
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.machine import describe
from benchmarks.processes import plain, run_process
from verifier.command.batch import COLUMNS, Instance, read_expected, read_instances

RESULTS = Path(__file__).parent / "results"
MORE_COLUMNS = ("expected", "judged", "margin", "limit", "process_cpu_seconds", "peak_mb")
SETTLED = ("sat", "unsat")


def in_a_process(instance: Instance, onnx: Path, vnnlib: Path, limit_s: float, threads: int) -> dict[str, Any]:
    """Ask the command line."""
    command = [sys.executable, "-m", "verifier", "verify", str(onnx), str(vnnlib), "--json", "--timeout", repr(limit_s)]
    ran = run_process(command, limit_s, threads)
    try:
        found = json.loads(ran.printed)
    except ValueError:
        found = {"verdict": "crashed", "seconds": ran.seconds, "cpu_seconds": ran.cpu_seconds}
    return found | {"process_cpu_seconds": ran.cpu_seconds, "peak_mb": ran.peak_bytes / 2**20}


def in_this_process(instance: Instance, onnx: Path, vnnlib: Path, limit_s: float, threads: int) -> dict[str, Any]:
    """Call verify_files()."""
    from verifier import verify_files

    cpu = time.process_time()
    result = verify_files(onnx, vnnlib, timeout_s=limit_s, progress=False)
    cpu = time.process_time() - cpu
    verdict = "unknown" if result.verdict.value == "unknown" else "unsat" if result else "sat"
    return {
        "verdict": verdict, "seconds": result.seconds, "cpu_seconds": cpu, "subdomains": result.subdomains,
        "stage": result.stage, "margin": result.margin, "process_cpu_seconds": cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def judge(found: dict[str, Any], expected: str) -> str:
    """Say what a verdict is worth: right, WRONG, open, or new where nobody knew."""
    if found["verdict"] not in SETTLED:
        return "open" if expected in SETTLED else "open, unknown"
    if expected not in SETTLED:
        return "new"
    return "right" if found["verdict"] == expected else "WRONG"


def measure(
    ask: Callable[..., dict[str, Any]], folder: Path, instances: list[Instance], limit_s: float | None, workers: int,
    threads: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Ask about every instance, some at a time, and give the rows in the order of the list."""
    known = read_expected(folder / "expected.csv")
    rows: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as unpacked, ThreadPoolExecutor(workers) as pool:
        futures = {}
        for number, one in enumerate(instances):
            onnx, vnnlib = (plain(folder / name, Path(unpacked)) for name in (one.onnx, one.vnnlib))
            limit = min(one.timeout_s, limit_s or one.timeout_s)
            futures[pool.submit(ask, one, onnx, vnnlib, limit, threads)] = number, one, limit
        with tqdm(total=len(instances), unit="instance") as bar:
            for future in as_completed(futures):
                number, one, limit = futures[future]
                expected = known.get((one.onnx, one.vnnlib), "unknown")
                found = {
                    "onnx": one.onnx,
                    "vnnlib": one.vnnlib,
                    "expected": expected,
                    "limit": limit,
                    **future.result(),
                }
                rows[number] = found | {"judged": judge(found, expected)}
                if rows[number]["judged"] not in ("right", "new"):
                    bar.write(f"{rows[number]['judged']}: {one.onnx} {one.vnnlib}")
                bar.update()
    return [rows[number] for number in sorted(rows)]


def table(family: str, rows: list[dict[str, Any]], how: str) -> str:
    """Write the sums, by network and in all, then what is open and what took longest."""
    lines = [f"# {family}", "", f"Made by `python -m benchmarks.vnncomp {how}` on {describe()}.", ""]
    lines += [
        "| network | asked | known | right | WRONG | new | open | CPU s of the settled | slowest CPU s | peak MB |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    by_network = [
        (Path(name).stem, [r for r in rows if r["onnx"] == name]) for name in sorted({r["onnx"] for r in rows})
    ]
    for name, part in [*(by_network if len(by_network) < 8 else []), ("all", rows)]:
        settled = [row for row in part if row["verdict"] in SETTLED]
        cells = [sum(row["expected"] in SETTLED for row in part)]
        cells += [sum(row["judged"] == kind for row in part) for kind in ("right", "WRONG", "new")]
        cells += [len(part) - len(settled)]
        cpu = [row["cpu_seconds"] for row in settled]
        peak = max(row["peak_mb"] for row in part)
        numbers = f"{sum(cpu):.1f} | {max(cpu, default=0):.1f} | {peak:.0f}"
        lines.append(f"| {name} | {len(part)} | " + " | ".join(map(str, cells)) + f" | {numbers} |")
    for title, chosen in (("Open", [row for row in rows if row["verdict"] not in SETTLED]), ("Longest", longest(rows))):
        lines += ["", f"{title}:", "", "| instance | expected | found | stage | subdomains | margin | CPU s | wall s |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        lines += [line_of(row) for row in chosen]
    return "\n".join(lines) + "\n"


def longest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The twelve settled instances that took most CPU time."""
    settled = [row for row in rows if row["verdict"] in SETTLED]
    return sorted(settled, key=lambda row: -row["cpu_seconds"])[:12]


def line_of(row: dict[str, Any]) -> str:
    """One instance as a row of Markdown."""
    margin = row.get("margin")
    shown = "" if margin is None or row["verdict"] in SETTLED else f"{margin:.3g}"
    name = f"{Path(row['onnx']).stem} {Path(row['vnnlib']).stem}"
    return (
        f"| {name} | {row['expected']} | {row['verdict']} | {row.get('stage', '')} | {row.get('subdomains', 0):,} "
        f"| {shown} | {row['cpu_seconds']:.2f} | {row['seconds']:.2f} |"
    )


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write the rows, seconds to the millisecond."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *MORE_COLUMNS), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()})


def main() -> int:
    """Read the command line, run, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", help="a folder of --data: acasxu, mnist_fc, oval21, reach_prob_density, ...")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the families")
    parser.add_argument("--timeout", type=float, help="seconds an instance, at most (default that of the list)")
    parser.add_argument("--only", default="", help="regular expression on 'onnx vnnlib'")
    parser.add_argument("--workers", type=int, default=1, help="instances at once (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads an instance (default 1)")
    parser.add_argument("--in-process", action="store_true", help="all in this process, without import and compilation")
    parser.add_argument("--out", type=Path, help="path of the tables without their ending (default results/FAMILY)")
    options = parser.parse_args()
    folder = options.data / options.family
    if not (folder / "instances.csv").exists():
        parser.error(f"--data: {folder} holds no instances.csv; give the folder that holds the families")
    listed = read_instances(folder / "instances.csv")
    instances = [one for one in listed if re.search(options.only, f"{one.onnx} {one.vnnlib}")]
    ask, workers = (in_this_process, 1) if options.in_process else (in_a_process, options.workers)
    if options.in_process:
        warm_up(folder, instances[0])
    rows = measure(ask, folder, instances, options.timeout, workers, options.threads)
    out = options.out or RESULTS / options.family
    write_rows(out.with_suffix(".csv"), rows)
    how = " ".join("FOLDER" if one == str(options.data) else one for one in sys.argv[1:])
    text = table(options.family, rows, how)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    return int(any(row["judged"] == "WRONG" for row in rows))


def warm_up(folder: Path, instance: Instance) -> None:
    """Import and load everything once: a question that few boxes do not settle."""
    from verifier import Box, argmax_is, verify
    from verifier.frontends.read import read_subject

    network = str(folder / instance.onnx)
    inputs = read_subject(network, None, None).network.inputs
    box = Box.from_pairs([(-0.3, 0.3)] * inputs, inputs)
    verify(network, box, argmax_is(0), method="split", max_subdomains=600, progress=False)


if __name__ == "__main__":
    sys.exit(main())
