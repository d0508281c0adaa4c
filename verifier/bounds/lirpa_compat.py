"""What auto-LiRPA 0.3 looks for and current numpy and torch no longer have; the only file that imports auto-LiRPA.

Release 0.3 (2022) is the newest on the package index and asks for torch < 1.13 in its metadata; installed without its
dependencies it runs on current torch once three names are given back before it is imported. Later releases need none of
this and are left alone: each name is given back only where it is missing.
"""

from __future__ import annotations

import importlib
import logging
import sys
import types
import warnings
from functools import cache
from typing import Any

import numpy as np

from verifier.errors import MissingDependencyError

INSTALL = "python -m pip install --no-deps auto-LiRPA && python -m pip install appdirs tqdm pyyaml ninja"


@cache
def import_auto_lirpa() -> Any:
    """Import auto_LiRPA, giving back the names it needs first.

    Returns:
        The module auto_LiRPA.

    Raises:
        MissingDependencyError: It is not installed, or does not import here; the message says what to do.
    """
    import torch

    _give_back_numpy_isin()
    _give_back_set_opset_version()
    _give_back_node_items(torch)
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns that there is no CUDA, which no lab needs
    set_filter = warnings.simplefilter
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter = lambda *_, **__: None  # it would show every warning once, for the whole process
            module = importlib.import_module("auto_LiRPA")
            importlib.import_module("auto_LiRPA.perturbations")
    except Exception as error:  # an old release may fail on a new torch in any way
        raise MissingDependencyError(f"auto-LiRPA cannot be imported ({error}); install it with: {INSTALL}") from error
    finally:
        warnings.simplefilter = set_filter
        logger.setLevel(level)
    return module


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
