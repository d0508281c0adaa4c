"""Attacks on many images at once, in torch: what tests with an opponent look like. They prove nothing."""

from __future__ import annotations

from verifier.errors import missing

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise missing("course_utils.attacks needs torch, which is not installed", "torch") from error


def pgd(
    net: nn.Module,
    images: Tensor,
    labels: Tensor,
    radius: float,
    *,
    clip: tuple[float, float] | None = None,
    steps: int = 20,
    restarts: int = 2,
    seed: int = 0,
) -> Tensor:
    """Look for images within a radius that are read wrongly, by projected gradient steps on the cross entropy.

    Args:
        net: Gives logits, (num, classes).
        images: (num, inputs).
        labels: (num,).
        radius: Largest change of any input.
        clip: The valid range of inputs.
        steps: Gradient steps, from a quarter of the radius shrinking to a fortieth.
        restarts: Starts: the image itself, then random points of the box.
        seed: For the random starts.

    Returns:
        For each image one that is read wrongly where any step met one, else the last.

    Raises:
        ValueError: The radius is not > 0, or images and labels do not fit each other or the network.

    Source:
        Madry et al. Towards Deep Learning Models Resistant to Adversarial Attacks. ICLR 2018.
    """
    if not radius > 0:
        raise ValueError(f"radius: found {radius!r}, expected a number > 0, in the unit of the images")
    if images.ndim != 2 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"images and labels: found shapes {tuple(images.shape)} and {tuple(labels.shape)}, expected (num, inputs) "
            "and (num,); was one image meant? images[:1] keeps the first dimension"
        )
    with torch.no_grad():
        classes = net(images[:1]).shape[-1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels: found {int(labels.min())} to {int(labels.max())}, but the network has {classes} outputs, "
            f"numbered 0 to {classes - 1}"
        )
    lower, upper = images - radius, images + radius
    if clip is not None:
        lower, upper = lower.clamp(*clip), upper.clamp(*clip)
    generator = torch.Generator().manual_seed(seed)
    found = images.clone()
    wrong = _is_wrong(net, found, labels)
    for restart in range(restarts):
        x = images.clone() if restart == 0 else lower + (upper - lower) * torch.rand(images.shape, generator=generator)
        for step in range(steps):
            x = x.detach().requires_grad_()
            loss = nn.functional.cross_entropy(net(x), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            size = 0.25 * radius * 0.1 ** (step / max(steps - 1, 1))
            x = torch.minimum(torch.maximum(x.detach() + size * gradient.sign(), lower), upper)
            now = _is_wrong(net, x, labels)
            found = torch.where((now | ~wrong)[:, None], torch.where(wrong[:, None], found, x), found)
            wrong = wrong | now
    return found


def _is_wrong(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return net(images).argmax(dim=1) != labels
