"""One query about a curve fit: the naive encoding in Z3 beside verify_function() and max_error().

OMP_NUM_THREADS=1 python -m benchmarks.curve

A 1-20-25-1 network is trained on the Chebyshev polynomial T4. The naive encoding hands Z3 the whole network, with an If
for each ReLU, and the polynomial, in one query; that is what lab 4 builds by hand.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import z3

from course_utils.curve import fit_formula, largest_on_grid, plain
from verifier import max_error, verify_function

RESULTS = Path(__file__).parent / "results" / "curve.md"


def t4(x: Any) -> Any:
    """The Chebyshev polynomial T4."""
    return 8 * x**4 - 8 * x**2 + 1


def naive(layers: Any, tolerance: float) -> str:
    """Ask Z3 for an error of at least the tolerance on [-1, 1]."""
    x = z3.Real("x")
    values = [x]
    for place, (weight, bias) in enumerate(layers, start=1):
        sums = [
            z3.Sum([z3.Q(*w.as_integer_ratio()) * v for w, v in zip(row, values, strict=True)])
            + z3.Q(*b.as_integer_ratio())
            for row, b in zip(weight, bias, strict=True)
        ]
        values = sums if place == len(layers) else [z3.If(v > 0, v, z3.RealVal(0)) for v in sums]
    error, limit = values[0] - t4(x), z3.Q(*tolerance.as_integer_ratio())
    solver = z3.Solver()
    solver.add(x >= -1, x <= 1, z3.Or(error > limit, error < -limit))
    return {"sat": "falsified", "unsat": "verified", "unknown": "unknown"}[str(solver.check())]


def timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    """An answer, and the CPU seconds that it took."""
    started = time.process_time()
    answer = ask()
    return answer, time.process_time() - started


def main() -> None:
    """Train, ask, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[20, 25])
    hidden = parser.parse_args().hidden
    net = fit_formula(t4, 1, *hidden)
    verify_function(net, t4, [[-1, 1]], 10.0)  # the first call imports what it needs
    largest, seconds = timed(lambda: max_error(net, t4, [[-1, 1]], tolerance=1e-6))
    sizes = "-".join(str(size) for size in (1, *hidden, 1))
    rows = [f"| `max_error`, gap 1e-6 | [{largest.attained:.7f}, {largest.proved:.7f}] | {seconds:.3f} |"]
    for factor in (0.9, 1.001, 1.3):
        tolerance = factor * largest.proved
        for name, ask in (
            ("`verify_function`", lambda t=tolerance: verify_function(net, t4, [[-1, 1]], t).verdict.value),
            ("naive Z3", lambda t=tolerance: naive(plain(net), t)),
        ):
            verdict, seconds = timed(ask)
            rows.append(f"| {name}, tolerance {tolerance:.6f} | {verdict} | {seconds:.3f} |")
    text = "\n".join(
        [
            f"# A {sizes} network against T4",
            "",
            f"`python -m benchmarks.curve`, Python {platform.python_version()}, Z3 {z3.get_version_string()}, one "
            f"thread. The largest error on a grid of 2,001 points is {largest_on_grid(net, t4):.7f}.",
            "",
            "| question | answer | CPU s |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
