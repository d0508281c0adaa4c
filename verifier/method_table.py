"""The table of methods: one entry for each name that `method=` takes, and everything that is said of it elsewhere.

Error messages, `--help`, the table in docs/choosing.md and `verifier.methods()` are written from here. An entry that
has `bound` is a bounding method: output_bounds(), and the input splitting of verify(..., method="split", bounds=...)
run it. How the others run is in stages.py. Nothing is imported before it is used, so that the table costs nothing.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from verifier.errors import OptionError

if TYPE_CHECKING:
    from verifier.bounds.layers import BoundingMethod, LayerBounds
    from verifier.enclosure import Array, Bounds
    from verifier.network import Network


@dataclass(frozen=True, eq=False)
class Method:
    """One method.

    Args:
        name: What `method=` takes.
        label: What Result.stage calls it.
        sound: What it can claim: "verified and falsified", "verified" or "falsified".
        complete: Where it settles every question, given time: "", or a few words.
        guarantee: Of VERIFIED: "exact", "rounded", "solver tolerance"; "" where it never says that.
        needs: Extras of the package that it needs, e.g. "exact"; () for none.
        use: What to ask it for, in a few words.
        bound: The bounding method, where it is one.
        takes: What else `bound` takes where one question is asked: "stop", to give what it has when time is up;
            "seconds" or "seconds_left" of the call; "influence", whether to say what each neuron does to the rows.
        cost: Seconds that it takes at least, which no `stop` cuts short; it is not begun where fewer are left.
    """

    name: str
    label: str
    sound: str
    complete: str
    guarantee: str
    needs: tuple[str, ...]
    use: str
    bound: BoundingMethod | None = None
    takes: tuple[str, ...] = ()
    cost: Callable[[Network], float] | None = None


def _ibp(network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None) -> LayerBounds:
    from verifier.bounds.interval import interval_bounds

    return interval_bounds(network, boxes, rows, known)


def _symbolic(network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None) -> LayerBounds:
    from verifier.bounds.symbolic import symbolic_bounds

    return symbolic_bounds(network, boxes, rows, known)


def _crown(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, **options: Any
) -> LayerBounds:
    from verifier.bounds.crown import crown_bounds

    return crown_bounds(network, boxes, rows, known, intersect=False, **options)  # as published


def _crown_optimized(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, **options: Any
) -> LayerBounds:
    from verifier.search.relu.crown_optimized import crown_optimized_bounds

    return crown_optimized_bounds(network, boxes, rows, known, **options)


def _lp(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, **options: Any
) -> LayerBounds:
    from verifier.exact.linear.lp_bounds import lp_bounds

    return lp_bounds(network, boxes, rows, known, **options)


def _sdp(
    network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, **options: Any
) -> LayerBounds:
    """SDP bounds on the hidden bounds of the LPs, so that they are never looser than those."""
    from verifier.bounds.sdp import refuse_too_many, sdp_bounds
    from verifier.exact.linear.lp_bounds import lp_bounds

    refuse_too_many(int((boxes.upper > boxes.lower).sum(axis=1).max()))  # before the LPs take their time
    base = lp_bounds(network, boxes, rows, known, **options)
    found = sdp_bounds(network, boxes, rows, base.pre, **options)
    return replace(base, rows=base.rows.intersect(found.rows))


def _lirpa(kind: str) -> Callable[..., LayerBounds]:
    def bound(
        network: Network, boxes: Bounds, rows: Array, known: Sequence[Bounds] | None = None, **options: Any
    ) -> LayerBounds:
        from verifier.bounds.lirpa import lirpa_bounds  # auto-LiRPA needs torch; only those who ask for it wait for it

        return lirpa_bounds(network, boxes, rows, known, method=kind, **options)

    return bound


def _lirpa_cost(optimised: bool = False) -> Callable[[Network], float]:
    def cost(network: Network) -> float:
        from verifier.bounds.lirpa_cost import lirpa_seconds

        return lirpa_seconds(network, optimised)

    return cost


BOTH = "verified and falsified"
TABLE: dict[str, Method] = {
    one.name: one
    for one in (
        Method("auto", "", BOTH, "with few inputs or few unstable neurons", "exact or rounded", (),
               "nearly every question: the others in turn, from cheap to expensive"),
        Method("ibp", "interval", "verified", "", "rounded", (), "the loosest bounds, fastest", _ibp),
        Method("symbolic", "symbolic", "verified", "", "rounded", (), "linear bounds in one pass forward", _symbolic),
        Method("crown", "crown", "verified", "", "rounded", (), "linear bounds in passes backward", _crown,
               ("stop", "influence")),
        Method("crown_optimized", "crown optimized", "verified", "", "rounded", ("torch",),
               "the tightest linear bounds here: slopes optimised by gradient, hidden layers too", _crown_optimized,
               ("stop",)),
        Method("auto_lirpa_ibp", "auto-LiRPA IBP", "verified", "", "rounded", ("torch", "lirpa"),
               "intervals by auto-LiRPA", _lirpa("IBP"), ("seconds",), _lirpa_cost()),
        Method("auto_lirpa", "auto-LiRPA CROWN", "verified", "", "rounded", ("torch", "lirpa"),
               "CROWN by auto-LiRPA; it agrees with `crown` to 1e-5", _lirpa("CROWN"), ("seconds",), _lirpa_cost()),
        Method("auto_lirpa_optimized", "auto-LiRPA CROWN-Optimized", "verified", "", "rounded", ("torch", "lirpa"),
               "optimised slopes by auto-LiRPA; seconds", _lirpa("CROWN-Optimized"), ("seconds",),
               _lirpa_cost(optimised=True)),
        Method("sdp", "sdp", "verified", "", "rounded", ("exact", "sdp"),
               "small dense networks: neurons bounded together, tighter than `lp`; seconds to minutes", _sdp,
               ("stop", "seconds_left")),
        Method("attack", "attack", "falsified", "", "", (), "whether the spec fails obviously"),
        Method("split", "split", BOTH, "with few inputs", "rounded", (),
               "few inputs; with `bounds=` any bounding method inside; fast with [fast]"),
        Method("relu_split", "relu split", BOTH, "but for margins below rounding", "rounded", ("torch", "exact"),
               "many inputs"),
        Method("lp", "lp", BOTH, "", "rounded", ("exact",),
               "the triangle relaxation; the tightest bound that looks at neurons one by one", _lp),
        Method("milp", "milp", BOTH, "but for margins within a solver's tolerance", "rounded", ("exact",),
               "one hidden layer; dependencies as cuts; its ingredients by `milp=MilpOptions(...)`"),
        Method("z3", "z3", BOTH, "on small networks", "exact", ("exact",),
               "small networks, margins of exactly 0; cannot be stopped at once inside a simplification"),
    )
}  # fmt: skip
ALIASES = {"interval": "ibp"}  # other names, which the course uses


class Methods(tuple[Method, ...]):
    """All methods; shown as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        """Write one line for each."""
        return "\n".join(f"{one.name:22}{one.use}" for one in self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = _cells(self)
        lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
        return f"<table><tr>{titles}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"

    def markdown(self) -> str:
        """Write them as the table of docs/choosing.md."""
        head, *rows = _cells(self)
        lines = [head, ["---"] * len(head), *([f'`"{row[0]}"`', *row[1:]] for row in rows)]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def methods() -> Methods:
    """All methods that verify() takes, what each can claim, and what it needs.

    Example:
        >>> [one.name for one in methods() if one.guarantee == "exact"]
        ['z3']
    """
    return Methods(TABLE.values())


def _cells(table: Methods) -> list[list[str]]:
    head = ["method", "can say", "complete", "guarantee", "needs", "ask it for"]
    return [head] + [
        [one.name, one.sound, one.complete or "no", one.guarantee or "replayed",
         ", ".join(f"[{extra}]" for extra in one.needs) or "nothing", one.use]
        for one in table
    ]  # fmt: skip


def find_method(name: Any) -> Method:
    """The method of a name.

    Raises:
        OptionError: There is none.
    """
    found = TABLE.get(ALIASES.get(name, name)) if isinstance(name, str) else None
    if found is None:
        raise OptionError(f"method: {name!r} is not one of {', '.join(TABLE)}")
    return found


def find_bounding(name: Any, option: str = "method") -> Method:
    """The bounding method of a name.

    Raises:
        OptionError: There is none.
    """
    found = TABLE.get(ALIASES.get(name, name)) if isinstance(name, str) else None
    if found is None or found.bound is None:
        names = ", ".join(one.name for one in TABLE.values() if one.bound is not None)
        raise OptionError(f"{option}: {name!r} is not a bounding method; choose one of {names}")
    return found


def bounding(name: str) -> BoundingMethod:
    """The bounding method of a name that is known to be one."""
    found = find_bounding(name).bound
    assert found is not None
    return found


def help_text() -> str:
    """The methods as the command line's help lists them."""
    lines = ["methods, for --method M:"]
    for one in TABLE.values():
        needs = "; needs " + " and ".join(f"[{extra}]" for extra in one.needs) if one.needs else ""
        lines.append(f"  {one.name:22}{one.use.replace('`', '')}{needs}")
    lines.append("An extra such as [exact] is installed by: pip install 'nn-verification-course[exact]'.")
    return "\n".join(lines)
