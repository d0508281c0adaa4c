"""A process with little time and memory that cleans what students wrote, one text after the other.

It is started when first needed and serves all threads. A text that costs more than it may ends the process, is not
shown, and the next text has a new one.
"""

import atexit
import html
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

from grading.wire.arrays import WireError
from grading.wire.channel import Channel

CPU_S, MEMORY_MB = 4, 512  # for one text, and for the process
PATIENCE_S = 60.0  # on the clock, for a machine that is busy
MAX_TEXT = 200_000
_ROOT = Path(__file__).resolve().parents[2]
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from grading.run.cleaner import serve; serve()"


class Budget:
    """What the texts of one page may cost together.

    Args:
        failures: Texts that could not be cleaned in time; after so many nothing more is tried.
        characters: Of all texts.
    """

    def __init__(self, failures: int = 3, characters: int = 4_000_000) -> None:
        self.failures, self.characters = failures, characters


class Cleaner:
    """The process, seen from outside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None

    def clean(self, kind: str, text: str, budget: Budget | None = None) -> str:
        """HTML that may stand in a page; where the text was too much, a line that says so."""
        budget = budget or Budget()
        if len(text) > MAX_TEXT or budget.failures < 1 or len(text) > budget.characters:
            return _not_shown(kind, text, "it is too long, or there was too much before it")
        budget.characters -= len(text)
        with self._lock:
            try:
                channel = self._channel or self._start()
                channel.send([kind, text], PATIENCE_S)
                made, why = channel.receive(PATIENCE_S)
            except (OSError, EOFError, WireError, ValueError, TypeError):
                self._end()
                budget.failures -= 1
                return _not_shown(kind, text, "it takes too long to read")
        return str(made) if made is not None else _not_shown(kind, text, str(why))

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def _start(self) -> Channel:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-W", "ignore", "-c", _START], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._channel = Channel(ours)
        return self._channel

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None


def serve() -> None:
    """What the process does until the other end closes."""
    from grading.run.clean import RefusedError, clean

    channel = Channel(socket.socket(fileno=0))
    clean("markdown", "*ready*")
    data = MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    while True:
        try:
            kind, text = channel.receive()
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        try:
            said: list[str | None] = [clean(kind, text), ""]
        except RefusedError as error:
            said = [None, str(error)]
        except Exception as error:  # parsers fail in many ways, and none may be shown for clean
            said = [None, f"it cannot be read ({type(error).__name__})"]
        channel.send(said)


def _not_shown(kind: str, text: str, why: str) -> str:
    return f"<pre>[{html.escape(kind)} of {len(text)} characters is not shown: {html.escape(why)}]</pre>"


CLEANER = Cleaner()
atexit.register(CLEANER.close)
