"""Which unstable ReLU to split: a cheap score for all of them, then both sides of the best few are bounded.

The score is what the neuron's relaxation costs the bound: a coefficient c < 0 before the ReLU pays for the chord's
offset, c > 0 for the gap below. Look-ahead bounds the two halves with the parent's slopes and multipliers, which is
one backward pass without any optimisation, and takes the neuron whose worse half gains most.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verifier.search.relu.alpha_crown import Choice, Relaxed, Subdomains, Target, lower_bound
from verifier.search.relu.folded_graph import FoldedGraph

LOOK_AHEAD = 6  # neurons whose two halves are bounded
BETTER_HALF = 0.2  # how much the better half's gain counts beside the worse half's


def score_branching(coefficients: Tensor, domains: Subdomains, slope: Tensor) -> Tensor:
    """Score the unstable neurons, (rows, unstable); -1 for those that are split already.

    Args:
        coefficients: What stands before each ReLU in the bound of the row, (rows, unstable).
        domains: The rows' subdomains.
        slope: Slopes of the lines below.

    Source:
        After Bunel et al. Branch and Bound for Piecewise Linear Neural Network Verification. JMLR 2020 (BaBSR).
    """
    low, high = domains.lower, domains.upper
    chord = -low * high / (high - low).clamp(min=torch.finfo(low.dtype).tiny)
    below = torch.maximum(-low * slope, high * (1 - slope))
    cost = torch.where(coefficients < 0, -coefficients * chord, coefficients * torch.minimum(below, chord))
    return torch.where(domains.sign == 0, cost, torch.full_like(cost, -1.0))


def choose_neurons(
    graph: FoldedGraph, target: Target, domains: Subdomains, choice: Choice, value: Tensor, count: int = LOOK_AHEAD
) -> Tensor:
    """Choose a neuron to split for each row, (rows,); -1 where all are split.

    Args:
        graph: What is bounded.
        target: The rows.
        domains: Their subdomains, (rows, unstable).
        choice: The rows' slopes and multipliers.
        value: The rows' bounds.
        count: Neurons tried; 1 takes the best score without trying.

    Source:
        De Palma et al. Improved Branch and Bound for Neural Network Verification via Lagrangian Decomposition. 2021
        (FSB: filter by score, then decide by fast bounds).
    """
    if domains.sign.shape[1] == 0:  # no hidden layer, or no unstable neuron in one
        return torch.full((len(value),), -1)
    with torch.no_grad():
        _, _, before = lower_bound(graph, target, Relaxed(domains), choice)
        score = score_branching(torch.cat(before, dim=1), domains, choice.slope)
        count = min(count, score.shape[1])
        best, tried = score.topk(count, dim=1)
        if count == 1:
            return torch.where(best[:, 0] >= 0, tried[:, 0], -1)
        rows = torch.arange(len(tried)).repeat_interleave(count)
        neurons = tried.reshape(-1)
        halves = []
        for sign in (1.0, -1.0):
            part = domains.take(rows)  # a copy
            part.sign[torch.arange(len(rows)), neurons] = sign
            mixture = None if choice.mixture is None else choice.mixture[rows]
            given = Choice(choice.slope[rows], choice.multiplier[rows], mixture)
            bound, _, _ = lower_bound(graph, target.take(rows), Relaxed(part), given)
            halves.append((torch.maximum(bound, value[rows]) - value[rows]).reshape(tried.shape))
        worse, better = torch.minimum(*halves), torch.maximum(*halves)
        # a half that is settled gains no more by being settled more clearly
        limit = (-value).clamp(min=0)[:, None]
        gain = torch.minimum(worse, limit) + BETTER_HALF * torch.minimum(better, limit)
        gain = torch.where(best >= 0, gain + 1e-6 * best / best[:, :1].clamp(min=1e-30), torch.full_like(gain, -1.0))
        chosen = gain.argmax(dim=1)
        picked = torch.arange(len(tried))
        return torch.where(best[picked, chosen] >= 0, tried[picked, chosen], -1)
