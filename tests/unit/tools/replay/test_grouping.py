"""Groups: what names them follows from their records."""

from __future__ import annotations

from batcher.records.chunk import Naming
from batcher.tools.replay.grouping import by_place, group_id, quarantine_prefix, run_of, scope_of
from batcher.tools.replay.marks import Line, Mark, State

FOLDER = "events/_quarantine"


def test_a_streams_records_are_known_within_their_shard() -> None:
    """Whichever record the quarantine object starts with, and on whichever day."""
    keys = [
        f"{FOLDER}/kinesis/dt=2026-11-2{day}/orders-shardId-3-{day:064d}.ndjson.gz"
        for day in (3, 4)
    ]
    assert {scope_of(key) for key in keys} == {"kinesis/orders-shardId-3"}


def test_all_other_records_are_known_within_their_object() -> None:
    """Its whole name, without the root, which may be moved."""
    key = f"{FOLDER}/sqs/dt=2026-11-23/my-queue-1795417200000-9e58.ndjson.gz"
    assert scope_of(key) == "sqs/dt=2026-11-23/my-queue-1795417200000-9e58"


def test_a_group_is_a_set_within_a_scope() -> None:
    """In any order."""
    assert group_id("s", ["a", "b"]) == group_id("s", ["b", "a"])
    assert len({group_id("s", ["a"]), group_id("t", ["a"]), group_id("s", ["a", "b"])}) == 3
    assert len(group_id("s", ["a"])) == 32


def test_a_run_keeps_identities_and_arrivals() -> None:
    """And is of an origin whose records can come again."""
    lines = [Line(1, b"", "a", 1.0, b"x"), Line(2, b"", "b", 2.0, b"y")]
    run = run_of(lines, "scope")
    assert (run.payloads, run.positions, run.arrivals_s) == ([b"x", b"y"], ["a", "b"], [1.0, 2.0])
    assert run.origin.naming is Naming.MESSAGE_SET
    assert run.origin.stem != run_of(lines, "another").origin.stem


def test_lines_are_divided_by_group_state_and_place() -> None:
    """Those without a mark are left out."""
    one, two = Mark("1", State.STARTED, "k"), Mark("1", State.DONE, "k")
    lines = [Line(n, b"", str(n), mark=mark) for n, mark in enumerate([one, None, two, one])]
    assert [[line.identity for line in part] for part in by_place(lines)] == [["0", "3"], ["2"]]


def test_quarantine_stands_under_the_root() -> None:
    """Or at the top, where there is none."""
    assert quarantine_prefix("a/b") == "a/b/_quarantine/"
    assert quarantine_prefix("") == "_quarantine/"
