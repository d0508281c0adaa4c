"""Make the digit and the network of lab 3's part on splitting ReLUs: 784 inputs, one hidden layer of 40 neurons.

Grey values from 0 (black) to 1 (white) go in. Trained with random noise on the images, which keeps many neurons stable
on a small box, so that some twenty are left to split.

python -m course_utils.authoring.make_split_digit
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils.data import load_file

TARGET = Path(__file__).parent.parent / "data_files" / "split_digit.npz"
HIDDEN, EPOCHS, BATCH, NOISE, DECAY = 40, 8, 50, 0.3, 2e-3
DIGIT = 19  # of the test digits: a 4 that comes close to a 9


def main() -> None:
    """Train the network on noisy digits, keep it in float16, and store one test digit with it."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    arrays = load_file("mnist_subset.npz")
    images = torch.from_numpy(arrays["train_images"]).reshape(-1, 784) / 255
    labels = torch.from_numpy(arrays["train_labels"]).long()
    net = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            noisy = images[rows] + NOISE * (2 * torch.rand(len(rows), 784) - 1)
            loss = nn.functional.cross_entropy(net(noisy.clamp(0, 1)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    weights = {name.replace(".", "_"): value.numpy().astype(np.float16) for name, value in net.state_dict().items()}
    test = torch.from_numpy(arrays["test_images"]).reshape(-1, 784) / 255
    right = (net(test).argmax(dim=1).numpy() == arrays["test_labels"]).mean()
    digit = {"image": arrays["test_images"][DIGIT].reshape(28, 28), "label": arrays["test_labels"][DIGIT]}
    np.savez_compressed(TARGET, **digit, **weights)
    print(f"right on {right:.1%} of the test digits; a {digit['label']} is stored")


if __name__ == "__main__":
    main()
