"""Imports the programs of the examples, which are in no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(path: str) -> Any:  # noqa: ANN401  # a module, whose names a checker cannot know
    """Import a program of an example anew."""
    file = EXAMPLES / path
    specification = importlib.util.spec_from_file_location(f"example_{file.stem}", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
