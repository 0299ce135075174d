"""Tables of `batcher plan`: figures, dollars, sizes of function, and what to conclude."""

from __future__ import annotations

from batcher.cli.tables import Table
from batcher.planning.dollars import DAY_S, DELIVERY, MONTH_S, SOURCE
from batcher.planning.gathering import Limit
from batcher.planning.plan import Plan
from batcher.planning.prices import REGION
from batcher.planning.workload import Source
from batcher.units import show_size


def tables(plan: Plan) -> list[Table]:
    """Give the tables in the order of reading."""
    return [_figures(plan), _dollars(plan), _functions(plan)]


def conclusion(plan: Plan) -> str:
    """Say the plan in one sentence."""
    bill = plan.bill
    return (
        f"{_rate(plan.objects_per_s)} objects/s of {show_size(plan.object_bytes)}: "
        f"{_limit(plan)} ends a batch; {plan.function.memory_mb:,} MB for "
        f"{plan.function.duration_s * 1e3:,.0f} ms; ${bill.batcher():,.2f} a month "
        f"(${bill.batcher(DELIVERY):,.2f} for delivery), Firehose ${bill.firehose():,.2f}"
    )


def _figures(plan: Plan) -> Table:
    workload, settings, event, objects = plan.workload, plan.settings, plan.event, plan.objects
    prefixes, function = plan.prefixes, plan.function
    used = show_size(function.peak_bytes)
    lanes = "pollers" if workload.source.is_queue else "shards x parallelization factor"
    level = f" {settings.compression_level}" if settings.compression != "none" else ""
    measured = f"measured on {plan.compression.measured_records:,} records"
    how = measured if plan.compression.is_measured else "taken"
    rows = [
        (
            "an invocation carries",
            f"{event.records:,.0f} records, {show_size(event.json_bytes)} of JSON",
            f"{_limit(plan)} ends it; at most {event.most_records:,}",
        ),
        ("batches side by side", f"{event.lanes:,}", lanes),
        (
            "invocations a second",
            _rate(event.per_s),
            f"{_rate(plan.peak_event.per_s)} at the peak",
        ),
        (
            "an object holds",
            f"{objects.records:,.0f} records, {show_size(objects.text_bytes)} of text",
            f"{objects.per_event:,.1f} objects an invocation",
        ),
        (
            "an object's size",
            show_size(plan.object_bytes),
            f"{settings.compression}{level}, ratio {plan.compression.ratio:.1f}, {how}",
        ),
        (
            "objects a second",
            _rate(plan.objects_per_s),
            f"{plan.objects_per_s * DAY_S:,.0f} a day",
        ),
        (
            "PUT/s a prefix",
            f"{_rate(prefixes.puts_per_s_prefix)} at the peak",
            f"fanout {prefixes.fanout:,}, needed {prefixes.fanout_needed:,}",
        ),
        (
            "invocations at once",
            _rate(plan.concurrency),
            f"{_rate(plan.peak_concurrency)} at the peak",
        ),
        (
            "Lambda",
            f"{function.memory_mb:,} MB, {function.duration_s * 1e3:,.0f} ms",
            f"{function.arch}; timeout {function.timeout_s} s; {used} used when full",
        ),
    ]
    title = (
        f"{workload.records_per_s:,.10g} records/s of {workload.record_bytes:,.0f} B from "
        f"{workload.source}, window {workload.window_s} s, peak x {workload.peak:g}"
    )
    return Table(title, ("", "", ""), rows)


def _dollars(plan: Plan) -> Table:
    bill = plan.bill
    rows = [
        (item.part, item.name, f"{item.batcher:,.2f}", f"{item.firehose:,.2f}")
        for item in bill.items
    ]
    for part in (DELIVERY, SOURCE):
        row = (part, "together", f"{bill.batcher(part):,.2f}", f"{bill.firehose(part):,.2f}")
        rows.append(row)
    rows.append(("all", "together", f"{bill.batcher():,.2f}", f"{bill.firehose():,.2f}"))
    how = "from the stream" if plan.workload.source is Source.KINESIS else "by Direct PUT"
    columns = ("", f"dollars a month, {REGION}", "batcher", f"Firehose {how}")
    return Table("What it costs", columns, rows, frozenset({2, 3}))


def _functions(plan: Plan) -> Table:
    rows = [
        (
            f"{option.memory_mb:,} MB",
            f"{option.duration_s * 1e3:,.0f} ms",
            f"{option.cold_s:.1f} s",
            f"{option.dollars * plan.event.per_s * MONTH_S:,.2f}",
            "chosen" if option == plan.function else "" if option.is_fit else "not fit",
        )
        for option in plan.functions
    ]
    columns = ("memory", "an invocation", "full and cold", "dollars a month", "")
    return Table("Sizes of function", columns, rows, frozenset({0, 1, 2, 3}))


def _limit(plan: Plan) -> str:
    return {
        Limit.WINDOW: (
            f"the window of {plan.workload.window_s} s" if plan.workload.window_s else "the poll"
        ),
        Limit.PAYLOAD: "the 6 MB of an invocation",
        Limit.BATCH_SIZE: f"the batch size of {plan.workload.batch_size:,}",
        Limit.RATE: "the low rate",
    }[plan.event.limit]


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004  # three digits
