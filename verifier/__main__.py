"""The command line: `nnv verify` asks one question, `nnv batch` a list of them; `python -m verifier` is the same."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifier.errors import OptionError, VerifierError, VerifierWarning
from verifier.method_table import TABLE, help_text
from verifier.version import __version__

if TYPE_CHECKING:
    from verifier.answer.verdict import Result

UNREADABLE = 2  # exit status for input that cannot be read
INTERRUPTED = 130  # after Ctrl-C, as a shell says it
PIPE_CLOSED = 141  # where the output was closed by its reader, as a shell says it


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        try:
            return _run(arguments)
        finally:  # what argparse printed, too
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        with contextlib.suppress(OSError, ValueError):  # nothing more is written, not even at the end of the process
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _run(arguments: list[str] | None) -> int:
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
    bounding = ", ".join(name for name, row in TABLE.items() if row.bound is not None)
    one.add_argument("--bounds", metavar="B", help=f"inside --method split: {bounding} (default: crown)")
    one.add_argument("--json", action="store_true", help="print all of the result as JSON instead")
    one.add_argument("--output", metavar="FILE", help="write it to a file instead of printing it")
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
    with _only_our_output():
        result = verify_files(
            options.network, options.property, timeout_s=options.timeout, max_counterexamples=1, method=options.method,
            progress=None if sys.stderr.isatty() else False, bounds=options.bounds,
        )  # fmt: skip
    if options.json:
        text = json.dumps(_plain(result, time.process_time() - cpu), indent=1)
    else:
        text = "\n".join([_word(result)] + ([_counterexample(result)] if result.counterexample is not None else []))
        if result.note:
            print(f"note: {result.note}", file=sys.stderr)
    if options.output is None:
        print(text)
    else:
        try:
            Path(options.output).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise OptionError(f"--output: {options.output!r} cannot be written: {error.strerror or error}") from error
    return INTERRUPTED if result.interrupted else 0


@contextlib.contextmanager
def _only_our_output() -> Iterator[None]:
    """Send whatever a library prints on standard output, from Python or from C, to standard error; warnings in a line.

    So the first line that is printed is the verdict, and JSON is all that is printed with --json.
    """

    def warn(message: Warning | str, *place: Any, **options: Any) -> None:
        print(f"warning: {message}", file=sys.stderr)

    sys.stdout.flush()
    saved = None
    with contextlib.suppress(OSError):  # there may be no standard output
        saved = os.dup(1)
        os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("always", VerifierWarning)
            warnings.showwarning = warn
            yield
    finally:
        if saved is not None:
            with contextlib.suppress(OSError, AttributeError, TypeError):
                ctypes.CDLL(None).fflush(None)  # what C's own buffer holds belongs to what printed it
            os.dup2(saved, 1)
            os.close(saved)


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
    """Everything in a Result as data that JSON can hold, the verdict as VNN-LIB tools print it."""
    return result.to_dict() | {"verdict": _word(result), "cpu_seconds": cpu_seconds}


if __name__ == "__main__":
    sys.exit(main())
