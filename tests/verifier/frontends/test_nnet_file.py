"""The .nnet frontend: normalisation, clipping and layers as the format says, on a network small enough for paper."""

import gzip

import numpy as np
import pytest

from verifier import Verdict, verify
from verifier.errors import NetworkError
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
        ("0.5,\n", "", "ends too early"),
        ("10.0, 8.0, 3.0,", "0.0, 8.0, 3.0,", "not positive"),
        ("2, 2, 1,\n", "2, 2.5, 1,\n", "line 4: expected whole"),
    ],
)
def test_broken_files_are_refused_by_their_line(small, old, new, said):
    text = SMALL.replace(old, new) if old != "0.5,\n" else SMALL.removesuffix(old)
    small.write_text(text)
    with pytest.raises(NetworkError, match=said):
        read_subject(small)
