"""Choose the MNIST digits that travel with the project: the first 650 training and 100 test digits of each class.

python -m course_utils.authoring.make_mnist_subset --data <folder with MNIST/raw/*.gz>

They keep their order in the original set, and their place in it, so that each can be looked up there.
"""

import argparse
from pathlib import Path

import numpy as np

from course_utils.authoring.make_noisy_digit import read_mnist

TARGET = Path(__file__).parent.parent / "data_files" / "mnist_subset.npz"
PER_CLASS = {"train": 650, "test": 100}


def main() -> None:
    """Read the original files, keep the first digits of each class, store them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds MNIST/raw/*.gz")
    raw = parser.parse_args().data / "MNIST" / "raw"
    arrays = {}
    for part, name in (("train", "train"), ("test", "t10k")):
        images, labels = (one.numpy() for one in read_mnist(raw, name))
        kept = np.sort(np.concatenate([np.flatnonzero(labels == digit)[: PER_CLASS[part]] for digit in range(10)]))
        arrays[f"{part}_images"] = (images[kept] * 255).round().astype(np.uint8).reshape(-1, 28, 28)
        arrays[f"{part}_labels"] = labels[kept].astype(np.uint8)
        arrays[f"{part}_index"] = kept.astype(np.uint16)
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
