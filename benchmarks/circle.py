"""The circle networks of lab 1 and questions about them, for the timing scripts.

A point of [0, 1.5]^2 is inside (1) or outside (0) the circle with centre (0.5, 0.5) and radius 0.5; a network of
2-64-64-1 or so is trained on 2,000 uniform points with squared error, so that 0.5 is the border.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

POINTS, EPOCHS, BATCH = 2000, 60, 64


def train_circle(seed: int, hidden: tuple[int, ...] = (64, 64)) -> nn.Sequential:
    """Train one circle network in float32; the same seed gives the same network on one machine."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts: list[nn.Module] = []
        width = 2
        for neurons in hidden:
            parts += [nn.Linear(width, neurons), nn.ReLU()]
            width = neurons
        net = nn.Sequential(*parts, nn.Linear(width, 1))
    x = 1.5 * torch.rand(POINTS, 2, generator=generator)
    target = ((x - 0.5).norm(dim=1, keepdim=True) < 0.5).float()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(POINTS, generator=generator).split(BATCH):
            optimiser.zero_grad()
            nn.functional.mse_loss(net(x[batch]), target[batch]).backward()
            optimiser.step()
    return net.eval()


@dataclass(frozen=True)
class Asked:
    """One spec of one network: side > 0 asks for y >= threshold, side < 0 for y < threshold, on the box."""

    name: str
    lower: tuple[float, float]
    upper: tuple[float, float]
    side: int
    threshold: float

    def x_specs(self) -> list[tuple[float, float]]:
        """One pair an input."""
        return list(zip(self.lower, self.upper, strict=True))

    def y_specs(self) -> Any:
        """The spec as a student writes it."""
        import verifier

        return [[self.threshold, None]] if self.side > 0 else verifier.less_than(self.threshold)

    def unsafe(self) -> list[list[Any]]:
        """The negation with a closed inequality, coefficients . y + offset <= 0, as the Marabou driver reads it."""
        return [[[float(self.side)], -self.side * self.threshold]]


def questions(net: nn.Sequential) -> list[Asked]:
    """Boxes of the lab, larger ones, and thresholds a hair to either side of the largest output sampled."""
    asked = [
        Asked("first spec", (0.45, 0.45), (0.55, 0.55), 1, 0.5),
        Asked("inside, lab", (0.7, 0.7), (0.85, 0.85), 1, 0.5),
        Asked("outside, lab", (0.86, 0.86), (0.9, 0.9), -1, 0.5),
        Asked("inside, large", (0.3, 0.3), (0.7, 0.7), 1, 0.5),
        Asked("inside, wide", (0.1, 0.4), (0.9, 0.6), 1, 0.5),
        Asked("outside, large", (1.05, 0.0), (1.5, 1.5), -1, 0.5),
        Asked("corner", (0.95, 0.95), (1.5, 1.5), -1, 0.25),
        Asked("everywhere", (0.0, 0.0), (1.5, 1.5), 1, -2.0),
    ]
    lower, upper = np.array([0.6, 0.6]), np.array([1.0, 1.0])
    grid = torch.cartesian_prod(*(torch.linspace(float(a), float(b), 201) for a, b in zip(lower, upper, strict=True)))
    with torch.no_grad():
        largest = round(float(net(grid).max()), 4)
    asked.append(Asked("tight, holds", tuple(lower), tuple(upper), -1, largest + 0.01))
    asked.append(Asked("tight, fails", tuple(lower), tuple(upper), -1, largest - 0.01))
    return asked
