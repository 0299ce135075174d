"""DynamoDB streams: the whole record is the payload; any failure brings the invocation back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from batcher.batching.quarantine import quarantine_line
from batcher.batching.validation import validate
from batcher.keys.names import sequence_name
from batcher.records.bad_record import BadRecordReason
from batcher.records.chunk import NamingScheme, Origin
from batcher.records.position import make_fingerprints
from batcher.sources import Event, read_event
from batcher.sources.event import Ledger
from support.examples import ARRIVAL_S, STREAM_ARN, TABLE_ARN, dynamodb_record, event_from

NOW_S = 1.0
STEM = "Orders-2026-11-23T06%3A48%3A05.899"
SURROGATE = {"Text": {"S": "\ud800"}}


def read(*records: Any) -> Event:  # noqa: ANN401  # whatever an event may hold
    """Read records of a stream."""
    return read_event({"Records": list(records)}, NOW_S)


def test_records_are_read_into_columns() -> None:
    """The payload is the whole record, as JSON; nothing of it stands in an envelope again."""
    records = [dynamodb_record("111"), dynamodb_record("222", arrival_s=ARRIVAL_S + 1)]
    event = read(*records)
    (chunk,) = event.chunks
    assert chunk.origin == Origin("dynamodb", NamingScheme.SEQUENCE, STEM)
    assert [json.loads(payload) for payload in chunk.payloads] == records
    assert list(chunk.positions) == list(event.positions) == ["111", "222"]
    assert list(chunk.arrivals_s) == [ARRIVAL_S, ARRIVAL_S + 1]
    assert chunk.envelopes is None
    assert event.source == "dynamodb"
    assert event.all_or_nothing


def test_a_real_event_is_read_whole() -> None:
    """Its second record has no time: it takes the first one's, which a retry finds again."""
    raw = event_from("dynamoStreamEvent")
    event = read_event(raw, NOW_S)
    assert [json.loads(p) for chunk in event.chunks for p in chunk.payloads] == raw["Records"]
    assert list(event.positions) == ["111", "222"]
    assert {time_s for chunk in event.chunks for time_s in chunk.arrivals_s} == {1693997155.0}
    assert event.bad == []


def test_the_same_record_gives_the_same_bytes_whatever_order_its_maps_arrive_in() -> None:
    """Maps within maps, too: a redelivery must find its own object."""

    def turned(value: Any) -> Any:  # noqa: ANN401  # JSON
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return value

    record = dynamodb_record("1", {"b": {"S": "x"}, "a": {"M": {"d": {"N": "1"}, "c": {"N": "2"}}}})
    (one,), (two,) = read(record).chunks, read(turned(record)).chunks
    assert list(one.payloads) == list(two.payloads)
    assert b"\n" not in one.payloads[0]


def test_a_name_is_the_table_the_label_and_the_padded_number() -> None:
    """Colons of the label are escaped, as everything is outside A-Za-z0-9._-."""
    (chunk,) = read(dynamodb_record("111")).chunks
    assert sequence_name(chunk.origin, "111") == f"{STEM}-{'0' * 61}111"


@pytest.mark.parametrize(
    ("arn", "stem"),
    [
        (TABLE_ARN, STEM),
        ("arn:aws:dynamodb:r:1:table/T", "T"),
        ("eventsource_arn", "table"),
        (None, "table"),
        ("a:table/x~/y/stream/../z", "x%7E%2Fy-..%2Fz"),
    ],
)
def test_a_stem_is_the_table_and_the_label(arn: Any, stem: str) -> None:  # noqa: ANN401  # anything
    """What is no ARN of a stream has a name all the same, and no name leaves its folder."""
    (chunk,) = read(dynamodb_record("1", arn=arn)).chunks
    assert chunk.origin.stem == stem


def test_records_of_several_tables_are_chunks_of_their_own() -> None:
    """Each in its order."""
    other = TABLE_ARN.replace("Orders", "Users")
    event = read(dynamodb_record("1"), dynamodb_record("2", arn=other), dynamodb_record("3"))
    users = STEM.replace("Orders", "Users")
    assert [(chunk.origin.stem, list(chunk.positions)) for chunk in event.chunks] == [
        (STEM, ["1", "3"]),
        (users, ["2"]),
    ]


def test_a_record_that_comes_twice_is_read_once() -> None:
    """By its sequence number."""
    event = read(dynamodb_record("1"), dynamodb_record("2"), dynamodb_record("1"))
    assert list(event.positions) == ["1", "2"]
    assert len(event.chunks[0]) == 2


def test_records_of_one_sequence_number_are_read_by_all_that_they_have() -> None:
    """Shards of a table number their records independently; `eventID` tells those apart."""
    other = dynamodb_record("1") | {"eventID": "event-of-another-shard"}
    odd = dynamodb_record("1", SURROGATE)
    event = read(dynamodb_record("1"), other, odd, dynamodb_record("2"), odd, other)
    assert list(event.positions) == ["1", "1/1", "1/2", "2"]
    assert list(event.chunks[0].positions) == ["1", "1/1", "2"]
    assert [bad.position for bad in event.bad] == ["1/2"]
    ledger = Ledger(event.positions)
    ledger.settle(["1", "1/1", "2"])
    assert event.failed_identities(ledger) == ["1"]


def test_a_record_with_half_a_surrogate_pair_is_bad_and_its_neighbours_go_on() -> None:
    """Its payload is kept as JSON that escapes the half, so that it can be sent again."""
    odd = dynamodb_record("2", SURROGATE)
    event = read(dynamodb_record("1"), odd, dynamodb_record("3"))
    (chunk,) = event.chunks
    assert list(chunk.positions) == ["1", "3"]
    assert [json.loads(p)["eventID"] for p in chunk.payloads] == ["event-1", "event-3"]
    (bad,) = event.bad
    assert (bad.position, bad.reason) == ("2", BadRecordReason.NOT_UTF8)
    assert bad.chunk.origin == chunk.origin
    assert json.loads(bad.chunk.payloads[0]) == odd
    assert list(event.positions) == ["1", "2", "3"]


@pytest.mark.parametrize("odd", [{"n": 2**70}, {1: {"S": "x"}}, {(1, 2): 3}])
def test_a_record_that_json_has_no_form_for_is_bad(odd: Any) -> None:  # noqa: ANN401  # anything
    """No event that was JSON holds such a one; a caller that makes events by hand may."""
    event = read(dynamodb_record("1"), dynamodb_record("2", odd))
    assert [(bad.position, bad.reason) for bad in event.bad] == [("2", BadRecordReason.MALFORMED)]
    assert list(event.chunks[0].positions) == ["1"]
    assert quarantine_line(event.bad[0])


def test_quarantine_has_the_record_once() -> None:
    """As its payload; the envelope, which would be the same again, is null."""
    record = dynamodb_record("1", {"Text": {"S": "x" * 300}})
    (bad,) = validate(read(record).chunks[0], is_json=True, max_bytes=100).bad
    line = json.loads(quarantine_line(bad))
    assert (line["reason"], line["source"], line["position"]) == ("too_large", "dynamodb", "1")
    assert json.loads(line["payload"]) == record
    assert line["envelope"] is None


def test_a_time_may_be_a_whole_number_and_one_that_is_none_is_the_events_first() -> None:
    """The clock stands in only where no record has a time."""
    records = [dynamodb_record(str(n)) for n in range(3)]
    records[0]["dynamodb"]["ApproximateCreationDateTime"] = "soon"
    records[1]["dynamodb"]["ApproximateCreationDateTime"] = int(ARRIVAL_S) + 7
    (chunk,) = read(*records).chunks
    assert list(chunk.arrivals_s) == [ARRIVAL_S + 7, ARRIVAL_S + 7, ARRIVAL_S]
    del records[0]["dynamodb"]["ApproximateCreationDateTime"]
    (chunk,) = read(records[0]).chunks
    assert list(chunk.arrivals_s) == [NOW_S]


def test_any_failure_answers_with_the_first_record() -> None:
    """So that the retry starts where this delivery did, and the batch is kept whole."""
    event = read(dynamodb_record("1"), dynamodb_record("2"))
    ledger = Ledger(event.positions)
    ledger.settle(["2"])
    assert event.select_failures(ledger, event.positions) == ["1"]
    ledger.settle(["1"])
    assert event.select_failures(ledger, event.positions) == []


def test_a_stream_of_kinesis_is_no_table() -> None:
    """ARNs of other services give no table's name."""
    (chunk,) = read(dynamodb_record("1", arn=STREAM_ARN)).chunks
    assert chunk.origin.stem == "table"


HOSTILE = ["a\nb\rc", "\u2028", "\x00\x7f", '"\\"', "\U0001f600", "["] * 2


def test_payloads_need_no_validation() -> None:
    """They are valid JSON on one line, whatever the items hold."""
    deep: Any = {"S": "x"}
    for _ in range(200):
        deep = {"M": {"m": deep}} if len(str(deep)) % 2 else {"L": [deep]}
    images = [{"t": {"S": text}, text: {"N": "1e999"}} for text in HOSTILE]
    records = [dynamodb_record(str(n), image) for n, image in enumerate([*images, {"d": deep}])]
    (chunk,) = read(*records).chunks
    plain = replace(chunk, payloads=list(chunk.payloads))
    for is_json in (True, False):
        validated = validate(plain, is_json=is_json, max_bytes=10**6)
        assert not validated.bad
        assert list(validated.good.payloads) == list(chunk.payloads)
        assert validate(chunk, is_json=is_json, max_bytes=10**6).good is chunk


def test_a_payload_that_is_too_large_is_bad() -> None:
    """Although it is valid JSON."""
    (chunk,) = read(dynamodb_record("1"), dynamodb_record("2", {"S": "x" * 1_000})).chunks
    validated = validate(chunk, is_json=True, max_bytes=1_000)
    assert [bad.reason for bad in validated.bad] == [BadRecordReason.TOO_LARGE]
    assert list(validated.good.positions) == ["1"]


def test_a_record_has_the_fingerprint_of_its_event_id() -> None:
    """Whatever the event has in its place."""
    ids = ["a", "b", None, 5]
    records = [dynamodb_record(str(n)) | {"eventID": each} for n, each in enumerate(ids)]
    del records[2]["eventID"]
    (chunk,) = read(*records).chunks
    assert chunk.fingerprints == make_fingerprints(["a", "b", "", "5"])
    assert list(chunk.full_positions) == [
        f"{n}:{digits}" for n, digits in enumerate(chunk.fingerprints or ())
    ]
