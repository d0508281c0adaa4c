"""Copied work is listed, also with other names and comments; the release, the solutions and honest work are not."""

import json

import pytest

from grading.office.equal_work import K, W, code_tokens, fingerprints, notebook_fingerprints, pairs, write_equal_work
from tests.grading.attacks.attack_lab import small_lab
from tests.grading.conftest import LAB, make_course

ANN = """
def middle(bounds):
    total = []
    for row in bounds:  # each input
        low, high = row[0], row[1]
        if low > high:
            low, high = high, low
        total.append(low + (high - low) / 2)
    return np.array(total)
"""
RENAMED = ANN.replace("total", "result").replace("low", "a").replace("high", "b").replace("# each input", "# go on")
HONEST = (
    "def middle(bounds):\n    return np.stack([np.average(np.sort(pair)) for pair in np.array(bounds, dtype=float)])\n"
)


def works(**sources):
    return {name: notebook_fingerprints([("code", text, None)]) for name, text in sources.items()}


def test_copied_code_is_found_under_other_names():
    (pair,) = pairs(works(ann=ANN, bob=RENAMED, zoe=HONEST), set())
    assert (pair.one, pair.other, pair.share) == ("ann", "bob", 1.0)


def test_a_shared_run_of_k_plus_w_tokens_is_always_found():
    run = [f"t{k}" for k in range(K + W - 1)]
    for before in range(8):
        one = fingerprints([*(f"a{k}" for k in range(before)), *run, *(f"b{k}" for k in range(20))])
        assert one & fingerprints([*(f"c{k}" for k in range(13)), *run])


def test_what_is_known_or_common_tells_nothing():
    every = works(ann=ANN, bob=RENAMED)
    assert pairs(every, every["ann"]) == []
    assert pairs({str(k): every["ann"] for k in range(8)}, set()) == []
    assert len(pairs({str(k): every["ann"] for k in range(2)}, set())) == 1


def test_strings_comments_and_numbers_are_no_difference():
    assert code_tokens("x = f('a', 1)  # one") == code_tokens('y = f("b", 2.5)') != code_tokens("y = g('b', 2)")


@pytest.mark.filterwarnings("default")
def test_the_table_names_pairs_and_gives_no_verdict(tmp_path):
    course = make_course(tmp_path)
    for student, text in {"ann": ANN, "bob": RENAMED, "zoe": HONEST}.items():
        folder = course.submitted(student, LAB)
        folder.mkdir(parents=True)
        (folder / f"{LAB}.ipynb").write_text(json.dumps(small_lab([text], solved=True)))
    (course.submitted("bad", LAB)).mkdir(parents=True)
    path, text = write_equal_work(course, LAB)
    rows = [line.split()[:3] for line in text.splitlines()[4:]]
    assert rows == [["ann", "bob", "100%"]] and "Alike is not copied" in text and path.read_text() == text + "\n"
