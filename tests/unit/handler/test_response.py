"""Response: what a handler returns to Lambda, and what it raises instead."""

from __future__ import annotations

import pytest

from batcher.errors import BatcherError, PoisonRecordError, RejectedError, RetryableError
from batcher.handler.event_writer import EventResult
from batcher.handler.response import event_error
from batcher.sources.event import Ledger


def delivered_with(*errors: Exception, timed_out: bool = False) -> EventResult:
    """Return the result of an event of which two records are not durable."""
    return EventResult(Ledger(["a", "b"]), errors=list(errors), timed_out=timed_out)


@pytest.mark.parametrize(
    ("errors", "kind", "why"),
    [
        ([RetryableError("slow down")], RetryableError, "slow down"),
        ([RejectedError("no bucket")], RejectedError, "no bucket"),
        ([RetryableError("slow"), RejectedError("no bucket")], RejectedError, "no bucket"),
        ([PoisonRecordError("empty", "nothing", "a")], RetryableError, "record a: empty: nothing"),
    ],
)
def test_a_failure_says_how_many_records_and_why(
    errors: list[Exception], kind: type[BatcherError], why: str
) -> None:
    """The most severe error decides, and is the cause."""
    error = event_error(delivered_with(*errors), 5)
    assert type(error) is kind
    assert str(error) == f"2 of 5 records are not durable and must be redelivered: {why}"
    assert error.__cause__ in errors


def test_the_error_after_a_deadline_says_what_helps() -> None:
    """Also if nothing had failed before it."""
    error = event_error(delivered_with(timed_out=True), 2)
    assert isinstance(error, RetryableError)
    assert "raise the function's timeout" in str(error)
    assert error.__cause__ is None
