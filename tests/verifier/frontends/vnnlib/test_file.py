"""The VNN-LIB frontend: what a property says of inputs and outputs, checked by hand and against reference results."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import time

import numpy as np
import pytest

from tests.shared_data import reference
from verifier.asking.files import verify_files
from verifier.errors import SpecError
from verifier.frontends.vnnlib.file import problem, read_vnnlib
from verifier.frontends.vnnlib.syntax import parse
from verifier.network import Affine, Network

ONE = "(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"
BOX = "(assert (<= X_0 1))(assert (>= X_0 -1))\n"


def plain(found):
    """Boxes with their disjuncts of rows ((coefficients), limit), as sets."""
    return {
        (
            tuple(zip(case.box.lower.tolist(), case.box.upper.tolist(), strict=True)),
            frozenset(frozenset((row.coefficients, row.limit) for row in disjunct) for disjunct in case.unsafe),
        )
        for case in found.cases
    }


def rows(assertion):
    """The unsafe rows of an assertion about the outputs of a network with two of them."""
    (case,) = problem(ONE + BOX + assertion).cases
    return [[(row.coefficients, row.limit, row.strict) for row in disjunct] for disjunct in case.unsafe]


@pytest.mark.parametrize(
    ("term", "coefficients", "limit"),
    [
        ("(<= Y_0 Y_1)", (1, -1), 0),
        ("(>= Y_0 2.5)", (-1, 0), -2.5),
        ("(<= 3 Y_1)", (0, -1), -3),
        ("(<= (+ Y_0 1 Y_1 Y_0) (- Y_1 4))", (2, 0), -5),
        ("(>= (* -2 Y_0) (* Y_1 0.5))", (2, 0.5), 0),
        ("(<= (- Y_0) (- (* 2 (+ Y_1 1)) 3))", (-1, -2), -1),
        ("(<= (/ Y_0 4) 1e-3)", (0.25, 0), 1e-3),
        ("(<= (- Y_0 0.1 0.2) 0)", (1, 0), 0.3),  # added up exactly, unlike 0.1 + 0.2 in floating point
    ],
)
def test_a_row_is_brought_to_coefficients_and_a_limit(term, coefficients, limit):
    assert rows(f"(assert {term})") == [[(coefficients, limit, False)]]


def test_and_and_or_are_multiplied_out_at_any_depth():
    """(a or (b and (c or d))) and e  ->  a e, b c e, b d e."""
    text = "(assert (or (<= Y_0 1) (and (<= Y_0 2) (or (<= Y_0 3) (<= Y_0 4)))))(assert (<= Y_1 5))"
    limits = {frozenset(limit for _, limit, _ in disjunct) for disjunct in rows(text)}
    assert limits == {frozenset({1.0, 5.0}), frozenset({2.0, 3.0, 5.0}), frozenset({2.0, 4.0, 5.0})}


def test_equality_is_two_rows_and_strict_rows_are_kept():
    assert rows("(assert (= Y_0 3))") == [[((1, 0), 3, False), ((-1, 0), -3, False)]]
    assert rows("(assert (< Y_0 3))") == [[((1, 0), 3, True)]]


def test_disjunctions_of_inputs_are_boxes_and_equal_boxes_are_one():
    text = (
        "(assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 0)) (and (<= X_0 3) (>= X_0 2) (<= Y_0 1))"
        " (and (>= X_0 0) (<= X_0 1) (<= Y_0 2))))"
    )
    found = problem(ONE + text)
    assert plain(found) == {
        (((0.0, 1.0),), frozenset({frozenset({((1.0, 0.0), 0.0)}), frozenset({((1.0, 0.0), 2.0)})})),
        (((2.0, 3.0),), frozenset({frozenset({((1.0, 0.0), 1.0)})})),
    }
    assert (found.inputs, found.outputs) == (1, 2)


def test_bounds_are_intersected_and_scaled_and_an_empty_box_is_left_out():
    text = "(assert (<= (* 2 X_0) 1))(assert (>= X_0 -5))(assert (or (<= X_0 -6) (<= X_0 7)))(assert (<= Y_0 0))"
    (case,) = problem(ONE + BOX + text).cases
    assert (case.box.lower.tolist(), case.box.upper.tolist()) == ([-1.0], [0.5])


@pytest.mark.parametrize("text", ["(assert (<= Y_0 Y_1))", "(assert (or (and (<= Y_0 1) (>= Y_1 2)) (< Y_0 Y_1)))"])
def test_the_spec_holds_exactly_where_the_property_is_not_met(text):
    """The margins of the spec and the rows of the property, compared on a grid that meets every limit."""
    (case,) = problem(ONE + BOX + text).cases
    clauses = case.spec(2).clauses(2)
    for y in itertools.product(np.arange(0, 3.5, 0.5), repeat=2):
        met = any(
            all(
                np.dot(row.coefficients, y) < row.limit if row.strict else np.dot(row.coefficients, y) <= row.limit
                for row in disjunct
            )
            for disjunct in case.unsafe
        )
        holds = all(any(one.holds(np.dot(one.coefficients, y) + one.offset) for one in clause) for clause in clauses)
        assert holds is not met


def test_a_property_that_says_nothing_of_the_outputs_is_met_everywhere():
    (case,) = problem(ONE + BOX).cases
    assert case.unsafe == ((),)
    ((inequality,),) = case.spec(2).clauses(2)
    assert not inequality.holds(inequality.offset)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(assert (<= X_0 1))", "X_0 has no lower bound"),
        (BOX + "(assert (<= (* Y_0 Y_1) 1))", "line 5: '\\*' here is not linear"),
        (BOX + "(assert (not (<= Y_0 1)))", "line 5: 'not' is not supported"),
        (BOX + "(assert (<= Y_0 1 2))", "line 5: <= compares two terms, found 3"),
        (BOX + '(assert (<= Y_0 "1"))', "is no number"),
        (BOX + "(assert (<= Y_0 Z))", "line 5: 'Z' is not declared"),
        ("(declare-const Z Real)(assert (<= Y_0 Z))", "Z is neither an input X_i nor an output Y_i"),
        (BOX + "(assert (<= Y_0 1)", "line 5: the file ends within this command"),
        (BOX + ")", "line 5: a closing parenthesis too many"),
        (BOX + "y", "line 5: 'y' stands outside of any command"),
        (BOX + "(assert [Y_0])", "line 5: unexpected"),
        (BOX + "(asert (<= Y_0 1))", "line 5: unknown command 'asert'"),
        (BOX + "(assert (and))", "and stands without arguments"),
        (BOX + "(assert Y_0)", "expected a comparison"),
        (BOX + "(assert (or" + " (<= Y_0 1)" * 400 + "))(assert (or" + " (<= Y_0 1)" * 400 + "))", "160,000 parts"),
        (BOX + "(assert (<= Y_0 1e999999999))", "line 5: 1e999999999 is beyond the numbers of float64"),
        (BOX + "(assert (<= Y_0 1" + "0" * 1000 + "))", "line 5: the number 100000000000... has 1,001 characters"),
        (BOX + "(assert (<= Y_0 (* 1e300 1e300)))", "line 5: a constant is above 1e300"),
        (BOX + "(assert (<= X_0 1e400))", "line 5: a constant is above 1e300"),
        (BOX + "(assert " + "(and " * 1000 + "(<= Y_0 1)" + ")" * 1001, "line 5: terms within terms, more than 250"),
        ("(declare-const X_999999999 Real)" + BOX, "declares X_999999999, but not each of X_0 to X_999999998"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_line(text, said):
    with pytest.raises(SpecError, match=said):
        problem(ONE + text)


def test_constraints_that_relate_inputs_are_rows():
    """X_0 <= Y_0 + 2, X_0 + X_1 >= 3 and X_1 < 1, worked out by hand; the strict bound narrows the box as well."""
    text = ONE + "(declare-const X_1 Real)" + BOX + "(assert (>= X_1 0))(assert (<= X_0 (+ Y_0 2)))"
    (case,) = problem(text + "(assert (>= (+ X_0 X_1) 3))(assert (< X_1 1))").cases
    assert case.box.upper.tolist() == [1.0, 1.0] and case.box.lower.tolist() == [-1.0, 0.0]
    ((first, second, third),) = case.unsafe
    assert first == ((-1.0, 0.0), 2.0, False, (1.0, 0.0))
    assert second == ((0.0, 0.0), -3.0, False, (-1.0, -1.0))
    assert third == ((0.0, 0.0), 1.0, True, (0.0, 1.0))


@pytest.mark.parametrize(
    ("asserted", "unsafe"),
    [
        ("(<= Y_0 (* 1.5 X_0))", lambda x, y: y <= 1.5 * x),  # at x = 0 alone: the unsafe set is one point
        ("(>= Y_0 (+ (* 1.5 X_0) 4))", lambda x, y: y >= 1.5 * x + 4),
        ("(and (<= Y_0 0.5) (> X_0 0))", lambda x, y: y <= 0.5 and x > 0),
        ("(and (<= Y_0 0) (> X_0 0))", lambda x, y: y <= 0 and x > 0),
        ("(or (and (<= (+ Y_0 X_0) -3) (<= X_0 0)) (>= X_0 (+ Y_0 1)))", lambda x, y: x + y <= -3 or x >= y + 1),
    ],
)
def test_a_network_is_held_against_constraints_that_mix_inputs_and_outputs(tmp_path, asserted, unsafe):
    """y = 2 |x| on [-1, 1]; what is unsafe is looked for at 4,001 points, among them 0."""
    network = Network((Affine([[1.0], [-1.0]], [0.0, 0.0]), Affine([[2.0, 2.0]], [0.0])))
    path = tmp_path / "mixed.vnnlib"
    path.write_text(f"(declare-const X_0 Real)(declare-const Y_0 Real){BOX}(assert {asserted})")
    found = verify_files(network, path)
    points = [x for x in np.linspace(-1, 1, 4001).tolist() if unsafe(x, 2 * abs(x))]
    assert found.verdict == ("falsified" if points else "verified"), str(found)
    if points:
        x = float(found.counterexample.item())
        assert unsafe(x, 2 * abs(x))


def test_vnnlib_2_is_refused_by_name():
    text = "; a comment\n(declare-network net (declare-input X Real [3]) (declare-output Y Real []))"
    with pytest.raises(SpecError, match=r"small: written in VNN-LIB 2\.0"):
        parse(text, "small")


def test_strict_reading_refuses_exponents_alone():
    text = "(declare-const X_0 Real)(assert (<= X_0 {}))"
    assert parse(text.format("5.0"), strict=True) and parse(text.format("5e1"))
    with pytest.raises(SpecError, match="5e1 has an exponent"):
        parse(text.format("5e1"), strict=True)


def test_plain_and_compressed_files_are_read_and_others_refused(tmp_path):
    text = ONE + BOX + "(assert (<= Y_0 Y_1))"
    (tmp_path / "p.vnnlib").write_text(text)
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress(text.encode()))
    assert plain(read_vnnlib(tmp_path / "p.vnnlib")) == plain(read_vnnlib(tmp_path / "p.vnnlib.gz"))
    with pytest.raises(SpecError, match="there is no file"):
        read_vnnlib(tmp_path / "q.vnnlib")
    packed = gzip.compress(text.encode())
    for content in (b"no gzip", packed[:-9], packed[:20] + bytes(9) + packed[29:]):
        (tmp_path / "bad.vnnlib.gz").write_bytes(content)
        with pytest.raises(SpecError, match="cannot be read"):
            read_vnnlib(tmp_path / "bad.vnnlib.gz")


def test_terms_as_deep_as_tools_write_them_are_read():
    """A sum written as (+ (+ (+ Y_0 1) 1) ...), 200 deep."""
    term = "(+ " * 200 + "Y_0" + " 1)" * 200
    assert rows(f"(assert (<= {term} 0))") == [[((1, 0), -200, False)]]


def test_a_property_of_an_image_is_read_in_well_below_a_second(tmp_path):
    """784 inputs and nine disjuncts, as in the competition's MNIST properties."""
    declared = "".join(f"(declare-const X_{i} Real)\n" for i in range(784))
    declared += "".join(f"(declare-const Y_{i} Real)\n" for i in range(10))
    boxes = "".join(f"(assert (<= X_{i} 0.{i:03d}1))\n(assert (>= X_{i} -0.{i:03d}1))\n" for i in range(784))
    wrong = "".join(f"(and (>= Y_{i} Y_0))" for i in range(1, 10))
    started = time.process_time()
    (case,) = problem(f"{declared}{boxes}(assert (or {wrong}))").cases
    assert time.process_time() - started < 0.5  # about 0.06 s
    assert case.box.upper[783] == 0.7831 and len(case.unsafe) == 9


# The reference reader loses the constants here: it adds the rows Y_0 <= -1e-06 and Y_1 <= 1.3392, which must both hold,
# up to the one row Y_0 + Y_1 <= 1.3392. The file is read rightly below.
WRONG_REFERENCE = "wild_lsnc_quadrotor2d_state_4"


def test_reference_cases_give_what_is_expected():
    folder = reference("vnnlib_cases")
    cases = json.loads((folder / "cases.json").read_text())
    differing = []
    for case in cases:
        text = (folder / case["file"]).read_text()
        try:
            found = parse(text, strict=case["strict"]) if case["level"] == "syntax" else problem(text)
        except SpecError:
            differing += [case["name"]] if case["expect"] == "ok" else []
            continue
        wanted = {  # boxes as in plain()
            (
                tuple(tuple(map(float, side)) for side in box["box"]),
                frozenset(
                    frozenset((tuple(map(float, row)), float(limit)) for row, limit in zip(*d.values(), strict=True))
                    for d in box["disjuncts"]
                ),
            )
            for box in case.get("result") or []
        }  # fmt: skip
        if case["expect"] != "ok" or (case["level"] == "problem" and plain(found) != wanted):
            differing.append(case["name"])
    assert len(cases) == 47 and differing == [WRONG_REFERENCE]


def test_the_reference_case_that_is_read_otherwise_is_read_as_its_text_says():
    (case,) = read_vnnlib(reference("vnnlib_cases") / f"{WRONG_REFERENCE}.vnnlib").cases
    assert len(case.unsafe) == 13
    units = {(*(float(i == 1) for i in range(8)),): 1.3392}
    for disjunct in case.unsafe:
        assert len(disjunct) == 2 and units.items() <= {row.coefficients: row.limit for row in disjunct}.items()
    assert (tuple(float(i == 0) for i in range(8)), -1e-06) in {(r.coefficients, r.limit) for r in case.unsafe[0]}


def test_reference_files_of_vnnlib_2_are_refused_by_name():
    files = sorted((reference("vnnlib_cases") / "v2_standard").glob("*.vnnlib"))
    assert len(files) == 11
    for file in files:
        with pytest.raises(SpecError, match=r"VNN-LIB 2\.0"):
            read_vnnlib(file)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["acasxu", "mnist_fc", "oval21", "reach_prob_density", "verivital", "test"])
def test_competition_properties_have_the_expected_numbers_of_boxes_disjuncts_and_rows(family):
    folder = reference("vnncomp") / family
    with (folder / "parse_summary.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    for row in expected:
        path = folder / row["vnnlib"]
        found = read_vnnlib(path if path.exists() else path.with_name(path.name + ".gz"))
        assert [found.inputs, found.outputs, len(found.cases)] == [int(row[f"n_{name}"]) for name in
                                                                   ("inputs", "outputs", "boxes")]  # fmt: skip
        assert "/".join(str(len(case.unsafe)) for case in found.cases) == row["disjuncts_per_box"]
        assert "/".join(str(sum(map(len, case.unsafe))) for case in found.cases) == row["rows_per_box"]
