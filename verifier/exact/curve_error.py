"""The largest error of a network of one input against a polynomial: enclosed in rationals, and compared exactly.

On each piece of the network the error net(x) - p(x) is a polynomial. Its Bernstein coefficients enclose it on the
piece, and halving brings them closer to it. The part whose coefficients reach farthest is halved first, so at any
moment the farthest of all parts is a proved bound on |net(x) - p(x)|, and the best point met so far attains its own.

    |e|  proved   - - - - - - -+---+- -        the part to halve next
         attained - - - - - - -|-x-|- -
              +---+      +-----+   +---+
         +----+   +------+             +--> x
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from verifier.exact.bernstein import bernstein, halves
from verifier.exact.pieces import Piece
from verifier.exact.univariate import is_nonnegative
from verifier.question.polynomial import Polynomial

HALVINGS = 80  # of a piece: by then it is narrower than float64 can tell
DECIDE_AFTER = 8  # halvings of a piece, before its sign is decided exactly: what most ties need
DECIDE_DEGREE = 30  # beyond which that would take long


@dataclass(frozen=True)
class ErrorPart:
    """A part of a piece, with the error's Bernstein coefficients on it.

    Args:
        piece: Number of the piece.
        lower: Left end.
        upper: Right end.
        coefficients: Of the error, an array of Fractions.
        halvings: How often its piece was halved.
    """

    piece: int
    lower: Fraction
    upper: Fraction
    coefficients: Any
    halvings: int = 0

    @property
    def reach(self) -> Fraction:
        """A bound on |error| on this part."""
        largest: Fraction = max(abs(c) for c in self.coefficients)
        return largest

    @property
    def farthest(self) -> Fraction:
        """The point that belongs to the farthest coefficient."""
        degree = len(self.coefficients) - 1
        place = max(range(degree + 1), key=lambda k: abs(self.coefficients[k]))
        return self.lower + (self.upper - self.lower) * (Fraction(place, degree) if degree else Fraction(1, 2))


class CurveError:
    """Best-first search for the largest |net(x) - p(x)| on an interval.

    Args:
        pieces: Of the network, from left to right.
        polynomial: In one variable.
        nearest: Takes a point to the nearest value of the caller's dtype inside the caller's interval.
    """

    def __init__(self, pieces: Sequence[Piece], polynomial: Polynomial, nearest: Callable[[Fraction], float]) -> None:
        """Begin with one part for each piece."""
        self._nearest, self._polynomial, self._pieces = nearest, polynomial, pieces
        self._starts = [piece.lower for piece in pieces]
        x = Polynomial.variable(0, 1)
        self._errors = [piece.slopes[0] * x + piece.offsets[0] - polynomial for piece in pieces]
        self._count = itertools.count()
        self._heap: list[tuple[Fraction, int, ErrorPart]] = []
        self._settled = Fraction(0)
        self._taken: ErrorPart | None = None
        self.parts = 0
        self.at = nearest(pieces[0].lower)
        self.attained = self.error_at(self.at)
        for number, (piece, error) in enumerate(zip(pieces, self._errors, strict=True)):
            self.try_point(piece.upper)
            coefficients = bernstein(error, [piece.lower], [piece.upper])
            self._push(ErrorPart(number, piece.lower, piece.upper, coefficients))

    @property
    def proved(self) -> Fraction:
        """A bound on |error| on the whole interval, at any moment."""
        known = [self.attained, self._settled]
        known += [] if self._taken is None else [self._taken.reach]
        return max(known + [-entry[0] for entry in self._heap[:1]])

    def error_at(self, x: float) -> Fraction:
        """|net(x) - p(x)|, exactly."""
        point = Fraction(x)
        piece = self._pieces[max(0, bisect.bisect_right(self._starts, point) - 1)]
        return abs(piece.slopes[0] * point + piece.offsets[0] - self._polynomial(point))

    def try_point(self, point: Fraction) -> float:
        """Evaluate the error at the caller's value nearest to a point, and keep it if it is the largest so far."""
        x = self._nearest(point)
        error = self.error_at(x)
        if error > self.attained:
            self.attained, self.at = error, x
        return x

    def pop(self) -> ErrorPart | None:
        """Take the part that reaches farthest; it comes back by keep(), settle() or halve()."""
        self._taken = self._heap[0][2] if self._heap else None  # before it leaves the heap: Ctrl-C may come between
        if self._heap:
            heapq.heappop(self._heap)
        return self._taken

    def keep(self, part: ErrorPart) -> None:
        """Put a part back as it is."""
        self._push(part, counted=False)
        self._taken = None

    def settle(self, part: ErrorPart, bound: Fraction) -> None:
        """Leave a part out: its |error| is at most this bound."""
        self._settled = max(self._settled, min(bound, part.reach))
        self._taken = None

    def halve(self, part: ErrorPart) -> None:
        """Put the two halves of a part back, and evaluate the error where they meet."""
        middle = (part.lower + part.upper) / 2
        left, right = halves(part.coefficients)
        self._push(ErrorPart(part.piece, part.lower, middle, left, part.halvings + 1))
        self._push(ErrorPart(part.piece, middle, part.upper, right, part.halvings + 1))
        self._taken = None
        self.try_point(middle)

    def holds_one_value(self, part: ErrorPart) -> bool:
        """Whether a part is so narrow that the caller's dtype has no two values in it."""
        return self._nearest(part.lower) == self._nearest(part.upper)

    def stays_within(self, part: ErrorPart, tolerance: Fraction) -> bool | None:
        """Decide exactly whether |error| <= tolerance on a part; None where that would take long."""
        error = self._errors[part.piece]
        if error.degree > DECIDE_DEGREE:
            return None
        return all(
            is_nonnegative((tolerance + sign * error).coefficients(), part.lower, part.upper) for sign in (1, -1)
        )

    def _push(self, part: ErrorPart, counted: bool = True) -> None:
        self.parts += counted
        heapq.heappush(self._heap, (-part.reach, next(self._count), part))
