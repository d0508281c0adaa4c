"""Modules that cannot be read, found before they run, with the cure."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from verifier.errors import NetworkError, UnsupportedLayerError

# wrappers that run something else than their own forward, and the attribute that holds the module inside
_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def refuse_unreadable(module: nn.Module) -> None:
    """Refuse what cannot be read whatever its forward does.

    Raises:
        NetworkError: A wrapper around the module that is meant, a scripted module, weights that are not initialised.
        UnsupportedLayerError: Weights that are not real floating-point numbers.
    """
    for name, part in module.named_modules():
        label = f"{name or 'net'} ({type(part).__name__})"
        inside = _WRAPPERS.get(type(part).__name__)
        if inside is not None and hasattr(part, inside):
            path = f"net.{name}.{inside}" if name else f"net.{inside}"
            what = "a module compiled by torch.compile" if inside == "_orig_mod" else "a wrapper for several devices"
            raise NetworkError(f"{label}: {what}, which does not run as its layers are written; use {path}")
        if isinstance(part, torch.jit.ScriptModule):
            raise NetworkError(
                f"{label}: a TorchScript module does not run in Python; use the nn.Module that it was made from"
            )
        for key, tensor in (*part._parameters.items(), *part._buffers.items()):
            if isinstance(tensor, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer):
                raise NetworkError(f"{label}: not initialised yet; run one batch through the network first")
            if tensor is None:
                continue
            if not tensor.numel() and key in ("weight", "bias"):
                raise NetworkError(f"{label}: has no weights (shape {tuple(tensor.shape)}); every layer needs a neuron")
            if tensor.is_complex():
                raise UnsupportedLayerError(f"{label}: has complex numbers; only real ones are supported")
            if tensor.layout is not torch.strided or tensor.is_quantized:
                raise UnsupportedLayerError(f"{label}: {key} is sparse or quantized; only dense numbers are supported")
            if key in part._parameters and tensor.dtype not in _FLOATS:
                raise UnsupportedLayerError(
                    f"{label}: its weights are of {tensor.dtype}; only floating-point numbers are supported: "
                    "net.float() converts them"
                )
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise UnsupportedLayerError(
                f"{label}: track_running_stats=False makes its result depend on the batch; train it with running "
                "statistics"
            )
    _refuse_several_inputs(module)


def _refuse_several_inputs(module: nn.Module) -> None:
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return  # something else than a function of Python; it shows when it runs
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one.name for one in places if one.default is one.empty]
    named = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
    if len(needed) > 1 or named:
        raise UnsupportedLayerError(
            f"net: forward takes {len(needed) + len(named)} inputs ({', '.join(needed + named)}); only one tensor can "
            "be verified: give the others defaults, or fix them in a module around this one"
        )
    takes_many = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if not places and not takes_many:
        raise UnsupportedLayerError("net: forward takes no input")


def overflowing(module: nn.Module) -> str:
    """Name the first parameter or buffer that holds NaN or infinity, or nothing."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.detach()).all()):
            return name
    return ""
