"""auto-LiRPA's bounds: IBP, CROWN and CROWN with optimised slopes, on a float64 copy of the network's layers.

The course is built on auto-LiRPA, so the first linear bound that a student sees is its own. It computes in float64 to
nearest and returns no error term, so one is added here from magnitudes alone: all coefficients that a backward pass can
meet are at most |rows| |W_L| ... |W_k|, so whatever each step rounds is seen at the end at most as large as the same
step's rounding in a pass of absolute values.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from verifier.bounds.interval import interval_bounds
from verifier.bounds.layers import LayerBounds
from verifier.bounds.lirpa_compat import first_line, import_auto_lirpa
from verifier.bounds.lirpa_manners import alone, float64_by_default
from verifier.enclosure import UNDERFLOW, Array, Bounds, gamma
from verifier.errors import BoundsError
from verifier.matrix import dense, forward
from verifier.network import Network

# Release 0.3 fails on some networks where slopes are kept for the unstable neurons alone (a shape mismatch).
_OPTIONS = {"sparse_features_alpha": False, "sparse_spec_alpha": False}
MAX_ENTRIES = 2**25  # of a layer, or of the rows: 256 MiB, several times over
ITERATIONS = 20  # of CROWN-Optimized for each side, auto-LiRPA's own choice

KEPT_GRAPHS = 4  # built last: building one takes twice as long as bounding with it
KEPT_WEIGHTS = 2**18  # of a network whose graph is kept, at most: 2 MiB
ONE_THREAD_WEIGHTS = 2**16  # weights of the largest layer up to which one thread is faster

IBP, CROWN, CROWN_OPTIMIZED = "IBP", "CROWN", "CROWN-Optimized"
_graphs: OrderedDict[tuple[Any, bytes], Any] = OrderedDict()  # by a network's content; only inside `alone()`


def lirpa_bounds(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, *, method: str = CROWN,
    seconds: float = math.inf,
) -> LayerBounds:  # fmt: skip
    """Bound the rows with auto-LiRPA, widened by the rounding term.

    Args:
        network: What is bounded; sound for every Network (its head plays no part).
        boxes: Input boxes, (batch, inputs).
        rows: Linear functions of the logits, (rows, logits).
        known: Not used by auto-LiRPA.
        method: IBP, CROWN or CROWN_OPTIMIZED.
        seconds: After which CROWN_OPTIMIZED stops optimising and returns the best bounds so far. What comes before its
            first step, and the other methods, cannot be cut short: see lirpa_cost.py.

    Returns:
        LayerBounds with the rows' bounds only (`pre` is empty).

    Raises:
        MissingDependencyError: auto-LiRPA is not installed or does not import here.
        BoundsError: It failed on this network, whatever it raised: an unknown operation, too deep a recursion, too
            little memory.

    Source:
        Xu et al. Automatic Perturbation Analysis for Scalable Certified Robustness and Beyond. NeurIPS 2020;
        Xu et al. Fast and Complete. ICLR 2021 (CROWN-Optimized). https://github.com/Verified-Intelligence/auto_LiRPA
    """
    started = time.perf_counter()
    auto_lirpa = import_auto_lirpa()
    import torch

    if rows.size > MAX_ENTRIES:
        raise BoundsError(f"auto-LiRPA gets rows as a dense matrix, which would have {rows.size:.0e} entries")
    stop = _stop_after(started, seconds, len(boxes.lower))
    options = {"optimize_bound_args": {"iteration": ITERATIONS, "stop_criterion_func": stop}}
    # the caller may be in inference mode, and auto-LiRPA needs gradients
    with torch.inference_mode(False), alone(), float64_by_default(), _one_thread(network), torch.enable_grad():
        lower, upper = torch.from_numpy(boxes.lower.copy()), torch.from_numpy(boxes.upper.copy())
        selection = torch.from_numpy(rows.copy())[None].expand(len(lower), -1, -1).contiguous()
        try:
            # slopes that were optimised stay in a graph, and would be where the next call starts from
            bounded = _graph(auto_lirpa, network, options) if method == CROWN_OPTIMIZED else _kept(auto_lirpa, network)
            perturbation = auto_lirpa.perturbations.PerturbationLpNorm(norm=np.inf, x_L=lower, x_U=upper)
            point = auto_lirpa.BoundedTensor((lower + upper) / 2, perturbation)
            low, high = bounded.compute_bounds(x=(point,), C=selection, method=method)
            low, high = (side.detach().double().numpy().reshape(len(lower), len(rows)) for side in (low, high))
        except BoundsError:
            raise
        except Exception as error:  # whatever a library of another year does on a torch of today
            _graphs.clear()  # it ended in the middle of one
            raise BoundsError(
                f"auto-LiRPA's {method} failed on this network ({type(error).__name__}: {first_line(error)}); "
                "method='crown' bounds it too"
            ) from error
        except BaseException:
            _graphs.clear()
            raise
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise BoundsError(f"auto-LiRPA's {method} returned bounds that are not finite; method='crown' bounds it too")
    rounding = _rounding(network, boxes, rows)
    bounds = Bounds(np.minimum(low, high) - rounding, np.maximum(low, high) + rounding)
    if network.maxima:  # auto-LiRPA gets max pooling as ReLUs, without what they forget
        bounds = bounds.intersect(interval_bounds(network, boxes, rows).rows)
    return LayerBounds((), bounds)


def _graph(auto_lirpa: Any, network: Network, options: dict[str, Any]) -> Any:
    """Build auto-LiRPA's graph of a network."""
    import torch

    example = torch.zeros(1, network.inputs, dtype=torch.float64)
    return auto_lirpa.BoundedModule(_module(network), example, bound_opts={**_OPTIONS, **options}, device="cpu")


def _kept(auto_lirpa: Any, network: Network) -> Any:
    """The graph of a network, from an earlier call about the same numbers if there was one.

    It is found by the content of what was read, never by an object that a caller may have changed since.
    """
    if sum(math.prod(layer.weight.shape) for layer in network.layers) > KEPT_WEIGHTS:
        return _graph(auto_lirpa, network, {})
    content = hashlib.blake2b()
    for layer in network.layers:
        content.update(repr(layer.weight.shape).encode())
        content.update(np.ascontiguousarray(dense(layer.weight)).tobytes() + layer.bias.tobytes())
    key = auto_lirpa.BoundedModule, content.digest()
    if key not in _graphs:
        _graphs[key] = _graph(auto_lirpa, network, {})
        while len(_graphs) > KEPT_GRAPHS:
            _graphs.popitem(last=False)
    _graphs.move_to_end(key)
    return _graphs[key]


def _stop_after(started: float, seconds: float, batch: int) -> Callable[[Any], Any]:
    """Make what CROWN-Optimized asks at every step, for the lower bounds and then for the upper ones: whether to stop.

    The lower bounds may take half of the time that is left, the upper ones the rest.
    """
    import torch

    asked, upper = 0, False
    half = 0.0

    def stop(bounds: Any) -> Any:
        nonlocal asked, upper, half
        now = time.perf_counter() - started
        half = half or now + 0.5 * (seconds - now)
        asked += 1
        over = now >= (seconds if upper else half)
        upper = upper or over or asked == ITERATIONS
        return torch.full((batch, 1), over)

    return stop


def _module(network: Network) -> Any:
    """Build the layers as a torch module in float64."""
    import torch
    from torch import nn

    largest = max(math.prod(layer.weight.shape) for layer in network.layers)
    if largest > MAX_ENTRIES:
        raise BoundsError(f"auto-LiRPA gets layers as dense matrices, and one would have {largest:.0e} entries")
    undrawn: Any = nn.utils.skip_init  # first weights would be drawn from the caller's random numbers
    parts: list[nn.Module] = []
    for index, layer in enumerate(network.layers):
        out_features, in_features = layer.weight.shape
        linear = undrawn(nn.Linear, in_features, out_features, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(dense(layer.weight)))
            linear.bias.copy_(torch.from_numpy(layer.bias))
        parts.append(linear)
        if index < len(network.layers) - 1:
            parts.append(nn.ReLU())
    return nn.Sequential(*parts).eval().requires_grad_(False)


def _rounding(network: Network, boxes: Bounds, rows: Array) -> Array:
    """Bound what a bounding pass in float64 can round, shape (batch, rows); see the head of this file."""
    magnitude = boxes.magnitude
    uncertain = np.zeros_like(magnitude)  # radius of folded weights, seen from the inputs on
    terms = 0
    for layer in network.layers:
        spread = forward(layer.magnitude, uncertain)
        if layer.weight_error is not None:
            spread = spread + 1.001 * forward(layer.weight_error, magnitude + uncertain)
        if layer.bias_error is not None:
            spread = spread + layer.bias_error
        uncertain = spread
        magnitude = forward(layer.magnitude, magnitude) + np.abs(layer.bias)
        terms = max(terms, *layer.weight.shape)
    reach = (magnitude + uncertain) @ np.abs(rows).T
    # every layer's own bounds are rounded too, and each feeds the relaxations of those after it
    steps = 8 * len(network.layers) * (len(network.layers) + 1)
    return np.asarray(steps * gamma(terms) * reach + 2.0 * (uncertain @ np.abs(rows).T) + UNDERFLOW)


@contextlib.contextmanager
def _one_thread(network: Network) -> Iterator[None]:
    """Compute on one thread where the matrices are small: waking a second one takes longer than the work."""
    import torch

    before = torch.get_num_threads()
    if max(layer.weight.size for layer in network.layers) <= ONE_THREAD_WEIGHTS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
