"""Replay: each wanted record once more, marked; the others as they were."""

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
from support.examples import ARRIVAL_S

DONE = dict.fromkeys("234ac", "done")


@pytest.fixture
def store() -> MemoryStore:
    """Return a store with two quarantine objects."""
    return quarantined()


def test_each_record_is_written_once_and_marked_with_its_key(store: MemoryStore) -> None:
    """By the hour of its own arrival, as if it had come from its source."""
    tally = replay(store)
    assert landed(store) == sorted(FIXED)
    assert states(store) == DONE
    assert (tally.replayed, tally.error_count) == ({"not_json": 4, "empty": 1}, 0)
    for line in lines(store):
        key = line["replay"]["key"]
        assert line["arrival"][11:13] == key.partition("/hour=")[2][:2]
        assert json.dumps({"was": line["payload"]}) in text_of(store.objects[key])


def test_a_second_run_does_nothing(store: MemoryStore) -> None:
    """Not one write."""
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
def test_only_wanted_records_are_taken(
    store: MemoryStore, wanted: RecordFilter, expected: str
) -> None:
    """And later runs take the others, each once."""
    replay(store, wanted)
    assert {position for position, state in states(store).items() if state} == set(expected)
    assert len(landed(store)) == len(expected)
    replay(store)
    assert landed(store) == sorted(FIXED)
    assert states(store) == DONE


def test_records_that_are_still_bad_stay_as_they_were_and_are_named(store: MemoryStore) -> None:
    """Their neighbours go."""

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


def test_what_the_transform_leaves_out_is_done(store: MemoryStore) -> None:
    """Marked without a key, and not taken again."""
    replay(store, transform=lambda payload: None if payload == b"two" else fix(payload))
    assert states(store) == DONE
    (left_out,) = [line for line in lines(store) if line["position"] == "2"]
    assert left_out["replay"]["key"] is None
    replay(store)
    assert landed(store) == sorted({*FIXED} - {"two"})


@pytest.mark.parametrize(
    ("reason", "detail", "payload", "told"),
    [
        ("transform", "it raised", "1", "give the corrected one with --transform"),
        ("not_json", "what the transform gave: x", "1", "give the corrected one"),
        ("malformed", "the body is no text", "null", "use --transform to make a record"),
        ("bad_base64", "data: odd", "1234567", "use --transform to make a record"),
    ],
)
def test_payloads_that_only_look_good_need_a_transform(
    reason: str, detail: str, payload: str, told: str
) -> None:
    """They would be written as they must not be: untransformed, or not the record's at all."""
    store = MemoryStore()
    put(store, KEY, [line_of("1", reason=reason, detail=detail, payload=payload)])
    tally = replay(store, transform=None, format="lines")
    assert told in tally.examples[0]
    assert landed(store) == []
    replay(store)
    assert landed(store) == [payload]


def test_a_line_that_was_too_long_to_be_held_is_never_replayed() -> None:
    """Only its start is there."""
    store = MemoryStore()
    detail = "a line of 99 bytes; only its start is kept here"
    put(store, KEY, [line_of("f:1", reason="too_large", detail=detail, payload="1")])
    tally = replay(store)
    assert "only the start" in tally.examples[0]
    assert landed(store) == []


KEY = "events/_quarantine/cli/dt=2026-11-23/0195.ndjson.gz"


def line_of(position: str, **changes: Any) -> bytes:  # noqa: ANN401
    """Make a line of quarantine."""
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


def test_a_damaged_line_is_named_and_kept_and_the_others_go() -> None:
    """Byte for byte."""
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
def test_a_damaged_object_is_named_and_the_others_go(store: MemoryStore, body: bytes) -> None:
    """It is left as it is."""
    put(store, KEY, [])
    there = store.objects[KEY]
    store.objects[KEY] = type(there)(body, there.attributes, there.info)
    tally = replay(store)
    (error,) = tally.errors
    assert error.startswith(KEY)
    assert store.objects[KEY].body == body
    assert landed(store) == sorted(FIXED)


def test_an_object_too_large_for_the_budget_is_named(store: MemoryStore) -> None:
    """With what to do; no record of it is touched."""
    put(store, KEY, [line_of("1", payload="x" * 200_000)])
    tally = replay(store, budget_bytes=100_000)
    assert tally.errors == [f"{KEY}: more than 100.0 kB of text; raise budget_bytes"]
    assert landed(store) == sorted(FIXED)


def test_a_position_that_comes_twice_is_two_records() -> None:
    """One command that was given a file twice."""
    store = MemoryStore()
    put(store, KEY, [line_of("f:1"), line_of("f:1"), line_of("f:1", reason="empty")])
    replay(store, RecordFilter(reasons={BadRecordReason.EMPTY}))
    assert landed(store) == ["f:1"]
    replay(store)
    assert landed(store) == ["f:1"] * 3


def test_the_same_positions_in_two_objects_are_other_records() -> None:
    """Two commands that read files of one name."""
    store = MemoryStore()
    for number in "12":
        put(store, KEY.replace("0195", number), [line_of("f:1", payload=f"of {number}")])
    replay(store)
    assert landed(store) == ["of 1", "of 2"]


def test_what_is_no_text_comes_back_byte_for_byte() -> None:
    """As `payload_b64`."""
    store = MemoryStore()
    handle(store, [record("1", b'"\xff"')])
    replay(store, transform=lambda payload: json.dumps({"was": payload.hex()}))
    assert landed(store) == ["22ff22"]


def test_marks_leave_all_else_on_the_object_as_it_is(store: MemoryStore) -> None:
    """Lines, metadata and type; what tells of the text is that of the new text."""
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


def test_a_redelivery_after_a_replay_undoes_no_mark(store: MemoryStore) -> None:
    """The handler knows its own object by the digest of its positions."""
    replay(store)
    handle(store, STREAM, MESSAGES)
    assert states(store) == DONE
    replay(store)
    assert landed(store) == sorted(FIXED)


def test_half_a_redelivery_takes_marks_away_and_a_set_that_comes_again_is_written_once(
    store: MemoryStore,
) -> None:
    """Bisect: the key follows from the shard and the records, not from the quarantine object."""
    replay(store)  # 2 and 4 in one object, 3 in that of the next hour
    handle(store, STREAM[:2], STREAM[2:3], STREAM[3:])
    assert states(store) == {"2": None, "3": None, "4": None, "a": "done", "c": "done"}
    replay(store, RecordFilter(since_s=ARRIVAL_S + HOUR_S))
    assert states(store)["3"] == "done"
    assert landed(store) == sorted(FIXED)


def test_records_cut_by_max_records_go_into_objects_of_that_size(store: MemoryStore) -> None:
    """Each line names its own."""
    replay(store, RecordFilter(source="sqs"), max_records=1)
    keys = [line["replay"]["key"] for line in lines(store) if line["source"] == "sqs"]
    assert len(set(keys)) == 2


def test_a_dry_run_tells_by_reason_and_does_nothing(store: MemoryStore) -> None:
    """What is still bad, too."""
    dying = CrashingStore(store)
    tally = replay(dying, dry_run=True, transform=lambda p: None if p == b"two" else fix(p))
    assert tally.replayed == {"not_json": 4, "empty": 1}
    tally = replay(dying, dry_run=True, transform=None)
    assert (tally.replayed, tally.skipped) == ({}, {"not_json": 4, "empty": 1})
    assert not [call for call in dying.calls if call.startswith("put")]
