"""Frontend for torch modules: a module read as a Network, kept as the object that replay runs, and the two compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from verifier.enclosure import Array
from verifier.errors import MisreadError, NetworkError, VerifierError, warn_caller
from verifier.frontends.lowering.lower import lower_steps
from verifier.frontends.lowering.steps import Step
from verifier.frontends.reading_check import (
    EPS64,
    NOISE,
    SLACK,
    hidden_error,
    measurable,
    refuse_difference,
    sample_points,
    sensitivity,
)
from verifier.frontends.torch.caller import eval_mode, evaluating
from verifier.frontends.torch.module import (
    dtype_of,
    own_copy,
    read_steps,
    recorded_points,
    shape_of_input,
    without_shapes,
)
from verifier.frontends.torch.refusals import overflowing, refuse_unreadable
from verifier.frontends.torch.shadow import Shadow
from verifier.network import Network
from verifier.subject import Subject

TOGETHER = 10  # points whose float64 values are carried beside one forward
VALUES_TOGETHER = 2**18  # and numbers of the network at these points, at most: a large network gains nothing by it

_TRAIN_SENSITIVE = (nn.Dropout, nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def read_torch(
    module: nn.Module, input_shape: tuple[int, ...] | None, inputs: int | None, box: tuple[Array, Array] | None = None
) -> Subject:
    """Read a torch module as a Subject, and check the reading on sample points.

    Args:
        module: The caller's network; left as it is.
        input_shape: As in verify().
        inputs: The length of x_specs.
        box: Lower and upper limits of the inputs that are asked about, (inputs,) each: where the module is run.

    Raises:
        UnsupportedLayerError: An operation is not supported.
        NetworkError: The module cannot be read, or computes something else than was read.
    """
    shape = shape_of_input(module, input_shape, inputs)
    refuse_unreadable(module)
    size = int(np.prod(shape))
    if box is not None and box[0].size != size:
        box = None  # told when the box is fitted to the network
    points = recorded_points(box, shape)
    with own_copy(module) as (mine, put_back):
        steps = read_steps(mine, shape, points[:1])
        single = _without_batch(mine, shape, points[1])
        alone = single is not None and without_shapes(single) == without_shapes(steps)
        if not alone:  # what differed may be the shape, or something that changes from call to call
            steps = read_steps(mine, shape, points[1:] if single is None else points[::-1], known=steps)
        network = lower_steps(steps, shape)
        check = _SecondReading(module, network, shape if alone else (1, *shape))
        check.on_samples(sample_points(box, size), mine, put_back)
    _warn_of_train_mode(module)
    return Subject(network, check.run, check.round, check.to_caller, type(module).__name__, check=check.at)


def _warn_of_train_mode(module: nn.Module) -> None:
    sensitive = [
        type(part).__name__ for part in module.modules() if part.training and isinstance(part, _TRAIN_SENSITIVE)
    ]
    if sensitive:
        warn_caller(
            f"net is in train mode and holds {', '.join(sorted(set(sensitive)))}; what is verified is the network in "
            "eval mode: call net.eval() before you compare its outputs"
        )


def _without_batch(module: nn.Module, shape: tuple[int, ...], point: Array) -> tuple[Step, ...] | None:
    """What is read where one input comes without the batch axis; None where the module wants that axis."""
    try:
        return read_steps(module, shape, [point], batch=False)
    except VerifierError:
        return None


class _SecondReading:
    """The caller's module as replay uses it, one point at a time, and compared with what was read.

    Args:
        module: The caller's own object.
        network: What was read.
        shape: In which one input is handed out.
    """

    def __init__(self, module: nn.Module, network: Network, shape: tuple[int, ...]) -> None:
        self.module, self.network, self.shape = module, network, shape
        self.dtype, self.device = dtype_of(module)
        self._name = f"net ({type(module).__name__})"

    def run(self, x: Array) -> Array:
        """Run the module on points (batch, inputs), one by one as they are handed out."""
        with eval_mode(self.module):
            return self._rows(x)

    def _rows(self, x: Array) -> Array:
        return np.stack([_numbers(self.module(self.to_caller(point))) for point in x])

    def round(self, x: Array) -> Array:
        """Round to the caller's dtype, to nearest."""
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype).double().numpy()

    def to_caller(self, x: Array) -> torch.Tensor:
        """Make the tensor that the module takes as it is; it shares no memory with x."""
        return torch.from_numpy(np.array(x, order="C")).to(self.dtype).to(self.device).reshape(self.shape)

    def on_samples(self, points: Array, mine: nn.Module, put_back: Callable[[], None]) -> None:
        """Compare the module, run twice, its float64 values and the Network at some points.

        Args:
            points: (points, inputs).
            mine: A copy of the module in eval mode, for the runs in float64.
            put_back: Puts the module into the caller's state, in which it is left at the end, too.

        Raises:
            NetworkError: They differ by more than rounding, or from call to call.
        """
        with np.errstate(over="ignore"):
            points = self.round(points)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points) or not measurable(self.network, points):
            return  # nothing is claimed of such a network
        put_back()  # what was recorded may have reached it past the copy
        with evaluating(self.module):
            runs = self._rows(np.concatenate([points, points[:2]]))
        put_back()
        first, again = runs[: len(points)], runs[len(points) :]
        if first[: len(again)].tobytes() != again.tobytes():
            raise NetworkError(f"{self._name}: computes something else when it is called again on the same input")
        with evaluating(mine):  # which may be the module itself
            self._compare(points, first, mine)

    def at(self, points: Array, theirs: Array) -> None:
        """Compare what the module gave at some points, (batch, outputs), with the Network.

        Raises:
            NetworkError: They differ by more than rounding.
        """
        with eval_mode(self.module):
            self._compare(points, theirs, self.module)

    def _compare(self, points: Array, theirs: Array, module: nn.Module) -> None:
        network, dtype = self.network, torch.finfo(self.dtype)
        floor = float(dtype.tiny) / float(dtype.eps)
        pre = network.pre_activations(points)
        ours = network.head.apply(pre[-1])
        felt = sensitivity(network, points, floor)
        size = np.abs(ours).max(axis=1, keepdims=True)
        hidden, hidden_in_dtype = hidden_error(network, points, EPS64, float(dtype.eps))
        own = SLACK * EPS64 * (felt + size) + hidden  # of the network's outputs
        complaint = f"{self._name}: computes something else than its layers say"
        changes = "does it change from call to call, or with something beside its input?"

        def in_float64(together: int) -> tuple[Array, Array]:
            """Compare the float64 values, and tell how much rounding is felt and what float64 may round."""
            wide, noisy = self._in_float64(module, points, floor, together)
            if wide.shape != ours.shape:
                raise NetworkError(f"{complaint}; {changes}")
            more = 1.0
            for place, values in noisy.items():  # what is executed may round more than the folded network
                change, known = float(np.abs(values - wide[place]).max()) / NOISE, float(felt[place, 0])
                more = max(more, change / known if known > 0 else 1.0)
            exact = SLACK * EPS64 * (more * felt + size) + own
            refuse_difference(wide, ours, exact, complaint, "please report it, with the network")
            return more * felt, exact

        together = max(1, min(TOGETHER, VALUES_TOGETHER // (network.inputs + network.neurons + network.outputs)))
        try:
            felt, exact = in_float64(together)
        except MisreadError:
            felt, exact = in_float64(1)  # what hangs on other values than floating-point ones belongs to one point
        finite = np.isfinite(theirs).all(axis=1)
        largest = np.max([np.abs(z).max(axis=1) for z in pre], axis=0)
        if not finite.any() or (largest[~finite] < 1e-3 * float(dtype.max)).any():
            named = overflowing(self.module)
            raise NetworkError(
                f"{self._name}: gives infinite values or NaN in {str(self.dtype).removeprefix('torch.')}; "
                + (f"{named} holds NaN or infinite values" if named else "its weights are too large for that dtype")
            )
        allowed = exact + SLACK * float(dtype.eps) * (felt + size) + hidden_in_dtype
        refuse_difference(theirs[finite], ours[finite], allowed[finite], complaint, changes)

    def _in_float64(
        self, module: nn.Module, points: Array, floor: float, together: int
    ) -> tuple[Array, dict[int, Array]]:  # fmt: skip
        """What the module executes, in float64: at each point, and with noise at the first and the last of them.

        Points are taken together, some at once: the module runs at the last of them, and what it executes is carried
        out in float64 for all.
        """
        plain: list[Array] = []
        noisy: dict[int, Array] = {}
        xs = [self.to_caller(point) for point in points]
        with torch.inference_mode(False), torch.no_grad():
            for first in range(0, len(xs), together):
                places = range(first, min(first + together, len(xs)))
                seeds = [place for place in places if place in (0, len(xs) - 1)]
                lanes = [(xs[place], None) for place in places] + [(xs[place], place) for place in seeds]
                shadow = Shadow(xs[places[-1]], lanes, floor)
                with shadow:
                    result = module(xs[places[-1]])
                values = [_numbers(one) for one in shadow.values(result)]
                plain += values[: len(places)]
                noisy.update(zip(seeds, values[len(places) :], strict=True))
        return np.stack(plain), noisy


def _numbers(result: torch.Tensor) -> Array:
    """What a forward returns as a row of float64 numbers of its own memory."""
    return np.array(result.reshape(-1).double().cpu().numpy())
