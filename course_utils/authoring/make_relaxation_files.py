"""Make the networks for small digits that lab 5 goes on with where a student skipped the exercise.

python -m course_utils.authoring.make_relaxation_files
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils.curve import empty_network
from course_utils.relaxations import SIDE, conv_layers, small_digits

TARGET = Path(__file__).parent.parent / "data_files" / "small_digits.npz"


def fit(net: nn.Sequential, images: torch.Tensor, labels: torch.Tensor, epochs: int = 30) -> nn.Sequential:
    """Train a classifier by Adam."""
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    return net.requires_grad_(False).eval()


def main() -> None:
    """Train both networks and store them."""
    torch.set_num_threads(1)
    images, labels = small_digits().tensors
    others, truth = small_digits("test").tensors
    torch.manual_seed(5)
    dense = fit(empty_network(SIDE * SIDE, 16, 12, 10), images, labels)
    conv = fit(conv_layers(), images, labels)
    arrays = {name.replace(".", "_"): value.numpy() for name, value in dense.state_dict().items()}
    arrays |= {f"conv_{name}": value.numpy() for name, value in conv.state_dict().items()}
    np.savez_compressed(TARGET, **arrays)
    for net in (dense, conv):
        print(f"accuracy {float((net(others).argmax(dim=1) == truth).float().mean()):.3f}")


if __name__ == "__main__":
    main()
