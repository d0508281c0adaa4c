"""Which image and which pixel make the tuning of lab 2 interesting: limits of one width do not do, tuned ones do."""

from __future__ import annotations

from verifier.errors import missing

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise missing("course_utils.telling needs torch, which is not installed", "torch") from error

from course_utils.data import VALID_RANGE
from course_utils.stand_ins import pixel_box
from verifier import Box, output_bounds

DELTA = 0.9  # how far the pixel moves, in grey values, clipped
LEAST_LEAD = 0.4  # of the label's output over the next, on the image itself
IMAGES_TRIED = 12
ROOM = 0.1  # between the label's proved lower bound and the rivals' upper ones
STEPS = 17  # values of the pixel at which the outputs are looked at


def telling_pixel(net: nn.Module, images: Tensor, labels: Tensor) -> tuple[int, int, Box]:
    """An image that is read rightly by a small lead, and a pixel of it whose box asks for limits of different widths.

    In that box CROWN's bounds keep the label's output above all others, while ten limits of one common width, around
    the middle of each output's range, cannot both hold and do so. Among the images with the smallest lead, the first
    that has such a pixel is taken; where none has, the pixel that comes nearest.

    Args:
        net: 784 inputs, ten outputs.
        images: Grey values, (num, 784).
        labels: (num,).

    Returns:
        The image's place, the pixel, and the box in which that pixel moves by up to DELTA, clipped.
    """
    parameter = next(iter(net.parameters()), images)
    with torch.no_grad():
        best = net(images.to(parameter.dtype)).topk(2, dim=1)
    lead = (best.values[:, 0] - best.values[:, 1]).float()
    usable = (best.indices[:, 0] == labels) & (lead > LEAST_LEAD)
    order = lead.where(usable, torch.tensor(torch.inf)).argsort()[:IMAGES_TRIED].tolist()
    nearest: tuple[float, int, int, Box] | None = None
    for place in order:
        tight, common = _gaps(net, images[place].to(parameter.dtype), int(labels[place]))
        wish = torch.minimum(tight, -common)  # both > 0: tuned limits do, common ones do not
        for pixel in wish.argsort(descending=True)[:3].tolist():
            low, high = _ends(images[place])
            box = pixel_box(images[place], pixel, float(low[pixel]), float(high[pixel]))
            bounds = output_bounds(net, box)
            gap, shared = _gap_of(bounds.lower, bounds.upper, int(labels[place]))
            if gap > ROOM and shared < -ROOM:
                return place, pixel, box
            if nearest is None or gap > nearest[0]:
                nearest = (gap, place, pixel, box)
    if nearest is None:
        raise ValueError("net: no image is read as its label with a lead; train it first")
    return nearest[1:]


def _ends(image: Tensor) -> tuple[Tensor, Tensor]:
    return (image - DELTA).clamp(*VALID_RANGE), (image + DELTA).clamp(*VALID_RANGE)


def _gaps(net: nn.Module, image: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """For each pixel, (784,): the label's lead over every rival with tight limits, and with limits of one width."""
    low, high = _ends(image)
    least, most = torch.full((784, 10), torch.inf), torch.full((784, 10), -torch.inf)
    diagonal = torch.arange(784)
    for step in range(STEPS):
        moved = image.repeat(784, 1)
        moved[diagonal, diagonal] = low + (high - low) * (step / (STEPS - 1))
        with torch.no_grad():
            outputs = net(moved).float()
        least, most = torch.minimum(least, outputs), torch.maximum(most, outputs)
    rivals = torch.arange(10) != label
    tight = least[:, label] - most[:, rivals].amax(dim=1)
    middle, half = (least + most) / 2, ((most - least) / 2).amax(dim=1)
    return tight, middle[:, label] - middle[:, rivals].amax(dim=1) - 2 * half


def _gap_of(lower: object, upper: object, label: int) -> tuple[float, float]:
    """The same two leads for proved bounds on the ten outputs."""
    low, high = torch.as_tensor(lower), torch.as_tensor(upper)
    rivals = torch.arange(len(low)) != label
    middle, half = (low + high) / 2, float((high - low).max()) / 2
    common = float(middle[label] - middle[rivals].max()) - 2 * half
    return float(low[label] - high[rivals].max()), common
