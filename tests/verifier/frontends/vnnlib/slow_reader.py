"""A slow reader of VNN-LIB 1.0, kept as the reference for the one that reads in bulk: token by token, all in rationals.

It shares no code with the package, and gives boxes with their disjuncts as plain sets.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from fractions import Fraction


class Refused(Exception):
    """The text is not a property that can be read."""


TOKEN = re.compile(r"\s+|;[^\n]*|[()]|[^\s();]+")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
VARIABLE = re.compile(r"([XY])_(\d+)")


def nested(text):
    """Commands as lists of strings and lists."""
    whole, at = [[]], 0
    while at < len(text):
        token = TOKEN.match(text, at)
        at = token.end()
        word = token.group()
        if word == "(":
            whole.append([])
        elif word == ")":
            if len(whole) == 1:
                raise Refused("closing")
            done = whole.pop()
            whole[-1].append(done)
        elif not word.isspace() and not word.startswith(";"):
            whole[-1].append(word)
    if len(whole) > 1:
        raise Refused("open")
    return whole[0]


def linear(term, declared):
    """Coefficients by variable, the constant under None."""
    if isinstance(term, str):
        if NUMBER.fullmatch(term):
            return {None: Fraction(term)}
        if term not in declared:
            raise Refused(term)
        return {term: Fraction(1)}
    parts = [linear(one, declared) for one in term[1:]]
    total = defaultdict(Fraction)
    if term[0] == "+" or (term[0] == "-" and len(parts) > 1):
        for i, part in enumerate(parts):
            for name, value in part.items():
                total[name] += value if term[0] == "+" or i == 0 else -value
        return total
    if term[0] == "-":
        return {name: -value for name, value in parts[0].items()}
    if term[0] == "*" and sum(not set(part) <= {None} for part in parts) <= 1:
        factor = math.prod(part.get(None, Fraction(0)) for part in parts if set(part) <= {None})
        other = next((part for part in parts if not set(part) <= {None}), {None: Fraction(1)})
        return {name: value * factor for name, value in other.items()}
    raise Refused(term[0])


def disjuncts(term, declared):
    """Lists of inequalities (coefficients, limit, strict), coefficients . variables <= limit."""
    if isinstance(term, str):
        raise Refused(term)
    if term[0] == "or":
        return [one for part in term[1:] for one in disjuncts(part, declared)]
    if term[0] == "and":
        choices = itertools.product(*(disjuncts(part, declared) for part in term[1:]))
        return [list(itertools.chain(*choice)) for choice in choices]
    if term[0] not in ("<=", "<", ">=", ">", "=") or len(term) != 3:
        raise Refused(term[0])
    left, right = (linear(one, declared) for one in term[1:])
    found = []
    for small, large in ((left, right),) * (term[0] in ("<=", "<", "=")) + ((right, left),) * (
        term[0] in (">=", ">", "=")
    ):
        difference = defaultdict(Fraction, small)
        for name, value in large.items():
            difference[name] -= value
        limit = -difference.pop(None, Fraction(0))
        found.append(({name: value for name, value in difference.items() if value}, limit, term[0] in ("<", ">")))
    return [found]


def read(text):
    """Boxes (pairs of float64) with sets of disjuncts, each a frozenset of rows (coefficients, limit, strict)."""
    declared, forms = {}, []
    for command in nested(text):
        if command[0] == "declare-const" or command[0] == "declare-fun":
            declared[command[1]] = None
        elif command[0] == "assert":
            forms.append(disjuncts(command[1], declared))
        else:
            raise Refused(command[0])
    sizes = {kind: sum(name.startswith(kind) for name in declared) for kind in "XY"}
    cases = defaultdict(set)
    for choice in itertools.product(*forms):
        low, high, rows, possible = [-math.inf] * sizes["X"], [math.inf] * sizes["X"], set(), True
        for coefficients, limit, strict in itertools.chain(*choice):
            kinds = {name[0] for name in coefficients}
            if not kinds:
                possible &= limit > 0 or (limit == 0 and not strict)
            elif kinds == {"Y"}:
                row = [0.0] * sizes["Y"]
                for name, value in coefficients.items():
                    row[int(name[2:])] = float(value)
                rows.add((tuple(row), float(limit), strict))
            elif kinds == {"X"} and len(coefficients) == 1 and not strict:
                ((name, value),) = coefficients.items()
                index, bound = int(name[2:]), float(limit / value)
                if value > 0:
                    high[index] = min(high[index], bound)
                else:
                    low[index] = max(low[index], bound)
            else:
                raise Refused("box")
        if not possible or any(a > b for a, b in zip(low, high, strict=True)):
            continue
        if any(map(math.isinf, low + high)):
            raise Refused("unbounded")
        cases[tuple(zip(low, high, strict=True))].add(frozenset(rows))
    return {(box, frozenset(found)) for box, found in cases.items()}
