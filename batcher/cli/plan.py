"""`batcher plan`: from a rate to objects, Lambda settings and dollars a month."""

from __future__ import annotations

import argparse
import asyncio
import os

import orjson

from batcher.cli.lines import InputError, Reader
from batcher.cli.options import Faults, add_settings, flags_of
from batcher.cli.output import DONE, Table, print_table
from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.formatting import show_size
from batcher.tools.plan.advice import advice, notes
from batcher.tools.plan.costs import DAY_S, DELIVERY, MONTH_S, SOURCE
from batcher.tools.plan.invocations import Limit
from batcher.tools.plan.objects import Sample
from batcher.tools.plan.output import document, snippet
from batcher.tools.plan.plan import Plan, make_plan
from batcher.tools.plan.prices import REGION
from batcher.tools.plan.quotas import MAX_EVENT_BYTES
from batcher.tools.plan.workload import DEFAULT_WINDOW_S, Source, Workload

SAMPLE_BYTES = 8 * 1024**2
"""Text that is read of a sample, in whole blocks."""


STAND_IN_BUCKET = "BUCKET"


FLAGS = (
    ("records-per-s", "N", "records a second, on average"),
    ("record-bytes", "SIZE", "bytes of a record, on average: 1KiB (default: the sample's)"),
    ("source", "SOURCE", f"{', '.join(Source)} (default sqs)"),
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
    for name, metavar, text in FLAGS:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument(
        "--sample",
        metavar="FILE",
        help="records to measure size and compression on, a line each (plain, gzip or zstd, or - "
        "for standard input); 8 MiB are read",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code.

    Raises:
        SettingsError: with every fault of workload, sample and settings.
    """
    plan = _plan(arguments)
    if arguments.json:
        print(orjson.dumps(document(plan)).decode())  # noqa: T201  # what a command line is for
        return DONE
    for table in tables(plan):
        print_table(table)
    print(f"To paste into serverless.yml\n\n{snippet(plan)}\n")  # noqa: T201
    for note in notes(plan):
        print(f"note: {note}")  # noqa: T201
    for one in advice(plan):
        print(f"warning: {one.kind}: {one.text}")  # noqa: T201
    print(conclusion(plan))  # noqa: T201
    return DONE


def _plan(arguments: argparse.Namespace) -> Plan:
    faults = Faults()
    values = {name: getattr(arguments, name) for name in _names()}
    sample = None
    with faults:
        sample = asyncio.run(_sample(arguments.sample)) if arguments.sample else None
    if sample is not None:
        values["record_bytes"] = values["record_bytes"] or sample.record_bytes
        values["json_growth"] = sample.json_growth
    elif arguments.sample:
        values["record_bytes"] = values["record_bytes"] or "1"  # its fault is told
    with faults:
        workload = Workload.from_text(values)
    with faults:
        settings = _settings(arguments)
    faults.tell()
    return make_plan(workload, settings, sample)


def _names() -> list[str]:
    return [name.replace("-", "_") for name, _, _ in FLAGS]


def _settings(arguments: argparse.Namespace) -> Settings:
    """Read the handler's settings; a plan needs no bucket."""
    environ = {"BATCHER_BUCKET": STAND_IN_BUCKET, **os.environ}
    return Settings.from_env(environ, **flags_of(arguments))


async def _sample(name: str) -> Sample:
    """Read the first lines of a file; empty ones, and those that no invocation carries, are none.

    Raises:
        SettingsError: it cannot be read, or has no line.
    """
    reader = Reader([name], MAX_EVENT_BYTES)
    records: list[bytes] = []
    read_bytes = 0
    try:
        async for block in reader:
            if not block.cut_bytes:
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
    return Sample(records)


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
