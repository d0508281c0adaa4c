"""A network over a box as the columns and rows of a linear or mixed-integer program, without any question about it.

Each column is known by name: "x" the inputs, "z0", "h0", "z1", "h1", ... what stands before and after the ReLUs of each
hidden layer, "y" the logits, and "switch0", ... for a mixed-integer program, 1 where a ReLU is active (NONE for a
neuron that its bounds show to be stable). A program is this and whatever is asked: rows and a cost on these columns.
Every coefficient is a stored weight or a rounded-up line, so what the program says is true of the real network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.bounds.relaxation import relax_relu
from verifier.enclosure import Array, Bounds
from verifier.exact.linear.builder import NONE, Builder, Columns
from verifier.exact.linear.encode_balas import add_halves
from verifier.network import Network
from verifier.question.spec import Box


@dataclass(frozen=True, eq=False)
class NetworkColumns:
    """Which column is which value of the network.

    Args:
        x: The inputs, (inputs,).
        z: Pre-activations of each hidden layer, (neurons,) each.
        h: Activations of each hidden layer, (neurons,) each.
        y: The logits, (logits,).
        switches: For each hidden layer 1 where the ReLU is active, (neurons,) each, NONE where it is stable; empty for
            a linear program.
        above: Rows that keep h at or above z, (neurons,) each, NONE where there is none.
        chords: Rows that keep h at or below its chord, (neurons,) each, NONE where there is none.
    """

    x: Columns
    z: tuple[Columns, ...]
    h: tuple[Columns, ...]
    y: Columns
    switches: tuple[Columns, ...]
    above: tuple[Columns, ...] = ()
    chords: tuple[Columns, ...] = ()


def encode_network(
    builder: Builder, network: Network, box: Box, pre: Sequence[Bounds], logits: Bounds, *, switches: bool,
    balas: bool = False,
) -> NetworkColumns:  # fmt: skip
    """Write a network over a box into a program.

    Args:
        builder: The program; it may hold other columns and rows already.
        network: What is encoded; its head plays no part.
        box: The inputs.
        pre: Bounds on each hidden layer's z over the box, (neurons,) each: they make neurons stable and are the big-M.
        logits: Bounds on the logits over the box, (logits,).
        switches: True for a mixed-integer program, in which ReLU is exact; False for its relaxation by triangles.
        balas: With switches, whether what enters an unstable neuron is written in two parts, one for each state, beside
            the big-M (encode_balas.py). A layer whose weights are known up to a radius only goes without.

    Source:
        Tjeng, Xiao, Tedrake. Evaluating Robustness of Neural Networks with Mixed Integer Programming. ICLR 2019;
        Ehlers. Formal Verification of Piece-Wise Linear Feed-Forward Neural Networks. ATVA 2017 (the triangle).
    """
    x = h = builder.columns(box.lower, box.upper, "x")
    reach = np.maximum(np.abs(box.lower), np.abs(box.upper))
    before: list[Columns] = []
    after: list[Columns] = []
    above: list[Columns] = []
    chords: list[Columns] = []
    for index, layer in enumerate(network.layers[:-1]):
        bounds = pre[index]
        z = builder.columns(bounds.lower, bounds.upper, f"z{index}")
        builder.affine_rows(layer, h, z, reach)
        h = builder.columns(np.maximum(bounds.lower, 0.0), np.maximum(bounds.upper, 0.0), f"h{index}")
        above.append(np.full(len(z), NONE, dtype=np.int32))
        for j in np.flatnonzero(bounds.lower >= 0):
            above[-1][j] = builder.row([h[j], z[j]], [1.0, -1.0], 0.0, 0.0)
        for j in np.flatnonzero(_unstable(bounds)):
            above[-1][j] = builder.row([h[j], z[j]], [1.0, -1.0], 0.0, np.inf)
        before.append(z)
        after.append(h)
        reach = np.maximum(bounds.upper, 0.0)
    y = builder.columns(logits.lower, logits.upper, "y")
    builder.affine_rows(network.layers[-1], h, y, reach)
    made: list[Columns] = []
    for index, (z, h, bounds) in enumerate(zip(before, after, pre, strict=True)):
        if switches:
            made.append(_add_switches(builder, z, h, bounds, f"switch{index}"))
            if balas and network.layers[index].exact:
                add_halves(builder, network.layers[index], x if index == 0 else after[index - 1], h, made[-1])
        else:
            chords.append(_add_chords(builder, z, h, bounds))
    return NetworkColumns(x, tuple(before), tuple(after), y, tuple(made), tuple(above), tuple(chords))


def _unstable(bounds: Bounds) -> Array:
    return np.asarray((bounds.lower < 0) & (bounds.upper > 0))


def _add_switches(builder: Builder, z: Columns, h: Columns, bounds: Bounds, name: str) -> Columns:
    """Give every unstable neuron a whole number in {0, 1} that says which of its two lines it is on."""
    chosen = np.flatnonzero(_unstable(bounds))
    found = np.full(len(z), NONE, dtype=np.int32)
    found[chosen] = builder.columns(np.zeros(len(chosen)), np.ones(len(chosen)), whole=True)
    builder.named[name] = found
    for j in chosen:
        low, high = float(bounds.lower[j]), float(bounds.upper[j])
        builder.row([h[j], z[j], found[j]], [1.0, -1.0, -low], -np.inf, -low)  # h <= z - l (1 - switch)
        builder.row([h[j], found[j]], [1.0, -high], -np.inf, 0.0)  # h <= u switch
    return found


def _add_chords(builder: Builder, z: Columns, h: Columns, bounds: Bounds) -> Columns:
    """Limit every unstable neuron by the chord of its ReLU, the triangle's third side; the rows' numbers."""
    found = np.full(len(z), NONE, dtype=np.int32)
    chosen = np.flatnonzero(_unstable(bounds))
    lines = relax_relu(Bounds(bounds.lower[chosen], bounds.upper[chosen]))
    for j, slope, offset in zip(chosen, lines.upper_slope, lines.upper_offset, strict=True):
        found[j] = builder.row([h[j], z[j]], [1.0, -slope], -np.inf, offset)
    return found
