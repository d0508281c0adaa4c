"""Reference data that does not travel with the project: where it is found, or a skip where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def reference(name: str) -> Path:
    """The folder `name` of the reference data, which $NNV_DATA names or which lies in a `shared/data` further up."""
    roots = [Path(os.environ["NNV_DATA"])] if "NNV_DATA" in os.environ else []
    roots += [folder / "shared" / "data" for folder in Path(__file__).resolve().parents]
    for root in roots:
        if (root / name).is_dir():
            return root / name
    pytest.skip(f"needs the reference data {name}: set NNV_DATA to the folder that holds it")
