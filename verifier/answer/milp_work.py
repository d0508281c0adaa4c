"""MilpWork: what method="milp" did, in numbers that can be compared from one run to another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class MilpWork:
    """Counts of one run.

    Args:
        subproblems: Boxes that were looked at: 1 without input splitting.
        nodes: Partial configurations that were bounded, over all sub-problems.
        linear_programs: Linear programs solved, or runs of HiGHS's own search.
        intra_layer: Dependencies found within a layer.
        consecutive: Dependencies found between consecutive layers.
        cuts: Of those, the ones that were written into a program as rows.
        implied: Neurons whose state followed from a dependency, not from bounds or a split.
        neuron_splits: Splits of a neuron's state.
        input_splits: Splits of the box.
        restarts: Sub-problems that were begun again because a worker process died.
    """

    subproblems: int = 0
    nodes: int = 0
    linear_programs: int = 0
    intra_layer: int = 0
    consecutive: int = 0
    cuts: int = 0
    implied: int = 0
    neuron_splits: int = 0
    input_splits: int = 0
    restarts: int = 0

    def add(self, other: MilpWork) -> None:
        """Add another one's counts."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)

    def to_dict(self) -> dict[str, Any]:
        """All counts by name."""
        return asdict(self)

    def __str__(self) -> str:
        """Write what a reader compares."""
        return (
            f"{self.subproblems:,} sub-problems, {self.nodes:,} nodes, {self.linear_programs:,} programs; "
            f"{self.intra_layer:,} dependencies within a layer and {self.consecutive:,} between layers, "
            f"{self.cuts:,} cuts; {self.neuron_splits:,} splits of neurons, {self.input_splits:,} of inputs"
        )
