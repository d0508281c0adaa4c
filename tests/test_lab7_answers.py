"""Lab 7's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

import pytest

pytest.importorskip("z3")
pytest.importorskip("ortools")

from tests.lab_answers import LabAnswers, cases

BEFORE = """
import itertools
import numpy as np
import torch
import z3

def terms(layers, h, bend=lambda z: z3.If(z >= 0, z, z3.IntVal(0)), last=True, turned=False):
    for place, rows in enumerate(layers):
        rows = list(zip(*rows)) if turned and len(rows) == len(rows[0]) else rows
        z = []
        for row in rows:
            total = z3.IntVal(0)
            for w, v in zip(row, h):
                total = total + w * v
            z.append(total)
        h = [bend(v) for v in z] if last or place < len(layers) - 1 else z
    return h

def y_of(clauses, variables, mins=True, sign=1, extra=0):
    rows, bias, last = [], [], []
    for clause in clauses:
        row, b = [0.0] * variables, 1.0 + extra
        for literal in clause:
            row[abs(literal) - 1] -= sign * np.sign(literal)
            b -= 1.0 if sign * literal < 0 else 0.0
        rows.append(row)
        bias.append(b)
        last.append(1.0)
    for i in range(variables if mins else 0):
        for slope, b, f in ((1.0, 0.0, 1.0), (2.0, -1.0, -1.0)):
            rows.append([slope if i == j else 0.0 for j in range(variables)])
            bias.append(b)
            last.append(f)
    return rows, bias, last
"""
ANSWERS = LabAnswers("lab7_synthesis", before=BEFORE)

NET = "def whole_net(layers, inputs):\n    "
SHAPE = "def smallest_shape(shapes, find):\n    "
IMPROVE = "def improve(ask):\n    "
BISECT = "def bisect(ask, low, high):\n    "
COUNT = "def count_errors(weights, bias, images, labels):\n    "
BEST = "def cheapest_best(sketches, ask):\n    "
LAYER = "def bit_layer(bits, weights, thresholds):\n    "
READ = "def read_class(counts):\n    "
FLIP = "def bad_flip(classify, bits):\n    "
FORMULA = "def formula_net(clauses, variables):\n    "
LOOP = "for place in range(len(bits)):\n        x = list(bits)\n        x[place] = 1 - x[place]\n        "

WRONG = {
    "whole_net": {
        "no ReLU after the last layer": NET + "return terms(layers, inputs, last=False)",
        "no ReLU": NET + "return terms(layers, inputs, bend=lambda z: z)",
        "absolute value": NET + "return terms(layers, inputs, bend=lambda z: z3.If(z >= 0, z, -z))",
        "transposed where it fits": NET + "return terms(layers, inputs, turned=True)",
        "first output only": NET + "return terms(layers, inputs)[:1]",
    },
    "smallest_shape": {
        "the last that can": SHAPE + "found = [(s, w) for s in shapes if (w := find(s)) is not None]\n"
        "    return found[-1] if found else (None, None)",
        "asks about all": SHAPE + "found = [(s, w) for s in shapes if (w := find(s)) is not None]\n"
        "    return found[0] if found else (None, None)",
        "empty weights count as none": SHAPE + "for s in shapes:\n        if w := find(s):\n            return s, w\n"
        "    return None, None",
        "sorts by itself": SHAPE + "for s in sorted(shapes):\n        w = find(s)\n        if w is not None:\n"
        "            return s, w\n    return None, None",
        "nothing at the end": SHAPE + "for s in shapes:\n        w = find(s)\n        if w is not "
        "None:\n            return s, w",
    },
    "improve": {
        "not strictly": IMPROVE + "found, limit = [], -1\n    while (v := ask(limit)) is not None and "
        "len(found) < 99:\n"
        "        found.append(v)\n        limit = v - 1\n    return found",
        "step by step": IMPROVE + "found = []\n    for limit in range(-1, 100):\n        v = ask(limit)\n"
        "        if v is not None and v not in found:\n            found.append(v)\n    return found",
        "the best alone": IMPROVE + "limit, best = -1, []\n    while (v := ask(limit)) is not None:\n"
        "        limit, best = v, [v]\n    return best",
        "zero ends it": IMPROVE + "found, limit = [], -1\n    while v := ask(limit):\n        found.append(v)\n"
        "        limit = v\n    return found",
    },
    "bisect": {
        "one after another": BISECT + "while ask(low + 1) is not None:\n        low += 1\n    return low",
        "never the upper end": BISECT + "while high - low > 1:\n        m = (low + high) // 2\n"
        "        low, high = (m, high) if ask(m) is not None else (low, m)\n    return low",
        "from 0 to 79 always": BISECT + "low, high = 0, 79\n    while low < high:\n        m = (low + high + 1) // 2\n"
        "        low, high = (m, high) if ask(m) is not None else (low, m - 1)\n    return low",
        "the upper end": BISECT + "return high",
    },
    "count_errors": {
        "no bias": COUNT + "z = np.array(images) @ np.array(weights)\n    return ((z >= 0) != "
        "(np.array(labels) == 1)).sum()",
        "strict": COUNT + "z = np.array(images) @ np.array(weights) + bias\n"
        "    return ((z > 0) != (np.array(labels) == 1)).sum()",
        "missed cats alone": COUNT + "z = np.array(images) @ np.array(weights) + bias\n"
        "    return ((z < 0) & (np.array(labels) == 1)).sum()",
        "right ones": COUNT + "z = np.array(images) @ np.array(weights) + bias\n"
        "    return ((z >= 0) == (np.array(labels) == 1)).sum()",
    },
    "cheapest_best": {
        "no shared bound": BEST + "found = [(e, c, n) for c, n in sorted(sketches) if (e := ask(n, 41)) is not None]\n"
        "    return (min(found)[0], min(found)[2]) if found else (None, None)",
        "in the order given": BEST + "best, name = 41, None\n    for _, n in sketches:\n        e = ask(n, best)\n"
        "        if e is not None:\n            best, name = e, n\n    return (best, name) if name else (None, None)",
        "goes on at 0": BEST + "best, name = 41, None\n    for _, n in sorted(sketches):\n        e = ask(n, best)\n"
        "        if e is not None:\n            best, name = e, n\n    return (best, name) if name else (None, None)",
        "ends at the first": BEST + "for _, n in sorted(sketches):\n        e = ask(n, 41)\n        if e is not None:\n"
        "            return e, n\n    return None, None",
    },
    "bit_layer": {
        "and instead of xnor": LAYER + "x = np.array(bits)\n    return [(x & np.array(r)).sum() >= t"
        " for r, t in zip(weights, thresholds)]",
        "strictly above": LAYER + "x = np.array(bits)\n    return [(x == np.array(r)).sum() > t"
        " for r, t in zip(weights, thresholds)]",
        "half the inputs": LAYER + "x = np.array(bits)\n    return [2 * (x == np.array(r)).sum() >= "
        "len(x) for r in weights]",
        "counts": LAYER + "x = np.array(bits)\n    return [(x == np.array(r)).sum() for r in weights]",
    },
    "read_class": {
        "first of the largest": READ + "return int(np.argmax(counts))",
        "any tie": READ + "return int(np.argmax(counts)) if len(set(counts)) == len(counts) else -1",
        "from 0 up": READ + "best = max([0, *counts])\n    return list(counts).index(best) if "
        "list(counts).count(best) == 1"
        " else -1",
    },
    "bad_flip": {
        "changes the list": FLIP + "label = classify(list(bits))\n    for place in range(len(bits)):\n"
        "        bits[place] = 1 - bits[place]\n        if classify(bits) != label:\n            return place\n"
        "        bits[place] = 1 - bits[place]",
        "the last": FLIP + "label = classify(list(bits))\n    found = None\n    " + LOOP
        + "found = place if classify(x) != label else found\n    return found",
        "keeps earlier flips": FLIP + "label, x = classify(list(bits)), list(bits)\n    for place in "
        "range(len(bits)):\n"
        "        x[place] = 1 - x[place]\n        if classify(x) != label:\n            return place",
        "always none": FLIP + "return None",
        "true": FLIP + "label = classify(list(bits))\n    " + LOOP + "if classify(x) != label:\n         "
        "   return True",
    },
    "formula_net": {
        "fractions cheat": FORMULA + "rows, bias, last = y_of(clauses, variables, mins=False)\n"
        "    return [(rows, bias), ([last], [0.0])]",
        "signs exchanged": FORMULA + "rows, bias, last = y_of(clauses, variables, sign=-1)\n"
        "    return [(rows, bias), ([last], [0.0])]",
        "one too much": FORMULA + "rows, bias, last = y_of(clauses, variables, extra=1)\n"
        "    return [(rows, bias), ([last], [0.0])]",
        "first clause alone": FORMULA + "rows, bias, last = y_of(clauses[:1], variables)\n"
        "    return [(rows, bias), ([last], [0.0])]",
        "one layer": FORMULA + "rows, bias, last = y_of(clauses, variables)\n    return [(rows, bias)]",
        "above 0 by a bias": FORMULA + "rows, bias, last = y_of(clauses, variables)\n"
        "    return [(rows, bias), ([last], [0.5])]",
    },
}  # fmt: skip
RIGHT = {
    "whole_net": {
        "tuple": NET + "return tuple(terms(layers, inputs))",
        "maximum the other way": NET + "return terms(layers, inputs, bend=lambda z: z3.If(z < 0, 0 * z, z))",
    },
    "smallest_shape": {
        "list": SHAPE + "for s in shapes:\n        w = find(s)\n        if w is not None:\n            "
        "return [list(s), w]\n"
        "    return [None, None]",
    },
    "improve": {
        "tuple": IMPROVE + "found = ()\n    while (v := ask(found[-1] if found else -1)) is not None:\n"
        "        found += (v,)\n    return found",
        "array": IMPROVE + "found = []\n    while (v := ask(found[-1] if found else -1)) is not None:\n"
        "        found.append(v)\n    return np.array(found, dtype=int)",
    },
    "bisect": {
        "recursive": BISECT + "if low >= high:\n        return low\n    m = (low + high + 1) // 2\n    v = ask(m)\n"
        "    return bisect(ask, low, m - 1) if v is None else bisect(ask, v, high)",
        "as asked": BISECT + "while low < high:\n        m = (low + high + 1) // 2\n"
        "        low, high = (m, high) if ask(m) is not None else (low, m - 1)\n    return float(low)",
    },
    "count_errors": {
        "numpy": COUNT + "z = np.array(images) @ np.array(weights) + bias\n    return ((z >= 0) != "
        "(np.array(labels) == 1)).sum()",
        "tensor": COUNT + "z = torch.tensor(images) @ torch.tensor(weights) + bias\n"
        "    return ((z >= 0) != (torch.tensor(labels) == 1)).sum()",
    },
    "cheapest_best": {
        "list": BEST + "best = [None, None]\n    for _, n in sorted(sketches):\n        if best[0] == "
        "0:\n            break\n"
        "        e = ask(n, 41 if best[0] is None else best[0])\n        best = best if e is None else "
        "[e, n]\n    return best",
    },
    "bit_layer": {
        "truth values": LAYER + "x = np.array(bits)\n    return [bool((x == np.array(r)).sum() >= t)"
        " for r, t in zip(weights, thresholds)]",
        "array": LAYER + "return ((np.array(weights) == np.array(bits)).sum(axis=1) >= "
        "np.array(thresholds)).astype(int)",
        "tensor": LAYER + "return (torch.tensor(weights) == torch.tensor(bits)).sum(1) >= torch.tensor(thresholds)",
    },
    "read_class": {
        "numpy": READ + "c = np.array(counts)\n    return np.argmax(c) if (c == c.max()).sum() == 1 else np.int64(-1)",
    },
    "bad_flip": {
        "array": FLIP + "label = classify(list(bits))\n    " + LOOP
        + "if classify(x) != label:\n            return np.int64(place)\n    return None",
    },
    "formula_net": {
        "arrays": FORMULA + "rows, bias, last = y_of(clauses, variables)\n"
        "    return ((np.array(rows), np.array(bias)), (np.array([last]), np.zeros(1)))",
        "tensors, clauses counted twice": FORMULA + "rows, bias, last = y_of(clauses, variables)\n"
        "    last = [2 * v for v in last]\n    return [(torch.tensor(rows), torch.tensor(bias)),"
        " (torch.tensor([last]), torch.zeros(1))]",
        "one bias as a number": FORMULA + "rows, bias, last = y_of(clauses, variables)\n"
        "    return [(rows, bias), (last, 0.0)]",
    },
}  # fmt: skip


def earned(name, code):
    """Points of an answer, before the end of its cell that the lab gives."""
    return ANSWERS.earned(name, code + "\n\n\n" + ANSWERS.given_end(name, "# the rest of this"))


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_earns_nothing(name, code):
    with pytest.raises((AssertionError, ValueError, TypeError, LookupError, AttributeError)):
        earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_earns_every_point(name, code):
    assert earned(name, code) == ANSWERS.max_points[f"{name}_check"]
