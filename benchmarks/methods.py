"""Which method settles which kind of question, and in what time: the table behind docs/choosing.md.

    python -m benchmarks.methods

Networks are random (with their seed) or the course's own; a threshold lies a stated part of the sampled range of an
output above its largest sampled value, so that the specs probably hold and are not easy, or below it, so that they do
not. Every method gets every question once after a first call that loads it. Writes results/methods.md; ends with
status 1 where two methods contradict each other.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import verifier
from benchmarks.machine import describe
from course_utils.data import circle_network
from verifier.bounds.crown import crown_bounds
from verifier.enclosure import Bounds
from verifier.frontends.read import read_subject

RESULTS = Path(__file__).parent / "results"
METHODS = (
    "auto",
    "ibp",
    "crown",
    "auto_lirpa",
    "auto_lirpa_optimized",
    "attack",
    "lp",
    "split",
    "relu_split",
    "milp",
    "z3",
)
# unstable neurons beyond which a method is not asked: Z3 and auto-LiRPA's optimisation then overrun their limits by far
LIMIT_UNSTABLE = {"z3": 35, "auto_lirpa_optimized": 140}


@dataclass(frozen=True, eq=False)
class Asked:
    """A question: a module, a box of float64 arrays, and output 0 < threshold."""

    name: str
    net: nn.Module
    shape: tuple[int, ...]
    lower: np.ndarray
    upper: np.ndarray
    threshold: float

    def unstable(self) -> int:
        """How many neurons CROWN leaves unstable."""
        network = read_subject(self.net, self.shape, self.lower.size).network
        pre = crown_bounds(network, Bounds(self.lower[None], self.upper[None]), np.eye(network.outputs)).pre
        return int(sum(((one.lower < 0) & (one.upper > 0)).sum() for one in pre))

    def ask(self, method: str, timeout_s: float) -> Any:
        """Ask one method."""
        return verifier.verify(
            self.net, verifier.Box(self.lower, self.upper), verifier.less_than(self.threshold), input_shape=self.shape,
            method=method, timeout_s=timeout_s, progress=False,
        )  # fmt: skip


def dense(seed: int, *sizes: int) -> nn.Sequential:
    """Make a network of Linear and ReLU."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layer = nn.Linear(a, b)
        parts += [layer, nn.ReLU()]
        nn.init.normal_(layer.weight, std=1.4 / a**0.5)
    return nn.Sequential(*parts[:-1]).eval()


class Residual(nn.Module):
    """Two blocks with shortcuts."""

    def __init__(self, seed: int, width: int) -> None:
        """Make one of this width."""
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.last = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add each block's output to its input."""
        h = torch.relu(self.layers[0](x))
        for layer in list(self.layers)[1:]:
            h = torch.relu(layer(h)) + h
        return self.last(h)


def convolution(seed: int) -> nn.Sequential:
    """Make a small image network."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 49, 32), nn.ReLU(), nn.Linear(32, 1),
    ).eval()  # fmt: skip


def asked(name: str, net: nn.Module, shape: tuple[int, ...], radius: float, gap: float, seed: int = 0) -> Asked:
    """Put a box around a random point, the threshold `gap` of the sampled range above the largest sampled output."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0.3, 0.7, int(np.prod(shape)))
    lower, upper = centre - radius, centre + radius
    points = rng.uniform(lower, upper, (20_000, centre.size))
    corners = np.where(rng.uniform(size=(5_000, centre.size)) < 0.5, lower, upper)
    with torch.no_grad():
        x = torch.tensor(np.concatenate([points, corners]), dtype=torch.float32)
        y = net(x.reshape(len(x), *shape)).reshape(len(x), -1)[:, 0].numpy()
    return Asked(name, net, shape, lower, upper, float(y.max() + gap * (y.max() - y.min())))


def questions() -> Iterator[Asked]:
    """The questions, few inputs first."""
    circle = circle_network()
    yield Asked("circle 2-64-64-1, outside", circle, (2,), np.array([0.95, 0.95]), np.array([1.1, 1.1]), 0.5)
    yield Asked("circle 2-64-64-1, across the border", circle, (2,), np.array([0.7, 0.7]), np.array([0.9, 0.9]), 0.5)
    yield asked("3-10-10-1, holds", dense(1, 3, 10, 10, 1), (3,), 0.3, 0.1)
    yield asked("3-10-10-1, by a hair", dense(2, 3, 10, 10, 1), (3,), 0.5, 0.005)
    yield asked("5-50-50-50-50-1, holds", dense(3, 5, 50, 50, 50, 50, 1), (5,), 0.15, 0.1)
    yield asked("5-50-50-50-50-1, fails", dense(4, 5, 50, 50, 50, 50, 1), (5,), 0.3, -0.05)
    yield asked("40-60-60-1, holds", dense(5, 40, 60, 60, 1), (40,), 0.05, 0.4)
    yield asked("residual 20, holds", Residual(6, 20), (20,), 0.1, 0.3)
    yield asked("convolution 1x28x28, holds", convolution(7), (1, 28, 28), 0.02, 2.5)
    yield asked("784-128-64-1, holds", dense(8, 784, 128, 64, 1), (784,), 0.004, 3.0)
    yield asked("784-128-64-1, fails", dense(8, 784, 128, 64, 1), (784,), 0.01, 0.0)


def main() -> int:
    """Read the command line, run, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds a question and method (default 20)")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (default all)")
    options = parser.parse_args()
    methods = options.methods.split(",")
    easy = asked("", dense(0, 2, 3, 1), (2,), 0.1, 0.5)
    for method in methods:
        easy.ask(method, options.timeout)
    lines = ["| question | inputs | unstable | " + " | ".join(f"`{one}`" for one in methods) + " |"]
    lines.append("|---" * (3 + len(methods)) + "|")
    contradictions = []
    for one in tqdm(list(questions())):
        cells, verdicts = [], set()
        unstable = one.unstable()
        for method in methods:
            if unstable > LIMIT_UNSTABLE.get(method, unstable):
                cells.append("")
                continue
            started = time.perf_counter()
            result = one.ask(method, options.timeout)
            seconds = time.perf_counter() - started
            verdict = result.verdict.value
            verdicts |= {verdict} - {"unknown"}
            short = {"verified": "V", "falsified": "F", "unknown": "-"}[verdict]
            stage = f" {result.stage}" if method == "auto" else ""
            cells.append(f"{short} {seconds:.3f}{stage}")
        if len(verdicts) > 1:
            contradictions.append(one.name)
        lines.append(f"| {one.name} | {one.lower.size} | {unstable} | " + " | ".join(cells) + " |")
    head = (
        f"# Methods\n\nMade by `python -m benchmarks.methods` on {describe()}.\n\n"
        "Seconds of wall time, after V where the method verified, F where it falsified, - where it left it open; limit "
        f"{options.timeout:g} s. *unstable*: neurons that CROWN leaves so. For `auto` the stage that settled it.\n"
        "Empty: not asked.\n"
    )
    (RESULTS / "methods.md").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    print("\n".join(lines))
    for name in contradictions:
        print(f"CONTRADICTION: {name}")
    return int(bool(contradictions))


if __name__ == "__main__":
    sys.exit(main())
