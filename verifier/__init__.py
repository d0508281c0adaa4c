"""A verifier for small and medium ReLU networks; every name is loaded when it is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from verifier.version import __version__ as __version__

if TYPE_CHECKING:
    from verifier.answer.reason import Reason as Reason
    from verifier.answer.verdict import Counterexample as Counterexample
    from verifier.answer.verdict import Question as Question
    from verifier.answer.verdict import Rejection as Rejection
    from verifier.answer.verdict import Result as Result
    from verifier.answer.verdict import Verdict as Verdict
    from verifier.asking.accuracy import AccuracyResult as AccuracyResult
    from verifier.asking.accuracy import verified_accuracy as verified_accuracy
    from verifier.asking.files import verify_files as verify_files
    from verifier.asking.functions import FunctionError as FunctionError
    from verifier.asking.functions import max_error as max_error
    from verifier.asking.functions import verify_function as verify_function
    from verifier.asking.pointwise import pointwise_robustness as pointwise_robustness
    from verifier.asking.radius import RobustnessResult as RobustnessResult
    from verifier.asking.robustness import verify_robust as verify_robust
    from verifier.enclosure import Bounds as Bounds
    from verifier.errors import BoundsError as BoundsError
    from verifier.errors import MissingDependencyError as MissingDependencyError
    from verifier.errors import NetworkError as NetworkError
    from verifier.errors import OptionError as OptionError
    from verifier.errors import ResultComparisonError as ResultComparisonError
    from verifier.errors import SpecError as SpecError
    from verifier.errors import UnsupportedLayerError as UnsupportedLayerError
    from verifier.errors import VerifierError as VerifierError
    from verifier.errors import VerifierWarning as VerifierWarning
    from verifier.exact.equivalence import same_box as same_box
    from verifier.exact.equivalence import same_output_spec as same_output_spec
    from verifier.exact.milp.options import MilpOptions as MilpOptions
    from verifier.frontends.layers import Layer as Layer
    from verifier.frontends.layers import layers as layers
    from verifier.method_table import methods as methods
    from verifier.network import Affine as Affine
    from verifier.network import Head as Head
    from verifier.network import Network as Network
    from verifier.pipeline import Trace as Trace
    from verifier.pipeline import TracedBox as TracedBox
    from verifier.pipeline import check_counterexample as check_counterexample
    from verifier.pipeline import output_bounds as output_bounds
    from verifier.pipeline import split_trace as split_trace
    from verifier.pipeline import verify as verify
    from verifier.question.spec import Box as Box
    from verifier.question.spec import OutputSpec as OutputSpec
    from verifier.question.spec import all_of as all_of
    from verifier.question.spec import any_of as any_of
    from verifier.question.spec import argmax_is as argmax_is
    from verifier.question.spec import greater_than as greater_than
    from verifier.question.spec import less_than as less_than
    from verifier.question.spec import linear as linear
    from verifier.question.spec import within as within

_HOME = {
    **dict.fromkeys(("Reason",), "answer.reason"),
    **dict.fromkeys(("Bounds",), "enclosure"),
    **dict.fromkeys(
        (
            "BoundsError", "MissingDependencyError", "NetworkError", "OptionError", "ResultComparisonError",
            "SpecError", "UnsupportedLayerError", "VerifierError", "VerifierWarning",
        ),
        "errors",
    ),
    **dict.fromkeys(("same_box", "same_output_spec"), "exact.equivalence"),
    **dict.fromkeys(("MilpOptions",), "exact.milp.options"),
    **dict.fromkeys(("verify_files",), "asking.files"),
    **dict.fromkeys(("Layer", "layers"), "frontends.layers"),
    **dict.fromkeys(("methods",), "method_table"),
    **dict.fromkeys(("Affine", "Head", "Network"), "network"),
    **dict.fromkeys(
        ("Trace", "TracedBox", "check_counterexample", "output_bounds", "split_trace", "verify"), "pipeline"
    ),
    **dict.fromkeys(("pointwise_robustness",), "asking.pointwise"),
    **dict.fromkeys(("RobustnessResult",), "asking.radius"),
    **dict.fromkeys(("verify_robust",), "asking.robustness"),
    **dict.fromkeys(("FunctionError", "max_error", "verify_function"), "asking.functions"),
    **dict.fromkeys(("AccuracyResult", "verified_accuracy"), "asking.accuracy"),
    **dict.fromkeys(
        ("Box", "OutputSpec", "all_of", "any_of", "argmax_is", "greater_than", "less_than", "linear", "within"),
        "question.spec",
    ),
    **dict.fromkeys(
        ("Counterexample", "Question", "Rejection", "Result", "Verdict"),
        "answer.verdict",
    ),
}  # fmt: skip

__all__ = sorted(_HOME)  # one list of names, kept once


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'verifier' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"verifier.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
