"""The snippets of docs/testing.md run, and fail where the document says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[3] / "docs" / "testing.md"
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

MESSAGE = re.compile(r"^```\n(seed .*?)\n```", re.MULTILINE | re.DOTALL)


def run_snippets() -> dict[str, Any]:
    """Run all snippets in order, in one namespace."""
    snippets = SNIPPET.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(snippets) >= 4
    names: dict[str, Any] = {"__name__": "snippets"}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"snippet {number} of testing.md", "exec"), names)  # noqa: S102
    return names


def test_the_message_is_that_of_the_careless_handler() -> None:
    """Word for word: ids, faults and deliveries follow from the seed."""
    (message,) = MESSAGE.findall(DOCUMENT.read_text(encoding="utf-8"))
    names = run_snippets()
    records = names["sqs_messages"](names["orders"])
    seed = int(message.partition(",")[0].removeprefix("seed "))
    report = names["run_deliveries"](
        names["make_careless"], records, seed=seed, transform=names["transform"]
    )
    with pytest.raises(AssertionError) as raised:
        report.assert_none_lost()
    assert str(raised.value) == message


def test_the_snippets_run() -> None:
    """So do their tests, with the first of their seeds."""
    names = run_snippets()
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) >= 3
    for test in tests:
        seeds = [mark.args[1] for mark in getattr(test, "pytestmark", [])]
        for seed in list(seeds[0])[:10] if seeds else [None]:
            test() if seed is None else test(seed)
