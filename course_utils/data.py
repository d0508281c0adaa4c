"""The data of the labs: points around a circle, MNIST digits, and the small files that data_files/README.md lists."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from verifier.errors import missing

try:
    import torch
    from torch import nn
    from torch.utils.data import Dataset
except ImportError as error:
    raise missing("course_utils.data needs torch, which is not installed", "torch") from error

CENTRE = (0.5, 0.5)  # of lab 1's circle
RADIUS = 0.5
DOMAIN = (0.0, 1.5)  # lab 1 draws both inputs from here

MNIST_FOLDER = "NNV_MNIST"  # the environment variable that names a folder for the whole set
VALID_RANGE = (0.0, 1.0)  # of a grey value: black and white


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


class DigitDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Digits with their labels, in the form that torch's DataLoader reads.

    Args:
        images: Grey values, 0 black and 1 white, shape (num, 784), or (num, 28, 28), which is flattened.
        labels: The digit that each shows, 0 to 9, shape (num,).

    Raises:
        ValueError: The shapes do not belong together, or a label is no digit.
    """

    def __init__(self, images: Any, labels: Any) -> None:
        """Keep the images as float32, the labels as whole numbers."""
        self.images = torch.as_tensor(images, dtype=torch.float32)
        self.labels = torch.as_tensor(labels).long().reshape(-1)
        if self.images.ndim not in (2, 3) or self.images[:1].numel() not in (0, 784):
            raise ValueError(f"images: found shape {tuple(self.images.shape)}, expected (num, 784) or (num, 28, 28)")
        self.images = self.images.reshape(len(self.images), 784)
        if len(self.images) != len(self.labels):
            raise ValueError(f"labels: found {len(self.labels)} for {len(self.images)} images; expected one an image")
        if len(self.labels) and not set(self.labels.tolist()) <= set(range(10)):
            raise ValueError(f"labels: found {int(self.labels.min())} to {int(self.labels.max())}, expected 0 to 9")
        if len(self.images) and float(self.images.max()) > 2:
            message = f"images: values up to {float(self.images.max()):g} look like raw pixels; divide them by 255"
            warnings.warn(message, stacklevel=2)

    def __len__(self) -> int:
        """How many digits there are."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One image, shape (784,), and its label."""
        return self.images[index], self.labels[index]

    def first(self, count: int) -> DigitDataset:
        """The first digits of these."""
        return DigitDataset(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class NoisyDigit:
    """A digit, the same digit with a little noise, and the network that the noise fools.

    Attributes:
        image: Grey values in [0, 1], float32, shape (28, 28).
        noisy: The same with noise.
        label: The digit that both show.
        net: Takes (num, 784) of such values, gives ten scores, the largest of which names the digit.
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


def repaired_circle_network() -> nn.Sequential:
    """`circle_network()` after the repair of lab 1, for the picture of those who skipped it."""
    return network_from_arrays(load_file("circle_repaired.npz"))


def mnist(part: str = "train", *, subset: bool | None = None) -> DigitDataset:
    """MNIST's digits as grey values from 0 to 1, and one printed line that says which they are.

    Where the environment variable NNV_MNIST names a folder, it is the whole set, by torchvision: from a copy in
    FOLDER/MNIST/raw, else downloaded to there. Otherwise, or where that fails, it is a balanced subset of real digits
    that travels with the project: the first 650 training and 100 test digits of each class.

    Args:
        part: "train" or "test".
        subset: True for the subset whatever the variable says, False to insist on the whole set.

    Raises:
        ValueError: part is neither.
        RuntimeError: The whole set was insisted on and is not to be had.
    """
    if part not in ("train", "test"):
        raise ValueError(f"part: found {part!r}, expected 'train' or 'test'")
    folder, problem = os.environ.get(MNIST_FOLDER, ""), f"{MNIST_FOLDER} names no folder"
    if subset is not True and folder:
        try:
            from torchvision.datasets import MNIST

            whole = MNIST(str(Path(folder).expanduser()), train=part == "train", download=True)
        except Exception as error:  # no network, no right to write, a damaged file: torchvision raises many kinds
            problem = f"{folder}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        else:
            print(f"MNIST: all {len(whole.data):,} {part} digits, from {folder}")
            return DigitDataset(whole.data.reshape(-1, 784) / 255, whole.targets)
    if subset is False:
        raise RuntimeError(f"the whole of MNIST is not to be had: {problem}")
    arrays = load_file("mnist_subset.npz")
    images = torch.from_numpy(arrays[f"{part}_images"]).reshape(-1, 784) / 255
    note = f" ({problem})" if folder and subset is None else ""
    print(f"MNIST: the project's own {len(images):,} of its {part} digits, as many of each{note}")
    return DigitDataset(images, torch.from_numpy(arrays[f"{part}_labels"]))
