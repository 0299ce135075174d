"""Lost records: what the metadata says of records that cannot be read, and how to get them back."""

from __future__ import annotations

from collections.abc import Mapping

from batcher.keys.parse import ParsedKey
from batcher.records.chunk import NamingScheme
from batcher.tools.formatting import format_count
from batcher.writing.object import METADATA_FIRST, METADATA_LAST, METADATA_RECORDS

_REMEDIES = {
    NamingScheme.FRESH: "write its records again from where they came",
    NamingScheme.MESSAGE_SET: "send its messages again: a queue keeps none that were written",
    NamingScheme.SEQUENCE: "read its records from the stream again, while that keeps them",
}

_QUARANTINE_REMEDY = "get its records from their source again"


def expected_records(metadata: Mapping[str, str]) -> int | None:
    """Return how many records an object should have. None if its metadata does not say."""
    text = metadata.get(METADATA_RECORDS, "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 18 else None  # noqa: PLR2004  # more is no count


def describe_range(metadata: Mapping[str, str]) -> str:
    """Return the positions that an object should have. Empty if its metadata does not say."""
    first, last = metadata.get(METADATA_FIRST, ""), metadata.get(METADATA_LAST, "")
    return f"{first} to {last}" if first and last else f"{first} and later" if first else ""


def describe_records(metadata: Mapping[str, str]) -> str:
    """Return the records that an object should have: `2 records, in.ndjson:1 to in.ndjson:2`."""
    count = expected_records(metadata)
    records = "records" if count is None else format_count(count, "record")
    return ", ".join(filter(None, [records, describe_range(metadata)]))


def remedy(parsed_key: ParsedKey | None) -> str:
    """Return how to get the records of an object back, after it was deleted."""
    if parsed_key is None or parsed_key.is_quarantine:
        return _QUARANTINE_REMEDY
    return _REMEDIES[parsed_key.naming]
