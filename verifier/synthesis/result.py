"""Synthesis: what a search for weights found, what is proved, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from verifier.errors import SketchError
from verifier.solvers.status import Status
from verifier.synthesis.network import WholeNetwork
from verifier.synthesis.sketch import Examples, Sketch


@dataclass(frozen=True)
class Moment:
    """Something better was found.

    Attributes:
        seconds: Since the search began, of wall time.
        value: Of what is maximised.
        bound: That it cannot exceed, as proved by then.
        network: What was found, where the search kept it.
    """

    seconds: float
    value: int
    bound: int
    network: WholeNetwork | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Synthesis:
    """What a search for weights found.

    Attributes:
        sketch: What was to be filled.
        status: How the solver ended. OPTIMAL and INFEASIBLE are proofs; after any other, `network` is the best found.
        network: Or None where none was found.
        correct: How many examples it gets right, counted by running it; 0 without one.
        examples: How many there are.
        value, bound: Of what was maximised, and the proved bound on it. For objective="correct" the examples that are
            right, for "weights" minus the number of non-zero weights, for "margin" the smallest margin.
        moments: The time line.
        seconds: Wall time.
        solver: Its name.
    """

    sketch: Sketch
    status: Status
    network: WholeNetwork | None
    correct: int
    examples: int
    value: int | None
    bound: int
    moments: tuple[Moment, ...]
    seconds: float
    solver: str

    @property
    def proved(self) -> bool:
        """Whether the solver ended with a proof: of the optimum, or that no network does what was asked."""
        return self.status in (Status.OPTIMAL, Status.INFEASIBLE)

    def __str__(self) -> str:
        """One line."""
        if self.network is None:
            found = "no network does what was asked" if self.proved else "none found"
        else:
            found = f"{self.correct} of {self.examples} right, {self.network.nonzero} weights"
            found += ", optimal" if self.proved else f", value {self.value}, bound {self.bound}"
        return f"{self.sketch.name}: {found} ({self.status.value}, {self.seconds:.1f} s, {self.solver})"


def count_right(network: WholeNetwork, examples: Examples, claimed: int | None) -> int:
    """How many examples a network gets right, by running it.

    Raises:
        RuntimeError: The solver claimed another number: the encoding and the evaluation disagree, so neither counts.
    """
    right = int(network.right(examples).sum())
    if claimed is not None and claimed != right:
        raise RuntimeError(f"the solver claims {claimed} right, running the network gives {right}")
    return right


def refuse_contradictions(examples: Examples) -> None:
    """Refuse examples that no function can satisfy.

    Raises:
        SketchError: It names the first pair, and says how many can be right at most.
    """
    pairs = examples.contradictions()
    if pairs:
        i, j = pairs[0]
        raise SketchError(
            f"labels: examples {i} and {j} have the same input and the labels {examples.labels[i].tolist()} and "
            f"{examples.labels[j].tolist()}; at most {examples.best_possible()} of {len(examples)} can be right "
            "(objective='correct' finds the best)"
        )


def solver_named(name: str) -> Any:
    """A model of a solver by its name.

    Raises:
        SketchError: No solver has that name.
        MissingDependencyError: It is not installed.
    """
    if name == "cpsat":
        from verifier.solvers.cpsat_solver import CpSatIntegers

        return CpSatIntegers()
    if name == "z3":
        from verifier.solvers.z3_solver import Z3Integers

        return Z3Integers()
    raise SketchError(f"solver: found {name!r}, expected 'cpsat' or 'z3'")
