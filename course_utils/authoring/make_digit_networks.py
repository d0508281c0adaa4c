"""Train the networks that lab 2 goes on with where a student skipped an exercise, and two more that it compares.

python -m course_utils.authoring.make_digit_networks
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_utils.attacks import pgd
from course_utils.data import VALID_RANGE, mnist
from course_utils.models import class_accuracy, classification_model, digit_net
from course_utils.robust_training import train_for_proofs
from course_utils.stand_ins import digit_network, pixel_box
from course_utils.telling import telling_pixel
from course_utils.training import train
from verifier import argmax_is, verify

TARGET = Path(__file__).parent.parent / "data_files" / "digit_networks.npz"
RADII = (0.01, 0.02, 0.03, 0.04, 0.06)  # grey values, at which lab 2 draws its curves
SEED = 2026  # not that of the lab, so that nobody who follows it trains the course's own network


def trained(radius: float | None, **options: bool) -> nn.Sequential:
    """A network trained as usual or, with a radius, for proofs; its weights rounded to float16, as they are stored."""
    net, digits = digit_net(128, 64, seed=SEED), mnist("train", subset=True)
    model = classification_model(net)
    if radius is None:
        train(model, digits, epochs=12, seed=SEED, live=False)
    else:
        train_for_proofs(model, digits, radius, clip=VALID_RANGE, epochs=16, ramp=8, seed=SEED, live=False, **options)
    for part in net.parameters():
        part.data = part.data.half().float()
    return net


def main() -> None:
    """Train all four, measure what an attack leaves of each, store both."""
    torch.set_num_threads(1)
    nets = {
        "usual": trained(None),
        "proof": trained(0.06),
        "interval": trained(0.06, crown=False),
        "wide": trained(0.25),
    }
    exam, stored = mnist("test", subset=True), {"radii": np.array(RADII)}
    for name, net in nets.items():
        linear = [layer for layer in net if isinstance(layer, nn.Linear)]
        for place, layer in enumerate(linear):
            stored[f"{name}_{2 * place}_weight"] = layer.weight.detach().half().numpy()
            stored[f"{name}_{2 * place}_bias"] = layer.bias.detach().half().numpy()
        shares = []
        for radius in RADII:
            found = pgd(net, exam.images[:100], exam.labels[:100], radius, clip=VALID_RANGE)
            both = net(torch.stack([exam.images[:100], found])).argmax(dim=2) == exam.labels[:100]
            shares.append(round(both.all(dim=0).float().mean().item(), 4))
        stored[f"{name}_attacked"] = np.array(shares)
        print(f"{name}: {class_accuracy(net, exam.images, exam.labels):.1%} right, attacked {shares}")
    np.savez_compressed(TARGET, **stored)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")


def make_pixel_map() -> None:
    """The map of lab 2's part 5 for the network trained as usual."""
    net, exam = digit_network("usual"), mnist("test", subset=True)
    place, _, _ = telling_pixel(net, exam.images, exam.labels)
    image, smallest = exam.images[place], np.full(784, np.nan)
    for pixel in (28 * row + column for row in range(0, 28, 2) for column in range(0, 28, 2)):
        for delta in (0.9, 0.6, 0.3):
            low, high = ((image[pixel] + side).clamp(*VALID_RANGE).item() for side in (-delta, delta))
            if verify(net, pixel_box(image, pixel, low, high), argmax_is(int(exam.labels[place])), progress=False):
                break
            smallest[pixel] = delta
    np.savez_compressed(TARGET.with_name("pixel_map.npz"), image=image.numpy(), smallest=smallest)


if __name__ == "__main__":
    main()
    make_pixel_map()
