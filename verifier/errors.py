"""What can go wrong before a question is asked; running out of time is not an error but a verdict."""

from __future__ import annotations

import importlib.util
import sys
import warnings


class VerifierError(Exception):
    """Base of every error that the verifier raises on purpose."""


class NetworkError(VerifierError, ValueError):
    """A network cannot be read: its shape, weights or form do not fit."""


class UnsupportedLayerError(NetworkError, TypeError):
    """A layer or operation that no method here handles; the message names it and its position."""


class MisreadError(NetworkError):
    """What was read computes something else than the caller's object: no answer is given, and the fault is ours."""


class SpecError(VerifierError, ValueError):
    """An input or output spec cannot be read; the message names the argument and the place."""


class BoundsError(VerifierError, ValueError):
    """Bounds that are not bounds: swapped, NaN, or of the wrong shape."""


class EmptyBoundsError(BoundsError):
    """A lower bound exceeds its upper bound: where both were proved, that no value exists."""


class OptionError(VerifierError, ValueError):
    """An option of verify() is not one of those it takes."""


class SketchError(VerifierError, ValueError):
    """A synthesis question cannot be asked: its examples, topology, weight domain or size do not fit."""


class ResultComparisonError(VerifierError, TypeError):
    """A Result was compared with a truth value or a text, which would be False without a word."""


class MissingDependencyError(VerifierError, ImportError):
    """A library that the chosen method needs is not installed; the message says how to install it.

    Args:
        message: What is missing, and how to install it.
        extra: The extra of this project that brings it, such as "exact"; empty where there is none.
    """

    def __init__(self, message: str, extra: str = "") -> None:
        """Keep the extra beside the message."""
        super().__init__(message)
        self.extra = extra


def missing(what: str, extra: str) -> MissingDependencyError:
    """The error that says what is not installed, and names the extra that brings it.

    Example:
        >>> print(missing("method 'z3' needs Z3, which is not installed", "exact"))
        method 'z3' needs Z3, which is not installed; pip install 'nn-verification-course[exact]'
    """
    return MissingDependencyError(f"{what}; pip install 'nn-verification-course[{extra}]'", extra)


def installed(library: str) -> bool:
    """Whether a library can be imported, without importing it."""
    try:
        return importlib.util.find_spec(library) is not None
    except ValueError:  # in sys.modules there is something else in its place
        return False


class VerifierWarning(UserWarning):
    """Something that the caller probably did not mean, but that has one clear reading."""


def warn_caller(message: str) -> None:
    """Warn at the line outside the verifier that called into it, however deep the call is here."""
    depth = 1
    while sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0] == "verifier":
        depth += 1
    warnings.warn(message, VerifierWarning, stacklevel=depth + 1)
