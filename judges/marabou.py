"""Marabou's answers, under a Python of its own that has maraboupy."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

MARABOU_VERDICTS = {"sat": "falsified", "unsat": "verified"}  # any other status, a timeout above all, is unknown
DRIVER = Path(__file__).with_name("marabou_driver.py")  # runs under the Python that has maraboupy


def ask_marabou(python: str, queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the driver under another Python and read its answers."""
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "queries.json", Path(folder) / "answers.json"
        question.write_text(json.dumps(queries))
        subprocess.run([python, str(DRIVER), str(question), str(answer)], check=True, stdout=subprocess.DEVNULL)
        answers: list[dict[str, Any]] = json.loads(answer.read_text())
    for row in answers:
        row["verdict"] = MARABOU_VERDICTS.get(row["status"], "unknown")
    return answers
