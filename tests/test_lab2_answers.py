"""Lab 2's test cells, hidden parts included, on plausible wrong answers and on right ones in an unusual form."""

from types import SimpleNamespace

import pytest
import torch

import course_utils.models
import verifier
from tests.lab_answers import LabAnswers, cases

ANSWERS = LabAnswers("lab2_digits", """
import numpy as np
import torch
from torch import nn

from course_utils.attacks import pgd
from course_utils.data import VALID_RANGE, mnist
from verifier import Verdict, argmax_is, verify

x = mnist("test", subset=True).images[0]


def one_pixel(x, pixel_pos, delta, clip=None):
    lower, upper = x.clone(), x.clone()
    lower[pixel_pos] -= delta
    upper[pixel_pos] += delta
    return (lower, upper) if clip is None else (lower.clamp(*clip), upper.clamp(*clip))


def pixel_box(*spec):
    return torch.stack(one_pixel(*spec), dim=1)


def right(net, images, labels):
    return (net(images).argmax(dim=1) == labels).float().mean().item()
""")  # fmt: skip

PERTURB_ONE = "def perturb_one_pixel(x, pixel_pos, delta, clip=None):\n    "
PERTURB_ALL = "def perturb_all_pixels(x, delta, count=784, clip=None):\n    moving = torch.arange(784) < count\n    "
AROUND = "def y_specs_around(net, lower, upper, epsilon):\n    "
PROVES = "def proves_label(net, x, pixel_pos, delta, label, clip=None):\n    "
ATTACKED = "def attacked_accuracy(net, images, labels, radius):\n    "
MEAN = "middle = net(torch.stack([lower, upper])).detach().mean(dim=0)\n    "

WRONG = {
    "perturb_one_pixel": {
        "half of delta": PERTURB_ONE + "return one_pixel(x, pixel_pos, delta / 2, clip)",
        "the pixel before": PERTURB_ONE + "return one_pixel(x, pixel_pos - 1, delta, clip)",
        "no clip": PERTURB_ONE + "return one_pixel(x, pixel_pos, delta)",
        "every pixel clipped": PERTURB_ONE + "return one_pixel(x, pixel_pos, delta, clip)",
        "always pixel 5": PERTURB_ONE + "return one_pixel(x, 5, 0.5, clip)",
        "the image itself moved": PERTURB_ONE + "x[pixel_pos] += delta\n"
        "    return one_pixel(x, pixel_pos, 2 * delta)[0], x",
    },
    "x_specs": {
        "half of delta": "x_specs = pixel_box(x, 5, 0.075).tolist()",
        "clipped": "x_specs = pixel_box(x, 5, 0.15, VALID_RANGE).tolist()",
        "counted from 1": "x_specs = pixel_box(x, 4, 0.15).tolist()",
        "another image": "x_specs = pixel_box(torch.zeros(784), 5, 0.15).tolist()",
        "no list": "x_specs = pixel_box(x, 5, 0.15)",
    },
    "y_specs_around": {
        "output of the average": AROUND + "middle = net((lower + upper)[None] / 2)[0].tolist()\n"
        "    return [[value - epsilon, value + epsilon] for value in middle]",
        "always 0.01": AROUND + MEAN + "return [[value - 0.01, value + 0.01] for value in middle.tolist()]",
        "half of epsilon": AROUND + MEAN + "return [[v - epsilon / 2, v + epsilon / 2] for v in middle.tolist()]",
        "the visible answer": AROUND + "return [[k + 0.49, k + 0.51] for k in range(10)]",
    },
    "proves_label": {
        "both ends only": PROVES + "return right(net, torch.stack(one_pixel(x, pixel_pos, delta, clip)), label) == 1",
        "unknown as proof": PROVES + "box = pixel_box(x, pixel_pos, delta, clip)\n"
        "    return verify(net, box, argmax_is(label)).verdict is not Verdict.FALSIFIED",
        "no clip": PROVES + "return bool(verify(net, pixel_box(x, pixel_pos, delta), argmax_is(label)))",
        "the network's own label": PROVES + "label = int(net(x[None]).argmax())\n"
        "    return bool(verify(net, pixel_box(x, pixel_pos, delta, clip), argmax_is(label)))",
        "always True": PROVES + "return True",
        "a Result": PROVES + "return verify(net, pixel_box(x, pixel_pos, delta, clip), argmax_is(label))",
    },
    "perturb_all_pixels": {
        "no count": PERTURB_ALL + "return x - delta, x + delta",
        "the last pixels": PERTURB_ALL + "moving = moving.flip(0)\n    return x - delta * moving, x + delta * moving",
        "no clip": PERTURB_ALL + "return x - delta * moving, x + delta * moving",
        "every pixel clipped": PERTURB_ALL + "pair = (x - delta * moving, x + delta * moving)\n"
        "    return pair if clip is None else [part.clamp(*clip) for part in pair]",
    },
    "attacked_accuracy": {
        "clean": ATTACKED + "return right(net, images, labels)",
        "no clip": ATTACKED + "return right(net, pgd(net, images, labels, radius), labels)",
        "noise": ATTACKED + "noisy = images + radius * (2 * torch.rand_like(images) - 1)\n"
        "    return right(net, noisy.clamp(*VALID_RANGE), labels)",
        "unchanged, not right": ATTACKED + "labels = net(images).argmax(dim=1)\n"
        "    return right(net, pgd(net, images, labels, radius, clip=VALID_RANGE), labels)",
        "the visible answers": ATTACKED + "return 1.0 if radius < 0.1 else 0.75",
        "percent": ATTACKED + "found = pgd(net, images, labels, radius, clip=VALID_RANGE)\n"
        "    return 100 * right(net, found, labels)",
    },
}  # fmt: skip
RIGHT = {
    "perturb_one_pixel": {
        "numpy": PERTURB_ONE + "lower, upper = x.numpy().copy(), x.numpy().copy()\n"
        "    lower[pixel_pos] -= delta\n    upper[pixel_pos] += delta\n"
        "    for part in (lower, upper):\n"
        "        part[pixel_pos] = part[pixel_pos] if clip is None else np.clip(part[pixel_pos], *clip)\n"
        "    return lower, upper",
        "one tensor": PERTURB_ONE + "pair = torch.stack(one_pixel(x, pixel_pos, delta))\n"
        "    pair[:, pixel_pos] = pair[:, pixel_pos] if clip is None else pair[:, pixel_pos].clamp(*clip)\n"
        "    return pair",
    },
    "x_specs": {
        "pairs of tensors": "x_specs = list(zip(*one_pixel(x, 5, 0.15), strict=True))",
        "rows of an array": "x_specs = list(pixel_box(x, 5, 0.15).numpy())",
    },
    "y_specs_around": {
        "numpy": AROUND + MEAN + "return np.stack([middle.numpy() - epsilon, middle.numpy() + epsilon], axis=1)",
        "one image at a time": AROUND + "middle = (net(lower) + net(upper)).detach() / 2\n"
        "    return [(value - epsilon, value + epsilon) for value in middle]",
    },
    "proves_label": {
        "verdict": PROVES + "box = pixel_box(x, pixel_pos, delta, clip).double().numpy()\n"
        "    return verify(net, box, argmax_is(label)).verdict == Verdict.VERIFIED",
        "list": PROVES + "box = pixel_box(x, pixel_pos, delta, clip).tolist()\n"
        "    return bool(verify(net, box, argmax_is(label), counterexamples=[]))",
    },
    "perturb_all_pixels": {
        "numpy": PERTURB_ALL + "lower, upper = x.numpy().copy(), x.numpy().copy()\n"
        "    lower[:count] -= delta\n    upper[:count] += delta\n"
        "    for part in (lower, upper):\n"
        "        part[:count] = part[:count] if clip is None else part[:count].clip(*clip)\n"
        "    return lower, upper",
        "lists": PERTURB_ALL + "low, high = clip or (-9.0, 9.0)\n    pair = []\n"
        "    for by in (-delta, delta):\n"
        "        pair.append([min(max(v + by, low), high) if i < count else v for i, v in enumerate(x.tolist())])\n"
        "    return [torch.tensor(part) for part in pair]",
        "plain lists": PERTURB_ALL + "low, high = clip or (-9.0, 9.0)\n    pair = []\n"
        "    for by in (-delta, delta):\n"
        "        pair.append([min(max(v + by, low), high) if i < count else v for i, v in enumerate(x.tolist())])\n"
        "    return pair",
    },
    "attacked_accuracy": {
        "one by one": ATTACKED + "kept = 0\n    for i in range(len(images)):\n"
        "        one, its = images[i : i + 1], labels[i : i + 1]\n"
        "        kept += right(net, pgd(net, one, its, radius, clip=VALID_RANGE), its)\n"
        "    return kept / len(images)",
        "numpy": ATTACKED + "found = net(pgd(net, images, labels, radius, clip=VALID_RANGE)).detach().numpy()\n"
        "    return np.mean(found.argmax(axis=1) == labels.numpy())",
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "code"), cases(WRONG))
def test_a_plausible_but_wrong_answer_loses_the_points(name, code):
    with pytest.raises((AssertionError, TypeError, ValueError)):
        ANSWERS.earned(name, code)


@pytest.mark.parametrize(("name", "code"), cases(RIGHT))
def test_a_right_answer_in_an_unusual_form_keeps_them(name, code):
    assert ANSWERS.earned(name, code) == ANSWERS.max_points[f"{name}_check"]


@pytest.mark.parametrize(
    ("visible", "hidden", "points"),
    [(0.49, 0.9, 0), (0.0, 0.0, 0), (0.55, 0.2, 1), (0.6, 0.2, 2), (0.7, 0.59, 3), (0.8, 0.65, 4), (0.88, 0.84, 5)],
)
def test_each_threshold_of_the_training_for_proofs_gives_its_point(visible, hidden, points, monkeypatch):
    answers = iter([visible, hidden])
    monkeypatch.setattr(
        verifier, "verified_accuracy", lambda *_, **__: SimpleNamespace(verified=next(answers), clean=1)
    )
    names = {"nn_proof": course_utils.models.digit_net(128, 64)}
    assert ANSWERS.points("nn_proof_check", names) == points


def test_tuned_limits_must_be_of_a_network_that_reads_digits():
    """A network that always says 7 would make any limits true."""
    names = ANSWERS.names("network = nn.Linear(784, 10)")
    names["y_specs_tuned"] = [[-0.1, 0.1]] * 7 + [[0.9, 1.1]] + [[-0.1, 0.1]] * 2
    torch.nn.init.zeros_(names["network"].weight)
    names["network"].bias.data = torch.eye(10)[7]
    with pytest.raises(AssertionError, match="is the network still one that reads digits"):
        ANSWERS.points("y_specs_tuned_check", names)


def test_limits_of_one_width_do_not_tune_the_close_call():
    """Whatever the width, around the outputs at the middle: the exercise asks for limits that are moved one by one."""
    from course_utils.data import mnist
    from course_utils.stand_ins import digit_network
    from course_utils.telling import telling_pixel

    network, exam = digit_network("usual"), mnist("test", subset=True)
    _, _, box = telling_pixel(network, exam.images, exam.labels)
    bounds = verifier.output_bounds(network, box)
    middle = (bounds.lower + bounds.upper) / 2
    for width in (0.01, 0.1, 0.5, 1.0, 2.0, 5.0):
        names = {"network": network, "y_specs_tuned": [[m - width, m + width] for m in middle.tolist()]}
        with pytest.raises(AssertionError):
            ANSWERS.points("y_specs_tuned_check", names)
    tuned = [[low - 0.001, high + 0.001] for low, high in zip(bounds.lower, bounds.upper, strict=True)]
    ANSWERS.points("y_specs_tuned_check", {"network": network, "y_specs_tuned": tuned})
