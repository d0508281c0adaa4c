"""Values as plain data: what crosses the pipe between the judge and the process that runs a student's cells.

Messages are JSON. JSON cannot tell a tuple from a list, nor hold an array, so every value that is not a number, a
string, a truth value or None is an object with one key, its form: {"tuple": [...]}, {"tensor": [...]},
{"network": [...]}. Reading builds only exact built-in types, numpy arrays, tensors, specs and networks of torch.nn's
own classes; nothing is ever unpickled, imported by name or called while reading.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from grading.wire.arrays import WireError, array_data, expect_list, read_array, read_tensor, tensor_data

MAX_DEPTH = 40  # lists within lists; deeper ones are cycles or mischief

LAYER_PARTS = ("kind", "where", "arrays", "options", "shape", "sources")

Shape = tuple[int, ...]
Export = Callable[[Callable[..., Any]], int]


def encode(value: Any, export: Export | None = None, where: str = "value", input_shape: Shape | None = None) -> Any:
    """Write a value as something that JSON holds.

    Args:
        value: A number, string, truth value, None, list, tuple, dict, numpy array or number, tensor, Box, OutputSpec,
            torch module or Keras model, nested as one likes. Subclasses of these are written as what they are a
            subclass of.
        export: Gives a function its number, for the other side to call it by; without it a function is refused.
        where: What the value is, for the message.
        input_shape: Shape of one input of the network that the value is, without the batch, where its layers do not
            tell it, as a Conv2d does not; a network may also carry it as an attribute `input_shape`.

    Raises:
        WireError: The value, or something inside it, is none of these; the message says where.
    """
    if input_shape is not None and (hasattr(value, "named_modules") or _is_keras(value)):
        return {"network": _network_data(value, where, input_shape)}
    return _encode(value, export, where, 0)


def decode(data: Any, imported: Callable[[int, str], Any] | None = None) -> Any:
    """Read what encode() wrote; nothing about `data` is taken on trust.

    Args:
        data: What JSON gave.
        imported: Makes the stand-in of a function from its number and name; without it a function is refused.

    Raises:
        WireError: It is not what encode() writes, a network's layers do not fit each other, or it is too deep.
    """
    return _decode(data, imported, 0)


def _encode(value: Any, export: Export | None, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise WireError(f"{where}: nested more than {MAX_DEPTH} deep, or holds itself")

    def inner(part: Any, suffix: str) -> Any:
        return _encode(part, export, f"{where}{suffix}", depth + 1)

    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, np.generic):
        return {"scalar": array_data(np.asarray(value), where)}
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (list, tuple)):
        form = "list" if isinstance(value, list) else "tuple"
        return {form: [inner(part, f"[{index}]") for index, part in enumerate(value)]}
    if isinstance(value, dict):
        return {
            "dict": [[inner(key, f" key {key!r:.40}"), inner(part, f"[{key!r:.40}]")] for key, part in value.items()]
        }
    if isinstance(value, np.ndarray):
        return {"array": array_data(value, where)}
    return _encode_course_value(value, export, where)


def _encode_course_value(value: Any, export: Export | None, where: str) -> Any:
    # a value cannot be of a library that nobody imported, and importing torch takes seconds
    torch, spec = sys.modules.get("torch"), sys.modules.get("verifier.question.spec")
    if torch is not None and isinstance(value, torch.Tensor):
        return {"tensor": tensor_data(value, where)}
    if _is_keras(value):  # on the torch backend it is a torch module, too
        return {"network": _network_data(value, where, None)}
    if torch is not None and isinstance(value, torch.nn.Module):
        return {"network": _network_data(value, where, getattr(value, "input_shape", None))}
    if spec is not None and isinstance(value, spec.Box):
        return {"box": [array_data(np.asarray(side), where) for side in (value.lower, value.upper)]}
    if spec is not None and isinstance(value, spec.OutputSpec):
        from verifier.question.spec_data import to_data

        return {"output_spec": _as_json(to_data(value), where)}
    if callable(value) and not isinstance(value, type):
        if export is None:
            raise WireError(f"{where}: a function is neither an argument nor a result that a test may pass on")
        return {"function": [export(value), str(getattr(value, "__name__", type(value).__name__))]}
    raise WireError(
        f"{where}: a {type(value).__name__} cannot be graded; give numbers, strings, lists, dicts, arrays, tensors, "
        "a network or a function"
    )


def _decode(data: Any, imported: Callable[[int, str], Any] | None, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise WireError(f"a value is nested more than {MAX_DEPTH} deep")
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if not isinstance(data, dict) or len(data) != 1:
        raise WireError("a value has no form")
    form, content = next(iter(data.items()))
    if form in ("list", "tuple"):
        parts = [_decode(part, imported, depth + 1) for part in expect_list(content, form)]
        return parts if form == "list" else tuple(parts)
    if form == "dict":
        return _decode_dict(content, imported, depth)
    if form == "float":
        if content not in ("nan", "inf", "-inf"):
            raise WireError("a float is not one")
        return float(content)
    if form == "array":
        return read_array(content)
    if form == "scalar":
        array = read_array(content)
        if array.shape != ():
            raise WireError("a number has a shape")
        return array[()]
    if form == "function":
        return _decode_function(content, imported)
    return _decode_course_value(form, content)


def _decode_dict(content: Any, imported: Callable[[int, str], Any] | None, depth: int) -> dict[Any, Any]:
    result = {}
    for pair in expect_list(content, "dict"):
        if len(expect_list(pair, "dict")) != 2:
            raise WireError("a dict has an entry that is not a key and a value")
        key = _decode(pair[0], imported, depth + 1)
        try:
            result[key] = _decode(pair[1], imported, depth + 1)
        except TypeError:
            raise WireError("a dict has a key that cannot be one") from None
    return result


def _decode_function(content: Any, imported: Callable[[int, str], Any] | None) -> Any:
    if imported is None:
        raise WireError("a function was given where only values may stand")
    number, name = [*expect_list(content, "function"), None, None][:2]
    if not isinstance(number, int) or not isinstance(name, str):
        raise WireError("a function has no number and name")
    return imported(number, name)


def _decode_course_value(form: str, content: Any) -> Any:
    if form == "tensor":
        return read_tensor(content)
    if form == "network":
        return _read_network(content)
    from verifier.errors import VerifierError
    from verifier.question.spec import Box
    from verifier.question.spec_data import from_data

    try:
        if form == "box":
            lower, upper = (read_array(side) for side in expect_list(content, form))
            return Box(lower, upper)
        if form == "output_spec":
            return from_data(_from_json(content))
    except (VerifierError, ValueError, TypeError, KeyError) as error:
        raise WireError(f"a spec cannot be read: {error}") from None
    raise WireError(f"a value has the unknown form {form!r:.40}")


def _is_keras(value: Any) -> bool:
    if "keras" not in sys.modules:
        return False
    from verifier.frontends.keras.subject import is_keras

    return is_keras(value)


def _network_data(module: Any, where: str, input_shape: Shape | None) -> dict[str, Any]:
    import torch

    from verifier.errors import VerifierError
    from verifier.frontends.keras.subject import keras_steps
    from verifier.frontends.torch.module import shape_of_input, trace

    try:
        if _is_keras(module):
            steps, shape = keras_steps(module, input_shape)
        elif isinstance(module, torch.nn.Module):
            shape = shape_of_input(module, input_shape, None)
            steps = trace(module, shape)
        else:
            raise WireError(f"{where}: a {type(module).__name__} is not a network")
    except (VerifierError, ValueError, TypeError) as error:
        raise WireError(f"{where}: the network cannot be graded: {error}") from None
    layers = [
        {
            "kind": step.kind,
            "where": step.where,
            "arrays": {
                name: array_data(np.asarray(array), f"{where}, {step.where}") for name, array in step.arrays.items()
            },
            "options": _as_json(step.options, where),
            "shape": [int(size) for size in step.shape],
            "sources": list(step.sources),
        }
        for step in steps
    ]
    return {"input_shape": [int(size) for size in shape], "layers": layers}


def _read_network(content: Any) -> Any:
    from verifier.frontends.lowering.steps import Step
    from verifier.frontends.torch.rebuild import rebuild

    if not isinstance(content, dict) or set(content) != {"input_shape", "layers"}:
        raise WireError("a network is not written as its input's shape and its layers")
    input_shape = content["input_shape"]
    if not isinstance(input_shape, list) or not all(type(n) is int and 0 < n < 2**31 for n in input_shape):
        raise WireError("a network's input has no shape")
    steps = []
    for layer in expect_list(content["layers"], "network"):
        if not isinstance(layer, dict) or set(layer) != set(LAYER_PARTS):
            raise WireError("a network has a layer that is not one")
        kind, where, arrays, options, shape, sources = (layer[key] for key in LAYER_PARTS)
        if not isinstance(kind, str) or not isinstance(where, str) or not isinstance(arrays, dict):
            raise WireError("a network has a layer without kind, place or arrays")
        options = _from_json(options)
        if not isinstance(options, dict) or not all(type(n) is int and n >= 0 for n in expect_list(shape, "shape")):
            raise WireError("a network has a layer without options or shape")
        if not all(type(source) is int for source in expect_list(sources, "sources")):
            raise WireError("a network has a layer whose sources are not positions")
        read = {name: read_array(array) for name, array in arrays.items()}
        steps.append(Step(kind, where, read, options, tuple(shape), tuple(sources)))
    try:
        module: Any = rebuild(tuple(steps))
    except Exception as error:  # layers that lie about their shapes fail in torch in many ways; none may end the judge
        raise WireError(f"a network cannot be rebuilt: {type(error).__name__}: {error}") from None
    module.input_shape = tuple(input_shape)  # for the next time that it is written
    return module


def _as_json(value: Any, where: str) -> Any:
    """Options and specs: plain data with tuples, kept apart from lists."""
    return _encode(value, None, where, 0)


def _from_json(data: Any) -> Any:
    return _decode(data, None, 0)
