"""Event writer, the part that decides: which batches an event becomes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from batcher.batching.batch import Batch, FlushReason
from batcher.batching.router import Router
from batcher.errors import RetryableError
from batcher.handler.event_writer import plan_batches
from batcher.settings import Settings
from batcher.sources import read_event
from batcher.writing.object import object_key, object_name
from support.examples import fifo_message, kinesis_record, make_settings, message, texts_of

HOUR_MS = 3_600_000


def planned(records: Sequence[object], **values: object) -> tuple[list[Batch], Settings]:
    """Plan an event of these records."""
    settings = make_settings(**values)
    event = read_event({"Records": records}, 0.0)
    return plan_batches(event, Router(settings), settings)[0], settings


def keys(batches: Sequence[Batch], settings: Settings) -> list[str]:
    """Return the keys of batches."""
    return [object_key(b, object_name(b, b.digest(), "fresh"), settings) for b in batches]


def test_an_event_becomes_sealed_batches() -> None:
    """All at its end."""
    batches, _ = planned([message("a", "1"), message("b", "2")])
    assert [(b.records, b.seal_reason) for b in batches] == [(2, FlushReason.EVENT)]


def test_a_stream_becomes_one_batch_a_partition_whatever_the_limits() -> None:
    """Else a retry could not replace the same keys."""
    records = [kinesis_record(str(n), b"[%d]" % (n % 2)) for n in range(10)]
    batches, _ = planned(records, max_records=2, max_bytes=10, linger_s=0, partition_by="")
    assert [b.records for b in batches] == [10]
    batches, _ = planned(records, max_records=2, partition_by="a={field:a}")
    assert [b.records for b in batches] == [10]


def test_a_stream_that_does_not_fit_the_budget_fails_before_its_first_put() -> None:
    """And the message says what helps."""
    records = [kinesis_record(str(n), b'"12345678"') for n in range(10)]
    assert planned(records, budget_bytes=110)[0]
    with pytest.raises(RetryableError, match="110 payload bytes does not fit budget_bytes"):
        planned(records, budget_bytes=109)


def test_a_queue_is_kept_within_the_limits() -> None:
    """By records and by bytes."""
    records = [message(f"m{n}", "[1]") for n in range(5)]
    batches, _ = planned(records, max_records=2)
    assert [b.records for b in batches] == [2, 2, 1]
    batches, _ = planned(records, max_bytes=8)
    assert [b.size_bytes for b in batches] == [8, 8, 4]
    assert len(planned(records, budget_bytes=15, max_bytes=8)[0]) == 3  # a queue waits for budget


@pytest.mark.parametrize("values", [{}, {"max_records": 2}, {"max_bytes": 8}])
def test_the_order_of_messages_makes_no_other_objects(values: dict[str, int]) -> None:
    """The same set of messages redelivered is written once, within limits too."""
    records = [message(f"m{n}", f"[{n}]", sent_ms=n * HOUR_MS // 2) for n in range(6)]
    forwards, backwards = (planned(r, **values) for r in (records, records[::-1]))
    assert sorted(keys(*forwards)) == sorted(keys(*backwards))
    assert len(set(keys(*forwards))) == len(forwards[0]) > 2


def test_a_fifo_queue_keeps_its_order_within_limits() -> None:
    """By sequence number, not by id."""
    records = [fifo_message(i, n, body=f"[{n}]") for i, n in (("c", "7"), ("a", "9"), ("b", "8"))]
    batches, _ = planned(records, max_records=2)
    assert [texts_of(b) for b in batches] == [b"[7]\n[8]\n", b"[9]\n"]


def test_quarantine_is_never_cut() -> None:
    """It stays one object, named by its first bad record."""
    records = [message(f"m{n}", "no json " * 100) for n in range(5)]
    batches, settings = planned(records, max_records=1, max_bytes=900)
    assert [(b.records, b.route.is_quarantine) for b in batches] == [(5, True)]
    assert keys(batches, settings)[0].startswith("_quarantine/sqs/dt=")


def test_several_queues_in_one_event_get_objects_of_their_own() -> None:
    """Good and bad ones, each by its queue."""
    arns = ("arn:aws:sqs:us-east-2:1:one", "arn:aws:sqs:us-east-2:1:two")
    records = [
        message(f"{kind}{n}", body, arn=arn)
        for n, arn in enumerate(arns)
        for kind, body in (("good", "1"), ("bad", "x"), ("odd", None))
    ]
    batches, _ = planned(records)
    assert sorted((b.route.origin.stem, b.route.is_quarantine, b.records) for b in batches) == [
        ("one", False, 1),
        ("one", True, 2),
        ("two", False, 1),
        ("two", True, 2),
    ]


def test_decisions_about_records_that_are_not_written_are_handed_on() -> None:
    """One a run."""
    settings = make_settings(on_bad_record="fail")
    event = read_event({"Records": [message("a", "x"), message("b", "1")]}, 0.0)
    batches, (admitted,) = plan_batches(event, Router(settings), settings)
    assert [bad.position for bad in admitted.rejected] == ["a"]
    assert [b.records for b in batches] == [1]


def test_a_direct_invoke_is_kept_within_the_limits() -> None:
    """Its objects are fresh."""
    settings = make_settings(max_records=2)
    event = read_event([{"n": n} for n in range(3)], 0.0)
    batches, _ = plan_batches(event, Router(settings), settings)
    assert [b.records for b in batches] == [2, 1]
    assert object_name(batches[0], batches[0].digest(), "fresh") == "fresh"
