"""Affine steps as matrices: linear layers, convolutions, pooling by averages, normalisation, moves of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import verifier.matrix as matrix
from verifier.enclosure import UNIT_ROUNDOFF, Array, Indices, gamma
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.folding import Enclosed, compose, powers_of_two, scaled
from verifier.frontends.lowering.steps import Step
from verifier.network import Affine

MAX_MATRIX_BYTES = 2**30  # a larger layer would not fit beside its bounds on a laptop


def append_step(pending: Affine | None, step: Step, shape: tuple[int, ...]) -> Affine:
    """Fold one affine step, which takes values of this shape, into what is pending before the next ReLU."""
    for name, array in step.arrays.items():
        if not np.isfinite(array).all():
            raise NetworkError(f"{step.where}: {name} holds NaN or infinite values; train the network again")
    if step.kind in SCALES:
        scale, shift = SCALES[step.kind](step, shape)
        return scaled(pending if pending is not None else identity(scale.value.size), scale, shift)
    if step.kind not in AFFINE:
        raise UnsupportedLayerError(f"{step.where}: {step.kind} is not supported")
    affine = AFFINE[step.kind](step, shape)
    return affine if pending is None else compose(pending, affine)


def identity(size: int) -> Affine:
    """Make the map that changes nothing."""
    return Affine.made(matrix.selection(np.arange(size), size), np.zeros(size))


def _select(step: Step, shape: tuple[int, ...]) -> Affine:
    """Move values: output i is value index[i] of the flattened input, or 0 where the index is -1."""
    size = int(np.prod(shape))
    if step.kind == "Permute":
        index = np.arange(size).reshape(shape).transpose(step.options["order"]).reshape(-1)
    else:
        index = np.asarray(step.options["index"]).reshape(-1)
    return Affine.made(matrix.selection(index, size), np.zeros(index.size))


def _check_size(entries: int, where: str) -> None:
    if 16 * entries > MAX_MATRIX_BYTES:
        raise NetworkError(
            f"{where}: would take a matrix of {16 * entries / 2**30:.1f} GiB; use a smaller network or image"
        )


def _float64(array: np.ndarray[Any, Any]) -> Array:
    return np.asarray(np.ascontiguousarray(array, dtype=np.float64))


def _linear(step: Step, shape: tuple[int, ...]) -> Affine:
    """Apply a Linear to the last axis; leading axes repeat it in blocks."""
    weight = _float64(step.arrays["weight"])
    bias = _float64(step.arrays["bias"]) if "bias" in step.arrays else np.zeros(weight.shape[0])
    if not weight.size:
        raise NetworkError(f"{step.where}: has no weights (shape {weight.shape}); every layer needs a neuron")
    repeats = int(np.prod(shape)) // weight.shape[1]
    if repeats > 1:
        return Affine.made(matrix.repeated(weight, repeats), np.tile(bias, repeats))
    return Affine.made(weight, bias)


def one_image(step: Step, shape: tuple[int, ...]) -> None:
    """Refuse a batch of several images, which a reshape can make of one input."""
    if len(shape) > 3 and shape[0] != 1:
        raise UnsupportedLayerError(
            f"{step.where}: takes a batch of {shape[0]} images, {tuple(shape)}; only one image is supported"
        )


def windows(
    shape: tuple[int, ...], kernel: Sequence[int], options: dict[str, Any], out: tuple[int, ...]
) -> tuple[Any, Any, Any]:
    """Index the input row and column under each output position and kernel cell, and whether it is inside the image.

    Returns:
        Three arrays of shape (out_h, out_w, kernel_h, kernel_w).
    """
    (sy, sx), (py, px), (dy, dx) = options["stride"], options["padding"], options.get("dilation", (1, 1))
    y = np.arange(out[-2])[:, None] * sy - py + np.arange(kernel[0])[None] * dy
    x = np.arange(out[-1])[:, None] * sx - px + np.arange(kernel[1])[None] * dx
    full = (out[-2], out[-1], kernel[0], kernel[1])
    rows = np.broadcast_to(y[:, None, :, None], full)
    columns = np.broadcast_to(x[None, :, None, :], full)
    inside = (rows >= 0) & (rows < shape[-2]) & (columns >= 0) & (columns < shape[-1])
    return rows, columns, inside


def _conv2d(step: Step, shape: tuple[int, ...]) -> Affine:
    weight = _float64(step.arrays["weight"])  # (out_channels, in_channels / groups, kernel_h, kernel_w)
    channels, height, width = shape[-3:]
    out_channels, per_group = weight.shape[:2]
    out = (out_channels, step.shape[-2], step.shape[-1])
    one_image(step, shape)
    rows, columns, inside = windows(shape, weight.shape[2:], step.options, out)
    cells = np.arange(out[1] * out[2]).reshape(out[1:])
    places: list[tuple[Indices, Indices, Array]] = []  # output, input, weight
    oy, ox, ky, kx = np.nonzero(inside)
    iy, ix = rows[inside], columns[inside]
    group_size = out_channels // step.options.get("groups", 1)
    for o in range(out_channels):
        first = (o // group_size) * per_group
        for c in range(per_group):
            target, source = o * cells.size + cells[oy, ox], (first + c) * height * width + iy * width + ix
            places.append((target, source, weight[o, c, ky, kx]))
    _check_size(len(places) * len(oy), step.where)
    targets, sources, values = (np.concatenate(part) for part in zip(*places, strict=True))
    shape_2d = (int(np.prod(out)), channels * height * width)
    bias = _float64(step.arrays["bias"]) if "bias" in step.arrays else np.zeros(out_channels)
    return Affine.made(matrix.from_entries(targets, sources, values, shape_2d), np.repeat(bias, out[1] * out[2]))


def _avg_pool2d(step: Step, shape: tuple[int, ...]) -> Affine:
    one_image(step, shape)
    channels, height, width = shape[-3:]
    kernel = step.options["kernel"]
    out = (channels, step.shape[-2], step.shape[-1])
    rows, columns, inside = windows(shape, kernel, step.options, out)
    # cells that count: those of the padded image (a window of ceil_mode may reach beyond it)
    (py, px) = step.options["padding"]
    (qy, qx) = step.options.get("padding_end", (py, px))
    padded = (rows >= -py) & (rows < height + qy) & (columns >= -px) & (columns < width + qx)
    counted = padded if step.options.get("count_include_pad", True) else inside
    divisor = step.options.get("divisor") or counted.sum(axis=(2, 3))
    share = np.broadcast_to(1.0 / np.asarray(divisor, dtype=np.float64), out[1:])
    oy, ox, _, _ = np.nonzero(inside)
    plane = np.arange(channels)[:, None]
    target = (plane * out[1] * out[2] + (oy * out[2] + ox)[None]).reshape(-1)
    source = (plane * height * width + (rows[inside] * width + columns[inside])[None]).reshape(-1)
    values = np.tile(share[oy, ox], channels)
    weight = matrix.from_entries(target, source, values, (int(np.prod(out)), channels * height * width))
    exact = np.array_equal(np.exp2(np.round(np.log2(share))), share)
    error = None if exact else matrix.magnitude(weight) * (UNIT_ROUNDOFF * 2)
    return Affine.made(weight, np.zeros(weight.shape[0]), error)


def _batch_norm(step: Step, shape: tuple[int, ...]) -> tuple[Enclosed, Enclosed]:
    """Write (x - mean) / sqrt(var + eps) * weight + bias as scale * x + shift, a value per element of `shape`."""
    mean, var = _float64(step.arrays["running_mean"]), _float64(step.arrays["running_var"])
    weight = _float64(step.arrays["weight"]) if "weight" in step.arrays else np.ones_like(mean)
    bias = _float64(step.arrays["bias"]) if "bias" in step.arrays else np.zeros_like(mean)
    scale = weight / np.sqrt(var + step.options["eps"])
    scale_error = np.abs(scale) * 8 * UNIT_ROUNDOFF
    shift = bias - mean * scale
    shift_error = gamma(4) * (np.abs(bias) + np.abs(mean * scale)) + np.abs(mean) * scale_error * 1.01

    def spread(per_channel: Array) -> Array:
        form = [1] * len(shape)
        form[1] = -1
        return np.broadcast_to(per_channel.reshape(form), shape).reshape(-1).copy()

    return (
        Enclosed(spread(scale), spread(scale_error)),
        Enclosed(spread(shift), spread(shift_error)),
    )


def _scale(step: Step, shape: tuple[int, ...]) -> tuple[Enclosed, Enclosed]:
    """Read y = x * scale + shift, or x / divisor, with constants that broadcast to `shape`."""

    def spread(name: str, default: float) -> Array:
        array = _float64(step.arrays[name]) if name in step.arrays else np.array(default)
        return np.broadcast_to(array, shape).reshape(-1).copy()

    scale, shift = spread("scale", 1.0), spread("shift", 0.0)
    error = np.zeros_like(scale)
    if "divisor" in step.arrays:
        divisor = spread("divisor", 1.0)
        if (divisor == 0).any():
            raise NetworkError(f"{step.where}: divides by zero")
        scale = 1.0 / divisor
        error = np.where(powers_of_two(divisor), 0.0, np.abs(scale) * 2 * UNIT_ROUNDOFF)
    return Enclosed(scale, error), Enclosed(shift, np.zeros_like(shift))


# what writes a step as a matrix, given the shape that it takes; those that scale each value need none
AFFINE: dict[str, Callable[[Step, tuple[int, ...]], Affine]] = {
    "Linear": _linear, "Conv2d": _conv2d, "AvgPool2d": _avg_pool2d, "Permute": _select, "Select": _select,
}  # fmt: skip
SCALES: dict[str, Callable[[Step, tuple[int, ...]], tuple[Enclosed, Enclosed]]] = {
    "BatchNorm": _batch_norm, "Scale": _scale,
}  # fmt: skip
