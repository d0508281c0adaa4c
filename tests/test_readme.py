"""What the README promises: its example runs, its commands and files exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example():
    """The README's Python."""
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    return block


def test_example_runs_and_says_what_the_text_around_it_says(capsys):
    names = {}
    exec(example(), names)
    said = capsys.readouterr().out
    assert said.lower().startswith("verified") and "FALSIFIED" in said
    assert names["counterexamples"] and all(names["net"](x).item() >= 0.5 for x in names["counterexamples"])
    assert all((x >= 0.8).all() and (x <= 0.9001).all() for x in names["counterexamples"])


def test_example_is_about_ten_lines():
    assert len([line for line in example().splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_linked_files_exist(path):
    assert (ROOT / path).is_file()


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"^`?make ([a-z-]+)|`make ([a-z-]+)", README, flags=re.MULTILINE))
    assert named and {first or second for first, second in named} <= targets


def test_every_lab_is_listed():
    """By name and without a link: the sources hold solutions and hidden tests."""
    labs = {path.parent.name for path in (ROOT / "labs").glob("*/*.py")}
    assert labs == set(re.findall(r"^\|.*\(`(\w+)`\) \|", README, flags=re.MULTILINE))
    assert "](labs/" not in README


def test_ci_runs_the_commands_of_the_readme_as_a_newcomer_and_then_everything():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = ["make setup", "make lint", "as_newcomer demo", "as_newcomer test", "make demo", "make test-all"]
    found = [re.search(rf"^{command}( PYTEST_ARGS=.*)?$", script, re.MULTILINE) for command in commands]
    places = [place.start() for place in found if place]
    assert len(places) == len(commands) and places == sorted(places) and "set -euo pipefail" in script
