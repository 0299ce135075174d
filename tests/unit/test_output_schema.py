"""The schema of JSON output: valid, the same in the docs, and consistent between commands."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import click
import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest

from batcher.cli import COMMANDS, GROUP
from support.output_schema import (
    DEFINITIONS,
    NAMES,
    SCHEMA,
    check_document,
    make_table,
    properties,
    types_of,
)

PAGE = Path(__file__).parents[2] / "docs/reference/json.md"
MESSAGE = {"time": "2026-11-23T07:00:00.000Z", "level": "info", "message": "hello"}
TABLE = re.compile(r"<!-- table: (\w+) -->(?:\n\n\|.*(?:\n\|.*)*)?")
NUMBERS = {"integer", "number"}


def test_the_schema_is_one_and_describes_each_command_that_has_json() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    context = click.Context(GROUP)
    commands = {name: GROUP.get_command(context, name) for name in COMMANDS}
    with_json = {
        name
        for name, command in commands.items()
        if command and any("--json" in each.opts for each in command.params)
    }
    assert with_json == set(NAMES) - {"message", "answer"}
    assert set(DEFINITIONS) == {*NAMES, "count", "time"}


def test_the_page_has_the_tables_of_the_schema() -> None:
    """`GOLDEN_UPDATE=1` writes them."""
    text = PAGE.read_text()
    expected = TABLE.sub(
        lambda found: f"<!-- table: {found[1]} -->\n\n{make_table(found[1])}", text
    )
    if os.environ.get("GOLDEN_UPDATE"):
        PAGE.write_text(expected)
    assert TABLE.findall(text) == NAMES
    assert text == expected


def test_a_name_is_of_one_type_in_all_documents() -> None:
    """Plans have averages where others count, so that whole numbers and others are one type."""
    types: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name in NAMES:
        for path, schema, _ in properties(DEFINITIONS[name], name):
            kinds = {"number" if kind in NUMBERS else kind for kind in types_of(schema)}
            types[path.rpartition(".")[2]][path] = sorted(kinds - {"null"})
    odd = {name: uses for name, uses in types.items() if len(set(map(tuple, uses.values()))) > 1}
    assert not odd


@pytest.mark.parametrize("name", NAMES)
def test_names_have_the_units_of_their_descriptions(name: str) -> None:
    for path, schema, _ in properties(DEFINITIONS[name]):
        leaf = path.rpartition(".")[2]
        text = schema["description"]
        assert text.endswith("."), path
        if NUMBERS & set(types_of(schema)):
            assert not text.startswith("Bytes") or "bytes" in leaf.split("_"), path
            assert (
                not text.startswith(("Duration", "Seconds"))
                or leaf == "seconds"
                or (leaf.endswith("_s"))
            ), path


def test_a_name_that_is_not_described_is_refused() -> None:
    """At every depth; and so are a name that is missing, and a value of another type."""
    check_document("message", MESSAGE)
    for change in ({"extra": "1"}, {"level": "bad"}, {"time": "7:00"}):
        with pytest.raises(jsonschema.ValidationError):
            check_document("message", MESSAGE | change)
    receipt = {"key": "k", "records": 1, "size_bytes": 2}
    answer = {"receipts": [receipt], "quarantined": 0}
    check_document("answer", answer)
    for wrong in ({"size": 1}, {"records": True}, {"records": -1}):
        with pytest.raises(jsonschema.ValidationError):
            check_document("answer", answer | {"receipts": [{**receipt, **wrong}]})
    with pytest.raises(jsonschema.ValidationError, match="required"):
        check_document("answer", {"receipts": []})
