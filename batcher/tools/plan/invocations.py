"""Invocations: how many records Lambda passes to one invocation, and how often it invokes.

A mapping fills several batches concurrently: one per poller of a queue, or one per shard of a
stream times the parallelization factor. It invokes the function when a batch is full (6 MB of JSON,
or the batch size) or when its window ends, whichever is first. With little traffic a batch
therefore has rate x window / concurrent batches, not rate x window.
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
"""Bytes of JSON around a payload, comma included. Events like AWS's (bench/events.py, demo) have
822 to 841 for SQS and 531 to 573 for Kinesis. Message attributes and long names come on top. FIFO
has four more attributes. For DynamoDB the whole stream record is the payload."""

POLL_INTERVAL_S = {
    SourceType.SQS: 1 / POLLER_RECEIVES_PER_S,
    SourceType.FIFO: 1 / POLLER_RECEIVES_PER_S,
    SourceType.KINESIS: KINESIS_POLL_S,
    SourceType.DYNAMODB: DYNAMODB_POLL_S,
}
"""Shortest time that a batch is filled, without a window."""


class BatchEnd(StrEnum):
    """What completes a batch."""

    WINDOW = "window"
    PAYLOAD = "payload"
    """6 MB of JSON."""
    BATCH_SIZE = "batch_size"
    LOW_RATE = "rate"
    """The rate is so low that each record is a batch."""


@dataclass(frozen=True, slots=True)
class InvocationEstimate:
    """An average invocation at one rate of records."""

    concurrent_batches: int
    """Batches that are filled concurrently."""
    records: float
    """Records per invocation."""
    max_records: int
    """Most records that fit an invocation."""
    per_s: float
    """Invocations per second."""
    json_bytes: float
    """Size of the event's JSON."""
    batching_s: float
    """How long the oldest record of a batch waits for the last one."""
    batch_end: BatchEnd


def record_json_bytes(workload: Workload) -> float:
    """Return the bytes that one record takes in an event's JSON."""
    size_bytes = workload.record_bytes
    if workload.source.is_queue:
        size_bytes = size_bytes * workload.json_growth
    elif workload.source is SourceType.KINESIS:
        size_bytes = (size_bytes + 2) // 3 * 4  # base64
    return size_bytes + ENVELOPE_BYTES[workload.source]


def event_json_bytes(workload: Workload, records: float) -> float:
    """Return the size of the JSON of an event with `records` records."""
    return EMPTY_EVENT_BYTES + records * record_json_bytes(workload)


def max_event_records(workload: Workload) -> int:
    """Return how many records fit an invocation. 0 if not even one fits."""
    fitting = (MAX_EVENT_BYTES - EMPTY_EVENT_BYTES) // record_json_bytes(workload)
    return int(min(workload.batch_size, fitting))


def shard_count(workload: Workload) -> int:
    """Return the number of shards: the given one, or the fewest that can take the peak."""
    if workload.shards is not None:
        return workload.shards
    rate = workload.peak_records_per_s
    by_bytes = rate * workload.record_bytes / SHARD_BYTES_PER_S
    return max(1, math.ceil(rate / SHARD_RECORDS_PER_S), math.ceil(by_bytes))


def poller_count(workload: Workload, records_per_s: float) -> int:
    """Return how many batches of a queue Lambda fills concurrently at a rate."""
    if workload.pollers is not None:
        return workload.pollers
    by_receives = records_per_s / (POLLER_RECEIVES_PER_S * SQS_BATCH_MESSAGES)
    by_bytes = records_per_s * workload.record_bytes / POLLER_BYTES_PER_S
    return min(MAX_POLLERS, max(MIN_POLLERS, math.ceil(by_receives), math.ceil(by_bytes)))


def estimate_invocations(
    workload: Workload, records_per_s: float, parallelization: int = 1
) -> InvocationEstimate:
    """Return the average invocation at a rate.

    Args:
        workload: the workload; one record must fit an invocation.
        records_per_s: its average or its peak rate.
        parallelization: concurrent batches per shard; ignored for queues.
    """
    if workload.source.is_queue:
        concurrent_batches = poller_count(workload, records_per_s)
    else:
        concurrent_batches = shard_count(workload) * parallelization
    max_records = max_event_records(workload)
    wait_s = max(float(workload.window_s), POLL_INTERVAL_S[workload.source])
    full_per_s, due_per_s = records_per_s / max_records, concurrent_batches / wait_s
    per_s = min(records_per_s, max(full_per_s, due_per_s))
    if full_per_s >= due_per_s:
        end = BatchEnd.BATCH_SIZE if max_records == workload.batch_size else BatchEnd.PAYLOAD
    else:
        end = BatchEnd.LOW_RATE if due_per_s >= records_per_s else BatchEnd.WINDOW
    records = records_per_s / per_s
    return InvocationEstimate(
        concurrent_batches=concurrent_batches,
        records=records,
        max_records=max_records,
        per_s=per_s,
        json_bytes=event_json_bytes(workload, records),
        batching_s=min(wait_s, concurrent_batches / per_s),
        batch_end=end,
    )
