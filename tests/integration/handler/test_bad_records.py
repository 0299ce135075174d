"""A bad record never blocks the good ones, and is kept with all that is needed to send it again."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest

from batcher.errors import RetryableError
from batcher.stores.memory import MemoryStore
from support.examples import kinesis_record, message
from support.fakes import failing
from support.handler_harness import (
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    item_failures,
    quarantine_of,
    snapshot,
)

LOST = RetryableError("the answer was lost")
DAY_S = 20_780 * 86_400
"""A midnight, UTC."""
BYTES: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "not_json": b"{'a': 1}",
    "nan": b"NaN",
    "two_values": b"1 2",
    "cut": b'{"a":',
    "too_deep": b"[" * 1_025 + b"]" * 1_025,
    "too_large": b'"' + b"x" * 5_000 + b'"',
}
BINARY: dict[str, bytes] = {
    "not_utf8": b'"\xff"',
    "gzip": gzip.compress(b"{}", mtime=0),
    "kpl_aggregated": b"\xf3\x89\x9a\xc2\x0a\x01\x61",
}
REASONS = {"blank": "empty", "nan": "not_json", "two_values": "not_json", "cut": "not_json"}


def kept_payload(line: dict[str, Any]) -> bytes:
    """Return the payload that a line of quarantine has kept."""
    if "payload_b64" in line:
        return base64.b64decode(line["payload_b64"])
    payload: str = line["payload"]
    return payload.encode()


@pytest.mark.parametrize("kind", [*BYTES, *BINARY])
def test_records_of_a_stream_beside_a_bad_one_are_written(
    handler_factory: HandlerFactory, store: MemoryStore, kind: str
) -> None:
    """The bad one is in quarantine, with its reason and its payload as it came."""
    payload = (BYTES | BINARY)[kind]
    handle = handler_factory.make(store, max_bytes=4_096)
    records = [kinesis_record("1", b"1"), kinesis_record("2", payload), kinesis_record("3", b"3")]
    assert handle({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ["1", "3"]
    (line,) = quarantine_of(store)
    assert line["reason"] == REASONS.get(kind, kind)
    assert (line["position"], line["source"]) == ("2", "kinesis")
    assert line["arrival"] == "2026-11-23T07:00:00+00:00"
    assert kept_payload(line) == payload
    assert line["envelope"]["kinesis"]["sequenceNumber"] == "2"
    assert "data" not in line["envelope"]["kinesis"]
    once = snapshot(store)
    assert handle({"Records": records}, None) == NO_FAILURES
    assert snapshot(store) == once


@pytest.mark.parametrize("kind", BYTES)
def test_messages_beside_a_bad_one_are_written(
    handler_factory: HandlerFactory, store: MemoryStore, kind: str
) -> None:
    """As above."""
    payload = BYTES[kind]
    handle = handler_factory.make(store, max_bytes=4_096)
    records = [message("a", "1"), message("b", payload.decode()), message("c", "3")]
    assert handle({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ["1", "3"]
    (line,) = quarantine_of(store)
    assert line["reason"] == REASONS.get(kind, kind)
    assert (line["position"], line["source"]) == ("b", "sqs")
    assert kept_payload(line) == payload
    assert line["envelope"]["messageId"] == "b"
    assert "body" not in line["envelope"]


@pytest.mark.parametrize("format_", ["ndjson", "lines"])
def test_messages_beside_one_with_half_a_character_are_written(
    handler_factory: HandlerFactory, store: MemoryStore, format_: str
) -> None:
    """One lone surrogate makes the joined encoding of all its neighbours fail."""
    handle = handler_factory.make(store, format=format_)
    records = [message("a", '"ü"'), message("b", '"\ud800"'), message("c", '"\U0001f600"')]
    assert handle({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ['"ü"', '"\U0001f600"']
    (line,) = quarantine_of(store)
    assert (line["reason"], line["position"]) == ("not_utf8", "b")
    assert kept_payload(line) == b'"\xed\xa0\x80"'


def test_an_envelope_that_json_has_no_form_for_is_kept_as_text(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """A lone surrogate in an attribute must not lose the record."""
    odd = {**message("b", "no json"), "messageAttributes": {"a": {"stringValue": "\ud800"}}}
    handle = handler_factory.make(store)
    assert handle({"Records": [message("a", "1"), odd]}, None) == NO_FAILURES
    (line,) = quarantine_of(store)
    assert "stringValue" in line["envelope"]


@pytest.mark.parametrize("data", ["*", "YQ", "YQ==YQ==", "\u00fc", None, 7, {}])
def test_records_beside_one_whose_data_cannot_be_decoded_are_written(
    handler_factory: HandlerFactory, store: MemoryStore, data: object
) -> None:
    """The line says what was there instead."""
    odd = kinesis_record("2")
    odd["kinesis"]["data"] = data
    records = [kinesis_record("1", b"1"), odd, kinesis_record("3", b"3")]
    assert handler_factory.make(store)({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ["1", "3"]
    (line,) = quarantine_of(store)
    assert line["reason"] == ("bad_base64" if isinstance(data, str) else "malformed")
    assert line["position"] == "2"


@pytest.mark.parametrize("body", [None, 7, {"a": 1}])
def test_messages_beside_one_whose_body_is_no_text_are_written(
    handler_factory: HandlerFactory, store: MemoryStore, body: object
) -> None:
    """As above."""
    records = [message("a", "1"), message("b", body), message("c", "3")]
    assert handler_factory.make(store)({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ["1", "3"]
    (line,) = quarantine_of(store)
    assert (line["reason"], line["position"]) == ("malformed", "b")


def test_a_message_with_half_an_envelope_is_written(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Only the identity is needed: without attributes, the time is when it came in."""
    bare = {"messageId": "a", "body": "1", "eventSource": "aws:sqs"}
    assert handler_factory.make(store)({"Records": [bare, message("b", "2")]}, None) == NO_FAILURES
    assert sorted(data_of(store)) == ["1", "2"]


def test_json_with_newlines_is_one_line(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """And its neighbours keep every byte."""
    records = [message("a", '{\n "a": [1,\r\n 2]\n}'), message("b", '{"b":  1.50}')]
    assert handler_factory.make(store)({"Records": records}, None) == NO_FAILURES
    assert data_of(store)[1] == '{"b":  1.50}'
    assert data_of(store)[0] == '{"a":[1,2]}'


def test_lines_with_newlines_are_bad(handler_factory: HandlerFactory, store: MemoryStore) -> None:
    """What is written as lines stays what it was, or is not written."""
    records = [message("a", "one"), message("b", "two\nlines"), message("c", "")]
    assert handler_factory.make(store, format="lines")({"Records": records}, None) == NO_FAILURES
    assert data_of(store) == ["one", ""]
    assert [line["reason"] for line in quarantine_of(store)] == ["newline"]


def test_a_shorter_retry_around_midnight_finds_the_quarantine_of_the_longer_try(
    handler_factory: HandlerFactory,
) -> None:
    """Quarantine keys: the date came from the oldest bad record, which bisect may take away.

    Records of a shard arrive in no strict order of their times: the second bad record is of the
    day before. The half with the first one alone named another key then, and the record was there
    twice.
    """
    inner, store = hooked()
    handle = handler_factory.make(store)
    records = [kinesis_record(str(n), b"bad") for n in (1, 2)]
    records[0]["kinesis"]["approximateArrivalTimestamp"] = DAY_S + 0.5
    records[1]["kinesis"]["approximateArrivalTimestamp"] = DAY_S - 0.5
    store.after = failing(LOST, "put", times=1)
    assert handle({"Records": records}, None) == item_failures("1")
    for record in records:
        assert handle({"Records": [record]}, None) == NO_FAILURES
    assert sorted(line["position"] for line in quarantine_of(inner)) == ["1", "2"]


def test_bad_records_of_every_kind_are_named_by_the_first(handler_factory: HandlerFactory) -> None:
    """Design, section 4: a quarantine object is named by its first bad record.

    A delivery of [1, 2] that failed comes again as [1, 2, 3]. Record 1 is no JSON, and record 3 no
    base64, which another stage finds, and finds earlier. Named by record 3, the object of the
    second delivery would stand beside that of the first, with record 1 in both.
    """
    inner, store = hooked()
    handle = handler_factory.make(store)
    bad_json, good = kinesis_record("1", b"no json"), kinesis_record("2")
    bad_base64 = kinesis_record("3")
    bad_base64["kinesis"]["data"] = "*"
    store.after = failing(LOST, "put", key="/_quarantine/", times=1)
    assert handle({"Records": [bad_json, good]}, None) == item_failures("1")
    assert handle({"Records": [bad_json, good, bad_base64]}, None) == NO_FAILURES
    assert [line["position"] for line in quarantine_of(inner)] == ["1", "3"]
