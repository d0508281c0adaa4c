"""How each operation that torch executes is read as steps: one table, by the operation's name in torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from verifier.frontends.torch.memory import CONSTANT, Elements
from verifier.frontends.torch.numbers import array, as_computed
from verifier.frontends.torch.recorder import Call

SUPPORTED = (
    "Linear, Conv1d, Conv2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d, BatchNorm1d/2d, Dropout, Flatten, Identity, "
    "ReLU, ReLU6, LeakyReLU, PReLU, view/reshape/squeeze, slices, cat, sum and mean, abs, clamp, maximum and "
    "minimum, adding or multiplying constants, adding two values, and a final Sigmoid, Softmax or LogSoftmax"
)
_CASTS = {"to", "half", "bfloat16", "float", "double", "type", "type_as", "copy_", "__setitem__"}
MAX_WEIGHTS = 2**26  # entries of a matrix that is written out here

Read = int | Elements | list[Elements]
OPERATIONS: dict[str, Callable[[Call], Read]] = {}


def reads(*names: str) -> Callable[[Callable[[Call], Read]], Callable[[Call], Read]]:
    """Enter a function into the table under these names."""

    def enter(function: Callable[[Call], Read]) -> Callable[[Call], Read]:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return enter


# moves of values


@reads(
    "clone", "contiguous", "detach", "alias", "lift_fresh", "view", "_unsafe_view", "reshape", "squeeze", "unsqueeze"
)
def _same(call: Call) -> Read:
    return call.elements(call["self"]).reshaped(tuple(call.result.shape))


@reads("_to_copy", "copy")
def _convert(call: Call) -> Read:
    source = call["src"] if call.name == "copy" else call["self"]
    _check_cast(call, source.dtype, call.result.dtype)
    return call.elements(source).spread(tuple(call.result.shape))


def _check_cast(call: Call, before: torch.dtype, after: torch.dtype) -> None:
    """Refuse a conversion that rounds the data: torch.finfo's eps says which dtype holds more digits."""
    if before is after:
        return
    if not before.is_floating_point or torch.finfo(after).eps > torch.finfo(before).eps * 1.0:
        if before is torch.float32 and call.recorder.dtype is after:
            return  # back to the module's own dtype, as an operation in it rounds
        asked = call.recorder.names.word in _CASTS  # autocast is off here, but what it converts nobody asked for
        cause = "" if asked else ", as torch.autocast does"
        raise call.refuse(f"changes {before} to {after}{cause}, which rounds; use one dtype throughout")
    if torch.finfo(after).max < torch.finfo(before).max:
        raise call.refuse(f"changes {before} to {after}, which holds smaller numbers only; use one dtype throughout")


@reads("fill", "zero")
def _fill(call: Call) -> Read:
    value = call.elements(call["value"])  # only a tensor depends on the input
    return value.spread(tuple(call.result.shape))


@reads("cat", "stack")
def _cat(call: Call) -> Read:
    parts = [one for one in call["tensors"] if one.ndim != 1 or one.numel()]
    for one in parts:
        _check_cast(call, one.dtype, call.result.dtype)
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
            if any(call.is_data(one) for one in _flat(call[name])):
                raise call.refuse("takes positions from values that depend on the input")
        return _by_positions(call, lambda positions: function(positions, *(call[name] for name in names)))

    return read


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


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
    if call.get("value", 0) != 0:
        place = as_computed(call["value"], call.result.dtype)
        moved = _by_positions(call, lambda x: torch.constant_pad_nd(x, call["pad"], -1))
        assert isinstance(moved, Elements)
        filled = torch.full(moved.shape, float(place), dtype=call.result.dtype)
        return call.take_elements(moved, filled)
    moved = _by_positions(call, lambda x: torch.constant_pad_nd(x, call["pad"], -1))
    assert isinstance(moved, Elements)
    return call.take_elements(moved, torch.zeros(moved.shape, dtype=call.result.dtype))


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
        if name in ("index", "indices", "mask") and any(call.is_data(one) for one in _flat(value)):
            raise call.refuse("writes at positions that depend on the input")
    if call.get("accumulate") or call.get("reduce") is not None:
        raise call.refuse("adds to what stands at the positions; write it with + on whole tensors")
    if not isinstance(source, torch.Tensor):
        source = torch.full((), float(source), dtype=call.result.dtype)
    _check_cast(call, source.dtype, call.result.dtype)
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
    return (
        found
        if (steps != CONSTANT).all()
        else call.take_elements(found, numbers[moved.reshape(-1)].reshape(found.shape))
    )


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
            _check_cast(call, tensor.dtype, dtype)
        sides.append((call.elements(tensor).spread(shape), call.values(tensor).to(dtype).expand(shape)))
    chosen = condition.expand(shape)
    flat = chosen.reshape(-1).numpy()
    (first, one_values), (second, other_values) = sides
    found = Elements(np.where(flat, first.steps, second.steps), np.where(flat, first.index, second.index), shape)
    return call.take_elements(found, torch.where(chosen, one_values, other_values))


# sums and products


def _binary(call: Call, left: Any, right: Any, sign: int) -> int:
    """left + sign * right."""
    shape, dtype = tuple(call.result.shape), call.result.dtype
    if call.is_data(left) and call.is_data(right):
        for one in (left, right):
            _check_cast(call, one.dtype, dtype)
        first, second = call.take(left, shape), call.take(right, shape)
        return call.emit("Sum", (first, second), options={"signs": (1, sign)})
    data, constant = (left, right) if call.is_data(left) else (right, left)
    _check_cast(call, data.dtype, dtype)
    position = call.take(data, shape)
    number = as_computed(call.values(constant) if isinstance(constant, torch.Tensor) else constant, dtype)
    arrays = {"shift": number if data is right or sign > 0 else -number}
    if data is right and sign < 0:
        arrays["scale"] = np.array(-1.0, dtype=number.dtype)
    return call.emit("Scale", position, arrays=arrays)


@reads("add", "sub", "rsub")
def _add(call: Call) -> Read:
    left, right = (call["other"], call["self"]) if call.name == "rsub" else (call["self"], call["other"])
    sign = 1 if call.name == "add" else -1
    alpha = float(call.get("alpha", 1))
    if abs(alpha) != 1.0:
        scaled = as_computed(alpha, call.result.dtype)
        if not call.is_data(right):
            number = as_computed(call.values(right) if isinstance(right, torch.Tensor) else right, call.result.dtype)
            product = _exact_product(call, number.astype(np.float64), float(scaled))
            position = call.take(left, tuple(call.result.shape))
            return call.emit("Scale", position, arrays={"shift": sign * product})
        position = call.emit("Scale", call.take(right), right.shape, arrays={"scale": scaled})
        return _combine(call, left, position, sign)
    return _binary(call, left, right, sign if alpha > 0 else -sign)


def _exact_product(call: Call, numbers: np.ndarray[Any, Any], factor: float) -> np.ndarray[Any, Any]:
    product = numbers * factor
    short = float(np.float32(factor)) == factor and (numbers.astype(np.float32) == numbers).all()
    if not short and abs(math.frexp(factor)[0]) != 0.5:
        raise call.refuse("multiplies two constants, which rounds; multiply them in __init__")
    return product


def _combine(call: Call, left: Any, right: int, sign: int) -> int:
    """left, an argument, + sign * right, a step."""
    shape = tuple(call.result.shape)
    if call.shape(right) != shape:
        size = math.prod(call.shape(right))
        spread = Elements(np.full(size, right), np.arange(size), call.shape(right)).spread(shape)
        right = call.take_elements(spread)
    if call.is_data(left):
        return call.emit("Sum", (call.take(left, shape), right), options={"signs": (1, sign)})
    number = as_computed(call.values(left) if isinstance(left, torch.Tensor) else left, call.result.dtype)
    arrays = {"shift": number} | ({} if sign > 0 else {"scale": np.array(-1.0, dtype=number.dtype)})
    return call.emit("Scale", right, arrays=arrays)


@reads("mul", "div", "true_divide")
def _multiply(call: Call) -> Read:
    left, right = call["self"], call["other"]
    if call.is_data(left) and call.is_data(right):
        raise call.refuse("combines the data with itself; only constants can be multiplied or divided by")
    divides = call.name != "mul"
    if divides and call.get("rounding_mode") is not None:
        raise call.refuse("rounds its result to whole numbers")
    if divides and call.is_data(right):
        raise call.refuse("divides by the data, which is not linear")
    data, constant = (left, right) if call.is_data(left) else (right, left)
    _check_cast(call, data.dtype, call.result.dtype)
    position = call.take(data, tuple(call.result.shape))
    number = as_computed(call.values(constant) if isinstance(constant, torch.Tensor) else constant, call.result.dtype)
    return call.emit("Scale", position, arrays={"divisor" if divides else "scale": number})


@reads("neg", "negative")
def _negate(call: Call) -> Read:
    return call.emit("Scale", call.take(call["self"]), arrays={"scale": np.array(-1.0, dtype=np.float32)})


@reads("addmm", "mm", "bmm", "baddbmm", "mv", "dot", "addmv", "linear", "addbmm")
def _matrix_product(call: Call) -> Read:
    left, right, bias = _factors(call)
    if call.is_data(left) and call.is_data(right):
        raise call.refuse("combines the data with itself; only constants can be multiplied or divided by")
    beta, alpha = float(call.get("beta", 1)), float(call.get("alpha", 1))
    if (beta, alpha) != (1.0, 1.0) and call.name.startswith("add"):
        raise call.refuse("beta and alpha other than 1 are not supported")
    if call.name == "addbmm":
        raise call.refuse("adds up matrix products; write them one by one")
    if not call.is_data(left) and not call.is_data(right):  # only the bias depends on the input
        raise call.refuse("adds the data to a product of constants, which rounds; compute the product in __init__")
    folds = bias is not None and not call.is_data(bias) and bias.ndim == 1 and call.is_data(left)
    position = _product(call, left, right, bias if folds else None)
    if bias is not None and not folds:
        return _combine(call, bias, position, 1)
    return position


def _factors(call: Call) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    name = call.name
    if name == "addmm":
        return call["mat1"], call["mat2"], call["self"]
    if name == "baddbmm":
        return call["batch1"], call["batch2"], call["self"]
    if name == "addbmm":
        return call["batch1"], call["batch2"], None
    if name == "addmv":
        return call["mat"], call["vec"], call["self"]
    if name == "linear":
        return call["input"], call["weight"].t(), call["bias"]
    other = {"mm": "mat2", "bmm": "mat2", "mv": "vec", "dot": "tensor"}[name]
    return call["self"], call[other], None


def _product(call: Call, left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None) -> int:
    """left @ right, one of which is constant: a Linear over the last axis of the other."""
    shape = tuple(call.result.shape)
    if call.is_data(left):
        weight = array(call.values(right))
        weight = weight[..., None] if right.ndim == 1 else weight
        source = call.take(left)
    else:  # (A x)^T = x^T A^T
        weight = np.swapaxes(array(call.values(left)), -1, -2) if left.ndim > 1 else array(call.values(left))[:, None]
        elements = call.elements(right)
        if right.ndim > 1:
            order = (*range(right.ndim - 2), right.ndim - 1, right.ndim - 2)
            elements = elements.moved(order)
        source = call.take_elements(elements, None if not right.ndim > 1 else right.transpose(-1, -2))
    if weight.ndim == 3 and (weight.shape[0] == 1 or (weight == weight[:1]).all()):
        weight = weight[0]
    arrays = {"weight": np.ascontiguousarray(np.swapaxes(weight, -1, -2))}
    if bias is not None:
        arrays["bias"] = array(call.values(bias))
    given = call.shape(source)
    out = (*given[:-1], weight.shape[-1])
    one = weight.ndim == 2
    position = call.emit("Linear", source, out, arrays=arrays) if one else _blocks(call, source, weight)
    if call.is_data(left) or right.ndim == 1:
        return _reshape(call, position, shape)
    count = math.prod(out)
    turned = Elements(np.full(count, position), np.arange(count), out).moved(
        (*range(len(out) - 2), len(out) - 1, len(out) - 2)
    )
    return call.take_elements(turned.reshaped(shape))


def _blocks(call: Call, source: int, weight: np.ndarray[Any, Any]) -> int:
    """A matrix for each row of the first axis, as one matrix."""
    batch, rows = call.shape(source)[0], call.shape(source)[1]
    inner, outer = weight.shape[1:]
    size = batch * rows
    if size * inner * size * outer > MAX_WEIGHTS:
        raise call.refuse("multiplies by too many matrices at once; use one matrix for all")
    full = np.zeros((size, outer, size, inner), dtype=weight.dtype)
    for place in range(size):
        full[place, :, place, :] = weight[place // rows].T
    flat = call.emit("Reshape", source, (1, size * inner))
    return call.emit("Linear", flat, (1, size * outer), arrays={"weight": full.reshape(size * outer, size * inner)})


def _reshape(call: Call, position: int, shape: tuple[int, ...]) -> int:
    return position if call.shape(position) == tuple(shape) else call.emit("Reshape", position, shape)


@reads("sum", "mean")
def _reduce(call: Call) -> Read:
    data = call["self"]
    _check_cast(call, data.dtype, call.result.dtype)
    axes = call.get("dim")
    axes = tuple(range(data.ndim)) if axes is None or axes == [] else tuple(axis % data.ndim for axis in _flat(axes))
    if not data.ndim:
        return call.elements(data)
    kept = tuple(axis for axis in range(data.ndim) if axis not in axes)
    elements = call.elements(data).moved((*kept, *axes))
    count = math.prod(data.shape[axis] for axis in axes)
    rest = tuple(data.shape[axis] for axis in kept)
    shaped = elements.reshaped((*rest, count) if rest else (1, count))
    source = call.take_elements(shaped, call.values(data).permute(*kept, *axes).reshape(shaped.shape))
    position = call.emit("Linear", source, (*shaped.shape[:-1], 1), arrays={"weight": np.ones((1, count), np.float32)})
    if call.name == "mean":
        position = call.emit("Scale", position, call.shape(position), arrays={"divisor": np.array(float(count))})
    return _reshape(call, position, tuple(call.result.shape))


# convolutions, pooling, normalisation


@reads("convolution", "_convolution", "mkldnn_convolution")
def _convolve(call: Call) -> Read:
    weight, bias, data = call["weight"], call["bias"], call["input"]
    if call.get("transposed"):
        raise call.refuse(f"{_word(call)} is not supported; supported are {SUPPORTED}")
    if call.is_data(weight) or call.is_data(bias):
        raise call.refuse("the weights of a convolution must not depend on the input")
    axes = weight.ndim - 2
    if axes not in (1, 2):
        raise call.refuse(f"{_word(call)} is not supported; supported are {SUPPORTED}")
    arrays = {"weight": array(call.values(weight))} | ({} if bias is None else {"bias": array(call.values(bias))})

    def pair(name: str, single: int) -> tuple[int, int]:
        values = [int(one) for one in _flat(call[name])]
        values = values * axes if len(values) == 1 else values
        return (single, values[0]) if axes == 1 else (values[0], values[1])

    options = {
        "stride": pair("stride", 1), "padding": pair("padding", 0), "dilation": pair("dilation", 1),
        "groups": int(call["groups"]),
    }  # fmt: skip
    source = call.take(data)
    if axes == 2:
        return call.emit("Conv2d", source, arrays=arrays, options=options)
    arrays["weight"] = arrays["weight"][:, :, None]
    batch, channels, length = data.shape
    image = call.emit("Reshape", source, (batch, channels, 1, length))
    out = tuple(call.result.shape)
    position = call.emit("Conv2d", image, (out[0], out[1], 1, out[2]), arrays=arrays, options=options)
    return call.emit("Reshape", position, out)


def _word(call: Call) -> str:
    return call.where.partition("(")[2].rpartition(")")[0].split(": ")[-1].split(", line")[0]


def _pair(value: Any) -> tuple[int, int]:
    values = [int(one) for one in _flat(value)]
    return (values[0], values[-1])


def _image(call: Call, data: torch.Tensor) -> int:
    """The step of an image with a batch axis, which pooling takes without as well."""
    position = call.take(data)
    return position if data.ndim == 4 else call.emit("Reshape", position, (1, *data.shape))


def _from_image(call: Call, kind: str, options: dict[str, Any]) -> int:
    data = call["self"]
    source = _image(call, data)
    shape = tuple(call.result.shape)
    position = call.emit(kind, source, shape if data.ndim == 4 else (1, *shape), options=options)
    return _reshape(call, position, shape)


@reads("avg_pool2d")
def _average_pool(call: Call) -> Read:
    kernel = _pair(call["kernel_size"])
    options = {
        "kernel": kernel, "stride": _pair(call["stride"]) if call["stride"] else kernel,
        "padding": _pair(call["padding"]), "count_include_pad": bool(call["count_include_pad"]),
        "divisor": call["divisor_override"], "ceil_mode": bool(call["ceil_mode"]),
    }  # fmt: skip
    return _from_image(call, "AvgPool2d", options)


@reads("max_pool2d_with_indices", "max_pool2d")
def _max_pool(call: Call) -> Read:
    kernel = _pair(call["kernel_size"])
    options = {
        "kernel": kernel, "stride": _pair(call["stride"]) if call["stride"] else kernel,
        "padding": _pair(call["padding"]), "dilation": _pair(call["dilation"]), "ceil_mode": bool(call["ceil_mode"]),
    }  # fmt: skip
    return _from_image(call, "MaxPool2d", options)


@reads("_adaptive_avg_pool2d")
def _adaptive_pool(call: Call) -> Read:
    height, width = call["self"].shape[-2:]
    rows, columns = call["output_size"]
    if height % rows or width % columns:
        raise call.refuse(f"averages {height} x {width} values into {rows} x {columns} windows that overlap")
    kernel = (height // rows, width // columns)
    return _from_image(
        call, "AvgPool2d",
        {"kernel": kernel, "stride": kernel, "padding": (0, 0), "count_include_pad": True, "divisor": None,
         "ceil_mode": False},
    )  # fmt: skip


@reads("adaptive_max_pool2d")
def _adaptive_max(call: Call) -> Read:
    height, width = call["self"].shape[-2:]
    rows, columns = call["output_size"]
    if height % rows or width % columns:
        raise call.refuse(f"takes the largest of windows that overlap ({height} x {width} into {rows} x {columns})")
    kernel = (height // rows, width // columns)
    return _from_image(
        call, "MaxPool2d",
        {"kernel": kernel, "stride": kernel, "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False},
    )  # fmt: skip


@reads("amax", "amin", "max", "min")
def _largest(call: Call) -> Read:
    if call.name in ("max", "min") and "other" in call.arguments:
        return _maximum(call)
    data, lowest = call["self"], call.name in ("amin", "min")
    axes = call.get("dim")
    axes = tuple(range(data.ndim)) if axes is None or axes == [] else tuple(axis % data.ndim for axis in _flat(axes))
    if not data.ndim:
        return call.elements(data)
    kept = tuple(axis for axis in range(data.ndim) if axis not in axes)
    count = math.prod(data.shape[axis] for axis in axes)
    elements = call.elements(data).moved((*kept, *axes)).reshaped((1, 1, data.numel() // count, count))
    position = call.take_elements(elements, call.values(data).permute(*kept, *axes).reshape(elements.shape))
    if lowest:
        position = _scaled(call, position, -1.0)
    options = {"kernel": (1, count), "stride": (1, count), "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False}
    position = call.emit("MaxPool2d", position, (*elements.shape[:3], 1), options=options)
    if lowest:
        position = _scaled(call, position, -1.0)
    return _reshape(call, position, tuple(call.result.shape))


@reads("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
def _batch_norm(call: Call) -> Read:
    if call.get("training") or call["running_mean"] is None:
        raise call.refuse(
            "track_running_stats=False makes its result depend on the batch; train it with running statistics"
        )
    data = call["input"]
    names = ("weight", "bias", "running_mean", "running_var")
    if any(call.is_data(call[name]) for name in names):
        raise call.refuse("normalises by values that depend on the input")
    arrays = {name: array(call.values(call[name])) for name in names if call[name] is not None}
    return call.emit("BatchNorm", call.take(data), arrays=arrays, options={"eps": float(call["eps"])})


# ReLU and what is made of it


def _scaled(call: Call, position: int, factor: float) -> int:
    return call.emit("Scale", position, call.shape(position), arrays={"scale": np.array(factor, dtype=np.float64)})


def _shifted(call: Call, position: int, shift: Any) -> int:
    return call.emit("Scale", position, call.shape(position), arrays={"shift": np.asarray(shift)})


def _relu_of(call: Call, position: int) -> int:
    return call.emit("ReLU", position, call.shape(position))


def _sum_of(call: Call, first: int, second: int, sign: int = 1) -> int:
    return call.emit("Sum", (first, second), call.shape(first), options={"signs": (1, sign)})


@reads("relu")
def _relu(call: Call) -> Read:
    return call.emit("ReLU", call.take(call["self"]))


@reads("leaky_relu")
def _leaky(call: Call) -> Read:
    slope = float(as_computed(call["negative_slope"], call.result.dtype))
    return call.emit("LeakyReLU", call.take(call["self"]), options={"slope": slope})


@reads("_prelu_kernel")
def _prelu(call: Call) -> Read:
    if call.is_data(call["weight"]):
        raise call.refuse("its slope depends on the input")
    position = call.take(call["self"])
    negative = _relu_of(call, _scaled(call, position, -1.0))
    slope = array(call["weight"])
    turned = call.emit("Scale", negative, arrays={"scale": slope})
    return _sum_of(call, _relu_of(call, position), turned, -1)


@reads("abs", "absolute")
def _absolute(call: Call) -> Read:
    position = call.take(call["self"])
    return _sum_of(call, _relu_of(call, position), _relu_of(call, _scaled(call, position, -1.0)))


@reads("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(call: Call) -> Read:
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    if any(call.is_data(one) for one in (low, high)):
        raise call.refuse("clamps between values that depend on the input; write it with maximum and minimum")
    dtype, shape = call.result.dtype, tuple(call.result.shape)
    position = call.take(call["self"], shape)
    limits = [None if one is None else as_computed(one, dtype) for one in (low, high)]
    if limits[0] is not None and limits[1] is not None and (limits[0] > limits[1]).any():
        raise call.refuse("its lower limit exceeds its upper limit")
    for limit, sign in zip(limits, (1.0, -1.0), strict=True):
        if limit is None or (np.isinf(limit) & (limit * sign < 0)).all():
            continue
        if not np.isfinite(limit).all():
            raise call.refuse("clamps to infinity")
        if sign > 0 and not limit.any():
            position = _relu_of(call, position)
            continue
        turned = _shifted(call, position if sign > 0 else _scaled(call, position, -1.0), -sign * limit)
        position = _relu_of(call, turned)
        if sign < 0:
            position = _scaled(call, position, -1.0)
        position = _shifted(call, position, limit)
    return position


@reads("threshold")
def _threshold(call: Call) -> Read:
    if float(call["threshold"]) != 0.0 or float(call["value"]) != 0.0:
        raise call.refuse("jumps at its threshold; only threshold 0 with value 0, which is ReLU, is supported")
    return call.emit("ReLU", call.take(call["self"]))


@reads("maximum", "minimum", "fmax", "fmin")
def _maximum(call: Call) -> Read:
    """max(a, b) = a + relu(b - a), min(a, b) = a - relu(a - b)."""
    one, other, shape = call["self"], call["other"], tuple(call.result.shape)
    largest = call.name in ("maximum", "fmax", "max")
    data, constant = (one, other) if call.is_data(one) else (other, one)
    _check_cast(call, data.dtype, call.result.dtype)
    first = call.take(data, shape)
    if call.is_data(constant):
        second = call.take(constant, shape)
        gap = _sum_of(call, second, first, -1) if largest else _sum_of(call, first, second, -1)
        return _sum_of(call, first, _relu_of(call, gap), 1 if largest else -1)
    limit = as_computed(call.values(constant), call.result.dtype)
    if largest:
        return _shifted(call, _relu_of(call, _shifted(call, first, -limit)), limit)
    turned = _relu_of(call, _shifted(call, _scaled(call, first, -1.0), limit))
    return _shifted(call, _scaled(call, turned, -1.0), limit)


# heads


@reads("sigmoid")
def _sigmoid(call: Call) -> Read:
    return call.emit("Sigmoid", call.take(call["self"]))


@reads("_softmax", "_log_softmax", "softmax", "log_softmax")
def _softmax(call: Call) -> Read:
    data, dim = call["self"], call["dim"]
    _check_cast(call, data.dtype, call.result.dtype)
    if data.ndim and data.shape[dim] != data.numel():
        given = "" if "dim" in call.recorder.names.word else f"dim={dim - data.ndim if dim > 0 else dim}"
        raise call.refuse(
            f"{given or f'dim={dim}'} runs over {data.shape[dim]} of the {data.numel()} outputs; use dim=-1 so that "
            "it runs over all of them"
        )
    return _head(call, "LogSoftmax" if "log" in call.name else "Softmax")


def _head(call: Call, kind: str) -> int:
    """A head over all values, in a row."""
    data = call["self"]
    source = _reshape(call, call.take(data), (1, data.numel()))
    return _reshape(call, call.emit(kind, source, call.shape(source)), tuple(call.result.shape))
