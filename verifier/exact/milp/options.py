"""MilpOptions: the ingredients of method="milp", each of which can be switched on and off by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verifier.errors import OptionError

BOUNDS = ("ibp", "symbolic", "crown")
KINDS = ("intra-layer", "consecutive")
CUTS = ("none", "before", "during")
FORMULATIONS = ("big-M", "balas")
SEARCHES = ("lp", "highs")


@dataclass(frozen=True)
class MilpOptions:
    """What method="milp" is made of.

    Args:
        search: "lp": our own branch and bound over linear programs, whose answers are recomputed with rounding;
            "highs": HiGHS's branch and bound, whose "infeasible" is true only up to its tolerance.
        bounds: What bounds the neurons, and so is the big-M: "ibp", "symbolic" or "crown".
        dependencies: Which kinds are looked for: "intra-layer", "consecutive", both or none, as a tuple.
        cuts: When dependencies are found: "none" for never, "before" the search, or "during" it too, at every node,
            under the states fixed there. Only search="lp" can do the last.
        formulation: Of an unstable ReLU: "big-M", or "balas", ideal for one neuron over the box of what enters it, with
            one column more for each of its inputs.
        splitting: Whether the box of inputs is split first; None where at most 16 inputs vary.
        favour: The larger, the deeper the box is split: the m of ratio / depth^(1/m).
        workers: Processes that sub-problems of a split box go to; 1 for none besides this one.

    Raises:
        OptionError: One of them is none of these.

    Source:
        Botoeva, Kouvaros, Kronqvist, Lomuscio, Misener. Efficient Verification of ReLU-based Neural Networks via
        Dependency Analysis. AAAI 2020.

    Example:
        >>> MilpOptions(cuts="none", workers=2).formulation
        'big-M'
    """

    search: str = "lp"
    bounds: str = "crown"
    dependencies: tuple[str, ...] = KINDS
    cuts: str = "before"
    formulation: str = "big-M"
    splitting: bool | None = None
    favour: float = 20.0
    workers: int = 1

    def __post_init__(self) -> None:
        """Refuse what is not an option."""
        choices = {"search": SEARCHES, "bounds": BOUNDS, "cuts": CUTS, "formulation": FORMULATIONS}
        for name, allowed in choices.items():
            found = getattr(self, name)
            if not isinstance(found, str) or found not in allowed:
                raise OptionError(f"MilpOptions {name}: {found!r} is not one of {', '.join(allowed)}")
        object.__setattr__(self, "dependencies", _kinds(self.dependencies))
        if self.search == "highs" and self.cuts == "during":
            raise OptionError(
                "MilpOptions cuts: 'during' needs search='lp', since HiGHS's own search takes no cuts; use 'before'"
            )
        if self.splitting is not None and not isinstance(self.splitting, bool | np.bool_):
            raise OptionError(f"MilpOptions splitting: expected True, False or None, found {self.splitting!r}")
        number = isinstance(self.favour, int | float | np.integer | np.floating) and not isinstance(self.favour, bool)
        if not (number and 0 < self.favour < np.inf):
            raise OptionError(f"MilpOptions favour: expected a number > 0, found {self.favour!r}")
        whole = isinstance(self.workers, int | np.integer) and not isinstance(self.workers, bool)
        if not (whole and self.workers >= 1):
            raise OptionError(f"MilpOptions workers: expected a whole number >= 1, found {self.workers!r}")
        if self.workers > 1 and self.splitting is not None and not self.splitting:
            raise OptionError(
                "MilpOptions workers: more than one needs splitting=True, since only parts of a split box are shared"
            )

    def looks_for(self, kind: str) -> bool:
        """Whether dependencies of a kind are used."""
        return self.cuts != "none" and kind in self.dependencies


def _kinds(given: Any) -> tuple[str, ...]:
    """A caller's kinds as a tuple; one name alone is a tuple of one."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, tuple | list | set | frozenset) or any(one not in KINDS for one in names):
        raise OptionError(
            f"MilpOptions dependencies: found {given!r}, expected a tuple of {' and '.join(map(repr, KINDS))}, or ()"
        )
    return tuple(kind for kind in KINDS if kind in names)
