"""Arrays and tensors as plain data: dtype, shape and content in base64, of which nothing is taken on trust."""

import base64
import math
from typing import Any

import numpy as np

_ARRAY_KINDS = "biufc"  # truth values, integers, unsigned integers, floats, complex numbers
_TENSOR_DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip


class WireError(Exception):
    """A value that is not plain data, or a message that cannot be read; the text says which and where."""


def array_data(array: np.ndarray, where: str) -> list[Any]:
    """Write an array of numbers, truth values included."""
    if array.dtype.kind not in _ARRAY_KINDS:
        raise WireError(f"{where}: an array of {array.dtype} cannot be graded; use an array of numbers")
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return [plain.dtype.str, list(array.shape), base64.b64encode(plain.tobytes()).decode("ascii")]


def read_array(content: Any) -> np.ndarray:
    """Read what array_data() wrote."""
    name, shape, raw = _array_parts(content)
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError):
        raise WireError(f"an array has the unknown dtype {name!r:.40}") from None
    if dtype.kind not in _ARRAY_KINDS or dtype.subdtype is not None:
        raise WireError(f"an array has dtype {name!r:.40}, which is not one of numbers")
    _check_size(shape, dtype.itemsize, raw)
    if dtype.kind == "b":  # any byte but 0 and 1 would be a truth value that is neither
        return (np.frombuffer(raw, dtype=np.uint8) != 0).reshape(shape)
    return np.frombuffer(raw, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))


def tensor_data(tensor: Any, where: str) -> list[Any]:
    """Write a dense tensor; its gradient and its device are left behind."""
    import torch

    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _TENSOR_DTYPES or tensor.layout is not torch.strided:
        raise WireError(
            f"{where}: a tensor of {name} and layout {tensor.layout} cannot be graded; use a dense one of numbers"
        )
    with torch.no_grad():
        flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return [name, list(tensor.shape), base64.b64encode(raw).decode("ascii")]


def read_tensor(content: Any) -> Any:
    """Read what tensor_data() wrote."""
    import torch

    name, shape, raw = _array_parts(content)
    if name not in _TENSOR_DTYPES:
        raise WireError(f"a tensor has the unknown dtype {name!r:.40}")
    dtype = getattr(torch, name)
    _check_size(shape, dtype.itemsize, raw)
    if not raw:
        return torch.empty(shape, dtype=dtype)
    flat = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
    return (flat != 0 if name == "bool" else flat.view(dtype)).reshape(shape)


def _array_parts(content: Any) -> tuple[str, list[int], bytes]:
    parts = expect_list(content, "array")
    if len(parts) != 3:
        raise WireError("an array is not written as dtype, shape and content")
    name, shape, text = parts
    if not isinstance(name, str) or not isinstance(text, str):
        raise WireError("an array's dtype and content are not strings")
    if not isinstance(shape, list) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise WireError("an array's shape is not a list of sizes")
    try:
        return name, shape, base64.b64decode(text, validate=True)
    except ValueError:
        raise WireError("an array's content is not base64") from None


def _check_size(shape: list[int], itemsize: int, raw: bytes) -> None:
    if math.prod(shape) * itemsize != len(raw):
        raise WireError(f"an array of shape {tuple(shape)} does not have {len(raw)} bytes")


def expect_list(content: Any, form: str) -> list[Any]:
    """Refuse what is no list."""
    if not isinstance(content, list):
        raise WireError(f"a {form} is not written as a list")
    return content
