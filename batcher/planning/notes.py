"""Notes: what a plan takes for granted, and what its dollars leave out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batcher.planning.compute import CORE_FACTOR, S3_WAIT_S
from batcher.planning.dollars import received_together
from batcher.planning.prices import DATED, REGION
from batcher.planning.quotas import FIREHOSE_MAX_RECORD_BYTES
from batcher.planning.workload import Source

if TYPE_CHECKING:
    from batcher.planning.plan import Plan

LOW_TRAFFIC_S = 20
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""


def notes(plan: Plan) -> list[str]:
    """Give what has to be said beside the figures."""
    return [*_size(plan), *_source(plan), *_dollars(plan)]


def _size(plan: Plan) -> Iterator[str]:
    if not plan.compression.is_measured:
        yield (
            f"ratio {plan.compression.ratio} is what orders and log lines came to; give --sample "
            "to measure yours"
        )
    elif plan.compression.measured_records < plan.objects.records - 0.5:
        yield (
            f"the sample has {plan.compression.measured_records:,} records, an object "
            f"{plan.objects.records:,.0f}: a whole one may compress a little better"
        )
    yield (
        f"durations: CPU measured on the bench machine x {CORE_FACTOR[plan.workload.arch]}, and "
        f"{S3_WAIT_S * 1e3:.0f} ms for S3; neither of Lambda's processors was measured. The first "
        "day's billed duration tells"
    )


def _source(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if workload.source.is_queue and workload.pollers is None:
        yield (
            f"{plan.event.lanes:,} batches side by side are taken: Lambda gathers at least 5 of a "
            "busy queue, and more by load; how many is not documented. Records an invocation "
            "(NumberOfMessagesReceived / Invocations) tell; give --pollers then"
        )
    if workload.source is Source.FIFO:
        yield (
            "messages of one group wait for the batch before them: no more invocations run at once "
            "than there are active groups"
        )
    if workload.source is Source.SQS and 0 < workload.window_s < LOW_TRAFFIC_S:
        yield f"with little traffic Lambda may wait {LOW_TRAFFIC_S} s, whatever the window"


def _dollars(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if workload.source.is_queue:
        yield (
            "SQS: sends and deletes of ten messages each; a receive is taken to bring "
            f"{received_together(workload, plan.event):.3g}, for Lambda polls up to ten times a "
            "second. Firehose by Direct PUT needs no queue"
        )
    if workload.source is Source.KINESIS:
        yield "Kinesis: provisioned shards, 24 hours of retention; the same stream for both"
    if workload.source is Source.DYNAMODB:
        yield (
            "Lambda reads a table's stream free of charge. Firehose cannot read it: it would take "
            "a Kinesis stream of the table's changes, whose price is not in its column"
        )
    if workload.record_bytes > FIREHOSE_MAX_RECORD_BYTES:
        yield f"Firehose takes records of {FIREHOSE_MAX_RECORD_BYTES:,} bytes at most: not these"
    yield (
        f"dollars: {REGION}, list prices as known on {DATED}, 730 hours a month, no free tier. "
        "Left out: logs, KMS, retries, readers, and data between regions or through NAT"
    )
