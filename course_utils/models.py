"""A network together with what trains it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from verifier.errors import missing

try:
    import torch
    from torch import nn
except ImportError as error:
    raise missing("course_utils.models needs torch, which is not installed", "torch") from error


class Normalise(nn.Module):
    """The first layer of a network for digits: grey values from 0 to 1, shifted and scaled to mean 0 and deviation 1.

    With the layer inside the network, boxes, radii and counterexamples are grey values, and nobody has to convert them.
    """

    MEAN, DEVIATION = 0.1307, 0.3081  # of the grey values of MNIST's training digits

    def forward(self, grey: torch.Tensor) -> torch.Tensor:
        """(grey - mean) / deviation."""
        return (grey - self.MEAN) / self.DEVIATION


@dataclass
class Model:
    """A network, the loss that says how wrong it is, and the optimiser that makes it less so.

    Attributes:
        net: Maps a batch (num, inputs) to (num, outputs).
        loss: Maps (what the network gave, what it should have given) to one number; smaller is better.
        optimizer: Knows the network's weights and changes them a little at each step.
    """

    net: nn.Module
    loss: nn.Module
    optimizer: torch.optim.Optimizer


def regression_model(net: nn.Module, learning_rate: float = 2e-3) -> Model:
    """A model that pulls the network's output towards the label itself: mean squared error, Adam.

    With labels 0 and 1 the natural threshold is 0.5, and the network needs no Sigmoid at its end: Linear and ReLU
    are enough.
    """
    return Model(net, nn.MSELoss(), torch.optim.Adam(net.parameters(), lr=learning_rate))


def classification_model(net: nn.Module, learning_rate: float = 1e-3) -> Model:
    """A model that raises the output of the right class above all others: cross entropy on the logits, Adam.

    Cross entropy takes logits and applies LogSoftmax itself, so the network ends with a Linear layer.
    """
    return Model(net, nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), lr=learning_rate))


def class_accuracy(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The part of the images for which the largest output is the label's."""
    with torch.no_grad():
        return (net(images).argmax(dim=1) == labels.reshape(-1)).float().mean().item()


def accuracy(net: nn.Module, points: torch.Tensor, labels: torch.Tensor) -> float:
    """The part of the points on whose side of 0.5 the network's output falls as the label does; labels are 0 or 1."""
    with torch.no_grad():
        return ((net(points).reshape(-1) >= 0.5) == (labels.reshape(-1) >= 0.5)).float().mean().item()


def digit_net(*hidden: int, seed: int = 0) -> nn.Sequential:
    """A network for digits, not yet trained: Normalise, then 784 inputs, hidden layers with ReLU, 10 logits."""
    torch.manual_seed(seed)
    sizes = (784, *hidden, 10)
    layers: list[nn.Module] = [Normalise()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
