"""An OutputSpec as plain data, for a pipe or a file, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from verifier.errors import SpecError
from verifier.question.numbers import shown
from verifier.question.spec import (
    AllOf,
    AnyOf,
    ArgmaxIs,
    Linear,
    OutputSpec,
    Threshold,
    Within,
    all_of,
    any_of,
    argmax_is,
    greater_than,
    less_than,
    linear,
    within,
)

_KINDS = tuple(kind.__name__ for kind in (Within, ArgmaxIs, Threshold, Linear, AllOf, AnyOf))


def to_data(spec: OutputSpec) -> dict[str, Any]:
    """Write a spec as plain data (dicts, lists, numbers), for a pipe or a file; from_data() reads it back."""

    def plain(value: Any) -> Any:
        if isinstance(value, OutputSpec):
            return to_data(value)
        return [plain(part) for part in value] if isinstance(value, tuple) else value

    return {"kind": type(spec).__name__, **{f.name: plain(getattr(spec, f.name)) for f in fields(spec)}}


def from_data(data: Any) -> OutputSpec:
    """Read a spec that to_data() wrote, checking it as if a user had typed it.

    Raises:
        SpecError: The data are not a spec.
    """
    try:
        kind = data["kind"]
        if kind in ("AllOf", "AnyOf"):
            parts = tuple(from_data(part) for part in data["parts"])
            return all_of(*parts) if kind == "AllOf" else any_of(*parts)
        if kind == "Within":
            return within(data["limits"])
        if kind == "ArgmaxIs":
            return argmax_is(data["label"])
        if kind == "Threshold":
            return (greater_than if data["above"] else less_than)(data["value"], data["output"])
        if kind == "Linear":
            return linear(data["coefficients"], data["offset"], data["strict"], x=data.get("inputs") or None)
    except (KeyError, TypeError, AttributeError) as error:
        raise SpecError(f"spec data: {error!r} in {shown(data)}; expected what to_data() writes") from None
    raise SpecError(f"spec data: unknown kind {kind!r}; expected one of {', '.join(_KINDS)}")
