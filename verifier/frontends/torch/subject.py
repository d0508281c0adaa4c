"""Frontend for torch modules: a module read as a Network, kept as the object that replay runs, and the two compared."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

from verifier.enclosure import Array
from verifier.errors import warn_caller
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.reading_check import check_reading
from verifier.frontends.torch.module import eval_mode, shape_of_input, trace
from verifier.network import Subject

_TRAIN_SENSITIVE = (nn.Dropout, nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def read_torch(module: nn.Module, input_shape: tuple[int, ...] | None, inputs: int | None) -> Subject:
    """Read a torch module as a Subject, and check the reading on sample points.

    Args:
        module: The caller's network; left as it is.
        input_shape: As in verify().
        inputs: The length of x_specs.

    Raises:
        UnsupportedLayerError: An operation is not supported.
        NetworkError: The module cannot be read, or computes something else than its layers say.
    """
    shape = shape_of_input(module, input_shape, inputs)
    steps = trace(module, shape)
    network = lower_steps(steps, shape)
    sensitive = [
        type(part).__name__ for part in module.modules() if part.training and isinstance(part, _TRAIN_SENSITIVE)
    ]
    if sensitive:
        warn_caller(
            f"net is in train mode and holds {', '.join(sorted(set(sensitive)))}; what is verified is the network in "
            "eval mode: call net.eval() before you compare its outputs"
        )
    caller = _Caller(module, shape, network.outputs, given=input_shape is not None)
    check_reading(
        network, caller.run, caller.round, float(torch.finfo(caller.dtype).eps),
        f"net ({type(module).__name__}): computes something else than its layers say",
        "is its forward replaced, or does it change from call to call?",
    )  # fmt: skip
    return Subject(network, caller.run, caller.round, caller.to_caller, type(module).__name__)


class _Caller:
    """The caller's module as replay uses it: one point at a time, in the shape it is handed out."""

    def __init__(self, module: nn.Module, input_shape: tuple[int, ...], outputs: int, given: bool) -> None:
        self.module, self.outputs = module, outputs
        tensor = next(iter(module.parameters()), None)
        self.dtype = tensor.dtype if tensor is not None else torch.get_default_dtype()
        self.device = tensor.device if tensor is not None else torch.device("cpu")
        self.shape: tuple[int, ...] = input_shape
        if not self._accepts(input_shape):
            self.shape = (1, *input_shape)

    def _accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether one input without the batch gives what it gives with one."""
        x = torch.linspace(-1, 1, int(np.prod(shape)), dtype=torch.float64).to(self.dtype).to(self.device)
        try:
            with eval_mode(self.module), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                alone, batched = self.module(x.clone().reshape(shape)), self.module(x.clone().reshape(1, *shape))
        except Exception:  # the caller's own forward may raise anything; then it wants the batch
            return False
        return bool(
            alone.numel() == batched.numel()
            and torch.allclose(alone.reshape(-1), batched.reshape(-1), rtol=1e-3, atol=1e-5, equal_nan=True)
        )

    def run(self, x: Array) -> Array:
        """Run the module on points (batch, inputs), one by one as they are handed out."""
        with eval_mode(self.module), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = [self.module(self.to_caller(point)).reshape(-1).double().cpu().numpy().copy() for point in x]
        return np.stack(rows)

    def round(self, x: Array) -> Array:
        """Round to the caller's dtype, to nearest."""
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype).double().numpy()

    def to_caller(self, x: Array) -> torch.Tensor:
        """Make the tensor that the module takes as it is; a copy, since the module may change it in place."""
        return torch.from_numpy(np.array(x, order="C")).to(self.dtype).to(self.device).reshape(self.shape)
