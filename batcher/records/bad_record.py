"""A record that cannot be written, and the reason for it.

Add a reason here; `batcher.batching.validation` and the sources decide which records have it.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from batcher.records.chunk import Chunk


class BadRecordReason(StrEnum):
    """Why a record is bad: the `reason` field of its line in quarantine."""

    EMPTY = "empty"
    """The payload is empty."""
    NOT_JSON = "not_json"
    """The payload is not one JSON value."""
    NOT_UTF8 = "not_utf8"
    """The payload is not UTF-8 text."""
    TOO_DEEP = "too_deep"
    """JSON is nested deeper than `max_depth`."""
    TOO_LARGE = "too_large"
    """The record, with its newline, is larger than `max_bytes`."""
    NEWLINE = "newline"
    """The payload has a line break, which would end its line (`format=lines`)."""
    GZIP = "gzip"
    """The payload is compressed by gzip; decompress it by `transform=gzip.decompress`."""
    KPL_AGGREGATED = "kpl_aggregated"
    """The payload is aggregated by the Kinesis Producer Library; switch aggregation off."""
    BAD_BASE64 = "bad_base64"
    """The data of a Kinesis record is not Base64."""
    MALFORMED = "malformed"
    """The payload in the event is no text, or cannot be written as JSON."""
    TRANSFORM = "transform"
    """The transform raised an exception for this record."""


class BadRecord(Struct, frozen=True):
    """One record that cannot be written, and why."""

    chunk: Chunk
    """The record alone, with the payload that the source sent."""
    reason: BadRecordReason
    detail: str
    """What is wrong with this record, for people."""

    @property
    def position(self) -> str:
        """The identity of the record at its source."""
        return self.chunk.positions[0]


def to_description(value: object) -> bytes:
    """Return what quarantine keeps of a value that is no payload: its JSON if it has one."""
    try:
        return json.dumps(value, sort_keys=True, default=repr).encode()
    except (TypeError, ValueError, RecursionError):
        return describe(value).encode("utf-8", "backslashreplace")


def describe(value: object) -> str:
    """Return the `repr` of any value of an event, or its type if it is nested too deep for that."""
    try:
        return repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deep to be shown"
