"""Running auto-LiRPA without changing anything for the rest of the process: other threads run while it computes.

It prints, warns, and makes tensors in torch's default dtype, and each of these has a switch for the whole process only.
So its own `print` is replaced in its own modules, tensors get their dtype from a mode that torch keeps for each thread,
and one call at a time sets and restores the warning filters.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any

_one_at_a_time = threading.RLock()
_silent: ContextVar[bool] = ContextVar("auto-LiRPA is silent", default=False)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one thread at a time into auto-LiRPA, and keep what it prints and warns of from the notebook."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _replace_print()
        token = _silent.set(True)
        try:
            yield
        finally:
            _silent.reset(token)


def _replace_print() -> None:
    """Give each of its modules a print that is silent while it works for us, and prints for anybody else."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "auto_LiRPA" and vars(module).get("print") is not _print:
            module.print = _print  # type: ignore[attr-defined]


def _print(*values: Any, **options: Any) -> None:
    if not _silent.get():
        builtins.print(*values, **options)


@contextlib.contextmanager
def float64_by_default() -> Iterator[None]:
    """Make this thread's tensors in float64 where no dtype is asked for, as optimised slopes and best bounds are.

    It also asks torch for the default dtype by name; the answer is another for this thread only.
    """
    import torch

    asked = torch.get_default_dtype
    torch.get_default_dtype = lambda: torch.float64 if _silent.get() else asked()
    try:
        with _float64_mode()():
            yield
    finally:
        torch.get_default_dtype = asked


@cache
def _float64_mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    makers = {
        torch.empty, torch.zeros, torch.ones, torch.full, torch.eye, torch.rand, torch.randn, torch.linspace,
        torch.logspace, torch.tensor, torch.as_tensor, torch.asarray, torch.arange, torch.range, torch.empty_strided,
        torch.scalar_tensor, torch.sparse_coo_tensor,
    }  # fmt: skip

    class Float64(TorchFunctionMode):
        """Adds dtype=float64 to whatever would give torch's default."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            result = func(*args, **kwargs)
            if func not in makers or kwargs.get("dtype") is not None or _has_its_own(args, kwargs):
                return result
            if isinstance(result, torch.Tensor) and result.dtype == torch.float32:
                return func(*args, **{**kwargs, "dtype": torch.float64})
            return result

    def _has_its_own(args: Any, kwargs: Any) -> bool:
        """Whether the result takes its dtype from a tensor or an array."""
        given = [*args[:1], kwargs.get("data")]
        return any(hasattr(one, "dtype") for one in given)

    return Float64
