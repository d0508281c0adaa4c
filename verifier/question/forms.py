"""The forms in which a caller may hand over a network, a box, a spec or an input: names for public signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from verifier.network import Network
from verifier.question.spec import Box, OutputSpec
from verifier.subject import Subject

if TYPE_CHECKING:
    import sympy
    import torch
    from numpy.polynomial import Polynomial

Net: TypeAlias = "torch.nn.Module | Network | Subject | str | Path"
"""A torch module (a Keras model on torch's backend is one), a Network, or the path of a network file."""

Numbers: TypeAlias = "NDArray[Any] | torch.Tensor | Sequence[float] | Sequence[Sequence[float]]"
"""An array, a tensor or lists of numbers, of any shape."""

Limits: TypeAlias = "NDArray[Any] | torch.Tensor | Sequence[Sequence[float | None]]"
"""One (lower, upper) pair for each value, shape (values, 2); None for no limit."""

XSpecs: TypeAlias = "Box | Limits"
"""What is asked about: a Box, or one (lower, upper) pair for each input."""

YSpecs: TypeAlias = "OutputSpec | Limits"
"""What must hold: an OutputSpec, or one [lower, upper] pair for each output."""

Shape: TypeAlias = "tuple[int, ...]"
"""The shape of one input, without the batch."""

Reference: TypeAlias = "sympy.Expr | sympy.Poly | Polynomial | Callable[..., Any]"
"""A polynomial of the inputs: sympy's, numpy's, or a function of one argument for each input that uses + - * **."""
