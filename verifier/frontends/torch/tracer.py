"""Recording a forward with torch.fx while it runs on one example, and what is changed in place on the way.

torch.fx records which operation takes whose result, and knows nothing of memory. An operation in place changes values
that stand elsewhere under another name, views of them included; where one is taken again after that, the record would
say something else than the module computes, perhaps only at inputs that no sample meets. So this is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Set
from typing import Any

import torch
from torch import fx, nn

from verifier.errors import UnsupportedLayerError


def _memory(value: Any) -> int | None:
    """Which memory a tensor's values stand in; views of one tensor share it."""
    return value.untyped_storage().data_ptr() if isinstance(value, torch.Tensor) else None


class _ShapedProxy(fx.Proxy):  # type: ignore[misc, unused-ignore]  # torch.fx is untyped in some releases
    """A proxy that knows the value of one example, so that shapes are plain numbers while tracing."""

    @property
    def shape(self) -> Any:
        return self.node.meta["example"].shape

    @property
    def ndim(self) -> int:
        return int(self.node.meta["example"].ndim)

    @property
    def dtype(self) -> Any:
        return self.node.meta["example"].dtype

    @property
    def device(self) -> Any:
        return self.node.meta["example"].device

    def size(self, *args: Any) -> Any:
        return self.node.meta["example"].size(*args)

    def dim(self) -> int:
        return self.ndim

    def numel(self) -> int:
        return int(self.node.meta["example"].numel())

    def __len__(self) -> int:
        return len(self.node.meta["example"])


class Tracer(fx.Tracer):  # type: ignore[misc, unused-ignore]
    """Record the forward while running it on one example; torch's own layers are leaves."""

    def __init__(self, example: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._example = example
        self._running = False  # a leaf that runs on the example reads its real weights

    def getattr(self, attr: str, value: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Give a parameter itself to a leaf that runs, and a proxy to the forward that is recorded."""
        return value if self._running else super().getattr(attr, value, parameter_proxy_cache)

    def create_arg(self, a: Any) -> Any:
        """Remember the value of a tensor that the forward made."""
        node = super().create_arg(a)
        if isinstance(a, torch.Tensor) and isinstance(node, fx.Node):
            node.meta["example"] = a
        return node

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Record a call of a part, unless a leaf that runs makes it."""
        return forward(*args, **kwargs) if self._running else super().call_module(m, forward, args, kwargs)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Make a proxy that knows its example."""
        return _ShapedProxy(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> Any:
        """Record an operation, run it on the example, and note which memory it has changed."""
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        found: list[torch.Tensor] = []

        def value(argument: Any) -> Any:
            argument = argument.node.meta["example"] if isinstance(argument, fx.Proxy) else argument
            if isinstance(argument, torch.Tensor) and not argument.is_inference():
                found.append(argument)
            return argument

        args, kwargs = fx.node.map_aggregate(args, value), fx.node.map_aggregate(kwargs, value)
        versions = [tensor._version for tensor in found]
        self._running = True
        try:
            proxy.node.meta["example"] = self._run(kind, target, args, kwargs)
        finally:
            self._running = False
        changed = [tensor for tensor, before in zip(found, versions, strict=True) if tensor._version != before]
        proxy.node.meta["overwrites"] = {_memory(tensor) for tensor in changed}
        return proxy

    def _run(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        if kind == "placeholder":
            return self._example
        if kind == "get_attr":
            return operator.attrgetter(target)(self.root)
        if kind == "call_module":
            return self.root.get_submodule(target).forward(*args, **kwargs)
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        if kind == "call_function":
            return target(*args, **kwargs)
        return args[0] if args else None


def refuse_overwritten(graph: fx.Graph, needed: Set[fx.Node]) -> None:
    """Refuse a graph in which a needed operation takes a value that was changed in place before.

    The result of the operation that changed it is the changed value, and may be taken.

    Raises:
        UnsupportedLayerError: Names both operations and the value.
    """
    overwritten: dict[fx.Node, fx.Node] = {}  # by which operation
    before: list[fx.Node] = []
    for node in graph.nodes:
        for parent in node.all_input_nodes if node in needed else ():
            if parent in overwritten:
                raise UnsupportedLayerError(
                    f"net: {node.name} takes the value of {parent.name} after {overwritten[parent].name} changed it in "
                    "place; write y = relu(x), with a name of its own for what is changed, and no inplace=True"
                )
        memories = node.meta.get("overwrites", ())
        overwritten |= {one: node for one in before if memories and _memory(one.meta.get("example")) in memories}
        before.append(node)
