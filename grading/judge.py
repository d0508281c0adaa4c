"""Judge a notebook: the instructor's test cells, run in a process that never runs a student's code.

The student's cells run in a worker, a second process behind a pipe. A test cell's `# uses:` line says which names to
fetch from there; they come as plain data, a network as its layers and arrays, a function as a stand-in that calls back
into the worker. The names are fetched where the test cell stands in the notebook, so that a name which is given a new
value later is judged as it was.

How the worker is started is an argument (`command`): a sandbox goes around that command, and nothing here changes.
"""

import ast
import builtins
import contextlib
import io
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from grading.contract import TestCell, read_test_cells, uses
from grading.course import CourseError
from grading.wire import WireError, decode, encode, read_message, write_message

WORKER_COMMAND = (sys.executable, "-P", "-m", "grading.worker")  # -P: not the submission's folder first
MAX_MESSAGE_CHARACTERS = 500  # of what a student's exception says


@dataclass(frozen=True)
class Outcome:
    """What became of one test cell.

    Args:
        grade_id: Its name in the gradebook.
        points: Points earned.
        max_points: Points it is worth.
        message: Why it did not pass, or empty.
    """

    grade_id: str
    points: float
    max_points: float
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether the cell ran to its end."""
        return not self.message


class StudentCodeError(Exception):
    """The student's code raised an exception that has no counterpart among Python's own or the verifier's."""


class WorkerLostError(Exception):
    """The worker ended, said something unreadable or took too long; nothing more can be asked of it."""


class Worker:
    """The process that runs a student's cells, seen from the judge.

    Args:
        command: How to start it.
        folder: Its current folder.
        timeout_s: How long it may take over any one request before it is ended.
    """

    def __init__(
        self, command: Sequence[str] = WORKER_COMMAND, *, folder: Path | None = None, timeout_s: float = 300.0
    ) -> None:
        self._timeout_s = timeout_s
        self._lost = ""
        environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(_import_path())}
        environment.setdefault("OMP_NUM_THREADS", "1")  # several threads on a busy machine made lab 1 six times slower
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, env=environment, bufsize=-1
        )
        self._replies: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()

    def run(self, cells: Sequence[str]) -> list[str]:
        """Run cells; for each, what it raised in one line, or the empty string."""
        answers = self._ask({"run": list(cells)})
        if not isinstance(answers, list) or len(answers) != len(cells):
            raise self._give_up("its answer is not one a cell")
        return ["" if answer is None else _one_line(*_described(answer)) for answer in answers]

    def fetch(self, name: str) -> Any:
        """A student's name as plain data, a network or a stand-in for a function.

        Raises:
            NameError: The notebook did not define it.
            WireError: It is none of these; the message says what it is.
            WorkerLostError: The worker cannot be asked any more.
        """
        return decode(self._ask({"get": name}), self._stand_in)

    def _stand_in(self, number: int, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            sent = [encode(argument, None, f"argument {i} of {name}()") for i, argument in enumerate(arguments)]
            sent_named = {key: encode(argument, None, f"{key} of {name}()") for key, argument in named.items()}
            return decode(self._ask({"call": [number, sent, sent_named]}))

        call.__name__ = call.__qualname__ = name
        return call

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._lost:
            raise WorkerLostError(self._lost)
        assert self._process.stdin is not None
        try:
            write_message(self._process.stdin, request)
            reply = self._replies.get(timeout=self._timeout_s)
        except OSError:
            raise self._give_up("it ended") from None
        except queue.Empty:
            raise self._give_up(f"it took longer than {self._timeout_s:g} s") from None
        if isinstance(reply, Exception):
            raise self._give_up("it ended" if isinstance(reply, EOFError) else str(reply))
        if isinstance(reply, dict) and set(reply) == {"answer"}:
            return reply["answer"]
        if isinstance(reply, dict) and set(reply) == {"error"}:
            raise _as_exception(*_described(reply["error"]))
        raise self._give_up("its reply is neither an answer nor an error")

    def _give_up(self, reason: str) -> WorkerLostError:
        self._process.kill()
        self._lost = f"the notebook's process stopped answering: {reason}"
        return WorkerLostError(self._lost)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                self._replies.put(read_message(self._process.stdout))
            except (EOFError, WireError, OSError, ValueError) as error:
                self._replies.put(error if isinstance(error, WireError) else EOFError())
                return


def judge_notebook(
    source: Path, submission: Path, *, command: Sequence[str] = WORKER_COMMAND, timeout_s: float = 300.0
) -> list[Outcome]:
    """Points of a submission by test cell.

    Args:
        source: The instructor's notebook, whose test cells count.
        submission: The student's notebook, whose other cells run in the worker.
        command: How to start the worker.
        timeout_s: How long the worker may take over any one request.

    Raises:
        CourseError: One of the two is missing, or is not a notebook.
    """
    tests = read_test_cells(_existing(source))
    parts = split_at_tests(_existing(submission), source, [test.grade_id for test in tests])
    outcomes = {}
    with Worker(command, folder=submission.resolve().parent, timeout_s=timeout_s) as worker:
        for cells, grade_id in parts:
            with contextlib.suppress(WorkerLostError):  # each test that then asks for a name says so
                worker.run(cells)
            if grade_id is not None:
                outcomes[grade_id] = judge_cell(next(test for test in tests if test.grade_id == grade_id), worker.fetch)
        for test in tests:
            if test.grade_id not in outcomes:  # the student removed the cell: judged at the notebook's end
                outcomes[test.grade_id] = judge_cell(test, worker.fetch)
    return [outcomes[test.grade_id] for test in tests]


def judge_cell(test: TestCell, fetch: Callable[[str], Any]) -> Outcome:
    """Run one test cell in a namespace of its own.

    As in nbgrader, a cell that fails earns nothing; one that succeeds earns what its last expression says, or
    everything.

    Args:
        test: The instructor's cell.
        fetch: Gives the value of a student's name.
    """
    try:
        namespace: dict[str, Any] = {"__name__": "__main__", **{name: fetch(name) for name in uses(test.source)}}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            value = _run(test.source, test.grade_id, namespace)
    except Exception as error:
        return Outcome(test.grade_id, 0.0, test.max_points, _one_line([type(error).__name__], str(error)))
    points = _partial_credit(value, test.max_points)
    if points > test.max_points:
        return Outcome(
            test.grade_id, 0.0, test.max_points, f"the test cell itself gives {points:g} points; mend the test cell"
        )
    return Outcome(test.grade_id, points, test.max_points)


def split_at_tests(submission: Path, source: Path, grade_ids: Sequence[str]) -> list[tuple[list[str], str | None]]:
    """A student's code cells, in runs that end where a test cell stands.

    Test cells themselves are left out; a locked cell is the instructor's, as nbgrader's autograder makes it.

    Returns:
        (sources of the cells, grade_id of the test cell after them) pairs; the last has None, as no test follows.
    """
    locked = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in _read(source).cells
        if cell.metadata.get("nbgrader", {}).get("locked") and cell.cell_type == "code"
    }
    cells = [cell for cell in _read(submission).cells if cell.cell_type == "code"]
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    parts: list[tuple[list[str], str | None]] = []
    run: list[str] = []
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        if name not in grade_ids:
            run.append(locked.get(name, cell.source))
        elif name not in names[index + 1 :]:  # of a test cell that was copied, nbgrader keeps the last
            parts.append((run, name))
            run = []
    return [*parts, (run, None)]


def _run(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Execute a cell and give the value of its last expression; None where a notebook would show none."""
    tree = ast.parse(source, filename=name)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or source.rstrip().endswith(";"):
        exec(compile(tree, name, "exec"), namespace)
        return None
    exec(compile(ast.Module(tree.body[:-1], type_ignores=[]), name, "exec"), namespace)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace)


def _partial_credit(value: Any, max_points: float) -> float:
    """Points as nbgrader reads them from a cell's output: a number that is not negative; anything else is full
    credit."""
    if value is None:
        return max_points
    try:
        points = float(repr(value))
    except ValueError:
        return max_points
    return points if points >= 0.0 else max_points


def _described(data: Any) -> tuple[list[str], str]:
    """The class names and the text of an exception that a worker describes, whatever it really sent."""
    if isinstance(data, list) and len(data) == 2 and isinstance(data[0], list) and isinstance(data[1], str):
        return [name for name in data[0] if isinstance(name, str)] or ["Exception"], data[1]
    return ["Exception"], "an error that cannot be read"


def _as_exception(names: list[str], text: str) -> Exception:
    """The exception that a student's code raised, so that a test can expect it as it would in the notebook."""
    from verifier import errors

    text = text[:MAX_MESSAGE_CHARACTERS]
    if names[0] == "WireError":
        return WireError(text)
    for name in names:
        found = getattr(builtins, name, None) or getattr(errors, name, None)
        if isinstance(found, type) and issubclass(found, Exception) and found is not Exception:
            try:
                return found(text)
            except TypeError:  # a few, such as UnicodeDecodeError, want more than a text
                continue
    return StudentCodeError(f"{names[0]}: {text}")


def _one_line(names: list[str], text: str) -> str:
    first = text.strip().partition("\n")[0][:MAX_MESSAGE_CHARACTERS]
    return f"{names[0]}: {first}" if first else names[0]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CourseError(f"{path} does not exist; build the labs first (make build), or correct the path")
    return path


def _read(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises its own, json's and plain AttributeError
        raise CourseError(
            f"{path} is not a notebook: {type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        ) from None


def _import_path() -> list[str]:
    """Our own packages ahead of anything in the submission's folder."""
    ours = str(Path(__file__).resolve().parent.parent)
    return [ours, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
