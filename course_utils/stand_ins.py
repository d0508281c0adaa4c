"""What the labs go on with where a student skipped an exercise: data, stored networks, and boxes.

None of it answers an exercise: checks give no points for the course's own networks, and the boxes take other arguments
than the functions that students write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from verifier.errors import missing

try:
    import torch
    from torch import nn
except ImportError as error:
    raise missing("course_utils.stand_ins needs torch, which is not installed", "torch") from error

from course_utils.data import (
    VALID_RANGE,
    circle_network,
    load_file,
    network_from_arrays,
    noisy_digit,
    repaired_circle_network,
)
from course_utils.models import Normalise
from verifier import Box
from verifier.asking.robustness import perturbation_box

DIGIT_NETWORKS = ("usual", "proof", "interval", "wide")
ALIKE = 0.02  # two networks whose outputs differ by less than this share of their spread are one and the same


def digit_network(name: str) -> nn.Sequential:
    """One of the course's networks for digits: Normalise and 784-128-64-10.

    Args:
        name: "usual"; "proof", trained for proofs; "interval", likewise with interval bounds alone; "wide", trained for
            proofs at a very large radius.

    Raises:
        ValueError: No network has that name.
    """
    if name not in DIGIT_NETWORKS:
        raise ValueError(f"name: found {name!r}, expected one of {', '.join(DIGIT_NETWORKS)}")
    stored = load_file("digit_networks.npz")
    own = {key.removeprefix(f"{name}_"): value for key, value in stored.items() if key.startswith(f"{name}_")}
    return nn.Sequential(Normalise(), *network_from_arrays(own)).eval()


def attacked_shares(name: str) -> list[float]:
    """The attacked accuracy of `digit_network(name)` on the first 100 test digits, at lab 2's radii, as measured."""
    return [float(share) for share in load_file("digit_networks.npz")[f"{name}_attacked"]]


def is_courses_own(net: Any) -> bool:
    """Whether a network computes what one of the course's stored networks does, in whatever form it comes."""
    known = [circle_network(), repaired_circle_network(), noisy_digit().net, *map(digit_network, DIGIT_NETWORKS)]
    return any(alike(net, own) for own in known)


def pixel_box(image: Any, pixels: int | Iterable[int], lowest: float, highest: float) -> Box:
    """The images that agree with one but for some pixels, which take any grey value from `lowest` to `highest`.

    Args:
        image: 784 grey values.
        pixels: One pixel's place, 0 to 783, or several.
        lowest: Of these pixels.
        highest: Likewise.
    """
    lower = np.asarray(torch.as_tensor(image).detach(), dtype=float).reshape(-1).copy()
    upper = lower.copy()
    chosen = [pixels] if isinstance(pixels, int) else list(pixels)
    lower[chosen], upper[chosen] = lowest, highest
    return Box(lower, upper)


def box_around(image: Any, radius: float) -> Box:
    """All images of which no pixel differs from one by more than `radius`, cut to black and white."""
    return perturbation_box(image, radius, clip=VALID_RANGE)


def upper_half_box(image: Any) -> Box:
    """The images that agree with one in their lower half, and differ by at most 0.3 in the 392 pixels above it."""
    x = np.asarray(torch.as_tensor(image).detach(), dtype=float).reshape(-1)
    moving = np.where(np.arange(784) < 392, 0.3, 0.0)
    return Box(x - moving, x + moving)


def limits_at(net: nn.Module, image: torch.Tensor) -> list[list[float]]:
    """Ten limits, 0.01 below and above the outputs at one image."""
    with torch.no_grad():
        outputs = net(image.reshape(1, -1))[0]
    return [[value - 0.01, value + 0.01] for value in outputs.tolist()]


def pixel_map() -> tuple[torch.Tensor, torch.Tensor]:
    """One image and the map of part 5 for it, as `digit_network("usual")` has it: 784 grey values, 784 deltas."""
    stored = load_file("pixel_map.npz")
    return torch.from_numpy(stored["image"]).float(), torch.from_numpy(stored["smallest"]).float()


def alike(net: Any, own: nn.Module, within: float = ALIKE) -> bool:
    """Whether two networks give nearly the same outputs at random inputs, each output scaled and shifted as it may be.

    Args:
        net: A student's network, or anything else.
        own: The course's network.
        within: How far the outputs may be apart, as a share of their spread.
    """
    width = next(own.parameters()).shape[1]
    x = torch.rand(64, width, generator=torch.Generator().manual_seed(7))
    try:
        parameter = next(iter(net.parameters()), x)
        with torch.no_grad():
            found, known = net(x.to(parameter.dtype)).double(), own(x).double()
    except Exception:  # a network of another shape refuses these inputs in whatever way it likes
        return False
    if found.shape != known.shape:
        return False
    found, known = (y - y.mean(dim=0) for y in (found, known))
    found, known = (y / y.std(dim=0).clamp(min=1e-300) for y in (found, known))
    return bool((found - known).abs().max() <= within)
