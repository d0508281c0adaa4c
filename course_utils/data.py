"""The data of the labs: points around a circle, and the small files that data_files/README.md lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from verifier.spec import OutputSpec

CENTRE = (0.5, 0.5)  # of lab 1's circle
RADIUS = 0.5
DOMAIN = (0.0, 1.5)  # lab 1 draws both inputs from here


class CircleDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Points with their labels, in the form that torch's DataLoader reads.

    Args:
        points: Shape (num, 2).
        labels: 1 (inside) or 0 (outside) for each point, shape (num,) or (num, 1).

    Raises:
        ValueError: The shapes do not belong together.
    """

    def __init__(self, points: Any, labels: Any) -> None:
        """Keep both as float32."""
        self.points = torch.as_tensor(points, dtype=torch.float32)
        self.labels = torch.as_tensor(labels, dtype=torch.float32).reshape(-1, 1)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points: found shape {tuple(self.points.shape)}, expected (num, 2): one row a point")
        if len(self.points) != len(self.labels):
            raise ValueError(f"labels: found {len(self.labels)} for {len(self.points)} points; expected one a point")

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One point, shape (2,), and its label, shape (1,)."""
        return self.points[index], self.labels[index]


@dataclass(frozen=True)
class NoisyDigit:
    """A digit, the same digit with a little noise, and the network that the noise fools.

    Attributes:
        image: Grey values in [0, 1], float32, shape (28, 28).
        noisy: The same with noise.
        label: The digit that both show.
        net: Takes (num, 784), gives ten scores, the largest of which names the digit.
    """

    image: torch.Tensor
    noisy: torch.Tensor
    label: int
    net: nn.Sequential


def load_file(name: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of one file in data_files/."""
    with (files("course_utils") / "data_files" / name).open("rb") as stream, np.load(stream) as arrays:
        return dict(arrays)


def network_from_arrays(arrays: dict[str, np.ndarray[Any, Any]]) -> nn.Sequential:
    """A network of Linear layers with ReLU between them, from the arrays `0_weight`, `0_bias`, `2_weight`, ..."""
    layers: list[nn.Module] = []
    for place in sorted(int(name.removesuffix("_weight")) for name in arrays if name.endswith("_weight")):
        weight, bias = (torch.from_numpy(arrays[f"{place}_{part}"]).float() for part in ("weight", "bias"))
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def noisy_digit() -> NoisyDigit:
    """The image pair that opens lab 1; 8-bit grey values, divided by 255."""
    arrays = load_file("noisy_digit.npz")
    image, noisy = (torch.from_numpy(arrays[name] / np.float32(255)) for name in ("image", "noisy"))
    return NoisyDigit(image, noisy, int(arrays["label"]), network_from_arrays(arrays))


def circle_points() -> tuple[torch.Tensor, torch.Tensor]:
    """The course's own 2,000 labelled points, for those who go on without theirs: shapes (2000, 2) and (2000, 1)."""
    arrays = load_file("circle.npz")
    return torch.from_numpy(arrays["points"]), torch.from_numpy(arrays["labels"]).float().reshape(-1, 1)


def circle_network() -> nn.Sequential:
    """The course's own first network, 2-64-64-1, trained on `circle_points()`."""
    return network_from_arrays(load_file("circle.npz"))


def circle_property(number: int) -> tuple[list[list[float]], OutputSpec]:
    """x_specs and y_specs of lab 1's property 1 or 2, for those who go on without theirs."""
    from verifier.spec import from_data

    entry = json.loads((files("course_utils") / "data_files" / "circle_specs.json").read_text())[str(number)]
    return entry["x_specs"], from_data(entry["y_specs"])
