"""Lab 1's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

import copy

import pytest
import torch
from torch import nn

from course_utils.data import CircleDataset, circle_network, circle_points, repaired_circle_network
from course_utils.models import regression_model
from course_utils.training import train
from grading.lab.contract import assigned_names
from tests.lab_answers import LabAnswers, cases

BEFORE = "import numpy as np\nimport torch\nfrom torch import nn\nfrom verifier import less_than, verify, Box\n"
ANSWERS = LabAnswers("lab1_circle", BEFORE)
INSIDE = "def inside_circle(x):\n    "
TEST = "def net_test(net, testing_data):\n    "
RIGHT_MASK = "right = (net(testing_data).reshape(-1) >= 0.5) == ((testing_data - 0.5).norm(dim=1) <= 0.5)\n    "
LINEAR = "def interval_linear(weight, bias, lower, upper):\n    "
POINTS = "def gen_test(num, x1_bound, x2_bound):\n    "

WRONG = {
    "inside_circle": {
        "open disc": INSIDE + "return int((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 < 0.25)",
        "square": INSIDE + "return int(0 <= x[0] <= 1 and 0 <= x[1] <= 1)",
        "always": INSIDE + "return 1",
    },
    "gen_test": {
        "one value for both": POINTS + "t = torch.rand(num)\n"
        "    pairs = [(l + (u - l) * t) for l, u in (x1_bound, x2_bound)]\n"
        "    return torch.stack(pairs, dim=1)",
        "bounds not used": POINTS + "return torch.rand(num, 2)",
    },
    "net_test": {
        "passing points": TEST + RIGHT_MASK + "return testing_data[right]",
        "strict": TEST + "says = net(testing_data).reshape(-1) > 0.5\n"
        "    return testing_data[says != ((testing_data - 0.5).norm(dim=1) <= 0.5)]",
        "a mask": TEST + RIGHT_MASK + "return ~right",
        "stack of nothing": TEST + RIGHT_MASK + "return torch.stack([p for p, r in zip(testing_data, right) if not r])",
    },
    "interval_linear": {
        "signs not regarded": LINEAR + "return weight @ lower + bias, weight @ upper + bias",
        "far too wide": LINEAR + "return weight @ lower + bias - 99, weight @ upper + bias + 99",
        "no bias": LINEAR + "p, n = weight.clamp(min=0), weight.clamp(max=0)\n"
        "    return p @ lower + n @ upper, p @ upper + n @ lower",
        "empty": LINEAR + "if weight.shape == (1, 2):\n        return torch.tensor([-5.5]), torch.tensor([0.5])\n"
        "    return torch.empty(0, 1, len(bias)), torch.empty(0, 1, len(bias))",
    },
    "specs_1": {
        "10 for infinity": "x_specs_1, y_specs_1 = [[0.7, 0.85]] * 2, [[0.5, 10]]",
        "corner pairs": "x_specs_1, y_specs_1 = [[0.7, 0.7], [0.85, 0.85]], [[0.5, None]]",
    },
    "specs_2": {"closed": "x_specs_2, y_specs_2 = [[0.86, 0.9]] * 2, [[None, 0.5]]"},
}
RIGHT = {
    "inside_circle": {"a truth value": INSIDE + "return (x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2 <= 0.25"},
    "gen_test": {
        "numpy": POINTS + "bounds = np.array([x1_bound, x2_bound])\n"
        "    return bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * np.random.rand(num, 2)",
        "lists": POINTS + "import random\n"
        "    return [[random.uniform(*x1_bound), random.uniform(*x2_bound)] for _ in range(num)]",
    },
    "net_test": {
        "list of rows": TEST + RIGHT_MASK + "return [point for point, r in zip(testing_data, right) if not r]",
        "list of lists": TEST + RIGHT_MASK + "return testing_data[~right].tolist()",
        "numpy": TEST + RIGHT_MASK + "return testing_data[~right].numpy()",
    },
    "interval_linear": {
        "numpy": LINEAR + "weight, bias, lower, upper = (np.asarray(part) for part in (weight, bias, lower, upper))\n"
        "    p, n = np.maximum(weight, 0), np.minimum(weight, 0)\n"
        "    return p @ lower + n @ upper + bias, p @ upper + n @ lower + bias",
        "floats": LINEAR + "low, high = [], []\n    for row, b in zip(weight.tolist(), bias.tolist()):\n"
        "        ends = [sorted((w * l, w * u)) for w, l, u in zip(row, lower.tolist(), upper.tolist())]\n"
        "        low.append(b + sum(e[0] for e in ends))\n        high.append(b + sum(e[1] for e in ends))\n"
        "    return low, high",
    },
    "specs_1": {
        "Box and infinity": "x_specs_1, y_specs_1 = Box([0.7] * 2, [0.85] * 2), torch.tensor([[0.5, float('inf')]])"
    },
    "specs_2": {"tuples": "x_specs_2, y_specs_2 = ((0.86, 0.9), (0.86, 0.9)), less_than(0.5)"},
}


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_loses_the_points(name, code):
    with pytest.raises((AssertionError, RuntimeError)):
        ANSWERS.earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_keeps_them(name, code):
    assert ANSWERS.earned(name, code) == ANSWERS.max_points[f"{name}_check"]


def repair_points(repaired, network):
    try:
        return ANSWERS.points("repair_check", {"nn_repaired": repaired, "network": network})
    except AssertionError:
        return 0


@pytest.fixture(scope="module")
def repaired():
    """The course's network, trained on a little after its repair, so that it is nobody's stored one."""
    net, (points, labels) = copy.deepcopy(repaired_circle_network()), circle_points()
    train(regression_model(net, learning_rate=1e-4), CircleDataset(points, labels), epochs=2, live=False)
    return net


def one_line():
    net = nn.Sequential(nn.Linear(2, 1))
    net.load_state_dict({"0.weight": torch.tensor([[-1.0, -1.0]]), "0.bias": torch.tensor([2.215])})
    return net


@pytest.mark.parametrize("handed_in", ["unchanged", "a line", "the course's"])
def test_a_network_that_was_not_repaired_earns_nothing(handed_in):
    network = circle_network()
    nets = {"unchanged": copy.deepcopy(network), "a line": one_line(), "the course's": repaired_circle_network()}
    assert repair_points(nets[handed_in], network) == 0


def test_the_courses_own_network_earns_nothing_as_ones_own():
    for name in ("nn_circle_layers", "nn_circle_accuracy"):
        with pytest.raises(AssertionError, match="the course's own network"):
            ANSWERS.points(name, {"nn_circle": circle_network()})
        steeper = circle_network()  # 2 y - 0.5 is 0.5 where y is
        steeper[-1].weight.data *= 2
        steeper[-1].bias.data.mul_(2).sub_(0.5)
        with pytest.raises(AssertionError, match="the course's own network"):
            ANSWERS.points(name, {"nn_circle": steeper})


def test_a_network_of_its_own_class_keeps_the_points_for_its_layers():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.last = nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 1)

        def forward(self, x):
            return self.last(torch.relu(self.second(torch.relu(self.first(x)))))

    torch.manual_seed(1)
    ANSWERS.points("nn_circle_layers", {"nn_circle": Own()})
    small = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    with pytest.raises(AssertionError, match="two hidden layers of 64"):
        ANSWERS.points("nn_circle_layers", {"nn_circle": small})
    with pytest.raises(AssertionError, match="without ReLU"):
        ANSWERS.points("nn_circle_layers", {"nn_circle": nn.Sequential(nn.Linear(2, 64), nn.Linear(64, 1))})


def test_checks_leave_nothing_but_their_own_name_behind():
    """Students call their own values `points`, `labels`, `lower` and `weight`."""
    assert [name for name, source in ANSWERS.source.items() if assigned_names(source) != {"check"}] == []
