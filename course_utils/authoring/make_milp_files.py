"""Make lab 6's files: three ACAS Xu networks with four properties, and a small network for CIFAR-10 images.

python -m course_utils.authoring.make_milp_files --data <folder with vnncomp/acasxu and cifar10> [--only ...]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils.acas import NETWORKS
from verifier.frontends.read import read_subject
from verifier.frontends.vnnlib.file import problem, vnnlib_text

FILES = Path(__file__).parent.parent / "data_files"
EPOCHS, BATCH, RADIUS = 14, 50, 2 / 255  # trained with noise of this size
IMAGES = 20


def make_acas(data: Path) -> None:
    """Store the weights as float32, which they are, and the boxes of properties 1 to 4."""
    arrays: dict[str, np.ndarray] = {}
    folder = data / "vnncomp" / "acasxu"
    for name in NETWORKS:
        network = read_subject(folder / "onnx" / f"ACASXU_run2a_{name}_batch_2000.onnx", None).network
        for place, layer in enumerate(network.layers):
            weight, bias = np.asarray(layer.weight), layer.bias
            if not (weight.astype(np.float32) == weight).all() or not (bias.astype(np.float32) == bias).all():
                raise SystemExit(f"{name}, layer {place}: not float32")
            arrays[f"{name}_{2 * place}_weight"] = weight.astype(np.float32)
            arrays[f"{name}_{2 * place}_bias"] = bias.astype(np.float32)
    for number in (1, 2, 3, 4):
        path = folder / "vnnlib" / f"prop_{number}.vnnlib"
        (case,) = problem(vnnlib_text(path), path.name, lambda: False).cases
        arrays[f"prop_{number}"] = np.stack([case.box.lower, case.box.upper], axis=1)
    np.savez_compressed(FILES / "acasxu.npz", **arrays)


def make_cifar(data: Path) -> None:
    """Train two convolutions and a linear layer to tell airplanes from cats, with noise, and store 20 test images."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    stored = [np.load(data / "cifar10" / f"cat_airplane_{part}.npz") for part in ("train", "test")]
    images, test = (torch.from_numpy(one["images"]).permute(0, 3, 1, 2).float() / 255 for one in stored)
    labels, right = (torch.from_numpy((one["labels"] == 3).astype(np.int64)) for one in stored)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(512, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            noisy = images[rows] + 4 * RADIUS * torch.randn(len(rows), 3, 32, 32)
            loss = nn.functional.cross_entropy(net(noisy.clamp(0, 1)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        found = net(test).argmax(dim=1)
    print(f"right on {(found == right).float().mean():.1%} of the test images")
    chosen = np.concatenate([np.flatnonzero(right.numpy() == k)[: IMAGES // 2] for k in (0, 1)])
    weights = {name.replace(".", "_"): value.numpy() for name, value in net.state_dict().items()}
    np.savez_compressed(
        FILES / "cat_airplane.npz", images=stored[1]["images"][chosen], labels=right.numpy()[chosen], **weights
    )


def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=["acas", "cifar"], default=["acas", "cifar"])
    given = parser.parse_args()
    if "acas" in given.only:
        make_acas(given.data)
    if "cifar" in given.only:
        make_cifar(given.data)


if __name__ == "__main__":
    main()
