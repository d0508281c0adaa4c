"""Verdicts on whole torch modules with heads, BatchNorm and convolutions, held against samples of the module itself.

The enumeration reads plain ReLU layers only; what stands around them is tested here by sampling: no sample may violate
a verified spec by more than float64 rounds, every counterexample must violate, and every output lies in its bounds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier

# float64 outputs of these networks are sums of fewer than a hundred terms of size ten, and heads of numbers up to one
SAMPLE_ATOL = 1e-12
SAMPLES = 4000


def dense(*head: nn.Module) -> Callable[[], tuple[nn.Module, tuple[int, ...]]]:
    return lambda: (nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3), *head), (3,))


def with_batchnorm() -> tuple[nn.Module, tuple[int, ...]]:
    net = nn.Sequential(
        nn.BatchNorm1d(3), nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    )
    for part in net:
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.1, 3)
            nn.init.uniform_(part.weight, -2, 2)
            nn.init.uniform_(part.bias, -1, 1)
    return net, (3,)


def convolutional() -> tuple[nn.Module, tuple[int, ...]]:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 2, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    net[1].running_mean.uniform_(-1, 1)
    net[1].running_var.uniform_(0.1, 3)
    return net, (1, 3, 3)


MODULES = {
    "plain": dense(),
    "sigmoid": dense(nn.Sigmoid()),
    "softmax": dense(nn.Softmax(dim=-1)),
    "log_softmax": dense(nn.LogSoftmax(dim=-1)),
    "batchnorm": with_batchnorm,
    "convolution": convolutional,
}


def build(name: str, seed: int) -> tuple[nn.Module, tuple[int, ...], np.ndarray, torch.Tensor]:
    """A module in float64, its input shape, a box of pairs, and samples of the box in the module's shape."""
    torch.manual_seed(seed)
    net, shape = MODULES[name]()
    net = net.double().eval()
    inputs = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    centre, radius = rng.uniform(-1, 1, inputs), rng.uniform(0, 0.6, inputs)
    pairs = np.stack([centre - radius, centre + radius], axis=1)
    points = rng.uniform(pairs[:, 0], pairs[:, 1], size=(SAMPLES, inputs))
    return net, shape, pairs, torch.from_numpy(points).reshape(SAMPLES, *shape)


def outputs_of(net: nn.Module, points: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return net(points).numpy()


@pytest.mark.parametrize("method", ["ibp", "crown", "auto_lirpa"])
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("seed", range(3))
def test_output_bounds_of_modules_contain_sampled_outputs(name: str, method: str, seed: int) -> None:
    net, shape, pairs, points = build(name, seed)
    bounds = verifier.output_bounds(net, pairs, method=method, input_shape=shape)
    y = outputs_of(net, points)
    assert (y >= bounds.lower - SAMPLE_ATOL).all()
    assert (y <= bounds.upper + SAMPLE_ATOL).all()


# margins of each spec at outputs (samples, 3), for the comparison with samples: positive where the spec holds
Margins = Callable[[np.ndarray], np.ndarray]


def specs(y: np.ndarray, rng: np.random.Generator) -> list[tuple[Any, Margins]]:
    """Specs with thresholds at, above and below what the samples reach, so that each verdict is met."""
    spread = y[:, 0].max() - y[:, 0].min()
    found: list[tuple[Any, Margins]] = []
    for distance in (-0.3, -0.02, 0.05, 0.5):
        top = float(y[:, 0].max() + distance * spread)
        low = float(y[:, 1].min() - distance * (y[:, 1].max() - y[:, 1].min()))
        found.append((verifier.less_than(top, output=0), lambda y, top=top: top - y[:, 0]))
        found.append(([[None, None], [low, None], [None, None]], lambda y, low=low: y[:, 1] - low))
        found.append(
            (
                verifier.any_of(verifier.less_than(top, output=0), verifier.greater_than(low, output=1)),
                lambda y, top=top, low=low: np.maximum(top - y[:, 0], y[:, 1] - low),
            )
        )
    label = int(rng.integers(3))
    others = [j for j in range(3) if j != label]
    found.append((verifier.argmax_is(label), lambda y: y[:, label] - y[:, others].max(axis=1)))
    return found


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("seed", range(3))
def test_verdicts_on_modules_agree_with_samples(name: str, seed: int) -> None:
    """Verified: no sample violates. Falsified: the point violates when fed to the module as it is."""
    net, shape, pairs, points = build(name, seed)
    y = outputs_of(net, points)
    for spec, margins in specs(y, np.random.default_rng(seed)):
        cases: list[torch.Tensor] = []
        result = verifier.verify(net, pairs, spec, cases, input_shape=shape, max_subdomains=300, timeout_s=60)
        if result.verdict is verifier.Verdict.VERIFIED:
            assert margins(y).min() >= -SAMPLE_ATOL, spec
        elif result.verdict is verifier.Verdict.FALSIFIED:
            assert cases
        for x in cases:
            assert tuple(x.shape) in (shape, (1, *shape))
            assert margins(outputs_of(net, x).reshape(1, -1))[0] <= 0, spec
            flat = x.numpy().reshape(-1)
            assert (flat >= pairs[:, 0]).all() and (flat <= pairs[:, 1]).all()
