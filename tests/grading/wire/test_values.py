"""What crosses the pipe, and what is refused there."""

import io
import json
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.wire.arrays import WireError
from grading.wire.messages import MAX_MESSAGE_BYTES, parse, read_bytes, write_message
from grading.wire.values import decode, encode
from verifier.question.spec import Box, argmax_is, greater_than, less_than, linear, within
from verifier.question.spec_data import from_data, to_data

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def parse_from(stream):
    """Receive a message as a channel does."""
    return parse(read_bytes(stream))


def through_pipe(value, **hooks):
    """The value as the other side of a pipe sees it."""
    stream = io.BytesIO()
    write_message(stream, encode(value))
    stream.seek(0)
    return decode(parse_from(stream), **hooks)


@settings(max_examples=200)
@given(plain)
def test_plain_data_arrives_as_it_left(value):
    arrived = through_pipe(value)
    assert arrived == value and repr(arrived) == repr(value)


def test_nan_arrives_as_nan():
    assert math.isnan(through_pipe(float("nan")))


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex128", ">f4"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_arrays_arrive_with_dtype_and_shape(dtype, shape):
    array = np.asarray(np.arange(math.prod(shape)).reshape(shape) % 2, dtype=dtype)
    arrived = through_pipe(array)
    assert arrived.shape == shape and arrived.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(arrived, array) and arrived.flags.writeable


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int64, torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_tensors_arrive_with_dtype_and_shape(dtype, shape):
    tensor = (torch.arange(math.prod(shape)).reshape(shape) % 2).to(dtype)
    arrived = through_pipe(tensor)
    assert arrived.dtype == dtype and arrived.shape == tensor.shape and torch.equal(arrived, tensor)


def test_a_slice_of_a_tensor_with_gradients_arrives_as_values():
    tensor = torch.arange(6.0).reshape(2, 3).requires_grad_()
    arrived = through_pipe(tensor[:, ::2])
    assert torch.equal(arrived, torch.tensor([[0.0, 2.0], [3.0, 5.0]])) and not arrived.requires_grad


def test_numpy_numbers_stay_numpy_numbers():
    assert type(through_pipe(np.float32(0.1))) is np.float32 and through_pipe(np.float32(0.1)) == np.float32(0.1)


def test_a_subclass_arrives_as_what_it_is_a_subclass_of():
    class Always(list):
        def __eq__(self, other):
            return True

        __hash__ = None

    arrived = through_pipe(Always([1]))
    assert type(arrived) is list and arrived != [2]


def test_a_network_arrives_as_torchs_own_layers_and_computes_the_same():
    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1), torch.nn.Sigmoid()
            )

        def forward(self, x):
            return self.net(x)

    net = Mine()
    arrived = through_pipe(net)
    x = torch.rand(50, 2)
    assert torch.equal(arrived(x), net(x))
    assert type(arrived) is torch.nn.Sequential and {type(layer).__module__.partition(".")[0] for layer in arrived} == {
        "torch"
    }


def test_a_network_that_the_verifier_cannot_read_is_refused_by_its_layer():
    with pytest.raises(WireError, match=r"nn_circle: the network cannot be graded: .*Tanh"):
        encode(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh()), None, "nn_circle")


@pytest.mark.parametrize(
    "spec", [argmax_is(3), less_than(0.5), greater_than(0.5, 1), linear([1, -1], 0.5), within([[0, None]])]
)
def test_output_specs_arrive_with_their_meaning(spec):
    assert to_data(through_pipe(spec)) == to_data(from_data(to_data(spec)))


def test_boxes_arrive():
    box = through_pipe(Box([0.0, -1.0], [1.0, 2.0]))
    assert box.lower.tolist() == [0.0, -1.0] and box.upper.tolist() == [1.0, 2.0]


def test_a_function_arrives_as_its_number_and_name():
    def area(x):
        return x

    data = encode([area], lambda function: 7)
    assert decode(data, lambda number, name: (number, name)) == [(7, "area")]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "a object cannot be graded; give numbers"),
        (torch.nn.Linear, "a type cannot be graded"),
        ({1, 2}, "a set cannot be graded"),
        (len, "a function is neither an argument nor a result"),
        (np.array([object()]), "an array of object cannot be graded"),
        (torch.eye(2).to_sparse(), "layout torch.sparse_coo cannot be graded"),
    ],
)
def test_what_is_not_plain_data_is_refused(value, said):
    with pytest.raises(WireError, match=said):
        encode(value)


def test_the_place_of_what_is_refused_is_named():
    with pytest.raises(WireError, match=r"x_specs\[1\]\['radius'\]: a object"):
        encode([0, {"radius": object()}], None, "x_specs")


def test_a_list_that_holds_itself_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(WireError, match="or holds itself"):
        encode(loop)


@pytest.mark.parametrize(
    "data",
    [
        [1],
        {},
        {"list": 1},
        {"list": [], "tuple": []},
        {"pickle": "gASVAAAA"},
        {"float": "1"},
        {"dict": [[1]]},
        {"dict": [[{"list": []}, 1]]},
        {"array": ["<f8", [2], "AAAA"]},
        {"array": ["|O", [1], "AAAAAAAAAAA="]},
        {"array": ["(2,)f4", [1], "AAAAAAAAAAA="]},
        {"array": ["<f8", [-1], ""]},
        {"array": ["<f8", [2**39, 2**39], ""]},
        {"array": ["<f8", [0], "?"]},
        {"array": ["import os", [0], ""]},
        {"array": 3},
        {"scalar": ["<f8", [1], "AAAAAAAAAAA="]},
        {"tensor": ["load", [0], ""]},
        {"tensor": ["float32", [True], "AAAAAA=="]},
        {"box": [1, 2]},
        {"box": [["<f8", [1], "AAAAAAAA8D8="], ["<f8", [1], "AAAAAAAAAAA="]]},
        {"output_spec": {"dict": [["kind", "system"]]}},
        {"network": [{"kind": "Linear"}]},
        {"network": [{"kind": "Linear", "where": "", "arrays": {}, "options": {"dict": []}, "shape": [1]}]},
        {"network": [{"kind": "Evil", "where": "", "arrays": {}, "options": {"dict": []}, "shape": [1]}]},
        {"function": [0, "f"]},
    ],
)
def test_data_that_encode_never_writes_is_refused(data):
    with pytest.raises(WireError):
        decode(data)


def test_truth_values_are_only_two():
    assert through_pipe(np.array([True, False])).view(np.uint8).tolist() == [1, 0]
    crooked = decode({"tensor": ["bool", [2], "AgA="]})  # the bytes 2 and 0
    assert crooked.view(torch.uint8).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00\x00", "cut short"),
        (struct.pack(">Q", 10) + b"{}", "cut short"),
        (struct.pack(">Q", MAX_MESSAGE_BYTES + 1), "claims"),
        (struct.pack(">Q", 3) + b"abc", "not JSON"),
        (struct.pack(">Q", 200_000) + b"[" * 200_000, "not JSON"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused(content, said):
    with pytest.raises(WireError, match=said):
        parse_from(io.BytesIO(content))


def test_a_closed_pipe_is_not_a_bad_message():
    with pytest.raises(EOFError):
        parse_from(io.BytesIO())


def test_messages_are_json_behind_their_length():
    stream = io.BytesIO()
    write_message(stream, {"get": "net"})
    content = stream.getvalue()
    assert struct.unpack(">Q", content[:8]) == (len(content) - 8,) and json.loads(content[8:]) == {"get": "net"}


class _Shortcut(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Linear(3, 3), torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)) + x)


def test_a_residual_network_crosses_with_its_shortcut():
    net = _Shortcut()
    x = torch.randn(7, 3)
    torch.testing.assert_close(through_pipe(net)(x), net(x))


@pytest.mark.parametrize("sources", [[5], [-2], ["0"], [0], None, 0])
def test_a_sum_of_what_is_not_before_it_is_refused(sources):
    data = encode(_Shortcut())
    at = next(i for i, layer in enumerate(data["network"]["layers"]) if layer["kind"] == "Sum")
    data["network"]["layers"][at]["sources"] = sources
    with pytest.raises(WireError):
        decode(data)
