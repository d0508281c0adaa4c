"""What is read in bulk is what the slow reader reads, token by token, whatever the shape of the file."""

from __future__ import annotations

import random

import pytest

from tests.shared_data import reference
from verifier.errors import SpecError
from verifier.frontends.vnnlib.bulk import Bulk
from verifier.frontends.vnnlib.file import problem, vnnlib_text
from verifier.frontends.vnnlib.syntax import ReadingStopped, Source

from . import slow_reader

HEAD = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
BOX = "(assert (<= X_0 1))(assert (>= X_0 0))(assert (<= X_1 1))(assert (>= X_1 0))"


def plain(found):
    return {
        (
            tuple(zip(case.box.lower.tolist(), case.box.upper.tolist(), strict=True)),
            frozenset(frozenset(row[:3] for row in disjunct) for disjunct in case.unsafe),
        )
        for case in found.cases
    }


def both(text):
    """What the package reads and what the slow reader reads; None for refused."""
    try:
        ours = plain(problem(text))
    except SpecError:
        ours = None
    try:
        slow = slow_reader.read(text)
    except slow_reader.Refused:
        slow = None
    return ours, slow


def random_property(draw: random.Random) -> str:
    """Mostly shapes that are read in bulk, written in several ways, with some that are not."""
    inputs, outputs = draw.randint(1, 4), draw.randint(1, 3)
    space = draw.choice((" ", "  ", "\n", "\r\n", "\t"))

    def number():
        return draw.choice((
            f"{draw.gauss():.17g}", f"{draw.randint(-3, 3)}", f"{draw.randint(-3, 3)}.", f".{draw.randint(0, 9)}",
            f"+{draw.randint(0, 3)}.5", "-0.0", "-0", "1e-7", "2.5E+1", "0.30000000000000004",
            f"{draw.randint(0, 10**30)}e-30", "0.1", "(- 0.5)", "(* 2 0.1)", "0." + "1" * 60, "1e-120",
        ))  # fmt: skip

    def atom():
        if draw.random() < 0.6:
            name, sign = f"X_{draw.randrange(inputs)}", draw.choice(("<=", ">="))
        else:
            name, sign = f"Y_{draw.randrange(outputs)}", draw.choice(("<=", ">=", "<", ">", "="))
        other = f"Y_{draw.randrange(outputs)}" if name[0] == "Y" and draw.random() < 0.4 else number()
        parts = (name, other) if draw.random() < 0.8 else (other, name)
        if draw.random() < 0.05:
            parts = (f"(+{space}{name} 0.1)", other)
        if draw.random() < 0.15:
            named = [draw.randrange(outputs) for _ in range(draw.randint(1, 4))]
            terms = [f"(*{space}{number()} Y_{i})" if draw.random() < 0.8 else f"Y_{i}" for i in named]
            terms += [number()] * (draw.random() < 0.1)
            parts = (f"(+ {space.join(terms)}{draw.choice(('', ' '))})", number())
        if draw.random() < 0.02:
            parts = (number(), number())
        return f"({sign}{space}{parts[0]} {parts[1]}{draw.choice(('', ' '))})"

    def conjunction():
        return f"(and{space}{space.join(atom() for _ in range(draw.randint(1, 5)))})"

    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)]
    lines += [
        draw.choice(("(declare-const Y_{} Real)", "(declare-fun Y_{} () Real)")).format(i) for i in range(outputs)
    ]
    for i in range(inputs):
        lines += [f"(assert (>= X_{i} {draw.randint(-5, 0)}.25))", f"(assert (<= X_{i} {draw.randint(-1, 4)}))"]
    if draw.random() < 0.3:
        lines.insert(draw.randrange(len(lines)), "; a comment (assert (<= X_0 0))")
    for _ in range(draw.randint(0, 3)):
        kind = draw.random()
        if kind < 0.4:
            parts = [conjunction() if draw.random() < 0.7 else atom() for _ in range(draw.randint(1, 4))]
            lines.append(f"(assert{space}(or {space.join(parts)}))")
        else:
            lines.append(f"(assert {conjunction() if kind < 0.6 else atom()})")
    if draw.random() < 0.1:
        lines.append("(assert (<= X_9 1))")
    return draw.choice(("\n", "\n\n", " ")).join(lines) + "\n" if "comment" not in "".join(lines) else "\n".join(lines)


def test_random_properties_are_read_as_by_the_slow_reader():
    draw, read, empty = random.Random(11), 0, 0
    for _ in range(3_000):
        text = random_property(draw)
        ours, slow = both(text)
        assert ours == slow, text
        read += slow is not None
        empty += slow == set()
    assert read > 1_500 and empty > 100


@pytest.mark.parametrize(
    "limit",
    ["0.1", "-0.0", "1e-160", "1e160", "1e99", "9" * 50, "9" * 51, "0." + "3" * 50, "0." + "3" * 51, "1e-99", "1e-100",
     "1e5", "1E5", "+7", "7.", ".7", "2.5e+01", "0.1000000000000000055511151231257827021181583404541015625"],
)  # fmt: skip
def test_a_number_is_read_as_the_nearest_float64_of_its_exact_value(limit):
    ours, slow = both(
        f"{HEAD}{BOX}(assert (<= Y_0 {limit}))(assert (>= Y_1 {limit}))(assert (>= X_0 -{limit.strip('+-')}))"
    )
    assert ours == slow is not None


def test_the_common_shapes_are_read_in_bulk():
    """None of these commands is left to the reader of tokens."""
    text = f"{HEAD}\n{BOX}" + (
        "(assert (or (and (<= X_0 0.5) (>= X_0 -1e-3) (<= Y_0 Y_1)) (and (>= Y_0 3.5)) (<= Y_1 2)))"
        "(assert (and (<= X_0 1) (< Y_0 4) (<= 3 Y_1) (<= (+ (* 2 Y_0) Y_1) 0.5)))\n(assert (<= Y_0 Y_1))"
    )
    source = Source(text, "property")
    bulk = Bulk(source, {})
    forms = [bulk.read() for _ in range(4)]
    assert [len(form) for form in forms] == [1, 3, 1, 1] and source.position == len(text)
    assert source.command() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(assert (or (and (<= X_0 1) (<= X_7 1))))", "line 4: 'X_7' is not declared"),
        ("(assert (or (<= Y_0 1) (<= Y_2 1)))", "line 4: 'Y_2' is not declared"),
        ("(assert (or (<= Y_0 1) (<= Y_1 Y_02)))", "line 4: 'Y_02' is not declared"),
        ("(assert (<= X_0 1)", "line 4: the file ends within this command"),
        ("(assert (or (<= Y_0 1) (<= Y_0 1)", "line 4: the file ends within this command"),
        ("(assert (<= X_0 1)))", "line 4: a closing parenthesis too many"),
        ("(assert (or (and)))", "line 4: and stands without arguments"),
        ("(assert (<= Y_0 1e-400))", "line 4: a constant is below 1e-300"),
        ("(assert (<= X_0 0x10))", "line 4: "),
    ],
)
def test_what_is_wrong_in_a_common_shape_is_refused_by_its_line(text, said):
    with pytest.raises(SpecError, match=said):
        problem(f"{HEAD}\n; a comment\n{BOX}\n{text}")


def test_reading_ends_where_the_caller_says_so():
    """In every kind of long stretch: runs of bounds, disjunctions in bulk, and terms that are read token by token."""
    many = 20_000
    for text in (
        HEAD + "(assert (<= X_0 1))" * many,
        HEAD + BOX + "(assert (or" + "(and (<= Y_0 1) (>= Y_1 2))" * many + "))",
        HEAD + BOX + "(assert (or" + "(and (<= (+ Y_0 Y_1) 1) (>= Y_1 2))" * many + "))",
    ):
        asked = iter([False, False, False, True])
        with pytest.raises(ReadingStopped):
            problem(text, stop=lambda asked=asked: next(asked))


def test_a_mark_of_the_byte_order_and_other_ends_of_lines_are_read(tmp_path):
    path = tmp_path / "p.vnnlib"
    text = f"; of a tool\n{HEAD}\n{BOX}\n(assert (<= Y_0 Y_1))\n"
    for written in (text, text.replace("\n", "\r\n")):
        path.write_bytes(b"\xef\xbb\xbf" + written.encode())
        assert plain(problem(vnnlib_text(path))) == slow_reader.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "(assert (<= 1 0))",
        "(assert (< Y_0 Y_0))",
        "(assert (> 0.5 0.5))",
        "(assert (>= X_0 1.5))",
        "(assert (and (<= X_1 0.25) (>= X_1 0.5)))",
        "(assert (or (and (>= X_0 2) (<= Y_0 1)) (and (<= X_1 -1) (<= Y_0 1))))",
        "(assert (>= X_0 1.1))(assert (or (<= Y_0 1) (>= Y_0 2)))",
    ],
)
def test_assertions_that_contradict_each_other_leave_no_box(text):
    assert problem(HEAD + BOX + text).cases == () and slow_reader.read(HEAD + BOX + text) == set()


def test_properties_of_the_competition_are_read_as_by_the_slow_reader():
    files = sorted(reference("vnncomp").glob("*/**/*.vnnlib*"), key=lambda path: path.stat().st_size)
    assert len(files) > 100
    for path in files[:: max(1, len(files) // 40)]:
        text = vnnlib_text(path)
        if len(text) < 300_000:
            assert plain(problem(text)) == slow_reader.read(text), path
