"""Random modules asked questions, every answer held against samples and climbs on the module itself.

    python -m benchmarks.module_fuzzer --modules 20000 --seed 1

Writes benchmarks/results/module_fuzzer.md and ends with status 1 if an answer is wrong.
"""

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from benchmarks.machine import describe
from judges.module_answers import ask
from judges.random_modules import MOST_LAYERS, STATEMENTS, random_module

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Read the command line, ask, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=2000, help="how many modules (default 2000)")
    parser.add_argument("--seed", type=int, default=1, help="the first module is number seed * 1,000,000 (default 1)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="CPU seconds after which no more are begun")
    parser.add_argument("--out", type=Path, default=RESULTS / "module_fuzzer.md", help="where the table goes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    answers: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    statements: Counter[str] = Counter()
    wrong: list[str] = []
    started, modules = time.process_time(), 0
    first = options.seed * 1_000_000
    for seed in tqdm(range(first, first + options.modules), disable=None):
        if time.process_time() - started > options.seconds:
            break
        try:
            asked = ask(seed)
        except KeyboardInterrupt:
            break  # the table is of what was asked by then
        modules += 1
        answers.update(asked.answers)
        statements.update(random_module(seed).written)
        if asked.refused:
            refusals[asked.refused.partition("; ")[0]] += 1
        wrong += [f"module {seed}: {one}" for one in asked.wrong]
    spent = time.process_time() - started
    lines = [
        "# Random modules",
        "",
        f"Made by `python -m benchmarks.module_fuzzer {' '.join(sys.argv[1:])}`".rstrip() + f" on {describe()}, in",
        f"{spent:.0f} CPU s ({spent / max(modules, 1):.2f} s each). Up to {MOST_LAYERS} layers, float32 and float64,",
        "one in twenty in half precision;",
        "statements: " + ", ".join(f"{name} {statements[name]:,}" for name in STATEMENTS) + ".",
        "",
        "| what | count |",
        "|---|---|",
        f"| modules | {modules:,} |",
        *(f"| answers: {name} | {count:,} |" for name, count in sorted(answers.items())),
        f"| modules refused | {sum(refusals.values()):,} |",
        f"| **wrong** | **{len(wrong)}** |",
        *(f"| refused: {text} | {count} |" for text, count in refusals.most_common(10)),
    ]
    options.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines + wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
