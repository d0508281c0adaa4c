"""Which frontend reads what: the one place that looks at the type of the caller's network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from verifier.enclosure import Array
from verifier.errors import NetworkError
from verifier.frontends.keras.subject import is_keras, read_keras
from verifier.network import Network
from verifier.subject import Subject


def read_subject(
    net: Any, input_shape: tuple[int, ...] | None = None, inputs: int | None = None,
    box: tuple[Array, Array] | None = None,
) -> Subject:  # fmt: skip
    """Read the caller's network with the frontend of its type.

    Args:
        net: A torch module, a Network, the path of an .onnx, .onnx.gz or .nnet file, or a Subject that was read before.
        input_shape: Shape of one input without the batch, where the network does not tell it.
        inputs: The number of inputs that x_specs speaks of, used where nothing else tells.
        box: Lower and upper limits of the inputs that are asked about, (inputs,) each, where the reading is checked.

    Raises:
        NetworkError: net is nothing that a frontend reads.
    """
    if isinstance(net, Subject):
        return net
    if isinstance(net, Network):
        return Subject.of_network(net)
    if is_keras(net):  # on its torch backend it is a torch module, too
        return read_keras(net, input_shape)
    torch = sys.modules.get("torch")  # no torch module exists before torch was imported
    if torch is not None and isinstance(net, torch.nn.Module):
        from verifier.frontends.torch.subject import read_torch

        return read_torch(net, input_shape, inputs, box)
    if isinstance(net, str | Path):
        return _read_file(Path(net), input_shape, inputs)
    if isinstance(net, type):
        raise NetworkError(f"net: the class {net.__name__}, not an object of it; write {net.__name__}()")
    raise NetworkError(
        f"net: expected a torch.nn.Module, a Keras model or a verifier.Network, found {type(net).__name__}"
        + ("; call its method module() for an nn.Module" if type(net).__name__ == "ExportedProgram" else "")
        + ("; a plain function cannot be verified, wrap its layers in an nn.Module" if callable(net) else "")
    )


def _read_file(path: Path, input_shape: tuple[int, ...] | None, inputs: int | None) -> Subject:
    """Read a file by the frontend of its ending."""
    endings = [ending.lower() for ending in path.suffixes]
    kind = endings[-2] if len(endings) > 1 and endings[-1] == ".gz" else (endings[-1] if endings else "")
    if kind not in (".onnx", ".nnet"):
        raise NetworkError(f"net: {str(path)!r} ends in neither .onnx, .onnx.gz nor .nnet; only such files can be read")
    if not path.is_file():
        raise NetworkError(f"net: there is no file {str(path)!r}; is the path relative to another folder?")
    if kind == ".nnet":
        from verifier.frontends.nnet_file import read_nnet

        return read_nnet(path)
    from verifier.frontends.onnx.file import read_onnx

    return read_onnx(path, input_shape, inputs)
