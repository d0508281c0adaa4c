"""The process that runs a student's cells and then answers the judge. It is forked by the zygote and confined by the
guard.

Requests, each answered by {"answer": ...} or {"error": [[exception names, own first], message]}:
  {"run": source}                                    run one cell: [outputs, None or its error, interrupted]
  {"take": [[name, shape or null], ...]}             values of names as plain data: {"value": ...} or {"error": ...}
  {"call": [number, [argument, ...], {name: ...}]}   call a function that was taken

A request to take comes with a socket. If a function is among the names, a fork of this process keeps that socket and
answers the calls: it has everything as it was at that point of the notebook, and what a call changes or records is
never seen by a cell that runs later.
"""

import base64
import contextlib
import io
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from grading.inside.files import unpack
from grading.limits import Limits
from grading.wire.arrays import WireError
from grading.wire.channel import Channel
from grading.wire.values import decode, encode

SEED = 20260101  # of every submission, so that a rerun gives the same points
SHOWN_CALLS = 5  # of a recursion without an end, at each of its ends
OVERHEAD = 100  # letters that an output takes beside its texts
_shell: Any = None


class Outputs:
    """What a cell prints and shows, as notebooks store it, up to a limit on all cells together."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.current: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Start a cell's outputs."""
        self.current = []

    def write(self, name: str, text: str) -> None:
        """Something printed on standard output or standard error."""
        last = self.current[-1] if self.current else {}
        if last.get("name") != name:
            self.left -= OVERHEAD
        if len(text) > self.left:
            text = text[: max(0, self.left)] + "\n... output cut: too much was printed\n" if self.left > 0 else ""
            self.left = 0
        self.left -= len(text)
        if last.get("output_type") == "stream" and last.get("name") == name:
            last["parts"].append(text)
        elif text:
            self.current.append({"output_type": "stream", "name": name, "parts": [text]})

    def add(self, output: dict[str, Any]) -> None:
        """A figure, a value or an error."""
        texts = [*output.get("data", {}).values(), *output.get("traceback", []), output.get("evalue", "")]
        size = sum(len(text) for text in texts if isinstance(text, str)) + OVERHEAD
        if size > self.left:
            self.left = min(self.left, 0)
            return
        self.left -= size
        self.current.append(output)

    def plain(self) -> list[dict[str, Any]]:
        """The cell's outputs as JSON holds them."""
        return [
            {"output_type": "stream", "name": output["name"], "text": "".join(output["parts"])}
            if output["output_type"] == "stream"
            else output
            for output in self.current
        ]


class _Stream(io.TextIOBase):
    """Standard output or standard error of a cell."""

    def __init__(self, name: str, outputs: Outputs) -> None:
        self._name, self._outputs = name, outputs

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._outputs.write(self._name, str(text))
        return len(text)

    def writable(self) -> bool:
        return True


def prepare() -> None:
    """Make IPython's shell, once in the zygote for all submissions."""
    global _shell
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):  # type: ignore[misc]
        """IPython without a terminal, windows or a history file."""

        outputs = Outputs(0)

        def enable_gui(self, gui: Any = None) -> None:
            """Accept `%matplotlib inline`, for which there is nothing to do here."""

        def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
            self.outputs.add(
                {
                    "output_type": "error",
                    "ename": str(getattr(etype, "__name__", etype)),
                    "evalue": _text(evalue)[:2000],
                    "traceback": [str(line)[:20_000] for line in stb],
                }
            )

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    _shell = Shell.instance(config=config)
    _shell.set_custom_exc((RecursionError,), _show_ends)


def _show_ends(shell: Any, kind: Any, error: Any, tb: Any, tb_offset: Any = None) -> None:
    """Show where a recursion without an end began and where it was stopped: all of it takes IPython ten seconds."""
    lines = traceback.format_exception(kind, error, tb, limit=-SHOWN_CALLS)
    shell._showtraceback(kind, error, [*traceback.format_tb(tb, limit=SHOWN_CALLS), "  ...\n", *lines[1:]])


class Session:
    """The namespace of one student's notebook, and the functions of it that the judge may call."""

    def __init__(self, limits: Limits) -> None:
        if _shell is None:
            prepare()
        self._shell = _shell
        self._cell_s = limits.cell_s
        self._outputs = self._shell.outputs = Outputs(limits.output_kb * 1024)
        self._functions: list[Callable[..., Any]] = []
        self._connect_outputs()
        _seed()

    def run(self, source: str) -> list[Any]:
        """Run one cell, not longer than a cell may take; its outputs, its error, and whether it was interrupted."""
        self._outputs.begin()
        with _interrupted_after(self._cell_s) as interrupted:
            result = self._shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        return [self._outputs.plain(), None if error is None else describe(error), bool(interrupted)]

    def take(self, wanted: list[Any], calls: socket.socket | None, peer: socket.socket) -> list[Any]:
        """Values of names; with a function among them, a fork of this process answers calls on the socket `calls`, and
        leaves the one to the judge, `peer`, to this process."""
        self._functions = []
        values: list[Any] = []
        for name, shape in wanted:
            try:
                if name not in self._shell.user_ns:
                    raise NameError(f"name {name!r} is not defined")
                value = self._shell.user_ns[name]
                with _interrupted_after(self._cell_s):
                    values.append({"value": encode(value, self._export, name, shape and tuple(shape))})
            except BaseException as error:
                values.append({"error": describe(error)})
        if calls is not None:
            if self._functions and os.fork() == 0:
                with contextlib.suppress(BaseException):
                    peer.close()  # else the judge would wait for a notebook that has ended
                    _serve_calls(self, calls)
                os._exit(0)
            calls.close()
        return values

    def call(self, number: int, arguments: list[Any], named: dict[str, Any]) -> Any:
        """Call a function with plain data; its result is plain data too."""
        function = self._functions[number]
        result = function(*map(decode, arguments), **{name: decode(value) for name, value in named.items()})
        return encode(result, None, f"the result of {getattr(function, '__name__', 'the function')}()")

    def _export(self, function: Callable[..., Any]) -> int:
        self._functions.append(function)
        return len(self._functions) - 1

    def _connect_outputs(self) -> None:
        from IPython.core.displayhook import DisplayHook
        from IPython.core.displaypub import DisplayPublisher

        outputs = self._outputs

        class Publisher(DisplayPublisher):  # type: ignore[misc]
            def publish(self, data: Any, metadata: Any = None, **named: Any) -> None:  # type: ignore[override]
                outputs.add({"output_type": "display_data", "data": _plain_bundle(data)})

            def clear_output(self, wait: bool = False) -> None:
                outputs.begin()

        class Hook(DisplayHook):  # type: ignore[misc]
            def write_output_prompt(self) -> None:
                """There is no prompt to write."""

            def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
                outputs.add({"output_type": "execute_result", "data": _plain_bundle(format_dict)})

        self._shell.display_pub = Publisher(parent=self._shell)
        self._shell.displayhook = Hook(parent=self._shell, shell=self._shell)
        self._shell.display_trap.hook = self._shell.displayhook
        sys.displayhook = self._shell.displayhook
        sys.stdout, sys.stderr = _Stream("stdout", outputs), _Stream("stderr", outputs)


def describe(error: BaseException) -> list[Any]:
    """An exception as plain data: the names of its class and of those above it, and its text."""
    return [[cls.__name__ for cls in type(error).__mro__], _text(error)]


def answer(
    session: Session, request: dict[str, Any], calls: socket.socket | None, peer: socket.socket
) -> dict[str, Any]:
    """One request's reply; whatever a student's code raises becomes an error for the judge."""
    try:
        ((kind, content),) = request.items()
        if kind == "run":
            return {"answer": session.run(content)}
        if kind == "take":
            return {"answer": session.take(content, calls, peer)}
        if kind == "call":
            return {"answer": session.call(*content)}
        raise WireError(f"unknown request {kind!r}")
    except BaseException as error:
        return {"error": describe(error)}


def main(peer: socket.socket, job: socket.socket, limits: Limits, isolated: bool) -> None:
    """Unpack the submission's files, then answer the judge until it closes the socket."""
    files = Channel(job)
    unpack(files.receive(), isolated)
    files.close()
    channel = Channel(peer)
    session = Session(limits)
    while True:
        try:
            request = channel.receive()
        except EOFError:
            return
        calls = None
        if "take" in request:
            _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
            calls = socket.socket(fileno=descriptors[0])
        _reply(channel, answer(session, request, calls, peer))


def _serve_calls(session: Session, calls: socket.socket) -> None:
    """What the fork does that stays at one point of the notebook."""
    if "torch" in sys.modules:  # threads do not survive a fork
        sys.modules["torch"].set_num_threads(1)
    channel = Channel(calls)
    while True:
        _reply(channel, answer(session, channel.receive(), None, calls))


def _reply(channel: Channel, reply: dict[str, Any]) -> None:
    try:
        channel.send(reply)
    except (WireError, ValueError, RecursionError) as error:
        channel.send({"error": describe(error)})


@contextlib.contextmanager
def _interrupted_after(seconds: float) -> Iterator[list[float]]:
    """Raise in the running code after some time; code that goes on regardless is ended later, by the guard.

    What is given is empty, until the time has come.
    """
    interrupted: list[float] = []

    def interrupt(*_: object) -> None:
        interrupted.append(seconds)
        raise TimeoutError(f"the cell took longer than {seconds:g} s")

    try:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield interrupted
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _plain_bundle(data: Any) -> dict[str, str]:
    """The representations of one output that are text or pictures; bytes as base64."""
    bundle = {}
    for kind, content in dict(data).items():
        if isinstance(content, bytes):
            content = base64.b64encode(content).decode("ascii")
        if isinstance(kind, str) and isinstance(content, str):
            bundle[kind] = str(content)
    return bundle


def _text(error: Any) -> str:
    try:
        return str(error)
    except Exception:  # a student's exception may fail even at this
        return ""


def _seed() -> None:
    import random

    random.seed(SEED)
    for name, function in (("numpy", "random.seed"), ("torch", "manual_seed")):
        module: Any = sys.modules.get(name)
        if module is not None:
            for part in function.split("."):
                module = getattr(module, part)
            module(SEED % 2**32)
