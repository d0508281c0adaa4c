"""The clauses of a spec as rows to be bounded below: one margin, or a mixture of the margins of a disjunction.

Where margins m_1 ... m_k stand in one clause, sum w_i m_i >= 0 with weights w >= 0, not all zero, shows that one of
them is >= 0 at every point, and so that the clause holds. The best weights are part of what is optimised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from verifier.enclosure import Array, Indices, Mask, gamma
from verifier.question.margins import Margins
from verifier.search.relu.alpha_crown import Choice, Target, mixture_weights
from verifier.search.relu.folded_graph import FoldedGraph
from verifier.search.relu.split_bounds import RootBox, Rows

MIXTURE_ROUNDING = 1e-12  # what normalising the weights can change, relative; they are normalised in float64


class ClauseRows:
    """The clauses that can fail, ready for both arithmetics.

    Args:
        margins: Every margin linear in the logits.
        clauses: The clauses to bound, by index.
    """

    def __init__(self, margins: Margins, clauses: Sequence[int]) -> None:
        """Drop margins that never hold, which say nothing in a disjunction."""
        self.clauses = list(clauses)
        finite = [[m for m in margins.clauses[c] if np.isfinite(margins.margins[m].offset)] for c in self.clauses]
        # which margins of each clause are kept
        self.places = [np.isfinite([margins.margins[m].offset for m in margins.clauses[c]]) for c in self.clauses]
        used = sorted({m for clause in finite for m in clause})
        position = {m: i for i, m in enumerate(used)}
        self.impossible = [c for c, clause in zip(self.clauses, finite, strict=True) if not clause]
        self.most = max((len(clause) for clause in finite), default=1)
        self.index = np.zeros((len(self.clauses), self.most), dtype=np.intp)
        self.valid = np.zeros((len(self.clauses), self.most), dtype=bool)
        for i, clause in enumerate(finite):
            self.index[i, : len(clause)] = [position[m] for m in clause]
            self.valid[i, : len(clause)] = True
        self.strict = np.array([any(margins.margins[m].strict for m in clause) for clause in finite], dtype=bool)
        chosen = [margins.margins[m] for m in used]
        self.rows = np.array([margins.rows[one.row] for one in chosen if one.row is not None])
        self.offset = np.array([one.offset for one in chosen])
        self.offset_error = np.array([one.offset_error for one in chosen])
        self._start: tuple[FoldedGraph, dict[int, Tensor], Tensor] | None = None

    def target(self, graph: FoldedGraph, which: Indices) -> Target:
        """Give rows for the search: which[i] is the position of row i's clause in `clauses`."""
        if self._start is None or self._start[0] is not graph:
            last = graph.network.layers[-1]
            self._start = graph, *graph.start(self.rows @ last.weight, self.rows @ last.bias + self.offset)
        _, sources, constant = self._start
        if self.most == 1:
            index = torch.from_numpy(self.index[which, 0])
            return Target({j: one[index] for j, one in sources.items()}, constant[index])
        index = torch.from_numpy(self.index[which])
        valid = torch.from_numpy(self.valid[which])
        return Target({j: one[index] for j, one in sources.items()}, constant[index], valid)

    def checked(self, root: RootBox, which: Indices, choice: Choice) -> tuple[Rows, Array]:
        """Give the same rows in float64 with their rounding, and which of them count: weights must not all be 0."""
        weights = self._weights(which, choice)
        if choice.weight is not None:
            weights = weights * np.maximum(np.nan_to_num(choice.weight.numpy().astype(np.float64)), 0.0)[:, None]
        index = self.index[which]
        rows = np.einsum("rm,rmw->rw", weights, self.rows[index])
        size = np.einsum("rm,rmw->rw", weights, np.abs(self.rows)[index])
        offset = (weights * self.offset[index]).sum(axis=1)
        error = (weights * (self.offset_error + gamma(self.most) * np.abs(self.offset))[index]).sum(axis=1)
        return root.logit_rows(rows, offset, size, error, self.most), weights.sum(axis=1) > 0

    def settled(self, which: Indices, lower: Array) -> Mask:
        """Whether these bounds settle the rows' clauses, (rows,)."""
        return np.where(self.strict[which], lower > 0, lower >= 0)

    def margin(self, lower: Array) -> Array:
        """Turn bounds on the rows into bounds on each clause's best margin."""
        return lower if self.most == 1 else np.asarray(lower - MIXTURE_ROUNDING * np.abs(lower))

    def mixture(self, which: Indices, choice: Choice) -> Array:
        """Weights of all margins of the rows' clauses, in the question's order, (rows, most margins of a clause)."""
        weights = self._weights(which, choice)
        if choice.weight is not None:
            weights = weights * np.maximum(np.nan_to_num(choice.weight.numpy().astype(np.float64)), 0.0)[:, None]
        found = np.zeros((len(which), max(1, *(len(self.places[i]) for i in which))))
        for row, i in enumerate(which):
            kept = np.flatnonzero(self.places[i])
            found[row, kept] = weights[row, : kept.size]
        return found

    def _weights(self, which: Indices, choice: Choice) -> Array:
        valid = self.valid[which]
        if choice.mixture is None:
            return valid.astype(np.float64) if self.most == 1 else valid / valid.sum(axis=1, keepdims=True)
        found = mixture_weights(choice.mixture, torch.from_numpy(valid)).numpy().astype(np.float64)
        found = np.where(valid, np.maximum(np.nan_to_num(found), 0.0), 0.0)
        return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-30))
