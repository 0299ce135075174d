"""Response: the answer to Lambda for one event, or the error to raise instead.

Which records an answer names depends on the source: `batcher.sources.event` and
`batcher.sources.sqs` select them from the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batcher.errors import RejectedError, RetryableError
from batcher.handler.event_writer import EventResult, describe_error

if TYPE_CHECKING:
    from batcher.sources import Event


def respond(event: Event, result: EventResult, *, partial_response: bool) -> dict[str, Any]:
    """Return the response that the source expects, or raise if only that makes it redeliver."""
    if len(result.ledger):
        # Lambda bisects a stream's event that timed out only if the function raises
        must_raise = event.direct or (event.all_or_nothing and result.timed_out)
        if must_raise or not partial_response:
            raise event_error(result, len(event.positions))
        return failure_response(event.failed_identities(result.ledger))
    if event.direct:
        data = [receipt for receipt in result.receipts if not receipt.quarantined]
        return {
            "receipts": [
                {"key": r.key, "records": r.records, "size_bytes": r.size_bytes} for r in data
            ],
            "quarantined": sum(r.records for r in result.receipts if r.quarantined),
        }
    return failure_response([])


def failure_response(identifiers: list[str]) -> dict[str, Any]:
    """Return the response that reports these records as failed. Lambda redelivers them."""
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


def event_error(result: EventResult, records: int) -> Exception:
    """Return the error that a handler raises: how many records are not durable, and why."""
    first = result.errors[0] if result.errors else None
    severe = next((e for e in result.errors if isinstance(e, RejectedError)), first)
    open_count = len(result.ledger)
    if result.timed_out:
        why = "the deadline was reached; raise the function's timeout, or lower the batch size"
    else:
        why = "unknown" if severe is None else describe_error(severe)
    text = f"{open_count} of {records} records are not durable and must be redelivered: {why}"
    kind = RejectedError if isinstance(severe, RejectedError) else RetryableError
    error = kind(text)
    error.__cause__ = severe
    return error
