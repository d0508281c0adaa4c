"""One ternary unit for each pair of digits at 28x28, and a vote: five draws of the training images."""

from __future__ import annotations

import gzip
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.data import load_file
from verifier.synthesis.sketch import Examples
from verifier.synthesis.widest import Unit, fewest_weights, widest_unit

DRAWS = 5
COUNTS = {10: 0.9, 40: 0.7}  # images of each digit, and the share of the gap that stays when weights are given up


def run_pairs(mnist: Path | None = None) -> list[dict[str, Any]]:
    """The vote with 10 and with 40 images of each digit: the widest gaps, then few weights as a second objective."""
    x, y, tests, wanted = images(mnist)
    return [line for count, share in COUNTS.items() for line in vote(x, y, tests, wanted, count, share)]


def images(mnist: Path | None) -> tuple[Any, Any, Any, Any]:
    """Training images and labels, test images and labels; pixels of 0 and 1."""
    if mnist is None:
        stored = load_file("mnist_subset.npz")
        parts = [stored[f"{part}_{what}"] for part in ("train", "test") for what in ("images", "labels")]
    else:
        parts = []
        for part in ("train", "t10k"):
            for what, header in (("images-idx3", 16), ("labels-idx1", 8)):
                raw = gzip.decompress((mnist / f"{part}-{what}-ubyte.gz").read_bytes())
                parts.append(np.frombuffer(raw, np.uint8, offset=header))
    x, y, tests, wanted = parts
    return (x.reshape(-1, 784) >= 64).astype(np.int64), y, tests.reshape(-1, 784) >= 64, wanted


def vote(x: Any, y: Any, tests: Any, wanted: Any, count: int, share: float) -> list[dict[str, Any]]:
    """Two lines of the table: mean and spread of the test accuracy over the draws."""
    shares: dict[str, list[float]] = {"widest gap": [], "widest gap, then few weights": []}
    seconds, met = dict.fromkeys(shares, 0.0), dict.fromkeys(shares, 1.0)
    used: dict[str, list[int]] = {name: [] for name in shares}
    for draw in range(1, DRAWS + 1):
        rng = np.random.default_rng(draw)
        chosen = {digit: rng.choice(np.flatnonzero(y == digit), count, replace=False) for digit in range(10)}
        found: dict[str, dict[tuple[int, int], Unit]] = {name: {} for name in shares}
        for a, b in itertools.combinations(range(10), 2):
            train = Examples(np.vstack([x[chosen[a]], x[chosen[b]]]), np.repeat([1, 0], count))
            began = time.process_time()
            widest = widest_unit(train)
            middle = time.process_time()
            few = fewest_weights(train, widest, share)
            for name, unit in zip(shares, (widest, few), strict=True):
                if unit.gap < 1 or not unit.network.right(train).all():
                    raise RuntimeError(f"{a} against {b}: {name} does not read all training images")
                found[name][a, b] = unit
                met[name] = min(met[name], unit.gap / unit.gap_bound)
                used[name].append(unit.network.nonzero)
            seconds["widest gap"] += (middle - began) / DRAWS
            seconds["widest gap, then few weights"] += (time.process_time() - began) / DRAWS
        for name, units in found.items():
            shares[name].append(float((classes(units, tests) == wanted).mean()))
    return [
        {
            "what": f"{count} images of each digit, {name}", "test": round(float(np.mean(values)), 4),
            "spread": f"{min(values):.4f} to {max(values):.4f}", "of": len(wanted), "seconds": round(seconds[name], 1),
            "bound_share": round(met[name], 3), "weights": f"{min(used[name])} to {max(used[name])}",
        }
        for name, values in shares.items()
    ]  # fmt: skip


def classes(units: dict[tuple[int, int], Unit], tests: Any) -> Any:
    """The digit with the most of the 45 votes; of several, the one with the larger sum of values, each by its gap."""
    votes, clear = np.zeros((len(tests), 10)), np.zeros((len(tests), 10))
    pixels = tests.astype(np.float64)  # sums of at most 784 ones: exact
    for (a, b), unit in units.items():
        z = pixels @ unit.network.weights[0][0] + unit.network.biases[0][0]
        votes[:, a] += z >= 0
        votes[:, b] += z < 0
        clear[:, a] += z / unit.gap
        clear[:, b] -= z / unit.gap
    return np.where(votes == votes.max(axis=1, keepdims=True), clear, -np.inf).argmax(axis=1)
