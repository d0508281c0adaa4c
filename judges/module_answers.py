"""One random module asked a few questions, and the answers held against the module itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch

import verifier
from judges.random_modules import RandomModule, random_module
from verifier.errors import MisreadError
from verifier.frontends.read import read_subject

SAMPLES = 60
CLIMBS = 3
# how far the limit lies above the largest output that was seen, as a share of their spread, and who is asked
QUESTIONS = ((-0.1, "split"), (0.03, "split"), (0.6, "crown"))
# of the largest output, that a run of the module may round
RELATIVE = {torch.float64: 1e-9, torch.float32: 2e-4, torch.float16: 0.05, torch.bfloat16: 0.3}


@dataclass
class Asked:
    """What came of one module: how many answers of each kind, and what was wrong."""

    seed: int
    answers: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    refused: str = ""


def outputs(net: RandomModule, points: np.ndarray) -> np.ndarray:
    """What a fresh copy of the module gives at each point by itself, (points, outputs)."""
    rows = []
    with torch.no_grad():
        for point in points:
            fresh = _fresh(net)
            rows.append(fresh(torch.from_numpy(point.copy()).to(net.dtype)[None]).reshape(-1).double().numpy())
    return np.stack(rows)


def _written(values: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """The nearest values that a module of that dtype can be given; float32 also for one in float64."""
    return torch.from_numpy(values).to(torch.float32 if dtype == torch.float64 else dtype).double().numpy()


def _fresh(net: RandomModule) -> RandomModule:
    """The module with a buffer of its own: its only state that a forward may read and write."""
    fresh = copy.copy(net)
    fresh._buffers = {name: value if value is None else value.clone() for name, value in net._buffers.items()}
    return fresh


def climb(
    net: RandomModule, low: np.ndarray, high: np.ndarray, start: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A point of the box with a larger first output: by gradient steps, or by chance where autograd refuses."""
    point, best = start.copy(), outputs(net, start[None])[0, 0]
    for step in range(6):
        try:
            x = torch.from_numpy(point.copy()).to(net.dtype)[None].requires_grad_()
            _fresh(net)(x.clone())[0, 0].backward()
            assert x.grad is not None
            direction = np.sign(x.grad[0].double().numpy())
        except (RuntimeError, AssertionError):
            direction = rng.normal(size=point.size)
        there = np.clip(_written(point + direction * (high - low) * 0.5 ** (step + 1), net.dtype), low, high)
        value = outputs(net, there[None])[0, 0]
        if value > best:
            point, best = there, value
    return point


def ask(seed: int, samples: int = SAMPLES) -> Asked:
    """Read the module of a seed, ask it, and compare with what it computes in the box."""
    net, rng, asked = random_module(seed), np.random.default_rng(seed + 1), Asked(seed)
    state = _state(net)
    centre = rng.normal(size=net.inputs) * float(rng.choice([0.3, 1.0, 5.0]))
    radius = rng.uniform(0.01, 0.6) * float(rng.choice([0.2, 1.0, 3.0]))
    low, high = (_written(side, net.dtype) for side in (centre - radius, centre + radius))
    points = np.concatenate([rng.uniform(low, high, (samples, net.inputs)), low[None], high[None]])
    points = np.clip(_written(points, net.dtype), low, high)
    y = outputs(net, points)
    top_at = points[y[:, 0].argsort()[-CLIMBS:]]
    climbed = np.stack([climb(net, low, high, start, rng) for start in top_at])
    points, y = np.concatenate([points, climbed]), np.concatenate([y, outputs(net, climbed)])
    slack = RELATIVE[net.dtype] * (1.0 + np.abs(y).max())
    box = np.stack([low, high], axis=1)
    try:
        network = read_subject(net, (net.inputs,), net.inputs, (low, high)).network
    except MisreadError as error:
        asked.wrong.append(f"misread, and refused for that: {error}")
        return asked
    except verifier.VerifierError as error:
        asked.refused = str(error)
        return asked
    if not (np.abs(network(points) - y) <= slack).all():
        asked.wrong.append(f"the network gives {np.abs(network(points) - y).max():g} else")
    spread = float(y[:, 0].max() - y[:, 0].min()) + 1e-3
    for share, method in QUESTIONS:
        top = float(y[:, 0].max() + share * spread)
        limits = [[None, top]] + [[None, None]] * (y.shape[1] - 1)
        cases: list[torch.Tensor] = []
        result = verifier.verify(
            net, box, limits, cases, input_shape=(net.inputs,), max_subdomains=40, timeout_s=20, progress=False,
            method=method, max_counterexamples=2,
        )  # fmt: skip
        asked.answers.append(result.verdict.value)
        if result and y[:, 0].max() > top + slack:
            asked.wrong.append(f"VERIFIED y <= {top:g}, and the module gives {y[:, 0].max():g}")
        if not (y[:, 0] <= result.output_bounds.upper[0] + slack).all():
            asked.wrong.append("an output lies above its bounds")
        if not (y[:, 0] >= result.output_bounds.lower[0] - slack).all():
            asked.wrong.append("an output lies below its bounds")
        if result.verdict is verifier.Verdict.FALSIFIED and not cases:
            asked.wrong.append("FALSIFIED without a counterexample")
        for case in cases:
            flat = case.reshape(-1).double().numpy()
            inside = bool((flat >= low).all() and (flat <= high).all())
            if not inside or outputs(net, flat[None])[0, 0] <= top:
                asked.wrong.append(f"the counterexample {flat.tolist()} is none (inside the box: {inside})")
    if _state(net) != state:
        asked.wrong.append("the module was changed")
    return asked


def _state(net: RandomModule) -> tuple[int, bytes]:
    return net.calls, b"".join(value.double().numpy().tobytes() for value in net.state_dict().values())
