"""The process that judges one submission: the instructor's test cells, where no code of the student's ever runs.

First all of the notebook's cells run in the worker, a second process behind a socket. Where a test cell stands, the
names of its `# uses:` line are taken as plain data, a network as its layers and arrays; a function as a stand-in that
calls back into a fork of the worker that stays as it was at that point. Only when the last cell has run, and the
outputs that the student will read are complete, do the tests begin. So nothing that a test tells a student's function
can reach the student.

What the worker says is parsed where it can do no harm: outputs at once, up to the size that a notebook may print, and
brought into form; values only in the child that runs their test (grading/inside/trials.py), for they may be made to
exhaust memory or time.

It is forked by the zygote and confined by the guard, as the worker is.
"""

import builtins
import functools
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

from grading.inside.files import unpack
from grading.inside.outputs import only_texts
from grading.inside.test_cell import WorkerLostError
from grading.inside.trials import run_trials
from grading.lab.contract import TestCell, uses_with_shapes
from grading.limits import JUDGES_SPARE_MB, Limits
from grading.wire.arrays import WireError
from grading.wire.channel import Channel
from grading.wire.messages import MAX_MESSAGE_BYTES, TooLargeError, parse
from grading.wire.outcome import Loss, Outcome
from grading.wire.values import decode, encode

MAX_MESSAGE_CHARACTERS = 500  # of what a student's exception says
ROOM_BYTES, ROOM_LETTERS = 2**20, 2**16  # around texts, and for the names of what they are
BYTES_OF_A_LETTER = 12  # at most, as JSON writes it in ASCII
PATIENCE_S = 5.0  # beyond the time that a cell may take, before its process counts as lost


class StudentCodeError(Exception):
    """The student's code raised an exception that has no counterpart among Python's own or the verifier's."""


class Worker:
    """The process that runs a student's cells, seen from the judge.

    Args:
        connection: The socket to it.
        cell_s: How long it may take over any one request.
        output_kb: KiB that its cells may print and draw together.
        values_mb: MiB of the values that it may hand over together.
    """

    def __init__(
        self, connection: socket.socket, cell_s: float, output_kb: int = Limits.output_kb, values_mb: int = 1024
    ) -> None:
        self._channel = Channel(connection)
        self._timeout_s = cell_s + PATIENCE_S
        self._letters, self._values_bytes = output_kb * 1024 + ROOM_LETTERS, values_mb * 2**20
        self._lost: WorkerLostError | None = None
        self._forks: list[Worker] = []

    @property
    def loss(self) -> Loss | None:
        """Why it cannot be asked any more, or None while it can."""
        return None if self._lost is None else self._lost.loss

    def run(self, source: str) -> tuple[list[Any], tuple[list[str], str] | None, bool]:
        """Run one cell: its outputs, which hold nothing but texts; its error, as described() reads it; and whether it
        was interrupted because it took too long."""
        most = BYTES_OF_A_LETTER * self._letters + ROOM_BYTES
        answer = self._understand(self._ask({"run": source}, most=most))
        if not isinstance(answer, list) or len(answer) != 3:
            raise self._give_up(Loss.UNREADABLE, "its answer is not one")
        outputs, self._letters = only_texts(answer[0], self._letters)
        return outputs, None if answer[1] is None else described(answer[1]), answer[2] is True

    def take(self, names: dict[str, tuple[int, ...] | None]) -> Callable[[], dict[str, Any]]:
        """Take the values of names as they are now; they are read when what is returned is called, which gives an
        exception in the place of a value that cannot be had."""
        calls, theirs = socket.socketpair()
        functions = Worker(calls, self._timeout_s - PATIENCE_S)
        self._forks.append(functions)
        try:
            wanted = [[name, list(shape) if shape else None] for name, shape in names.items()]
            said = self._ask({"take": wanted}, theirs, self._values_bytes)
            self._values_bytes -= len(said)
        except Exception as error:
            return functools.partial(dict.fromkeys, names, error)
        finally:
            theirs.close()
        return functools.partial(functions._values, list(names), said)

    def _values(self, names: list[str], said: bytes) -> dict[str, Any]:
        try:
            answer = self._understand(said)
            if not isinstance(answer, list) or len(answer) != len(names):
                raise self._give_up(Loss.UNREADABLE, "its answer does not hold one value for each name")
        except Exception as error:
            return dict.fromkeys(names, error)
        return {name: self._read(value) for name, value in zip(names, answer, strict=True)}

    def end_of_notebook(self) -> None:
        """Say that no cell follows; functions that were taken can still be called."""
        self._channel.close()

    def close(self) -> None:
        """Say that nothing more will be asked."""
        self._channel.close()
        for fork in self._forks:
            fork.close()

    def _read(self, told: Any) -> Any:
        try:
            if isinstance(told, dict) and set(told) == {"value"}:
                return decode(told["value"], self._stand_in)
            if isinstance(told, dict) and set(told) == {"error"}:
                return as_exception(*described(told["error"]))
        except Exception as error:
            return error if isinstance(error, WireError) else WireError(f"a value cannot be read: {error}")
        return WireError("a value cannot be read")

    def _stand_in(self, number: int, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            sent = [encode(argument, None, f"argument {i} of {name}()") for i, argument in enumerate(arguments)]
            sent_named = {key: encode(argument, None, f"{key} of {name}()") for key, argument in named.items()}
            return decode(self._understand(self._ask({"call": [number, sent, sent_named]})))

        call.__name__ = call.__qualname__ = name
        return call

    def _ask(
        self, request: dict[str, Any], handed_over: socket.socket | None = None, most: int = MAX_MESSAGE_BYTES
    ) -> bytes:
        if self._lost is not None:
            raise self._lost
        try:
            self._channel.send(request, self._timeout_s)
            if handed_over is not None:
                socket.send_fds(self._channel.socket, [b"s"], [handed_over.fileno()])
            return self._channel.receive_bytes(self._timeout_s, most)
        except TimeoutError:
            raise self._give_up(Loss.TIME, f"it took longer than {self._timeout_s:g} s") from None
        except (OSError, EOFError):
            raise self._give_up(Loss.ENDED, "it ended") from None
        except TooLargeError:  # of ours: it was not sent, and the next may be
            raise
        except WireError as error:
            raise self._give_up(Loss.UNREADABLE, str(error)) from None

    def _understand(self, said: bytes) -> Any:
        """What an answer holds; an exception of the student's code is raised."""
        try:
            reply = parse(said)
        except WireError as error:
            raise self._give_up(Loss.UNREADABLE, str(error)) from None
        if isinstance(reply, dict) and set(reply) == {"answer"}:
            return reply["answer"]
        if isinstance(reply, dict) and set(reply) == {"error"}:
            raise as_exception(*described(reply["error"]))
        raise self._give_up(Loss.UNREADABLE, "its reply is neither an answer nor an error")

    def _give_up(self, loss: Loss, said: str) -> WorkerLostError:
        self._channel.close()
        self._lost = WorkerLostError(loss, said)
        return self._lost


def judge_parts(parts: list[dict[str, Any]], worker: Worker, limits: Limits) -> tuple[list[Any], list[Outcome]]:
    """Run a notebook's cells, then its tests.

    Args:
        parts: In the notebook's order, {"cell": source} or {"test": {"grade_id", "source", "max_points"}}.
        worker: Where the cells run.
        limits: Those of the judge.

    Returns:
        One entry for each cell, its outputs, whether it failed and whether it was interrupted, or None where its
        process was lost before it ended; and one outcome for each test.
    """
    started = time.monotonic()
    cells: list[Any] = []
    trials: list[Any] = []
    for part in parts:
        if "cell" in part:
            try:
                outputs, error, interrupted = worker.run(part["cell"])
                cells.append([outputs, error is not None, interrupted])
            except Exception:  # each test that comes later says so
                cells.append(None)
        else:
            test = TestCell(**part["test"])
            trials.append((test, worker.take(uses_with_shapes(test.source))))
    worker.end_of_notebook()
    return cells, run_trials(trials, limits, started)


def prepare() -> None:
    """Nothing to make beforehand; the zygote's imports are the judge's."""


def main(peer: socket.socket, job: socket.socket, limits: Limits, isolated: bool) -> None:
    """Take one job from the socket, the lab's own files among it, and answer it."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (most - JUDGES_SPARE_MB * 2**20, most))
    channel = Channel(job)
    worker = Worker(peer, limits.cell_s, limits.output_kb, (limits.memory_mb - JUDGES_SPARE_MB) // 2)
    parts = channel.receive()
    unpack([part["file"] for part in parts if "file" in part], isolated)
    cells, outcomes = judge_parts([part for part in parts if "file" not in part], worker, limits)
    said = {"cells": cells, "outcomes": [outcome.to_data() for outcome in outcomes], "lost": worker.loss}
    channel.send(said)


def described(data: Any) -> tuple[list[str], str]:
    """The class names and the text of an exception that a worker describes, whatever it really sent."""
    if isinstance(data, list) and len(data) == 2 and isinstance(data[0], list) and isinstance(data[1], str):
        return [name for name in data[0] if isinstance(name, str)] or ["Exception"], data[1]
    return ["Exception"], "an error that cannot be read"


def as_exception(names: list[str], text: str) -> Exception:
    """The exception that a student's code raised, so that a test can expect it as it would in the notebook."""
    from verifier import errors

    text = text[:MAX_MESSAGE_CHARACTERS]
    if names[0] == "WireError":
        return WireError(text)
    # map() and the like would take it for the end of what they go through, and so for success
    if {"StopIteration", "StopAsyncIteration"} & set(names):
        return StudentCodeError(f"{names[0]}: {text}")
    for name in names:
        found = getattr(builtins, name, None) or getattr(errors, name, None)
        if isinstance(found, type) and issubclass(found, Exception) and found is not Exception:
            try:
                return found(text)
            except TypeError:  # a few, such as UnicodeDecodeError, want more than a text
                continue
    return StudentCodeError(f"{names[0]}: {text}")
