"""`batcher plan`: from a rate to objects, Lambda settings and dollars a month."""

from __future__ import annotations

import argparse
import asyncio
import os

import orjson

from batcher.cli.lines import InputError, LineReader
from batcher.cli.options import FaultCollector, add_setting_options, settings_from_options
from batcher.cli.output import DONE, TextTable, print_table
from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.formatting import format_size
from batcher.tools.plan.advice import collect_advice, collect_notes
from batcher.tools.plan.costs import DAY_S, DELIVERY, MONTH_S, SOURCE
from batcher.tools.plan.invocations import BatchEnd
from batcher.tools.plan.objects import RecordSample
from batcher.tools.plan.output import make_document, make_serverless_yaml
from batcher.tools.plan.plan import Plan, make_plan
from batcher.tools.plan.prices import PRICES_REGION
from batcher.tools.plan.quotas import MAX_EVENT_BYTES
from batcher.tools.plan.workload import DEFAULT_WINDOW_S, SourceType, Workload

SAMPLE_BYTES = 8 * 1024**2
"""Text that is read of a sample, in whole blocks."""


PLACEHOLDER_BUCKET = "BUCKET"


WORKLOAD_OPTIONS = (
    ("records-per-s", "N", "records a second, on average"),
    ("record-bytes", "SIZE", "bytes of a record, on average: 1KiB (default: the sample's)"),
    ("source", "SOURCE", f"{', '.join(SourceType)} (default sqs)"),
    ("window-s", "S", f"batching window, 0-300 (default {DEFAULT_WINDOW_S}; fifo has none)"),
    ("peak", "FACTOR", "the highest rate over the average (default 2)"),
    ("partitions", "N", "partitions that one invocation's records fall into (default 1)"),
    ("shards", "N", "shards of the stream (default: as few as take the peak)"),
    ("pollers", "N", "batches of a queue that Lambda gathers side by side, where you know it"),
    ("retention-days", "D", "days that objects are kept: adds what S3 asks for that"),
    ("arch", "ARCH", "arm64 or x86_64 (default arm64)"),
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "plan",
        help="from records a second: objects, Lambda settings, dollars a month beside Firehose's",
        description="Says, from records a second and bytes a record, how many objects of what size "
        "come of them, how many prefixes they need, which memory and how many concurrent "
        "invocations, what a month costs beside Firehose, and how to set the event source mapping. "
        "Asks nobody and writes nothing. docs/planning.md has the formulas.",
        epilog="Exit: 0 done, warnings or not, 2 wrong usage or settings.",
    )
    for name, metavar, text in WORKLOAD_OPTIONS:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument(
        "--sample",
        metavar="FILE",
        help="records to measure size and compression on, a line each (plain, gzip or zstd, or - "
        "for standard input); 8 MiB are read",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_setting_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code.

    Raises:
        SettingsError: with every fault of workload, sample and settings.
    """
    plan = _plan_from(arguments)
    if arguments.json:
        print(orjson.dumps(make_document(plan)).decode())  # noqa: T201  # what a command line is for
        return DONE
    for table in plan_tables(plan):
        print_table(table)
    print(f"To paste into serverless.yml\n\n{make_serverless_yaml(plan)}\n")  # noqa: T201
    for note in collect_notes(plan):
        print(f"note: {note}")  # noqa: T201
    for one in collect_advice(plan):
        print(f"warning: {one.kind}: {one.text}")  # noqa: T201
    print(summarize_plan(plan))  # noqa: T201
    return DONE


def _plan_from(arguments: argparse.Namespace) -> Plan:
    faults = FaultCollector()
    values = {name: getattr(arguments, name) for name in _option_names()}
    sample = None
    with faults:
        sample = asyncio.run(_read_sample(arguments.sample)) if arguments.sample else None
    if sample is not None:
        values["record_bytes"] = values["record_bytes"] or sample.record_bytes
        values["json_growth"] = sample.json_growth
    elif arguments.sample:
        values["record_bytes"] = values["record_bytes"] or "1"  # its fault is told
    with faults:
        workload = Workload.from_text(values)
    with faults:
        settings = _read_settings(arguments)
    faults.raise_if_any()
    return make_plan(workload, settings, sample)


def _option_names() -> list[str]:
    return [name.replace("-", "_") for name, _, _ in WORKLOAD_OPTIONS]


def _read_settings(arguments: argparse.Namespace) -> Settings:
    """Read the handler's settings; a plan needs no bucket."""
    environ = {"BATCHER_BUCKET": PLACEHOLDER_BUCKET, **os.environ}
    return Settings.from_env(environ, **settings_from_options(arguments))


async def _read_sample(name: str) -> RecordSample:
    """Read the first lines of a file; empty ones, and those that no invocation carries, are none.

    Raises:
        SettingsError: it cannot be read, or has no line.
    """
    reader = LineReader([name], MAX_EVENT_BYTES)
    records: list[bytes] = []
    read_bytes = 0
    try:
        async for block in reader:
            if not block.oversized_line_bytes:
                records += [line for line in block.text.split(b"\n") if line.strip()]
            read_bytes += len(block.text)
            if read_bytes >= SAMPLE_BYTES:
                break
    except InputError as error:
        fault = f"sample: {error}"
        raise SettingsError([fault]) from None
    finally:
        reader.stop()
    if not records:
        fault = f"sample: {name} has no record that an invocation could carry"
        raise SettingsError([fault])
    return RecordSample(records)


def plan_tables(plan: Plan) -> list[TextTable]:
    """Return the tables in the order of reading."""
    return [_figures_table(plan), _costs_table(plan), _sizes_table(plan)]


def summarize_plan(plan: Plan) -> str:
    """Return the plan in one sentence."""
    bill = plan.costs
    return (
        f"{_format_rate(plan.objects_per_s)} objects/s of {format_size(plan.object_bytes)}: "
        f"{_format_batch_end(plan)} ends a batch; {plan.function.memory_mb:,} MB for "
        f"{plan.function.duration_s * 1e3:,.0f} ms; ${bill.batcher_dollars():,.2f} a month "
        f"(${bill.batcher_dollars(DELIVERY):,.2f} for delivery), "
        f"Firehose ${bill.firehose_dollars():,.2f}"
    )


def _figures_table(plan: Plan) -> TextTable:
    workload, settings, event, objects = plan.workload, plan.settings, plan.event, plan.objects
    prefixes, function = plan.prefixes, plan.function
    used = format_size(function.peak_memory_bytes)
    lanes = "pollers" if workload.source.is_queue else "shards x parallelization factor"
    level = f" {settings.compression_level}" if settings.compression != "none" else ""
    measured = f"measured on {plan.compression.measured_records:,} records"
    how = measured if plan.compression.is_measured else "taken"
    rows = [
        (
            "an invocation carries",
            f"{event.records:,.0f} records, {format_size(event.json_bytes)} of JSON",
            f"{_format_batch_end(plan)} ends it; at most {event.max_records:,}",
        ),
        ("batches side by side", f"{event.concurrent_batches:,}", lanes),
        (
            "invocations a second",
            _format_rate(event.per_s),
            f"{_format_rate(plan.peak_event.per_s)} at the peak",
        ),
        (
            "an object holds",
            f"{objects.records:,.0f} records, {format_size(objects.text_bytes)} of text",
            f"{objects.per_event:,.1f} objects an invocation",
        ),
        (
            "an object's size",
            format_size(plan.object_bytes),
            f"{settings.compression}{level}, ratio {plan.compression.ratio:.1f}, {how}",
        ),
        (
            "objects a second",
            _format_rate(plan.objects_per_s),
            f"{plan.objects_per_s * DAY_S:,.0f} a day",
        ),
        (
            "PUT/s a prefix",
            f"{_format_rate(prefixes.puts_per_s_per_prefix)} at the peak",
            f"fanout {prefixes.fanout:,}, needed {prefixes.fanout_needed:,}",
        ),
        (
            "invocations at once",
            _format_rate(plan.concurrency),
            f"{_format_rate(plan.peak_concurrency)} at the peak",
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
    return TextTable(title, ("", "", ""), rows)


def _costs_table(plan: Plan) -> TextTable:
    bill = plan.costs
    rows = [
        (item.part, item.name, f"{item.batcher:,.2f}", f"{item.firehose:,.2f}")
        for item in bill.items
    ]
    for part in (DELIVERY, SOURCE):
        row = (
            part,
            "together",
            f"{bill.batcher_dollars(part):,.2f}",
            f"{bill.firehose_dollars(part):,.2f}",
        )
        rows.append(row)
    rows.append(
        ("all", "together", f"{bill.batcher_dollars():,.2f}", f"{bill.firehose_dollars():,.2f}")
    )
    how = "from the stream" if plan.workload.source is SourceType.KINESIS else "by Direct PUT"
    columns = ("", f"dollars a month, {PRICES_REGION}", "batcher", f"Firehose {how}")
    return TextTable("What it costs", columns, rows, frozenset({2, 3}))


def _sizes_table(plan: Plan) -> TextTable:
    rows = [
        (
            f"{option.memory_mb:,} MB",
            f"{option.duration_s * 1e3:,.0f} ms",
            f"{option.cold_start_s:.1f} s",
            f"{option.invocation_dollars * plan.event.per_s * MONTH_S:,.2f}",
            "chosen" if option == plan.function else "" if option.fits else "not fit",
        )
        for option in plan.function_sizes
    ]
    columns = ("memory", "an invocation", "full and cold", "dollars a month", "")
    return TextTable("Sizes of function", columns, rows, frozenset({0, 1, 2, 3}))


def _format_batch_end(plan: Plan) -> str:
    return {
        BatchEnd.WINDOW: (
            f"the window of {plan.workload.window_s} s" if plan.workload.window_s else "the poll"
        ),
        BatchEnd.PAYLOAD: "the 6 MB of an invocation",
        BatchEnd.BATCH_SIZE: f"the batch size of {plan.workload.batch_size:,}",
        BatchEnd.LOW_RATE: "the low rate",
    }[plan.event.batch_end]


def _format_rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004  # three digits
