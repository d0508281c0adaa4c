"""Random torch modules, put together of what people write: aliases, memory written in place, buffers, views, branches.

A module holds a program, a list of statements over values that it has computed so far. Each statement is ordinary
torch on ordinary tensors, so what the module computes is whatever torch does; nothing here knows how it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

MOST_LAYERS = 8
WIDEST = 12  # of a value; a statement that would give more is left out

Values = list[torch.Tensor]
Statement = Callable[["RandomModule", Values], None]


class RandomModule(nn.Module):
    """Run a program of statements; the last value goes through a Linear.

    Args:
        rng: Chooses everything.
        dtype: Of the weights and of the input.
    """

    def __init__(self, rng: np.random.Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.rng, self.dtype = rng, dtype
        self.inputs = int(rng.integers(1, 5))
        self.layers = nn.ModuleList()
        self.register_buffer("room", torch.from_numpy(rng.normal(size=(1, WIDEST))))
        self.calls = 0
        self.program: list[Statement] = []
        self.written: list[str] = []
        self.to(dtype).eval()
        with torch.no_grad():
            self._write_program()
        del self.rng

    def _write_program(self) -> None:
        """Try statements on an example; what torch refuses is left out."""
        values = [self._number(1, self.inputs)]
        layers = int(self.rng.integers(1, MOST_LAYERS + 1))
        names = list(STATEMENTS)
        while sum(name in ("linear", "functional_linear", "shared") for name in self.written) < layers:
            if len(self.program) > 30:
                break
            name = names[self.rng.integers(len(names))] if self.rng.random() < 0.7 else "linear"
            count, known = len(values), len(self.layers)
            before = [value.clone() for value in values]
            statement = STATEMENTS[name](self, values)
            try:
                if statement is None:
                    continue
                statement(self, values)
                fits = all(
                    one.ndim == 2 and one.shape[0] == 1 and 1 <= one.shape[1] <= WIDEST for one in values[count:]
                )
                if not fits:
                    raise RuntimeError
            except (RuntimeError, ValueError, IndexError):
                del values[count:]
                del self.layers[known:]
                for value, old in zip(values, before, strict=True):
                    if not _same_memory(value):
                        value.copy_(old)
                continue
            self.program.append(statement)
            self.written.append(name)
        self.last = nn.Linear(values[-1].shape[1], int(self.rng.integers(1, 3))).to(self.dtype)

    def _number(self, *shape: int) -> torch.Tensor:
        return torch.from_numpy(self.rng.normal(size=shape)).to(self.dtype)

    def layer(self, part: nn.Module) -> int:
        """Keep a layer; its position."""
        self.layers.append(part.to(self.dtype).eval())
        return len(self.layers) - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the program on one input, (1, inputs) or (inputs,)."""
        self.calls += 1
        values = [x.reshape(1, -1)]
        for statement in self.program:
            statement(self, values)
        return self.last(values[-1])


def _same_memory(value: torch.Tensor) -> bool:
    return bool(value.numel() > 1 and 0 in value.stride())


STATEMENTS: dict[str, Callable[[RandomModule, Values], Statement | None]] = {}


def statement(make: Callable[[RandomModule, Values], Statement | None]) -> Any:
    """Enter a maker of statements under its name."""
    STATEMENTS[make.__name__] = make
    return make


def _pick(net: RandomModule, values: Values) -> int:
    """A value, recent ones more often."""
    return len(values) - 1 - min(int(net.rng.geometric(0.4)) - 1, len(values) - 1)


def _pair(net: RandomModule, values: Values) -> tuple[int, int] | None:
    """Two values of one shape."""
    one = _pick(net, values)
    same = [i for i, value in enumerate(values) if value.shape == values[one].shape]
    return one, same[int(net.rng.integers(len(same)))]


def _of_one(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[RandomModule, Values], Statement]:
    def make(net: RandomModule, values: Values) -> Statement:
        one = _pick(net, values)
        return lambda net, values: values.append(function(values[one]))

    return make


@statement
def linear(net: RandomModule, values: Values) -> Statement:
    one = _pick(net, values)
    place = net.layer(nn.Linear(values[one].shape[1], int(net.rng.integers(1, 7)), bias=bool(net.rng.random() < 0.8)))
    if net.rng.random() < 0.5:
        return lambda net, values: values.append(net.layers[place](values[one]))
    return lambda net, values: values.append(torch.relu(net.layers[place](values[one])))


@statement
def shared(net: RandomModule, values: Values) -> Statement | None:
    fits = [
        (i, j) for i, part in enumerate(net.layers) for j, value in enumerate(values)
        if isinstance(part, nn.Linear) and part.in_features == value.shape[1]
    ]  # fmt: skip
    if not fits:
        return None
    place, one = fits[int(net.rng.integers(len(fits)))]
    return lambda net, values: values.append(net.layers[place](values[one]))


@statement
def functional_linear(net: RandomModule, values: Values) -> Statement:
    one = _pick(net, values)
    weight, form = net._number(int(net.rng.integers(1, 5)), values[one].shape[1]), int(net.rng.integers(4))

    def run(net: RandomModule, values: Values) -> None:
        x = values[one]
        made = [lambda: F.linear(x, weight), lambda: x @ weight.T, lambda: (weight @ x.T).T,
                lambda: torch.einsum("bi,oi->bo", x, weight)][form]()  # fmt: skip
        values.append(made)

    return run


@statement
def batch_norm(net: RandomModule, values: Values) -> Statement:
    one = _pick(net, values)
    part = nn.BatchNorm1d(values[one].shape[1])
    part.running_mean.copy_(torch.from_numpy(net.rng.normal(size=values[one].shape[1])))
    part.running_var.copy_(torch.from_numpy(net.rng.uniform(0.5, 2, values[one].shape[1])))
    place = net.layer(part)
    return lambda net, values: values.append(net.layers[place](values[one]))


@statement
def in_place(net: RandomModule, values: Values) -> Statement:
    one, form, number = _pick(net, values), int(net.rng.integers(7)), float(net.rng.normal())

    def run(net: RandomModule, values: Values) -> None:
        x = values[one]
        if form == 0:
            F.relu(x, inplace=True)
        elif form == 1:
            x += number
        elif form == 2:
            x.mul_(0.5)
        elif form == 3:
            x.data.abs_()
        elif form == 4:
            torch.clamp(x, min=-0.5, max=1.0, out=x)
        elif form == 5:
            x[:, 0] = number
        else:
            x.neg_()

    return run


@statement
def augmented(net: RandomModule, values: Values) -> Statement | None:
    found = _pair(net, values)
    if found is None:
        return None
    one, other = found
    minus = bool(net.rng.random() < 0.3)

    def run(net: RandomModule, values: Values) -> None:
        h = values[one]
        if minus:
            h -= torch.relu(values[other])
        else:
            h += 0.5 * values[other]
        values.append(h)

    return run


@statement
def two_values(net: RandomModule, values: Values) -> Statement | None:
    found = _pair(net, values)
    if found is None:
        return None
    one, other = found
    form = int(net.rng.integers(5))
    made = [torch.add, torch.sub, torch.maximum, torch.minimum, lambda a, b: torch.add(a, b, alpha=0.25)][form]
    return lambda net, values: values.append(made(values[one], values[other]))


@statement
def alias(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(6))
    made = [
        lambda x: x, lambda x: x.view(-1)[None], lambda x: x.detach(), lambda x: x.data, lambda x: x.t().t(),
        lambda x: x.unsqueeze(2).squeeze(-1),
    ][form]  # fmt: skip
    return lambda net, values: values.append(made(values[one]))


@statement
def part(net: RandomModule, values: Values) -> Statement:
    one = _pick(net, values)
    width = values[one].shape[1]
    low = int(net.rng.integers(width))
    high, form = int(net.rng.integers(low + 1, width + 1)), int(net.rng.integers(4))
    picked = torch.from_numpy(net.rng.integers(0, width, 3))
    made = [lambda x: x[:, low:high], lambda x: x.narrow(1, low, high - low), lambda x: x[:, picked],
            lambda x: torch.flip(x, [1])[:, ::2]][form]  # fmt: skip
    return lambda net, values: values.append(made(values[one]))


@statement
def written(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(6))
    width = values[one].shape[1]

    def run(net: RandomModule, values: Values) -> None:
        x = values[one]
        if form == 0:
            room = torch.zeros(1, width + 2, dtype=x.dtype)
            room[:, 1:-1] = x
        elif form == 1:
            room = net.room[:, :width]
            room.copy_(x)
        elif form == 2:
            room = torch.empty(1, width, dtype=x.dtype)
            torch.add(x, 1.0, out=room)
        elif form == 3:
            room = torch.ones_like(x)
            room.scatter_(1, torch.tensor([[0]]), x[:, -1:])
        elif form == 4:
            room = torch.full((1, width), 0.25, dtype=x.dtype)
            room[0, torch.tensor([0])] += x[0, -1]
        else:
            room = torch.zeros(1, width, dtype=x.dtype)
            room.data = torch.relu(x)
        values.append(room)

    return run


@statement
def joined(net: RandomModule, values: Values) -> Statement:
    one, other, form = _pick(net, values), _pick(net, values), int(net.rng.integers(3))
    constant = net._number(1, 1)

    def run(net: RandomModule, values: Values) -> None:
        a, b = values[one], values[other]
        if form == 0:
            values.append(torch.cat([a, constant, b], dim=1))
        elif form == 1:
            values.append(torch.stack([a, a.relu()], dim=2).flatten(1))
        else:
            low, high = torch.cat([a, b], dim=1).chunk(2, dim=1)
            values.extend([high, low])

    return run


@statement
def with_numbers(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(6))
    number, vector = float(net.rng.normal()), net._number(values[one].shape[1])
    made = [lambda x: x * number, lambda x: number - x, lambda x: x / 3, lambda x: x * vector + number,
            lambda x: (x - 0.1307) / 0.3081, lambda x: torch.sub(x, vector, alpha=2)][form]  # fmt: skip
    return lambda net, values: values.append(made(values[one]))


@statement
def bent(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(7))
    made = [torch.relu, torch.abs, lambda x: F.leaky_relu(x, 0.2), lambda x: x.clamp(-0.5, 0.75), F.relu6,
            lambda x: x.clamp_min(0), lambda x: F.threshold(x, 0.0, 0.0)][form]  # fmt: skip
    return lambda net, values: values.append(made(values[one]))


@statement
def reduced(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(5))
    made = [lambda x: x - x.mean(dim=1, keepdim=True), lambda x: x.sum(1, keepdim=True) + x,
            lambda x: x.amax(1, keepdim=True), lambda x: x[:, :1].expand(1, 3) + 1.0,
            lambda x: F.avg_pool1d(x[None], 2, padding=1)[0]][form]  # fmt: skip
    return lambda net, values: values.append(made(values[one]))


@statement
def branch(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(5))

    def run(net: RandomModule, values: Values) -> None:
        x = values[one]
        plain = [type(x) is torch.Tensor, isinstance(x, torch.Tensor), x.dim() == 2, x.dtype.is_floating_point,
                 not net.training][form]  # fmt: skip
        try:
            values.append(torch.relu(x) if plain else x.undefined * 1e3)
        except AttributeError:
            values.append(x * 1e3)

    return run


@statement
def convolved(net: RandomModule, values: Values) -> Statement:
    one, form = _pick(net, values), int(net.rng.integers(4))
    width = values[one].shape[1]
    if form == 0:  # along the values, one channel
        mode = str(net.rng.choice(["zeros", "reflect", "circular"]))
        place = net.layer(nn.Conv1d(1, 1, 3, padding=1, padding_mode=mode))
    elif form == 1:
        place = net.layer(nn.Conv1d(1, 1, 2, stride=int(net.rng.integers(1, 3)), padding=2, dilation=2))
    else:  # a picture of 3 x 4, so small that its result is not wider than a value may be
        place = net.layer(nn.Conv2d(1, 2, 2, stride=int(net.rng.integers(1, 3)), bias=bool(net.rng.random() < 0.5)))

    def run(net: RandomModule, values: Values) -> None:
        part = net.layers[place]
        if form < 2:
            values.append(part(values[one][None])[0])
            return
        seen = part(F.pad(values[one], (0, 12 - width)).view(1, 1, 3, 4))
        if form == 2:
            seen = F.max_pool2d(torch.relu(seen), (1, 2), ceil_mode=True)
        values.append(seen.flatten(1))

    return run


HALVES = (torch.float16, torch.bfloat16)


def random_module(seed: int) -> RandomModule:
    """The module of a seed: in float64, float32, or now and then in half precision."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    drawn = rng.random()
    if drawn >= 0.95:
        return RandomModule(rng, HALVES[seed % 2])
    return RandomModule(rng, torch.float64 if drawn < 0.5 else torch.float32)
