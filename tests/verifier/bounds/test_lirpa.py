"""auto-LiRPA in its place: whatever the library does, and whatever it costs, verify() gives an answer."""

from __future__ import annotations

import dataclasses
import importlib
import math
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.verifier.networks import random_network
from verifier import Affine, BoundsError, MissingDependencyError, Network, Verdict, argmax_is, output_bounds, verify
from verifier.bounds import lirpa, lirpa_compat, lirpa_cost
from verifier.bounds.lirpa import CROWN, CROWN_OPTIMIZED, IBP, KEPT_GRAPHS, lirpa_bounds
from verifier.bounds.lirpa_cost import lirpa_seconds
from verifier.enclosure import Bounds
from verifier.method_table import TABLE

BY_NAME = ("auto_lirpa_ibp", "auto_lirpa", "auto_lirpa_optimized")


def abs_network() -> nn.Sequential:
    """|x| - 1 from relu(x) and relu(-x): in [-1, 0] on [-1, 1], where CROWN needs its own bounds and IBP says 1."""
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        net[0].bias.zero_()
        net[2].weight.fill_(1.0)
        net[2].bias.fill_(-1.0)
    return net


def broken(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """An auto-LiRPA whose BoundedModule raises."""

    def raises(*args: Any, **options: Any) -> None:
        raise error

    real = lirpa_compat.import_auto_lirpa()
    fake = types.SimpleNamespace(
        BoundedModule=raises, BoundedTensor=real.BoundedTensor, perturbations=real.perturbations
    )
    monkeypatch.setattr(lirpa, "import_auto_lirpa", lambda: fake)


@pytest.mark.parametrize(
    "error",
    [
        RecursionError("maximum recursion depth exceeded"), MemoryError(), KeyError("x"), NotImplementedError(),
        AssertionError(), RuntimeError("several\nlines"), SystemError("?"), ModuleNotFoundError("no module of theirs"),
    ],
)  # fmt: skip
def test_whatever_auto_lirpa_raises_our_own_bounds_answer(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(error, monkeypatch)
    assert verify(abs_network(), [[-1, 1]], [[-1.5, 0.1]], progress=False).verdict is Verdict.VERIFIED
    for method in BY_NAME:
        for ask in (lambda m=method: verify(abs_network(), [[-1, 1]], [[-1.5, 0.1]], method=m, progress=False),
                    lambda m=method: output_bounds(abs_network(), [[-1, 1]], method=m)):  # fmt: skip
            with pytest.raises(BoundsError, match=type(error).__name__) as refused:
                ask()
            assert "\n" not in str(refused.value) and "method='crown'" in str(refused.value)


@pytest.mark.parametrize("error", [ImportError("a name is gone"), AttributeError("torch changed"), RuntimeError("?")])
def test_whatever_importing_auto_lirpa_raises_our_own_bounds_answer(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(name: str, *rest: Any) -> Any:
        if name.startswith("auto_LiRPA"):
            raise error
        return importlib.__import__(name, *rest)

    monkeypatch.setattr(lirpa_compat.importlib, "import_module", fails)
    lirpa_compat.import_auto_lirpa.cache_clear()
    try:
        assert verify(abs_network(), [[-1, 1]], [[-1.5, 0.1]], progress=False).verdict is Verdict.VERIFIED
        with pytest.raises(MissingDependencyError, match="install it with"):
            verify(abs_network(), [[-1, 1]], [[-1.5, 0.1]], method="auto_lirpa")
    finally:
        monkeypatch.undo()
        lirpa_compat.import_auto_lirpa.cache_clear()
        lirpa_compat.import_auto_lirpa()


NAN_BOUNDS = "returned bounds that are not finite"


def test_bounds_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = lirpa_compat.import_auto_lirpa()

    class Module:
        def __init__(self, *args: Any, **options: Any) -> None: ...

        def compute_bounds(self, C: torch.Tensor, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
            side = torch.full((1, C.shape[1]), math.nan)
            return side, side

    fake = types.SimpleNamespace(
        BoundedModule=Module, BoundedTensor=real.BoundedTensor, perturbations=real.perturbations
    )
    monkeypatch.setattr(lirpa, "import_auto_lirpa", lambda: fake)
    with pytest.raises(BoundsError, match=NAN_BOUNDS):
        output_bounds(abs_network(), [[-1, 1]], method="auto_lirpa")


LAYOUT = """
import sys, types, importlib, importlib.abc, importlib.util
import auto_LiRPA.operators.activation as old  # the release that is installed, given the layout of 0.7

relu = types.ModuleType("auto_LiRPA.operators.relu")
relu.BoundRelu = old.BoundRelu
theirs = old.BoundRelu._relu_mask_alpha
relu.BoundRelu._relu_mask_alpha = staticmethod(lambda l, u, a, b, leaky_alpha=0: theirs(l, u, a, b))
sys.modules["auto_LiRPA.operators.relu"] = relu
del sys.modules["auto_LiRPA.operators.activation"]

class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "auto_LiRPA.operators.activation":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Gone())
"""
ASK = """
import torch, numpy as np
from torch import nn
import verifier
from verifier.bounds.crown import crown_bounds
from verifier.bounds.lirpa import CROWN, CROWN_OPTIMIZED, IBP, KEPT_GRAPHS, lirpa_bounds
from verifier.enclosure import Bounds
from tests.verifier.networks import random_network
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
for method in ("auto", "auto_lirpa_ibp", "auto_lirpa", "auto_lirpa_optimized"):
    print(method, verifier.verify(net, [[0, 0.1]] * 2, [[-9, 9]] * 2, method=method, progress=False).verdict.value)
network, box = random_network(0, 4, 30, 30, 30, 1), Bounds(np.full((1, 4), -0.5), np.full((1, 4), 0.5))
crown = crown_bounds(network, box, np.eye(1), intersect=False).rows
optimised = lirpa_bounds(network, box, np.eye(1), method=CROWN_OPTIMIZED).rows
print("tighter", bool((optimised.upper - optimised.lower < 0.95 * (crown.upper - crown.lower)).all()))
"""


@pytest.mark.parametrize("layout", ["", LAYOUT], ids=["as installed", "as in 0.7"])
def test_both_layouts_of_auto_lirpa_are_used(layout: str) -> None:
    """0.7 has its ReLU in another module, with another argument; slopes must leave their limits there as well."""
    first = "from verifier.bounds import lirpa_compat as c; import torch\n"
    first += "c._give_back_numpy_isin(); c._give_back_set_opset_version(); c._give_back_node_items(torch)\n"
    code = (first + layout if layout else "") + ASK
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [
        "auto verified", "auto_lirpa_ibp verified", "auto_lirpa verified", "auto_lirpa_optimized verified",
        "tighter True",
    ]  # fmt: skip


def test_a_release_without_its_relu_in_a_known_place_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(lirpa_compat.importlib, "import_module", gone)
    lirpa_compat._let_slopes_leave_their_limits(torch)


def test_version_is_told() -> None:
    assert lirpa_compat.auto_lirpa_version().startswith("0.")


def test_a_question_whose_time_the_import_would_take_is_answered_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 3 s left and the library not imported yet, ReLU splitting answers."""
    monkeypatch.setattr(lirpa_cost, "IMPORT_S", 1.5)
    monkeypatch.delitem(sys.modules, "auto_LiRPA")
    monkeypatch.setattr(lirpa, "import_auto_lirpa", lambda: pytest.fail("it was imported"))
    short = verify(*many_inputs(), timeout_s=3, progress=False)
    assert short.stage != "auto-LiRPA CROWN"
    named = verify(abs_network(), [[-1, 1]], [[-1.5, 0.1]], timeout_s=1, method="auto_lirpa", progress=False)
    assert named.verdict is Verdict.UNKNOWN and named.timed_out


def test_auto_lirpa_settles_what_our_crown_proves_of_a_module_and_is_not_asked_where_it_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only before ReLU splitting, which costs much more, it is asked all the same."""
    asked = []

    def bound(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        return lirpa_bounds(*arguments, **options)

    monkeypatch.setitem(TABLE, "auto_lirpa", dataclasses.replace(TABLE["auto_lirpa"], bound=bound))
    net, box, [[_, limit]] = many_inputs()
    few = [*box[:4], *[[0.0, 0.0]] * (len(box) - 4)]
    for one in (box, few):
        top = float(output_bounds(net, one, method="crown").upper[0])
        proved = verify(net, one, [[None, top + 1e-3]], progress=False)
        assert proved.stage == "auto-LiRPA CROWN" and len(asked) == 1
        asked.clear()
    assert verify(net, few, [[None, top - 1e-3]], progress=False).subdomains > 2 and not asked
    assert verify(net, box, [[None, limit]], progress=False).subdomains > 2 and len(asked) == 1


def test_a_graph_that_is_kept_gives_what_a_new_one_gives() -> None:
    rng = np.random.default_rng(5)
    networks = [random_network(seed, 3, 6, 5, 2) for seed in range(KEPT_GRAPHS + 2)]
    for number in range(60):
        network = networks[rng.integers(len(networks))]
        lower = rng.uniform(-1, 1, (int(rng.integers(1, 4)), 3))
        boxes = Bounds(lower, lower + rng.uniform(0, 1, lower.shape))
        rows = rng.normal(size=(int(rng.integers(1, 4)), 2))
        method = CROWN_OPTIMIZED if number % 20 == 0 else (IBP, CROWN)[number % 2]
        found = lirpa_bounds(network, boxes, rows, method=method).rows
        kept = dict(lirpa._graphs)
        lirpa._graphs.clear()
        again = lirpa_bounds(network, boxes, rows, method=method).rows
        assert np.array_equal(found.lower, again.lower) and np.array_equal(found.upper, again.upper)
        lirpa._graphs.clear()
        lirpa._graphs.update(kept)
    assert len(lirpa._graphs) <= KEPT_GRAPHS


def test_weights_that_change_in_place_are_another_network() -> None:
    net = abs_network()
    assert verify(net, [[0.25, 1]], [[-1, 0.5]], progress=False, method="auto_lirpa").verdict is Verdict.VERIFIED
    with torch.no_grad():
        net[2].bias.add_(10.0)
    assert verify(net, [[0.25, 1]], [[-1, 0.5]], progress=False, method="auto_lirpa").verdict is not Verdict.VERIFIED


def many_inputs() -> tuple[nn.Sequential, list[list[float]], list[list[float | None]]]:
    """A network of 20 inputs, a box, and a limit that CROWN does not prove and no attack breaks."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 1))
    box = [[-0.3, 0.3]] * 20
    top = float(output_bounds(net, box, method="crown").upper[0])
    return net, box, [[None, top - 1e-3]]


@pytest.mark.parametrize("depth", [180, 300])
def test_deep_networks_get_an_answer(depth: int) -> None:
    """A library that walks a graph recursively gives up on these."""
    torch.manual_seed(0)
    hidden = [part for _ in range(depth) for part in (nn.Linear(8, 8), nn.ReLU())]
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), *hidden, nn.Linear(8, 3))
    lowest = verify(net, [[-1, 1]] * 5, argmax_is(int(net(torch.zeros(1, 5)).argmax())), timeout_s=60, progress=False)
    assert lowest.verdict in set(Verdict)


def test_optimised_bounds_stop_when_time_is_up_and_stay_sound() -> None:
    network = random_network(1, 4, 30, 30, 30, 1)
    box = Bounds(np.full((1, 4), -0.5), np.full((1, 4), 0.5))
    asked: list[float] = []
    for seconds in (0.0, 0.05, math.inf):
        rows = lirpa_bounds(network, box, np.eye(1), method=CROWN_OPTIMIZED, seconds=seconds).rows
        x = np.random.default_rng(0).uniform(-0.5, 0.5, (5000, 4))
        values = network.logits(x)
        assert (rows.lower <= values).all() and (values <= rows.upper).all()
        asked.append(float(rows.upper[0, 0] - rows.lower[0, 0]))
    assert asked[0] >= asked[2]


def test_cost_grows_with_depth_and_width() -> None:
    def chain(depth: int, width: int) -> Network:
        return Network((Affine(np.ones((width, width)), np.zeros(width)),) * depth)

    assert lirpa_seconds(chain(2, 10)) < lirpa_seconds(chain(100, 10)) < lirpa_seconds(chain(400, 10))
    assert lirpa_seconds(chain(2, 10)) < lirpa_seconds(chain(2, 1500))
    assert lirpa_seconds(chain(2, 10)) < lirpa_seconds(chain(2, 10), optimised=True)
