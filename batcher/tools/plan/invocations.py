"""Gathering: how many records Lambda hands over at once, and how often.

A mapping gathers batches in lanes, side by side: the pollers of a queue, the shards of a stream
times its parallelization factor. A lane hands over when its batch is full (6 MB of JSON, or the
batch size) or when its window ends, whichever is first. So with little traffic it is not rate x
window that is in a batch, but rate x window / lanes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from batcher.tools.plan.quotas import (
    DYNAMODB_POLL_S,
    KINESIS_POLL_S,
    MAX_EVENT_BYTES,
    MAX_POLLERS,
    MIN_POLLERS,
    POLLER_BYTES_PER_S,
    POLLER_RECEIVES_PER_S,
    SHARD_BYTES_PER_S,
    SHARD_RECORDS_PER_S,
    SQS_BATCH_MESSAGES,
)
from batcher.tools.plan.workload import SourceType, Workload

EMPTY_EVENT_BYTES = len('{"Records":[]}')


ENVELOPE_BYTES = {
    SourceType.SQS: 890,
    SourceType.FIFO: 1_090,
    SourceType.KINESIS: 600,
    SourceType.DYNAMODB: 1,
}
"""JSON around a payload, its comma included. Events as AWS's (bench/events.py, batcher/demo) have
822 to 841 of SQS and 531 to 573 of Kinesis; message attributes and long names come on top. FIFO has
four attributes more. The whole record of a DynamoDB stream is the payload."""


POLL_INTERVAL_S = {
    SourceType.SQS: 1 / POLLER_RECEIVES_PER_S,
    SourceType.FIFO: 1 / POLLER_RECEIVES_PER_S,
    SourceType.KINESIS: KINESIS_POLL_S,
    SourceType.DYNAMODB: DYNAMODB_POLL_S,
}
"""The least time that a lane gathers, without a window."""


class BatchEnd(StrEnum):
    """What ends a batch."""

    WINDOW = "window"
    PAYLOAD = "payload"
    """6 MB of JSON."""
    BATCH_SIZE = "batch_size"
    LOW_RATE = "rate"
    """So few records come that each is handed over alone."""


@dataclass(frozen=True, slots=True)
class InvocationEstimate:
    """What Lambda hands over at one rate of records, on average."""

    concurrent_batches: int
    """Batches gathered side by side."""
    records: float
    """Of one invocation."""
    max_records: int
    """That an invocation can have."""
    per_s: float
    """Invocations a second."""
    json_bytes: float
    """Of one invocation's event."""
    batching_s: float
    """How long the oldest record of a batch waits for the others."""
    batch_end: BatchEnd


def record_json_bytes(workload: Workload) -> float:
    """Return the bytes that one record takes of an event's JSON."""
    size_bytes = workload.record_bytes
    if workload.source.is_queue:
        size_bytes = size_bytes * workload.json_growth
    elif workload.source is SourceType.KINESIS:
        size_bytes = (size_bytes + 2) // 3 * 4  # base64
    return size_bytes + ENVELOPE_BYTES[workload.source]


def event_json_bytes(workload: Workload, records: float) -> float:
    """Return the JSON of an event of so many records."""
    return EMPTY_EVENT_BYTES + records * record_json_bytes(workload)


def max_event_records(workload: Workload) -> int:
    """Return how many records fit an invocation; 0 where not even one does."""
    fitting = (MAX_EVENT_BYTES - EMPTY_EVENT_BYTES) // record_json_bytes(workload)
    return int(min(workload.batch_size, fitting))


def shard_count(workload: Workload) -> int:
    """Return the shards of a stream: those it has, or the fewest that take its peak."""
    if workload.shards is not None:
        return workload.shards
    rate = workload.peak_records_per_s
    by_bytes = rate * workload.record_bytes / SHARD_BYTES_PER_S
    return max(1, math.ceil(rate / SHARD_RECORDS_PER_S), math.ceil(by_bytes))


def poller_count(workload: Workload, records_per_s: float) -> int:
    """Return the batches of a queue gathered side by side at a rate; not over Lambda's most."""
    if workload.pollers is not None:
        return workload.pollers
    by_receives = records_per_s / (POLLER_RECEIVES_PER_S * SQS_BATCH_MESSAGES)
    by_bytes = records_per_s * workload.record_bytes / POLLER_BYTES_PER_S
    return min(MAX_POLLERS, max(MIN_POLLERS, math.ceil(by_receives), math.ceil(by_bytes)))


def estimate_invocations(
    workload: Workload, records_per_s: float, parallelization: int = 1
) -> InvocationEstimate:
    """Return what Lambda hands over at a rate.

    Args:
        workload: one whose records fit an invocation.
        records_per_s: its average, or its peak.
        parallelization: batches of one shard side by side; queues have none.
    """
    if workload.source.is_queue:
        lanes = poller_count(workload, records_per_s)
    else:
        lanes = shard_count(workload) * parallelization
    most = max_event_records(workload)
    wait_s = max(float(workload.window_s), POLL_INTERVAL_S[workload.source])
    when_full, when_due = records_per_s / most, lanes / wait_s
    per_s = min(records_per_s, max(when_full, when_due))
    if when_full >= when_due:
        limit = BatchEnd.BATCH_SIZE if most == workload.batch_size else BatchEnd.PAYLOAD
    else:
        limit = BatchEnd.LOW_RATE if when_due >= records_per_s else BatchEnd.WINDOW
    records = records_per_s / per_s
    return InvocationEstimate(
        concurrent_batches=lanes,
        records=records,
        max_records=most,
        per_s=per_s,
        json_bytes=event_json_bytes(workload, records),
        batching_s=min(wait_s, lanes / per_s),
        batch_end=limit,
    )


def window_for_records(workload: Workload, records: float) -> int:
    """Return window, in whole seconds, in which a lane gathers so many records; over 300 too."""
    lanes = estimate_invocations(workload, workload.records_per_s).concurrent_batches
    return math.ceil(records * lanes / workload.records_per_s)
