"""Counts: what has happened so far."""

from __future__ import annotations

from batcher.batching.router import Intake
from batcher.writing.object import Receipt
from batcher.writing.stats import Counts
from support.examples import batch_of, run_of, settings_of


def test_a_written_object_counts_its_records_and_bytes() -> None:
    """Bytes in are payloads with their newlines, bytes out the object's."""
    counts = Counts()
    counts.written(batch_of(run_of(b"1", b"22")), Receipt("k", 2, 99), 0.0)
    assert (counts.records, counts.objects, counts.bytes_in, counts.bytes_out) == (2, 1, 5, 99)
    assert counts.quarantined == 0


def test_a_quarantine_object_counts_apart() -> None:
    """Its records are not among those written."""
    counts = Counts()
    receipt = Receipt("k", 1, 99, quarantined=True)
    counts.written(batch_of(run_of(b"1"), is_quarantine=True), receipt, 0.0)
    assert (counts.records, counts.objects, counts.bytes_in, counts.quarantined) == (0, 0, 0, 1)


def test_the_age_is_that_of_the_oldest_record_of_all_objects() -> None:
    """From each object's oldest record until that object was durable."""
    counts = Counts()
    for now_s, arrivals_s in ((100.0, [95.0, 70.0]), (110.0, [90.0, 99.0]), (120.0, [119.0])):
        run = run_of(*[b"1"] * len(arrivals_s), arrivals_s=arrivals_s)
        counts.written(batch_of(run), Receipt("k", len(run), 9), now_s)
    assert counts.oldest_age_s == 30.0


def test_a_record_that_comes_from_the_future_has_no_age() -> None:
    """Clocks differ: it is not younger than now."""
    counts = Counts()
    counts.written(batch_of(run_of(b"1", arrivals_s=[100.0])), Receipt("k", 1, 9), 99.0)
    assert counts.oldest_age_s == 0.0


def test_dropped_and_left_out_records_are_told_apart() -> None:
    """A bad record that is dropped is none that the transform left out."""
    intake = Intake(settings_of(on_bad_record="drop"), lambda p: None if p == b"0" else p)
    counts = Counts()
    counts.admitted(intake.admit(run_of(b"0", b"x", b"0", b"1")))
    assert (counts.dropped, counts.left_out, counts.refused) == (1, 2, 0)


def test_refused_records_are_counted() -> None:
    """Those that go back to the user."""
    counts = Counts()
    counts.admitted(Intake(settings_of(on_bad_record="fail")).admit(run_of(b"x", b"1", b"y")))
    assert (counts.dropped, counts.left_out, counts.refused) == (0, 0, 2)
