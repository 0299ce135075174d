"""Advice: what a plan does not do well, and what to change; each with a kind that stays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.tools.formatting import show_size
from batcher.tools.plan.costs import received_together
from batcher.tools.plan.invocations import (
    Limit,
    most_records,
    pollers_of,
    shards_of,
    window_to_fill,
)
from batcher.tools.plan.mapping import in_flight
from batcher.tools.plan.prices import DATED, REGION
from batcher.tools.plan.quotas import (
    ACCOUNT_CONCURRENCY,
    FIFO_RECORDS_PER_S,
    FIREHOSE_MAX_RECORD_BYTES,
    MAX_IN_FLIGHT,
    MAX_POLLERS,
    MAX_WINDOW_S,
    NO_WINDOW_BATCH_SIZE,
    POLLER_BYTES_PER_S,
    POLLER_RECEIVES_PER_S,
    SHARD_BYTES_PER_S,
    SHARD_RECORDS_PER_S,
    SQS_BATCH,
)
from batcher.tools.plan.sizing import BUSY, CORE_FACTOR, MAX_COLD_S, S3_WAIT_S
from batcher.tools.plan.workload import Source

if TYPE_CHECKING:
    from batcher.tools.plan.plan import Plan

LOW_TRAFFIC_S = 20
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""


SMALL_BYTES = 128 * 1024
"""Smaller objects are dear to write, list and read; S3's infrequent access bills them as this."""


LEAST_TEXT_BYTES = 16 * 1024
"""Less text compresses worse than the table of ratios says."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change."""

    kind: str
    """Stays from version to version: `small_objects`, `fanout`, …"""
    text: str


def advice(plan: Plan) -> list[Advice]:
    """Give everything that should be changed."""
    return [*_objects(plan), *_prefixes(plan), *_source(plan), *_function(plan)]


def _objects(plan: Plan) -> Iterator[Advice]:
    size_bytes, objects = plan.object_bytes, plan.objects
    if size_bytes < SMALL_BYTES:
        yield Advice(
            "small_objects",
            f"objects of {show_size(size_bytes)} are small (below {show_size(SMALL_BYTES)}): "
            f"{_how_to_grow(plan)}",
        )
    if not plan.compression.is_measured and objects.text_bytes < LEAST_TEXT_BYTES:
        yield Advice(
            "assumed_ratio",
            f"so little text ({show_size(objects.text_bytes)} an object) compresses worse than "
            f"the {plan.compression.ratio} taken: measure it with --sample",
        )


def _how_to_grow(plan: Plan) -> str:
    """Say what makes objects larger, the first thing that does."""
    workload, wanted = plan.workload, plan.objects.records * SMALL_BYTES / plan.object_bytes
    if workload.source is Source.FIFO:
        return (
            "Lambda hands over 10 messages of a FIFO queue at most; where order is not needed, "
            "take a standard queue or a stream"
        )
    is_short = plan.event.limit in {Limit.WINDOW, Limit.RATE}
    if not is_short and workload.batch_size > NO_WINDOW_BATCH_SIZE:
        if plan.objects.per_event > 1:
            return (
                f"{plan.objects.per_event:,.0f} objects come of one invocation; partition by fewer "
                "values, or raise max_records and max_bytes"
            )
        return "an invocation carries 6 MB of JSON at most; compact them later where it matters"
    most = most_records(workload.with_window(MAX_WINDOW_S))
    window_s = window_to_fill(workload, min(most, wanted * plan.objects.per_event))
    if window_s <= MAX_WINDOW_S:
        return f"raise the window from {workload.window_s} to {window_s} s"
    more = f"raise the window to {MAX_WINDOW_S} s, the most, " * (workload.window_s < MAX_WINDOW_S)
    lanes = (
        "a stream with fewer shards" if not workload.source.is_queue else "a stream of one shard"
    )
    return f"{more or 'the rate is low: '}and compact them later, or take {lanes}"


def _prefixes(plan: Plan) -> Iterator[Advice]:
    prefixes, rate = plan.prefixes, plan.settings.prefix_rate
    if prefixes.fanout < prefixes.fanout_needed:
        yield Advice(
            "fanout",
            f"fanout={prefixes.fanout} sends {prefixes.puts_per_s_prefix:,.0f} PUT/s to one prefix "
            f"at the peak, over half of {rate:,}: set BATCHER_FANOUT={prefixes.fanout_needed}",
        )
    if prefixes.puts_per_s > rate:
        yield Advice(
            "cold_prefix",
            f"{prefixes.puts_per_s:,.0f} PUT/s at the peak: a new root is one S3 partition, whose "
            f"{rate:,} PUT/s all salts share until S3 splits it (30 to 60 minutes of load); "
            "raise the load step by step, or expect 503 SlowDown and redeliveries at first",
        )


def _source(plan: Plan) -> Iterator[Advice]:
    workload, peak = plan.workload, plan.workload.peak_records_per_s
    peak_bytes_per_s = peak * workload.record_bytes
    if not workload.source.is_queue:
        needed = max(
            math.ceil(peak / SHARD_RECORDS_PER_S), math.ceil(peak_bytes_per_s / SHARD_BYTES_PER_S)
        )
        if shards_of(workload) < needed:
            yield Advice(
                "shards",
                f"{shards_of(workload):,} shards do not take {peak:,.0f} records/s and "
                f"{show_size(peak_bytes_per_s)}/s at the peak: {needed:,} do",
            )
        if plan.busy > BUSY:
            yield Advice(
                "busy_shards",
                f"the peak takes {plan.busy:.0%} of what invocations of these shards can do, and "
                "they would not catch up after a failure: more shards, a lower compression level, "
                "or engine=obstore",
            )
        return
    if workload.source is Source.FIFO and peak > FIFO_RECORDS_PER_S:
        yield Advice(
            "fifo_rate",
            f"a FIFO queue takes {FIFO_RECORDS_PER_S:,} messages/s in batches of ten, the peak is "
            f"{peak:,.0f}: turn on high throughput, with many message groups",
        )
    lanes = plan.peak_event.lanes
    taken = min(POLLER_RECEIVES_PER_S * SQS_BATCH, POLLER_BYTES_PER_S / workload.record_bytes)
    if peak > lanes * taken and lanes == pollers_of(workload, peak):
        yield Advice(
            "pollers",
            f"{lanes:,} pollers may not take {peak:,.0f} messages/s from the queue (some "
            f"{lanes * taken:,.0f}; Lambda has {MAX_POLLERS:,} at most): take provisioned mode, or "
            "several queues",
        )
    flying = in_flight(peak, plan.peak_event, plan.peak_duration_s)
    if flying > MAX_IN_FLIGHT:
        window_s = math.floor(MAX_IN_FLIGHT / peak - plan.peak_duration_s)
        lower = f"lower the window to {window_s} s, " * (0 < window_s < workload.window_s)
        yield Advice(
            "in_flight",
            f"{flying:,.0f} messages would be in flight at the peak, over the {MAX_IN_FLIGHT:,} of "
            f"a queue, which then gives no more: {lower}take several queues or a Kinesis stream, "
            "or ask for a higher quota",
        )


def _function(plan: Plan) -> Iterator[Advice]:
    if plan.peak_concurrency > ACCOUNT_CONCURRENCY:
        yield Advice(
            "concurrency",
            f"{plan.peak_concurrency:,.0f} invocations at once at the peak: an account has "
            f"{ACCOUNT_CONCURRENCY:,} until a higher quota is granted",
        )
    function = plan.function
    if function.cold_s > MAX_COLD_S:
        yield Advice(
            "cold_start",
            f"the first invocation of an environment takes {function.cold_s:.1f} s even with "
            f"{function.memory_mb:,} MB: a lower compression level, or engine=obstore",
        )
    if plan.full.text_bytes > plan.settings.budget_bytes:
        what = "cut into more objects" if plan.workload.source.is_queue else "refused whole"
        yield Advice(
            "budget",
            f"a full invocation's {show_size(plan.full.text_bytes)} of text are over budget_bytes "
            f"({show_size(plan.settings.budget_bytes)}) and would be {what}: raise it",
        )


def notes(plan: Plan) -> list[str]:
    """Give what has to be said beside the figures."""
    return [*_size(plan), *_source_notes(plan), *_dollars(plan)]


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


def _source_notes(plan: Plan) -> Iterator[str]:
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
