"""Subject: a Network together with the caller's object that it was read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.enclosure import Array
from verifier.network import Network


@dataclass(frozen=True, eq=False)
class Subject:
    """A Network together with the object the caller passed in, for replay.

    Args:
        network: What is verified.
        run: The caller's own object on a batch (batch, inputs) of float64 values that its dtype can hold; returns
            (batch, outputs) in float64, each row exactly what the object computes for that point alone. Leaves the
            batch as it is.
        round: Rounds float64 values to the nearest that the caller's dtype can hold.
        to_caller: Turns one point, shape (inputs,), into what can be fed to the caller's object as it is: a copy,
            which the caller's object may overwrite.
        name: What to call it in messages.
        from_file: Whether it was read from a file, for which torch is not imported.
        note: What a Result should say of the replay, e.g. that onnxruntime took no part in it; "" for nothing.
        check: Compares what the caller's object gave at points (batch, inputs), (batch, outputs), with the network;
            raises NetworkError where they differ by more than rounding.
    """

    network: Network
    run: Callable[[Array], Array]
    round: Callable[[Array], Array]
    to_caller: Callable[[Array], Any]
    name: str = "net"
    from_file: bool = False
    note: str = ""
    check: Callable[[Array, Array], None] | None = None

    @staticmethod
    def of_network(network: Network) -> Subject:
        """Wrap a Network that is its own caller's object, in float64."""
        run = one_by_one(network)
        return Subject(network, run, lambda x: x, lambda x: x.reshape(network.input_shape).copy(), "Network")


def one_by_one(network: Network) -> Callable[[Array], Array]:
    """Make what runs a Network point by point: a product of matrices may round a row otherwise than the row alone."""

    def run(x: Array) -> Array:
        return np.concatenate([network(point[None]) for point in x]) if len(x) else network(x)

    return run
