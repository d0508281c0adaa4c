"""A worker process: it takes sub-problems from its standard input and answers on its standard output, until that ends.

Started as `python -m verifier.exact.milp.worker`, not forked, so that it works the same from a notebook, a script
without a main guard, and a program with threads. Both streams carry pickles between two processes of one user and one
program. What libraries print goes to standard error.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO

from verifier.answer.budget import Budget
from verifier.answer.verdict import Question
from verifier.enclosure import Array
from verifier.exact.milp.found import SubProblem
from verifier.exact.milp.options import MilpOptions
from verifier.exact.milp.settle import settle
from verifier.network import Network
from verifier.question.margins import Margins
from verifier.question.spec import AllOf, Box
from verifier.search.between import really_violated
from verifier.subject import Subject


@dataclass(frozen=True, eq=False)
class Setting:
    """What all sub-problems have in common, without the caller's object, which stays where it is."""

    network: Network
    margins: Margins
    box: Box
    options: MilpOptions

    def question(self) -> Question:
        """The question, asked of the network itself."""
        return Question(
            Subject.of_network(self.network), self.box, self.box, AllOf(()), self.margins, (), self.network
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Order:
    """One sub-problem, and how many seconds it may take."""

    part: SubProblem
    timeout_s: float


def main() -> None:
    """Answer one order after another; end with the parent."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else writes to standard output would break the stream
    orders: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, orders), daemon=True).start()
    setting: Setting = orders.get()
    question, options = setting.question(), setting.options
    while True:
        order = orders.get()
        found: Any
        try:
            found = settle(question, order.part, options, Budget(order.timeout_s, show=False), _confirms(question))
        except Exception as error:  # raised again where it is read
            found = error
        pickle.dump(found, answers)
        answers.flush()


def _confirms(question: Question) -> Any:
    def confirms(x: Array) -> bool:
        """Whether the real network violates the spec; the parent replays it in the caller's object."""
        return really_violated(question, x)

    return confirms


def _listen(stream: BinaryIO, orders: queue.Queue[Any]) -> None:
    """Hand on what arrives; when the parent is gone there is nobody to answer to."""
    while True:
        try:
            orders.put(pickle.load(stream))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)


if __name__ == "__main__":
    main()
