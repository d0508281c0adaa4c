"""What a student waits for: the first call, the second call, and the import.

    python -m benchmarks.latency

Held to: a settled spec of a lab network answers in 50 ms or less after the first call, and `import verifier` adds less
than 0.3 s to `import torch`. Every import and every first call runs in a fresh process. Writes
benchmarks/results/latency.md and ends with status 1 if a limit is missed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
CALL_LIMIT_S, IMPORT_LIMIT_S = 0.050, 0.3

TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
IMPORT_TORCH = TIMED.format("import torch")
IMPORT_BOTH = TIMED.format("import torch, verifier; verifier.verify")


def fresh(code: str) -> str:
    """Run code in a new process and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def calls(seed: int) -> list[dict[str, Any]]:
    """Ask each spec of one network three times in this process; the first call of all also loads and compiles."""
    import verifier
    from benchmarks.circle import questions, train_circle

    net = train_circle(seed)
    rows = []
    for asked in questions(net):
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            result = verifier.verify(net, asked.x_specs(), asked.y_specs(), [], progress=False)
            seconds.append(time.perf_counter() - started)
        row = {"seed": seed, "name": asked.name, "verdict": result.verdict.value, "stage": result.stage}
        rows.append({**row, "boxes": result.subdomains, "first_s": seconds[0], "later_s": seconds[1:]})
    return rows


def main() -> int:
    """Read the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="circle networks (default 3)")
    parser.add_argument("--repeats", type=int, default=5, help="fresh processes an import (default 5)")
    parser.add_argument("--out", type=Path, default=RESULTS / "latency.md", help="where the table goes")
    options = parser.parse_args()
    for code in (IMPORT_TORCH, IMPORT_BOTH):
        fresh(code)  # fill the disk's caches and write byte code
    torch_s, both_s = [], []
    for _ in tqdm(range(options.repeats), desc="imports"):
        torch_s.append(float(fresh(IMPORT_TORCH)))
        both_s.append(float(fresh(IMPORT_BOTH)))
    added = min(both_s) - min(torch_s)  # the least of several: what else the machine does only adds
    rows = []
    for seed in tqdm(range(options.seeds), desc="networks"):
        rows += json.loads(
            fresh(f"import json; from benchmarks.latency import calls; print(json.dumps(calls({seed})))")
        )
    settled = [row for row in rows if row["verdict"] != "unknown"]
    slow = [row for row in settled if min(row["later_s"]) > CALL_LIMIT_S]
    later = sorted(statistics.median(row["later_s"]) for row in settled)
    lines = [
        "# First call, later calls, import",
        "",
        f"Made by `python -m benchmarks.latency {' '.join(sys.argv[1:])}`".rstrip() + f" on {describe()}.",
        "",
        "| what | measured | limit |",
        "|---|---|---|",
        f"| `import verifier` and its verify, on top of `import torch` | {added:.3f} s | {IMPORT_LIMIT_S:g} s |",
        f"| `import torch` | {min(torch_s):.2f} s | |",
        f"| very first call in a process, median | {statistics.median(row['first_s'] for row in rows[::10]):.2f} s | |",
        f"| settled spec after the first call, median | {1000 * statistics.median(later):.1f} ms | |",
        f"| settled spec after the first call, slowest | {1000 * later[-1]:.1f} ms | {1000 * CALL_LIMIT_S:g} ms |",
        f"| specs settled | {len(settled)} of {len(rows)} | |",
        "",
        "| seed | spec | verdict | stage | boxes | first call ms | later calls ms |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['seed']} | {row['name']} | {row['verdict']} | {row['stage']} | {row['boxes']} "
        f"| {1000 * row['first_s']:.1f} | {', '.join(f'{1000 * s:.1f}' for s in row['later_s'])} |"
        for row in rows
    ]
    table = "\n".join(lines) + "\n"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(table)
    print(table)
    for row in slow:
        print(f"too slow: seed {row['seed']}, {row['name']}: {1000 * min(row['later_s']):.1f} ms")
    if added > IMPORT_LIMIT_S:
        print(f"import verifier adds {added:.2f} s")
    return 1 if slow or added > IMPORT_LIMIT_S else 0


if __name__ == "__main__":
    sys.exit(main())
