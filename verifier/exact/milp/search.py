"""The whole of method="milp": parts of the box, settled here or in worker processes, the first "no" ends all."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Generator
from contextlib import closing

from verifier.answer.budget import Budget
from verifier.answer.milp_work import MilpWork
from verifier.answer.outcome import Outcome
from verifier.answer.reason import BELOW_ROUNDING, Reason, Why
from verifier.answer.verdict import Question
from verifier.exact.milp.configuration import Pre
from verifier.exact.milp.found import Found, SubProblem
from verifier.exact.milp.options import MilpOptions
from verifier.exact.milp.pool import TRIES, Pool
from verifier.exact.milp.settle import settle
from verifier.exact.milp.split_inputs import splits_boxes
from verifier.search.protocol import Replayer
from verifier.solvers.highs_solver import require_highs

NOT_LINEAR = Why(Reason.NOT_SUPPORTED, "MILP does not support limits on Softmax outputs")
WORKER_DIED = Why(Reason.WORKER_DIED, f"a worker process died {TRIES} times on the same sub-problem")


class MilpSearch:
    """A run of method="milp".

    Args:
        question: What is asked.
        options: The ingredients.
        pre: Bounds on each hidden layer over the box, (neurons,) each, where they are known.

    Attributes:
        work: What it did so far.
    """

    def __init__(self, question: Question, options: MilpOptions, pre: Pre = ()) -> None:
        """Do nothing yet."""
        self.question, self.options = question, options
        self.work = MilpWork()
        self._replayer = Replayer(question)
        self._numbers = itertools.count()
        self._open: list[tuple[float, int, SubProblem]] = []
        self._push(SubProblem(question.box, pre=pre or None))
        self._why: Why | None = None
        self._guarantee = "rounded"

    def run(self, budget: Budget) -> Outcome:
        """Decide every clause over the whole box.

        VERIFIED is "rounded" with search="lp": complete but for margins within the tolerance of a linear program in
        which every state is fixed. With search="highs" it is "solver tolerance".

        Args:
            budget: Seconds and nodes left. A limit on nodes is for repeatable runs, so all work is done here then.

        Raises:
            MissingDependencyError: highspy is not installed.
        """
        if not self.question.margins.linear:
            return Outcome.left_open(NOT_LINEAR)
        require_highs()
        alone = self.options.workers == 1 or budget.max_subdomains is not None
        steps = self._alone(budget) if alone or not splits_boxes(self.question, self.options) else self._shared(budget)
        with closing(steps):
            for found in steps:
                self._take(found)
                if self._replayer.counterexample is not None:
                    return Outcome.refuted(self._replayer.counterexample)
        if self._open or self._why is not None:
            why = budget.exhausted() or (BELOW_ROUNDING if self._replayer.near else self._why)
            return Outcome.left_open(why, near=self._replayer.near)
        return Outcome.proved(self._guarantee)

    def _push(self, part: SubProblem) -> None:
        heapq.heappush(self._open, (part.margin, next(self._numbers), part))

    def _alone(self, budget: Budget) -> Generator[Found]:
        """Settle one part after another in this process."""
        while self._open and budget.exhausted() is None:
            part = heapq.heappop(self._open)
            try:
                found = settle(self.question, part[2], self.options, budget, self._replayer.confirms)
            except BaseException:
                heapq.heappush(self._open, part)
                raise
            yield found

    def _shared(self, budget: Budget) -> Generator[Found]:
        """Settle parts in processes; whatever ends this ends them."""
        pool = Pool(self.question, self.options)
        try:
            while (self._open or pool.busy) and budget.exhausted() is None:
                while self._open and pool.free:
                    pool.submit(heapq.heappop(self._open)[2], budget.seconds_left)
                for _, found in pool.wait(budget.seconds_left):
                    self.work.restarts, pool.restarts = self.work.restarts + pool.restarts, 0
                    if found is None:
                        self._why = self._why or WORKER_DIED
                        continue
                    budget.count(max(1, found.work.nodes), lambda: f"{len(self._open):,} open")
                    if found.candidate is not None and not self._replayer.confirms(found.candidate):
                        # the real network fails there, and the caller's object does not
                        found = Found(why=BELOW_ROUNDING, work=found.work)
                    yield found
            if pool.busy:
                self._why = self._why or budget.exhausted()
        finally:
            pool.close()

    def _take(self, found: Found) -> None:
        """Book what became of a part."""
        self.work.add(found.work)
        for half in found.halves:
            self._push(half)
        if found.closed:
            if found.guarantee == "solver tolerance":
                self._guarantee = found.guarantee
        elif not found.halves:
            self._why = self._why or found.why or BELOW_ROUNDING
