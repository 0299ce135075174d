"""The schema of JSON output, closed: names that it does not describe are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types

FILE = Path(__file__).parents[2] / "docs/reference/json.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
DEFINITIONS: dict[str, dict[str, Any]] = SCHEMA["$defs"]

NAMES = [reference["$ref"].removeprefix("#/$defs/") for reference in SCHEMA["anyOf"]]
"""Of the documents."""


def closed(schema: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a schema whose objects have no other properties than those described."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    is_object = isinstance(schema.get("properties"), dict)
    more = {"additionalProperties": False} if is_object else {}
    return more | {name: closed(each) for name, each in schema.items()}


@cache
def _validator(name: str) -> Any:  # noqa: ANN401  # it has no types
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/$defs/{name}", "$defs": closed(DEFINITIONS)}
    )


def check_document(name: str, document: object) -> None:
    """Check that a document is as its definition says."""
    _validator(name).validate(document)


def parse_lines(name: str, text: str) -> list[Any]:
    """Return the documents of an output. Check that its lines are whole, and printable ASCII."""
    lines = text.split("\n")
    assert lines.pop() == "", "the last line is whole"
    documents = []
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        documents.append(json.loads(line))
        check_document(name, documents[-1])
    return documents


def parse_output(name: str, text: str) -> Any:  # noqa: ANN401  # JSON
    """Return the one document of an output."""
    (document,) = parse_lines(name, text)
    return document


def properties(
    schema: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield path, definition and necessity of each property of a schema, and of those within."""
    for name, given in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        own = DEFINITIONS[given["$ref"].rpartition("/")[2]] | given if "$ref" in given else given
        yield inner, own, name in schema["required"]
        if own["type"] == "array":
            inner, own = f"{inner}[]", own["items"]
        yield from properties(own, inner)


def types_of(schema: dict[str, Any]) -> list[str]:
    """Return the types that values of a property have."""
    types = schema["type"]
    return [types] if isinstance(types, str) else types


def make_table(name: str) -> str:
    """Return the table of a document in Markdown."""
    rows = ["| name | type | meaning |", "| --- | --- | --- |"]
    for path, schema, is_needed in properties(DEFINITIONS[name]):
        types = " or ".join(types_of(schema)) + ("" if is_needed else ", or absent")
        choices = ", ".join(f"`{choice}`" for choice in schema.get("enum", ()))
        meaning = schema["description"] + (f" One of {choices}." if choices else "")
        rows.append(f"| `{path}` | {types} | {meaning} |")
    return "\n".join(rows)
