"""The text of a VNN-LIB 1.0 file: from characters to declarations and assertions, all constants as exact rationals.

What the assertions mean for a network is the matter of parts.py; here they are nested lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
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
_COMMENT = re.compile(r";[^\n]*")
_EXPONENT = re.compile(r"[eE]([-+]?\d+)$")
MAX_CHARACTERS = 1_000  # of a number; as an exact rational it takes time that grows with its length,
MAX_EXPONENT = 1_000  # and with its exponent; float64 ends at 308
MAX_DEPTH = 250  # of terms within terms, which are read by recursion
TOKENS_PER_LOOK = 2_000  # between two looks at the clock
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
    source = Source(text, name, strict)
    variables: dict[str, None] = {}
    assertions: list[tuple[int, Term]] = []
    while (command := source.command()) is not None:
        asserted = interpret(command, variables, source.where)
        if asserted is not None:
            assertions.append((source.begun, asserted))
    return Script(tuple(variables), tuple(assertions))


def interpret(command: list[Term], variables: dict[str, None], where: str) -> Term | None:
    """Carry out one command: a declaration adds to the variables, an assertion gives its term.

    Raises:
        SpecError: There is no such command, or it is not written as it should be.
    """
    head = command[0] if command and isinstance(command[0], str) else None
    if head in ("declare-const", "declare-fun"):
        variables[_declared(command, where)] = None
    elif head == "assert":
        if len(command) != 2:
            raise SpecError(f"{where}: assert takes one term, found {len(command) - 1}")
        return _resolved(command[1], variables, where)
    elif head not in _IGNORED:
        raise SpecError(f"{where}: unknown command {head!r}; expected declare-const or assert")
    return None


class ReadingStopped(Exception):
    """The caller's `stop` said that reading should end."""


class Source:
    """The text of a file, read command by command; whoever can read a stretch faster moves the position on.

    Args:
        text: The whole file.
        name: What to call it in messages.
        strict: As for parse().
        stop: Asked now and then whether reading should end.

    Raises:
        SpecError: The file is of VNN-LIB 2.0.
    """

    def __init__(self, text: str, name: str, strict: bool = False, stop: Callable[[], bool] | None = None) -> None:
        """Stand before the first command."""
        if _NEWER.match(text):
            raise SpecError(f"{name}: written in VNN-LIB 2.0 (declare-network); only VNN-LIB 1.0 is supported")
        if ";" in text and "|" not in text and '"' not in text:
            text = _COMMENT.sub("", text)  # elsewhere a semicolon may stand within a name or a string
        self.text, self.name, self.strict, self._stop = text, name, strict, stop
        self.position = 0
        self._line, self._counted = 1, 0  # the line of the character `_counted`
        self._begun_at = 0

    @property
    def begun(self) -> int:
        """The line where the command that was read last begins."""
        self._line += self.text.count("\n", self._counted, self._begun_at)
        self._counted = self._begun_at
        return self._line

    @property
    def where(self) -> str:
        """That line, for messages."""
        return f"{self.name}, line {self.begun}"

    def look(self) -> None:
        """Ask whether to go on.

        Raises:
            ReadingStopped: The caller says no.
        """
        if self._stop is not None and self._stop():
            raise ReadingStopped

    def command(self) -> list[Term] | None:
        """Read one command as nested lists; None at the end of the file."""
        text, match, tokens = self.text, _TOKEN.match, 0
        open_lists: list[list[Term]] = []
        while self.position < len(text):
            found = match(text, self.position)
            if found is None:
                raise SpecError(f"{self._here()}: unexpected {text[self.position : self.position + 12]!r}")
            kind, tokens = found.lastgroup, tokens + 1
            if tokens % TOKENS_PER_LOOK == 0:
                self.look()
            if kind == "open":
                if not open_lists:
                    self._begun_at = self.position
                open_lists.append([])
                if len(open_lists) > MAX_DEPTH:
                    raise SpecError(f"{self._here()}: terms within terms, more than {MAX_DEPTH} deep")
            elif kind == "close":
                if not open_lists:
                    raise SpecError(f"{self._here()}: a closing parenthesis too many")
                done = open_lists.pop()
                if not open_lists:
                    self.position = found.end()
                    return done
                open_lists[-1].append(done)
            elif kind != "space":
                open_lists[-1].append(self._value(kind, found.group())) if open_lists else self._refuse(found.group())
            self.position = found.end()
        if open_lists:
            raise SpecError(f"{self.where}: the file ends within this command")
        return None

    def _here(self) -> str:
        return f"{self.name}, line {self.text.count(chr(10), 0, self.position) + 1}"

    def _refuse(self, token: str) -> None:
        raise SpecError(f"{self._here()}: {token!r} stands outside of any command")

    def _value(self, kind: str | None, token: str) -> Term:
        if kind in ("number", "coded") and len(token) > MAX_CHARACTERS:
            raise SpecError(f"{self._here()}: the number {token[:12]}... has {len(token):,} characters")
        if kind == "number":
            exponent = _EXPONENT.search(token)
            if exponent is not None and self.strict:
                raise SpecError(f"{self._here()}: {token} has an exponent")
            if exponent is not None and abs(int(exponent[1])) > MAX_EXPONENT:
                raise SpecError(f"{self._here()}: {token} is beyond the numbers of float64")
            return _fraction(token)
        if kind == "coded":
            return Fraction(int(token[2:], 2 if token[1] == "b" else 16))
        if kind == "quoted":
            return token[1:-1]
        return token if kind == "symbol" else Text(token)


@lru_cache(maxsize=10_000)
def _fraction(token: str) -> Fraction:
    return Fraction(token)


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
