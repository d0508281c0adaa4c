"""Make the image pair that opens lab 1: a digit, and the same digit with noise that fools a network.

    python -m course_utils.authoring.make_noisy_digit --data <folder with MNIST/raw/*.gz>

Trains a network with 784-16-10 neurons on the MNIST training digits, attacks test digits by projected gradient and
keeps the pair with the least noise that still fools the network clearly. Noise comes in whole grey levels, so both
images are ordinary 8-bit pictures. The weights are rounded to float16 before the attack: what ships is exactly what
was attacked.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
import torch
from torch import nn

TARGET = Path(__file__).parent.parent / "data_files" / "noisy_digit.npz"
CLEARLY = 2.0  # by how much the wrong digit's score must beat the right one's: far above any rounding


def read_mnist(folder: Path, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as float32 in [0, 1], shape (num, 784), and labels, shape (num,), of `train` or `t10k`."""
    images = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784) / np.float32(255)
    return torch.from_numpy(pixels), torch.from_numpy(np.frombuffer(labels, np.uint8, offset=8).astype(int))


def train_digit_network(images: torch.Tensor, labels: torch.Tensor, epochs: int = 8) -> nn.Sequential:
    """A 784-16-10 network, its weights rounded to float16 values."""
    net = nn.Sequential(nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(128):
            loss = nn.functional.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.half().float().requires_grad_(False)


def attack(net: nn.Module, image: torch.Tensor, label: int, radius: float, steps: int = 40) -> torch.Tensor:
    """Projected gradient: climb the best wrong score minus the right one, stay within the radius and within [0, 1]."""
    noisy = image.clone()
    for _ in range(steps):
        noisy.requires_grad_(True)
        scores = net(noisy)
        wrong = scores.clone()
        wrong[label] = -torch.inf
        (gradient,) = torch.autograd.grad(wrong.max() - scores[label], noisy)
        stepped = noisy.detach() + radius / 5 * gradient.sign()
        noisy = torch.minimum(torch.maximum(stepped, image - radius), image + radius).clamp(0, 1)
    return (noisy * 255).round() / 255


def main() -> None:
    """Train, attack the first test digits with more and more noise, and store the first pair that is clear."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds MNIST/raw/*.gz")
    raw = parser.parse_args().data / "MNIST" / "raw"
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = train_digit_network(*read_mnist(raw, "train"))
    images, labels = read_mnist(raw, "t10k")
    print(f"test accuracy {(net(images).argmax(1) == labels).float().mean():.4f}")
    for levels in range(1, 40):
        for index in range(200):
            image, label = images[index], int(labels[index])
            margin = net(image).topk(2).values.diff().abs().item()
            if int(net(image).argmax()) != label or margin < 2 * CLEARLY:
                continue  # a digit that the network reads wrongly, or only just rightly, would not surprise anyone
            scores = net(attack(net, image, label, levels / 255))
            if scores.max() - scores[label] > CLEARLY:
                noisy = attack(net, image, label, levels / 255)
                arrays = {name.replace(".", "_"): value.half().numpy() for name, value in net.state_dict().items()}
                np.savez_compressed(
                    TARGET,
                    image=(image * 255).round().byte().numpy().reshape(28, 28),
                    noisy=(noisy * 255).round().byte().numpy().reshape(28, 28),
                    label=label,
                    index=index,
                    **arrays,
                )
                print(f"test digit {index}: a {label} read as {int(scores.argmax())}, noise of {levels} grey levels")
                return
    raise SystemExit("no digit was fooled clearly; train longer or allow more noise")


if __name__ == "__main__":
    main()
