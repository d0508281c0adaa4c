"""Whole-number networks as torch modules: bit by bit with popcounts, and as ReLU layers that a verifier reads."""

from __future__ import annotations

import numpy as np

from verifier.errors import SketchError, missing

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise missing("networks as torch modules need torch, which is not installed", "torch") from error

from verifier.synthesis.network import WholeNetwork


class BinaryNetwork(nn.Module):
    """A network of bits: a hidden bit is popcount(xnor(inputs, weights)) >= a threshold, outputs are popcounts.

    It computes on bits what its WholeNetwork computes on -1 and 1. A popcount is a whole number: nothing is rounded.

    Args:
        network: With activation "sign" and weights of -1 and 1.

    Raises:
        SketchError: It has another activation or other weights.
    """

    def __init__(self, network: WholeNetwork) -> None:
        """Store the bits, and the thresholds: 2 popcount - inputs + bias >= 0."""
        super().__init__()
        if network.sketch.activation != "sign" or any((abs(weight) != 1).any() for weight in network.weights):
            raise SketchError("network: expected activation 'sign' and weights of -1 and 1")
        self.layers = len(network.weights)
        for place, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            self.register_buffer(f"bits_{place}", torch.from_numpy(weight > 0))
            # popcount >= (inputs - bias) / 2, rounded up
            least = -((bias - weight.shape[1]) // 2)
            self.register_buffer(f"threshold_{place}", torch.from_numpy(least))
            self.register_buffer(f"bias_{place}", torch.from_numpy(bias))

    def forward(self, bits: Tensor) -> Tensor:
        """The last layer's popcounts plus half its biases, (num, outputs), for bits of shape (num, inputs)."""
        h = bits.bool()
        for place in range(self.layers):
            count = (h[:, None, :] == self.get_buffer(f"bits_{place}")).sum(dim=2)
            if place == self.layers - 1:
                return count + self.get_buffer(f"bias_{place}").double() / 2
            h = count >= self.get_buffer(f"threshold_{place}")
        raise AssertionError("a network has a last layer")


def as_relus(network: WholeNetwork) -> nn.Sequential:
    """Linear layers and ReLUs that compute exactly the outputs of a network, at whole-number inputs.

    The sign of a whole number z is 2 (relu(z + 1) - relu(z)) - 1. Between whole numbers it is a ramp, so a proof about
    a box of real inputs covers the whole-number ones in it, while a counterexample may lie between them.

    Returns:
        A float64 module, in eval mode; inputs (num, inputs), outputs (num, outputs).

    Raises:
        SketchError: Its sums wrap around, or it has ReLU on its outputs.
    """
    sketch = network.sketch
    if sketch.bits is not None or sketch.output_relu:
        raise SketchError("network: sums that wrap around and ReLU on the outputs are not written as ReLU layers")
    parts: list[nn.Module] = []
    carry, offset = None, None  # the next layer's inputs are carry @ (what the ReLUs give) + offset
    for place, (rows, by) in enumerate(zip(network.weights, network.biases, strict=True)):
        weight = (rows * np.asarray(sketch.scale(rows.shape[1]))).astype(np.float64)
        bias = by.astype(np.float64)
        if carry is not None and offset is not None:
            weight, bias = weight @ carry, bias + weight @ offset
        if place == len(network.weights) - 1:
            parts.append(_linear(weight, bias))
            break
        if sketch.activation == "relu":
            parts += [_linear(weight, bias), nn.ReLU()]
            continue
        bias = bias - sketch.threshold
        parts += [_linear(np.vstack([weight, weight]), np.concatenate([bias + 1, bias])), nn.ReLU()]
        size = len(by)
        carry, offset = np.hstack([2 * np.eye(size), -2 * np.eye(size)]), -np.ones(size)
    return nn.Sequential(*parts).eval()


def _linear(weight: np.ndarray[tuple[int, ...], np.dtype[np.float64]], bias: object) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.as_tensor(bias)})
    return layer.requires_grad_(False)
