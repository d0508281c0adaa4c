"""Training for proofs: the loss is taken at the worst outputs that bounds cannot exclude, instead of at the image.

Gowal et al. On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models. 2018 (IBP).
Zhang et al. Towards Stable and Efficient Training of Verifiably Robust Neural Networks. ICLR 2020 (CROWN-IBP).
"""

from __future__ import annotations

import itertools

import numpy as np
from tqdm.auto import tqdm

from verifier.errors import missing

try:
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader
except ImportError as error:
    raise missing("course_utils.robust_training needs torch, which is not installed", "labs") from error
from course_utils.data import DigitDataset
from course_utils.models import Model, Normalise
from course_utils.training import LossCurve, few_threads
from verifier import Bounds
from verifier.asking.robustness import perturbation_box
from verifier.bounds.crown import crown_bounds
from verifier.frontends.read import read_subject


def train_for_proofs(
    model: Model,
    dataset: DigitDataset,
    radius: float,
    *,
    clip: tuple[float, float] | None = None,
    epochs: int = 20,
    warm_up: int = 2,
    ramp: int = 10,
    crown: bool = True,
    clean_share: float = 0.5,
    batch_size: int = 100,
    seed: int = 0,
    live: bool = True,
) -> list[float]:
    """Train a network in place so that bounds can prove it robust, with a progress bar and a live loss curve.

    The schedule: `warm_up` epochs of ordinary training, `ramp` epochs in which the radius grows from 0 and the worst
    case gains weight, the rest at the full radius. CROWN-IBP's share falls from 1 to 0 while the radius grows, so that
    tight bounds lead the way where intervals alone would drive every weight to 0.

    Args:
        model: Its net is a Sequential of Linear and ReLU layers; Flatten and Normalise may come first.
        dataset: Images, and labels 0 to 9.
        radius: In the unit of the images, grey values from 0 to 1.
        clip: The valid range of inputs, to which the boxes are cut.
        epochs: All of them together.
        warm_up: See above.
        ramp: See above.
        crown: False trains with intervals alone (IBP).
        clean_share: Of the loss at the image itself, at the end.
        batch_size: Images a step.
        seed: Fixes the order of the images.
        live: False trains without bar and curve.

    Returns:
        The mean loss of each epoch. It rises while the radius grows: the question gets harder.

    Raises:
        ValueError: The radius is not > 0, or the net is something else.
    """
    if not radius > 0:
        raise ValueError(f"radius: found {radius!r}, expected a number > 0, in grey values (black to white is 1)")
    layers, first = linear_layers(model.net), _before_the_layers(model.net)
    batches = DataLoader(dataset, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))
    curve = LossCurve(shown=live)
    step, ramp_steps = 0, max(1, ramp * len(batches))
    model.net.train()
    with few_threads():
        for _ in tqdm(range(epochs), desc="training for proofs", unit="epoch", disable=not live):
            total = 0.0
            for images, labels in batches:
                grown = min(1.0, max(0.0, (step - warm_up * len(batches)) / ramp_steps))
                clean = nn.functional.cross_entropy(model.net(images), labels)
                loss = clean
                if grown > 0:
                    lower, upper = images - grown * radius, images + grown * radius
                    if clip is not None:
                        lower, upper = lower.clamp(*clip), upper.clamp(*clip)
                    lower, upper = first(lower), first(upper)  # it keeps their order
                    margins = worst_margins(layers, labels, lower, upper, crown_share=(1 - grown) if crown else 0.0)
                    worst = nn.functional.cross_entropy(-margins, labels)
                    share = 1 - (1 - clean_share) * grown
                    loss = share * clean + (1 - share) * worst
                model.optimizer.zero_grad()
                loss.backward()
                model.optimizer.step()
                total += loss.item()
                step += 1
            curve.add(total / len(batches))
    model.net.eval()
    curve.finish()
    return curve.losses


def worst_margins(
    layers: list[nn.Linear], labels: Tensor, lower: Tensor, upper: Tensor, *, crown_share: float = 0.0
) -> Tensor:
    """Lower bounds on (logit of the label - logit k) over each box, shape (num, classes); 0 at the label itself.

    Args:
        layers: Linear layers with ReLU between them.
        labels: (num,).
        lower: Boxes, (num, inputs).
        upper: Likewise.
        crown_share: How much of the bound is CROWN-IBP's rather than interval arithmetic's, 0 to 1.
    """
    # a margin is a row of the last layer: W[label] - W[k]
    last = layers[-1]
    c = last.weight[labels][:, None, :] - last.weight[None]
    offset = last.bias[labels][:, None] - last.bias[None]
    pre = []
    low, high = lower, upper
    for layer in layers[:-1]:  # intervals, layer by layer
        middle, half = (low + high) / 2, (high - low) / 2
        z, spread = layer(middle), half @ layer.weight.abs().T
        pre.append((z - spread, z + spread))
        low, high = (z - spread).relu(), (z + spread).relu()
    interval = offset + _least(c, low, high)
    if crown_share == 0:
        return interval
    for layer, (low, high) in zip(reversed(layers[:-1]), reversed(pre), strict=True):  # back to the input
        upper_slope = high.clamp(min=0) / (high.clamp(min=0) - low.clamp(max=0)).clamp(min=1e-9)
        lower_slope = (high > -low).float()
        intercept = -upper_slope * low.clamp(max=0)
        positive, negative = c.clamp(min=0), c.clamp(max=0)
        offset = offset + (negative * intercept[:, None]).sum(2)
        c = positive * lower_slope[:, None] + negative * upper_slope[:, None]
        offset = offset + c @ layer.bias
        c = c @ layer.weight
    backward = offset + _least(c, lower, upper)
    return crown_share * backward + (1 - crown_share) * interval


def unstable_neurons(
    net: nn.Module, images: Tensor, radius: float, *, clip: tuple[float, float] | None = None
) -> float:
    """How many hidden neurons are unstable, by CROWN's bounds on an image's box, as a mean over the images.

    Args:
        net: As for verify().
        images: (num, inputs).
        radius: Largest change of any input.
        clip: The valid range of inputs, to which the boxes are cut.
    """
    boxes = [perturbation_box(image, radius, clip=clip) for image in images]
    network = read_subject(net, None, images.shape[1]).network
    stacked = Bounds(np.stack([box.lower for box in boxes]), np.stack([box.upper for box in boxes]))
    found = crown_bounds(network, stacked, np.eye(network.outputs))
    return sum(float(((z.lower < 0) & (z.upper > 0)).sum(axis=1).mean()) for z in found.pre)


def linear_layers(net: nn.Module) -> list[nn.Linear]:
    """The Linear layers of a Sequential that has ReLU between them, and perhaps Flatten and Normalise before.

    Raises:
        ValueError: The network is something else.
    """
    parts = list(net)[len(_before_the_layers(net)) :] if isinstance(net, nn.Sequential) else []
    wanted = [nn.Linear if place % 2 == 0 else nn.ReLU for place in range(len(parts))]
    if len(parts) % 2 == 0 or not all(isinstance(part, kind) for part, kind in zip(parts, wanted, strict=True)):
        raise ValueError("net: expected an nn.Sequential of Linear layers with a ReLU between each two, and no head")
    return [part for part in parts if isinstance(part, nn.Linear)]


def _before_the_layers(net: nn.Module) -> nn.Sequential:
    """What a Sequential does to an image before its first Linear layer: Flatten, Normalise, or nothing."""
    parts = net if isinstance(net, nn.Sequential) else ()
    return nn.Sequential(*itertools.takewhile(lambda part: isinstance(part, (nn.Flatten, Normalise)), parts))


def _least(c: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The least value of c . h for low <= h <= high: c (num, rows, width), h (num, width)."""
    middle, half = (low + high) / 2, (high - low) / 2
    return (c @ middle[:, :, None]).squeeze(2) - (c.abs() @ half[:, :, None]).squeeze(2)
