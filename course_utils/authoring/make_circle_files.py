"""Make the points and the networks that lab 1 goes on with where a student skipped an exercise.

python -m course_utils.authoring.make_circle_files
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils.data import CENTRE, DOMAIN, RADIUS, CircleDataset
from course_utils.models import accuracy, regression_model
from course_utils.training import train
from verifier import less_than, verify

TARGET = Path(__file__).parent.parent / "data_files" / "circle.npz"
REPAIRED = TARGET.with_name("circle_repaired.npz")
ROUNDS = 40


def main() -> None:
    """Draw 2,000 points, label them, train the network of the lab, store both."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    points = DOMAIN[0] + (DOMAIN[1] - DOMAIN[0]) * torch.rand(2000, 2)
    labels = torch.tensor([math.dist(point, CENTRE) <= RADIUS for point in points.tolist()])
    net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    train(regression_model(net), CircleDataset(points, labels), live=False)
    weights = {name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()}
    np.savez_compressed(TARGET, points=points.numpy(), labels=labels.numpy(), **weights)
    print(f"accuracy on its own points {accuracy(net, points, labels):.4f}")
    repair(net, points, labels)
    np.savez_compressed(REPAIRED, **{name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()})


def repair(net: nn.Sequential, points: torch.Tensor, labels: torch.Tensor) -> None:
    """Verify, train on the counterexamples, verify again, until lab 1's two properties hold."""
    model, labels = regression_model(net, learning_rate=0.001), labels.float().reshape(-1, 1)
    asked = [([[0.7, 0.85]] * 2, [[0.5, None]], 1.0), ([[0.86, 0.9]] * 2, less_than(0.5), 0.0)]
    for number in range(ROUNDS):
        open_ones = 0
        for box, y_specs, label in asked:
            cases: list[torch.Tensor] = []
            if not verify(net, box, y_specs, cases):
                open_ones += 1
                points = torch.cat([points, *(case.reshape(1, 2) for case in cases * 10)])
                labels = torch.cat([labels, torch.full((10 * len(cases), 1), label)])
        if open_ones == 0:
            print(f"repaired after {number} rounds")
            return
        train(model, CircleDataset(points, labels), epochs=10, seed=number, live=False)


if __name__ == "__main__":
    main()
