"""What can go wrong before a question is asked; running out of time is not an error but a verdict."""

from __future__ import annotations

import sys
import warnings


class VerifierError(Exception):
    """Base of every error that the verifier raises on purpose."""


class NetworkError(VerifierError, ValueError):
    """A network cannot be read: its shape, weights or form do not fit."""


class UnsupportedLayerError(NetworkError, TypeError):
    """A layer or operation that no method here handles; the message names it and its position."""


class SpecError(VerifierError, ValueError):
    """An input or output spec cannot be read; the message names the argument and the place."""


class BoundsError(VerifierError, ValueError):
    """Bounds that are not bounds: swapped, NaN, or of the wrong shape."""


class OptionError(VerifierError, ValueError):
    """An option of verify() is not one of those it takes."""


class ResultComparisonError(VerifierError, TypeError):
    """A Result was compared with a truth value or a text, which would be False without a word."""


class MissingDependencyError(VerifierError, ImportError):
    """A library that the chosen method needs is not installed; the message says how to install it."""


class VerifierWarning(UserWarning):
    """Something that the caller probably did not mean, but that has one clear reading."""


def warn_caller(message: str) -> None:
    """Warn at the line outside the verifier that called into it, however deep the call is here."""
    depth = 1
    while sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0] == "verifier":
        depth += 1
    warnings.warn(message, VerifierWarning, stacklevel=depth + 1)
