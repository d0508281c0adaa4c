"""Every kind of bad input is refused with a message that says where, what was found, and what to do about it."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import verifier
from verifier import verify

BOX = [[0.0, 1.0], [0.0, 1.0]]
LIMITS = [[None, 100.0]]
NAN, INF = float("nan"), float("inf")


def net(inputs: int = 2, outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, outputs))


def ask(
    network: Any = None, x_specs: Any = BOX, y_specs: Any = LIMITS, counterexamples: Any = None, **options: Any
) -> Any:
    """Call verify() with everything good but what the case makes bad."""
    return verify(net() if network is None else network, x_specs, y_specs, counterexamples, **options)


class TanhInTheMiddle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x * torch.relu(self.first(x)))


class DecidesByValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.only(x) if x.sum() > 0 else -self.only(x)


class ReturnsTuple(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.only(x)
        return y, y


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return self.only(x) + self.only(other)


class IgnoresItsInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.only(torch.ones(1, 2))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.last = nn.LSTM(2, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.cells(x)[0])


def with_nan_weight(value: float = NAN) -> nn.Module:
    network = net()
    with torch.no_grad():
        network[2].weight[0, 1] = value
    return network


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 2 * 2, 1))


def of_shape_16(**options: Any) -> Any:
    return ask(convolutional(), [[0.0, 1.0]] * 16, **options)


# (what is bad, the call, the class of error, what its message must say: patterns, all of them, in any order)
CASES: list[tuple[str, Callable[[], Any], str, list[str]]] = [
    # input specs
    (
        "x_specs too short",
        lambda: ask(x_specs=[[0, 1]]),
        "SpecError",
        ["x_specs", r"\b1 (pair|input)\b", r"\b2 inputs", "one pair"],
    ),
    (
        "x_specs too long",
        lambda: ask(x_specs=[[0, 1]] * 3),
        "SpecError",
        ["x_specs", r"\b3 (pairs|inputs)", r"\b2 inputs"],
    ),
    ("x_specs empty", lambda: ask(x_specs=[]), "SpecError", ["x_specs", "empty", "pair"]),
    (
        "x_specs swapped",
        lambda: ask(x_specs=[[0, 1], [0.9, 0.86]]),
        "SpecError",
        [r"x_specs\[1\]", r"0\.9 > 0\.86", "swapped"],
    ),
    ("x_specs NaN", lambda: ask(x_specs=[[0, 1], [NAN, 1]]), "SpecError", [r"x_specs\[1\]", "NaN"]),
    (
        "x_specs NaN in an array",
        lambda: ask(x_specs=np.array([[0, NAN], [0, 1]])),
        "SpecError",
        [r"x_specs\[0\]", "NaN"],
    ),
    (
        "x_specs infinite",
        lambda: ask(x_specs=[[0, 1], [0, INF]]),
        "SpecError",
        [r"x_specs\[1\]", "inf", "finite bounds"],
    ),
    (
        "x_specs None",
        lambda: ask(x_specs=[[0, 1], [None, 1]]),
        "SpecError",
        [r"x_specs\[1\]", "None", "two finite bounds"],
    ),
    (
        "x_specs of vectors",
        lambda: ask(net(3), np.zeros((2, 3))),
        "SpecError",
        ["x_specs", r"\(2, 3\)", r"Box\(lower, upper\)"],
    ),
    ("x_specs ragged", lambda: ask(x_specs=[[0, 1], [0]]), "SpecError", [r"x_specs\[1\]", "pair"]),
    ("x_specs one bare pair", lambda: ask(net(1), (0.0, 1.0)), "SpecError", ["x_specs", "pair", "list"]),
    (
        "y_specs one bare pair with no limit",
        lambda: ask(net(1), [[0.0, 1.0]], [0.5, None]),
        "SpecError",
        ["y_specs", r"found one pair, \[0\.5, None\]", r"\[\[0\.5, None\]\]"],
    ),
    (
        "counterexamples is the class list",
        lambda: ask(counterexamples=list),
        "OptionError",
        ["counterexamples", "the class list itself", r"cases = \[\]"],
    ),
    ("x_specs a number", lambda: ask(x_specs=0.5), "SpecError", ["x_specs", "pairs", "float 0.5"]),
    ("x_specs a string", lambda: ask(x_specs="0..1"), "SpecError", ["x_specs", "str", "pairs"]),
    (
        "x_specs holds a string",
        lambda: ask(x_specs=[[0, 1], [0, "1"]]),
        "SpecError",
        [r"x_specs\[1\]\[1\]", "str '1'", "number"],
    ),
    (
        "x_specs holds complex",
        lambda: ask(x_specs=[[0, 1], [0, 1j]]),
        "SpecError",
        [r"x_specs\[1\]\[1\]", "complex", "number"],
    ),
    ("x_specs a dict", lambda: ask(x_specs={"x1": [0, 1]}), "SpecError", ["x_specs", "dict", "pairs"]),
    (
        "x_specs a batch of 3",
        lambda: ask(x_specs=np.zeros((3, 2, 2))),
        "SpecError",
        ["x_specs", "batch of 3", "one at a time"],
    ),
    ("x_specs an empty tensor", lambda: ask(x_specs=torch.zeros(0, 2)), "SpecError", ["x_specs", "empty"]),
    (
        "Box of unequal sides",
        lambda: verifier.Box([0.0], [1.0, 2.0]),
        "SpecError",
        ["Box", r"\b1\b", r"\b2\b", "equal"],
    ),
    ("Box swapped", lambda: verifier.Box([0.0, 2.0], [1.0, 1.0]), "SpecError", [r"Box\[1\]", "2 > 1", "swapped"]),
    (
        "Box of the wrong size",
        lambda: ask(x_specs=verifier.Box([0.0], [1.0])),
        "SpecError",
        ["x_specs", r"\b1 (input|pair)", r"\b2 inputs"],
    ),
    # output specs
    (
        "y_specs too long",
        lambda: ask(y_specs=[[0, 1]] * 2),
        "SpecError",
        ["y_specs", r"\b2 pairs", r"\b1 output", "one pair"],
    ),
    (
        "y_specs too short",
        lambda: ask(net(2, 3), y_specs=[[0, 1]]),
        "SpecError",
        ["y_specs", r"\b1 pair", r"\b3 outputs", "None"],
    ),
    ("y_specs swapped", lambda: ask(y_specs=[[1, 0]]), "SpecError", [r"y_specs\[0\]", "1 > 0", "swapped"]),
    ("y_specs NaN", lambda: ask(y_specs=[[NAN, 1]]), "SpecError", [r"y_specs\[0\]", "NaN"]),
    ("y_specs admits nothing", lambda: ask(y_specs=[[INF, INF]]), "SpecError", [r"y_specs\[0\]", "no value", "None"]),
    ("y_specs None", lambda: ask(y_specs=None), "SpecError", ["y_specs", "pairs"]),
    ("y_specs a number", lambda: ask(y_specs=3), "SpecError", ["y_specs", "pairs", "int 3"]),
    (
        "label out of range",
        lambda: ask(net(2, 3), y_specs=verifier.argmax_is(3)),
        "SpecError",
        [r"argmax_is\(3\)", "3 outputs", "0 to 2"],
    ),
    ("label negative", lambda: verifier.argmax_is(-1), "SpecError", ["argmax_is", "-1", ">= 0"]),
    ("label not whole", lambda: verifier.argmax_is(1.5), "SpecError", ["argmax_is", "1.5", "whole number"]),
    (
        "output out of range",
        lambda: ask(y_specs=verifier.less_than(0.5, output=1)),
        "SpecError",
        ["less_than", "output=1", "1 output"],
    ),
    ("threshold NaN", lambda: verifier.less_than(NAN), "SpecError", ["less_than", "finite number", "nan"]),
    ("threshold a string", lambda: verifier.greater_than("0.5"), "SpecError", ["greater_than", "number", "str '0.5'"]),
    (
        "wrong number of coefficients",
        lambda: ask(y_specs=verifier.linear([1, -1])),
        "SpecError",
        ["linear", "2 coefficients", r"1 output"],
    ),
    ("coefficient NaN", lambda: verifier.linear([1, NAN]), "SpecError", ["linear", "NaN"]),
    ("any_of of nothing", lambda: verifier.any_of(), "SpecError", ["any_of", "no spec", "at least one"]),
    ("any_of of a number", lambda: verifier.any_of(0.5), "SpecError", ["0.5", "pairs"]),
    # networks
    ("no network", lambda: verify(None, BOX, LIMITS), "NetworkError", ["net", "None", "nn.Module"]),
    ("a network's class", lambda: ask(TanhInTheMiddle), "NetworkError", ["net", "TanhInTheMiddle", "class"]),
    ("a list of layers", lambda: ask([nn.Linear(2, 1)]), "NetworkError", ["net", "list", "nn.Module"]),
    ("a path that is not there", lambda: ask("no_such_network.onnx"), "NetworkError", ["net", "no_such_network.onnx"]),
    ("Tanh in the middle", lambda: ask(TanhInTheMiddle()), "UnsupportedLayerError", ["layer 2", "tanh", "supported"]),
    (
        "Sigmoid in the middle",
        lambda: ask(nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1))),
        "UnsupportedLayerError",
        [r"layer \d", "[Ss]igmoid", "last"],
    ),
    (
        "ConvTranspose2d",
        lambda: ask(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 1, 1), nn.Flatten(), nn.Linear(4, 1)),
            [[0.0, 1.0]] * 16,
            input_shape=(1, 4, 4),
        ),
        "UnsupportedLayerError",
        ["layer 2", "ConvTranspose2d", "not supported", "MaxPool2d"],
    ),
    ("LSTM", lambda: ask(Recurrent(), input_shape=(2,)), "UnsupportedLayerError", ["layer 1", "LSTM"]),
    (
        "two values multiplied",
        lambda: ask(Gated()),
        "UnsupportedLayerError",
        [r"layer \d", "mul", "combines the data with itself", "only constants"],
    ),
    (
        "softmax over one output of many rows",
        lambda: ask(nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=0)), y_specs=verifier.argmax_is(0)),
        "UnsupportedLayerError",
        ["layer 2", "dim=0", "dim=-1"],
    ),
    (
        "lazy layer not initialised",
        lambda: ask(nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 1))),
        "NetworkError",
        ["0", "LazyLinear", "not initialised", "one batch"],
    ),
    (
        "decides by its input's values",
        lambda: ask(DecidesByValue()),
        "UnsupportedLayerError",
        ["DecidesByValue", "values of its input", "without if"],
    ),
    ("NaN weight", lambda: ask(with_nan_weight()), "NetworkError", [r"layer \d|2", "NaN", "train"]),
    ("infinite weight", lambda: ask(with_nan_weight(INF)), "NetworkError", [r"layer \d|2", "infinite", "train"]),
    ("returns a tuple", lambda: ask(ReturnsTuple()), "UnsupportedLayerError", ["tuple", "one tensor"]),
    ("takes two inputs", lambda: ask(TwoInputs()), "NetworkError", ["net", "input"]),
    (
        "does not depend on its input",
        lambda: ask(IgnoresItsInput()),
        "UnsupportedLayerError",
        ["does not depend on its input"],
    ),
    (
        "layers that do not fit",
        lambda: ask(nn.Sequential(nn.Linear(2, 4), nn.Linear(3, 1))),
        "NetworkError",
        ["forward fails", r"\(1, 2\)"],
    ),
    (
        "Conv2d without input_shape",
        of_shape_16,
        "NetworkError",
        ["input_shape", "Conv2d", r"input_shape=\(1, height, width\)"],
    ),
    (
        "input_shape with the wrong channels",
        lambda: of_shape_16(input_shape=(4, 2, 2)),
        "NetworkError",
        [r"\(1, 4, 2, 2\)", "input_shape"],
    ),
    (
        "input_shape that the layers do not fit",
        lambda: of_shape_16(input_shape=(1, 2, 8)),
        "NetworkError",
        [r"\(1, 1, 2, 8\)", "input_shape"],
    ),
    (
        "input_shape not a shape",
        lambda: of_shape_16(input_shape="28x28"),
        "NetworkError",
        ["input_shape", "28x28", r"\(1, 28, 28\)"],
    ),
    (
        "input_shape with zero",
        lambda: of_shape_16(input_shape=(1, 0, 4)),
        "NetworkError",
        ["input_shape", r"\(1, 0, 4\)", ">= 1"],
    ),
    # options
    ("unknown method", lambda: ask(method="magic"), "OptionError", ["method", "'magic'", "auto", "z3"]),
    ("method not a string", lambda: ask(method=3), "OptionError", ["method", "3", "auto"]),
    ("timeout negative", lambda: ask(timeout_s=-1), "OptionError", ["timeout_s", "-1", "seconds|positive|> 0|>= 0"]),
    ("timeout NaN", lambda: ask(timeout_s=NAN), "OptionError", ["timeout_s", "nan"]),
    ("timeout a string", lambda: ask(timeout_s="60"), "OptionError", ["timeout_s", "'60'", "seconds"]),
    ("no subdomains", lambda: ask(max_subdomains=0), "OptionError", ["max_subdomains", r"\b0\b", "1"]),
    ("half a subdomain", lambda: ask(max_subdomains=0.5), "OptionError", ["max_subdomains", "0.5", "whole"]),
    (
        "negative number of counterexamples",
        lambda: ask(max_counterexamples=-1),
        "OptionError",
        ["max_counterexamples", "-1"],
    ),
    ("counterexamples a tuple", lambda: ask(counterexamples=()), "OptionError", ["counterexamples", "tuple", "list"]),
    ("counterexamples a number", lambda: ask(counterexamples=5), "OptionError", ["counterexamples", "int", "list"]),
    ("seed not a number", lambda: ask(seed="x"), "OptionError", ["seed", "'x'"]),
]


@pytest.mark.parametrize(("call", "error", "patterns"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_bad_input_is_refused_with_a_message(call: Callable[[], Any], error: str, patterns: list[str]) -> None:
    """The error is of the named class, is a VerifierError, and its message holds every pattern."""
    with pytest.raises(verifier.VerifierError) as caught:
        call()
    message = str(caught.value)
    assert error in [kind.__name__ for kind in type(caught.value).__mro__], f"{type(caught.value).__name__}: {message}"
    missing = [pattern for pattern in patterns if not re.search(pattern, message)]
    assert not missing, f"{missing} not in: {message}"


def test_errors_are_also_the_built_in_ones_that_a_caller_would_catch() -> None:
    """A student who knows only ValueError and TypeError catches them too."""
    with pytest.raises(ValueError, match="swapped"):
        ask(x_specs=[[1, 0], [0, 1]])
    with pytest.raises(TypeError, match="tanh"):
        ask(TanhInTheMiddle())


def test_bad_input_leaves_the_counterexamples_and_the_module_alone() -> None:
    """A refused call changes neither the caller's list nor the module's mode."""
    network, cases = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).train(), [torch.zeros(2)]
    with pytest.raises(verifier.VerifierError):
        ask(network, counterexamples=cases)
    assert network.training
    assert len(cases) == 1


@pytest.mark.parametrize(
    "x_specs",
    [
        pytest.param([(0, 1), (0, 1)], id="integers"),
        pytest.param(((0, 1), (0, 1)), id="tuples"),
        pytest.param(np.array([[0, 1], [0, 1]]), id="integer array"),
        pytest.param(np.array([[0, 1], [0, 1]], dtype=np.float32), id="float32 array"),
        pytest.param(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), id="tensor"),
        pytest.param(torch.tensor([[0.0, 1.0], [0.0, 1.0]], requires_grad=True), id="tensor with gradient"),
        pytest.param([torch.tensor([0.0, 1.0]), np.array([0.0, 1.0])], id="list of tensor and array"),
        pytest.param([[np.float32(0), torch.tensor(1.0)], [np.int64(0), 1]], id="numpy and torch scalars"),
        pytest.param(np.array([[[0, 1], [0, 1]]]), id="a batch of 1"),
        pytest.param(zip([0, 0], [1, 1], strict=True), id="zip of lower and upper"),
    ],
)
def test_every_common_way_to_write_a_box_is_accepted(x_specs: Any) -> None:
    """All of these mean [0, 1]^2, and the bounds say so."""
    network = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 1.0]]))
    result = ask(network, x_specs, [[0, 2]])
    assert result.verdict is verifier.Verdict.VERIFIED


def test_model_in_train_mode_with_dropout_gives_one_warning() -> None:
    """The network verified is the one in eval mode; the caller is told once, and the mode is put back."""
    network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1)).train()
    with pytest.warns(UserWarning, match=r"train mode.*eval|eval.*train mode") as caught:
        ask(network)
    assert len(caught) == 1
    assert "Dropout" in str(caught[0].message)
    assert all(part.training for part in network.modules())


def test_model_in_train_mode_without_dropout_or_batchnorm_gives_no_warning() -> None:
    """Linear and ReLU compute the same in both modes; warnings are errors in the test run."""
    assert ask(net().train(), y_specs=[[None, 1e9]])
