"""What the properties draw from: records, chunks, limits, events; and the profile they run with."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from batcher.batching.batch import BatchLimits
from batcher.records.chunk import Chunk, NamingScheme, Origin
from support.examples import (
    ARRIVAL_S,
    LIBRARY,
    dynamodb_record,
    fifo_message,
    kinesis_record,
    message,
)

HOUR_S = 3600
FIELDS = ["a", "b", "c"]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
"""Any JSON value."""

field_values = (
    st.sampled_from(["x", "y", ".", "..", "", "/", "~", "_quarantine", "0101", "1"])
    | st.text()
    | st.text(min_size=100, max_size=200)
    | json_values
)
"""Values of a field that chooses the partition of a record."""


def dumped(value: object, *, ascii_only: bool = False, indent: int | None = None) -> bytes:
    """Write a value as JSON, escaping it if it cannot be encoded as UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent).encode()


@st.composite
def json_texts(draw: st.DrawFn) -> bytes:
    """Draw a JSON text, with various escapes, indents and surrounding spaces."""
    value = draw(json_values)
    indent = draw(st.sampled_from([None, None, 0, 2]))
    text = dumped(value, ascii_only=draw(st.booleans()), indent=indent)
    around = st.sampled_from([b"", b"", b" ", b"\n", b"\r\n", b"\t"])
    return draw(around) + text + draw(around)


good_payloads = st.builds(
    lambda field, n: dumped({"f": FIELDS[field], "n": n}), st.integers(0, 2), st.integers(0, 99)
)
"""Small records with a field `f` that chooses the partition."""
bad_payloads = st.sampled_from([b"", b"{", b"NaN", b"1 2", b'"\xff"', b'"' + b"x" * 300 + b'"'])
"""Bad records. The last one is too large if `max_bytes` is at most 300."""


@st.composite
def chunks(
    draw: st.DrawFn,
    payloads: st.SearchStrategy[bytes] = good_payloads,
    origin: Origin = LIBRARY,
    start: int = 0,
    max_size: int = 12,
) -> Chunk:
    """Draw a chunk with times around the start of an hour, and positions from `start` on."""
    found = draw(st.lists(payloads, min_size=1, max_size=max_size))
    arrivals_s = [ARRIVAL_S + draw(st.integers(-3, 3)) for _ in found]
    positions = [f"{start + n:04d}" for n in range(len(found))]
    return Chunk(origin, found, positions, arrivals_s)


sized_payloads = st.integers(0, 6).map(lambda size: b"x" * size)
"""Lines of a few bytes. Their sums often equal a limit."""
tight_limits = st.builds(BatchLimits, st.integers(3, 12), st.none() | st.integers(2, 5), st.none())

limits = st.builds(
    BatchLimits,
    st.none() | st.integers(30, 200),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(0, 5),
)
"""Limits that a few records reach."""

bodies = (good_payloads | bad_payloads).map(lambda p: p.decode("latin-1"))
"""Bodies of messages, good or bad."""


@st.composite
def messages(draw: st.DrawFn, max_size: int = 12) -> list[dict[str, Any]]:
    """Draw the messages of a standard queue."""
    texts = draw(st.lists(bodies, min_size=1, max_size=max_size))
    sent_ms = st.integers(-3, 3).map(lambda s: int((ARRIVAL_S + s) * 1000))
    ids = draw(st.permutations(range(len(texts))))
    return [
        message(f"id{n:03d}", text, sent_ms=draw(sent_ms))
        for n, text in zip(ids, texts, strict=True)
    ]


@st.composite
def fifo_messages(draw: st.DrawFn, max_size: int = 10) -> list[dict[str, Any]]:
    """Draw the messages of a FIFO queue, in any order."""
    texts = draw(st.lists(bodies, min_size=1, max_size=max_size))
    ids = draw(st.permutations(range(len(texts))))
    made = [
        fifo_message(f"id{i:03d}", str(95 + n), draw(st.sampled_from("gh")), text)
        for n, (i, text) in enumerate(zip(ids, texts, strict=True))
    ]
    return draw(st.permutations(made))


@st.composite
def kinesis_records(draw: st.DrawFn, max_size: int = 12) -> list[dict[str, Any]]:
    """Draw the records of a shard, in order."""
    payloads = draw(st.lists(good_payloads | bad_payloads, min_size=1, max_size=max_size))
    return [kinesis_record(str(95 + n), payload) for n, payload in enumerate(payloads)]


@st.composite
def dynamodb_records(draw: st.DrawFn, max_size: int = 12) -> list[dict[str, Any]]:
    """Draw the records of a DynamoDB stream, in order. Some cannot be written as JSON."""
    images = draw(st.lists(json_values | st.just("\ud800"), min_size=1, max_size=max_size))
    fields = draw(st.lists(st.sampled_from(FIELDS), min_size=len(images), max_size=len(images)))
    return [
        {**dynamodb_record(str(95 + n), {"Image": image}), "f": field}
        for n, (image, field) in enumerate(zip(images, fields, strict=True))
    ]


ORIGINS = {naming: Origin("sqs", naming, "my-queue") for naming in NamingScheme}
