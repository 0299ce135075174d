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


def test_a_replacing_put_that_is_late_beyond_the_redelivery_of_what_it_saw_wins(
    shard: Shard,
) -> None:
    """S3's ETag is the body's: what was there before, and is there again, cannot be told apart.

    [0, 1] is written. [0, 1, 2] finds it, and is killed while its replacing PUT is under way.
    [0, 1] comes again, finds its own object and is acknowledged. Then the PUT lands: its condition
    holds. Record 2 comes with the next batch, and is there twice.
    """
    assert shard.deliver(0, 2, RequestOutcome.ANSWER_LOST) == Responded((shard.records[0].number,))
    assert isinstance(
        shard.deliver(0, 3, RequestOutcome.ACTS, RequestOutcome.ACTS, RequestOutcome.LATE), Failed
    )
    assert shard.deliver(0, 2) == DONE
    (late,) = shard.bucket.pending
    shard.bucket.land(late)
    assert shard.deliver(2, 4) == DONE
    assert shard.copies() == [1, 1, 2, 1]


def test_a_replacing_put_that_is_late_is_refused_where_the_object_has_changed(
    shard: Shard,
) -> None:
    """No assumption is needed then: its `If-Match` names what is not there any more.

    The machines reach this too rarely to notice a store that overlooks the condition.
    """
    assert shard.deliver(0, 2, RequestOutcome.ANSWER_LOST) == Responded((shard.records[0].number,))
    assert isinstance(
        shard.deliver(0, 3, RequestOutcome.ACTS, RequestOutcome.ACTS, RequestOutcome.LATE), Failed
    )
    assert shard.deliver(0, 4) == DONE
    (late,) = shard.bucket.pending
    shard.bucket.land(late)
    assert shard.bucket.reached["late write refused"] == 1
    assert shard.copies() == [1, 1, 1, 1]


def test_a_shorter_replacing_put_that_is_late_loses_records(shard: Shard) -> None:
    """The same, where the killed delivery was the shorter one: an acknowledged record is gone."""
    assert shard.deliver(0, 3, RequestOutcome.ANSWER_LOST) == Responded((shard.records[0].number,))
    assert isinstance(
        shard.deliver(0, 2, RequestOutcome.ACTS, RequestOutcome.ACTS, RequestOutcome.LATE), Failed
    )
    assert shard.deliver(0, 3) == DONE
    (late,) = shard.bucket.pending
    shard.bucket.land(late)
    assert shard.deliver(3, 4) == DONE
    assert shard.copies() == [1, 1, 0, 1]


def test_a_checkpoint_that_falls_back_over_a_later_delivery_writes_twice(shard: Shard) -> None:
    """[0, 1] is acknowledged, and [2, 3] written; then everything comes again from record 0.

    Whether [2, 3] was acknowledged does not matter: its object has a name of its own, which no
    delivery will use again.
    """
    assert shard.deliver(0, 2) == DONE
    assert isinstance(shard.deliver(2, 4, RequestOutcome.ANSWER_LOST), Responded)
    assert shard.deliver(0, 4) == DONE
    assert shard.copies() == [1, 1, 2, 2]


def test_a_checkpoint_that_falls_back_before_the_next_delivery_is_no_harm(shard: Shard) -> None:
    """However long the batch is when it comes again, if the shard goes on from there."""
    assert shard.deliver(0, 2) == DONE
    for end in (1, 3):
        assert shard.deliver(0, end) == DONE
    assert shard.deliver(3, 4) == DONE
    assert shard.copies() == [1, 1, 1, 1]


def test_two_deliveries_of_one_start_at_the_same_time_can_undo_each_other(shard: Shard) -> None:
    """A mapping that starts a second delivery while the first still runs; AWS does one at a time.

    [0, 1] is read by a sandbox that then stands still. [0, 1, 2] comes meanwhile, and is
    acknowledged. The first sandbox goes on: it finds another object, takes it for an older one, and
    replaces it. Record 2, which was acknowledged, is gone.
    """
    assert shard.deliver(0, 3) == DONE  # the second, while the first has not sent anything
    assert shard.deliver(0, 2) == DONE  # the first, which goes on
    assert shard.deliver(3, 4) == DONE
    assert shard.copies() == [1, 1, 0, 1]


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
