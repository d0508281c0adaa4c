"""Reading a torch module: its forward, recorded with torch.fx while it runs on one example, becomes steps.

Nothing of the caller's module is changed: it is put in eval mode while it is traced or run, and put back.
"""

from __future__ import annotations

import contextlib
import operator
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.lowering.steps import INPUT, Step
from verifier.frontends.torch.operations import CALLS, MODULES, SUPPORTED, Data, Read, same_forward
from verifier.frontends.torch.tracer import Tracer, refuse_overwritten


@contextlib.contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module in eval mode without gradients, and every part of it back as it was."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def trace(module: nn.Module, input_shape: tuple[int, ...] | None = None, inputs: int | None = None) -> tuple[Step, ...]:
    """Read a module's forward as steps.

    Args:
        module: Any nn.Module whose forward is a chain of supported operations; in any mode.
        input_shape: Shape of one input without the batch; where it is None, the first Linear or `inputs` tells.
        inputs: Number of inputs where nothing else tells, e.g. the length of x_specs.

    Raises:
        UnsupportedLayerError: Names the operation, its position and the cure.
        NetworkError: The module cannot be traced or the shape does not fit.
    """
    return _trace(module, shape_of_input(module, input_shape, inputs))


def shape_of_input(module: nn.Module, input_shape: tuple[int, ...] | None, inputs: int | None) -> tuple[int, ...]:
    """Shape of one input without the batch: as given, or as the first layer or `inputs` tells.

    Raises:
        NetworkError: input_shape is no shape, or nothing tells it.
    """
    if input_shape is not None:
        try:
            shape = tuple(operator.index(size) for size in input_shape)
        except TypeError:
            shape = ()
        if not shape or any(size < 1 for size in shape):
            raise NetworkError(
                f"input_shape: expected a tuple of whole numbers >= 1 such as (1, 28, 28), found {input_shape!r}"
            )
        return shape
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            raise NetworkError(
                "input_shape: a network with Conv2d does not tell the height and width of its input; "
                f"pass input_shape=({part.in_channels}, height, width)"
            )
        if isinstance(part, nn.Flatten | nn.Unflatten) and inputs is not None:
            return (inputs,)
        if isinstance(part, nn.Linear) and not isinstance(part, nn.LazyLinear):
            return (part.in_features,)
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            return (part.num_features,)
    if inputs is None:
        raise NetworkError("input_shape: the network does not tell the number of its inputs; pass input_shape=(n,)")
    return (inputs,)


def _refuse_what_tracing_would_miss(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise NetworkError("net: a TorchScript module cannot be traced; pass the nn.Module that it was made from")
    for name, part in module.named_modules():
        label = f"{name or 'net'} ({type(part).__name__})"
        if any(
            isinstance(p, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer)
            for p in (*part._parameters.values(), *part._buffers.values())
        ):
            raise NetworkError(f"{label}: not initialised yet; run one batch through the network first")
        if part._forward_hooks or part._forward_pre_hooks:
            raise UnsupportedLayerError(
                f"{label}: has forward hooks, which can change what it computes; remove them (handle.remove()) first"
            )
        if "forward" in vars(part):
            raise UnsupportedLayerError(f"{label}: its forward was replaced on the object; define it in the class")
        if type(part).__call__ is not nn.Module.__call__:
            raise UnsupportedLayerError(f"{label}: its class has a __call__ of its own; write the operation in forward")
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None and tensor.is_complex():
                raise UnsupportedLayerError(f"{label}: has complex numbers; only real ones are supported")
    parameter = next(iter(module.parameters()), None)
    if parameter is not None and not parameter.is_floating_point():
        raise UnsupportedLayerError(
            f"net ({type(module).__name__}): its weights are of {parameter.dtype}; only floating-point numbers are "
            "supported: net.float() converts them"
        )


def _trace(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[Step, ...]:
    _refuse_what_tracing_would_miss(module)
    parameter = next(iter(module.parameters()), None)
    dtype = parameter.dtype if parameter is not None else torch.get_default_dtype()
    device = parameter.device if parameter is not None else torch.device("cpu")
    try:
        example = torch.zeros((1, *input_shape), dtype=dtype, device=device)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise NetworkError(f"input_shape: {input_shape} does not fit into memory ({_first_line(error)})") from error
    if type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Sequential):
        module = nn.Sequential(module)  # a single layer of torch's own, read as the network's only one
    tracer = Tracer(example)
    attributes = set(vars(module))
    try:
        with torch.inference_mode(False), eval_mode(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the forward warns of, it warns of when the caller runs it
            graph = tracer.trace(module)
            steps = _Reader(module, graph).read()
    except fx.proxy.TraceError as error:
        raise UnsupportedLayerError(
            f"net ({type(module).__name__}): its forward decides something by the values of its input, which no "
            f"single chain of layers does; write it without if, for or while on tensors ({_first_line(error)})"
        ) from error
    except NetworkError:
        raise
    except Exception as error:  # the caller's own forward may raise anything
        place = _last_place(tracer)
        raise NetworkError(
            f"net ({type(module).__name__}): its forward fails on an input of shape {(1, *input_shape)}{place}: "
            f"{_first_line(error)}; if another shape is meant, pass input_shape=..."
        ) from error
    finally:
        for name in set(vars(module)) - attributes:  # torch.fx keeps tensors that forward made on the module
            delattr(module, name)
    return steps


def _first_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return text if text and isinstance(error, RuntimeError | ValueError) else f"{type(error).__name__}: {text}"


def _last_place(tracer: Tracer) -> str:
    graph = getattr(tracer, "graph", None)
    last = list(graph.nodes)[-1] if graph is not None and len(list(graph.nodes)) else None
    return (
        f", after {last.name}"
        if last is not None and last.op == "placeholder"
        else (f" at {last.target} ({last.name})" if last is not None else "")
    )


class _Reader:
    """Walk a traced graph and read each node as a step."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        self.module, self.graph = module, graph
        self.steps: list[Step] = []
        self.positions: dict[fx.Node, int] = {}  # the step that gives each value that depends on the input
        self.layer = 0

    def read(self) -> tuple[Step, ...]:
        placeholders = [node for node in self.graph.nodes if node.op == "placeholder"]
        needed = self._needed()
        refuse_overwritten(self.graph, needed)
        for node in self.graph.nodes:
            if node.op == "placeholder":
                if self.positions and node.users:
                    raise UnsupportedLayerError(
                        f"net: forward takes {len(placeholders)} inputs ({', '.join(n.name for n in placeholders)}); "
                        "only one tensor can be verified"
                    )
                if not self.positions:
                    self.positions[node] = INPUT
            elif node.op == "output":
                self._output(node)
            elif self._depends(node):
                if node in needed:
                    self._operation(node)
            else:
                node.meta["constant"] = node.meta["example"]
        return tuple(self.steps)

    def _needed(self) -> set[fx.Node]:
        """The nodes that the output is computed from."""
        waiting = [node for node in self.graph.nodes if node.op == "output"]
        found: set[fx.Node] = set()
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(node.all_input_nodes)
        return found

    def _depends(self, node: fx.Node) -> bool:
        return any("constant" not in parent.meta for parent in node.all_input_nodes)

    def _output(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node):
            raise UnsupportedLayerError(
                f"net: forward returns a {type(result).__name__}; it must return one tensor of outputs"
            )
        if "constant" in result.meta:
            raise UnsupportedLayerError("net: what forward returns does not depend on its input")
        if self.positions[result] != len(self.steps) - 1:
            raise UnsupportedLayerError("net: forward does not return what its last layer computed")

    def _operation(self, node: fx.Node) -> None:
        where = self._where(node)
        data: list[fx.Node] = []
        fx.node.map_arg((node.args, node.kwargs), lambda parent: data.append(parent))
        data = [parent for parent in data if "constant" not in parent.meta]
        example = node.meta["example"]
        if not isinstance(example, torch.Tensor):
            raise UnsupportedLayerError(f"{where}: gives a {type(example).__name__} instead of one tensor")
        if not example.is_floating_point():
            raise UnsupportedLayerError(f"{where}: gives {example.dtype}; only floating-point numbers are supported")
        before = data[0].meta["example"].shape
        if node.op == "call_module":
            kind, arrays, options = self._module_step(self.module.get_submodule(str(node.target)), where, before)
        else:
            kind, arrays, options = self._call_step(node, where, before)
        if kind in ("Softmax", "LogSoftmax"):
            self._check_softmax(options.pop("dim"), before, where)
        sources = tuple(self.positions[parent] for parent in data)
        if kind != "Sum" and len(sources) > 1:
            raise UnsupportedLayerError(
                f"{where}: joins {len(sources)} values that all depend on the input; only adding or subtracting two "
                "of the same shape is supported"
            )
        if sources == (len(self.steps) - 1,):  # it takes what the step before gives
            sources = ()
        self.steps.append(Step(kind, where, arrays, options, tuple(example.shape), sources))
        self.positions[node] = len(self.steps) - 1

    def _where(self, node: fx.Node) -> str:
        self.layer += 1
        if node.op == "call_module":
            name = type(self.module.get_submodule(str(node.target))).__name__
            return f"layer {self.layer} ({node.target}: {name})"
        target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        return f"layer {self.layer} ({target})"

    def _check_softmax(self, dim: int | None, before: torch.Size, where: str) -> None:
        axis = dim if dim is not None else (1 if len(before) > 1 else 0)
        axis = axis + len(before) if axis < 0 else axis
        if before[axis] != before.numel():
            raise UnsupportedLayerError(
                f"{where}: dim={dim} runs over {before[axis]} of the {before.numel()} outputs; use dim=-1 so that it "
                "runs over all of them"
            )

    def _module_step(self, part: nn.Module, where: str, before: torch.Size) -> Read:
        for known, read in MODULES.items():
            if isinstance(part, known):
                if _has_its_own_way(type(part), known):
                    raise UnsupportedLayerError(
                        f"{where}: a {known.__name__} with a forward of its own; write the operation in your module"
                    )
                return read(part, where, before)
        raise UnsupportedLayerError(f"{where}: {type(part).__name__} is not supported; supported are {SUPPORTED}")

    def _call_step(self, node: fx.Node, where: str, before: torch.Size) -> Read:
        args = fx.node.map_aggregate(node.args, self._value)
        kwargs = fx.node.map_aggregate(node.kwargs, self._value)
        read = CALLS.get(node.target)
        if read is None:
            name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
            raise UnsupportedLayerError(f"{where}: {name} is not supported; supported are {SUPPORTED}")
        return read(where, before, node.meta["example"], *args, **kwargs)

    def _value(self, argument: Any) -> Any:
        """Replace a node by its constant, or by its example where it is the data."""
        if isinstance(argument, fx.Node):
            return argument.meta.get("constant", Data(argument.meta["example"]))
        return argument


def _has_its_own_way(kind: type[nn.Module], known: type[nn.Module]) -> bool:
    """Whether a subclass of one of torch's layers computes something that torch's own do not."""
    if kind.forward is not known.forward and kind.forward not in same_forward(known):
        return True
    return getattr(kind, "_conv_forward", None) is not getattr(known, "_conv_forward", None)
