"""Lab 5's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

import pytest

pytest.importorskip("highspy")

from tests.lab_answers import LabAnswers, cases

# what a student has by then: right functions, written in another way than the lab's solutions
BEFORE = """
from fractions import Fraction
import numpy as np
import torch
from torch import nn

def forward(weights, biases, x, last=False, relu=True):
    h = np.array(x)
    for k in range(len(weights)):
        h = np.array(weights[k]) @ h + np.array(biases[k])
        if relu and (last or k < len(weights) - 1):
            h = np.maximum(h, 0)
    return h

def classify(weights, biases, x):
    return int(np.argmax(forward(weights, biases, x)))

classify_in_floats = classify

def sides(l, u):
    if l >= 0:
        return [(1, -1, 0), (-1, 1, 0)]
    if u <= 0:
        return [(0, 1, 0), (0, -1, 0)]
    return [(0, -1, 0), (1, -1, 0), (-u, u - l, -l * u)]

triangle = sides

def rows_of(layers, known, sides=sides, both=True, bias=True, only=10**6):
    rows, before = [], ["x%d" % i for i in range(len(layers[0][0][0]))]
    for k in range(min(len(layers), only)):
        weight, by = layers[k]
        last = k == len(layers) - 1
        after = ["y%d" % j if last else "z%d_%d" % (k, j) for j in range(len(by))]
        for j, z in enumerate(after):
            row = dict(zip(before, [-w for w in weight[j]]))
            row[z] = 1.0
            b = by[j] if bias else 0.0
            rows.append((row, b))
            if both:
                rows.append(({n: -v for n, v in row.items()}, -b))
        if last:
            break
        before = ["h%d_%d" % (k, j) for j in range(len(by))]
        for j, h in enumerate(before):
            for a, b, c in sides(known[k][0][j], known[k][1][j]):
                rows.append(({after[j]: a, h: b}, c))
    return rows

def dual(cost, matrix, right, lower, upper, y, kind=Fraction, clip=True, worse=min):
    y = [max(kind(v), kind(0)) if clip else kind(v) for v in y]
    total = -sum((a * kind(b) for a, b in zip(y, right)), kind(0))
    for j in range(len(cost)):
        r = kind(cost[j]) + sum((y[i] * kind(matrix[i][j]) for i in range(len(y))), kind(0))
        total += worse(r * kind(lower[j]), r * kind(upper[j]))
    return total

def kernel_rows(kernel, side, flip=False, stride=1):
    k = len(kernel)
    out = np.zeros(((side - k + 1) ** 2, side * side))
    place = 0
    for i in range(0, side - k + 1, stride):
        for j in range(0, side - k + 1, stride):
            picture = np.zeros((side, side))
            picture[i : i + k, j : j + k] = np.array(kernel)[::-1, ::-1] if flip else np.array(kernel)
            out[place] = picture.reshape(-1)
            place += 1
    return out
"""

CLASS = "def classify(weights, biases, x):\n    "
TRI = "def triangle(lower, upper):\n    "
ROWS = "def network_rows(layers, known):\n    "
SAYS = "def what_lp_says(least, candidate, label, weights, biases):\n    "
SAFE = "def safe_bound(cost, matrix, right, lower, upper, y):\n    "
CONV = "def conv_matrix(kernel, side):\n    "
CHORD = "s = upper / (upper - lower)\n    "

WRONG = {
    "classify": {
        "ReLU after the last layer": CLASS + "return int(np.argmax(forward(weights, biases, x, last=True)))",
        "no ReLU": CLASS + "return int(np.argmax(forward(weights, biases, x, relu=False)))",
        "highest place at a tie": CLASS
        + "y = forward(weights, biases, x)\n    return len(y) - 1 - int(np.argmax(y[::-1]))",
        "the smallest output": CLASS + "return int(np.argmin(forward(weights, biases, x)))",
        "the output itself": CLASS + "return forward(weights, biases, x).max()",
        "in floats": CLASS + "return classify_in_floats(weights, biases, np.array(x, dtype=float))",
        "the library's network": "from verifier import Network\n"
        + CLASS
        + "return Network.from_arrays(weights, biases).classify(x)",
        "two layers only": CLASS + "return int(np.argmax(forward(weights[:2], biases[:2], x)))",
    },
    "triangle": {
        "no chord": TRI + "return [(0, -1, 0), (1, -1, 0)]",
        "no side below": TRI + CHORD + "return [(1, -1, 0), (-s, 1, -s * lower)]",
        "a box": TRI + "return [(0, -1, 0), (0, 1, upper)]",
        "turned round": TRI + CHORD + "return [(0, 1, 0), (-1, 1, 0), (s, -1, s * lower)]",
        "the slope of another chord": TRI + "s = upper / (lower + upper)\n"
        "    return [(0, -1, 0), (1, -1, 0), (-s, 1, -s * lower)]",
        "slope alone": TRI + CHORD + "return [(0, -1, 0), (1, -1, 0), (-s, 1, 0)]",
        "nothing": TRI + "return []",
    },
    "network_rows": {
        "equations as one row": ROWS + "return rows_of(layers, known, both=False)",
        "no bias": ROWS + "return rows_of(layers, known, bias=False)",
        "no triangles": ROWS + "return rows_of(layers, known, sides=lambda l, u: [])",
        "no chords": ROWS + "return rows_of(layers, known, sides=lambda l, u: [(0, -1, 0), (1, -1, 0)])",
        "every neuron active": ROWS + "return rows_of(layers, known, sides=lambda l, u: [(1, -1, 0), (-1, 1, 0)])",
        "bounds of the first layer for all": ROWS + "return rows_of(layers, [known[0]] * len(known))",
        "first two layers": ROWS + "return rows_of(layers, known, only=2)",
        "nothing": ROWS + "return []",
    },
    "what_lp_says": {
        "not proved is falsified": SAYS + "return 'verified' if least > 0 else 'falsified'",
        "candidate not run": SAYS
        + "return 'verified' if least > 0 else 'unknown' if candidate is None else 'falsified'",
        "zero is a proof": SAYS + "if least >= 0:\n        return 'verified'\n"
        "    bad = candidate is not None and classify(weights, biases, candidate) != label\n"
        "    return 'falsified' if bad else 'unknown'",
        "no counterexamples": SAYS + "return 'verified' if least > 0 else 'unknown'",
        "against class 0": SAYS + "if least > 0:\n        return 'verified'\n"
        "    bad = candidate is not None and classify(weights, biases, candidate) != 0\n"
        "    return 'falsified' if bad else 'unknown'",
        "candidate first": SAYS + "if candidate is not None:\n"
        "        return 'falsified' if classify(weights, biases, candidate) != label else 'unknown'\n"
        "    return 'verified' if least > 0 else 'unknown'",
    },
    "safe_bound": {
        "floats": SAFE + "return dual(cost, matrix, right, lower, upper, y, kind=float)",
        "negative multipliers kept": SAFE + "return dual(cost, matrix, right, lower, upper, y, clip=False)",
        "the better limit": SAFE + "return dual(cost, matrix, right, lower, upper, y, worse=max)",
        "lower limits only": SAFE + "return dual(cost, matrix, right, lower, lower, y)",
        "rows alone": SAFE + "return -sum(max(Fraction(a), 0) * Fraction(b) for a, b in zip(y, right))",
        "sign of the rows": SAFE + "return dual(cost, [[-a for a in row] for row in matrix], [-b for b in right],"
        " lower, upper, y)",
    },
    "conv_matrix": {
        "flipped": CONV + "return kernel_rows(kernel, side, flip=True)",
        "transposed": CONV + "return kernel_rows(kernel, side).T",
        "kernel transposed": CONV + "return kernel_rows(np.array(kernel).T, side)",
        "stride 2": CONV + "return kernel_rows(kernel, side, stride=2)",
        "one row": CONV + "return kernel_rows(kernel, side)[:1]",
    },
}
RIGHT = {
    "classify": {
        "numpy integer": CLASS + "return np.argmax(forward(weights, biases, x))",
        "tensor": CLASS + "return torch.tensor(classify_in(weights, biases, x))\n\n\n"
        "def classify_in(weights, biases, x):\n    return int(np.argmax(forward(weights, biases, x)))",
    },
    "triangle": {
        "array": TRI + "return np.array(sides(lower, upper), dtype=float)",
        "tensor": TRI + "return torch.tensor(sides(lower, upper), dtype=torch.float64)",
        "scaled": TRI + "return [[3.0 * part for part in row] for row in sides(lower, upper)]",
        "limits of z besides": TRI + "return sides(lower, upper) + [(1, 0, upper), (-1, 0, -lower)]",
    },
    "network_rows": {
        "tuple of lists": ROWS + "return tuple([dict(row), limit] for row, limit in rows_of(layers, known))",
        "numpy numbers": ROWS + "return [({n: np.float64(v) for n, v in row.items()}, np.float64(limit))"
        " for row, limit in rows_of(layers, known)]",
        "limits of z besides": ROWS + "return rows_of(layers, known, sides=lambda l, u: sides(l, u)"
        " + [(1, 0, u), (-1, 0, -l)])",
    },
    "what_lp_says": {
        "replay by hand": SAYS + "if least > 0:\n        return 'verified'\n    if candidate is None:\n"
        "        return 'unknown'\n    y = forward(weights, biases, candidate).tolist()\n"
        "    return 'unknown' if y.index(max(y)) == label else 'falsified'",
    },
    "safe_bound": {
        "by columns": SAFE + "return dual(cost, matrix, right, lower, upper, y)",
    },
    "conv_matrix": {
        "array": CONV + "return kernel_rows(kernel, side)",
        "by unit images": CONV + "k = torch.tensor(kernel, dtype=torch.float64)[None, None]\n"
        "    units = torch.eye(side * side, dtype=torch.float64).reshape(-1, 1, side, side)\n"
        "    return nn.functional.conv2d(units, k).reshape(side * side, -1).T",
    },
}
NET = (
    "torch.manual_seed({seed})\nfrom course_utils.relaxations import small_digits\n"
    "x, y = small_digits('train').tensors\n"
    "hidden = nn.Linear(49, {size}), nn.ReLU(), nn.Linear({size}, {size}), nn.ReLU()\n"
    "nn_small = nn.Sequential(*hidden, nn.Linear({size}, 10))\n"
    "optimizer = torch.optim.Adam(nn_small.parameters(), lr=3e-3)\n"
    "for k in range({steps}):\n"
    "    some = torch.randint(0, len(x), (200,))\n    optimizer.zero_grad()\n"
    "    nn.functional.cross_entropy(nn_small(x[some]), y[some]).backward()\n    optimizer.step()\n"
)
ANSWERS = LabAnswers("lab5_relaxations", BEFORE)


def earned(name, code):
    """Points of an answer, before the end of its cell that the lab gives."""
    return ANSWERS.earned(name, code + "\n\n\n" + ANSWERS.given_end(name, "# the rest of this"))


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_earns_nothing(name, code):
    with pytest.raises((AssertionError, ValueError, TypeError, LookupError)):
        earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_earns_every_point(name, code):
    assert earned(name, code) == ANSWERS.max_points[f"{name}_check"]


@pytest.mark.parametrize(
    "stable",
    ["[(0, -1, 0), (1, -1, 0)]", "[(0, -1, 0), (1, -1, 0), (-1, 1, 0)]", "[(0, 1, 0), (0, -1, 0)]"],
    ids=["above ReLU", "the line z", "the line 0"],
)
def test_a_triangle_for_unstable_neurons_alone_earns_part_of_the_points(stable):
    assert earned("triangle", TRI + f"return sides(lower, upper) if lower < 0 < upper else {stable}") == 3


@pytest.mark.parametrize(("steps", "size", "points"), [(0, 14, None), (700, 14, 4), (700, 40, None)])
def test_a_network_earns_by_its_size_and_by_how_well_it_reads(steps, size, points):
    code = NET.format(seed=3, size=size, steps=steps)
    if points is None:
        with pytest.raises(AssertionError, match=r"test digits are read rightly|hidden layers have"):
            earned("nn_small", code)
    else:
        assert earned("nn_small", code) == points


@pytest.mark.parametrize(
    "disguise",
    ["", "nn_small[-1].weight.data *= 2", "nn_small[-1].bias.data += 1", "nn_small[0].weight.data *= 1.02",
     "torch.manual_seed(0)\nfor one in nn_small.parameters():\n    one.data += 0.05 * torch.randn_like(one)"],
)  # fmt: skip
def test_the_courses_own_network_earns_nothing(disguise):
    own = "import torch\nfrom course_utils.relaxations import small_digit_network\nnn_small = small_digit_network()\n"
    with pytest.raises(AssertionError, match="the course's own network: train"):
        earned("nn_small", own + disguise)
