"""Replay: each selected record is replayed once and marked, the others stay unchanged."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from batcher.records.bad_record import BadRecordReason
from batcher.stores.memory import MemoryStore
from batcher.tools.replay.marks import RecordFilter
from integration.tools.replay.replay_harness import (
    ALL,
    FIXED,
    HOUR_S,
    MESSAGES,
    NOTHING,
    STREAM,
    CrashingStore,
    fix,
    handle,
    landed,
    lines,
    put,
    quarantine_keys,
    quarantined,
    record,
    replay,
    states,
    text_of,
)
from support.examples import ARRIVAL_S, kinesis_record

DONE = dict.fromkeys("234ac", "done")


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with two quarantine objects."""
    return quarantined()


def test_each_record_is_written_once_and_marked_with_its_key(store: MemoryStore) -> None:
    """In the hour of its own arrival, as if it had come from its source."""
    tally = replay(store)
    assert landed(store) == sorted(FIXED)
    assert states(store) == DONE
    assert (tally.replayed, tally.error_count) == ({"not_json": 4, "empty": 1}, 0)
    for line in lines(store):
        key = line["replay"]["key"]
        assert line["arrival"][11:13] == key.partition("/hour=")[2][:2]
        assert json.dumps({"was": line["payload"]}) in text_of(store.objects[key])


def test_a_second_run_does_nothing(store: MemoryStore) -> None:
    """It writes nothing."""
    replay(store)
    again = CrashingStore(store)
    tally = replay(again)
    assert not [call for call in again.calls if call.startswith("put")]
    assert not tally.replayed
    assert landed(store) == sorted(FIXED)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (RecordFilter(reasons={BadRecordReason.EMPTY}), "3"),
        (RecordFilter(source="sqs"), "ac"),
        (RecordFilter(since_s=ARRIVAL_S + HOUR_S), "3"),
        (RecordFilter(until_s=ARRIVAL_S + HOUR_S), "24ac"),
        (RecordFilter(until_s=ARRIVAL_S), ""),
        (RecordFilter(reasons={BadRecordReason.NOT_JSON}, source="kinesis"), "24"),
        (NOTHING, ""),
        (ALL, "234ac"),
    ],
)
def test_only_selected_records_are_replayed(
    store: MemoryStore, wanted: RecordFilter, expected: str
) -> None:
    """Later runs replay the others, each once."""
    replay(store, wanted)
    assert {position for position, state in states(store).items() if state} == set(expected)
    assert len(landed(store)) == len(expected)
    replay(store)
    assert landed(store) == sorted(FIXED)
    assert states(store) == DONE


def test_records_that_are_still_bad_stay_unchanged_and_are_reported(store: MemoryStore) -> None:
    """The others are replayed."""

    def choosy(payload: bytes) -> bytes:
        return b"still bad" if payload == b"two" else fix(payload)

    before = {line["position"]: line for line in lines(store)}
    tally = replay(store, transform=choosy)
    after = {line["position"]: line for line in lines(store)}
    assert after["2"] == before["2"]
    assert landed(store) == sorted({*FIXED} - {"two"})
    (named,) = tally.examples
    assert named.startswith("2: not_json: what the transform gave: not one JSON value")
    assert quarantine_keys(store)[0] in named
    assert tally.skipped == {"not_json": 1}
    assert (tally.error_count, tally.unfinished) == (0, 0)


def test_records_filtered_by_the_transform_are_done(store: MemoryStore) -> None:
    """Marked without a key, and not replayed again."""
    replay(store, transform=lambda payload: None if payload == b"two" else fix(payload))
    assert states(store) == DONE
    (left_out,) = [line for line in lines(store) if line["position"] == "2"]
    assert left_out["replay"]["key"] is None
    replay(store)
    assert landed(store) == sorted({*FIXED} - {"two"})


@pytest.mark.parametrize(
    ("reason", "detail", "payload", "expected"),
    [
        ("transform", "it raised", "1", "give the corrected one with --transform"),
        ("not_json", "what the transform gave: x", "1", "give the corrected one"),
        ("malformed", "the body is no text", "null", "use --transform to make a record"),
        ("bad_base64", "data: odd", "1234567", "use --transform to make a record"),
    ],
)
def test_payloads_that_only_look_good_need_a_transform(
    reason: str, detail: str, payload: str, expected: str
) -> None:
    """Without it, they would be written untransformed, or with the wrong payload."""
    store = MemoryStore()
    put(store, KEY, [line_of("1", reason=reason, detail=detail, payload=payload)])
    tally = replay(store, transform=None, format="lines")
    assert expected in tally.examples[0]
    assert landed(store) == []
    replay(store)
    assert landed(store) == [payload]


def test_a_truncated_payload_is_never_replayed() -> None:
    """Quarantine has only its start."""
    store = MemoryStore()
    detail = "a line of 99 bytes; only its start is kept here"
    put(store, KEY, [line_of("f:1", reason="too_large", detail=detail, payload="1")])
    tally = replay(store)
    assert "only the start" in tally.examples[0]
    assert landed(store) == []


KEY = "events/_quarantine/cli/dt=2026-11-23/0195.ndjson.gz"


def line_of(position: str, **changes: Any) -> bytes:  # noqa: ANN401
    """Return a line of a quarantine object."""
    line = {
        "reason": "not_json",
        "detail": "not one JSON value",
        "source": "cli",
        "position": position,
        "arrival": "2026-11-23T07:00:00+00:00",
        "payload": position,
        "envelope": None,
    }
    return json.dumps({**line, **changes}).encode()


def test_a_damaged_line_is_reported_and_kept_and_the_others_are_replayed() -> None:
    """It stays byte for byte."""
    store = MemoryStore()
    damaged = [b"{", b"[]", b"", line_of("x", payload=None), line_of("x", arrival="soon")]
    put(store, KEY, [line_of("1"), *damaged, line_of("2")])
    tally = replay(store)
    assert landed(store) == ["1", "2"]
    assert [error.partition(": ")[2][:6] for error in tally.errors] == [
        f"line {number}" for number in range(2, 7)
    ]
    assert all(error.startswith(KEY) for error in tally.errors)
    assert text_of(store.objects[KEY]).encode().split(b"\n")[1:6] == damaged


@pytest.mark.parametrize("body", [b"", b"plain text", gzip.compress(line_of("1"), mtime=0)[:-9]])
def test_a_damaged_object_is_reported_and_the_others_are_replayed(
    store: MemoryStore, body: bytes
) -> None:
    """It stays unchanged."""
    put(store, KEY, [])
    there = store.objects[KEY]
    store.objects[KEY] = type(there)(body, there.attributes, there.info)
    tally = replay(store)
    (error,) = tally.errors
    assert error.startswith(KEY)
    assert store.objects[KEY].body == body
    assert landed(store) == sorted(FIXED)


def test_an_object_too_large_for_the_budget_is_reported(store: MemoryStore) -> None:
    """With what to do. None of its records is changed."""
    put(store, KEY, [line_of("1", payload="x" * 200_000)])
    tally = replay(store, budget_bytes=100_000)
    assert tally.errors == [f"{KEY}: more than 100.0 kB of text; raise budget_bytes"]
    assert landed(store) == sorted(FIXED)


def test_a_repeated_position_is_two_records() -> None:
    """One command was given a file twice."""
    store = MemoryStore()
    put(store, KEY, [line_of("f:1"), line_of("f:1"), line_of("f:1", reason="empty")])
    replay(store, RecordFilter(reasons={BadRecordReason.EMPTY}))
    assert landed(store) == ["f:1"]
    replay(store)
    assert landed(store) == ["f:1"] * 3


def test_the_same_positions_in_two_objects_are_other_records() -> None:
    """Two commands read files of the same name."""
    store = MemoryStore()
    for number in "12":
        put(store, KEY.replace("0195", number), [line_of("f:1", payload=f"of {number}")])
    replay(store)
    assert landed(store) == ["of 1", "of 2"]


def test_binary_payloads_are_replayed_byte_for_byte() -> None:
    """From `payload_b64`."""
    store = MemoryStore()
    handle(store, [record("1", b'"\xff"')])
    replay(store, transform=lambda payload: json.dumps({"was": payload.hex()}))
    assert landed(store) == ["22ff22"]


def test_marks_change_nothing_else_of_the_object(store: MemoryStore) -> None:
    """Lines, metadata and content type stay. Checksum and size are those of the new text."""
    before = {key: store.objects[key] for key in quarantine_keys(store)}
    old_lines = lines(store)
    replay(store)
    for key, old in before.items():
        new = store.objects[key]
        text = gzip.decompress(new.body)
        assert new.attributes.content_type == old.attributes.content_type
        assert new.info.metadata == {
            **old.info.metadata,
            "batcher-crc32": f"{zlib.crc32(text):08x}",
            "batcher-bytes": str(len(text)),
        }
    assert [{n: v for n, v in line.items() if n != "replay"} for line in lines(store)] == old_lines


def test_guards_are_not_replayed(store: MemoryStore) -> None:
    """They have no records, and stay as they are."""
    put(store, KEY, [], **{"batcher-kind": "guard", "batcher-of": "another key"})
    guard = store.objects[KEY]
    result = replay(store)
    assert not result.errors
    assert store.objects[KEY] == guard
    assert landed(store) == sorted(FIXED)


def test_a_redelivery_after_a_replay_keeps_the_marks(store: MemoryStore) -> None:
    """The handler recognizes its object by the digest of its positions."""
    replay(store)
    handle(store, STREAM, MESSAGES)
    assert states(store) == DONE
    replay(store)
    assert landed(store) == sorted(FIXED)


def test_a_bisected_redelivery_leaves_the_marks_and_nothing_is_written_twice(
    store: MemoryStore,
) -> None:
    """It finds all of its bad records in the quarantine object, by the positions list there."""
    replay(store)  # 2 and 4 in one object, 3 in that of the next hour
    handle(store, STREAM[:2], STREAM[2:3], STREAM[3:])
    assert states(store) == dict.fromkeys(["2", "3", "4", "a", "c"], "done")
    replay(store, RecordFilter(since_s=ARRIVAL_S + HOUR_S))
    assert landed(store) == sorted(FIXED)


def test_marks_leave_the_positions_list_in_the_body() -> None:
    """A long list is in the body, which the marks replace."""
    store = MemoryStore()
    numbers = [n * n * n for n in range(1, 700)]
    bad = [kinesis_record(str(n), b"no json") for n in numbers]
    handle(store, bad)
    replay(store)
    handle(store, bad[:20], bad[20:])
    assert states(store) == {str(n): "done" for n in numbers}


def test_replayed_objects_have_at_most_max_records(store: MemoryStore) -> None:
    """Each line has the key of its own object."""
    replay(store, RecordFilter(source="sqs"), max_records=1)
    keys = [line["replay"]["key"] for line in lines(store) if line["source"] == "sqs"]
    assert len(set(keys)) == 2


def test_a_dry_run_counts_by_reason_and_does_nothing(store: MemoryStore) -> None:
    """Including records that are still bad."""
    dying = CrashingStore(store)
    tally = replay(dying, dry_run=True, transform=lambda p: None if p == b"two" else fix(p))
    assert (tally.replayed, tally.left_out) == ({"not_json": 3, "empty": 1}, {"not_json": 1})
    tally = replay(dying, dry_run=True, transform=None)
    assert (tally.replayed, tally.skipped) == ({}, {"not_json": 4, "empty": 1})
    assert not [call for call in dying.calls if call.startswith("put")]
