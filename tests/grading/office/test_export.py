"""What an export says to the spreadsheet that opens it."""

import csv
import io

import pytest

from grading.course import shown
from grading.office.export import harmless


@pytest.mark.parametrize("name", ["a;=1+1", "a\t=1+1", "a\n=1+1", "a;b;@SUM(1)", ";=1"])
def test_no_cell_begins_a_formula_where_semicolons_or_tabs_end_cells(name):
    written = io.StringIO()
    csv.writer(written).writerow([harmless(name), "7"])
    for separator in ";\t,\n":
        parts = written.getvalue().split(separator)
        assert separator == "," or len(parts) <= 2  # the line's own end
        assert not any(part.strip(' "').startswith(("=", "@")) for part in parts if separator != ",")


def test_numbers_stay_numbers():
    assert [harmless(text) for text in ("7", "-0.5", "0.1")] == ["7", "-0.5", "0.1"]


def test_a_name_that_is_printed_gives_the_terminal_no_orders():
    assert shown("\x1b]0;title\x07Ann\nBob\u202e") == "?]0;title?Ann?Bob?"
