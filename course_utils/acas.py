"""Lab 6's aircraft: three of the 45 ACAS Xu networks, four properties, and how a flight looks.

A network takes five numbers: the distance to the intruder (ft), the angle to it and its heading, both seen from the own
ship (rad), and the two speeds (ft/s), each scaled to about [-0.5, 0.5]. It gives a score for each of five advisories;
the smallest score wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from course_utils.data import load_file, network_from_arrays

ADVISORIES = ("clear of conflict", "weak left", "weak right", "strong left", "strong right")
INPUTS = ("distance (ft)", "angle to the intruder (rad)", "its heading (rad)", "own speed (ft/s)", "its speed (ft/s)")
NETWORKS = ("1_1", "1_6", "2_2")
MEAN = np.array([19791.091, 0.0, 0.0, 650.0, 600.0])
RANGE = np.array([60261.0, 2 * np.pi, 2 * np.pi, 1100.0, 1200.0])
DEGREES_PER_S = (0.0, 1.5, -1.5, 3.0, -3.0)  # how fast each advisory turns the own ship, left counted positive

Array = NDArray[Any]


@dataclass(frozen=True)
class Property:
    """What must hold of a network: for every input of a box, the advisory is not the forbidden kind.

    Args:
        number: 1 to 4, as in the Reluplex paper.
        words: What it says.
        box: One (lower, upper) pair per scaled input.
        unsafe: The unsafe outputs y have rows @ y <= limits in every row.
    """

    number: int
    words: str
    box: tuple[tuple[float, float], ...]
    unsafe: tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]


def acas_network(name: str) -> nn.Sequential:
    """One of the three networks, "1_1", "1_6" or "2_2": 5 inputs, six layers of 50 neurons, 5 outputs.

    Raises:
        ValueError: It is not one of them.
    """
    if name not in NETWORKS:
        raise ValueError(f"name: found {name!r}, expected one of {', '.join(NETWORKS)}")
    stored = load_file("acasxu.npz")
    own = {key.removeprefix(f"{name}_"): value for key, value in stored.items() if key.startswith(f"{name}_")}
    return network_from_arrays(own).eval()


WORDS = {
    1: "A distant, much slower intruder: the score of 'clear of conflict' stays at or below 3.9911.",
    2: "A distant, much slower intruder: 'clear of conflict' is never the worst advice.",
    3: "An intruder straight ahead that comes towards us: 'clear of conflict' is not the best advice.",
    4: "An intruder straight ahead that flies away, slower than we are: 'clear of conflict' is not the best advice.",
}


def acas_property(number: int) -> Property:
    """Property 1, 2, 3 or 4."""
    box = load_file("acasxu.npz")[f"prop_{number}"]
    unit, rows, limits = np.eye(5), [], []
    if number == 1:
        rows, limits = [-unit[0]], [-(3.991125645861615)]
    elif number == 2:
        rows, limits = [unit[k] - unit[0] for k in range(1, 5)], [0.0] * 4
    else:
        rows, limits = [unit[0] - unit[k] for k in range(1, 5)], [0.0] * 4
    return Property(
        number, WORDS[number], tuple((float(low), float(high)) for low, high in box),
        (tuple(tuple(float(v) for v in row) for row in rows), tuple(limits)),
    )  # fmt: skip


def scaled(physical: Any) -> Array:
    """From feet, radians and feet per second to what a network takes; (..., 5)."""
    return np.asarray((np.asarray(physical, dtype=np.float64) - MEAN) / RANGE)


def physical(inputs: Any) -> Array:
    """The other way round."""
    return np.asarray(np.asarray(inputs, dtype=np.float64) * RANGE + MEAN)


def advisory(net: nn.Module, inputs: Any) -> Array:
    """The number of the advisory with the smallest score for each scaled input, (..., 5)."""
    with torch.no_grad():
        scores = net(torch.as_tensor(np.asarray(inputs), dtype=torch.float32).reshape(-1, 5))
    return np.asarray(scores.argmin(dim=1).reshape(np.asarray(inputs).shape[:-1]).numpy())


def flight(state: Any, turn: float, seconds: float = 60.0) -> tuple[Array, Array]:
    """Where both aircraft are second by second, (seconds + 1, 2) each in ft, the own ship from (0, 0) to the north.

    Args:
        state: Distance, angle, heading, speeds, unscaled.
        turn: How fast the own ship turns, in degrees per second, to the left; the intruder flies straight on.
        seconds: How long.
    """
    distance, angle, heading, own_speed, speed = (float(v) for v in np.asarray(state).reshape(-1))
    t = np.arange(seconds + 1.0)
    facing = np.pi / 2 + np.deg2rad(turn) * t
    steps = own_speed * np.stack([np.cos(facing), np.sin(facing)], axis=1)
    own = np.concatenate([np.zeros((1, 2)), np.cumsum(steps[:-1], axis=0)])
    start = distance * np.array([np.cos(np.pi / 2 + angle), np.sin(np.pi / 2 + angle)])
    way = speed * np.array([np.cos(np.pi / 2 + heading), np.sin(np.pi / 2 + heading)])
    return own, start + t[:, None] * way
