"""The extended formulation of an unstable ReLU: what enters it in two parts, one for each state of the neuron.

Let v in a box be what enters a neuron, with z = w v + b, and d its switch. A column p stands for d v: v where the
neuron is active and 0 where it is not. Then p lies in d times the box and v - p in 1 - d times it, the active half says
w p + b d >= 0 and h = w p + b d, the inactive half w (v - p) + b (1 - d) <= 0. For d in [0, 1] this is the convex hull
of the two halves of this one neuron over its box: no relaxation of the neuron by itself is tighter. It costs a column
for each neuron and input, where big-M costs none; and the hull of each neuron is not the hull of the network.

Source:
    Balas. Disjunctive programming and a hierarchy of relaxations for discrete optimization problems. SIAM J. Alg. Disc.
    Meth. 1985; Anderson, Huchette, Tjandraatmadja, Vielma. Strong mixed-integer programming formulations for trained
    neural networks. Math. Program. 2020 (for ReLU, and big-M beside it).
"""

from __future__ import annotations

import numpy as np

from verifier.exact.linear.builder import NONE, Builder, Columns
from verifier.matrix import row_terms
from verifier.network import Affine


def balas_columns(layer: Affine, unstable: int) -> int:
    """How many columns a layer with so many unstable neurons takes at most."""
    return int(layer.weight.shape[1]) * unstable


def add_halves(builder: Builder, layer: Affine, entering: Columns, h: Columns, switches: Columns) -> None:
    """Write the two halves of every neuron of a layer that has a switch.

    Args:
        builder: The program, which holds all columns named here.
        layer: Its weights, known exactly.
        entering: What enters the layer, (inputs,).
        h: Behind the ReLUs, (neurons,).
        switches: 1 where a ReLU is active, (neurons,); NONE where it has none.
    """
    low, high = builder.limits(entering)
    for j in np.flatnonzero(switches != NONE):
        used, weight = row_terms(layer.weight, int(j))
        bias, switch, v = float(layer.bias[j]), switches[j], entering[used]
        p = builder.columns(np.minimum(low[used], 0.0), np.maximum(high[used], 0.0))
        for i, (part, whole) in enumerate(zip(p, v, strict=True)):
            least, most = float(low[used[i]]), float(high[used[i]])
            builder.row([part, switch], [1.0, -least], 0.0, np.inf)  # d l <= p
            builder.row([part, switch], [1.0, -most], -np.inf, 0.0)  # p <= d u
            builder.row([whole, part, switch], [1.0, -1.0, least], least, np.inf)  # (1 - d) l <= v - p
            builder.row([whole, part, switch], [1.0, -1.0, most], -np.inf, most)  # v - p <= (1 - d) u
        builder.row([h[j], *p, switch], [1.0, *(-weight), -bias], 0.0, 0.0)  # h = w p + b d, which is >= 0
        builder.row([*v, *p, switch], [*weight, *(-weight), -bias], -np.inf, -bias)  # w (v - p) + b (1 - d) <= 0
