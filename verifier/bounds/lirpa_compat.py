"""What auto-LiRPA 0.3 looks for and current numpy and torch no longer have; the only file that imports auto-LiRPA.

Release 0.3 (2022) is the newest on the package index and asks for torch < 1.13 in its metadata; installed without its
dependencies it runs on current torch once three names are given back before it is imported. A fourth thing fails
silently: where torch's clamp has no gradient at its limits, slopes that start at 0 or 1 stay there and CROWN-Optimized
returns CROWN's bounds. Release 0.7, which is not on the index, keeps its ReLU in another module. Each cure is applied
only where the ailment is found.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import types
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from verifier.errors import MissingDependencyError, missing

INSTALL = "pip install 'nn-verification-course[lirpa]' && pip install --no-deps auto-LiRPA"


@cache
def import_auto_lirpa() -> Any:
    """Import auto_LiRPA, giving back the names it needs first.

    Returns:
        The module auto_LiRPA.

    Raises:
        MissingDependencyError: It is not installed, or does not import here; the message says what to do.
    """
    try:
        import torch
    except ImportError as error:
        raise missing("auto-LiRPA needs torch, which is not installed", "lirpa") from error
    try:
        _give_back_numpy_isin()
        _give_back_set_opset_version()
        _give_back_node_items(torch)
        with _settings_kept():
            module = importlib.import_module("auto_LiRPA")
            importlib.import_module("auto_LiRPA.perturbations")
            _let_slopes_leave_their_limits(torch)
    except Exception as error:  # a release may fail on a torch of another year in any way
        raise MissingDependencyError(
            f"auto-LiRPA cannot be imported ({first_line(error)}); install it with: {INSTALL}", "lirpa"
        ) from error
    return module


def first_line(error: BaseException) -> str:
    """What an exception says, in one line, with its kind where it says nothing."""
    said = str(error).strip().partition("\n")[0][:160]
    return said or type(error).__name__


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    """Keep what importing auto-LiRPA changes for the whole process: warning filters, recursion limit, root logger."""
    cuda_logger, root_logger = logging.getLogger("torch.utils.cpp_extension"), logging.getLogger()
    levels, handlers = (cuda_logger.level, root_logger.level), list(root_logger.handlers)
    set_filter, recursion_limit = warnings.simplefilter, sys.getrecursionlimit()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter = lambda *_, **__: None
            cuda_logger.setLevel(logging.ERROR)  # it warns that there is no CUDA, which no lab needs
            yield
    finally:
        warnings.simplefilter = set_filter
        sys.setrecursionlimit(recursion_limit)
        root_logger.handlers[:] = handlers
        cuda_logger.setLevel(levels[0])
        root_logger.setLevel(levels[1])


def _give_back_numpy_isin() -> None:
    name = "numpy.lib.arraysetops"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    except ImportError:
        module = types.ModuleType(name)
        module.isin = np.isin  # type: ignore[attr-defined]
        sys.modules[name] = module


def _give_back_set_opset_version() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        helper = importlib.import_module("torch.onnx.symbolic_helper")
    if not hasattr(helper, "_set_opset_version"):
        helper._set_opset_version = lambda opset_version: None  # type: ignore[attr-defined]


def _give_back_node_items(torch: Any) -> None:
    node = torch._C.Node
    if not hasattr(node, "__getitem__"):
        node.__getitem__ = lambda self, key: getattr(self, self.kindOf(key))(key)


def clamp_has_gradient_at_limits(torch: Any) -> bool:
    """Whether torch's clamp passes the gradient on at its limits, as it did when auto-LiRPA 0.3 was written."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.zeros(1, requires_grad=True)
        x.clamp(min=0.0, max=1.0).sum().backward()
    return bool(x.grad.item() == 1.0)


def _relu_class() -> Any:
    """auto-LiRPA's ReLU, from whichever module this release has it in; None where it is in neither."""
    for name in ("activation", "relu"):  # 0.3; 0.7
        try:
            module = importlib.import_module(f"auto_LiRPA.operators.{name}")
        except ImportError:
            continue
        found = getattr(module, "BoundRelu", None)
        if found is not None:
            return found
    return None


def _let_slopes_leave_their_limits(torch: Any) -> None:
    relu = _relu_class()
    theirs = getattr(relu, "_relu_mask_alpha", None)
    if theirs is None or clamp_has_gradient_at_limits(torch):
        return

    class Clamp(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """Clamp to [0, 1]; the gradient passes, so that a slope at a limit can move back inside."""

        @staticmethod
        def forward(ctx: Any, slope: Any) -> Any:
            return slope.clamp(0.0, 1.0)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient

    def mask_slopes(
        lower: Any, upper: Any, for_lower: Any, for_upper: Any, leaky_alpha: float = 0.0
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """Keep slopes of unstable neurons in [0, 1] and fix those of stable ones to 1 (active) or 0 (inactive)."""
        if leaky_alpha:  # 0.7 knows leaky ReLUs, which no network here has
            return theirs(lower, upper, for_lower, for_upper, leaky_alpha)  # type: ignore[no-any-return]
        active, inactive = lower >= 0, upper <= 0
        free = (~(active | inactive)).to(lower.dtype)
        active = active.to(lower.dtype)
        for_lower, for_upper = (
            None if slope is None else Clamp.apply(slope) * free + active for slope in (for_lower, for_upper)
        )
        return for_lower, for_upper, inactive.all()

    relu._relu_mask_alpha = staticmethod(mask_slopes)


def auto_lirpa_version() -> str:
    """The installed release of auto-LiRPA, such as "0.3"; "" where none is installed. Imports nothing of it."""
    try:
        return metadata.version("auto-LiRPA")
    except metadata.PackageNotFoundError:
        pass
    found = sys.modules.get("auto_LiRPA")  # a checkout on the path has no metadata
    return str(getattr(found, "__version__", ""))
