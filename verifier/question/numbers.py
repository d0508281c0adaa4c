"""The caller's numbers: lists, arrays and tensors read as float64; what is none of these is refused by its place."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np

from verifier.errors import SpecError


def as_numbers(value: Any, where: str) -> np.ndarray[Any, Any]:
    """Turn a list, array or tensor of numbers (None allowed) into a float64 array; None becomes NaN.

    Raises:
        SpecError: It holds something that is no number, or is ragged.
    """
    if hasattr(value, "detach"):  # a torch tensor, wherever it lives
        value = _array(value, where)
    elif isinstance(value, dict | set | str | bytes) or not isinstance(value, Iterable):
        raise SpecError(f"{where}: expected a list of [lower, upper] pairs, found {shown(value)}")
    if isinstance(value, np.ndarray) and value.dtype != object:
        if not (np.issubdtype(value.dtype, np.number) and not np.iscomplexobj(value)):
            raise SpecError(f"{where}: expected numbers, found an array of {value.dtype}")
        return _without_nan(value.astype(np.float64), where)
    return _nested_numbers(value, where)


def _array(tensor: Any, where: str) -> np.ndarray[Any, Any]:
    """Read a torch tensor of real numbers, wherever it lives and however it is stored."""
    if tensor.is_complex():
        raise SpecError(f"{where}: expected real numbers, found a tensor of {tensor.dtype}")
    return np.asarray(tensor.detach().to_dense().cpu().double().numpy())


def _float(value: Any, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise SpecError(f"{where}: {str(value)[:20]}... is beyond the largest float64; None means no limit") from None


def _without_nan(array: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    if np.isnan(array).any():
        place = "".join(f"[{int(i)}]" for i in np.argwhere(np.isnan(array))[0])
        raise SpecError(f"{where}{place} is NaN; check the computation that made it")
    return array


def _nested_numbers(value: Any, where: str) -> np.ndarray[Any, Any]:
    if value is None:
        return np.array(np.nan)
    if hasattr(value, "detach"):
        value = _array(value, where)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return _nested_numbers(value.tolist(), where)
        if not np.issubdtype(value.dtype, np.number) or np.iscomplexobj(value):
            raise SpecError(f"{where}: expected numbers, found an array of {value.dtype}")
        return _without_nan(value.astype(np.float64), where)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = _float(value, where)
        if math.isnan(number):
            raise SpecError(f"{where} is NaN; check the computation that made it")
        return np.array(number)
    if isinstance(value, str | bytes | bool | dict | Set) or not isinstance(value, Iterable):
        raise SpecError(f"{where}: expected a number, found {shown(value)}")
    parts = [_nested_numbers(part, f"{where}[{i}]") for i, part in enumerate(value)]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        odd = next(i for i, part in enumerate(parts) if part.shape != parts[0].shape)
        raise SpecError(
            f"{where}[{odd}]: shape {parts[odd].shape} differs from {where}[0]'s {parts[0].shape}; "
            "every entry must be one [lower, upper] pair"
        )
    return np.array(parts) if parts else np.zeros((0,))


def shown(value: Any) -> str:
    """Write a value for a message, with its type and cut to a line."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"


def as_pairs(value: Any, name: str, count: int | None, unit: str) -> np.ndarray[Any, Any]:
    """Read [lower, upper] pairs as an array of shape (count, 2); None stays NaN."""
    if isinstance(value, np.ndarray | Sequence) or hasattr(value, "detach") or isinstance(value, Iterable):
        array = as_numbers(value if not isinstance(value, zip | map) else list(value), name)
    else:
        raise SpecError(f"{name}: expected a list of [lower, upper] pairs, one an {unit}, found {shown(value)}")
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3:
        raise SpecError(f"{name}: a batch of {array.shape[0]} specs; pass one at a time")
    if array.ndim == 1 and array.shape == (2,):
        low, high = ("None" if math.isnan(side) else f"{side:g}" for side in array)
        raise SpecError(f"{name}: found one pair, [{low}, {high}]; write it as a list of pairs: [[{low}, {high}]]")
    if array.size == 0 and count != 0:
        raise SpecError(f"{name}: empty; expected one [lower, upper] pair an {unit}")
    if array.ndim != 2 or array.shape[1] != 2:
        hint = ""
        if array.ndim == 2 and array.shape[0] == 2:
            hint = "; two vectors of lower and upper bounds go through Box(lower, upper)"
        raise SpecError(f"{name}: expected shape ({unit}s, 2), found {array.shape}{hint}")
    if count is not None and array.shape[0] != count:
        raise SpecError(f"{name}: {array.shape[0]} pairs, but the network has {count} {unit}s; give one pair an {unit}")
    return array


def as_finite(value: Any, name: str) -> float:
    """Read one finite number; SpecError names what it was for."""
    if hasattr(value, "item") and getattr(value, "size", 1) != 0:
        try:
            value = value.item()
        except (RuntimeError, ValueError):
            raise SpecError(f"{name}: expected one number, found {shown(value)}") from None
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(_float(value, name)):
        raise SpecError(f"{name}: expected a finite number, found {shown(value)}")
    return float(value)


def as_index(value: Any, name: str) -> int:
    """Read a whole number >= 0; SpecError names what it was for."""
    if hasattr(value, "item"):
        with contextlib.suppress(RuntimeError, ValueError):  # it holds several numbers, or none
            value = value.item()
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 0:
        raise SpecError(f"{name}: expected a whole number >= 0, found {shown(value)}")
    return int(value)


def as_optional_index(value: Any, name: str) -> int | None:
    """Read a whole number >= 0, or None."""
    return None if value is None else as_index(value, name)


def as_row(values: Any, name: str, what: str) -> tuple[float, ...]:
    """Read one finite number for each `what`, as linear() takes them."""
    row = np.asarray(as_numbers(values, name))
    if row.size == 0 or not np.isfinite(row).all():
        raise SpecError(f"{name}: expected one finite number per {what}")
    if row.ndim != 1 and row.shape != (1, row.size):
        raise SpecError(
            f"{name}: found shape {row.shape}, expected one number per {what}; join several inequalities with all_of() "
            "or any_of()"
        )
    return tuple(float(c) for c in row.reshape(-1))
