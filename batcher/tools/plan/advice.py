"""Advice: the weak points of a plan and how to fix them, and notes on its assumptions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batcher.tools.formatting import format_count, format_size
from batcher.tools.plan.costs import MONTH_S, messages_per_receive
from batcher.tools.plan.invocations import (
    estimate_invocations,
    max_event_records,
    poller_count,
    shard_count,
)
from batcher.tools.plan.mapping import messages_in_flight
from batcher.tools.plan.objects import ObjectEstimate, estimate_objects
from batcher.tools.plan.prices import (
    FIREHOSE_DOLLARS_PER_JQ_HOUR,
    PRICES_DATE,
    PRICES_REGION,
    firehose_billed_bytes,
    firehose_conversion_dollars,
)
from batcher.tools.plan.quotas import (
    DEFAULT_ACCOUNT_CONCURRENCY,
    FIFO_RECORDS_PER_S,
    FIREHOSE_MAX_RECORD_BYTES,
    MAX_MESSAGES_IN_FLIGHT,
    MAX_POLLERS,
    MAX_WINDOW_S,
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
"""Time that Lambda may wait with little traffic. Source:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html."""

SMALL_OBJECT_BYTES = 128 * 1024
"""Smaller objects are expensive to write, list and read. S3's infrequent access bills them as if
they had this size."""

MIN_RATIO_TEXT_BYTES = 16 * 1024
"""Less text compresses worse than the table of ratios says."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change."""

    kind: str
    """Stable from version to version: `small_objects`, `fanout`, …"""
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
            f"{format_size(SMALL_OBJECT_BYTES)}); {_how_to_grow(plan)}",
        )
    if not plan.compression.is_measured and objects.text_bytes < MIN_RATIO_TEXT_BYTES:
        yield Advice(
            "assumed_ratio",
            f"objects with {format_size(objects.text_bytes)} of text compress worse than the "
            f"assumed ratio {plan.compression.ratio}; measure it with --sample",
        )


def _how_to_grow(plan: Plan) -> str:
    """Return the first change that makes objects larger. A window is named only if it suffices."""
    workload = plan.workload
    if workload.source is SourceType.FIFO:
        return (
            "an invocation gets at most 10 messages of a FIFO queue: use a standard queue or a "
            "stream if order does not matter"
        )
    fewer_values = "partition by fewer values, or " * (workload.partitions > 1)
    max_records = max_event_records(workload.with_window(MAX_WINDOW_S))
    full = estimate_objects(workload, plan.settings, max_records)
    if full.text_bytes / plan.compression.ratio < SMALL_OBJECT_BYTES:
        size = format_size(full.text_bytes / plan.compression.ratio)
        if _is_cut(plan, full):
            return f"{fewer_values}raise max_records and max_bytes, which cut them at {size}"
        return (
            f"the 6 MB of JSON of a full invocation make {size} per object at most: "
            f"{fewer_values}compact the objects later, or write with the library"
        )
    return _which_window(plan, fewer_values)


def _which_window(plan: Plan, fewer_values: str) -> str:
    """Return the window that makes objects large enough, or what to do without one."""
    workload = plan.workload
    wanted_records = SMALL_OBJECT_BYTES * plan.compression.ratio / (workload.record_bytes + 1)
    window_s = math.ceil(
        max(1.0, wanted_records)
        * workload.partitions
        * plan.event.concurrent_batches
        / workload.records_per_s
    )
    if window_s <= MAX_WINDOW_S:
        if not _can_wait(plan, window_s):
            return (
                f"a window of {window_s} s would exceed the {MAX_MESSAGES_IN_FLIGHT:,} messages "
                f"in flight of a queue: {fewer_values}use several queues or a Kinesis stream"
            )
        return f"raise the window from {workload.window_s} to {window_s} s"
    changes = ["partition by fewer values"] * (workload.partitions > 1)
    changes.append("compact the objects later")
    if workload.source.is_queue:
        changes.append("use a stream of one shard")
    elif shard_count(workload) > 1:
        changes.append("use a stream with fewer shards")
    listed = ", or ".join(changes)
    if workload.window_s < MAX_WINDOW_S and _can_wait(plan, MAX_WINDOW_S):
        return f"raise the window to the maximum of {MAX_WINDOW_S} s, and {listed}"
    return f"the rate is low: {listed}"


def _is_cut(plan: Plan, objects: ObjectEstimate) -> bool:
    """Return whether `max_records` or `max_bytes` end objects before their partition does."""
    return round(objects.per_event) > plan.workload.partitions


def _object_bytes_with(plan: Plan, window_s: int) -> float:
    """Return the size of an object of a queue with another window, at the average rate."""
    workload = plan.workload.with_window(window_s)
    event = estimate_invocations(workload, workload.records_per_s)
    objects = estimate_objects(workload, plan.settings, event.records)
    return objects.text_bytes / plan.compression.ratio


def _can_wait(plan: Plan, window_s: int) -> bool:
    """Return whether a window keeps a queue below its limit of messages in flight."""
    workload = plan.workload.with_window(window_s)
    if not workload.source.is_queue:
        return True
    peak = estimate_invocations(workload, workload.peak_records_per_s)
    duration_s = plan.full_load.duration_s(plan.function.memory_mb, plan.function.arch)
    in_flight = messages_in_flight(workload.peak_records_per_s, peak, duration_s)
    return in_flight <= MAX_MESSAGES_IN_FLIGHT


def _advise_on_prefixes(plan: Plan) -> Iterator[Advice]:
    prefixes, rate = plan.prefixes, plan.settings.prefix_rate
    if prefixes.fanout < prefixes.fanout_needed:
        yield Advice(
            "fanout",
            f"fanout={prefixes.fanout} gives {prefixes.puts_per_s_per_prefix:,.0f} PUT/s per "
            f"prefix at the peak, over half of {rate:,}; set "
            f"BATCHER_FANOUT={prefixes.fanout_needed}",
        )
    if prefixes.puts_per_s > rate:
        yield Advice(
            "cold_prefix",
            f"{prefixes.puts_per_s:,.0f} PUT/s at the peak exceed the {rate:,} PUT/s of a new "
            "root: it is one S3 partition, shared by all salts until S3 splits it (30 to 60 "
            "minutes of load); raise the load step by step, or expect 503 SlowDown and "
            "redeliveries at first",
        )


def _advise_on_source(plan: Plan) -> Iterator[Advice]:
    if plan.workload.source.is_queue:
        yield from _advise_on_queue(plan)
    else:
        yield from _advise_on_stream(plan)


def _advise_on_stream(plan: Plan) -> Iterator[Advice]:
    workload, peak = plan.workload, plan.workload.peak_records_per_s
    peak_bytes_per_s = peak * workload.record_bytes
    shards = shard_count(workload)
    needed = max(
        math.ceil(peak / SHARD_RECORDS_PER_S), math.ceil(peak_bytes_per_s / SHARD_BYTES_PER_S)
    )
    if shards < needed:
        yield Advice(
            "shards",
            f"{format_count(shards, 'shard')} cannot take {peak:,.0f} records/s and "
            f"{format_size(peak_bytes_per_s)}/s at the peak; use {needed:,}",
        )
    if plan.utilization > MAX_UTILIZATION:
        yield Advice(
            "busy_shards",
            f"the peak needs {plan.utilization:.0%} of the invocation capacity of these shards, "
            f"so they would not catch up after a failure; use {_how_to_save_cpu(plan)}, or more "
            "shards",
        )


def _advise_on_queue(plan: Plan) -> Iterator[Advice]:
    workload, peak = plan.workload, plan.workload.peak_records_per_s
    if workload.source is SourceType.FIFO and peak > FIFO_RECORDS_PER_S:
        yield Advice(
            "fifo_rate",
            f"a FIFO queue takes {FIFO_RECORDS_PER_S:,} messages/s in batches of ten, the peak is "
            f"{peak:,.0f}; turn on high throughput, and use many message groups",
        )
    pollers = plan.peak_event.concurrent_batches
    poller_records_per_s = min(
        POLLER_RECEIVES_PER_S * SQS_BATCH_MESSAGES, POLLER_BYTES_PER_S / workload.record_bytes
    )
    if peak > pollers * poller_records_per_s and pollers == poller_count(workload, peak):
        yield Advice(
            "pollers",
            f"{format_count(pollers, 'poller')} may not keep up with {peak:,.0f} messages/s (they "
            f"take about {pollers * poller_records_per_s:,.0f}, and Lambda has at most "
            f"{MAX_POLLERS:,}); use provisioned mode, or several queues",
        )
    in_flight = messages_in_flight(peak, plan.peak_event, plan.peak_duration_s)
    if in_flight > MAX_MESSAGES_IN_FLIGHT:
        window_s = math.floor(MAX_MESSAGES_IN_FLIGHT / peak - plan.peak_duration_s)
        is_lower = 0 < window_s < workload.window_s
        suffices = is_lower and _object_bytes_with(plan, window_s) >= SMALL_OBJECT_BYTES
        lower = f"lower the window to {window_s} s, " * suffices
        yield Advice(
            "in_flight",
            f"{in_flight:,.0f} messages would be in flight at the peak, over the limit of "
            f"{MAX_MESSAGES_IN_FLIGHT:,} per queue, above which receives return none; {lower}use "
            "several queues or a Kinesis stream, or request a higher quota",
        )


def _advise_on_function(plan: Plan) -> Iterator[Advice]:
    if plan.peak_concurrency > DEFAULT_ACCOUNT_CONCURRENCY:
        yield Advice(
            "concurrency",
            f"{plan.peak_concurrency:,.0f} concurrent invocations at the peak exceed the default "
            f"quota of an account, {DEFAULT_ACCOUNT_CONCURRENCY:,}; request a higher quota",
        )
    function = plan.function
    if function.cold_start_s > MAX_COLD_START_S:
        yield Advice(
            "cold_start",
            f"the first invocation of an environment takes {function.cold_start_s:.1f} s even with "
            f"{function.memory_mb:,} MB; use {_how_to_save_cpu(plan)}",
        )
    if plan.full_load.text_bytes > plan.settings.budget_bytes:
        effect = "cut into more objects" if plan.workload.source.is_queue else "rejected as a whole"
        yield Advice(
            "budget",
            f"the text of a full invocation ({format_size(plan.full_load.text_bytes)}) exceeds "
            f"budget_bytes ({format_size(plan.settings.budget_bytes)}) and would be {effect}; "
            "raise it",
        )


def _how_to_save_cpu(plan: Plan) -> str:
    level = "a lower compression level"
    return level if plan.settings.engine == "obstore" else f"{level} or engine=obstore"


def collect_notes(plan: Plan) -> list[str]:
    """Return the assumptions and limits of the figures."""
    return [*_note_assumptions(plan), *_note_source(plan), *_note_costs(plan)]


def _note_assumptions(plan: Plan) -> Iterator[str]:
    if not plan.compression.is_measured:
        yield (
            f"the ratio {plan.compression.ratio} was measured with orders and log lines; measure "
            "your own records with --sample"
        )
    elif plan.compression.measured_records < plan.objects.records - 0.5:
        yield (
            f"the sample has {format_count(plan.compression.measured_records, 'record')}, "
            f"an object {plan.objects.records:,.0f}; a full object may compress a little better"
        )
    yield (
        "durations are CPU time on the bench machine x "
        f"{LAMBDA_CPU_FACTOR[plan.workload.arch]}, plus {S3_WAIT_S * 1e3:.0f} ms for S3; neither "
        "of Lambda's processors was measured, so compare the first day's billed duration"
    )


def _note_source(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if workload.source.is_queue and workload.pollers is None:
        yield (
            f"{plan.event.concurrent_batches:,} concurrent batches are assumed: Lambda fills at "
            "least 5 for a busy queue, and more with the load, but how many is not documented; "
            "compute records per invocation (NumberOfMessagesReceived / Invocations), and set "
            "--pollers accordingly"
        )
    limit = plan.mapping.maximum_concurrency
    if limit is not None and limit < plan.event.concurrent_batches:
        yield (
            f"maximum_concurrency={limit} limits running invocations "
            f"({plan.peak_concurrency:.3g} at the peak), not the batches that wait for their window"
        )
    if workload.source is SourceType.FIFO:
        yield (
            "messages of one group wait for the batch before them, so there are at most as many "
            "concurrent invocations as active groups"
        )
    if workload.source is SourceType.SQS and 0 < workload.window_s < LOW_TRAFFIC_S:
        yield f"with little traffic Lambda may wait {LOW_TRAFFIC_S} s, whatever the window"


def _note_costs(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if workload.source.is_queue:
        yield (
            "SQS: sends and deletes of ten messages each; a receive is assumed to return "
            f"{messages_per_receive(workload, plan.event):.3g}, because Lambda polls up to ten "
            "times per second. Firehose with Direct PUT needs no queue"
        )
    if workload.source is SourceType.KINESIS:
        yield "Kinesis: provisioned shards, 24 hours of retention; the same stream for both"
    if workload.source is SourceType.DYNAMODB:
        yield (
            "Lambda reads a table's stream free of charge. Firehose cannot read it: it needs a "
            "Kinesis stream of the table's changes, whose price is not included"
        )
    if workload.record_bytes > FIREHOSE_MAX_RECORD_BYTES:
        yield (
            f"Firehose takes records of at most {FIREHOSE_MAX_RECORD_BYTES:,} bytes, so it cannot "
            "take these"
        )
    if workload.partitions > 1:
        billed_bytes = (
            workload.records_per_s * MONTH_S * firehose_billed_bytes(workload.record_bytes)
        )
        yield (
            "Firehose partitions by arrival time without dynamic partitioning. Not included: "
            f"${FIREHOSE_DOLLARS_PER_JQ_HOUR} per hour of jq, which finds the fields, and "
            "conversion to Parquet or ORC, which adds "
            f"${firehose_conversion_dollars(billed_bytes):,.2f} per month and needs a Glue table"
        )
    yield (
        f"dollars: list prices in {PRICES_REGION} as of {PRICES_DATE}, 730 hours per month, no "
        "free tier. Not included: logs, KMS, retries, readers, and data between regions or "
        "through NAT"
    )
