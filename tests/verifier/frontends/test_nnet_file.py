"""The .nnet frontend: normalisation, clipping and layers as the format says, on a network small enough for paper."""

import gzip
import itertools
import random

import numpy as np
import pytest

from verifier import Verdict, verify
from verifier.errors import NetworkError, VerifierWarning
from verifier.frontends.read import read_subject

# Two inputs in [0, 10] and [-4, 4], normalised by (x - 5) / 10 and (x - 0) / 8; two hidden neurons; y * 3 + 100.
SMALL = """// a comment
// another
2, 2, 1, 2,
2, 2, 1,
0,
0.0, -4.0,
10.0, 4.0,
5.0, 0.0, 100.0,
10.0, 8.0, 3.0,
1.0, 2.0,
-1.0, 0.5,
0.25,
0.0,
2.0, -4.0,
0.5,
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.nnet"
    path.write_text(SMALL)
    return path


def by_hand(x):
    a, b = (np.clip(x[0], 0, 10) - 5) / 10, np.clip(x[1], -4, 4) / 8
    return 3 * (2 * max(0, a + 2 * b + 0.25) - 4 * max(0, -a + 0.5 * b) + 0.5) + 100


@pytest.mark.parametrize("x", [(5, 0), (0, -4), (10, 4), (2.5, 3), (7, -1), (11, 5), (-3, -9)])
def test_network_computes_what_the_format_says_clipping_included(small, x):
    assert read_subject(small).network(np.array([x], dtype=float))[0, 0] == pytest.approx(by_hand(x), rel=1e-14)


def test_verify_answers_in_physical_units(small, tmp_path):
    lowest = min(by_hand((x, y)) for x in (0, 10) for y in (-4, 4))
    box = [(0, 10), (-4, 4)]
    assert verify(small, box, [(None, 112.5)]).verdict is Verdict.VERIFIED
    assert verify(small, box, [(lowest + 1, None)]).verdict is Verdict.FALSIFIED
    compressed = tmp_path / "small.nnet.gz"
    compressed.write_bytes(gzip.compress(SMALL.encode()))
    assert verify(compressed, box, [(None, 112.5)]).verdict is Verdict.VERIFIED


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1.0, 2.0,", "1.0, two,", "line 10"),
        ("1.0, 2.0,", "1.0,", "line 10: 1 numbers where 2"),
        ("0.5,\n", "", "line 5: 9 lines follow, and 10 are expected .* is the file cut off"),
        ("10.0, 8.0, 3.0,", "0.0, 8.0, 3.0,", "not positive"),
        ("2, 2, 1,\n", "2, 2.5, 1,\n", "line 4: expected whole"),
    ],
)
def test_broken_files_are_refused_by_their_line(small, old, new, said):
    text = SMALL.replace(old, new) if old != "0.5,\n" else SMALL.removesuffix(old)
    small.write_text(text)
    with pytest.raises(NetworkError, match=said):
        read_subject(small)


# Shapes of public files, each written small: y = 4 x_0 + 10 on two inputs in [-100, 100] where normalisation is said


HEAD = "1,2,1,2,\n2,1,\n"
WEIGHTS = "1.0,0.0,\n0.0,\n"
ROWS = "-100.0,-100.0,\n100.0,100.0,\n0.0,0.0,10.0,\n1.0,1.0,4.0,\n"
EXTRA_ROWS = "-100.0,-100.0,-3.0,\n100.0,100.0,3.0,\n0.0,0.0,5.0,10.0,\n1.0,1.0,2.0,4.0,\n"  # of a third input


def evaluate(sizes, rows, layers, x):
    """The definition of the format, number by number: clip, normalise, layers with ReLU between them, scale back."""
    if rows is not None:
        low, high, mean, scale = rows
        x = [(min(max(v, low[i]), high[i]) - mean[i]) / scale[i] for i, v in enumerate(x)]
    for depth, (weights, biases) in enumerate(layers):
        x = [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weights, biases, strict=True)]
        if depth < len(layers) - 1:
            x = [max(v, 0.0) for v in x]
    if rows is not None and len(mean) > sizes[0]:
        x = [v * scale[-1] + mean[-1] for v in x]
    return x


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        (HEAD + "0,\n" + ROWS + WEIGHTS, True),
        ("// a comment\n  // and one that is indented\n" + HEAD + "0,\n" + ROWS + WEIGHTS, True),
        ("Written by a tool, 2016\n" + HEAD + "0\n" + ROWS + WEIGHTS, True),
        (HEAD + "This line is not used\n" + ROWS + WEIGHTS, True),
        (HEAD + "0,\n" + EXTRA_ROWS + WEIGHTS, True),
        ("1\n2, 1\n0\n" + ROWS + "1.0, 0.0\n0.0\n", True),
        (("\ufeff" + HEAD + "0,\n" + ROWS + WEIGHTS).replace("\n", "\r\n"), True),
        ("1\n2, 1 \n0\n0\n0\n0\n0\n" + WEIGHTS, False),
        (HEAD + "0,\n-100,-100,\n100,100,\n0.5,0.0,\n1.0,1.0,\n1.0,0.0,\n0.5\n", False),
        ("2,2,1,2,\n2,1,1,\n0,0,\n1.0,0.0,\n50.0,\n1.0,\n-50.0,\n", False),
    ],
)
def test_shapes_of_public_files_are_read(tmp_path, text, scaled):
    path = tmp_path / "net.nnet"
    path.write_bytes(text.encode())
    for x in ((0.0, 0.0), (1.0, 0.5), (-2.0, 7.0)):
        (y,) = read_subject(path).network(np.array([x]))[0]
        assert y == pytest.approx(4 * x[0] + 10 if scaled else x[0], abs=1e-12)


def test_numbers_of_an_input_that_the_network_does_not_have_are_not_the_outputs(tmp_path):
    """y = 4 x_0 + 10 reaches 14 on [0, 1]; read with the third input's mean and range it would be 2 x_0 + 5 <= 7."""
    path = tmp_path / "net.nnet"
    path.write_text(HEAD + "0,\n" + EXTRA_ROWS + WEIGHTS)
    assert verify(path, [(0, 1), (0, 1)], [(None, 8.5)]).verdict is Verdict.FALSIFIED
    assert verify(path, [(0, 1), (0, 1)], [(9.9, 14.1)]).verdict is Verdict.VERIFIED


def test_a_file_without_an_entry_for_the_outputs_does_not_scale_them_and_says_so(tmp_path):
    path = tmp_path / "net.nnet"
    path.write_text(HEAD + "0,\n0,0,\n255,255,\n127,127,\n255,255,\n" + WEIGHTS)
    with pytest.warns(VerifierWarning, match="net.nnet: the means and ranges have no entry for the outputs"):
        network = read_subject(path).network
    assert network(np.array([[254.5, 3.0]]))[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "0,\n" + ROWS.replace("0.0,0.0,10.0,", "0.0,0.0,5.0,10.0,") + WEIGHTS, "line 7: expected 4 ranges"),
        (HEAD + "0,\n" + ROWS.replace("100.0,100.0,\n0", "100.0,100.0,1.0,\n0") + WEIGHTS, "line 5: expected 2 maxima"),
        (HEAD + "0,\n" + EXTRA_ROWS.replace(",5.0,10", ",10").replace(",2.0,4", ",4") + WEIGHTS, ""),
        (
            HEAD + "0,\n" + ROWS.replace("0.0,0.0,10", "0,0,1,1,10").replace("1.0,1.0,4", "1,1,1,1,4") + WEIGHTS,
            "line 6",
        ),
        (
            HEAD
            + "0,\n"
            + ROWS.replace("100.0,100.0,", "100.0,-101.0,").replace("-100.0,-101", "-100.0,-100")
            + WEIGHTS,
            "line 5: the maximum of input 1 is below its minimum",
        ),
        (HEAD + "0,\n" + ROWS.replace("1.0,1.0,4.0", "1.0,1.0,0.0") + WEIGHTS, "line 7: a range is not positive"),
        (HEAD + "0,\n" + ROWS + "1.0,0.0,3.0,\n0.0,\n", "line 8: 3 numbers where 2"),
        (HEAD + "0,\n" + ROWS + "1.0,,0.0,\n0.0,\n", "line 8: expected numbers with commas"),
        (HEAD + "0,\n" + ROWS + "1_0,0.0,\n0.0,\n", "line 8: expected numbers with commas"),
        (HEAD + "0,\n" + ROWS + "nan,0.0,\n0.0,\n", "line 8: expected numbers with commas"),
        (HEAD + "0,\n" + ROWS + "1e999,0.0,\n0.0,\n", "line 8: a number is beyond float64"),
        (HEAD + "0,\n" + ROWS + "1.0,0.0,\n0.0,0.0,\n", "line 9: 2 numbers where 1"),
        (HEAD + "0,\n" + ROWS + WEIGHTS + "1.0,\n", "line 3: 7 lines follow, and 6 are expected"),
        (HEAD + "0,\n" + WEIGHTS, "line 3: no minima, maxima, means and ranges follow"),
        ("2,2,1,2,\n2,1,1,\n0,1,\n1.0,0.0,\n0.0,\n1.0,\n0.0,\n", "line 3: no minima"),  # a convolution
        (HEAD.replace("1,2,1,2", "1,3,1,3") + "0,\n" + ROWS + WEIGHTS, "line 1: 3 inputs, but the next line says 2"),
        (HEAD.replace("1,2,1,2", "1,2,2,2") + "0,\n" + ROWS + WEIGHTS, "line 1: 2 outputs, but the next line says 1"),
        (
            HEAD.replace("2,1,\n", "2,1,1,\n", 1).replace("1,2,2,1,1", "1,2,1,2") + "0,\n" + ROWS + WEIGHTS,
            "sizes where",
        ),
        ("", "ends too early"),
        ("1 2 1\n2 1\n", "line 1: expected numbers with commas"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_line(tmp_path, text, said):
    path = tmp_path / "net.nnet"
    path.write_text(text)
    if not said:  # one mean for each listed minimum: the last may be an input's or the outputs'
        said = "line 6: 3 means, but 3 minima for 2 inputs"
    with pytest.raises(NetworkError, match=said):
        read_subject(path)


def test_random_files_compute_what_the_definition_of_the_format_says(tmp_path):
    """A second reading: the numbers as they were written, through evaluate()."""
    draw = random.Random(5)
    path = tmp_path / "net.nnet"

    def numbers(count, low=-2.0, high=2.0):
        return [round(draw.uniform(low, high), 3) for _ in range(count)]

    for _ in range(60):
        sizes = [draw.randint(1, 4) for _ in range(draw.randint(2, 5))]
        more = draw.choice((0, 0, 1, 2))
        listed = sizes[0] + more
        low = numbers(listed)
        rows = [low, [v + 3 for v in low], numbers(listed + 1), numbers(listed + 1, 0.5, 3)]
        layers = [([numbers(n) for _ in range(m)], numbers(m)) for n, m in itertools.pairwise(sizes)]
        lines = [[len(layers), sizes[0], sizes[-1], max(sizes)], sizes, [0], *rows]
        for weights, biases in layers:
            lines += [*weights, *([bias] for bias in biases)]
        end = draw.choice((",", ""))
        path.write_text("".join(",".join(map(str, line)) + end + "\n" for line in lines))
        network = read_subject(path).network
        for _ in range(5):
            x = numbers(sizes[0], -5, 5)
            assert network(np.array([x]))[0] == pytest.approx(evaluate(sizes, rows, layers, x), abs=1e-9)


def test_a_file_with_a_line_or_a_number_lost_is_never_read_as_another_network(tmp_path):
    """Every line taken out, every number taken out: refused in one line, or the same function as before."""
    path = tmp_path / "net.nnet"
    lines = SMALL.splitlines()
    damaged = [lines[:i] + lines[i + 1 :] for i in range(2, len(lines))]
    for i in range(2, len(lines)):
        cells = lines[i].rstrip(",").split(",")
        damaged += [[*lines[:i], ",".join(cells[:j] + cells[j + 1 :]), *lines[i + 1 :]] for j in range(len(cells))]
    refused = 0
    for one in damaged:
        path.write_text("\n".join(one) + "\n")
        try:
            network = read_subject(path).network
        except NetworkError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert network(np.array([[7.0, -1.0]]))[0, 0] == pytest.approx(by_hand((7, -1)))
    assert refused > len(damaged) - 6  # the flag and the largest size are not used
