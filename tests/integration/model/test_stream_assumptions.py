"""What "exactly once" of streams assumes: each test shows what happens where it does not hold.

None of these is promised; `docs/guarantees.md` names them. A test that fails here is good news: an
assumption is not needed any more.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from support.aws_model.s3 import Bucket, RequestOutcome
from support.aws_model.sandbox import (
    NO_FAULTS,
    Failed,
    InvocationFaults,
    LambdaSandbox,
    Outcome,
    Responded,
)
from support.aws_model.streams import Audit, event_of, records_of, transform
from support.examples import make_settings

DONE = Responded()


class Shard:
    """Records 0, 1, 2 and so on of one shard, a bucket, and sandboxes, each used once."""

    def __init__(self, count: int = 4) -> None:
        """Start with an empty bucket."""
        self.records = records_of("kinesis", ["a"] * count, range(count))
        self.bucket = Bucket(Counter())
        self.audit = Audit(self.records)

    def sandbox(self, **settings: Any) -> LambdaSandbox:  # noqa: ANN401  # as Settings takes them
        """Start a sandbox; its retries are off."""
        chosen = make_settings(
            **{"root": "events", "partition_by": "kind={field:kind}", **settings},
            partial_response=True,
        )
        return LambdaSandbox(self.bucket, chosen, transform=transform, retries=False)

    def deliver(self, start: int, end: int, *outcomes: RequestOutcome) -> Outcome:
        """Deliver the records from `start` up to `end` in a new sandbox."""
        return self.sandbox().invoke(event_of(self.records[start:end]), InvocationFaults(outcomes))

    def copies(self) -> list[int]:
        """Count the objects that each record is in."""
        places = self.audit.count_objects(self.bucket)
        return [places[record.number] for record in self.records]


@pytest.fixture
def shard() -> Shard:
    """Return a shard."""
    return Shard()


def test_a_late_put_is_refused_where_the_name_is_taken(shard: Shard) -> None:
    """[0, 1, 2] is killed while its PUT is under way; [0, 1] comes again and is acknowledged."""
    assert isinstance(shard.deliver(0, 3, RequestOutcome.LATE), Failed)
    assert shard.deliver(0, 2) == DONE
    (late,) = shard.bucket.pending
    shard.bucket.land(late)
    assert shard.bucket.reached["late write refused"] == 1
    assert shard.deliver(2, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


@pytest.mark.parametrize("end", [2, 3])
def test_a_late_put_of_the_rest_is_no_harm(shard: Shard, end: int) -> None:
    """[0, 1] is written. [0, 1, 2] finds it, and is killed while the PUT of 2 is under way."""
    assert shard.deliver(0, 2, RequestOutcome.ANSWER_LOST) == Responded((shard.records[0].number,))
    assert isinstance(
        shard.deliver(0, 3, RequestOutcome.ACTS, RequestOutcome.ACTS, RequestOutcome.LATE), Failed
    )
    assert shard.deliver(0, end) == DONE
    (late,) = shard.bucket.pending
    shard.bucket.land(late)
    assert shard.deliver(end, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


def test_a_guard_that_is_late_is_no_harm(shard: Shard) -> None:
    """[0, 1, 2] is written. [0, 1] finds it, and is killed while its guard is under way."""
    assert shard.deliver(0, 3, RequestOutcome.ANSWER_LOST) == Responded((shard.records[0].number,))
    assert isinstance(
        shard.deliver(0, 2, RequestOutcome.ACTS, RequestOutcome.ACTS, RequestOutcome.LATE), Failed
    )
    assert shard.deliver(0, 3) == DONE
    (late,) = shard.bucket.pending
    shard.bucket.land(late)
    assert shard.deliver(3, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


def test_a_checkpoint_that_falls_back_over_a_later_delivery_is_no_harm(shard: Shard) -> None:
    """[0, 1] is acknowledged, and [2, 3] written; then everything comes again from record 0."""
    assert shard.deliver(0, 2) == DONE
    assert isinstance(shard.deliver(2, 4, RequestOutcome.ANSWER_LOST), Responded)
    assert shard.deliver(0, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


def test_a_checkpoint_that_falls_back_before_the_next_delivery_is_no_harm(shard: Shard) -> None:
    """However long the batch is when it comes again, if the shard goes on from there."""
    assert shard.deliver(0, 2) == DONE
    for end in (1, 3):
        assert shard.deliver(0, end) == DONE
    assert shard.deliver(3, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


def test_two_deliveries_of_one_start_at_the_same_time_are_no_harm(shard: Shard) -> None:
    """A mapping that starts a second delivery while the first still runs."""
    assert shard.deliver(0, 3) == DONE  # the second, while the first has not sent anything
    assert shard.deliver(0, 2) == DONE  # the first, which goes on
    assert shard.deliver(3, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


def test_a_start_that_no_delivery_had_writes_twice(shard: Shard) -> None:
    """Nothing is lost by it: no name leads from the middle of an object to its start."""
    assert shard.deliver(0, 4) == DONE
    assert shard.deliver(1, 4) == DONE
    assert shard.copies() == [1, 2, 2, 2]


def test_another_partition_between_a_failure_and_its_retry_writes_twice(shard: Shard) -> None:
    """Settings that name the key must not change while a batch is failing."""
    assert isinstance(shard.deliver(0, 4, RequestOutcome.ANSWER_LOST), Responded)
    other = shard.sandbox(partition_by="of={field:kind}")
    assert other.invoke(event_of(shard.records), NO_FAULTS) == DONE
    assert len(shard.bucket.objects) == 2


def test_retries_that_run_out_leave_what_was_written(shard: Shard) -> None:
    """A batch that a mapping gives up after it was written is in the bucket, unacknowledged."""
    assert isinstance(shard.deliver(0, 2, RequestOutcome.ANSWER_LOST), Responded)
    assert shard.deliver(2, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]
