"""Numbers as torch computes with them: tensors as arrays, and constants as an operation sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

_SHORT = (torch.float16, torch.bfloat16, torch.float32)


def array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Copy a tensor to numpy, values unchanged; bfloat16, which numpy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def as_computed(value: Any, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """A constant as an operation with a result of this dtype sees it.

    Python's numbers and tensors without axes are rounded to what torch computes in: float32 for float16, bfloat16 and
    float32, float64 for float64. Other tensors are converted to the result's dtype.
    """
    if isinstance(value, torch.Tensor) and value.ndim:
        return array(value.to(dtype))
    number = value.double().item() if isinstance(value, torch.Tensor) else float(value)
    return np.array(number, dtype=np.float32 if dtype in _SHORT else np.float64)
