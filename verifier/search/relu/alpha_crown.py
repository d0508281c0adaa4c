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

from verifier.enclosure import Array, Bounds
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.split_bounds import RootBox, Rows, SplitBounds, chunks

SLOPE_RATE = 0.15  # Adam's step for slopes, which live in [0, 1]
MULTIPLIER_RATE = 0.15  # for multipliers, in units of the coefficients that stand in their layer
MIXTURE_RATE = 0.3  # for the weights of a clause's margins, as logits
WEIGHT_RATE = 0.15  # for the weight of a row's margins, in units of the weight it begins with
DECAY = 0.97  # of every rate, a step
CHECK_EVERY = 5  # steps between looks at whether all rows are settled


@dataclass(eq=False)
class Choice:
    """Slopes and multipliers for rows, over the unstable neurons of all layers, (rows, unstable) each.

    Args:
        slope: In [0, 1].
        multiplier: >= 0; counted where a split has fixed the neuron's sign.
        mixture: Logits of the weights of each row's margins, (rows, margins), or None where there is one margin.
        weight: >= 0, what the mixed margins are multiplied by, (rows,); None for 1.
    """

    slope: Tensor
    multiplier: Tensor
    mixture: Tensor | None = None
    weight: Tensor | None = None


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
    and (rows,). `valid` marks the margins that a row has, (rows, margins). `added` are coefficients on the z of
    unstable neurons that belong to the row besides its margins, (rows, unstable).
    """

    sources: dict[int, Tensor]
    constant: Tensor
    valid: Tensor | None = None
    added: Tensor | None = None

    def take(self, rows: Tensor) -> Target:
        """Keep some rows."""
        valid = None if self.valid is None else self.valid[rows]
        added = None if self.added is None else self.added[rows]
        return Target({j: one[rows] for j, one in self.sources.items()}, self.constant[rows], valid, added)

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


@torch.no_grad()
def lower_bound(
    graph: FoldedGraph, target: Target, lines: Relaxed, choice: Choice
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Bound rows below by one backward pass, in float32 and without the rounding term.

    Returns:
        The bounds (rows,), the coefficients at the input (rows, inputs), and those before the unstable ReLUs of each
        layer, first layer first.
    """
    sources, total = target.mixed(choice.mixture)
    sources = dict(sources)
    if choice.weight is not None:
        sources = {j: one * choice.weight[:, None] for j, one in sources.items()}
        total = total * choice.weight
    lower_slope = torch.where(lines.free, choice.slope, lines.upper_slope)
    taken = lines.sign * choice.multiplier
    if target.added is not None:
        taken = taken - target.added
    before: list[Tensor] = []
    for k in range(len(graph.nodes), 0, -1):
        node, part = graph.nodes[k - 1], graph.slices[k - 1]
        found = sources.pop(k, None)
        count = part.stop - part.start
        if found is None:
            found = total.new_zeros(len(total), node.kept)
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


@dataclass(frozen=True, eq=False)
class Gradients:
    """How each row's bound changes with its slopes, multipliers, mixture and weight, shaped like the choice."""

    slope: Tensor
    multiplier: Tensor
    mixture: Tensor | None
    weight: Tensor | None


@torch.no_grad()
def gradients(
    graph: FoldedGraph, target: Target, lines: Relaxed, choice: Choice, slope: Tensor, before: list[Tensor]
) -> Gradients:
    """Differentiate lower_bound(), given what it returned.

    The bound is the value of the row at the corner of the box that `slope` picks, with every ReLU replaced by the line
    that its coefficient picks. So one pass forward through these lines gives z there, and the bound's derivative is
    c z by a slope below (where c > 0) and -sign z by a multiplier: the coefficient on z loses sign times it.
    """
    values = {0: torch.where(slope > 0, graph.lower, graph.upper)}
    by_slope, by_multiplier = [], []
    for k, (node, part) in enumerate(zip(graph.nodes, graph.slices, strict=True), start=1):
        count = part.stop - part.start
        z = node.constant.expand(len(slope), -1)
        for j, block in node.blocks.items():
            z = torch.addmm(z, values[j], block.T)
        z_unstable, c = z[:, :count], before[k - 1]
        line = torch.where(lines.free[:, part], choice.slope[:, part], lines.upper_slope[:, part])
        above = c < 0
        h = z_unstable * torch.where(above, lines.upper_slope[:, part], line)
        h += torch.where(above, lines.upper_offset[:, part], 0.0)
        by_slope.append(torch.where(lines.free[:, part], c.clamp(min=0) * z_unstable, 0.0))
        by_multiplier.append(-lines.sign[:, part] * z_unstable)
        values[k] = torch.cat([h, z[:, count:]], dim=1) if node.kept > count else h
    if by_slope:
        slope_found, multiplier_found = torch.cat(by_slope, dim=1), torch.cat(by_multiplier, dim=1)
    else:
        slope_found = multiplier_found = slope.new_zeros(len(slope), 0)
    if choice.mixture is None or target.valid is None:
        if choice.weight is None:
            return Gradients(slope_found, multiplier_found, None, None)
        margin = target.constant.clone()
        for j, one in target.sources.items():
            margin += (one * values[j]).sum(1)
        return Gradients(slope_found, multiplier_found, None, margin)
    margins = target.constant.clone()
    for j, one in target.sources.items():
        margins += torch.einsum("rmw,rw->rm", one, values[j])
    shares = mixture_weights(choice.mixture, target.valid)
    mean = (shares * margins).sum(1)
    by_mixture = shares * (margins - mean[:, None])
    if choice.weight is None:
        return Gradients(slope_found, multiplier_found, by_mixture, None)
    return Gradients(slope_found, multiplier_found, by_mixture * choice.weight[:, None], mean)


@torch.no_grad()
def optimise(
    graph: FoldedGraph, target: Target, domains: Subdomains, choice: Choice, *, steps: int,
    enough: Callable[[Tensor], bool] | None = None, stop: Callable[[], bool] = lambda: False,
) -> tuple[Tensor, Choice]:  # fmt: skip
    """Improve slopes, multipliers, mixtures and weights by Adam; return each row's best bound and what gave it.

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
    best, inputs, before = lower_bound(graph, target, lines, choice)
    kept = choice
    if steps == 0:
        return best, kept
    # multipliers are counted in the size of the coefficients beside them, so that one rate fits every network
    size = [one.abs().amax(1, keepdim=True).expand_as(one) if one.shape[1] else one for one in before]
    unit = torch.cat(size, dim=1).clamp(min=1e-6) if size else best.new_zeros(len(best), 0)
    slope, multiplier = choice.slope.clone(), choice.multiplier / unit
    mixture = None if choice.mixture is None else choice.mixture.clone()
    weight_unit = None if choice.weight is None else choice.weight.clamp(min=1e-9)
    weight = None if choice.weight is None or weight_unit is None else choice.weight / weight_unit
    rates = (SLOPE_RATE, MULTIPLIER_RATE, MIXTURE_RATE, WEIGHT_RATE)
    parameters = (slope, multiplier, mixture, weight)
    moments = [None if p is None else (torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    now = choice
    for step in range(1, steps + 1):
        found = gradients(graph, target, lines, now, inputs, before)
        by_weight = None if found.weight is None or weight_unit is None else found.weight * weight_unit
        slopes = (found.slope, found.multiplier * unit, found.mixture, by_weight)
        for p, rate, moment, gradient in zip(parameters, rates, moments, slopes, strict=True):
            if p is None or moment is None or gradient is None:
                continue
            first, second = moment
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            size_now = (second / (1 - 0.999**step)).sqrt_().add_(1e-12)
            p.addcdiv_(first, size_now, value=rate * DECAY**step / (1 - 0.9**step))
        slope.clamp_(0, 1)
        multiplier.clamp_(min=0)
        if weight is not None:
            weight.clamp_(min=0)
        scaled = None if weight is None or weight_unit is None else weight * weight_unit
        now = Choice(slope, multiplier * unit, mixture, scaled)
        value, inputs, before = lower_bound(graph, target, lines, now)
        better = value > best
        best = torch.where(better, value, best)
        kept = _better(better, now, kept)
        if stop() or (enough is not None and step % CHECK_EVERY == 0 and enough(best)):
            break
    return best, kept


def _better(rows: Tensor, one: Choice, other: Choice) -> Choice:
    """Take the choice `one` in the marked rows and `other` elsewhere."""
    column = rows[:, None]
    return Choice(
        torch.where(column, one.slope, other.slope),
        torch.where(column, one.multiplier, other.multiplier),
        None if one.mixture is None or other.mixture is None else torch.where(column, one.mixture, other.mixture),
        None if one.weight is None or other.weight is None else torch.where(rows, one.weight, other.weight),
    )


def check(
    root: RootBox, graph: FoldedGraph, rows: Rows, lower: Array, upper: Array, sign: Array, choice: Choice,
    added: Array | None = None,
) -> SplitBounds:  # fmt: skip
    """Recompute bounds in float64 on the network itself; what is returned holds, rounding included.

    Args:
        root: The box, every layer of the graph passed.
        graph: What the choice was found on.
        rows: The rows, in float64.
        lower: Bounds that hold in each row's subdomain, (rows, unstable).
        upper: Likewise.
        sign: The signs that choice.multiplier is counted with, (rows, unstable).
        choice: Slopes and multipliers; whatever they are, the bounds hold.
        added: Coefficients on z that belong to the rows, too, (rows, unstable).
    """
    found = [
        _check(root, graph, rows.part(some), lower[some], upper[some], choice.slope[some].numpy(),
               choice.multiplier[some].numpy() * sign[some], None if added is None else added[some])
        for some in chunks(root.network, len(rows.offset))
    ]  # fmt: skip
    return SplitBounds(np.concatenate([one.lower for one in found]), np.concatenate([one.slope for one in found]))


def _check(
    root: RootBox, graph: FoldedGraph, rows: Rows, lower: Array, upper: Array, slope: Array, multiplier: Array,
    added: Array | None,
) -> SplitBounds:  # fmt: skip
    zero = [np.zeros(z.lower.size) for z in graph.pre]
    lowers = graph.scatter(lower, [z.lower for z in graph.pre])
    uppers = graph.scatter(upper, [z.upper for z in graph.pre])
    slopes = graph.scatter(slope.astype(np.float64), zero)
    multipliers = graph.scatter(multiplier.astype(np.float64), zero)
    parts = [Bounds(low, high) for low, high in zip(lowers, uppers, strict=True)]
    more = None if added is None else graph.scatter(added, zero)
    return root.lower_bounds(rows, parts, slopes, multipliers, more)
