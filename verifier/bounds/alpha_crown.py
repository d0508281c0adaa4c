"""Optimised backward bounds: slopes below ReLU and split multipliers found by gradient ascent on the bound itself.

Every row has its own subdomain of one box, its own slopes (alpha) and its own multipliers (beta). The bound is a
concave function of them as long as no coefficient changes its sign, and any choice is valid, so Adam may stop anywhere.
Computed on the folded graph, in float32; split_bounds.py recomputes what counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from verifier.bounds.folded_graph import FoldedGraph
from verifier.bounds.split_bounds import RootBox, Rows, SplitBounds
from verifier.enclosure import Array, Bounds

SLOPE_RATE = 0.15  # Adam's step for slopes, which live in [0, 1]
MULTIPLIER_RATE = 0.15  # for multipliers, in units of the coefficients that stand in their layer
MIXTURE_RATE = 0.3  # for the weights of a clause's margins, as logits
DECAY = 0.97  # of every rate, a step
CHECK_EVERY = 5  # steps between looks at whether all rows are settled


@dataclass(eq=False)
class Choice:
    """Slopes and multipliers for rows, over the unstable neurons of all layers, (rows, unstable) each.

    Args:
        slope: In [0, 1].
        multiplier: >= 0; counted where a split has fixed the neuron's sign.
        mixture: Logits of the weights of each row's margins, (rows, margins), or None where there is one margin.
    """

    slope: Tensor
    multiplier: Tensor
    mixture: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Subdomains:
    """The parts of the box that rows are bounded over, at the unstable neurons of all layers.

    Args:
        lower: Bounds on z, (rows or 1, unstable).
        upper: Likewise.
        sign: +1 where a split says z >= 0, -1 where z <= 0, else 0; (rows or 1, unstable).
    """

    lower: Tensor
    upper: Tensor
    sign: Tensor

    @staticmethod
    def of(lower: Array, upper: Array, sign: Array, dtype: torch.dtype = torch.float32) -> Subdomains:
        """Read them from arrays, in the dtype of the graph."""
        return Subdomains(*(torch.from_numpy(one).to(dtype) for one in (lower, upper, sign)))

    def take(self, rows: Tensor) -> Subdomains:
        """Keep some rows."""
        return Subdomains(self.lower[rows], self.upper[rows], self.sign[rows])


@dataclass(frozen=True, eq=False)
class Target:
    """What rows are bounded: functions of x and the kept neurons, by source, and constants.

    With a mixture each source holds (rows, margins, width) and the constants (rows, margins); otherwise (rows, width)
    and (rows,). `valid` marks the margins that a row has, (rows, margins).
    """

    sources: dict[int, Tensor]
    constant: Tensor
    valid: Tensor | None = None

    def take(self, rows: Tensor) -> Target:
        """Keep some rows."""
        valid = None if self.valid is None else self.valid[rows]
        return Target({j: one[rows] for j, one in self.sources.items()}, self.constant[rows], valid)

    def mixed(self, mixture: Tensor | None) -> tuple[dict[int, Tensor], Tensor]:
        """Mix each row's margins."""
        if self.valid is None or mixture is None:
            return self.sources, self.constant
        weights = mixture_weights(mixture, self.valid)
        sources = {j: torch.einsum("rm,rmw->rw", weights, one) for j, one in self.sources.items()}
        return sources, (weights * self.constant).sum(1)


def mixture_weights(mixture: Tensor, valid: Tensor) -> Tensor:
    """Turn logits into weights >= 0 that add up to about one."""
    return torch.softmax(torch.where(valid, mixture, torch.full_like(mixture, -1e9)), dim=1)


def default_choice(domains: Subdomains, rows: int, unstable: int) -> Choice:
    """CROWN's slopes, 1 where u > -l and 0 elsewhere, and no multipliers."""
    slope = (domains.upper > -domains.lower).to(domains.lower.dtype).expand(rows, unstable).clone()
    return Choice(slope, torch.zeros_like(slope))


class Relaxed:
    """The lines around every unstable ReLU that do not depend on what is optimised."""

    def __init__(self, domains: Subdomains) -> None:
        """Compute them once."""
        self.free = domains.sign == 0
        width = (domains.upper - domains.lower).clamp(min=torch.finfo(domains.lower.dtype).tiny)
        active = (domains.sign > 0).to(width.dtype)
        self.upper_slope = torch.where(self.free, domains.upper / width, active)
        self.upper_offset = torch.where(self.free, -domains.lower * self.upper_slope, torch.zeros_like(width))
        self.sign = domains.sign


def lower_bound(
    graph: FoldedGraph, target: Target, lines: Relaxed, choice: Choice, unit: Tensor | float = 1.0
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Bound rows below by one backward pass, in float32 and without the rounding term.

    Returns:
        The bounds (rows,), the coefficients at the input (rows, inputs), and those before the unstable ReLUs of each
        layer, first layer first.
    """
    sources, total = target.mixed(choice.mixture)
    sources = dict(sources)
    lower_slope = torch.where(lines.free, choice.slope, lines.upper_slope)
    taken = lines.sign * (choice.multiplier * unit)
    before: list[Tensor] = []
    for k in range(len(graph.nodes), 0, -1):
        node, part = graph.nodes[k - 1], graph.slices[k - 1]
        found = sources.pop(k, None)
        count = part.stop - part.start
        if found is None:
            before.insert(0, total.new_zeros(len(total), count))
            continue
        c = found[:, :count]
        before.insert(0, c)
        positive, negative = c.clamp(min=0), c.clamp(max=0)
        z = positive * lower_slope[:, part] + negative * lines.upper_slope[:, part] - taken[:, part]
        total = total + (negative * lines.upper_offset[:, part]).sum(1)
        if node.kept > count:
            z = torch.cat([z, found[:, count:]], dim=1)
        total = total + z @ node.constant
        for j, block in node.blocks.items():
            sources[j] = torch.addmm(sources[j], z, block) if j in sources else z @ block
    slope = sources.get(0)
    if slope is None:
        slope = total.new_zeros(len(total), graph.lower.numel())
    return total + slope.clamp(min=0) @ graph.lower + slope.clamp(max=0) @ graph.upper, slope, before


def optimise(
    graph: FoldedGraph, target: Target, domains: Subdomains, choice: Choice, *, steps: int,
    enough: Callable[[Tensor], bool] | None = None, stop: Callable[[], bool] = lambda: False,
) -> tuple[Tensor, Choice]:  # fmt: skip
    """Improve slopes and multipliers by Adam, and return each row's best bound and the choice that gave it.

    Args:
        graph: What is bounded.
        target: The rows.
        domains: Their subdomains.
        choice: Where to begin.
        steps: Adam steps; 0 evaluates the choice.
        enough: Asked now and then whether these bounds will do.
        stop: Asked at every step whether time is up.
    """
    lines = Relaxed(domains)
    with torch.no_grad():
        best, _, before = lower_bound(graph, target, lines, choice)
        # multipliers are counted in the size of the coefficients beside them, so that one rate fits every network
        size = [one.abs().amax(1, keepdim=True).expand_as(one) if one.shape[1] else one for one in before]
        unit = torch.cat(size, dim=1).clamp(min=1e-6) if size else best.new_zeros(len(best), 0)
    kept = choice
    if steps == 0:
        return best, kept
    slope = choice.slope.clone().requires_grad_()
    multiplier = (choice.multiplier / unit).requires_grad_()
    mixture = None if choice.mixture is None else choice.mixture.clone().requires_grad_()
    split = bool((domains.sign != 0).any())
    parameters = [(slope, SLOPE_RATE)] + ([(multiplier, MULTIPLIER_RATE)] if split else [])
    parameters += [] if mixture is None else [(mixture, MIXTURE_RATE)]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in parameters]
    for step in range(1, steps + 2):  # the last round only looks at what the last step gave
        last = step == steps + 1
        with torch.set_grad_enabled(not last):
            value, _, _ = lower_bound(graph, target, lines, Choice(slope, multiplier, mixture), unit)
        with torch.no_grad():
            better = value > best
            best = torch.where(better, value, best)
            kept = Choice(
                torch.where(better[:, None], slope, kept.slope),
                torch.where(better[:, None], multiplier * unit, kept.multiplier),
                None if mixture is None or kept.mixture is None
                else torch.where(better[:, None], mixture, kept.mixture),
            )  # fmt: skip
        if (
            last
            or not value.requires_grad
            or stop()
            or (enough is not None and step % CHECK_EVERY == 0 and enough(best))
        ):
            break
        gradients = torch.autograd.grad(value.sum(), [p for p, _ in parameters], allow_unused=True)
        with torch.no_grad():
            for (p, rate), (first, second), gradient in zip(parameters, moments, gradients, strict=True):
                if gradient is None:
                    continue
                first.mul_(0.9).add_(gradient, alpha=0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                size_now = (second / (1 - 0.999**step)).sqrt_().add_(1e-12)
                p.add_(first / size_now, alpha=rate * DECAY**step / (1 - 0.9**step))
            slope.clamp_(0, 1)
            multiplier.clamp_(min=0)
    return best.detach(), kept


def check(
    root: RootBox, graph: FoldedGraph, rows: Rows, lower: Array, upper: Array, sign: Array, choice: Choice
) -> SplitBounds:
    """Recompute bounds in float64 on the network itself; what is returned holds, rounding included.

    Args:
        root: The box, every layer of the graph passed.
        graph: What the choice was found on.
        rows: The rows, in float64.
        lower: Bounds that hold in each row's subdomain, (rows, unstable).
        upper: Likewise.
        sign: The signs that choice.multiplier is counted with, (rows, unstable).
        choice: Slopes and multipliers; whatever they are, the bounds hold.
    """
    zero = [np.zeros(z.lower.size) for z in graph.pre]
    lowers = graph.scatter(lower, [z.lower for z in graph.pre])
    uppers = graph.scatter(upper, [z.upper for z in graph.pre])
    slopes = graph.scatter(choice.slope.numpy().astype(np.float64), zero)
    multipliers = graph.scatter(choice.multiplier.numpy().astype(np.float64) * sign, zero)
    parts = [Bounds(low, high) for low, high in zip(lowers, uppers, strict=True)]
    return root.lower_bounds(rows, parts, slopes, multipliers)
