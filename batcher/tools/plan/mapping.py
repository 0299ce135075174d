"""Mapping: the settings that a plan needs of the event source mapping and of its queue."""

from __future__ import annotations

import math
from dataclasses import dataclass

from batcher.tools.plan.invocations import InvocationEstimate
from batcher.tools.plan.quotas import (
    MAX_MAXIMUM_CONCURRENCY,
    MAX_VISIBILITY_S,
    MIN_POLLERS,
    MIN_RECEIVE_COUNT,
    VISIBILITY_TIMEOUT_FACTOR,
)
from batcher.tools.plan.workload import SourceType, Workload

CONCURRENCY_HEADROOM = 2
"""Maximum concurrency as a multiple of the peak's, so that a backlog drains without a flood."""

TOLERATED_OUTAGE_S = 3_600
"""Outage of S3 during which no message may reach the dead-letter queue."""

UNLIMITED = -1
"""Lambda's value for retries and record age without a limit."""


@dataclass(frozen=True, slots=True)
class MappingPlan:
    """Settings of mapping and queue. None if this kind of source does not have the setting."""

    source: SourceType
    batch_size: int
    window_s: int | None
    maximum_concurrency: int | None = None
    visibility_timeout_s: int | None = None
    max_receive_count: int | None = None
    parallelization_factor: int | None = None
    bisect_on_error: bool | None = None
    maximum_retry_attempts: int | None = None
    maximum_record_age_s: int | None = None
    starting_position: str | None = None
    report_batch_item_failures: bool = True
    has_on_failure_destination: bool = True
    """The dead-letter queue of a queue, or the on-failure destination of a stream's mapping."""


def plan_mapping(
    workload: Workload, timeout_s: int, peak_concurrency: float, parallelization: int
) -> MappingPlan:
    """Return the settings of the mapping, and of the queue if there is one.

    Args:
        workload: the records to plan for.
        timeout_s: the function's timeout.
        peak_concurrency: concurrent invocations at the peak.
        parallelization: concurrent batches per shard.
    """
    if not workload.source.is_queue:
        return MappingPlan(
            workload.source,
            workload.batch_size,
            workload.window_s,
            parallelization_factor=parallelization,
            bisect_on_error=True,
            maximum_retry_attempts=UNLIMITED,  # docs/guarantees.md assumes unlimited retries
            maximum_record_age_s=UNLIMITED,
            starting_position="TRIM_HORIZON",
        )
    visibility_s = min(MAX_VISIBILITY_S, VISIBILITY_TIMEOUT_FACTOR * timeout_s + workload.window_s)
    concurrency = math.ceil(CONCURRENCY_HEADROOM * peak_concurrency)
    return MappingPlan(
        workload.source,
        workload.batch_size,
        None if workload.source is SourceType.FIFO else workload.window_s,
        maximum_concurrency=min(MAX_MAXIMUM_CONCURRENCY, max(MIN_POLLERS, concurrency)),
        visibility_timeout_s=visibility_s,
        max_receive_count=max(MIN_RECEIVE_COUNT, math.ceil(TOLERATED_OUTAGE_S / visibility_s)),
    )


def messages_in_flight(records_per_s: float, event: InvocationEstimate, duration_s: float) -> float:
    """Return the messages received and not yet deleted: in open batches, or being written."""
    return records_per_s * (event.batching_s + duration_s)
