"""What a forward does is read as it runs: aliases, memory written in place, branches on types; or refused by name."""

from __future__ import annotations

import copy
import ctypes
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import verifier
from verifier.errors import NetworkError, UnsupportedLayerError
from verifier.frontends.read import read_subject
from verifier.frontends.torch.module import trace
from verifier.frontends.torch.rebuild import rebuild

INPUTS = 4


class Forward(nn.Module):
    """A forward given as a function of the module and x."""

    def __init__(self, function: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(INPUTS, 4), nn.Linear(4, 4)
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("room", torch.arange(4.0)[None])
        self.function = function
        self.history: list[Any] = []
        self.last: Any = None
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def augmented(net: Any, x: torch.Tensor) -> torch.Tensor:
    h = net.first(x)
    skip = h
    h += torch.relu(net.second(h))
    return h + skip


def residual_by_function(net: Any, x: torch.Tensor) -> torch.Tensor:
    z = net.first(x)
    return F.relu_(z) - z + net.second(z)


def residual_by_module(net: Any, x: torch.Tensor) -> torch.Tensor:
    z = net.first(x)
    return net.relu(z) - 2 * z


def result_not_taken(net: Any, x: torch.Tensor) -> torch.Tensor:
    z = net.first(x)
    F.relu_(z)
    return z


def through_a_view(net: Any, x: torch.Tensor) -> torch.Tensor:
    z = net.first(x)
    z.view(-1)[1:3].relu_()
    return z


def through_data(net: Any, x: torch.Tensor) -> torch.Tensor:
    z = net.first(x)
    z.data.relu_()
    return z


def through_out(net: Any, x: torch.Tensor) -> torch.Tensor:
    z = net.first(x)
    torch.clamp(z, min=0, out=z)
    return z


def out_of_another_size(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.empty(0)
    torch.add(x, 1.0, out=room)
    return net.first(room)


def made_in_forward(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.zeros(1, 4)
    room[:, :] = torch.relu(x - 0.3)
    return x + room


def padded(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.full((1, 6), 0.25)
    room[:, 1:5] = net.first(x)
    return room * 2 + 1


def padded_beside_constants(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = F.pad(torch.cat([torch.relu(x), torch.full((1, 2), 0.75)], dim=1), (1, 2), value=-0.5)
    return room + F.pad(room[:, 5:], (0, 5))


def pad_of_constants_alone(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.cat([x, torch.full((1, 2), 0.75)], dim=1)
    return torch.cat([x, F.pad(room, (-4, 1))], dim=1)


def filled_wholly(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.cat([x, torch.ones(1, 4)], dim=1).masked_fill(torch.arange(8)[None] < 4, 2.5)
    return x + room[:, 2:6]


def products_of_vectors(net: Any, x: torch.Tensor) -> torch.Tensor:
    row = torch.cat([x[0, :2], torch.tensor([0.5, -1.5], dtype=x.dtype)])
    number = torch.dot(x[0], torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=x.dtype))
    return torch.mv(net.first.weight, row)[None] + number[None, None] + (row @ net.first.weight[0])[None, None]


def buffer_written(net: Any, x: torch.Tensor) -> torch.Tensor:
    net.room.copy_(x)
    net.room[0, 1] = 7.0
    return net.second(net.room.relu())


def set_data(net: Any, x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(1, 4)
    y.data = net.first(x)
    return y.relu_()


def scattered(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.zeros(1, 6)
    room.scatter_(1, torch.tensor([[5, 0, 2, 3]]), net.first(x))
    room[:, torch.tensor([1, 4])] = x[:, :2]
    return room.relu()


def pieces(net: Any, x: torch.Tensor) -> torch.Tensor:
    a, b = net.first(x).chunk(2, dim=1)
    return torch.cat([b.relu(), a, x[:, ::2], torch.ones(1, 1)], dim=1)


def turned(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first.weight @ x.T + net.second(x).T


def expanded(net: Any, x: torch.Tensor) -> torch.Tensor:
    h = net.first(x)
    return h[:, :1] + h.unsqueeze(2).expand(1, 4, 3).sum(2) - h.mean(1, keepdim=True)


def by_type(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) if type(x) is torch.Tensor and isinstance(x, torch.Tensor) else x * 1e3


def clamps(net: Any, x: torch.Tensor) -> torch.Tensor:
    h = net.first(x)
    return torch.cat([h.clamp(-0.2, 0.4), F.relu6(h), h.abs(), torch.maximum(h, x), torch.minimum(h, x * 2)], 1)


def largest(net: Any, x: torch.Tensor) -> torch.Tensor:
    h = net.first(x)
    return torch.stack([h.amax(1), h.max(dim=1).values, h.amin(1), h.max().reshape(1)], dim=1)


def scalars(net: Any, x: torch.Tensor) -> torch.Tensor:
    return (1 - net.first(x) * 0.1) / 3 + torch.add(x, x, alpha=0.7) - torch.sub(x, 2.0, alpha=3)


def shared_twice(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.second(net.second(net.first(x).relu()).relu())


def swallowed(net: Any, x: torch.Tensor) -> torch.Tensor:
    y = torch.einsum("bi,oi->bo", x, net.first.weight)
    try:
        raise RuntimeError
    except RuntimeError:
        return y + torch.zeros_like(y).masked_fill_(torch.eye(4)[:1].bool(), 2.0)


def optional(net: Any, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    return net.first(x) if mask is None else net.first(x) * mask


READ = [
    augmented, residual_by_function, residual_by_module, result_not_taken, through_a_view, through_data, through_out,
    out_of_another_size, made_in_forward, padded, padded_beside_constants, pad_of_constants_alone, filled_wholly,
    buffer_written, set_data, scattered, pieces, turned, expanded,
    by_type, clamps, largest, scalars, shared_twice, swallowed, optional,
]  # fmt: skip
FOR_ONE_INPUT = [products_of_vectors]  # whose forward takes no batch


@pytest.mark.parametrize("function", [*READ, *FOR_ONE_INPUT])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_forward_is_read_as_it_runs(function: Any, dtype: torch.dtype) -> None:
    """The module in its own dtype, at 200 points, is what the Network computes."""
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        net = Forward(function).to(dtype)
        network = read_subject(net, (INPUTS,), INPUTS, (-np.ones(INPUTS), np.ones(INPUTS))).network
        x = torch.randn(200, INPUTS) * 3
        with torch.no_grad():
            expected = torch.stack([copy.deepcopy(net)(one[None].clone()).reshape(-1) for one in x])
    finally:
        torch.set_default_dtype(torch.float32)
    atol = 1e-12 if dtype is torch.float64 else 1e-4
    np.testing.assert_allclose(network(x.double().numpy()), expected.double().numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("function", READ)
def test_what_was_read_is_rebuilt_as_a_module(function: Any) -> None:
    torch.manual_seed(0)
    net = Forward(function)
    again = rebuild(trace(net, (INPUTS,)))
    x = torch.randn(3, INPUTS)
    with torch.no_grad():
        expected = torch.stack([copy.deepcopy(net)(one[None].clone()).reshape(-1) for one in x])
        found = again(x).reshape(3, -1)
    torch.testing.assert_close(found, expected)


def by_item(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) * (2 if x.sum().item() > 100 else 1)


def by_bool(net: Any, x: torch.Tensor) -> torch.Tensor:
    if isinstance(x, torch.Tensor) and bool((x > 5).any()):
        x = x * 2
    return net.first(x)


def in_a_try(net: Any, x: torch.Tensor) -> torch.Tensor:
    try:
        if x.max() > 50:
            return x * 0
    except Exception:
        return net.first(x)
    return net.first(x)


def by_equal(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) if not torch.equal(x, x.relu()) else x


def by_allclose(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) if not torch.allclose(x, x + 1) else x


def by_nonzero(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) * len((x > 5).nonzero())


def by_mask(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) + x[x > 50].sum()


def by_numpy(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) * float(np.maximum(x.numpy().max() - 50, 0) + 1)


def by_asarray(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) * float(np.asarray(x).max() > 50)


def by_list(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) + max(0.0, x.tolist()[0][0] - 50)


def by_tensor_of_list(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) + torch.tensor([x[0, 0], 1.0, 1.0, 1.0]).sub_(50).relu()


def by_index(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x)[:, [0, 1, 2, 3][x[0, 0].gt(50).long()]]


def by_format(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) + max(0.0, float(f"{x[0, 0]:.3f}") - 50)


def by_deepcopy(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) + (copy.deepcopy(x) - 50).relu()


def by_address(net: Any, x: torch.Tensor) -> torch.Tensor:
    value = ctypes.c_float.from_address(x.data_ptr()).value
    return net.first(x) + max(0.0, value - 50)


def by_numpy_beforehand(net: Any, x: torch.Tensor) -> torch.Tensor:
    room = torch.zeros(1, 4)
    seen = room.numpy()
    room.copy_(x)
    return net.first(x) + max(0.0, float(seen[0, 0]) - 50)


VALUES = [
    by_item, by_bool, in_a_try, by_equal, by_allclose, by_nonzero, by_mask, by_numpy, by_asarray, by_list,
    by_tensor_of_list, by_index, by_format, by_deepcopy, by_address, by_numpy_beforehand,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", VALUES)
def test_a_value_that_leaves_torch_is_refused_although_no_sample_shows_it(function: Any) -> None:
    """Each does something else beyond 50; the box ends at 1."""
    with pytest.raises(UnsupportedLayerError, match=r"out of torch|depends on the values|decides something"):
        verifier.verify(Forward(function), [(-1, 1)] * INPUTS, [[None, 1e3]] * 4)


def tanh(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.second(torch.tanh(net.first(x)))


def unknown_in_a_try(net: Any, x: torch.Tensor) -> torch.Tensor:
    try:
        return torch.tanh(net.first(x))
    except Exception:
        return net.first(x)


def noise(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) + torch.rand(1)


def branch_on_noise(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) if torch.rand(1).item() < 2 else x


def dropout(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(F.dropout(x))


def product(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) * x


def comparison(net: Any, x: torch.Tensor) -> torch.Tensor:
    return (net.first(x) > 0).float()


def where(net: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 50, x, net.first(x))


def masked_write(net: Any, x: torch.Tensor) -> torch.Tensor:
    h = net.first(x)
    h[x > 50] = 0.0
    return h


def half(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x.half().float())


def autocast(net: Any, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return net.first(x).float()


def bits(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first((x.view(torch.int32) * 1).view(torch.float32))


def numpy_writes(net: Any, x: torch.Tensor) -> torch.Tensor:
    h = net.first(x)
    capsule = torch._C._to_dlpack(h)  # handed out below Python, where no mode of torch sees it
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    address = ctypes.c_void_p.from_address(pointer(capsule, b"dltensor")).value
    ctypes.c_float.from_address(address).value = 1.0
    return h * 2


def draws_in_python(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.first(x) * random.random()


def counts(net: Any, x: torch.Tensor) -> torch.Tensor:
    net.history.append(1)
    return net.first(x) * len(net.history)


def alternates(net: Any, x: torch.Tensor) -> torch.Tensor:
    net.last = not net.last
    return net.first(x) if net.last else net.second(x).relu()


REFUSED = [
    (tanh, r"layer 2 \(tanh, line \d+ of tanh\): tanh is not supported; supported are Linear"),
    (unknown_in_a_try, r"layer 2 \(tanh"), (noise, r"rand.*draws random numbers"),
    (branch_on_noise, "draws random numbers"), (dropout, r"dropout.*training=self\.training"),
    (product, r"layer 2 \(mul.*combines the data with itself"), (comparison, r"layer 2 \(gt.*not supported"),
    (where, "gt"), (masked_write, "gt is not supported"),
    (half, "changes torch.float32 to torch.float16"), (autocast, "changes torch.float32 to torch.bfloat16.*autocast"),
    (bits, "another type"), (numpy_writes, "beside torch"), (draws_in_python, "does not do the same from call to call"),
    (counts, "does not do the same from call to call"), (alternates, "does not do the same from call to call"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "said"), REFUSED)
def test_what_has_no_exact_reading_is_refused_by_name(function: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        verifier.verify(Forward(function), [(-1, 1)] * INPUTS, [[None, 1e3]] * 4)


def test_an_operation_that_the_output_does_not_need_is_not_refused() -> None:
    def function(net: Any, x: torch.Tensor) -> torch.Tensor:
        net.last = torch.tanh(x) * torch.rand(1)
        return net.first(x)

    assert verifier.verify(Forward(function), [(-1, 1)] * INPUTS, [[None, 1e3]] * 4)


def test_four_threads_on_one_network_all_get_the_right_answer() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1)).train()
    other = Forward(augmented)
    found: list[str] = []

    def ask() -> None:
        for one, outputs in ((net, 1), (other, 4)) * 3:
            result = verifier.verify(one, [[-1, 1]] * 4, [[None, 50.0]] * outputs, progress=False, method="ibp")
            found.append(result.verdict.name)

    with pytest.warns(verifier.VerifierWarning):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert found == ["VERIFIED"] * 24
    assert all(part.training for part in net.modules())
