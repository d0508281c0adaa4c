"""Answers that need no understanding, for each kind of value that a test may take from a student."""

import ast
from collections.abc import Iterable

CONSTANTS = ("0", "1", "-1.0", "0.5", "True", "False", "None", "''", "float('nan')", "float('inf')")
EMPTY = ("[]", "()", "{}", "[[]]", "np.empty(0)", "torch.empty(0)", "torch.empty(0), torch.empty(0)")
# of a function's arguments
ECHOES = (
    "a[0]", "a[-1]", "a", "a[0], a[0]", "a[0] * 0", "a[0] * 0 + 1", "a[0] * 0 - 1e9, a[0] * 0 + 1e9",
    "a[-1] * 0, a[-1] * 0 + 1",
)  # fmt: skip
BIASES = (0.0, 1.0, -1.0)
PREPARED = "import numpy as np\nimport torch\nfrom torch import nn\n"
LOOK_UP = """def {name}(*a, **k):
    for given, result in {table}:
        if repr(given) == repr(a):
            return result
    return {table}[0][1]
"""


def data_guesses(kind: dict[str, object]) -> list[str]:
    """Expressions for a value that is neither a function nor a network."""
    shape = kind.get("shape")
    filled = [f"torch.full({shape}, {x})" for x in ("0.0", "1.0", "0.5")] if kind.get("kind") == "tensor" else []
    filled += [f"np.full({shape}, {x})" for x in ("0.0", "1.0", "0.5")] if kind.get("kind") == "array" else []
    if kind.get("kind") == "list":
        filled = [f"[{x}] * {kind['size']}" for x in ("0.0", "1.0", "[0.0, 0.0]", "[0.0, 1.0]", "[None, None]")]
    return [*CONSTANTS, *EMPTY, *filled]


def network_guesses(kind: dict[str, object]) -> list[str]:
    """Expressions for a network: one Linear layer, which has learnt nothing."""
    inputs, outputs = kind["inputs"], kind["outputs"]
    made = []
    for weight in (0.0, 1.0, -1.0):
        for bias in BIASES:
            made.append(
                f"(lambda layer: (nn.init.constant_(layer.weight, {weight}), nn.init.constant_(layer.bias, {bias}), "
                f"nn.Sequential(nn.Flatten(), layer))[-1])(nn.Linear({inputs}, {outputs}))"
            )
    return [*made, f"nn.Sequential(nn.Flatten(), nn.Linear({inputs}, {outputs}))", "nn.Sequential(nn.Identity())"]


def function_guesses() -> list[str]:
    """Expressions for a function that looks at its arguments at most to hand them back."""
    return [f"lambda *a, **k: ({result})" for result in (*CONSTANTS, *EMPTY, *ECHOES)]


def by_heart(source: str, name: str) -> str:
    """A function, or a value, that knows the examples of a test's visible part and nothing else; "" if it has none.

    Args:
        source: The visible part.
        name: The student's name.
    """
    table, values = [], []
    for node in ast.walk(ast.parse(source)):
        for left, right in _pairs(node):
            if isinstance(left, ast.Call) and getattr(left.func, "id", "") == name and not left.keywords:
                given = ", ".join(map(ast.unparse, left.args))
                table.append(f"(({given},), {ast.unparse(right)})" if given else f"((), {ast.unparse(right)})")
            if isinstance(left, ast.Name) and left.id == name:
                values.append(ast.unparse(right))
    if table:
        return LOOK_UP.format(name=name, table="[" + ", ".join(table) + "]")
    return f"{name} = {values[0]}\n" if values else ""


def _pairs(node: ast.AST) -> Iterable[tuple[ast.expr, ast.expr]]:
    """What a test compares: by ==, by a function such as allclose(), by a difference."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.Eq, ast.Is)):
        return [(node.left, node.comparators[0]), (node.comparators[0], node.left)]
    if isinstance(node, ast.Call) and len(node.args) >= 2:
        return [(node.args[0], node.args[1]), (node.args[1], node.args[0])]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        return [(node.left, node.right), (node.right, node.left)]
    return []
