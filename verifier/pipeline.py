"""verify() and its two companions: a question is put together, its stages are run, a Result is written."""

from __future__ import annotations

import dataclasses
import html
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from verifier.answer.budget import Budget
from verifier.answer.reason import INTERRUPTED
from verifier.answer.verdict import Counterexample, Question, Rejection, Result
from verifier.answer.verdict import check_counterexample as replay
from verifier.bounds.interval import interval_bounds
from verifier.bounds.outputs import head_bounds
from verifier.enclosure import MAX_MAGNITUDE, Array, Bounds
from verifier.errors import BoundsError, OptionError
from verifier.exact.milp.options import MilpOptions
from verifier.frontends.read import read_subject
from verifier.method_table import bounding, find_bounding, find_method
from verifier.narrowed import MANY_OUTPUTS, WHOLE_OUTPUTS, NarrowedRun, parts_of
from verifier.question.forms import Net, Numbers, Shape, XSpecs, YSpecs
from verifier.question.spec import AllOf, Box, OutputSpec, output_spec
from verifier.search.events import Event, Fate
from verifier.search.inputs.split import InputSplit
from verifier.stages import Run, root_box
from verifier.subject import Subject

LONGEST_S = 1e308  # a whole number beyond it is no float64, and as good as no limit


def verify(
    net: Net, x_specs: XSpecs, y_specs: YSpecs, counterexamples: list[Any] | None = None, *,
    input_shape: Shape | None = None, timeout_s: float | None = 60.0, max_subdomains: int | None = None,
    max_counterexamples: int = 10, method: str = "auto", seed: int = 0, progress: bool | None = None,
    bounds: str | None = None, milp: MilpOptions | None = None,
) -> Result:  # fmt: skip
    """Decide whether a network meets a spec for every input in a box.

    Networks: a torch module whose forward executes operations such as Linear, Conv2d, AvgPool2d, BatchNorm, Dropout,
    Flatten, ReLU, with an optional final Sigmoid, Softmax or LogSoftmax; an ONNX or .nnet file; or a Network. Verified
    is the network in eval mode, its stored weights read as exact reals: VERIFIED speaks of the network of real
    numbers, and a float32 run may differ where the margin is as small as what it rounds. Sound: VERIFIED and FALSIFIED
    are right, rounding included, and every counterexample was replayed in the caller's own object. Complete with "auto"
    for networks with few inputs or few unstable neurons, given time, except where the margin is below
    rounding; nearly so for many of both.

    Args:
        net: The network, or the path of an .onnx, .onnx.gz or .nnet file; it is left as it is.
        x_specs: One (lower, upper) pair an input in flattened order, shape (inputs, 2), or a Box.
        y_specs: One [lower, upper] pair an output (None or infinity for no limit), or an OutputSpec such as
            argmax_is(6) or less_than(0.5).
        counterexamples: A list to which confirmed counterexamples are appended, as tensors (arrays for a file) of the
            caller's dtype that can be fed to `net` as they are.
        input_shape: Shape of one input without the batch, where the network does not tell it.
        timeout_s: Wall time in seconds; None for no limit.
        max_subdomains: Limit on the parts of the box that are bounded, for repeatable runs; None for no limit.
        max_counterexamples: How many are appended at most.
        method: "auto", or one by name: "ibp" (or "interval"), "symbolic", "crown", "crown_optimized",
            "auto_lirpa_ibp", "auto_lirpa", "auto_lirpa_optimized", "sdp", "attack", "split", "relu_split", "lp",
            "milp", "z3". verifier.methods() says what each can claim.
        seed: For the random starts of the attack.
        progress: True or False for a progress bar or none; None for one that appears after a second.
        bounds: The bounding method inside method="split", by name; None for "crown".
        milp: The ingredients of method="milp": dependencies, cuts, splitting, workers and others; None for the usual
            ones. Result.milp says what each did.

    Returns:
        A Result: VERIFIED, FALSIFIED with a counterexample, or UNKNOWN with a reason and the best bounds.

    Raises:
        NetworkError: The network cannot be read; UnsupportedLayerError where a layer is the cause.
        SpecError: A spec cannot be read, or does not fit the network.
        OptionError: An option is not one of those above.
        MissingDependencyError: The method asked for by name needs a library that is not installed; or "auto" needs
            torch for many inputs. Its `extra` names the extra to install. Where "auto" goes without Z3 or HiGHS and
            leaves the question open, the reason says so.

    Example:
        >>> from verifier import Affine, Network
        >>> relu_pair = Network((Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), Affine(np.ones((1, 2)), np.zeros(1))))
        >>> verify(relu_pair, [(-1, 1)], [(0, 1)]).verdict  # relu(x) + relu(-x) is |x|
        <Verdict.VERIFIED: 'verified'>
    """
    check_options(counterexamples, timeout_s, max_subdomains, max_counterexamples, method, seed, bounds, milp)
    budget = whole_call(timeout_s, max_subdomains, progress)
    subject, box, spec = _read(net, x_specs, y_specs, input_shape)
    return verify_within(
        budget, subject, box, spec, counterexamples, max_counterexamples=max_counterexamples, method=method, seed=seed,
        bounds=bounds, milp=milp,
    )  # fmt: skip


def whole_call(timeout_s: float | None, max_subdomains: int | None, progress: bool | None) -> Budget:
    """The budget of one call, from options that check_options() has let pass."""
    if max_subdomains is not None:
        max_subdomains = int(max_subdomains)  # from numpy's integers, too, which overflow
    return Budget(math.inf if timeout_s is None else float(min(timeout_s, LONGEST_S)), max_subdomains, progress)


def verify_within(
    budget: Budget, subject: Subject, box: Box, spec: OutputSpec, counterexamples: list[Any] | None = None, *,
    max_counterexamples: int = 10, method: str = "auto", seed: int = 0, bounds: str | None = None,
    milp: MilpOptions | None = None,
) -> Result:  # fmt: skip
    """verify(), for questions put together from it: what was read is given, and the budget may be a share of another.

    Args:
        budget: What it may cost; its progress bar is closed at the end.
        subject: The network.
        box: The inputs.
        spec: What must hold of the outputs.
        counterexamples, max_counterexamples, method, seed, bounds, milp: As for verify(), checked before.

    Raises:
        SpecError: Box or spec do not fit the network.
        MissingDependencyError: As for verify().
    """
    method, inner = find_method(method).name, "crown" if bounds is None else find_bounding(bounds, "bounds").name
    wanted, ingredients = 1 if counterexamples is None else max_counterexamples, milp or MilpOptions()
    run: Run | NarrowedRun
    parts = parts_of(subject, spec) if subject.network.outputs > MANY_OUTPUTS else None
    if parts is not None or subject.network.outputs > WHOLE_OUTPUTS:
        run = NarrowedRun(subject, box, spec, parts, budget, seed, method, wanted, inner, ingredients)
    else:
        run = Run(Question.ask(subject, box, spec), budget, seed, method, wanted, inner, ingredients)
    try:
        run.go()
    except KeyboardInterrupt:
        run.why = None if run.settled else INTERRUPTED  # a counterexample that was met before stays one
    finally:
        budget.close()
    if counterexamples is not None:
        counterexamples.extend(subject.to_caller(c.x) for c in run.counterexamples[:max_counterexamples])
    return run.result()


def output_bounds(net: Net, x_specs: XSpecs, *, input_shape: Shape | None = None, method: str = "crown") -> Bounds:
    """Bound every output of a network over a box with one bounding method.

    Args:
        net: As for verify().
        x_specs: As for verify().
        method: "ibp" (or "interval"), "symbolic", "crown", "crown_optimized", "auto_lirpa_ibp", "auto_lirpa",
            "auto_lirpa_optimized", "lp" or "sdp"; the last two bound hidden layers by linear programs, too.
        input_shape: As for verify().

    Returns:
        Bounds(lower, upper), arrays of shape (outputs,); sound, the head and rounding included.

    Raises:
        OptionError: The method is none of those.
        BoundsError: Values are so large that float64 would overflow, or "sdp" is asked about too large a network.
        NetworkError, SpecError, MissingDependencyError: As for verify().
    """
    find_bounding(method)
    question = _ask(net, x_specs, AllOf(()), input_shape)
    network, root = question.network, root_box(question)
    if network.reach(root.magnitude[0]) > MAX_MAGNITUDE:
        raise BoundsError("net: its values are too large for bounds in float64 (weights or inputs beyond 1e150)")
    bound, known, sides = bounding(method), None, []
    for first in range(0, network.outputs, MANY_OUTPUTS):  # a row for each output would be a square
        last = network.layers[-1].part(np.arange(first, min(first + MANY_OUTPUTS, network.outputs)))
        some = dataclasses.replace(network, layers=(*network.layers[:-1], last))
        found = bound(some, root, np.eye(some.outputs), known)
        known = found.pre or None
        sides.append(found.rows)
    lower, upper = (np.concatenate([getattr(one, side)[0] for one in sides]) for side in ("lower", "upper"))
    return head_bounds(Bounds(lower, upper), network.head)


def check_counterexample(
    net: Net | Question, x_specs: XSpecs | Numbers, y_specs: YSpecs | None = None, x: Any = None, *,
    input_shape: Shape | None = None,
) -> Counterexample | Rejection:  # fmt: skip
    """Replay a point as verify() replays its own: is it a counterexample?

    It has to lie in the box, and to violate the spec in the caller's object, in its dtype, and in the real network.

    Args:
        net: As for verify(); or a Question, with the point in place of x_specs and nothing else.
        x_specs: As for verify().
        y_specs: As for verify().
        x: The point, of any shape; it is flattened, rounded to the network's dtype and moved into the box first.
        input_shape: As for verify().

    Returns:
        A Counterexample, or a Rejection that says which of the checks failed.

    Raises:
        NetworkError, SpecError: As for verify(), or x is not a point of so many numbers.

    Example:
        >>> from verifier import Affine, Network
        >>> double = Network((Affine(np.array([[2.0]]), np.zeros(1)),))
        >>> check_counterexample(double, [(0, 1)], [(None, 1.5)], [0.9]).y
        array([1.8])
    """
    if isinstance(net, Question):
        return replay(net, cast(Any, x_specs))
    return replay(_ask(net, x_specs, y_specs, input_shape), x)


@dataclass(frozen=True, eq=False)
class TracedBox:
    """One box of a search, shape (inputs,) a side, and what became of it: verified, falsified, split or open."""

    lower: Array
    upper: Array
    status: str


@dataclass(frozen=True, eq=False)
class Trace:
    """A Result and the search that found it.

    Args:
        result: What verify() would say after this search alone.
        boxes: Every box, in the order they were bounded; those still open come last.
        events: How each box was split, or what closed it.
    """

    result: Result
    boxes: tuple[TracedBox, ...]
    events: tuple[Event, ...] = ()

    def __str__(self) -> str:
        """Write the result, and how many boxes ended how."""
        fates = [box.status for box in self.boxes]
        counts = ", ".join(f"{fates.count(one.value):,} {one.value}" for one in Fate if one.value in fates)
        return f"{self.result}\n  {len(fates):,} box{'' if len(fates) == 1 else 'es'}: {counts or 'none'}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        last = str(self).splitlines()[-1]
        return f"{self.result._repr_html_()}<div>{html.escape(last)}</div>"


def split_trace(
    net: Net, x_specs: XSpecs, y_specs: YSpecs, *, input_shape: Shape | None = None, max_subdomains: int = 1000,
    method: str = "crown",
) -> Trace:  # fmt: skip
    """Search by input splitting alone and keep every box, to draw how the search went.

    Args:
        net: As for verify().
        x_specs: As for verify().
        y_specs: As for verify().
        input_shape: As for verify().
        max_subdomains: Boxes bounded at most.
        method: The bounding method of the search, as for output_bounds().

    Raises:
        OptionError, NetworkError, SpecError: As for verify().
    """
    check_options(None, None, max_subdomains, 1, "split", 0)
    find_bounding(method)
    events: list[Event] = []
    question, boxes = _ask(net, x_specs, y_specs, input_shape), []
    run = Run(question, Budget(max_subdomains=max_subdomains), 0, "split")
    if not run.too_large():
        run.bound_root("interval", interval_bounds)
        search = InputSplit(question, bounding(method), observe=events.append)
        run.split(search)
        boxes = [TracedBox(one.lower, one.upper, one.fate.value) for one in events]
        boxes += [TracedBox(box.lower, box.upper, Fate.OPEN.value) for box in search.open_boxes]
        run.budget.close()
    return Trace(run.result(), tuple(boxes), tuple(events))


def check_options(
    counterexamples: Any = None, timeout_s: Any = None, max_subdomains: Any = None, max_counterexamples: Any = 10,
    method: Any = "auto", seed: Any = 0, bounds: Any = None, milp: Any = None, **more_timeouts: Any,
) -> None:  # fmt: skip
    """Refuse options of verify() that it does not take.

    Args:
        counterexamples, timeout_s, max_subdomains, max_counterexamples, method, seed, bounds, milp: As for verify().
        more_timeouts: Others of its kind, by the names that callers know them by.

    Raises:
        OptionError: Names the option, what was found and what is expected.
    """
    chosen = find_method(method)
    if bounds is not None:
        find_bounding(bounds, "bounds")
        if chosen.name != "split":
            raise OptionError(f"bounds: only method='split' takes a bounding method inside, found method={method!r}")
    if milp is not None:
        if not isinstance(milp, MilpOptions):
            raise OptionError(f"milp: expected a MilpOptions, found {type(milp).__name__}; e.g. MilpOptions(workers=2)")
        if chosen.name != "milp":
            raise OptionError(f"milp: only method='milp' takes these options, found method={method!r}")
    for name, seconds in {"timeout_s": timeout_s, **more_timeouts}.items():
        if seconds is not None and not (_is_number(seconds) and seconds > 0):
            raise OptionError(f"{name}: expected a number of seconds > 0, or None for no limit, found {seconds!r}")
    if max_subdomains is not None and not (_is_whole(max_subdomains) and max_subdomains > 0):
        raise OptionError(
            f"max_subdomains: expected a whole number >= 1 or None for no limit, found {max_subdomains!r}"
        )
    if not (_is_whole(max_counterexamples) and max_counterexamples >= 0):
        raise OptionError(f"max_counterexamples: expected a whole number >= 0, found {max_counterexamples!r}")
    if not (_is_whole(seed) and seed >= 0):
        raise OptionError(f"seed: expected a whole number >= 0, found {seed!r}")
    is_class = isinstance(counterexamples, type)
    if counterexamples is not None and (is_class or not callable(getattr(counterexamples, "extend", None))):
        found = f"the class {counterexamples.__name__} itself" if is_class else type(counterexamples).__name__
        raise OptionError(
            f"counterexamples: expected a list to append to, found {found}; pass cases = [] and look into it afterwards"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and value == value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _read(
    net: Any, x_specs: Any, y_specs: Any, input_shape: tuple[int, ...] | None
) -> tuple[Subject, Box, OutputSpec]:  # fmt: skip
    box = Box.from_pairs(x_specs)
    spec = output_spec(y_specs)
    subject = read_subject(net, input_shape, box.lower.size, (box.lower, box.upper))
    return subject, Box.from_pairs(box, subject.network.inputs), spec


def _ask(net: Any, x_specs: Any, y_specs: Any, input_shape: tuple[int, ...] | None) -> Question:
    return Question.ask(*_read(net, x_specs, y_specs, input_shape))
