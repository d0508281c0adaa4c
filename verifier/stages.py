"""The stages of verify(): one question on its way from the cheapest method to the dearest, until it is settled."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.milp_work import MilpWork
from verifier.answer.outcome import Outcome
from verifier.answer.reason import BELOW_ROUNDING, Reason, Why, time_is_up
from verifier.answer.verdict import Counterexample, Question, Result, Verdict, into_box
from verifier.attack import attack, thorough_attack
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.bounds.layers import BoundingMethod, LayerBounds
from verifier.bounds.lirpa_cost import backward_seconds, lirpa_seconds
from verifier.bounds.outputs import head_bounds
from verifier.bounds.sdp import TooManyValues
from verifier.enclosure import MAX_MAGNITUDE, Array, Bounds
from verifier.errors import BoundsError, MissingDependencyError
from verifier.exact.milp.options import MilpOptions
from verifier.matrix import is_sparse
from verifier.method_table import TABLE, bounding
from verifier.network import Affine, propagate_interval
from verifier.search.compiled.network import network_work
from verifier.search.compiled.split import continue_compiled
from verifier.search.inputs.split import InputSplit
from verifier.search.protocol import Replayer, Search, outcome_of

SPLIT_INPUTS = 16  # splitting boxes with more inputs than this halves too little of what matters
NUMPY_BOXES = 300  # boxes before the compiled search takes over: easy questions need not wait until it is loaded
NUMPY_WORK = 200_000_000  # and multiplications, at most: a box of a large network costs as much as many small ones
SPLIT_FIRST_BOXES = 1_000  # boxes before Z3 is asked about a small network
SPLIT_FIRST_SHARE = 0.3  # and the share of the time
AT_ONCE = 4  # boxes from the first step of splitting on: four cost hardly more than one
PATIENCE = 20  # steps of a short attack without a further violation: most that there are show at once
SHORT_SPLIT_BOXES = 64  # which settle many questions with few inputs in the time of one attack
SHORT_SPLIT_WORK = 20_000_000  # and multiplications, at most
MAX_REJECTED = 3  # candidates of the attack that fail the replay before it is given up
EARLY_SHARE = 0.25  # of the time left, which CROWN may cost before the attack
LIRPA_SHARE = 0.25  # of the time left, which auto-LiRPA may cost in "auto": there is more to try
TORCH_S = 1.0  # left, below which it is not loaded, which takes longer
MAX_CORNERS = 100  # of the hull that are looked at before a search
Z3_NEURONS = 20  # unstable neurons up to which Z3 is asked: it took seconds at 16 and seldom answered at 40
Z3_SHARE = 0.5  # of the time that is left, where splitting can go on
Z3_WORK_PER_SUBDOMAIN = 100_000  # Z3's own unit of work granted for each subdomain of max_subdomains
ATTACK_OPEN = Why(Reason.ATTACK_OPEN, "the attack found no counterexample, which proves nothing")
UNDECIDED = Why(Reason.UNDECIDED, "no stage settled it")


def root_box(question: Question) -> Bounds:
    """The whole box, as a batch of one."""
    return Bounds(question.box.lower[None], question.box.upper[None])


@dataclass
class Run:
    """One question on its way through the stages."""

    question: Question
    budget: Budget
    seed: int
    method: str
    wanted: int = 1
    bounds: str = "crown"  # the bounding method of method="split"; only CROWN is compiled
    milp: MilpOptions = field(default_factory=MilpOptions)  # the ingredients of method="milp"
    milp_work: MilpWork | None = None  # what it did
    verdict: Verdict = Verdict.UNKNOWN
    stage: str = ""
    guarantee: str = ""
    why: Why | None = None
    margin: float = -math.inf
    counterexamples: list[Counterexample] = field(default_factory=list)
    pre: tuple[Bounds, ...] = ()
    near: bool = False
    attacked: bool = False  # thoroughly
    missing: MissingDependencyError | None = None  # of a step that "auto" had to leave out
    ruled_out: bool = False  # VERIFIED: the hull of the box violates the spec; what is left is to look among its values
    hull_margin: float = -math.inf  # proved for the hull, where the search that follows leaves it out
    ended: bool = False  # neither VERIFIED nor FALSIFIED is possible
    bounded: bool = False  # by CROWN, in full
    search: InputSplit | None = None  # begun before the whole attack
    slope: Array | None = None  # of the linear lower bounds of the margins' rows over the whole box, (rows, inputs)

    def __post_init__(self) -> None:
        """Know nothing of the outputs yet."""
        infinite = np.full(self.question.network.outputs, np.inf)
        self.logits = Bounds(-infinite, infinite)

    @property
    def settled(self) -> bool:
        """Whether there is an answer, or it is known that there can be none."""
        return self.verdict is not Verdict.UNKNOWN or self.ended

    @property
    def few_inputs(self) -> bool:
        """Whether so few inputs have a side of any width that the box is worth splitting."""
        return int((self.question.box.width > 0).sum()) <= SPLIT_INPUTS

    def go(self) -> None:
        """Run the stages of the method."""
        if not self.too_large():
            RUNS.get(self.method, Run.run_bounds)(self)

    def run_bounds(self) -> None:
        """Bound the outputs and the margins by the method, and nothing else."""
        method, left = TABLE[self.method], self.budget.seconds_left
        assert method.bound is not None  # all others stand in RUNS
        if method.cost is not None and method.cost(self.question.network) > left:
            self.why = time_is_up(self.budget.timeout_s, f"leaves too little for {method.label}")
            return
        offered: dict[str, Any] = {
            "stop": self.budget.time_is_up,
            "seconds": left,
            "seconds_left": lambda: self.budget.seconds_left,
            "influence": False,  # only a search asks which neuron to split
        }
        bound = partial(method.bound, **{name: offered[name] for name in method.takes})
        try:
            self.bound_root(method.label, bound)
        except TooManyValues as error:
            self.why = Why(Reason.NOT_SUPPORTED, str(error))
        if not self.settled and self.why is None:
            words = f"the bounds of {self.method} do not settle it; method='auto' goes on"
            self.why = self.budget.exhausted() or Why(Reason.BOUNDS_OPEN, words)

    def run_attack(self) -> None:
        """Attack, and attack again from where linear bounds are lowest."""
        self.bound_root("interval", interval_bounds, may_settle=False)
        self.attack()
        if not self.settled:
            self.bound_root("crown", self.crown_in_time, may_settle=False)
            self.attack_thoroughly()
        if not self.settled:
            self.why = self.budget.exhausted() or ATTACK_OPEN

    def run_split(self) -> None:
        """Split the inputs, compiled where the bounds are CROWN's."""
        self.bound_root("interval", interval_bounds, may_settle=False)
        if self.bounds == "crown":
            self.split_inputs(InputSplit(self.question, partial(crown_bounds, stop=self.budget.time_is_up)))
        else:
            self.split(InputSplit(self.question, bounding(self.bounds)))

    def run_relu_split(self) -> None:
        """Split ReLUs."""
        self.bound_root("interval", interval_bounds, may_settle=False)
        self.split_relus()

    def run_milp(self) -> None:
        """Search by MILP, on the bounds that its options name."""
        self.bound_root("interval", interval_bounds, may_settle=False)
        self.bound_root(self.milp.bounds, self.bound_for_milp(), may_settle=False)
        self.search_milp()

    def run_lp(self) -> None:
        """Ask HiGHS about the relaxation, whose points may be counterexamples."""
        self.bound_root("interval", interval_bounds, may_settle=False)
        self.bound_root("crown", self.crown_in_time, may_settle=False)
        self.ask_highs()

    def run_z3(self) -> None:
        """Ask Z3."""
        self.bound_root("interval", interval_bounds, may_settle=False)
        self.bound_root("crown", self.crown_in_time, may_settle=False)
        self.ask_z3(self.budget)

    def too_large(self) -> bool:
        """Whether bounds could overflow; then nothing is asked, and the reason says so."""
        largest = self.question.network.reach(root_box(self.question).magnitude[0])
        rows = np.abs(self.question.margins.rows).sum(axis=1).max(initial=1.0)
        if largest > MAX_MAGNITUDE / max(1.0, float(rows)):
            self.why = Why(Reason.TOO_LARGE, f"values beyond {MAX_MAGNITUDE:.0e} are too large for bounds in float64")
        return self.why is not None

    def run_auto(self) -> None:
        """Run interval, CROWN, attacks, auto-LiRPA, splitting, Z3, splitting again, until settled."""
        stages: list[Callable[[], object]] = [
            partial(self.bound_root, "interval", interval_bounds),
            self.bound_root_early,
            self.attack_root,
            self.bound_root_with_crown,
            self.bound_root_with_lirpa,
            self.complete,
        ]
        for stage in stages:
            if self.settled:
                return
            self.why = self.budget.exhausted()
            if self.why is not None:
                return
            stage()
        if self.missing is not None and self.lacks("torch"):  # it is the only search for many inputs
            raise self.missing

    def lacks(self, extra: str = "") -> bool:
        """Whether "auto" left the question open with time to spare, and had to leave out a step that needs an extra."""
        if self.missing is None or self.settled or self.budget.exhausted():
            return False
        return extra in ("", self.missing.extra)

    def where_installed(self, step: Callable[[], None]) -> None:
        """Take a step of "auto"; where a library is missing the steps after it may still settle the question."""
        try:
            step()
        except MissingDependencyError as error:
            self.missing = self.missing or error

    def bound_root(self, stage: str, bound: BoundingMethod, may_settle: bool = True) -> bool:
        """Bound the outputs and the margins over the whole box; whether that proves the spec."""
        network, margins = self.question.network, self.question.margins
        rows = np.concatenate([np.eye(network.outputs), margins.rows])
        known = tuple(Bounds(one.lower[None], one.upper[None]) for one in self.pre) or None
        found = bound(network, root_box(self.question), rows, known)
        self.budget.count(1)
        logits = Bounds(found.rows.lower[0, : network.outputs], found.rows.upper[0, : network.outputs])
        self.logits = self.logits.intersect(logits)
        if found.pre:
            self.pre = tuple(Bounds(one.lower[0], one.upper[0]) for one in found.pre)
        if found.plane is not None:
            self.slope = found.plane.slope[0, network.outputs :]
        lower = margins.lower(found.rows.lower[0, network.outputs :])
        self.margin = max(self.margin, float(margins.clause_margins(lower).min(initial=math.inf)))
        proves = bool(margins.settled(lower).all())
        if may_settle and proves:
            self.settle_verified(stage)
        return proves

    def crown_in_time(self, network: Any, boxes: Bounds, rows: Array, known: Any = None) -> LayerBounds:
        """CROWN bounds, less tight where time is up before a large network is through."""
        return crown_bounds(network, boxes, rows, known, stop=self.budget.time_is_up, influence=False)

    def bound_root_early(self) -> None:
        """Bound with CROWN before the attack, unless that could take long.

        A large network is bounded by one backward pass, its hidden neurons by intervals. On a box so small that few
        neurons are unstable this is nearly as tight as CROWN, and costs a hundredth of it.
        """
        network = self.question.network
        if any(is_sparse(layer.weight) for layer in network.layers):
            self.bound_root("crown", partial(crown_bounds, stop=lambda: True, influence=False))
        elif backward_seconds(network) <= EARLY_SHARE * self.budget.seconds_left:
            self.bound_root_with_crown()

    def bound_root_with_crown(self) -> None:
        """Bound with CROWN, unless that was done before; what it proves, auto-LiRPA is asked to prove first.

        The course is built on auto-LiRPA, so its CROWN is the linear bound that settles a torch module's question. The
        two agree to 1e-5, and ours takes a thousandth of a second: where it proves nothing, the other would not either.
        """
        if self.bounded:
            return
        self.bounded = True
        if self.bound_root("crown", self.crown_in_time, may_settle=False):
            self.ask_lirpa()
            if not self.settled:
                self.settle_verified("crown")

    def bound_root_with_lirpa(self) -> None:
        """Bound with auto-LiRPA's CROWN before ReLU splitting, which costs many times as much."""
        if not self.few_inputs:
            self.ask_lirpa()

    def ask_lirpa(self) -> None:
        """Bound with auto-LiRPA's CROWN where it is installed and can read the network.

        A network from a file does without: importing torch would cost more than most of its questions. So does a
        question whose time it would take up.
        """
        if self.question.subject.from_file:
            return
        if lirpa_seconds(self.question.network) > LIRPA_SHARE * self.budget.seconds_left:
            return
        try:
            self.bound_root(TABLE["auto_lirpa"].label, bounding("auto_lirpa"))
        except (MissingDependencyError, BoundsError):
            return

    def settle_verified(self, stage: str, guarantee: str = "rounded") -> None:
        """Every clause was shown to hold, in the whole box or, where that is ruled out, at the caller's values."""
        if self.ruled_out:
            self.ended, self.why = True, BELOW_ROUNDING
            return
        self.verdict, self.stage, self.guarantee, self.why = Verdict.VERIFIED, stage, guarantee, None

    def settle_falsified(self, stage: str, counterexample: Counterexample) -> None:
        """Keep a counterexample; the guarantee is that of the first."""
        self.counterexamples.append(counterexample)
        self.stage = self.stage if self.verdict is Verdict.FALSIFIED else stage
        self.verdict, self.why = Verdict.FALSIFIED, None
        self.guarantee = self.counterexamples[0].guarantee

    def attack(self, patience: int | None = None) -> None:
        """Look for counterexamples by gradient; the different ones that are met are kept, as many as were asked for."""
        wanted, stop = max(1, self.wanted), self.budget.time_is_up
        points = attack(self.question, wanted=wanted, patience=patience, seed=self.seed, stop=stop)
        self.replay(points, MAX_REJECTED if patience is None else 1)

    def attack_root(self) -> None:
        """Attack; a small box of few inputs at first for some steps only, then split it a little.

        What is left open afterwards is worth a whole attack. So is a counterexample that splitting met, where more
        were asked for.
        """
        boxes = SHORT_SPLIT_WORK // max(network_work(self.question.network), 1)
        if self.few_inputs and self.bounded and boxes:
            self.attack(PATIENCE)
            if self.settled or self.budget.exhausted():
                return
            self.search = self.input_split()
            self.split(self.search, max_boxes=min(boxes, SHORT_SPLIT_BOXES))
            if self.settled and not (self.counterexamples and self.wanted > len(self.counterexamples)):
                return
        self.attack()

    def input_split(self) -> InputSplit:
        """Begin a search that splits the inputs."""
        bound = partial(crown_bounds, stop=self.budget.time_is_up, above=False)
        return InputSplit(self.question, bound, known=self.pre or None, at_once=AT_ONCE)

    def attack_thoroughly(self) -> None:
        """Attack once more with many walks, some from where the linear bounds are lowest, before a search that is dear.

        Once is enough; a search that follows looks for counterexamples of its own.
        """
        if not self.settled and not self.attacked and not self.budget.exhausted():
            self.attacked = True
            starts, wanted = self.lowest_corners(), max(1, self.wanted)
            points = thorough_attack(
                self.question, starts=starts, wanted=wanted, seed=self.seed + 1, stop=self.budget.time_is_up
            )
            self.replay(points)

    def lowest_corners(self) -> Array | None:
        """Where the linear bound of each row, and of each clause's average, is lowest over the box."""
        if self.slope is None:
            return None
        margins, slopes = self.question.margins, [self.slope]
        for clause in margins.clauses:
            rows = [row for row in (margins.margins[m].row for m in clause) if row is not None]
            if len(rows) > 1:
                slopes.append(self.slope[rows].mean(axis=0, keepdims=True))
        corners = np.where(np.concatenate(slopes) > 0, self.question.box.lower, self.question.box.upper)
        return np.unique(corners, axis=0)

    def replay(self, points: Array, most: int = MAX_REJECTED) -> None:
        """Replay candidates, the best first, until as many as were asked for are confirmed or `most` are not."""
        candidates = into_box(self.question, points)
        _, different = np.unique(candidates, axis=0, return_index=True)
        waiting = candidates[np.sort(different)]  # best first
        for known in self.counterexamples:
            waiting = waiting[(waiting != known.x).any(axis=1)]
        rejected, replayer, wanted = 0, Replayer(self.question), max(1, self.wanted)
        while len(waiting) and rejected < most and len(self.counterexamples) < wanted:
            missing = wanted - len(self.counterexamples)
            size = min(missing, max(most - rejected, self.violating(waiting[:missing])))
            confirmed = replayer.confirm(waiting[:size])
            waiting = waiting[size:]
            for counterexample in replayer.counterexamples[-sum(confirmed) :] if any(confirmed) else ():
                self.settle_falsified("attack", counterexample)
            self.near |= replayer.near
            rejected += len(confirmed) - sum(confirmed)

    def violating(self, points: Array) -> int:
        """How many points, up to the first other one, violate the spec as far as float64 can tell."""
        margins = self.question.margins
        rows = self.question.network.logits(points) @ margins.rows.T
        holds = margins.clause_margins(margins.lower(rows)).min(axis=1, initial=math.inf) >= 0
        return int(np.argmax(holds)) if holds.any() else len(points)

    def complete(self) -> None:
        """Split the inputs, or the ReLUs where inputs are many; ask Z3 about a small network, and go on splitting."""
        if self.hull_violates():
            self.ruled_out, self.hull_margin = True, self.margin
            self.question = dataclasses.replace(self.question, box=self.question.points)
        few_inputs = self.few_inputs
        unstable = sum(int(((one.lower < 0) & (one.upper > 0)).sum()) for one in self.pre)
        small = unstable <= Z3_NEURONS and self.question.margins.linear
        search = self.search if self.search is not None and not self.ruled_out else self.input_split()
        if few_inputs:
            if small:
                self.split(search, self.budget.share(SPLIT_FIRST_SHARE, SPLIT_FIRST_BOXES))
            else:
                self.split_inputs(search)
        else:
            self.attack_thoroughly()
            if not self.settled and not self.budget.exhausted():
                self.where_installed(self.split_relus)
        if not self.settled and small and not self.budget.exhausted():
            share = Z3_SHARE if few_inputs and search.open_boxes else 1.0
            self.where_installed(partial(self.ask_z3, self.budget.share(share)))
        if not self.settled and small and few_inputs and search.open_boxes and not self.budget.exhausted():
            self.split_inputs(search, fresh=False)

    def hull_violates(self) -> bool:
        """Whether a corner of the hull, beyond the caller's values, surely violates the spec.

        A side such as [0, 0.1] is asked up to the float32 value above 0.1, which is no counterexample. Where the spec
        fails there, it is not VERIFIED, and only the caller's values are worth a search: boxes without any would be
        split for ever.
        """
        box, points, margins = self.question.box, self.question.points, self.question.margins
        beyond = (box.lower < points.lower) | (points.upper < box.upper)
        corners = self.lowest_corners() if beyond.any() else None
        if corners is None:
            return False
        logits = self.question.network.enclose_logits(corners[:MAX_CORNERS])
        rows = propagate_interval(Affine.made(margins.rows, np.zeros(len(margins.rows))), logits)
        return any(margins.violated(upper) for upper in margins.upper(rows.upper))

    def split_inputs(self, search: InputSplit, fresh: bool = True) -> None:
        """Search, from some boxes on with the compiled search where it can be had."""
        if fresh:
            boxes = NUMPY_WORK // max(network_work(self.question.network), 1)
            self.split(search, max_boxes=min(max(boxes, 1), NUMPY_BOXES))
        if not self.settled and search.open_boxes and not self.budget.exhausted():
            compiled = continue_compiled(search, self.budget, self.seed)  # it attacks on its own, after some boxes
            if compiled is None and self.method == "auto":
                self.attack_thoroughly()
            if not self.settled:
                self.split(compiled or search)

    def split_relus(self) -> None:
        """Split ReLUs, and where the margins are not linear in the logits the head, until settled or out of budget."""
        if "torch" not in sys.modules and self.budget.seconds_left < TORCH_S:
            self.why = time_is_up(self.budget.timeout_s, "leaves too little to load torch")
            return
        from verifier.exact.linear.leaf import leaf_check  # all three need torch; only those who get here wait for it
        from verifier.search.head_split import HeadSplit
        from verifier.search.relu.split import ReluSplit

        if self.question.margins.linear:
            search = ReluSplit(self.question, known=self.pre or None, leaf=partial(leaf_check, self.question))
            self.split(search, stage="relu split")
        else:
            self.split(HeadSplit(self.question, known=self.pre or None), stage="head split")

    def split(
        self, search: Search, share: Budget | None = None, max_boxes: float = math.inf, stage: str = "split"
    ) -> None:
        """Continue a splitting search, within a share of the budget where there is more to try after it."""
        try:
            if share is None:
                search.run(self.budget, max_boxes)
            else:
                while search.open_boxes and search.counterexample is None and not share.exhausted():
                    search.run(share, 128)
        except KeyboardInterrupt:
            self.learn(outcome_of(search, self.budget))
            raise
        self.unfold(stage, outcome_of(search, self.budget))

    def unfold(self, stage: str, found: Outcome) -> None:
        """Take what a method found for the answer, or for what is known of it."""
        self.learn(found)
        if found.counterexample is not None:
            self.settle_falsified(stage, found.counterexample)
        elif found.verified:
            self.settle_verified(stage, found.guarantee)
        else:
            self.why = found.why

    def learn(self, found: Outcome) -> None:
        """Keep what a method has proved of the margin, and whether a candidate's was below rounding."""
        self.near |= found.near
        self.margin = max(self.margin, found.margin)

    def ask_highs(self) -> None:
        """Ask HiGHS about a linear relaxation: by name only, never in "auto"."""
        from verifier.exact.linear.check import lp_check

        self.unfold(self.method, lp_check(self.question, self.pre, self.logits, self.budget))

    def bound_for_milp(self) -> BoundingMethod:
        """The bounding method that the MILP's options name, CROWN with the clock."""
        return self.crown_in_time if self.milp.bounds == "crown" else bounding(self.milp.bounds)

    def search_milp(self) -> None:
        """Search configurations by linear programs with dependencies as cuts, or by HiGHS's own search."""
        from verifier.exact.milp.search import MilpSearch

        search = MilpSearch(self.question, self.milp, self.pre)
        self.milp_work = search.work
        self.unfold("milp", search.run(self.budget))

    def ask_z3(self, budget: Budget) -> None:
        """Ask Z3, with rational arithmetic."""
        from verifier.exact.z3.check import z3_check

        limit = self.budget.max_subdomains
        work = None if limit is None else limit * Z3_WORK_PER_SUBDOMAIN
        found = z3_check(self.question, self.pre, budget, work=work)
        self.unfold("z3", found)
        if not self.settled:
            self.why = self.budget.exhausted() or found.why

    def result(self) -> Result:
        """Write down what was found."""
        question, subject = self.question, self.question.subject
        network = subject.network  # with the true outputs alone
        outputs = Bounds(self.logits.lower[: network.outputs], self.logits.upper[: network.outputs])
        kept = self.counterexamples[: max(1, self.wanted)]
        counterexample = kept[0] if kept else None
        why = self.why
        margin = self.hull_margin if self.ruled_out and counterexample is None else self.margin
        if not self.settled and why is None:
            why = self.budget.exhausted() or (BELOW_ROUNDING if self.near else UNDECIDED)
        if self.lacks():
            why = Why(Reason.LIBRARY_MISSING, f"{why}; {self.missing}")
        return Result(
            verdict=self.verdict, stage=self.stage, guarantee=self.guarantee,
            reason="" if why is None else str(why), cause=None if why is None else why.reason,
            output_bounds=head_bounds(outputs, network.head), margin=margin,
            subdomains=self.budget.subdomains, seconds=self.budget.seconds, spec=question.spec,
            clauses=question.clauses,
            counterexample=None if counterexample is None else question.subject.to_caller(counterexample.x),
            counterexample_output=None if counterexample is None else counterexample.y, note=question.subject.note,
            counterexamples=tuple(question.subject.to_caller(one.x) for one in kept), milp=self.milp_work,
        )  # fmt: skip


# How a method runs that does more than bound the outputs once.
RUNS: dict[str, Callable[[Run], None]] = {
    "auto": Run.run_auto,
    "attack": Run.run_attack,
    "split": Run.run_split,
    "relu_split": Run.run_relu_split,
    "milp": Run.run_milp,
    "lp": Run.run_lp,
    "z3": Run.run_z3,
}
