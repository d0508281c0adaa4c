"""Reading a torch module: what its forward executes on an example becomes steps.

The forward runs on a copy of the module, once at each of a few points. What it executes must be the same at all of
them, to the bit of every constant: that is what a network is, whatever its class looks like.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from verifier.enclosure import Array
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.lowering.steps import INPUT, SHAPE_ONLY, Step
from verifier.frontends.torch.aten_operations import OPERATIONS, SUPPORTED
from verifier.frontends.torch.caller import left_as_it_is, runs_torch_alone
from verifier.frontends.torch.naming import Names
from verifier.frontends.torch.reading import Reading
from verifier.frontends.torch.recorder import Recorder, Words
from verifier.frontends.torch.refusals import refuse_unreadable

_DIFFERS = "net: its forward does not do the same from call to call"


def trace(module: nn.Module, input_shape: tuple[int, ...] | None = None, inputs: int | None = None) -> tuple[Step, ...]:
    """Read a module's forward as steps.

    Args:
        module: Any nn.Module whose forward is made of supported operations; in any mode, and left as it is.
        input_shape: Shape of one input without the batch; where it is None, the first Linear or `inputs` tells.
        inputs: Number of inputs where nothing else tells, e.g. the length of x_specs.

    Raises:
        UnsupportedLayerError: Names the operation, its position and the cure.
        NetworkError: The module cannot be read or the shape does not fit.
    """
    shape = shape_of_input(module, input_shape, inputs)
    refuse_unreadable(module)
    with own_copy(module) as (mine, _):
        return read_steps(mine, shape, recorded_points(None, shape))


def shape_of_input(module: nn.Module, input_shape: tuple[int, ...] | None, inputs: int | None) -> tuple[int, ...]:
    """Shape of one input without the batch: as given, or as the first layer or `inputs` tells.

    Raises:
        NetworkError: input_shape is no shape, or nothing tells it.
    """
    if input_shape is not None:
        try:
            shape = tuple(operator.index(size) for size in input_shape)
        except TypeError:
            shape = ()
        if not shape or any(size < 1 for size in shape):
            raise NetworkError(
                f"input_shape: expected a tuple of whole numbers >= 1 such as (1, 28, 28), found {input_shape!r}"
            )
        return shape
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            raise NetworkError(
                "input_shape: a network with Conv2d does not tell the height and width of its input; "
                f"pass input_shape=({part.in_channels}, height, width)"
            )
        if isinstance(part, nn.Flatten | nn.Unflatten) and inputs is not None:
            return (inputs,)
        if isinstance(part, nn.Linear) and not isinstance(part, nn.LazyLinear):
            return (part.in_features,)
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            return (part.num_features,)
    if inputs is None:
        raise NetworkError("input_shape: the network does not tell the number of its inputs; pass input_shape=(n,)")
    return (inputs,)


def dtype_of(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """What a module takes: the dtype and device of its first parameter, or of its first buffer of numbers."""
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return torch.get_default_dtype(), torch.device("cpu")


@contextlib.contextmanager
def own_copy(module: nn.Module) -> Iterator[tuple[nn.Module, Callable[[], None]]]:
    """Make a copy of a module in eval mode; where none is needed, or it has none, lend the module itself.

    Yields:
        What to run, and what puts back what running it changed of the caller's module; at the end, that is done anyway.
    """
    caller = module
    if type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Sequential):
        module = nn.Sequential(module)  # a single layer of torch's own, read as the network's only one
    alone = runs_torch_alone(module)
    mine = module if alone else _copied(module)
    # what the forward reaches past the copy, in a closure perhaps, is put back as well
    with left_as_it_is(caller) as put_back:
        for part in mine.modules():
            if part.training:
                part.training = False
        yield mine, _nothing if alone else put_back


def _nothing() -> None:
    """There is nothing to put back."""


def _copied(module: nn.Module) -> nn.Module:
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, torch.Tensor) and not value.is_leaf:  # deepcopy refuses these
                memo[id(value)] = value.detach().clone()
    try:
        with torch.inference_mode(False):
            return copy.deepcopy(module, memo)
    except Exception:  # an attribute may refuse to be copied in any way
        return module


def recorded_points(box: tuple[Array, Array] | None, shape: tuple[int, ...]) -> list[Array]:
    """Points at which a forward is recorded: in the box that is asked about where there is one, (inputs,)."""
    size = math.prod(shape)
    rng = np.random.default_rng(0)
    if box is None:
        try:
            return [np.zeros(size), rng.normal(0, 1, size)]
        except (MemoryError, ValueError, OverflowError) as error:
            raise NetworkError(f"input_shape: {shape} does not fit into memory ({_first_line(error)})") from error
    low, high = (np.clip(side, -1e30, 1e30) for side in box)
    return [low, low + rng.uniform(0, 1, size) * (high - low)]


def read_steps(
    module: nn.Module, shape: tuple[int, ...], points: Sequence[Array], batch: bool = True,
    known: tuple[Step, ...] | None = None,
) -> tuple[Step, ...]:  # fmt: skip
    """Record a module of our own at some points and give its steps.

    Args:
        module: In eval mode; its state may change.
        shape: Of one input, without the batch.
        points: Where it runs, (inputs,) each.
        batch: Whether the input gets a batch axis of 1.
        known: What was recorded at another point, which must be the same.

    Raises:
        UnsupportedLayerError, NetworkError: As for trace().
    """
    for point in points:
        steps = _record(module, shape, point, batch)
        if known is not None:
            _refuse_difference(known, steps)
        known = steps if known is None else known
    return known or ()


def _record(module: nn.Module, shape: tuple[int, ...], point: Array, batch: bool) -> tuple[Step, ...]:
    dtype, device = dtype_of(module)
    full = (1, *shape) if batch else shape
    names = Names(module)
    reading = Reading(names, OPERATIONS, dtype, SUPPORTED)
    with torch.inference_mode(False), torch.no_grad():
        try:
            x = torch.from_numpy(np.array(point)).to(dtype).to(device).reshape(full).clone()
        except (RuntimeError, TypeError, OverflowError) as error:
            raise NetworkError(f"input_shape: {shape} does not fit into memory ({_first_line(error)})") from error
        reading.begin(x)
        try:
            result = run_forward(module, x, reading)
        except Exception as error:  # the caller's own forward may raise anything
            if reading.violation:
                raise UnsupportedLayerError(reading.violation) from error
            raise NetworkError(
                f"net ({type(module).__name__}): its forward fails on an input of shape {full}{names.last()}: "
                f"{_first_line(error)}; if another shape is meant, pass input_shape=..."
            ) from error
        if reading.violation:
            raise UnsupportedLayerError(reading.violation)
        return _finished(reading, result)


def run_forward(module: nn.Module, x: torch.Tensor, reading: Reading) -> Any:
    """Run the module under the recorder; naming.py knows this frame as the end of the user's."""
    with Words(reading), Recorder(reading):
        return module(x)


def _first_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return text if text and isinstance(error, RuntimeError | ValueError) else f"{type(error).__name__}: {text}"


def _finished(reading: Reading, result: Any) -> tuple[Step, ...]:
    """The steps that the output is computed from."""
    if not isinstance(result, torch.Tensor):
        raise UnsupportedLayerError(
            f"net: forward returns a {type(result).__name__}; it must return one tensor of outputs"
        )
    elements = reading.output(result)
    if elements is None:
        raise UnsupportedLayerError("net: what forward returns does not depend on its input")
    last = reading.gather(elements, result, "the output")
    if last == INPUT:
        last = reading.emit("Identity", "the output", tuple(result.shape), (INPUT,))
    steps = reading.steps
    needed, waiting = {INPUT}, [last]
    while waiting:
        position = waiting.pop()
        if position not in needed:
            needed.add(position)
            if position in reading.refusals:
                raise UnsupportedLayerError(reading.refusals[position])
            waiting.extend(steps[position].sources)
    if not result.is_floating_point():
        raise UnsupportedLayerError(f"net: forward returns {result.dtype}; only floating-point numbers are supported")
    place = {old: new for new, old in enumerate(sorted(needed), start=-1)}
    kept = []
    for old in sorted(needed - {INPUT}):
        step, sources = steps[old], tuple(place[source] for source in steps[old].sources)
        sources = () if sources == (place[old] - 1,) else sources
        kept.append(step if sources == step.sources else replace(step, sources=sources))
    return tuple(kept)


def _refuse_difference(one: tuple[Step, ...], two: tuple[Step, ...]) -> None:
    """Refuse a module that did something else at another point or in another call."""
    if len(one) != len(two):
        raise NetworkError(f"{_DIFFERS}: it takes {len(one)} steps at one point and {len(two)} at another")
    for first, second in zip(one, two, strict=True):
        if (first.kind, first.shape, first.sources) != (second.kind, second.shape, second.sources):
            raise NetworkError(f"{_DIFFERS}: {first.where} at one point is {second.where} at another")
        if first.options != second.options or not _same_arrays(first, second):
            raise NetworkError(
                f"{_DIFFERS}: {first.where} has other constants at another point; does something that changes, or a "
                "value that left torch, go into them?"
            )


def _same_arrays(one: Step, two: Step) -> bool:
    return one.arrays.keys() == two.arrays.keys() and all(
        array.dtype == two.arrays[name].dtype and array.tobytes() == two.arrays[name].tobytes()
        for name, array in one.arrays.items()
    )


def without_shapes(steps: tuple[Step, ...]) -> list[tuple[Any, ...]]:
    """What steps compute, without those that only give values another shape, to compare two readings."""
    place: dict[int, int] = {INPUT: INPUT}
    found: list[tuple[Any, ...]] = []
    for position, step in enumerate(steps):
        sources = tuple(place[source] for source in step.sources or (position - 1,))
        if step.kind in SHAPE_ONLY:
            place[position] = sources[0]
            continue
        place[position] = len(found)
        arrays = tuple((name, array.shape, array.tobytes()) for name, array in step.arrays.items())
        found.append((step.kind, arrays, step.options, sources))
    return found
