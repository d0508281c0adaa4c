"""Questions about many outputs, asked as several about few: all of them hold where the question holds.

A spec of thousands of outputs as one matrix of margins grows with their square (10,000 classes: 800 MB for each of its
forms). argmax_is() and limits on single outputs are conjunctions, and a part of one speaks of few outputs, so it is
asked of a network that ends with those alone. What is replayed is still the caller's object.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.milp_work import MilpWork
from verifier.answer.reason import Reason, Why
from verifier.answer.verdict import Counterexample, Question, Result, Verdict
from verifier.bounds.outputs import head_bounds
from verifier.enclosure import Array, Bounds, Indices
from verifier.exact.milp.options import MilpOptions
from verifier.network import Head, Network
from verifier.question.spec import Box, OutputSpec
from verifier.stages import UNDECIDED, Run
from verifier.subject import Subject

MANY_OUTPUTS = 1000  # beyond which a question is asked in parts
WHOLE_OUTPUTS = 4000  # beyond which one that has no parts is not asked: its matrices would take gigabytes
AT_ONCE = 256  # inequalities in one part
FIRST_METHOD = "crown"  # of a first round over all parts of "auto", so that a hard part does not take the others' time
_STRENGTH = ("exact", "rounded", "solver tolerance", "")


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a question: some outputs, the network that ends with them, and what must hold of them."""

    outputs: Indices
    subject: Subject
    spec: OutputSpec


def parts_of(subject: Subject, spec: OutputSpec) -> list[Part] | None:
    """Take a question apart; None where that cannot be done: an any_of(), or a limit on a Softmax output.

    Raises:
        SpecError: The spec does not fit the network's outputs.
    """
    head = subject.network.head
    narrowed = spec.narrowed(subject.network.outputs, AT_ONCE)
    if narrowed is None:
        return None
    if head in (Head.SOFTMAX, Head.LOG_SOFTMAX):  # a comparison of outputs is one of logits; a limit needs all of them
        if not all(compares for _, _, compares in narrowed):
            return None
        head = Head.IDENTITY
    return [_part(subject, np.array(outputs, dtype=np.intp), head, own) for outputs, own, _ in narrowed]


def _part(subject: Subject, outputs: Indices, head: Head, spec: OutputSpec) -> Part:
    network = subject.network
    layers = (*network.layers[:-1], network.layers[-1].part(outputs))

    def run(x: Array) -> Array:
        return subject.run(x)[:, outputs]

    def check(points: Array, theirs: Array) -> None:  # the reading is of all outputs
        if subject.check is not None:
            subject.check(points, subject.run(points.copy()))

    narrow = Network(layers, head, network.input_shape, network.maxima)
    return Part(outputs, dataclasses.replace(subject, network=narrow, run=run, check=check), spec)


class NarrowedRun:
    """A question on its way through its parts.

    Args:
        subject: The network, with all of its outputs.
        box: As for Question.ask().
        spec: What must hold of all outputs.
        parts: parts_of() them; None for a question that has none, and is not asked.
        budget: Shared by all parts.
        seed, method, wanted, bounds, milp: As for Run.
    """

    def __init__(
        self, subject: Subject, box: Box, spec: OutputSpec, parts: list[Part] | None, budget: Budget, seed: int,
        method: str, wanted: int, bounds: str = "crown", milp: MilpOptions | None = None,
    ) -> None:  # fmt: skip
        """Know nothing yet."""
        self.subject, self.box, self.spec, self.budget = subject, box, spec, budget
        self.seed, self.method, self.wanted, self.bounds = seed, method, wanted, bounds
        self.milp = milp or MilpOptions()
        self.counterexamples: list[Counterexample] = []
        self._open = list(parts or ())
        self._runs: dict[int, Run] = {}  # the last one of each part
        self._pre: tuple[Bounds, ...] = ()
        self.why: Why | None = None
        if parts is None:
            count = f"{subject.network.outputs:,} outputs"
            self.why = Why(
                Reason.MEMORY, f"a spec on {count} that is neither comparisons nor limits joined by all_of()"
            )
        self._lower = np.full(subject.network.outputs, -np.inf)
        self._upper = np.full(subject.network.outputs, np.inf)
        self._margins = dict.fromkeys(map(id, self._open), -np.inf)

    def go(self) -> None:
        """Ask all parts by CROWN, then those left by the method, until one is falsified or a limit is reached."""
        if self.why is not None:
            return
        for method in [FIRST_METHOD, self.method] if self.method == "auto" else [self.method]:
            for part in list(self._open):
                self.why = self.budget.exhausted()
                if self.why is not None:
                    return
                run = self._ask(part, method)
                if run.verdict is Verdict.FALSIFIED:
                    return
                if run.verdict is Verdict.VERIFIED:
                    self._open.remove(part)

    def _ask(self, part: Part, method: str) -> Run:
        run = Run(
            Question.ask(part.subject, self.box, part.spec), self.budget, self.seed, method, self.wanted, self.bounds,
            self.milp,
        )  # fmt: skip
        run.pre = self._pre
        self._runs[id(part)] = run
        run.go()
        self._pre = self._pre or run.pre
        self.counterexamples = run.counterexamples
        self._lower[part.outputs] = np.maximum(self._lower[part.outputs], run.logits.lower)
        self._upper[part.outputs] = np.minimum(self._upper[part.outputs], run.logits.upper)
        self._margins[id(part)] = max(self._margins[id(part)], run.margin)
        return run

    @property
    def settled(self) -> bool:
        """Whether there is an answer."""
        return bool(self.counterexamples) or not (self._open or self.why)

    def result(self) -> Result:
        """Put the parts' answers together: the weakest guarantee, the worst margin."""
        runs = list(self._runs.values())
        falsified = next((run for run in runs if run.verdict is Verdict.FALSIFIED), None)
        verdict = Verdict.UNKNOWN if self._open or self.why else Verdict.VERIFIED
        settled_by, why = runs[-1] if runs else None, None
        if falsified is not None:
            verdict, settled_by = Verdict.FALSIFIED, falsified
        elif verdict is Verdict.UNKNOWN:
            left = [self._runs[id(part)].why for part in self._open if id(part) in self._runs]
            settled_by, why = None, self.why or next((one for one in left if one is not None), UNDECIDED)
        weakest = max((run.guarantee for run in runs), key=_STRENGTH.index, default="exact")
        guarantee = falsified.guarantee if falsified is not None else weakest if verdict is Verdict.VERIFIED else ""
        case = falsified.counterexamples[0] if falsified is not None else None
        work = None
        for run in runs:
            if run.milp_work is not None:
                work = work or MilpWork()
                work.add(run.milp_work)
        return Result(
            verdict=verdict, stage="" if settled_by is None else settled_by.stage, guarantee=guarantee,
            reason="" if why is None else str(why), cause=None if why is None else why.reason,
            note=self.subject.note,
            output_bounds=head_bounds(Bounds(self._lower, self._upper), self.subject.network.head),
            margin=min(self._margins.values(), default=-np.inf), subdomains=self.budget.subdomains,
            seconds=self.budget.seconds, spec=self.spec,
            counterexample=None if case is None else self.subject.to_caller(case.x),
            counterexample_output=None if case is None else self.subject.run(case.x[None].copy())[0],
            counterexamples=tuple(self.subject.to_caller(one.x) for one in self.counterexamples[: max(1, self.wanted)]),
            milp=work,
        )  # fmt: skip
