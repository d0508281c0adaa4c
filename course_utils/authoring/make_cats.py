"""Choose the cats and airplanes of lab 7: 20 and 20 to train on, 500 and 500 unseen, as 8x8 grey images.

python -m course_utils.authoring.make_cats --data <folder with cat_airplane_train.npz and cat_airplane_test.npz>

The two files hold CIFAR-10 images (`images`, `labels`, `index`: the place in the original set). A grey value is
0.299 red + 0.587 green + 0.114 blue, averaged over 4x4 pixels and rounded.
"""

import argparse
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent.parent / "data_files" / "cats.npz"
AIRPLANE, CAT = 0, 3
TRAIN_PER_CLASS = 20


def shrink(images: np.ndarray) -> np.ndarray:
    """RGB images (num, 32, 32, 3) as grey values, (num, 64) of uint8."""
    grey = images.astype(float) @ np.array([0.299, 0.587, 0.114])
    return grey.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).round().astype(np.uint8).reshape(-1, 64)


def main() -> None:
    """Read, choose the first of each class, shrink, store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    arrays = {}
    for part, most in (("train", TRAIN_PER_CLASS), ("test", None)):
        with np.load(folder / f"cat_airplane_{part}.npz") as stored:
            images, labels, index = (stored[name] for name in ("images", "labels", "index"))
        kept = np.concatenate([np.flatnonzero(labels == label)[:most] for label in (AIRPLANE, CAT)])
        arrays[f"{part}_images"] = shrink(images[kept])
        arrays[f"{part}_labels"] = (labels[kept] == CAT).astype(np.uint8)
        arrays[f"{part}_index"] = index[kept].astype(np.uint16)
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
