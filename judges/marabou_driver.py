"""Answer queries with Marabou; run by the Python that has maraboupy, which may be another than the verifier's.

Standard library and maraboupy's core only. Reads a JSON list of queries from the first argument and writes a JSON list
of answers to the second. A query is {"layers": [[weight, bias], ...], "lower": [...], "upper": [...],
"unsafe": [[coefficients, offset], ...], "timeout_s": s}; it asks for an input in the box whose outputs meet
coefficients . y + offset <= 0 for every pair (Marabou has closed inequalities only).
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from maraboupy import MarabouCore


def _equation(kind: Any, addends: list[tuple[float, int]], scalar: float) -> Any:
    equation = MarabouCore.Equation(kind)
    for coefficient, variable in addends:
        if coefficient != 0.0:
            equation.addAddend(coefficient, variable)
    equation.setScalar(scalar)
    return equation


def build(query: dict[str, Any]) -> tuple[Any, int, int]:
    """Write a query as variables, equations and ReLU constraints; returns it with its numbers of inputs and outputs."""
    inputs = len(query["lower"])
    total = inputs + sum(2 * len(bias) for _, bias in query["layers"][:-1]) + len(query["layers"][-1][1])
    problem = MarabouCore.InputQuery()
    problem.setNumberOfVariables(total)
    for i, (low, high) in enumerate(zip(query["lower"], query["upper"], strict=True)):
        problem.setLowerBound(i, low)
        problem.setUpperBound(i, high)
        problem.markInputVariable(i, i)
    h = list(range(inputs))
    free = inputs
    for position, (weight, bias) in enumerate(query["layers"]):
        z = list(range(free, free + len(bias)))
        free += len(bias)
        for row, offset, variable in zip(weight, bias, z, strict=True):
            addends = [*zip(row, h, strict=True), (-1.0, variable)]
            problem.addEquation(_equation(MarabouCore.Equation.EQ, addends, -offset))
        if position < len(query["layers"]) - 1:
            h = list(range(free, free + len(bias)))
            free += len(bias)
            for before, after in zip(z, h, strict=True):
                problem.setLowerBound(after, 0.0)
                MarabouCore.addReluConstraint(problem, before, after)
        else:
            h = z
    for i, variable in enumerate(h):
        problem.markOutputVariable(variable, i)
    for coefficients, offset in query["unsafe"]:
        problem.addEquation(_equation(MarabouCore.Equation.LE, list(zip(coefficients, h, strict=True)), -offset))
    return problem, inputs, len(h)


def answer(query: dict[str, Any]) -> dict[str, Any]:
    """Solve one query; the time counts building it and solving it."""
    started, cpu = time.perf_counter(), time.process_time()
    problem, inputs, _ = build(query)
    options = MarabouCore.Options()
    options._verbosity = 0
    options._timeoutInSeconds = max(1, int(query["timeout_s"]))
    status, values, statistics = MarabouCore.solve(problem, options, "")
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    states = statistics.getUnsignedAttribute(MarabouCore.StatisticsUnsignedAttribute.NUM_VISITED_TREE_STATES)
    point = [values[i] for i in range(inputs)] if status == "sat" else None
    return {"status": status, "seconds": seconds, "cpu_s": cpu, "x": point, "states": states}


def main() -> None:
    """Answer every query, one line of progress each on stderr."""
    queries = json.loads(Path(sys.argv[1]).read_text())
    answers = []
    for number, query in enumerate(queries, 1):
        answers.append(answer(query))
        print(f"marabou {number}/{len(queries)}: {answers[-1]['status']}", file=sys.stderr, flush=True)
    Path(sys.argv[2]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
