"""The text of a VNN-LIB 1.0 file: from characters to declarations and assertions, all constants as exact rationals.

What the assertions mean for a network is the matter of file.py; here they are nested lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verifier.errors import SpecError

_SYMBOL = r"A-Za-z~!@$%^&*_+=<>.?/\-"
_TOKEN = re.compile(
    rf"""(?P<space>(?:\s+|;[^\n]*)+)
    |(?P<open>\()
    |(?P<close>\))
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?=[\s();]|$))
    |(?P<symbol>[{_SYMBOL}][{_SYMBOL}0-9]*)
    |(?P<coded>\#(?:b[01]+|x[0-9A-Fa-f]+)(?=[\s();]|$))
    |(?P<quoted>\|[^|\\]*\|)
    |(?P<text>"(?:[^"]|"")*")
    |(?P<keyword>:[{_SYMBOL}0-9]+)""",
    re.VERBOSE,
)
_NEWER = re.compile(r"(?:\s|;[^\n]*\n)*\(\s*(?:vnnlib-version|declare-network)\b")
_EXPONENT = re.compile(r"[eE]([-+]?\d+)$")
MAX_CHARACTERS = 1_000  # of a number; as an exact rational it takes time that grows with its length,
MAX_EXPONENT = 1_000  # and with its exponent; float64 ends at 308
MAX_DEPTH = 250  # of terms within terms, which are read by recursion
_IGNORED = ("set-logic", "set-info", "set-option", "check-sat", "get-model", "exit")

Term = Any  # a Fraction, the name of a variable, a Text, or a list [operator, term, ...]


@dataclass(frozen=True)
class Text:
    """A string or a keyword, which means nothing in an assertion."""

    value: str


@dataclass(frozen=True)
class Script:
    """What a file declares and asserts.

    Args:
        variables: Names in the order of their declaration.
        assertions: The line and the term of each.
    """

    variables: tuple[str, ...]
    assertions: tuple[tuple[int, Term], ...]


def parse(text: str, name: str = "property", strict: bool = False) -> Script:
    """Read the text of a VNN-LIB 1.0 file.

    Args:
        text: The whole file.
        name: What to call it in messages.
        strict: Whether numbers with an exponent, which the standard lacks but real files have, are refused.

    Raises:
        SpecError: Names the line and what is wrong there; a file of VNN-LIB 2.0 is refused as such.

    Example:
        >>> parse("(declare-const X_0 Real) (assert (<= X_0 1.5))").assertions
        ((1, ['<=', 'X_0', Fraction(3, 2)]),)
    """
    if _NEWER.match(text):
        raise SpecError(f"{name}: written in VNN-LIB 2.0 (declare-network); only VNN-LIB 1.0 is supported")
    variables: dict[str, None] = {}
    assertions: list[tuple[int, Term]] = []
    for line, command in _commands(text, name, strict):
        where = f"{name}, line {line}"
        head = command[0] if command and isinstance(command[0], str) else None
        if head in ("declare-const", "declare-fun"):
            variables[_declared(command, where)] = None
        elif head == "assert":
            if len(command) != 2:
                raise SpecError(f"{where}: assert takes one term, found {len(command) - 1}")
            assertions.append((line, _resolved(command[1], variables, where)))
        elif head not in _IGNORED:
            raise SpecError(f"{where}: unknown command {head!r}; expected declare-const or assert")
    return Script(tuple(variables), tuple(assertions))


def _commands(text: str, name: str, strict: bool) -> Iterator[tuple[int, list[Term]]]:
    """Group the tokens into the commands of the file, each with the line where it begins."""
    open_lists: list[list[Term]] = []
    position, line, start = 0, 1, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise SpecError(f"{name}, line {line}: unexpected {text[position : position + 12]!r}")
        kind, token = found.lastgroup, found.group()
        if kind == "open":
            start = start if open_lists else line
            open_lists.append([])
            if len(open_lists) > MAX_DEPTH:
                raise SpecError(f"{name}, line {line}: terms within terms, more than {MAX_DEPTH} deep")
        elif kind == "close":
            if not open_lists:
                raise SpecError(f"{name}, line {line}: a closing parenthesis too many")
            done = open_lists.pop()
            if open_lists:
                open_lists[-1].append(done)
            else:
                yield start, done
        elif kind != "space":
            if not open_lists:
                raise SpecError(f"{name}, line {line}: {token!r} stands outside of any command")
            if strict and kind == "number" and "e" in token.lower():
                raise SpecError(f"{name}, line {line}: {token} has an exponent")
            open_lists[-1].append(_value(kind, token, f"{name}, line {line}"))
        line += token.count("\n")
        position = found.end()
    if open_lists:
        raise SpecError(f"{name}, line {start}: the file ends within this command")


def _value(kind: str | None, token: str, where: str) -> Term:
    if kind in ("number", "coded") and len(token) > MAX_CHARACTERS:
        raise SpecError(f"{where}: the number {token[:12]}... has {len(token):,} characters")
    if kind == "number":
        exponent = _EXPONENT.search(token)
        if exponent is not None and abs(int(exponent[1])) > MAX_EXPONENT:
            raise SpecError(f"{where}: {token} is beyond the numbers of float64")
        return Fraction(token)
    if kind == "coded":
        return Fraction(int(token[2:], 2 if token[1] == "b" else 16))
    if kind == "quoted":
        return token[1:-1]
    return token if kind == "symbol" else Text(token)


def _declared(command: list[Term], where: str) -> str:
    arguments = command[1:]
    if command[0] == "declare-fun" and len(arguments) == 3 and arguments[1] == []:
        del arguments[1]
    if len(arguments) != 2 or not isinstance(arguments[0], str):
        raise SpecError(f"{where}: expected (declare-const NAME Real)")
    if arguments[1] != "Real":
        raise SpecError(f"{where}: {arguments[0]} is of sort {arguments[1]}; only Real is supported")
    return arguments[0]


def _resolved(term: Term, variables: dict[str, None], where: str) -> Term:
    """Check that every variable is declared, and write -X as [-, X]."""
    if isinstance(term, list):
        if not term or not isinstance(term[0], str):
            raise SpecError(f"{where}: a term must begin with an operator")
        if len(term) == 1:
            raise SpecError(f"{where}: {term[0]} stands without arguments")
        return [term[0], *(_resolved(part, variables, where) for part in term[1:])]
    if not isinstance(term, str) or term in variables:
        return term
    if term.startswith("-") and term[1:] in variables:
        return ["-", term[1:]]
    raise SpecError(f"{where}: {term!r} is not declared")
