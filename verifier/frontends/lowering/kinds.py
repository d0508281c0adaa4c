"""Every kind of step in one table: what it computes, and where each frontend reads it.

A kind is complete when it stands here, is lowered (AFFINE or SCALES in affine_steps.py, AS_RELUS in as_relus.py, or one
of those that lower.py takes itself), is rebuilt for grading (REBUILT in torch/rebuild.py), and stands in
docs/layers.md, which `python -m verifier.frontends.lowering.kinds` writes. test_kinds.py holds each of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """One kind of step.

    Args:
        name: As in Step.kind and in what layers() gives.
        computes: What it computes, for the documentation.
        written: How users of torch write it, for the documentation.
        torch: The operations of torch's dispatcher that are read as it (the table OPERATIONS).
        onnx: The operators of ONNX that are read as it (the table OPERATORS); none where ONNX has no such operator.
    """

    name: str
    computes: str
    written: str
    torch: tuple[str, ...]
    onnx: tuple[str, ...] = ()


_ALL = (
    Kind("Linear", "weight x + bias over the last axis", "nn.Linear, @, matmul, einsum, sum and mean over axes",
         ("addmm", "mm", "bmm", "mv", "linear", "sum", "mean"), ("MatMul", "Gemm")),
    Kind("Conv2d", "convolution of images, and of series as images of height 1", "nn.Conv2d, nn.Conv1d",
         ("convolution",), ("Conv",)),
    Kind("AvgPool2d", "average of windows", "nn.AvgPool2d, nn.AvgPool1d, nn.AdaptiveAvgPool2d",
         ("avg_pool2d", "_adaptive_avg_pool2d"), ("AveragePool", "GlobalAveragePool")),
    Kind("BatchNorm", "normalisation by running statistics", "nn.BatchNorm1d, nn.BatchNorm2d",
         ("native_batch_norm",), ("BatchNormalization",)),
    Kind("Scale", "x * scale + shift, or x / divisor, with constants", "+, -, *, / with constants",
         ("add", "sub", "mul", "div", "neg"), ("Add", "Sub", "Mul", "Div", "Neg")),
    Kind("Sum", "sum or difference of two values", "+ or - of two values, maximum, minimum", ("add", "sub"),
         ("Add", "Sub")),
    Kind("Select", "some of the values, at other places", "slices, indices, flip, roll, padding with zeros",
         ("index", "flip", "roll", "constant_pad_nd"), ("Pad",)),
    Kind("Join", "values of several tensors, put together", "torch.cat, torch.stack, writing into a tensor",
         ("cat", "stack", "copy"), ("Concat",)),
    Kind("Permute", "axes in another order", "permute and transpose in files; a Select where torch runs it", (),
         ("Transpose",)),
    Kind("Flatten", "the same values in one row", "nn.Flatten", ("view",), ("Flatten",)),
    Kind("Reshape", "the same values under another shape", "view, reshape, squeeze, unsqueeze", ("view", "reshape"),
         ("Reshape", "Squeeze", "Unsqueeze")),
    Kind("Identity", "nothing", "nn.Identity", ("detach", "alias"), ("Identity", "Cast")),
    Kind("Dropout", "nothing, since the network is in eval mode", "nn.Dropout", (), ("Dropout",)),
    Kind("ReLU", "max(x, 0)", "nn.ReLU, torch.relu, F.relu, clamp(min=0)", ("relu", "threshold"), ("Relu",)),
    Kind("LeakyReLU", "x where x > 0, slope * x elsewhere", "nn.LeakyReLU, F.leaky_relu", ("leaky_relu",),
         ("LeakyRelu",)),
    Kind("Abs", "|x|", "torch.abs", ("abs",), ("Abs",)),
    Kind("Clip", "x, but min where x < min and max where x > max", "nn.Hardtanh, nn.ReLU6, torch.clamp",
         ("clamp", "clamp_min", "clamp_max", "hardtanh"), ("Clip",)),
    Kind("MaxPool2d", "largest value of windows", "nn.MaxPool2d, nn.MaxPool1d, amax, amin",
         ("max_pool2d", "amax", "amin"), ("MaxPool",)),
    Kind("Sigmoid", "1 / (1 + exp(-x)), as the last operation", "nn.Sigmoid", ("sigmoid",), ("Sigmoid",)),
    Kind("Softmax", "exp(x) over their sum, as the last operation", "nn.Softmax", ("_softmax",), ("Softmax",)),
    Kind("LogSoftmax", "log of Softmax, as the last operation", "nn.LogSoftmax", ("_log_softmax",), ("LogSoftmax",)),
)  # fmt: skip
KINDS = {kind.name: kind for kind in _ALL}


def documentation() -> str:
    """The text of docs/layers.md."""
    lines = [
        "# Layers",
        "",
        "What a network may be made of, whatever it is read from. Each row is one kind of step, as",
        "`verifier.layers(net)` names it; what is not here is refused by name. This page is written by",
        "`python -m verifier.frontends.lowering.kinds`.",
        "",
        "| kind | what it computes | in torch | in ONNX |",
        "|---|---|---|---|",
    ]
    for kind in _ALL:
        onnx = ", ".join(f"`{one}`" for one in kind.onnx) or "no operator"
        lines.append(f"| `{kind.name}` | {kind.computes} | {kind.written} | {onnx} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path("docs/layers.md").write_text(documentation())
