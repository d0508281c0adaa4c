"""Make the points and the network that lab 1 goes on with where a student skipped an exercise.

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

TARGET = Path(__file__).parent.parent / "data_files" / "circle.npz"


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


if __name__ == "__main__":
    main()
