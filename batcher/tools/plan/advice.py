"""Advice: what a plan does not do well, and what to change; each with a kind that stays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.tools.formatting import format_size
from batcher.tools.plan.costs import messages_per_receive
from batcher.tools.plan.invocations import (
    BatchEnd,
    max_event_records,
    poller_count,
    shard_count,
    window_for_records,
)
from batcher.tools.plan.mapping import messages_in_flight
from batcher.tools.plan.prices import PRICES_DATE, PRICES_REGION
from batcher.tools.plan.quotas import (
    DEFAULT_ACCOUNT_CONCURRENCY,
    FIFO_RECORDS_PER_S,
    FIREHOSE_MAX_RECORD_BYTES,
    MAX_MESSAGES_IN_FLIGHT,
    MAX_POLLERS,
    MAX_WINDOW_S,
    NO_WINDOW_BATCH_SIZE,
    POLLER_BYTES_PER_S,
    POLLER_RECEIVES_PER_S,
    SHARD_BYTES_PER_S,
    SHARD_RECORDS_PER_S,
    SQS_BATCH_MESSAGES,
)
from batcher.tools.plan.sizing import (
    LAMBDA_CPU_FACTOR,
    MAX_COLD_START_S,
    MAX_UTILIZATION,
    S3_WAIT_S,
)
from batcher.tools.plan.workload import SourceType

if TYPE_CHECKING:
    from batcher.tools.plan.plan import Plan

LOW_TRAFFIC_S = 20
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""


SMALL_OBJECT_BYTES = 128 * 1024
"""Smaller objects are dear to write, list and read; S3's infrequent access bills them as this."""


MIN_RATIO_TEXT_BYTES = 16 * 1024
"""Less text compresses worse than the table of ratios says."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change."""

    kind: str
    """Stays from version to version: `small_objects`, `fanout`, …"""
    text: str


def collect_advice(plan: Plan) -> list[Advice]:
    """Return everything that should be changed."""
    return [
        *_advise_on_objects(plan),
        *_advise_on_prefixes(plan),
        *_advise_on_source(plan),
        *_advise_on_function(plan),
    ]


def _advise_on_objects(plan: Plan) -> Iterator[Advice]:
    size_bytes, objects = plan.object_bytes, plan.objects
    if size_bytes < SMALL_OBJECT_BYTES:
        yield Advice(
            "small_objects",
            f"objects of {format_size(size_bytes)} are small (below "
            f"{format_size(SMALL_OBJECT_BYTES)}): "
            f"{_how_to_grow(plan)}",
        )
    if not plan.compression.is_measured and objects.text_bytes < MIN_RATIO_TEXT_BYTES:
        yield Advice(
            "assumed_ratio",
            f"so little text ({format_size(objects.text_bytes)} an object) compresses worse than "
            f"the {plan.compression.ratio} taken: measure it with --sample",
        )


def _how_to_grow(plan: Plan) -> str:
    """Return what makes objects larger, the first thing that does."""
    workload, wanted = plan.workload, plan.objects.records * SMALL_OBJECT_BYTES / plan.object_bytes
    if workload.source is SourceType.FIFO:
        return (
            "Lambda hands over 10 messages of a FIFO queue at most; where order is not needed, "
            "take a standard queue or a stream"
        )
    is_short = plan.event.batch_end in {BatchEnd.WINDOW, BatchEnd.LOW_RATE}
    if not is_short and workload.batch_size > NO_WINDOW_BATCH_SIZE:
        if plan.objects.per_event > 1:
            return (
                f"{plan.objects.per_event:,.0f} objects come of one invocation; partition by fewer "
                "values, or raise max_records and max_bytes"
            )
        return "an invocation carries 6 MB of JSON at most; compact them later where it matters"
    most = max_event_records(workload.with_window(MAX_WINDOW_S))
    window_s = window_for_records(workload, min(most, wanted * plan.objects.per_event))
    if window_s <= MAX_WINDOW_S:
        return f"raise the window from {workload.window_s} to {window_s} s"
    more = f"raise the window to {MAX_WINDOW_S} s, the most, " * (workload.window_s < MAX_WINDOW_S)
    lanes = (
        "a stream with fewer shards" if not workload.source.is_queue else "a stream of one shard"
    )
    return f"{more or 'the rate is low: '}and compact them later, or take {lanes}"


def _advise_on_prefixes(plan: Plan) -> Iterator[Advice]:
    prefixes, rate = plan.prefixes, plan.settings.prefix_rate
    if prefixes.fanout < prefixes.fanout_needed:
        yield Advice(
            "fanout",
            f"fanout={prefixes.fanout} sends {prefixes.puts_per_s_per_prefix:,.0f} "
            "PUT/s to one prefix "
            f"at the peak, over half of {rate:,}: set BATCHER_FANOUT={prefixes.fanout_needed}",
        )
    if prefixes.puts_per_s > rate:
        yield Advice(
            "cold_prefix",
            f"{prefixes.puts_per_s:,.0f} PUT/s at the peak: a new root is one S3 partition, whose "
            f"{rate:,} PUT/s all salts share until S3 splits it (30 to 60 minutes of load); "
            "raise the load step by step, or expect 503 SlowDown and redeliveries at first",
        )


def _advise_on_source(plan: Plan) -> Iterator[Advice]:
    workload, peak = plan.workload, plan.workload.peak_records_per_s
    peak_bytes_per_s = peak * workload.record_bytes
    if not workload.source.is_queue:
        needed = max(
            math.ceil(peak / SHARD_RECORDS_PER_S), math.ceil(peak_bytes_per_s / SHARD_BYTES_PER_S)
        )
        if shard_count(workload) < needed:
            yield Advice(
                "shards",
                f"{shard_count(workload):,} shards do not take {peak:,.0f} records/s and "
                f"{format_size(peak_bytes_per_s)}/s at the peak: {needed:,} do",
            )
        if plan.utilization > MAX_UTILIZATION:
            yield Advice(
                "busy_shards",
                f"the peak takes {plan.utilization:.0%} of what invocations of these "
                "shards can do, and "
                "they would not catch up after a failure: more shards, a lower compression level, "
                "or engine=obstore",
            )
        return
    if workload.source is SourceType.FIFO and peak > FIFO_RECORDS_PER_S:
        yield Advice(
            "fifo_rate",
            f"a FIFO queue takes {FIFO_RECORDS_PER_S:,} messages/s in batches of ten, the peak is "
            f"{peak:,.0f}: turn on high throughput, with many message groups",
        )
    lanes = plan.peak_event.concurrent_batches
    taken = min(
        POLLER_RECEIVES_PER_S * SQS_BATCH_MESSAGES, POLLER_BYTES_PER_S / workload.record_bytes
    )
    if peak > lanes * taken and lanes == poller_count(workload, peak):
        yield Advice(
            "pollers",
            f"{lanes:,} pollers may not take {peak:,.0f} messages/s from the queue (some "
            f"{lanes * taken:,.0f}; Lambda has {MAX_POLLERS:,} at most): take provisioned mode, or "
            "several queues",
        )
    flying = messages_in_flight(peak, plan.peak_event, plan.peak_duration_s)
    if flying > MAX_MESSAGES_IN_FLIGHT:
        window_s = math.floor(MAX_MESSAGES_IN_FLIGHT / peak - plan.peak_duration_s)
        lower = f"lower the window to {window_s} s, " * (0 < window_s < workload.window_s)
        yield Advice(
            "in_flight",
            f"{flying:,.0f} messages would be in flight at the peak, over the "
            f"{MAX_MESSAGES_IN_FLIGHT:,} of "
            f"a queue, which then gives no more: {lower}take several queues or a Kinesis stream, "
            "or ask for a higher quota",
        )


def _advise_on_function(plan: Plan) -> Iterator[Advice]:
    if plan.peak_concurrency > DEFAULT_ACCOUNT_CONCURRENCY:
        yield Advice(
            "concurrency",
            f"{plan.peak_concurrency:,.0f} invocations at once at the peak: an account has "
            f"{DEFAULT_ACCOUNT_CONCURRENCY:,} until a higher quota is granted",
        )
    function = plan.function
    if function.cold_start_s > MAX_COLD_START_S:
        yield Advice(
            "cold_start",
            f"the first invocation of an environment takes {function.cold_start_s:.1f} s even with "
            f"{function.memory_mb:,} MB: a lower compression level, or engine=obstore",
        )
    if plan.full_load.text_bytes > plan.settings.budget_bytes:
        what = "cut into more objects" if plan.workload.source.is_queue else "refused whole"
        yield Advice(
            "budget",
            f"a full invocation's {format_size(plan.full_load.text_bytes)} of text "
            "are over budget_bytes "
            f"({format_size(plan.settings.budget_bytes)}) and would be {what}: raise it",
        )


def collect_notes(plan: Plan) -> list[str]:
    """Return what has to be said beside the figures."""
    return [*_note_assumptions(plan), *_note_source(plan), *_note_costs(plan)]


def _note_assumptions(plan: Plan) -> Iterator[str]:
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
        "durations: CPU measured on the bench machine x "
        f"{LAMBDA_CPU_FACTOR[plan.workload.arch]}, and "
        f"{S3_WAIT_S * 1e3:.0f} ms for S3; neither of Lambda's processors was measured. The first "
        "day's billed duration tells"
    )


def _note_source(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if workload.source.is_queue and workload.pollers is None:
        yield (
            f"{plan.event.concurrent_batches:,} batches side by side are taken: "
            "Lambda gathers at least 5 of a "
            "busy queue, and more by load; how many is not documented. Records an invocation "
            "(NumberOfMessagesReceived / Invocations) tell; give --pollers then"
        )
    if workload.source is SourceType.FIFO:
        yield (
            "messages of one group wait for the batch before them: no more invocations run at once "
            "than there are active groups"
        )
    if workload.source is SourceType.SQS and 0 < workload.window_s < LOW_TRAFFIC_S:
        yield f"with little traffic Lambda may wait {LOW_TRAFFIC_S} s, whatever the window"


def _note_costs(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if workload.source.is_queue:
        yield (
            "SQS: sends and deletes of ten messages each; a receive is taken to bring "
            f"{messages_per_receive(workload, plan.event):.3g}, for Lambda polls up to ten times a "
            "second. Firehose by Direct PUT needs no queue"
        )
    if workload.source is SourceType.KINESIS:
        yield "Kinesis: provisioned shards, 24 hours of retention; the same stream for both"
    if workload.source is SourceType.DYNAMODB:
        yield (
            "Lambda reads a table's stream free of charge. Firehose cannot read it: it would take "
            "a Kinesis stream of the table's changes, whose price is not in its column"
        )
    if workload.record_bytes > FIREHOSE_MAX_RECORD_BYTES:
        yield f"Firehose takes records of {FIREHOSE_MAX_RECORD_BYTES:,} bytes at most: not these"
    yield (
        f"dollars: {PRICES_REGION}, list prices as known on {PRICES_DATE}, 730 "
        "hours a month, no free tier. "
        "Left out: logs, KMS, retries, readers, and data between regions or through NAT"
    )
