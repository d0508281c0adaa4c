"""Operations that move values: slices, joins, padding, writes at constant positions, choices by constant masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from verifier.frontends.torch.aten_table import (
    OPERATIONS,
    Read,
    check_cast,
    flat,
    reads,
)
from verifier.frontends.torch.call import Call
from verifier.frontends.torch.memory import CONSTANT, Elements
from verifier.frontends.torch.numbers import as_computed


@reads(
    "clone", "contiguous", "detach", "alias", "lift_fresh", "view", "_unsafe_view", "reshape", "squeeze", "unsqueeze"
)
def _same(call: Call) -> Read:
    return call.elements(call["self"]).reshaped(tuple(call.result.shape))


@reads("_to_copy", "copy")
def _convert(call: Call) -> Read:
    source = call["src"] if call.name == "copy" else call["self"]
    check_cast(call, source.dtype, call.result.dtype)
    return call.elements(source).spread(tuple(call.result.shape))


@reads("fill", "zero")
def _fill(call: Call) -> Read:
    value = call.elements(call["value"])  # only a tensor depends on the input
    return value.spread(tuple(call.result.shape))


@reads("cat", "stack")
def _cat(call: Call) -> Read:
    parts = [one for one in call["tensors"] if one.ndim != 1 or one.numel()]
    for one in parts:
        check_cast(call, one.dtype, call.result.dtype)
    axis = call.get("dim", 0) % call.result.ndim
    shaped = [call.elements(one) for one in parts]
    join = np.stack if call.name == "stack" else np.concatenate
    steps, index = (
        join([getattr(one, what).reshape(one.shape) for one in shaped], axis=axis).reshape(-1)
        for what in ("steps", "index")
    )
    return Elements(steps, index, tuple(call.result.shape))


def _by_positions(call: Call, move: Callable[[torch.Tensor], Any]) -> Read:
    """Read a move of values by running it on the positions of its argument."""
    source = call["self"]
    elements = call.elements(source)
    positions = torch.arange(source.numel(), dtype=torch.int64).reshape(source.shape)
    moved = move(positions)
    parts = list(moved) if isinstance(moved, list | tuple) else [moved]
    found = []
    for one in parts:
        place = one.reshape(-1).numpy()
        outside = place < 0
        steps = np.where(outside, CONSTANT, elements.steps[np.where(outside, 0, place)])
        found.append(Elements(steps, elements.index[np.where(outside, 0, place)], tuple(one.shape)))
    return found if isinstance(moved, list | tuple) else found[0]


def _moves(function: Callable[..., Any], *names: str) -> Callable[[Call], Read]:
    def read(call: Call) -> Read:
        for name in names:
            if any(call.is_data(one) for one in flat(call[name])):
                raise call.refuse("takes positions from values that depend on the input")
        return _by_positions(call, lambda positions: function(positions, *(call[name] for name in names)))

    return read


def _index(positions: torch.Tensor, indices: Any) -> torch.Tensor:
    moved: torch.Tensor = torch.ops.aten.index.Tensor(positions, indices)
    return moved


OPERATIONS.update(
    {
        "index": _moves(_index, "indices"), "_unsafe_index": _moves(_index, "indices"),
        "index_select": _moves(torch.index_select, "dim", "index"), "gather": _moves(torch.gather, "dim", "index"),
        "flip": _moves(torch.flip, "dims"), "roll": _moves(torch.roll, "shifts", "dims"),
        "repeat": _moves(lambda x, repeats: x.repeat(*repeats), "repeats"),
        "take": _moves(torch.take, "index"), "rot90": _moves(torch.rot90, "k", "dims"),
        "pixel_shuffle": _moves(torch.pixel_shuffle, "upscale_factor"),
        "pixel_unshuffle": _moves(torch.pixel_unshuffle, "downscale_factor"),
        "channel_shuffle": _moves(torch.channel_shuffle, "groups"),
        "split_with_sizes_copy": _moves(torch.split, "split_sizes", "dim"),
    }
)  # fmt: skip


@reads("constant_pad_nd")
def _pad(call: Call) -> Read:
    """Read a padding; what is constant within the argument keeps its value."""
    moved = _by_positions(call, lambda x: torch.constant_pad_nd(x, call["pad"], -1))
    assert isinstance(moved, Elements)
    value = as_computed(call.get("value", 0), call.result.dtype)
    known = call.values(call["self"]).to(call.result.dtype)
    return call.placed(moved, torch.constant_pad_nd(known, call["pad"], float(value)))


@reads("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def _pad_by_values(call: Call) -> Read:
    function = getattr(torch.ops.aten, call.name).default
    return _by_positions(call, lambda x: function(x.double(), call["padding"]).long())


@reads("upsample_nearest1d", "upsample_nearest2d", "im2col")
def _by_float_positions(call: Call) -> Read:
    """Run a move that torch has for floating-point numbers only; positions + 1, so that padding is 0."""
    function = getattr(torch.ops.aten, call.name).default
    rest = [value for name, value in call.arguments.items() if name not in ("self", "out")]
    return _by_positions(call, lambda x: function((x + 1).double(), *rest).long() - 1)


@reads("index_put", "scatter", "index_copy", "slice_scatter", "select_scatter")
def _place(call: Call) -> Read:
    """Read a write at constant positions by running it on positions of both arguments."""
    target = call["self"]
    given = {"index_put": "values", "index_copy": "source", "scatter": "src"}.get(call.name, "src")
    source = call.get(given, call.get("value"))
    for name, value in call.arguments.items():
        if name in ("index", "indices", "mask") and any(call.is_data(one) for one in flat(value)):
            raise call.refuse("writes at positions that depend on the input")
    if call.get("accumulate") or call.get("reduce") is not None:
        raise call.refuse("adds to what stands at the positions; write it with + on whole tensors")
    if not isinstance(source, torch.Tensor):
        source = torch.full((), float(source), dtype=call.result.dtype)
    check_cast(call, source.dtype, call.result.dtype)
    before, after = call.elements(target), call.elements(source)
    size = target.numel()
    positions = torch.arange(size).reshape(target.shape)
    others = torch.arange(size, size + source.numel()).reshape(source.shape)
    rest = {name: value for name, value in call.arguments.items() if name not in ("self", given, "value", "out")}
    if call.name == "index_put":
        moved = torch.ops.aten.index_put.default(positions, rest["indices"], others)
    elif call.name == "scatter":
        others = others.expand(rest["index"].shape) if not source.ndim else others
        moved = torch.scatter(positions, rest["dim"], rest["index"], others)
    elif call.name == "index_copy":
        moved = torch.index_copy(positions, rest["dim"], rest["index"], others)
    else:
        moved = getattr(torch.ops.aten, call.name)(positions, others, **rest)
    place = moved.reshape(-1).numpy()
    numbers = torch.cat([call.values(target).reshape(-1), source.reshape(-1).to(target.dtype)])
    steps, index = (
        np.concatenate([before.steps, after.steps])[place],
        np.concatenate([before.index, after.index])[place],
    )
    found = Elements(steps, index, tuple(call.result.shape))
    if call.result.untyped_storage()._cdata == target.untyped_storage()._cdata:
        return found  # in place: the constants stand where they are
    return found if (steps != CONSTANT).all() else call.placed(found, numbers[moved.reshape(-1)].reshape(found.shape))


@reads("masked_fill", "where", "tril", "triu", "index_fill")
def _choose(call: Call) -> Read:
    """Read a choice between two values by a constant mask."""
    if call.name == "where":
        condition, one, other = call["condition"], call["self"], call["other"]
    elif call.name == "masked_fill":
        condition, one, other = call["mask"], call["value"], call["self"]
    elif call.name == "index_fill":
        if call.is_data(call["index"]):
            raise call.refuse("writes at positions that depend on the input")
        mask = torch.zeros(call["self"].shape, dtype=torch.bool)
        condition, one, other = mask.index_fill(call["dim"], call["index"], True), call["value"], call["self"]
    else:
        mask = getattr(torch, call.name)(torch.ones(call["self"].shape, dtype=torch.bool), call["diagonal"])
        condition, one, other = mask, call["self"], 0.0
    if call.is_data(condition):
        raise call.refuse("chooses by values that depend on the input; write it with relu, clamp, maximum or minimum")
    shape, dtype = tuple(call.result.shape), call.result.dtype
    sides = []
    for value in (one, other):
        tensor = value if isinstance(value, torch.Tensor) else torch.full((), float(value), dtype=dtype)
        if call.is_data(tensor):
            check_cast(call, tensor.dtype, dtype)
        sides.append((call.elements(tensor).spread(shape), call.values(tensor).to(dtype).expand(shape)))
    chosen = condition.expand(shape)
    flat = chosen.reshape(-1).numpy()
    (first, one_values), (second, other_values) = sides
    found = Elements(np.where(flat, first.steps, second.steps), np.where(flat, first.index, second.index), shape)
    return call.placed(found, torch.where(chosen, one_values, other_values))
