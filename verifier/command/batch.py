"""A list of instances in parallel: every instance in a process of its own, the processes handed out by Dask.

A crash, or memory that runs out, takes one process with it and is one line of the results. Rows are written as they
come, so that a run that was stopped can be continued, and put into the order of the list at the end.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifier.answer.budget import somebody_watches
from verifier.errors import OptionError, SpecError, missing

COLUMNS = ("onnx", "vnnlib", "verdict", "seconds", "cpu_seconds", "subdomains", "stage")
VERDICTS = ("unsat", "sat", "unknown", "timeout")
GRACE_S = 30.0  # beyond its time limit a process may still be starting or writing; then it is ended
UNREADABLE = 2  # exit status of the command line for input that cannot be read

_running: set[subprocess.Popen[str]] = set()  # processes of this machine, to be ended with the run
_ended = threading.Event()  # set once they are: a thread that waited for one must not begin another


@dataclass(frozen=True)
class Instance:
    """A line of the list.

    Args:
        onnx: Network, as the list names it.
        vnnlib: Property, as the list names it.
        timeout_s: Its time limit, in seconds.
    """

    onnx: str
    vnnlib: str
    timeout_s: float


@dataclass(frozen=True)
class Row:
    """What became of an instance: the columns of the results, and a message where it failed."""

    onnx: str
    vnnlib: str
    verdict: str
    seconds: str = ""
    cpu_seconds: str = ""
    subdomains: str = ""
    stage: str = ""
    message: str = ""

    def cells(self) -> list[str]:
        """The columns of the results file."""
        return [getattr(self, column) for column in COLUMNS]


def run_batch(
    instances: str, results: str, *, workers: int | None = None, scheduler: str | None = None,
    expected: str | None = None, method: str = "auto",
) -> int:  # fmt: skip
    """Run a list of instances and write what became of each.

    Args:
        instances: A file of lines onnx,vnnlib,timeout without a header; paths are relative to its folder.
        results: The file to write; where it exists, the rows in it are kept and only the others are run.
        workers: Instances at once; None for as many as there are cores. With a scheduler, its own workers decide.
        scheduler: Address of a Dask scheduler whose workers see the same files; None for this machine alone.
        expected: A file with the columns onnx, vnnlib and verdict to compare with.
        method: As for verify().

    Returns:
        The exit status: 1 where a verdict contradicts an expected one, 130 after Ctrl-C, else 0.

    Raises:
        SpecError: A file cannot be read, or `results` is something else than a results file.
        OptionError: There is no such number of workers.
        MissingDependencyError: Dask is not installed.
    """
    if workers is not None and workers < 1:
        raise OptionError(f"--workers: expected a whole number >= 1, found {workers}")
    path, listed = Path(results), read_instances(Path(instances))
    known = read_expected(Path(expected)) if expected is not None else None
    rows = read_results(path, listed)
    missing = _without(listed, rows)
    if rows:
        print(f"{path}: {len(rows)} of {len(listed)} instances are done already", file=sys.stderr)
    folder = Path(instances).resolve().parent
    try:
        _replace(path, rows)
        with path.open("a", newline="", encoding="utf-8") as file:
            if missing:
                for row in _run(missing, str(folder), workers, scheduler, method, rows):
                    rows.append(row)
                    _write(file, [row.cells()])
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on after the {len(rows)} instances in {path}", file=sys.stderr)
        return 130
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror or error}") from error
    rows = _in_order(rows, listed)
    _replace(path, rows)
    print(f"{len(rows)} instances: {_counts(rows)}")
    return 0 if known is None else _compare(rows, known)


def read_instances(path: Path) -> list[Instance]:
    """Read a competition-format list.

    Raises:
        SpecError: It cannot be read; the message names the line.
    """
    found = []
    for number, cells in _cells(path):
        try:
            onnx, vnnlib, timeout = (cell.strip() for cell in cells)
            found.append(Instance(onnx, vnnlib, float(timeout)))
        except ValueError:
            raise SpecError(
                f"{path}, line {number}: expected onnx,vnnlib,timeout in seconds, found {','.join(cells)!r}"
            ) from None
        if not 0 < found[-1].timeout_s < float("inf"):
            raise SpecError(f"{path}, line {number}: the time limit {timeout} is not a number of seconds > 0")
    if not found:
        raise SpecError(f"{path}: lists no instance")
    return found


def read_expected(path: Path) -> dict[tuple[str, str], str]:
    """Read known verdicts by network and property.

    Raises:
        SpecError: A column is missing.
    """
    lines = [cells for _, cells in _cells(path)]
    header = lines[0] if lines else []
    if not {"onnx", "vnnlib", "verdict"} <= set(header):
        raise SpecError(f"{path}: expected a header with the columns onnx, vnnlib and verdict, found {header}")
    where = [header.index(name) for name in ("onnx", "vnnlib", "verdict")]
    return {(cells[where[0]], cells[where[1]]): cells[where[2]] for cells in lines[1:] if len(cells) > max(where)}


def read_results(path: Path, listed: list[Instance]) -> list[Row]:
    """Read the whole rows of a results file that a run left behind; a line that was cut off is dropped.

    Raises:
        SpecError: The file is something else, and would be lost.
    """
    if not path.exists() or not path.stat().st_size:
        return []
    lines = [cells for _, cells in _cells(path)]
    if not lines or tuple(lines[0]) != COLUMNS:
        raise SpecError(f"{path}: exists and is no results file (its first line is not {','.join(COLUMNS)})")
    left = Counter((one.onnx, one.vnnlib) for one in listed)
    rows = []
    whole = path.read_text(encoding="utf-8").endswith("\n")
    for cells in lines[1:] if whole else lines[1:-1]:
        if len(cells) == len(COLUMNS) and cells[2] in VERDICTS and left[(cells[0], cells[1])] > 0:
            left[(cells[0], cells[1])] -= 1
            rows.append(Row(*cells))
    return rows


def run_instance(instance: Instance, folder: str, method: str, threads: int) -> Row:
    """Run one instance in a process of its own; whatever happens to that process, there is a row."""
    onnx, vnnlib = (str(_stored(Path(folder) / name)) for name in (instance.onnx, instance.vnnlib))
    with tempfile.TemporaryDirectory(prefix="verifier-") as own:  # whatever a library prints, the answer is apart
        return _run_process(instance, onnx, vnnlib, method, threads, Path(own) / "result.json")


def _run_process(instance: Instance, onnx: str, vnnlib: str, method: str, threads: int, answer: Path) -> Row:
    """Run one instance in a process that writes its answer to a file."""
    command = [sys.executable, "-m", "verifier", "verify", onnx, vnnlib, "--json", "--output", str(answer)]
    command += ["--timeout", repr(instance.timeout_s), "--method", method]
    ours = str(Path(__file__).resolve().parents[2])
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads),
    }  # fmt: skip
    started = time.perf_counter()

    def failed(verdict: str, stage: str, message: str) -> Row:
        seconds = f"{time.perf_counter() - started:.3f}"
        return Row(instance.onnx, instance.vnnlib, verdict, seconds, stage=stage, message=message)

    if _ended.is_set():
        return failed("unknown", "stopped", "the run was stopped")
    # a session of its own: Ctrl-C reaches this process alone, so that no interrupted answer is taken for a whole one
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:  # fmt: skip
        _running.add(process)
        if _ended.is_set():  # between the two lines above
            process.kill()
        try:
            _, errors = process.communicate(timeout=instance.timeout_s + GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return failed("timeout", "ended", f"still running {GRACE_S:g} s after its time limit")
        finally:
            _running.discard(process)
    last = (errors.strip().splitlines() or [""])[-1]
    if process.returncode == UNREADABLE:
        return failed("unknown", "unreadable", last)
    try:
        found = json.loads(answer.read_text(encoding="utf-8"))
        return Row(
            instance.onnx, instance.vnnlib, found["verdict"], f"{found['seconds']:.3f}", f"{found['cpu_seconds']:.3f}",
            str(found["subdomains"]), found["stage"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError):
        return failed("unknown", "crashed", f"exit status {process.returncode}: {last}")


def _stored(path: Path) -> Path:
    """The file itself, or its compressed form where only that is there."""
    compressed = path.with_name(path.name + ".gz")
    return compressed if not path.exists() and compressed.exists() else path


def _run(
    instances: list[Instance], folder: str, workers: int | None, scheduler: str | None, method: str, done: list[Row]
) -> Iterator[Row]:
    """Give the rows as they come."""
    from tqdm import tqdm

    cores = os.cpu_count() or 1
    at_once = min(workers or cores, len(instances))
    with _client(at_once, scheduler) as (client, as_completed), _processes_end():
        threads = max(1, cores // at_once)
        futures = {
            client.submit(run_instance, instance, folder, method, threads, pure=False): instance
            for instance in instances
        }
        bar = tqdm(
            total=len(done) + len(instances), initial=len(done), unit=" instances", desc="batch",
            disable=not somebody_watches(),
        )  # fmt: skip
        counted = list(done)
        with bar:
            bar.set_postfix_str(_counts(counted))
            for future in as_completed(futures):
                instance = futures[future]
                if future.status == "finished":
                    row = future.result()
                else:  # a worker of the cluster was lost with what it was running
                    row = Row(
                        instance.onnx, instance.vnnlib, "unknown", stage="crashed", message=repr(future.exception())
                    )
                if row.message:
                    bar.write(f"{row.onnx}, {row.vnnlib}: {row.stage}: {row.message}", file=sys.stderr)
                counted.append(row)
                bar.set_postfix_str(_counts(counted), refresh=False)
                bar.update()
                yield row


@contextmanager
def _processes_end() -> Iterator[None]:
    """End the processes that still run when a run is left, before Dask waits for the threads that wait for them."""
    try:
        yield
    finally:
        _ended.set()
        for process in list(_running):
            process.kill()


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[tuple[Any, Any]]:
    """Connect to a scheduler, or start one here whose threads wait for the processes of the instances."""
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError as error:
        raise missing("batch: Dask (the package distributed) is not installed", "batch") from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError) as error:
            raise OptionError(f"--scheduler: no Dask scheduler answers at {scheduler!r} ({error})") from error
        with client:
            yield client, as_completed
        return
    try:
        with (
            LocalCluster(
                n_workers=1, threads_per_worker=workers, processes=False, dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            yield client, as_completed
    finally:
        _ended.clear()  # no thread of the run is left


def _cells(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a CSV file that are not empty, with their numbers."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(number, cells) for number, cells in enumerate(csv.reader(file), 1) if any(cells)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _replace(path: Path, rows: list[Row]) -> None:
    """Write the whole results file at once, so that no moment leaves less than there was."""
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        _write(file, [COLUMNS, *(row.cells() for row in rows)])
    part.replace(path)


def _write(file: Any, lines: Iterable[Iterable[str]]) -> None:
    csv.writer(file, lineterminator="\n").writerows(lines)
    file.flush()


def _without(listed: list[Instance], rows: list[Row]) -> list[Instance]:
    """The instances that have no row yet; one that is listed twice needs two."""
    left = Counter((row.onnx, row.vnnlib) for row in rows)
    missing = []
    for instance in listed:
        key = (instance.onnx, instance.vnnlib)
        if left[key]:
            left[key] -= 1
        else:
            missing.append(instance)
    return missing


def _in_order(rows: list[Row], listed: list[Instance]) -> list[Row]:
    place = {(one.onnx, one.vnnlib): i for i, one in reversed(list(enumerate(listed)))}
    return sorted(rows, key=lambda row: place[(row.onnx, row.vnnlib)])


def _counts(rows: list[Row]) -> str:
    counted = Counter(row.verdict for row in rows)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in VERDICTS)


def _compare(rows: list[Row], known: dict[tuple[str, str], str]) -> int:
    """Print right, wrong and unsolved against known verdicts; 1 where one is wrong."""
    right = unsolved = opened = 0
    wrong = []
    for row in rows:
        expected, settled = known.get((row.onnx, row.vnnlib), "unknown"), row.verdict in ("sat", "unsat")
        if expected not in ("sat", "unsat"):
            opened += settled
        elif not settled:
            unsolved += 1
        elif row.verdict == expected:
            right += 1
        else:
            wrong.append(f"wrong: {row.onnx}, {row.vnnlib}: {row.verdict}, expected {expected}")
    print(f"right {right}, wrong {len(wrong)}, unsolved {unsolved}; {opened} settled whose verdict is not known")
    for line in wrong:
        print(line)
    return 1 if wrong else 0
