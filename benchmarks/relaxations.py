"""Distances to the nearest adversarial example on MNIST, and the ladder of bounds on random networks.

OMP_NUM_THREADS=1 python -m benchmarks.relaxations [--networks 1000] [--methods auto milp lp]

Writes benchmarks/results/relaxations.md. Ten test digits are asked, one of each, on a 784-32-16-10 network that is
trained here: by "auto", which proves both ends, by "milp" and by "lp". Then the bounds of random networks are compared:
each rung of the ladder has to lie within the one before on the same hidden bounds, and every sampled output in all.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.machine import describe
from course_utils.curve import empty_network
from course_utils.data import mnist
from verifier import Network, Verdict, output_bounds, pointwise_robustness
from verifier.bounds.crown import crown_bounds
from verifier.bounds.interval import interval_bounds
from verifier.enclosure import Bounds

TARGET = Path(__file__).parent / "results" / "relaxations.md"
RADIUS = 0.1
TIMEOUT_S = 300.0  # on the clock, far beyond what is expected even beside other work
NEST_RTOL = 1e-7  # what rounding and repair may cost, as a share of the outputs' size
SIZES = [(2, 6, 2), (3, 5, 5, 2), (2, 4, 4, 4, 1), (4, 8, 3), (3, 10, 2)]
LADDER = ("crown", "crown_optimized", "lp", "sdp")


def trained() -> nn.Sequential:
    """A 784-32-16-10 classifier of the project's own MNIST digits."""
    torch.manual_seed(0)
    digits = mnist("train", subset=True)
    net = empty_network(784, 32, 16, 10)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(15):
        for chosen in torch.randperm(len(digits)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(digits.images[chosen]), digits.labels[chosen]).backward()
            optimizer.step()
    return net.requires_grad_(False).eval()


def distances(net: nn.Sequential, methods: list[str]) -> tuple[list[str], list[str]]:
    """A line of the table for each digit, and complaints."""
    digits = mnist("test", subset=True)
    right = (net(digits.images).argmax(dim=1) == digits.labels).numpy()
    lines, complaints = [], []
    for digit in range(10):
        image = digits.images[int(np.flatnonzero((digits.labels.numpy() == digit) & right)[0])]
        cells, found = [str(digit)], {}
        for method in methods:
            cpu, wall = time.process_time(), time.perf_counter()
            one = found[method] = pointwise_robustness(
                net, image, RADIUS, method=method, clip=(0.0, 1.0), timeout_s=TIMEOUT_S, progress=False
            )
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            cells += [f"{one.lower:.6f}", f"{one.upper:.6f}", f"{cpu:.1f} ({wall:.1f})"]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
        lowest = min(one.upper for one in found.values())
        too_high = [method for method, one in found.items() if one.lower > lowest + 1e-9]
        complaints += [f"digit {digit}: {method} claims more than an example allows" for method in too_high]
        if len({one.verdict for one in found.values()} - {Verdict.UNKNOWN}) > 1:
            complaints.append(f"digit {digit}: verdicts differ")
    return lines, complaints


def nested(count: int) -> tuple[dict[str, float], list[str]]:
    """The mean width of each rung relative to sampled outputs' range, and complaints."""
    widths: dict[str, list[float]] = {name: [] for name in ("ibp", *LADDER)}
    complaints = []
    for seed in range(count):
        rng, sizes = np.random.default_rng(seed), SIZES[seed % len(SIZES)]
        weights = [rng.normal(size=(m, n)) * 2 / np.sqrt(n) for n, m in itertools.pairwise(sizes)]
        network = Network.from_arrays(weights, [rng.normal(size=len(weight)) * 0.3 for weight in weights])
        radius = rng.uniform(0.1, 0.8, network.inputs)
        box = np.stack([-radius, radius], axis=1)
        found = {name: output_bounds(network, box, method=name) for name in ("ibp", *LADDER)}
        y = network(rng.uniform(-radius, radius, (2000, network.inputs)))
        room = NEST_RTOL * float(np.abs(y).max())
        for outer, inner in itertools.pairwise(LADDER):
            a, b = found[outer], found[inner]
            if (b.lower < a.lower - room).any() or (b.upper > a.upper + room).any():
                complaints.append(f"network {seed}: {inner} not within {outer}")
        boxes, rows = Bounds(-radius[None], radius[None]), np.eye(network.outputs)
        a, b = interval_bounds(network, boxes, rows).rows, crown_bounds(network, boxes, rows).rows
        if (b.lower < a.lower).any() or (b.upper > a.upper).any():
            complaints.append(f"network {seed}: intersected CROWN not within interval")
        for name, bounds in found.items():
            if (bounds.lower > y.min(axis=0)).any() or (bounds.upper < y.max(axis=0)).any():
                complaints.append(f"network {seed}: a sample outside {name}")
            widths[name].append(float((bounds.upper - bounds.lower).sum() / np.ptp(y, axis=0).sum()))
    return {name: float(np.median(values)) for name, values in widths.items()}, complaints


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--methods", nargs="+", default=["auto", "milp", "lp"])
    options = parser.parse_args()
    count, methods = options.networks, options.methods
    torch.set_num_threads(1)
    lines, complaints = distances(trained(), methods)
    widths, more = nested(count)
    complaints += more
    columns = [f"{method}: lower | upper | CPU s (clock)" for method in methods]
    text = [
        "# Distances to the nearest adversarial example, and the ladder of bounds",
        "",
        f"Made by `python -m benchmarks.relaxations --methods {' '.join(methods)}` on {describe()}.",
        "Where the clock shows much more than CPU seconds, other work ran on the same cores.",
        "",
        f"A 784-32-16-10 network, one digit of each class, radius {RADIUS}, largest change, pixels from 0 to 1. Each",
        "lower end is proved with rounding accounted for, each upper end is that of an example that was replayed.",
        "",
        "| digit | " + " | ".join(columns) + " |",
        "|" + "---|" * (1 + 3 * len(methods)),
        *lines,
        "",
        f"{count:,} random networks ({', '.join('-'.join(map(str, size)) for size in SIZES)}): median width of all",
        "outputs' bounds over the range of 2,000 samples:",
        "",
        "| " + " | ".join(widths) + " |",
        "|" + "---|" * len(widths),
        "| " + " | ".join(f"{value:.3f}" for value in widths.values()) + " |",
        "",
        "Intervals are compared with CROWN where both are intersected: CROWN as published may be wider than intervals.",
        "",
        "Complaints: " + ("none." if not complaints else "; ".join(complaints)),
        "",
    ]
    TARGET.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(complaints) or "no complaint")


if __name__ == "__main__":
    main()
