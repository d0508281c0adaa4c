"""The process that runs a student's cells and then answers the judge: `python -P -m grading.worker`.

It reads requests on standard input and answers on standard output, and needs no file: the cells come in a request. So a
sandbox can be put around this command without a change here or in the judge. What the cells print goes nowhere.

Requests, each answered by {"answer": ...} or {"error": [[exception names, own first], message]}:
  {"run": [source, ...]}                             run cells; the answer lists, for each, None or its error
  {"get": name}                                      the value of a name as plain data
  {"call": [number, [argument, ...], {name: ...}]}   call a function that an earlier answer numbered
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from grading.wire import WireError, decode, encode, read_message, write_message


class Session:
    """The namespace of one student's notebook, and the functions of it that the judge may call."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        class Shell(InteractiveShell):
            """IPython without a terminal and without windows."""

            def enable_gui(self, gui: Any = None) -> None:
                """Accept `%matplotlib inline`, for which there is nothing to do here."""

        self._shell = Shell.instance()
        # a submission's own modules come behind ours, so that none can take the place of a library
        sys.path.append(str(Path.cwd()))
        self._functions: list[Callable[..., Any]] = []

    def run(self, cells: list[str]) -> list[Any]:
        """Run cells one after the other; like a notebook that is run to its end, go on after one that fails."""
        errors = []
        for source in cells:
            result = self._shell.run_cell(source)
            error = result.error_before_exec or result.error_in_exec
            errors.append(None if error is None else describe(error))
        return errors

    def get(self, name: str) -> Any:
        """The value of a name; a name that the notebook did not define is a NameError, as in the notebook."""
        if name not in self._shell.user_ns:
            raise NameError(f"name {name!r} is not defined")
        return encode(self._shell.user_ns[name], self._export, name)

    def call(self, number: int, arguments: list[Any], named: dict[str, Any]) -> Any:
        """Call a function with plain data; its result is plain data too."""
        function = self._functions[number]
        result = function(*map(decode, arguments), **{name: decode(value) for name, value in named.items()})
        return encode(result, None, f"the result of {getattr(function, '__name__', 'the function')}()")

    def _export(self, function: Callable[..., Any]) -> int:
        self._functions.append(function)
        return len(self._functions) - 1


def describe(error: BaseException) -> list[Any]:
    """An exception as plain data: the names of its class and of those above it, and its text."""
    try:
        text = str(error)
    except Exception:  # a student's exception may fail even at this
        text = ""
    return [[cls.__name__ for cls in type(error).__mro__], text]


def answer(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """One request's reply; whatever a student's code raises becomes an error for the judge."""
    try:
        ((kind, content),) = request.items()
        if kind == "run":
            return {"answer": session.run(content)}
        if kind == "get":
            return {"answer": session.get(content)}
        if kind == "call":
            return {"answer": session.call(*content)}
        raise WireError(f"unknown request {kind!r}")
    except BaseException as error:
        return {"error": describe(error)}


def main() -> None:
    """Answer until the judge closes the pipe."""
    requests, replies = _take_pipe()
    session = Session()
    while True:
        try:
            request = read_message(requests)
        except EOFError:
            return
        reply = answer(session, request)
        try:
            write_message(replies, reply)
        except WireError as error:
            write_message(replies, {"error": describe(error)})


def _take_pipe() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipe to ourselves: cells that print, or read from the keyboard, meet the null device instead."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123  it lasts as long as the process
    return requests, replies


if __name__ == "__main__":
    main()
