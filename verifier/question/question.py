"""Question: a network, a box and a spec, checked to fit together."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.network import Network
from verifier.question.box import Box
from verifier.question.carried import carry_functions
from verifier.question.inequality import Clause
from verifier.question.margins import Margins, compile_margins
from verifier.question.spec import OutputSpec
from verifier.subject import Subject


@dataclass(frozen=True, eq=False)
class Question:
    """A subject, the box of its inputs and the spec of its outputs, checked to fit together.

    Args:
        subject: The network and the caller's object.
        box: The hull of the caller's box and its rounding to the caller's dtype.
        points: The values of the caller's dtype within the caller's box, where counterexamples are looked for; a side
            that holds none has the nearest ones, which lie in the hull.
        spec: What must hold of the outputs.
        margins: The spec on the logits.
        clauses: The spec on the outputs.
        network: The subject's network as methods bound it: where the spec speaks of the input, with further logits for
            that (carried.py).
    """

    subject: Subject
    box: Box
    points: Box
    spec: OutputSpec
    margins: Margins
    clauses: tuple[Clause, ...]
    network: Network

    @staticmethod
    def ask(subject: Subject, box: Box, spec: OutputSpec) -> Question:
        """Put a question together.

        Raises:
            SpecError: The box does not fit the network's inputs, or the spec its outputs.
        """
        network = subject.network
        box = Box.from_pairs(box, network.inputs)
        margins = compile_margins(spec, network.outputs, network.head, network.inputs)
        hull, points = box.hull(subject.round), box.inward(subject.round)
        seen = network if margins.functions is None else carry_functions(network, hull, margins.functions)
        return Question(subject, hull, points, spec, margins, spec.clauses(network.outputs), seen)
