"""What torch's own schema says of an operation: its arguments, which of them it writes, whether it is a view."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch


class Signature:
    """What an operation's schema says of its arguments."""

    def __init__(self, func: Any) -> None:
        schema = func._schema
        self.base = schema.name.split("::")[-1]
        self.namespace = schema.name.split("::")[0]
        self.name = self.base[:-1] if self.base.endswith("_") and not self.base.endswith("__") else self.base
        self.arguments = [(one.name, one.kwarg_only, one.default_value) for one in schema.arguments]
        self.writes = {one.name for one in schema.arguments if one.alias_info is not None and one.alias_info.is_write}
        self.names = [one.name for one in schema.arguments]
        self.view = not self.writes and bool(schema.returns) and all(one.alias_info for one in schema.returns)
        self.outs = {one.name for one in schema.arguments if one.is_out}
        tags = {str(tag).split(".")[-1] for tag in func.tags}
        self.random = "nondeterministic_seeded" in tags
        self.dynamic = "dynamic_output_shape" in tags


@lru_cache(maxsize=1024)
def signature_of(func: Any) -> Signature:
    """What the schema of an operation says, kept."""
    return Signature(func)


def tensors_of(value: Any) -> tuple[torch.Tensor, ...]:
    """The tensors in an argument or a result, at once."""
    if isinstance(value, torch.Tensor):
        return (value,)
    return tuple(tensors(value)) if isinstance(value, list | tuple) else ()


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in an argument or a result."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors(one)
