"""Counts: what has happened so far."""

from __future__ import annotations

from batcher.batching.router import Router
from batcher.writing.object import Receipt
from batcher.writing.stats import Stats
from support.examples import make_batch, make_chunk, make_settings


def test_a_written_object_counts_its_records_and_bytes() -> None:
    """Bytes in are payloads with their newlines, bytes out the object's."""
    counts = Stats()
    counts.count_written(make_batch(make_chunk(b"1", b"22")), Receipt("k", 2, 99), 0.0)
    assert (counts.records, counts.objects, counts.bytes_in, counts.bytes_out) == (2, 1, 5, 99)
    assert counts.quarantined == 0


def test_a_quarantine_object_counts_apart() -> None:
    """Its records are not among those written."""
    counts = Stats()
    receipt = Receipt("k", 1, 99, quarantined=True)
    counts.count_written(make_batch(make_chunk(b"1"), is_quarantine=True), receipt, 0.0)
    assert (counts.records, counts.objects, counts.bytes_in, counts.quarantined) == (0, 0, 0, 1)


def test_the_age_is_that_of_the_oldest_record_of_all_objects() -> None:
    """From each object's oldest record until that object was durable."""
    counts = Stats()
    for now_s, arrivals_s in ((100.0, [95.0, 70.0]), (110.0, [90.0, 99.0]), (120.0, [119.0])):
        run = make_chunk(*[b"1"] * len(arrivals_s), arrivals_s=arrivals_s)
        counts.count_written(make_batch(run), Receipt("k", len(run), 9), now_s)
    assert counts.oldest_record_age_s == 30.0


def test_a_record_that_comes_from_the_future_has_no_age() -> None:
    """Clocks differ: it is not younger than now."""
    counts = Stats()
    counts.count_written(make_batch(make_chunk(b"1", arrivals_s=[100.0])), Receipt("k", 1, 9), 99.0)
    assert counts.oldest_record_age_s == 0.0


def test_dropped_and_left_out_records_are_told_apart() -> None:
    """A bad record that is dropped is none that the transform left out."""
    intake = Router(make_settings(on_bad_record="drop"), lambda p: None if p == b"0" else p)
    counts = Stats()
    counts.count_routed(intake.route(make_chunk(b"0", b"x", b"0", b"1")))
    assert (counts.dropped, counts.filtered, counts.rejected) == (1, 2, 0)


def test_refused_records_are_counted() -> None:
    """Those that go back to the user."""
    counts = Stats()
    counts.count_routed(
        Router(make_settings(on_bad_record="fail")).route(make_chunk(b"x", b"1", b"y"))
    )
    assert (counts.dropped, counts.filtered, counts.rejected) == (0, 0, 2)
