"""Router: what becomes of each record of a chunk."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batcher.batching.batch import Route
from batcher.batching.router import Routed, Router
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Origin
from support.examples import LIBRARY, QUEUE, SHARD, make_chunk, make_settings

MIXED = make_chunk(b'{"a":1}', b"x", b'{"a":2}', b"NaN", b'{"a":1}')
BY_FIELD = "a={field:a}"


def routed(result: Routed) -> list[tuple[Route, list[str]]]:
    """Report which positions go where."""
    return [(route, list(chunk.positions)) for route, chunk in result.chunks]


def test_good_records_are_routed_by_partition_and_bad_ones_to_quarantine() -> None:
    """Every record, once."""
    result = Router(make_settings(partition_by=BY_FIELD)).route(MIXED)
    assert routed(result) == [
        (Route(LIBRARY, "a=1"), ["0", "4"]),
        (Route(LIBRARY, "a=2"), ["2"]),
        (Route(LIBRARY, "", is_quarantine=True), ["1", "3"]),
    ]
    assert [bad.position for bad in result.bad] == ["1", "3"]
    assert (result.rejected, result.excluded, result.dropped) == ([], [], 0)
    lines = [json.loads(line) for line in result.chunks[-1][1].payloads]
    assert [line["payload"] for line in lines] == ["x", "NaN"]


def test_bad_records_are_dropped_where_the_user_says_so() -> None:
    """A counted decision that settles them."""
    result = Router(make_settings(partition_by="", on_bad_record="drop")).route(MIXED)
    assert routed(result) == [(Route(LIBRARY, ""), ["0", "2", "4"])]
    assert [list(chunk.positions) for chunk in result.excluded] == [["1"], ["3"]]
    assert (result.dropped, result.rejected) == (2, [])


def test_bad_records_go_back_where_the_user_says_so() -> None:
    """They are neither written nor settled."""
    result = Router(make_settings(partition_by="", on_bad_record="fail")).route(MIXED)
    assert routed(result) == [(Route(LIBRARY, ""), ["0", "2", "4"])]
    assert [bad.position for bad in result.rejected] == ["1", "3"]
    assert (result.dropped, result.excluded) == (0, [])


def test_nothing_bad_leaves_no_trace() -> None:
    """No quarantine, nothing refused."""
    result = Router(make_settings(partition_by="")).route(make_chunk(b"1"))
    assert routed(result) == [(Route(LIBRARY, ""), ["0"])]
    assert result.bad == []


def test_records_found_bad_before_join_those_found_now() -> None:
    """Quarantine has them in that order."""
    found = BadRecord(make_chunk(b"?", positions=["9"]), BadRecordReason.BAD_BASE64, "data")
    result = Router(make_settings(partition_by="")).route(make_chunk(b"1", b"x"), [found])
    assert routed(result)[-1] == (Route(LIBRARY, "", is_quarantine=True), ["9", "1"])


def test_the_transform_comes_before_all_checks() -> None:
    """What it makes of a bad record may be good, and of a good one bad."""

    def transform(payload: bytes) -> bytes | dict[str, Any] | None:
        if payload == b"boom":
            raise ValueError(payload)
        made: dict[bytes, bytes | dict[str, Any] | None]
        made = {b"x": {"a": 7}, b"1": b"no json", b"skip": None}
        return made.get(payload, payload)

    chunk = make_chunk(b"x", b"1", b"skip", b"boom", b"2")
    result = Router(make_settings(partition_by=""), transform).route(chunk)
    assert routed(result)[0] == (Route(LIBRARY, ""), ["0", "4"])
    assert list(result.chunks[0][1].payloads) == [b'{"a":7}', b"2"]
    assert [(bad.position, bad.reason) for bad in result.bad] == [
        ("1", BadRecordReason.NOT_JSON),
        ("3", BadRecordReason.TRANSFORM),
    ]
    assert [list(left.positions) for left in result.excluded] == [["2"]]


def test_a_payload_stays_as_it_came_where_only_the_transforms_output_is_bad() -> None:
    """Else what was sent would be lost: an envelope does not repeat it."""
    intake = Router(make_settings(partition_by=""), lambda payload: payload + b"}")
    result = intake.route(make_chunk(b'{"a":1', b'{"a":2}', b"x", positions=["p", "q", "r"]))
    assert routed(result)[0][1] == ["p"]
    assert [list(bad.chunk.payloads) for bad in result.bad] == [[b'{"a":2}'], [b"x"]]
    assert [bad.position for bad in result.bad] == ["q", "r"]
    assert all(bad.reason is BadRecordReason.NOT_JSON for bad in result.bad)
    assert all(bad.detail.startswith("what the transform gave: ") for bad in result.bad)


def test_a_transform_may_leave_nothing_out() -> None:
    """Then there is no decision to tell of."""
    result = Router(make_settings(partition_by=""), lambda p: p).route(make_chunk(b"1", b"2"))
    assert routed(result) == [(Route(LIBRARY, ""), ["0", "1"])]
    assert result.excluded == []


def test_a_chunk_of_nothing_good_is_routed_to_quarantine_alone() -> None:
    """No empty batch of data is opened."""
    result = Router(make_settings()).route(make_chunk(b"x"))
    assert [route.is_quarantine for route, _ in result.chunks] == [True]
    assert Router(make_settings()).route(make_chunk()).chunks == []


def test_lines_are_not_asked_to_be_json() -> None:
    """But they may hold no newline."""
    result = Router(make_settings(partition_by="", format="lines")).route(make_chunk(b"x", b"a\nb"))
    assert routed(result)[0] == (Route(LIBRARY, ""), ["0"])
    assert [bad.reason for bad in result.bad] == [BadRecordReason.NEWLINE]


@pytest.mark.parametrize("limit", ["max_bytes", "budget_bytes"])
def test_a_record_that_no_batch_can_hold_is_bad(limit: str) -> None:
    """Neither the batch nor the budget may be smaller than it."""
    settings = make_settings(**{limit: 10})
    result = Router(settings).route(make_chunk(b'"1234567"', b'"12345678"'))
    assert [bad.position for bad in result.bad] == ["1"]
    assert result.bad[0].reason is BadRecordReason.TOO_LARGE


def test_quarantine_is_by_origin() -> None:
    """Each queue or shard has an object of its own."""
    other = Origin("sqs", QUEUE.naming, "other-queue")
    found = [
        BadRecord(make_chunk(b"?", origin=origin), BadRecordReason.MALFORMED, "")
        for origin in (QUEUE, QUEUE, other)
    ]
    result = Router(make_settings()).route(make_chunk(origin=SHARD), found)
    assert [(route.origin, len(part)) for route, part in result.chunks] == [
        (QUEUE, 2),
        (other, 1),
    ]
