"""CROWN: linear bounds propagated backward through the network, ours, batched over boxes, in float64.

To bound a row below, walk from it to the input. Before a ReLU stands a coefficient for each of its outputs: where it is
negative the line above ReLU is needed, where it is positive the line below. What is left at the input is a linear
function of x, and a box gives its minimum. Every step adds what it may have rounded to one error term, which is taken
off at the end: for coefficients c on values of a layer that error is |c| . e, with e the layer's own rounding error at
the largest magnitudes that its inputs can have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from verifier.bounds.interval import relu_interval, row_interval
from verifier.bounds.layers import LayerBounds, Plane
from verifier.bounds.relaxation import LinearRelaxation, relax_relu, relaxation_gap
from verifier.enclosure import UNDERFLOW, Array, Bounds, Indices, gamma
from verifier.matrix import dense, is_sparse
from verifier.network import Network

ENTRIES = 2.0**24  # of a chunk of backward passes, 128 MiB for each of the arrays it needs


@dataclass(frozen=True, eq=False)
class _Passed:
    """A hidden layer whose bounds are known: what a backward pass needs of it."""

    pre: Bounds
    relaxation: LinearRelaxation
    relu_error: Array  # rounding of slope * z + offset, (batch, neurons)

    def part(self, neurons: Indices) -> _Passed:
        """The same of some neurons only."""
        lines = self.relaxation
        chosen = LinearRelaxation(*(getattr(lines, one.name)[:, neurons] for one in fields(lines)))
        z = Bounds(self.pre.lower[:, neurons], self.pre.upper[:, neurons])
        return _Passed(z, chosen, self.relu_error[:, neurons])


@dataclass(frozen=True, eq=False)
class _Backward:
    """The outcome of one backward pass for rows (batch, rows): coefficients at the input, offset and rounding error."""

    slope: Array
    offset: Array
    error: Array
    weights: list[Array]  # coefficients before each ReLU, first layer first, (batch, rows, neurons)


def crown_bounds(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, *, intersect: bool = True,
    stop: Callable[[], bool] = lambda: False, influence: bool = True, above: bool = True,
) -> LayerBounds:  # fmt: skip
    """Bound every pre-activation and the rows by backward linear bounds (CROWN), widened by the rounding term.

    Each unstable neuron's own bounds come from a backward pass too; a neuron that interval arithmetic on the layers
    before (or `known`) finds stable keeps those bounds, since its relaxation is exact and no tighter bound matters.

    Args:
        network: What is bounded; sound for every Network.
        boxes: Input boxes, (batch, inputs).
        rows: Linear functions of the logits, (rows, logits).
        known: Bounds on each hidden layer that hold already; the result is no looser.
        intersect: Whether hidden bounds and rows keep the better of interval and backward bound, one by one; False
            is CROWN as published, and equal to auto-LiRPA's. A network with max pooling always does.
        stop: Asked now and then whether time is up; then the hidden neurons left keep interval bounds.
        influence: Whether to keep what inputs do to each neuron, which only a search that splits inputs needs;
            it takes neurons times inputs numbers.
        above: Whether the rows are bounded above by a backward pass, too, and not by intervals alone.

    Returns:
        LayerBounds with planes, influence and error weights for the search.

    Source:
        Zhang, Weng, Chen, Hsieh, Daniel. Efficient Neural Network Robustness Certification with General Activation
        Functions. NeurIPS 2018. Departs from it by the rounding term.
    """
    passed: list[_Passed] = []
    slopes: list[Array] = []
    # the largest magnitudes entering each layer, and each layer's rounding error at them
    magnitude = boxes.magnitude
    outputs = [boxes]
    intersect = intersect or bool(network.maxima)  # max pooling as ReLUs alone is nothing that was published
    errors: list[Array] = []
    batch = len(boxes.lower)
    for index, layer in enumerate(network.layers):
        errors.append(layer.error(magnitude))
        if index == len(network.layers) - 1:
            break
        z = network.bound_layer(index, outputs)
        if known is not None:
            z = z.intersect(known[index])
        if index == 0 and influence:
            slopes.append(np.broadcast_to(dense(layer.magnitude), (batch, *layer.weight.shape)))
        elif index > 0:
            slope = np.zeros((batch, layer.weight.shape[0], network.inputs)) if influence else None
            z = _tighten(network, index, z, passed, errors, boxes, intersect, stop, slope)
            slopes += [] if slope is None else [slope]
        relaxation = relax_relu(z)
        magnitude = np.maximum(z.upper, 0.0)
        relu_error = gamma(2) * (np.where(relaxation.upper_slope > 0, z.magnitude, 0.0) + relaxation.upper_offset)
        passed.append(_Passed(z, relaxation, relu_error))
        outputs.append(relu_interval(z))
    lower_pass, below = _rows_lower(network, rows, passed, errors, boxes)
    # each row is within its plane everywhere in the box; the plane's own rounding is taken off its offset
    plane = Plane(lower_pass.slope, lower_pass.offset - lower_pass.error)
    upper = -_rows_lower(network, -rows, passed, errors, boxes)[1] if above else np.full_like(below, np.inf)
    bounds = Bounds(below, np.maximum(upper, below))
    if intersect or not above:  # a line below ReLU can lose at a kink what the interval of its output keeps
        bounds = bounds.intersect(row_interval(network, outputs[-1], rows))
    error_weight = tuple(_cost(weights, one) for weights, one in zip(lower_pass.weights, passed, strict=True))
    return LayerBounds(
        tuple(one.pre for one in passed),
        bounds,
        plane,
        tuple(slopes) if influence else None,
        error_weight,
        slopes=tuple(one.relaxation.lower_slope for one in passed),
    )


def _cost(weights: Array, passed: _Passed) -> Array:
    """How much each neuron's relaxation costs each row at worst."""
    below, above = relaxation_gap(passed.pre, passed.relaxation)
    return np.asarray(np.maximum(weights, 0.0) * below[:, None, :] - np.minimum(weights, 0.0) * above[:, None, :])


def _tighten(
    network: Network,
    index: int,
    z: Bounds,
    passed: list[_Passed],
    errors: list[Array],
    boxes: Bounds,
    intersect: bool,
    stop: Callable[[], bool],
    influence: Array | None,
) -> Bounds:
    """Tighten interval bounds on layer `index` by backward passes for the neurons that are unstable in some box."""
    batch = len(boxes.lower)
    chosen = np.flatnonzero(((z.lower < 0) & (z.upper > 0)).any(axis=0))
    if chosen.size == 0:
        return z
    widest = max(one.weight.shape[1] for one in network.layers[: index + 1])
    at_once = max(1, int(ENTRIES / (2 * batch * widest)))
    lower, upper = z.lower.copy(), z.upper.copy()
    for first in range(0, chosen.size, at_once):
        if stop():
            break
        some = chosen[first : first + at_once]
        bounds = _bound_neurons(network, index, some, passed, errors, boxes, influence)
        _take_bounds(lower, upper, z, some, bounds, intersect)
    return Bounds(lower, upper)


def _bound_neurons(
    network: Network, index: int, chosen: Indices, passed: list[_Passed], errors: list[Array], boxes: Bounds,
    influence: Array | None,
) -> Array:  # fmt: skip
    """Lower-bound z, then -z, of neurons of layer `index`, (batch, 2 neurons), and write down their influence."""
    layer, count = network.layers[index], chosen.size
    weight = layer.rows(chosen)
    both = np.concatenate([weight, -weight])
    offset = np.concatenate([layer.bias[chosen], -layer.bias[chosen]])
    start = np.concatenate([errors[index][:, chosen]] * 2, axis=1)
    found = _backward(network, index, both, offset, start, passed, errors)
    if influence is not None:
        influence[:, chosen] = np.maximum(np.abs(found.slope[:, :count]), np.abs(found.slope[:, count:]))
    return _minimum(found, boxes)


def _take_bounds(
    lower: Array, upper: Array, z: Bounds, chosen: Indices, bounds: Array, intersect: bool
) -> None:  # fmt: skip
    """Put the neurons' backward bounds into lower and upper, which begin as the interval bounds z."""
    count = chosen.size
    if intersect:
        lower[:, chosen] = np.maximum(lower[:, chosen], bounds[:, :count])
        upper[:, chosen] = np.minimum(upper[:, chosen], -bounds[:, count:])
    else:  # a neuron may be stable in one box of the batch and unstable in another
        unstable = ((z.lower < 0) & (z.upper > 0))[:, chosen]
        lower[:, chosen] = np.where(unstable, bounds[:, :count], lower[:, chosen])
        upper[:, chosen] = np.where(unstable, -bounds[:, count:], upper[:, chosen])


def _rows_lower(
    network: Network, rows: Array, passed: list[_Passed], errors: list[Array], boxes: Bounds
) -> tuple[_Backward, Array]:
    """Lower-bound the rows of the logits."""
    last = network.layers[-1]
    start = errors[-1] @ np.abs(rows).T * 1.001  # computing rows @ weight rounds no more than computing rows @ z
    start = start + gamma(rows.shape[1]) * (_reach(network, passed, boxes) @ np.abs(rows).T)
    found = _backward(network, len(network.layers) - 1, rows @ last.weight, rows @ last.bias, start, passed, errors)
    return found, _minimum(found, boxes)


def _reach(network: Network, passed: list[_Passed], boxes: Bounds) -> Array:
    """Bound sum |weight| |h| + |bias| of the last layer, the magnitudes that rows @ weight sums over."""
    last = network.layers[-1]
    h = np.maximum(passed[-1].pre.upper, 0.0) if passed else boxes.magnitude
    return np.asarray(h @ last.magnitude.T + np.abs(last.bias))


def _backward(
    network: Network, index: int, weight: Array, offset: Array, start_error: Array, passed: list[_Passed],
    errors: list[Array],
) -> _Backward:  # fmt: skip
    """Walk from rows on the inputs h of layer `index` back to x.

    Args:
        network: What is bounded.
        index: The layer whose inputs the rows speak of.
        weight: Shape (rows, neurons of layer index - 1, or inputs).
        offset: Shape (rows,).
        start_error: What computing weight and offset may have rounded, seen at the row, (batch, rows).
        passed: The hidden layers before.
        errors: Rounding error of each layer at its largest inputs, (batch, neurons).
    """
    batch = start_error.shape[0]
    coefficients = weight[None]  # (1 or batch, rows, neurons): the first ReLU makes it differ by box
    total = np.broadcast_to(offset, start_error.shape)
    error = start_error + gamma(1) * np.abs(offset)
    reach = np.abs(offset)
    weights: list[Array] = []
    for k in range(index - 1, -1, -1):
        one, layer, layer_error = passed[k], network.layers[k], errors[k]
        weights.insert(0, _for_each(coefficients, batch))
        if is_sparse(layer.weight):  # then few of its neurons are seen by these rows, and few of them are not 0
            used = np.flatnonzero(coefficients.any(axis=(0, 1)) & (one.pre.upper > 0).any(axis=0))
            coefficients, one, layer, layer_error = (
                coefficients[:, :, used],
                one.part(used),
                layer.part(used),
                layer_error[:, used],
            )
        positive, negative = np.maximum(coefficients, 0.0), np.minimum(coefficients, 0.0)
        relaxation = one.relaxation
        added = _dot(negative, relaxation.upper_offset)
        error = error + _dot(positive - negative, one.relu_error)
        coefficients = positive * relaxation.lower_slope[:, None, :] + negative * relaxation.upper_slope[:, None, :]
        size = np.abs(coefficients)
        bias = coefficients @ layer.bias
        bias_size = size @ np.abs(layer.bias)
        reach = reach + np.abs(added) + bias_size
        error = error + _dot(size, layer_error) * 1.001 + gamma(layer.bias.size) * (bias_size + np.abs(added))
        total = total + added + bias
        coefficients = layer.backward(coefficients)
    # the sums of `total`, one rounding each at most of the size of `reach`
    error = (error + gamma(2 * index) * reach) * 1.001 + UNDERFLOW
    return _Backward(_for_each(coefficients, batch), total, error, weights)


def _for_each(rows: Array, batch: int) -> Array:
    """Rows of shape (1 or batch, ...) as (batch, ...)."""
    return rows if len(rows) == batch else np.broadcast_to(rows, (batch, *rows.shape[1:]))


def _dot(rows: Array, values: Array) -> Array:
    """Sum rows (1 or batch, rows, n) times values (batch, n) over n."""
    return np.asarray((rows @ values[..., None])[..., 0])


def _minimum(found: _Backward, boxes: Bounds) -> Array:
    """Minimise the linear functions over the boxes and take the rounding error off, shape (batch, rows)."""
    positive, negative = np.maximum(found.slope, 0.0), np.minimum(found.slope, 0.0)
    value = _dot(positive, boxes.lower) + _dot(negative, boxes.upper)
    size = _dot(positive - negative, boxes.magnitude)
    value_size = size + np.abs(found.offset)
    return np.asarray(
        value + found.offset - found.error - gamma(boxes.lower.shape[1] + 2) * 2.0 * value_size - UNDERFLOW
    )
