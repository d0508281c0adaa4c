"""The command line: `nnv verify` asks one question, `nnv batch` a list of them; `python -m verifier` is the same."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifier.errors import VerifierError
from verifier.method_table import help_text

if TYPE_CHECKING:
    from verifier.answer.verdict import Result

UNREADABLE = 2  # exit status for input that cannot be read
INTERRUPTED = 130  # after Ctrl-C, as a shell says it


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "batch":
            from verifier.command.batch import run_batch

            for ended in ("SIGTERM", "SIGHUP"):  # a job that is ended stops as by Ctrl-C, and its processes with it
                if hasattr(signal, ended):
                    signal.signal(getattr(signal, ended), signal.default_int_handler)
            return run_batch(
                options.instances, options.results, workers=options.workers, scheduler=options.scheduler,
                expected=options.expected, method=options.method,
            )  # fmt: skip
        return _verify(options)
    except VerifierError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return UNREADABLE
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    from verifier import __version__

    own = Path(sys.argv[0]).stem == "nnv"
    parser = argparse.ArgumentParser(
        prog="nnv" if own else "python -m verifier", description="Verify neural networks.", epilog=help_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "verify", help="one network and one property",
        description="Prints unsat (no input is unsafe), sat with an unsafe input, unknown or timeout. The exit status "
        "is 0 for any of them, and 2 where a file cannot be read.",
    )  # fmt: skip
    one.add_argument("network", help=".onnx, .onnx.gz or .nnet")
    one.add_argument("property", help=".vnnlib or .vnnlib.gz, VNN-LIB 1.0")
    one.add_argument("--timeout", type=_seconds, default=60.0, metavar="S", help="wall time in seconds (default: 60)")
    one.add_argument("--json", action="store_true", help="print all of the result as JSON instead")
    many = commands.add_parser(
        "batch", help="a list of instances, in parallel",
        description="Runs a list of onnx,vnnlib,timeout (no header, paths relative to the list). A results file that "
        "is there already is continued.",
    )  # fmt: skip
    many.add_argument("instances", help="the list, as in the competition")
    many.add_argument("--results", required=True, metavar="OUT.csv", help="where the verdicts are written")
    many.add_argument("--workers", type=int, default=None, metavar="N", help="instances at once (default: the cores)")
    many.add_argument("--scheduler", metavar="ADDRESS", help="an existing Dask scheduler, e.g. tcp://host:8786")
    many.add_argument(
        "--expected", metavar="EXPECTED.csv",
        help="known verdicts (columns onnx, vnnlib, verdict); the exit status is 1 if one of ours is wrong",
    )  # fmt: skip
    for command in (one, many):
        command.add_argument("--method", default="auto", metavar="M", help="auto, or one method by name")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected seconds > 0, found {text}")
    return value


def _verify(options: argparse.Namespace) -> int:
    from verifier.asking.files import verify_files

    cpu = time.process_time()
    result = verify_files(
        options.network, options.property, timeout_s=options.timeout, max_counterexamples=1, method=options.method,
        progress=None if sys.stderr.isatty() else False,
    )  # fmt: skip
    if options.json:
        print(json.dumps(_plain(result, time.process_time() - cpu), indent=1))
    else:
        print(_word(result))
        if result.counterexample is not None:
            print(_counterexample(result))
    return 0


def _word(result: Result) -> str:
    """The verdict as VNN-LIB tools print it."""
    if result.verdict.value == "unknown":
        return "timeout" if result.timed_out else "unknown"
    return "unsat" if result else "sat"


def _flat(values: Any) -> list[float]:
    return [float(value) for value in values.reshape(-1)]


def _counterexample(result: Result) -> str:
    """((X_0 v) ... (Y_0 v)), as the competition wants it; each number reads back as the value that was replayed."""
    x, y = _flat(result.counterexample), _flat(result.counterexample_output)
    named = [f"(X_{i} {value!r})" for i, value in enumerate(x)] + [f"(Y_{i} {value!r})" for i, value in enumerate(y)]
    return "(" + "\n ".join(named) + ")"


def _plain(result: Result, cpu_seconds: float) -> dict[str, Any]:
    """Everything in a Result as data that JSON can hold; infinities are null."""

    def number(value: float) -> float | None:
        return float(value) if math.isfinite(value) else None

    point = None
    if result.counterexample is not None:
        point = {"x": _flat(result.counterexample), "y": _flat(result.counterexample_output)}
    return {
        "verdict": _word(result), "stage": result.stage, "guarantee": result.guarantee, "reason": result.reason,
        "margin": number(result.margin), "subdomains": result.subdomains, "seconds": result.seconds,
        "cpu_seconds": cpu_seconds,
        "output_bounds": {
            "lower": [number(value) for value in result.output_bounds.lower],
            "upper": [number(value) for value in result.output_bounds.upper],
        },
        "counterexample": point,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
