"""Worker processes: sub-problems go out, answers come back, and a sub-problem whose process died is begun again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from verifier.answer.verdict import Question
from verifier.exact.milp.found import Found, SubProblem
from verifier.exact.milp.options import MilpOptions
from verifier.exact.milp.worker import Order, Setting

TRIES = 3  # of one sub-problem: it is done again twice
POLL_S = 0.2  # between looks at the clock


@dataclasses.dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    part: SubProblem
    tries: int


class Pool:
    """Processes that settle sub-problems of one question.

    Args:
        question: The question; the caller's object stays here, its network goes out.
        options: The ingredients, and how many processes.
        command: What starts a worker; for tests.
    """

    def __init__(
        self, question: Question, options: MilpOptions, command: tuple[str, ...] = ("-m", "verifier.exact.milp.worker")
    ) -> None:
        """Start nothing yet; a process starts with the first sub-problem that it gets."""
        self._setting = pickle.dumps(Setting(question.network, question.margins, question.box, options))
        self._size, self._command = options.workers, command
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self.restarts = 0

    @property
    def busy(self) -> int:
        """How many sub-problems are out."""
        return len(self._busy)

    @property
    def free(self) -> int:
        """How many more could go out."""
        return self._size - len(self._busy)

    def submit(self, part: SubProblem, seconds: float, tries: int = 1) -> None:
        """Hand a sub-problem to a process."""
        process = self._idle.pop() if self._idle else self._start()
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None
        self._busy[stdout.fileno()] = _Worker(process, part, tries)
        self._selector.register(stdout, selectors.EVENT_READ)
        with contextlib.suppress(BrokenPipeError):  # it is dead, which its output will tell
            stdin.write(pickle.dumps(Order(part, seconds)))
            stdin.flush()

    def wait(self, seconds_left: float) -> Iterator[tuple[SubProblem, Found | None]]:
        """Wait a moment, and yield what came back; None for a sub-problem whose process died TRIES times.

        Raises:
            Exception: What a worker met with, e.g. MissingDependencyError.
        """
        for key, _ in self._selector.select(min(POLL_S, seconds_left)):
            worker = self._busy.pop(key.fd)
            self._selector.unregister(key.fileobj)
            found = self._read(worker.process)
            if found is not None:
                self._idle.append(worker.process)
            if isinstance(found, Exception):
                raise found
            if found is not None:
                yield worker.part, found
            elif worker.tries < TRIES:
                self.restarts += 1
                self.submit(worker.part, seconds_left, worker.tries + 1)
            else:
                yield worker.part, None

    def close(self) -> None:
        """End every process, whatever it is doing."""
        processes = [*self._idle, *(one.process for one in self._busy.values())]
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        self._idle, self._busy = [], {}
        self._selector.close()

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(one for one in sys.path if one)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        process = subprocess.Popen(
            [sys.executable, *self._command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for this process, which ends the others
        )  # fmt: skip
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self._setting)
            process.stdin.flush()
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> Any:
        """What a process answered, or None where it died first."""
        assert process.stdout is not None
        try:
            return pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            return None
