"""Cleaning what a student wrote costs little, whatever it is; honest tables and figures come through."""

import io
import resource
import time

import matplotlib as mpl
import pytest

from grading.run.clean import RefusedError, clean_svg
from grading.run.cleaner import Budget, Cleaner
from grading.run.sanitise import safe_html, safe_markdown

DEEP = {
    "divs": ("html", "<div>" * 30_000),
    "divs that are closed": ("html", "<div>" * 20_000 + "</div>" * 20_000),
    "formatting that is opened again": ("html", "<b><i><u><s>" * 10_000 + "<p>" * 9000),
    "tables": ("html", "<table><tr><td>" * 12_000),
    "quotes in Markdown": ("markdown", ">" * 30_000 + "x"),
    "lists in Markdown": ("markdown", "\n".join(" " * (2 * k) + "- x" for k in range(400))),
    "emphasis in Markdown": ("markdown", "*_" * 50_000),
    "links in Markdown": ("markdown", "[" * 50_000),
    "divs in Markdown": ("markdown", "<div>" * 30_000),
    "an unknown tag": ("html", "<a " * 60_000),
    "attributes": ("html", "<p " + " ".join(f"a{k}=1" for k in range(20_000)) + ">"),
}


@pytest.fixture(scope="module")
def cleaner():
    started = Cleaner()
    yield started
    started.close()


@pytest.mark.parametrize("name", DEEP)
def test_a_text_that_is_dear_to_read_costs_the_grader_nothing(cleaner, name):
    """html_deep: 150 kB of `<div>` took 247 s of the grader's own process, and 15 kB a gigabyte."""
    kind, text = DEEP[name]
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    made = cleaner.clean(kind, text)
    assert time.process_time() - started < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert len(made) < 500_000


def test_after_a_text_that_was_too_much_the_next_is_cleaned(cleaner, monkeypatch):
    assert "not shown" in cleaner.clean("html", "<div>" * 30_000)
    cleaner._process.kill()
    assert "takes too long" in cleaner.clean("html", "<b>one</b>")
    assert cleaner.clean("html", "<b>two</b><script>x</script>") == "<b>two</b>x"


def test_one_page_can_spend_its_budget_and_no_more(cleaner):
    budget = Budget(characters=100)
    assert cleaner.clean("html", "x" * 90, budget) == "x" * 90
    assert "not shown" in cleaner.clean("html", "x" * 20, budget)


LAUGHS = '<g id="g0"><path d="M0 0"/></g>' + "".join(
    f'<g id="g{k}">' + f'<use href="#g{k - 1}"/>' * 10 + "</g>" for k in range(1, 9)
)
DRAWINGS = {
    "what refers to itself": f'<svg xmlns="http://www.w3.org/2000/svg">{LAUGHS}<use href="#g8"/></svg>',
    "a loop": '<svg xmlns="http://www.w3.org/2000/svg"><g id="a"><use href="#a"/></g></svg>',
    "an entity": '<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg"><text>&a;</text></svg>',
    "a picture in it": '<svg xmlns="http://www.w3.org/2000/svg"><image href="data:image/svg+xml;base64,AA"/></svg>',
    "a filter": '<svg xmlns="http://www.w3.org/2000/svg"><filter id="f"><feTile/></filter></svg>',
    "a pattern": '<svg xmlns="http://www.w3.org/2000/svg"><rect fill="url(#p)"/><pattern id="p"/></svg>',
    "a script": '<svg xmlns="http://www.w3.org/2000/svg"><script>x</script></svg>',
    "HTML": '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject/></svg>',
    "another page": '<svg xmlns="http://www.w3.org/2000/svg"><use href="https://example.org/#a"/></svg>',
    "not XML": "<svg",
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_that_repeats_itself_or_loads_something_is_not_shown(name):
    with pytest.raises(RefusedError):
        clean_svg(DRAWINGS[name])


def test_figures_of_matplotlib_are_shown_as_drawings():
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [1, 4, 9], marker="o", label="squares")
    axes.legend()
    file = io.StringIO()
    figure.savefig(file, format="svg")
    plt.close(figure)
    assert clean_svg(file.getvalue()).startswith('<img src="data:image/svg+xml;base64,')


def test_a_table_of_two_hundred_rows_is_shown():
    row = "<tr><th>1</th>" + "<td>0.5</td>" * 12 + "</tr>"
    table = f'<div><table border="1" class="dataframe"><tbody>{row * 200}</tbody></table></div>'
    assert safe_html(table).count("<tr>") == 200


def test_honest_markdown_is_shown():
    made = safe_markdown("# Title\n\nSome *text*, `code` and a [link](https://example.org).\n\n- one\n- two\n")
    assert "<em>text</em>" in made and "<li>" in made and 'href="https://example.org"' in made


def test_texts_that_take_too_long_are_tried_three_times_for_a_page(cleaner):
    """Five hundred cells that cost four seconds each would be half an hour."""
    budget, tried = Budget(), []

    class Slow(Cleaner):
        def _start(self):
            tried.append(1)
            raise TimeoutError

    for _ in range(9):
        assert "not shown" in Slow().clean("markdown", "x", budget)
    assert len(tried) == 3
