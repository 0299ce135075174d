"""CloudWatch's embedded metric format: its schema, and its rules beyond the schema.

Source: Amazon CloudWatch user guide, "Specification: Embedded metric format" (document structure,
schema, and limits).
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types

UNITS = (
    "Seconds|Microseconds|Milliseconds|Bytes|Kilobytes|Megabytes|Gigabytes|Terabytes|Bits|Kilobits|"
    "Megabits|Gigabits|Terabits|Percent|Count|Bytes/Second|Kilobytes/Second|Megabytes/Second|"
    "Gigabytes/Second|Terabytes/Second|Bits/Second|Kilobits/Second|Megabits/Second|Gigabits/Second|"
    "Terabits/Second|Count/Second|None"
)
DIMENSION = {"type": "string", "minLength": 1, "maxLength": 250}
METRIC = {
    "type": "object",
    "required": ["Name"],
    "properties": {
        "Name": {"type": "string", "minLength": 1, "maxLength": 1024},
        "Unit": {"type": "string", "pattern": f"^({UNITS})$"},
        "StorageResolution": {"type": "integer", "enum": [1, 60]},
    },
    "additionalProperties": False,
}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 0, "maxItems": 30, "items": DIMENSION},
        },
        "Metrics": {"type": "array", "maxItems": 100, "items": METRIC},
    },
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": DIRECTIVE},
            },
            "additionalProperties": False,
        }
    },
}
MAX_BYTES = 1024 * 1024
MAX_VALUES = 100
MAX_DIMENSION_CHARACTERS = 1024


def metrics_of(line: str) -> dict[str, list[float]]:
    """Check that a line has the format, and return the values of every metric that it declares."""
    assert "\n" not in line
    assert len(line.encode()) <= MAX_BYTES
    document = json.loads(line)
    jsonschema.validate(document, SCHEMA)
    found: dict[str, list[float]] = {}
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for name in (name for names in directive["Dimensions"] for name in names):
            assert isinstance(document[name], str)
            assert 1 <= len(document[name]) <= MAX_DIMENSION_CHARACTERS
            assert re.fullmatch(r"[\x20-\x7e]*\S[\x20-\x7e]*", document[name])
            assert not name.startswith(":")
        for metric in directive["Metrics"]:
            assert metric["Name"] not in found, "declared twice"
            found[metric["Name"]] = _values(document[metric["Name"]])
    return found


def _values(target: Any) -> list[float]:  # noqa: ANN401  # JSON
    """Return the values of a metric's target member, which is a number or a list of numbers."""
    values = target if isinstance(target, list) else [target]
    assert 1 <= len(values) <= MAX_VALUES
    assert all(type(value) in {int, float} for value in values)
    return values
