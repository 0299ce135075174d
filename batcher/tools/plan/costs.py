"""Costs: the monthly cost of batcher compared with Amazon Data Firehose, item by item.

Delivery moves records into S3. The source holds them before, and costs the same for both if both
read it. Firehose with Direct PUT needs no queue.
"""

from __future__ import annotations

from dataclasses import dataclass

from batcher.tools.plan import prices
from batcher.tools.plan.invocations import InvocationEstimate, shard_count
from batcher.tools.plan.objects import CompressionEstimate
from batcher.tools.plan.quotas import (
    FIREHOSE_BUFFER_BYTES,
    FIREHOSE_BUFFER_S,
    LONG_POLL_S,
    POLLER_RECEIVES_PER_S,
)
from batcher.tools.plan.workload import SourceType, Workload

MONTH_S = 730 * 3600
"""A month as in Amazon's pricing calculator."""

DAY_S = 86_400

DELIVERY, SOURCE, STORAGE = "delivery", "source", "storage"


@dataclass(frozen=True, slots=True)
class CostItem:
    """One item, in dollars per month."""

    part: str
    """`delivery`, `source` or `storage`."""
    name: str
    batcher: float
    firehose: float


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """The cost of one month."""

    items: tuple[CostItem, ...]

    def batcher_dollars(self, part: str | None = None) -> float:
        """Return the dollars for batcher, in total or for one part."""
        return sum(item.batcher for item in self.items if part in {None, item.part})

    def firehose_dollars(self, part: str | None = None) -> float:
        """Return the dollars for Firehose, in total or for one part."""
        return sum(item.firehose for item in self.items if part in {None, item.part})


def estimate_costs(
    workload: Workload,
    event: InvocationEstimate,
    event_dollars: float,
    requests_per_event: float,
    compression: CompressionEstimate,
) -> MonthlyCost:
    """Return the cost of a month at the average rate.

    Args:
        workload: the records to plan for.
        event: one invocation at the average rate.
        event_dollars: the price of that invocation.
        requests_per_event: billed S3 requests of that invocation.
        compression: assumed for both, because Firehose offers gzip too.
    """
    records = workload.records_per_s * MONTH_S
    events = event.per_s * MONTH_S
    text_bytes = records * (workload.record_bytes + 1)
    compute = (event_dollars - prices.LAMBDA_DOLLARS_PER_REQUEST) * events
    ingested = prices.firehose_month_dollars(
        records * prices.firehose_billed_bytes(workload.record_bytes)
    )
    firehose_puts = max(
        text_bytes / FIREHOSE_BUFFER_BYTES, workload.partitions * MONTH_S / FIREHOSE_BUFFER_S
    )
    items = [
        CostItem(DELIVERY, "Lambda compute", compute, 0.0),
        CostItem(DELIVERY, "Lambda requests", prices.LAMBDA_DOLLARS_PER_REQUEST * events, 0.0),
        CostItem(DELIVERY, "Firehose ingestion", 0.0, ingested),
        CostItem(
            DELIVERY,
            "S3 PUT requests",
            requests_per_event * events * prices.S3_DOLLARS_PER_PUT,
            firehose_puts * prices.S3_DOLLARS_PER_PUT,
        ),
        *_source_items(workload, event, records),
    ]
    if workload.partitions > 1:
        partitioning = prices.firehose_partitioning_dollars(text_bytes, firehose_puts)
        items.insert(3, CostItem(DELIVERY, "Firehose partitioning", 0.0, partitioning))
    if workload.retention_days:
        stored_bytes = text_bytes / MONTH_S * DAY_S * workload.retention_days / compression.ratio
        stored = stored_bytes / prices.GIB * prices.S3_DOLLARS_PER_GB_MONTH
        items.append(CostItem(STORAGE, "S3 storage, once full", stored, stored))
    return MonthlyCost(tuple(items))


def messages_per_receive(workload: Workload, event: InvocationEstimate) -> float:
    """Return the messages per receive: those that arrived since the poller's last receive."""
    arrived = workload.records_per_s / (event.concurrent_batches * POLLER_RECEIVES_PER_S)
    return min(prices.sqs_batch_records(workload.record_bytes), max(1.0, arrived))


def _source_items(workload: Workload, event: InvocationEstimate, records: float) -> list[CostItem]:
    size_bytes, source = workload.record_bytes, workload.source
    if source.is_queue:
        return _queue_items(workload, event, records)
    if source is SourceType.DYNAMODB:
        return []  # Lambda's reads of a table's stream are free
    shards = shard_count(workload) * MONTH_S / 3600 * prices.KINESIS_DOLLARS_PER_SHARD_HOUR
    units = records * prices.kinesis_unit_dollars(size_bytes)
    return [
        CostItem(SOURCE, "Kinesis shards", shards, shards),
        CostItem(SOURCE, "Kinesis PUT units", units, units),
    ]


def _queue_items(workload: Workload, event: InvocationEstimate, records: float) -> list[CostItem]:
    price = (
        prices.SQS_FIFO_DOLLARS_PER_REQUEST
        if workload.source is SourceType.FIFO
        else prices.SQS_DOLLARS_PER_REQUEST
    )
    batch = prices.sqs_batch_records(workload.record_bytes)
    received = messages_per_receive(workload, event)
    sends = records / batch * prices.sqs_request_dollars(batch * workload.record_bytes, price)
    receives = max(records / received, event.concurrent_batches * MONTH_S / LONG_POLL_S)
    receive_dollars = receives * prices.sqs_request_dollars(received * workload.record_bytes, price)
    deletes = records / min(batch, event.records) * price
    return [
        CostItem(SOURCE, "SQS sends", sends, 0.0),
        CostItem(SOURCE, "SQS receives", receive_dollars, 0.0),
        CostItem(SOURCE, "SQS deletes", deletes, 0.0),
    ]
