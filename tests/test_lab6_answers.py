"""Lab 6's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

import pytest

pytest.importorskip("highspy")

from tests.lab_answers import LabAnswers, cases

BEFORE = """
import itertools
import numpy as np
import torch

def rows_of(weight, bias, lower, upper, clip=True, swap=False, m=None, switch=True, order="xhd", above=True, zero=True):
    n, k, rows = len(weight[0]), len(bias), []
    for j in range(k):
        l, u = lower[j], upper[j]
        if clip:
            l, u = min(l, 0.0), max(u, 0.0)
        if m is not None:
            l, u = -m, m
        if swap:
            l, u = -u, -l
        def row(z, h, d, limit):
            c = np.zeros(n + 2 * k)
            c[:n] = z * np.array(weight[j])
            c[n + (j if order == "xhd" else k + j)] += h
            c[n + (k + j if order == "xhd" else j)] += d
            rows.append((c, limit - z * bias[j]))
        if zero:
            row(0, -1, 0, 0)
        if above:
            row(1, -1, 0, 0)
        row(-1, 1, -l if switch else 0, -l if switch else 0)
        row(0, 1, -u, 0)
    return rows

def chord(slope, offset, lower, upper, swap=False, through_zero=False, stable=True):
    s, a, b = (np.array(v, dtype=float) for v in (slope, lower, upper))
    low, high = np.minimum(s * a, s * b).sum() + offset, np.maximum(s * a, s * b).sum() + offset
    if swap:
        low, high = (s * a).sum() + offset, (s * b).sum() + offset
    if stable and low >= 0:
        return s, offset
    if stable and high <= 0:
        return 0 * s, 0.0
    k = high / (high - low)
    return k * s, k * offset if through_zero else k * (offset - low)

TABLE = {'++': (-1, 1, 0), '+-': (-1, -1, -1), '-+': (1, 1, 1), '--': (1, -1, 0)}

def sampled(q, r, lower, upper, points=400):
    x = np.stack(np.meshgrid(*[np.linspace(a, b, points) for a, b in zip(lower, upper)]), -1).reshape(-1, 2)
    z_q, z_r = (x @ np.array(v[:2]) + v[2] for v in (q, r))
    return z_q, z_r
"""

STATES = "def states(lower, upper):\n    "
ROWS = "def layer_rows(weight, bias, lower, upper):\n    "
ABOVE = "def relu_above(slope, offset, lower, upper):\n    "
NEXT = "def next_state(w, u_q, l_r, u_r):\n    "
WITHIN = "def within_layer(q, r, lower, upper):\n    z_q, z_r = sampled(q, r, lower, upper)\n    "
CUT = "def as_cut(q_state, r_state):\n    "
COUNT = "def count_left(cuts, switches):\n    "
CHOOSE = "def choose_input(halves, ratio, depth, m):\n    "
PAIRS = "for a, b in zip(lower, upper)]"

WRONG = {
    "states": {
        "strict at 0": STATES + f"return ['active' if a > 0 else 'inactive' if b < 0 else 'unstable' {PAIRS}",
        "only two": STATES + f"return ['active' if a >= 0 else 'unstable' {PAIRS}",
        "by the middle": STATES + f"return ['active' if a + b > 0 else 'inactive' {PAIRS}",
        "all unstable": STATES + "return ['unstable' for _ in lower]",
    },
    "layer_rows": {
        "bounds exchanged": ROWS + "return rows_of(weight, bias, lower, upper, swap=True)",
        "a constant too small": ROWS + "return rows_of(weight, bias, lower, upper, m=1.0)",
        "no switch on the third": ROWS + "return rows_of(weight, bias, lower, upper, switch=False)",
        "without h >= z": ROWS + "return rows_of(weight, bias, lower, upper, above=False)",
        "without h >= 0": ROWS + "return rows_of(weight, bias, lower, upper, zero=False)",
        "d before h": ROWS + "return rows_of(weight, bias, lower, upper, order='xdh')",
        "no bias": ROWS + "return rows_of(weight, [0.0 * b for b in bias], lower, upper)",
        "first neuron only": ROWS + "return rows_of(weight, bias, lower, upper)[:4]",
        "nothing": ROWS + "return []",
    },
    "relu_above": {
        "box ends as they come": ABOVE + "return chord(slope, offset, lower, upper, swap=True)",
        "through the origin": ABOVE + "return chord(slope, offset, lower, upper, through_zero=True)",
        "chord for stable ones too": ABOVE + "return chord(slope, offset, lower, upper, stable=False)",
        "itself": ABOVE + "return slope, offset",
        "a constant": ABOVE + "return [0.0 for _ in slope], 1e3",
    },
    "next_state": {
        "signs exchanged": NEXT + "if w > 0:\n        return '+' if u_r - w * u_q <= 0 else None\n"
        "    return '-' if w < 0 and l_r - w * u_q >= 0 else None",
        "the other bound": NEXT + "if w > 0:\n        return '-' if l_r - w * u_q <= 0 else None\n"
        "    return '+' if w < 0 and u_r - w * u_q >= 0 else None",
        "added": NEXT + "return '-' if w > 0 and u_r + w * u_q <= 0 else '+' if w < 0 and l_r + w * u_q >= 0 else None",
        "only positive": NEXT + "return '-' if w > 0 and u_r - w * u_q <= 0 else None",
        "always something": NEXT + "return '-' if w > 0 else '+'",
    },
    "within_layer": {
        "nothing": WITHIN + "return None, None",
        "only the first": WITHIN + "off = z_r[z_q <= 0]\n"
        "    return ('+' if off.min() > 0 else '-' if off.max() < 0 else None), None",
        "exchanged": WITHIN + "off, on = z_r[z_q <= 0], z_r[z_q > 0]\n"
        "    f = lambda v: '+' if v.min() > 0 else '-' if v.max() < 0 else None\n    return f(on), f(off)",
        "the library's links": "from course_utils.milp_lab import dependency_links, network_of\n"
        "def within_layer(q, r, lower, upper):\n    out = [None, None]\n"
        "    net = network_of(([q[:2], r[:2]], [q[2], r[2]]), ([[1, 1]], [0]))\n"
        "    for first, when, _, then in dependency_links(net, list(zip(lower, upper)), ['intra-layer']):\n"
        "        out[when if first == (0, 0) else not then] = '+' if (then if first == (0, 0) else not when) else '-'\n"
        "    return out",
        "by the centre": WITHIN + "return ('-', '+') if z_r[len(z_r) // 2] > 0 else ('+', '-')",
    },
    "as_cut": {
        "one for all": CUT + "return -1, 1, 0",
        "the other way round": CUT
        + "a, b = (1 if q_state == '+' else -1), (-1 if r_state == '+' else 1)\n    return a, b, 0",
        "loose": CUT + "a, b = (-1 if q_state == '+' else 1), (1 if r_state == '+' else -1)\n"
        "    return a, b, a * (q_state == '+') + b * (r_state == '-') + 0.2",
        "nothing": CUT + "return 0, 0, 0",
        "the library's dependency": "from verifier.exact.linear.dependencies import Dependency\n"
        + CUT
        + "return Dependency((0, 0), q_state == '+', (0, 1), r_state == '+').cut()",
    },
    "count_left": {
        "without cuts": COUNT + "return 2 ** switches",
        "one cut is enough": COUNT + "return sum(any(a * d[q] + b * d[r] >= c for q, r, a, b, c in cuts) or not cuts\n"
        "               for d in itertools.product((0, 1), repeat=switches))",
        "strict": COUNT + "return sum(all(a * d[q] + b * d[r] > c for q, r, a, b, c in cuts)\n"
        "               for d in itertools.product((0, 1), repeat=switches))",
        "each takes a quarter": COUNT + "return int(2 ** switches * 0.75 ** len(cuts))",
    },
    "choose_input": {
        "always splits": CHOOSE + "v = [sum(p) / 2 for p in halves]\n    return v.index(max(v))",
        "the better half": CHOOSE + "v = [max(p) for p in halves]\n    b = max(v)\n"
        "    return v.index(b) if b / (depth + 1) ** (1 / m) > ratio / depth ** (1 / m) else None",
        "the worse half": CHOOSE + "v = [min(p) for p in halves]\n    b = max(v)\n"
        "    return v.index(b) if b / (depth + 1) ** (1 / m) > ratio / depth ** (1 / m) else None",
        "no discount": CHOOSE + "v = [sum(p) / 2 for p in halves]\n    b = max(v)\n"
        "    return v.index(b) if b > ratio else None",
        "depth to the m": CHOOSE + "v = [sum(p) / 2 for p in halves]\n    b = max(v)\n"
        "    return v.index(b) if b / (depth + 1) ** m > ratio / depth ** m else None",
        "the last of several": CHOOSE + "v = [sum(p) / 2 for p in halves]\n    b = max(v)\n"
        "    return len(v) - 1 - v[::-1].index(b) if b / (depth + 1) ** (1 / m) > ratio / depth ** (1 / m) else None",
        "ties split": CHOOSE + "v = [sum(p) / 2 for p in halves]\n    b = max(v)\n"
        "    return v.index(b) if b / (depth + 1) ** (1 / m) >= ratio / depth ** (1 / m) - 1e-6 else None",
    },
}  # fmt: skip

RIGHT = {
    "states": {
        "numpy": STATES + "a, b = np.array(lower), np.array(upper)\n"
        "    return np.where(a >= 0, 'active', np.where(b <= 0, 'inactive', 'unstable'))",
        "a tuple": STATES + f"return tuple(['active' if a >= 0 else 'inactive' if b <= 0 else 'unstable' {PAIRS})",
    },
    "layer_rows": {
        "arrays": ROWS + "return rows_of(weight, bias, lower, upper)",
        "tensors": ROWS + "return [(torch.tensor(c), float(l)) for c, l in rows_of(weight, bias, lower, upper)]",
        "lists and twice each": ROWS + "return [[c.tolist(), l] for c, l in rows_of(weight, bias, lower, upper) * 2]",
        "stable neurons as they come": ROWS + "return rows_of(weight, bias, lower, upper, clip=False)",
        "a larger constant": ROWS + "return rows_of(weight, bias, lower, upper, m=20.0)",
    },
    "relu_above": {
        "arrays": ABOVE + "return chord(slope, offset, lower, upper)",
        "tensors": ABOVE + "s, o = chord(slope, offset, lower, upper)\n    return torch.tensor(s), torch.tensor(o)",
    },
    "next_state": {
        "sign of w not looked at": NEXT + "if u_r - w * u_q <= 0:\n        return '-'\n"
        "    return '+' if l_r - w * u_q >= 0 else None",
        "other order": NEXT + "rest = (l_r - min(w * u_q, 0), u_r - max(w * u_q, 0))\n"
        "    return '+' if rest[0] >= 0 else '-' if rest[1] <= 0 else None",
    },
    "within_layer": {
        "by vertices of the halves": WITHIN + "f = lambda v: '+' if v.min() > 0 else '-' if v.max() < 0 else None\n"
        "    return [f(z_r[z_q <= 0]), f(z_r[z_q > 0])]",
    },
    "as_cut": {
        "a list of floats, doubled": CUT
        + "a, b = (-2.0 if q_state == '+' else 2.0), (2.0 if r_state == '+' else -2.0)\n"
        "    return [a, b, a * (q_state == '+') + b * (r_state == '-') + 2.0]",
        "a table": CUT + "return TABLE[q_state + r_state]",
        "an array": CUT + "return np.array(TABLE[q_state + r_state])",
    },
    "count_left": {
        "numpy": COUNT + "d = np.array(list(itertools.product((0, 1), repeat=switches)))\n"
        "    d = d.reshape(2**switches, switches)\n"
        "    ok = np.ones(len(d), dtype=bool)\n    for q, r, a, b, c in cuts:\n"
        "        ok &= a * d[:, q] + b * d[:, r] >= c\n"
        "    return ok.sum()",
    },
    "choose_input": {
        "numpy": CHOOSE + "v = np.array(halves).mean(axis=1)\n"
        "    better = v.max() * (depth / (depth + 1)) ** (1 / m) > ratio\n    return v.argmax() if better else None",
    },
}  # fmt: skip


ANSWERS = LabAnswers("lab6_milp", BEFORE)


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_earns_nothing(name, code):
    with pytest.raises((AssertionError, ValueError, TypeError, LookupError, ZeroDivisionError, AttributeError)):
        ANSWERS.earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_earns_every_point(name, code):
    assert ANSWERS.earned(name, code) == ANSWERS.max_points[f"{name}_check"]


def test_every_exercise_has_both_kinds():
    exercises = {grade_id.removesuffix("_check") for grade_id in ANSWERS.source}
    assert set(WRONG) == set(RIGHT) == exercises
