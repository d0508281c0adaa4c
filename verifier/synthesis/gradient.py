"""The rival, and a place to start from: a network of signs trained by gradients, its weights then rounded."""

from __future__ import annotations

import numpy as np

from verifier.errors import SketchError, missing

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise missing("training by gradients needs torch, which is not installed", "torch") from error

from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.sketch import Examples, Sketch, check_fit


def train_signs(
    sketch: Sketch, examples: Examples, *, steps: int = 300, seed: int = 0, rate: float = 0.02
) -> WholeNetwork:
    """Train weights of -1 and 1 (or -1, 0 and 1) by gradients that pass through the signs unchanged.

    Of all steps, the network with the most examples right comes back. Nothing is proved of it.

    Args:
        sketch: With activation "sign", and "sign" or "argmax" for its output.
        examples: Inputs of -1 and 1.
        steps: Of Adam, on all examples at once.
        seed: Of the first weights.
        rate: Of Adam.

    Source:
        Courbariaux, Hubara, Soudry, El-Yaniv, Bengio. Binarized Neural Networks. 2016.
    """
    check_fit(sketch, examples)
    if sketch.activation != "sign" or sketch.output not in ("sign", "argmax") or not {-1, 1} <= set(sketch.weights):
        raise SketchError("sketch: expected activation 'sign', output 'sign' or 'argmax' and weights of -1 and 1")
    drawn = torch.Generator().manual_seed(seed)
    layers = list(zip(sketch.topology[:-1], sketch.topology[1:], strict=True))
    real = [(torch.rand(m, n, generator=drawn) - 0.5).requires_grad_() for n, m in layers]
    shift = [torch.zeros(m).requires_grad_() for _, m in layers]
    optimizer = torch.optim.Adam([*real, *shift], lr=rate)
    x, labels = torch.from_numpy(examples.inputs).float(), torch.from_numpy(examples.labels)
    best: tuple[int, WholeNetwork] | None = None
    for _ in range(steps):
        h = x
        for place, ((n, _), weight, bias) in enumerate(zip(layers, real, shift, strict=True)):
            z = h @ _rounded(weight, 0 in sketch.weights).T + _nearest(bias * n**0.5, sketch.biases)
            h = z / n**0.5 if place == len(layers) - 1 else _sign(z / n**0.5)
        found = _network(sketch, real, shift)
        right = int(found.right(examples).sum())
        if best is None or right > best[0]:
            best = (right, found)
        if sketch.output == "sign":
            loss = torch.nn.functional.softplus(-(2 * labels - 1) * 2 * h[:, 0]).mean()
        else:
            loss = torch.nn.functional.cross_entropy(2 * h, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for weight in real:
                weight.clamp_(-1, 1)
    assert best is not None
    return best[1]


def _sign(z: Tensor) -> Tensor:
    hard = torch.where(z >= 0, 1.0, -1.0)
    soft = z.clamp(-1, 1)
    return soft + (hard - soft).detach()


def _rounded(weight: Tensor, zero: bool) -> Tensor:
    hard = torch.where(weight >= 0, 1.0, -1.0)
    if zero:
        hard = torch.where(weight.abs() < 1 / 3, torch.zeros(()), hard)
    return weight + (hard - weight).detach()


def _nearest(bias: Tensor, domain: tuple[int, ...]) -> Tensor:
    values = torch.tensor(domain, dtype=bias.dtype)
    hard = values[(bias.detach()[:, None] - values).abs().argmin(dim=1)]
    return bias + (hard - bias).detach()


def _network(sketch: Sketch, real: list[Tensor], shift: list[Tensor]) -> WholeNetwork:
    with torch.no_grad():
        weights = [np.asarray(_rounded(one, 0 in sketch.weights)).round().astype(np.int64) for one in real]
        biases = [
            np.asarray(_nearest(one * weight.shape[1] ** 0.5, sketch.biases)).round().astype(np.int64)
            for one, weight in zip(shift, real, strict=True)
        ]
    return WholeNetwork(sketch, tuple(weights), tuple(biases))
