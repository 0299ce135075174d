"""Policy: what fits into a batch, and when and why it must leave."""

from __future__ import annotations

import pytest

from batcher.batching.batch import Batch, BatchLimits, FlushReason, Route, fits, flush_reason
from support.examples import LIBRARY, make_batch, make_chunk


def batch_of_two(due_s: float = float("inf")) -> Batch:
    """Make an open batch with two records, six bytes."""
    batch = make_batch(make_chunk(b"aa", b"bb"), sealed=None)
    batch.due_s = due_s
    return batch


def test_nothing_is_due_without_limits() -> None:
    """No limit is no limit."""
    limits = BatchLimits()
    assert limits.due_s(5.0) == float("inf")
    assert flush_reason(batch_of_two(), limits, 1e12) is None
    assert fits(batch_of_two(), 10**15, 10**9, limits)


def test_a_batch_is_due_when_its_first_record_has_lingered() -> None:
    """The deadline is absolute, so timer and check cannot disagree."""
    assert BatchLimits(linger_s=5).due_s(100.0) == 105.0
    assert flush_reason(batch_of_two(105.0), BatchLimits(linger_s=5), 104.9) is None
    assert flush_reason(batch_of_two(105.0), BatchLimits(linger_s=5), 105.0) is FlushReason.LINGER


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (BatchLimits(max_bytes=6), FlushReason.BYTES),
        (BatchLimits(max_bytes=7), None),
        (BatchLimits(max_records=2), FlushReason.RECORDS),
        (BatchLimits(max_records=3), None),
        (BatchLimits(max_bytes=6, max_records=2), FlushReason.BYTES),
    ],
)
def test_a_batch_must_leave_when_it_is_full(
    limits: BatchLimits, reason: FlushReason | None
) -> None:
    """Exactly full is full; bytes are asked first."""
    assert flush_reason(batch_of_two(), limits, 0.0) is reason


def test_what_fits_stays_within_both_limits() -> None:
    """Exactly full still fits."""
    limits = BatchLimits(max_bytes=10, max_records=3)
    assert fits(batch_of_two(), 4, 1, limits)
    assert not fits(batch_of_two(), 5, 1, limits)
    assert not fits(batch_of_two(), 4, 2, limits)


def test_an_empty_batch_lingers_like_any_other() -> None:
    """Its time counts from when it was opened."""
    batch = Batch(Route(LIBRARY, ""), 0.0, BatchLimits(linger_s=0).due_s(0.0))
    assert flush_reason(batch, BatchLimits(linger_s=0), 0.0) is FlushReason.LINGER
