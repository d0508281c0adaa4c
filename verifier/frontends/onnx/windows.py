"""ONNX operators that move a window over an image or a line: convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from verifier.frontends.lowering.steps import Step
from verifier.frontends.onnx.node import Node, only_data


@dataclass(frozen=True)
class _Windows:
    """Kernel, strides and padding of a node, for two spatial axes."""

    kernel: tuple[int, int]
    options: dict[str, Any]
    out: tuple[int, int]


def _windows(node: Node, image: tuple[int, int], kernel: tuple[int, int]) -> _Windows:
    flat = len(node.shape) == 3  # one spatial axis; a second one of size 1 stands before it

    def pair(name: str, default: int) -> tuple[int, int]:
        values = node.attributes.get(name) or [default] * (1 if flat else 2)
        return (1 if name != "pads" else 0, int(values[0])) if flat else (int(values[0]), int(values[1]))

    stride, dilation = pair("strides", 1), pair("dilations", 1)
    reach = [dilation[i] * (kernel[i] - 1) + 1 for i in range(2)]
    auto = node.attributes.get("auto_pad", "NOTSET")
    pads = node.attributes.get("pads") or [0] * (2 if flat else 4)
    begin, end = ([0, pads[0]], [0, pads[1]]) if flat else (list(pads[:2]), list(pads[2:]))
    ceil = bool(node.attributes.get("ceil_mode", 0))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [max(0, (-(-image[i] // stride[i]) - 1) * stride[i] + reach[i] - image[i]) for i in range(2)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
    elif auto == "VALID":
        begin, end = [0, 0], [0, 0]
    elif auto != "NOTSET":
        raise node.refusal(f"auto_pad={auto} is not known")
    out = []
    for i in range(2):
        span = image[i] + begin[i] + end[i] - reach[i]
        count = (-(-span // stride[i]) if ceil else span // stride[i]) + 1
        if ceil and (count - 1) * stride[i] >= image[i] + begin[i]:
            count -= 1  # a window that would begin in the padding after the image is left out
        out.append(count)
    if min(out) < 1:
        raise node.refusal(f"its kernel {kernel} is larger than the image {image}")
    options = {"stride": stride, "dilation": dilation, "padding": tuple(begin), "padding_end": tuple(end)}
    return _Windows(kernel, options, (out[0], out[1]))


def _image(node: Node) -> tuple[list[Step], tuple[int, int], int]:
    """Bring one image into the form (1, channels, height, width)."""
    shape = node.shape
    if len(shape) not in (3, 4):
        raise node.refusal(f"input of shape {shape}; only one or two spatial axes are supported")
    if shape[0] != 1:
        raise node.refusal(f"a batch of {shape[0]} images; one is verified at a time")
    if len(shape) == 3:
        return [node.step("Reshape", (1, shape[1], 1, shape[2]))], (1, shape[2]), shape[1]
    return [], (shape[2], shape[3]), shape[1]


def _back(node: Node, step: Step) -> list[Step]:
    """Leave out the second spatial axis again where the file has one."""
    if len(node.shape) == 3:
        return [step, node.step("Reshape", (*step.shape[:2], step.shape[3]))]
    return [step]


def convolution(node: Node) -> list[Step]:
    """Read a Conv over an image or a line."""
    only_data(node)
    steps, image, channels = _image(node)
    weight = node.weights(1, "kernel")
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    groups = int(node.attributes.get("group", 1))
    if weight.ndim != 4 or weight.shape[1] * groups != channels:
        raise node.refusal(f"kernel {weight.shape} in {groups} groups does not fit {channels} channels")
    windows = _windows(node, image, (weight.shape[2], weight.shape[3]))
    arrays = {"weight": weight}
    if node.constant(2, "bias") is not None:
        arrays["bias"] = node.weights(2, "bias")
    options = {**windows.options, "groups": groups}
    return [*steps, *_back(node, node.step("Conv2d", (1, weight.shape[0], *windows.out), arrays, **options))]


def pooling(node: Node) -> list[Step]:
    """Read an AveragePool or a MaxPool."""
    steps, image, channels = _image(node)
    shape = node.attributes["kernel_shape"]
    windows = _windows(node, image, (1, int(shape[0])) if len(shape) == 1 else (int(shape[0]), int(shape[1])))
    options = {"kernel": windows.kernel, **windows.options}
    if node.op == "AveragePool":
        if node.attributes.get("ceil_mode", 0) and windows != _windows(_without_ceil(node), image, windows.kernel):
            raise node.refusal("ceil_mode=1 with windows that overhang is not supported")
        options["count_include_pad"] = bool(node.attributes.get("count_include_pad", 0))
    elif node.attributes.get("storage_order", 0):
        raise node.refusal("storage_order=1 is not supported")
    kind = "AvgPool2d" if node.op == "AveragePool" else "MaxPool2d"
    return [*steps, *_back(node, node.step(kind, (1, channels, *windows.out), **options))]


def _without_ceil(node: Node) -> Node:
    return Node(node.op, node.where, node.inputs, {**node.attributes, "ceil_mode": 0}, node.opset)


def global_average(node: Node) -> list[Step]:
    """Read a GlobalAveragePool."""
    steps, image, channels = _image(node)
    options: dict[str, Any] = {"kernel": image, "stride": (1, 1), "padding": (0, 0)}
    return [*steps, *_back(node, node.step("AvgPool2d", (1, channels, 1, 1), **options))]
