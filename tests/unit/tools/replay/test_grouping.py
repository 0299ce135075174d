"""Grouping: ids and names are derived from the records."""

from __future__ import annotations

from batcher.records.chunk import NamingScheme
from batcher.tools.replay.grouping import (
    group_by_mark,
    identity_scope,
    make_chunk,
    make_group_id,
    quarantine_prefix,
)
from batcher.tools.replay.marks import QuarantineLine, ReplayMark, ReplayState

FOLDER = "events/_quarantine"


def test_the_scope_of_stream_records_is_their_shard() -> None:
    """For any first record and day of the quarantine object."""
    keys = [
        f"{FOLDER}/kinesis/dt=2026-11-2{day}/orders-shardId-3-{day:064d}.ndjson.gz"
        for day in (3, 4)
    ]
    assert {identity_scope(key) for key in keys} == {"kinesis/orders-shardId-3"}


def test_the_scope_of_other_records_is_their_object() -> None:
    """By its key without the root, because a root may be moved."""
    key = f"{FOLDER}/sqs/dt=2026-11-23/my-queue-1795417200000-9e58.ndjson.gz"
    assert identity_scope(key) == "sqs/dt=2026-11-23/my-queue-1795417200000-9e58"


def test_a_group_is_a_set_within_a_scope() -> None:
    """In any order."""
    assert make_group_id("s", ["a", "b"]) == make_group_id("s", ["b", "a"])
    assert (
        len({make_group_id("s", ["a"]), make_group_id("t", ["a"]), make_group_id("s", ["a", "b"])})
        == 3
    )
    assert len(make_group_id("s", ["a"])) == 32


def test_a_chunk_keeps_identities_and_arrivals() -> None:
    """Its origin is one whose records can be delivered again."""
    lines = [QuarantineLine(1, b"", "a", 1.0, b"x"), QuarantineLine(2, b"", "b", 2.0, b"y")]
    run = make_chunk(lines, "scope")
    assert (run.payloads, run.positions, run.arrivals_s) == ([b"x", b"y"], ["a", "b"], [1.0, 2.0])
    assert run.origin.naming is NamingScheme.MESSAGE_SET
    assert run.origin.stem != make_chunk(lines, "another").origin.stem


def test_lines_are_grouped_by_group_state_and_target() -> None:
    """Lines without a mark are left out."""
    one, two = ReplayMark("1", ReplayState.STARTED, "k"), ReplayMark("1", ReplayState.DONE, "k")
    lines = [
        QuarantineLine(n, b"", str(n), mark=mark) for n, mark in enumerate([one, None, two, one])
    ]
    assert [[line.identity for line in part] for part in group_by_mark(lines)] == [
        ["0", "3"],
        ["2"],
    ]


def test_quarantine_is_under_the_root() -> None:
    """Or at the top, without a root."""
    assert quarantine_prefix("a/b") == "a/b/_quarantine/"
    assert quarantine_prefix("") == "_quarantine/"
