"""Steps: what a frontend reads, one operation of the caller's network each, arrays as they were stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from verifier.network import Head

HEADS = {"Sigmoid": Head.SIGMOID, "Softmax": Head.SOFTMAX, "LogSoftmax": Head.LOG_SOFTMAX}
INPUT = -1  # the position of the network's input, as a source
SHAPE_ONLY = ("Flatten", "Reshape", "Identity", "Dropout")


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of the caller's network.

    Args:
        kind: One of KINDS in kinds.py.
        where: Position and name in the caller's network, for messages.
        arrays: The weights, in the dtype they are stored in.
        options: Plain data: strides, padding, eps, ...
        shape: Shape of the output, with a batch of 1.
        sources: Positions of the steps whose outputs it takes, INPUT for the network's input; none for the step before.
            A "Sum" has two, and "signs" in its options; a "Join" any number, and in "index" for each of them which of
            its values stands at each place, -1 where none does.
    """

    kind: str
    where: str
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    sources: tuple[int, ...] = ()
