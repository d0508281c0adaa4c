"""What CROWN and a call of auto-LiRPA will cost, told before: once begun, auto-LiRPA cannot be cut short."""

from __future__ import annotations

import sys

from verifier.network import Network

# Measured with release 0.3 on one core, for 1 to 80 layers of 20 to 3000 neurons: the sum is 0.5 to 3 times the truth.
IMPORT_S = 1.5  # once per process
GRAPH_S = 0.02
LAYER_PAIR_S = 3.5e-4  # a backward pass from each layer takes a step for each layer before it
PRODUCTS_PER_S = 5e9
OPTIMISER_S = 1.5  # torch loads what its optimisers need when the first one is made
OPTIMISED_PASSES = 6  # of CROWN-Optimized before it can be stopped: for the slopes it starts from, and a step each side


def backward_seconds(network: Network) -> float:
    """Estimate the seconds of the products of CROWN's backward passes, one from each layer, as dense matrices."""
    products, before = 0, 0
    for layer in network.layers:
        out_features, in_features = layer.weight.shape
        before += out_features * in_features
        products += out_features * before
    return products / PRODUCTS_PER_S


def lirpa_seconds(network: Network, optimised: bool = False) -> float:
    """Estimate the seconds that auto-LiRPA's CROWN takes on a network, its import included where that is still to come.

    Args:
        network: What is to be bounded.
        optimised: Whether by CROWN-Optimized, up to the point from which on it can be stopped.

    Example:
        >>> from verifier.network import Affine
        >>> one = Affine([[1.0]], [0.0])
        >>> lirpa_seconds(Network((one,) * 300)) > 30  # it grows with the square of the depth
        True
    """
    first = IMPORT_S if "auto_LiRPA" not in sys.modules else 0.0
    one = GRAPH_S + LAYER_PAIR_S * len(network.layers) ** 2 + backward_seconds(network)
    if not optimised:
        return first + one
    first += OPTIMISER_S if "torch._dynamo" not in sys.modules else 0.0
    return first + OPTIMISED_PASSES * one
