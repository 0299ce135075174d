"""`batcher plan`: compute objects, Lambda settings and costs per month from a record rate."""

from __future__ import annotations

import os

from batcher.cli.command import Arguments, Command
from batcher.cli.inputs.sample import read_sample
from batcher.cli.json_output import print_json
from batcher.cli.options import json_option, setting_options
from batcher.cli.output import DONE, TextTable, print_table, print_text
from batcher.cli.parameters import Option
from batcher.cli.signals import run_in_loop
from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.formatting import format_count, format_size
from batcher.tools.plan.advice import collect_advice, collect_notes
from batcher.tools.plan.costs import DAY_S, DELIVERY, MONTH_S, SOURCE
from batcher.tools.plan.invocations import BatchEnd, shard_count
from batcher.tools.plan.objects import RecordSample
from batcher.tools.plan.output import (
    make_deploy_command,
    make_document,
    make_serverless_yaml,
)
from batcher.tools.plan.plan import Plan, make_plan
from batcher.tools.plan.prices import PRICES_REGION
from batcher.tools.plan.quotas import MAX_EVENT_BYTES
from batcher.tools.plan.workload import DEFAULT_WINDOW_S, SourceType, Workload

SAMPLE_BYTES = 8 * 1024**2
"""Text that is read from a sample, rounded up to blocks of `LineReader`."""


PLACEHOLDER_BUCKET = "BUCKET"
"""Shown in the environment of the plan if no bucket is set."""


WORKLOAD_OPTIONS = (
    ("records-per-s", "N", "records per second, on average"),
    (
        "record-bytes",
        "SIZE",
        "bytes per record, on average, such as 1KiB; not needed with --sample",
    ),
    ("source", f"[{'|'.join(SourceType)}]", "where records come from (default sqs)"),
    (
        "window-s",
        "SECONDS",
        f"batching window, 0 to 300 (default {DEFAULT_WINDOW_S}; fifo has none)",
    ),
    ("peak", "FACTOR", "the highest rate divided by the average (default 2)"),
    ("partitions", "N", "partitions of the records of one invocation (default 1)"),
    ("shards", "N", "shards of the stream (default: as few as take the peak)"),
    ("pollers", "N", "batches of a queue that Lambda gathers concurrently, if you know it"),
    ("retention-days", "DAYS", "days that objects are kept; adds the cost of storage"),
    ("arch", "[arm64|x86_64]", "processor of the function (default arm64)"),
)
"""Name, metavar and help of each option that describes the workload."""


WORKLOAD_CHOICES = {"source": [*SourceType], "arch": ["arm64", "x86_64"]}
"""Values that a shell completes."""


USED_SETTINGS = (
    "bucket",
    "root",
    "max_bytes",
    "max_records",
    "budget_bytes",
    "compression",
    "compression_level",
    "fanout",
    "prefix_rate",
    "concurrency",
    "deadline_margin_s",
    "engine",
)
"""Settings that change the figures, and the destination. All others are printed if they are set."""


NOTHING_GIVEN = (
    "--records-per-s: required, and --record-bytes or --sample; "
    "for example: batcher plan --records-per-s 500 --record-bytes 1KiB"
)


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code.

    Raises:
        SettingsError: with every fault of workload, sample and settings.
    """
    plan = _make_plan(arguments)
    if arguments.json:
        print_json([make_document(plan)])
        return DONE
    figures, *tables = plan_tables(plan)
    print_table(figures)
    print_text(summarize_plan(plan))
    for advice in collect_advice(plan):
        print_text(f"warning: {advice.kind}: {advice.text}")
    print()  # noqa: T201  # what a command line is for
    for table in tables:
        print_table(table)
    print(f"To deploy it with this project's template\n\n{make_deploy_command(plan)}\n")  # noqa: T201
    print(f"To paste into a serverless.yml of your own\n\n{make_serverless_yaml(plan)}\n")  # noqa: T201
    for note in collect_notes(plan):
        print_text(f"note: {note}")
    return DONE


def _make_plan(arguments: Arguments) -> Plan:
    faults = arguments.faults
    values = {name: getattr(arguments, name) for name in _option_names()}
    sample = None
    with faults:
        sample = _read_sample(arguments.sample) if arguments.sample else None
    if sample is not None:
        values["record_bytes"] = values["record_bytes"] or sample.record_bytes
        values["json_growth"] = sample.json_growth
    elif arguments.sample:
        values["record_bytes"] = values["record_bytes"] or "1"  # the sample's fault is enough
    with faults:
        if not any(values.values()):
            raise SettingsError([NOTHING_GIVEN])
        workload = Workload.from_text(values)
    with faults:
        settings = _read_settings(arguments)
    faults.raise_if_any()
    return make_plan(workload, settings, sample)


def _option_names() -> list[str]:
    return [name.replace("-", "_") for name, _, _ in WORKLOAD_OPTIONS]


def _read_settings(arguments: Arguments) -> Settings:
    """Read the handler's settings. A plan needs no bucket."""
    environ = {"BATCHER_BUCKET": PLACEHOLDER_BUCKET, **os.environ}
    return Settings.from_env(environ, **arguments.settings)


def _read_sample(name: str) -> RecordSample:
    """Read records from the start of a file, without blank lines and those that are too long.

    Raises:
        SettingsError: the file cannot be read, or has no record.
    """
    lines, _ = run_in_loop(read_sample(name, MAX_EVENT_BYTES, SAMPLE_BYTES))
    records = [line for line in lines if line.strip()]
    if not records:
        raise SettingsError([f"sample: {name} has no record that fits into an invocation"])
    return RecordSample(records)


def plan_tables(plan: Plan) -> list[TextTable]:
    """Return the tables of a plan in the order in which they are printed."""
    return [_figures_table(plan), _costs_table(plan), _sizes_table(plan)]


def _figures_table(plan: Plan) -> TextTable:
    workload, settings, event, objects = plan.workload, plan.settings, plan.event, plan.objects
    prefixes, function = plan.prefixes, plan.function
    event_records = format_count(round(event.records), "record")
    object_records = format_count(round(objects.records), "record")
    peak_memory = format_size(function.peak_memory_bytes)
    concurrency_unit = "pollers" if workload.source.is_queue else "shards x parallelization factor"
    level = f" {settings.compression_level}" if settings.compression != "none" else ""
    measured = f"measured on {format_count(plan.compression.measured_records, 'record')}"
    ratio_basis = measured if plan.compression.is_measured else "assumed"
    rows = [
        (
            "an invocation carries",
            f"{event_records}, {format_size(event.json_bytes)} of JSON",
            f"{_format_batch_end(plan)} ends it; at most {event.max_records:,}",
        ),
        ("concurrent batches", f"{event.concurrent_batches:,}", concurrency_unit),
        (
            "invocations per second",
            _rate(event.per_s),
            f"{_rate(plan.peak_event.per_s)} at the peak",
        ),
        (
            "an object holds",
            f"{object_records}, {format_size(objects.text_bytes)} of text",
            f"{objects.per_event:,.1f} objects per invocation",
        ),
        (
            "an object's size",
            format_size(plan.object_bytes),
            f"{settings.compression}{level}, ratio {plan.compression.ratio:.1f}, {ratio_basis}",
        ),
        (
            "oldest record in it",
            f"{_rate(event.batching_s + function.duration_s)} s when written",
            "waits for its batch, then the invocation",
        ),
        (
            "objects per second",
            _rate(plan.objects_per_s),
            f"{plan.objects_per_s * DAY_S:,.0f} per day",
        ),
        (
            "PUT/s per prefix",
            f"{_rate(prefixes.puts_per_s_per_prefix)} at the peak",
            f"fanout {prefixes.fanout:,}, needed {prefixes.fanout_needed:,}",
        ),
        (
            "concurrent invocations",
            _rate(plan.concurrency),
            f"{_rate(plan.peak_concurrency)} at the peak",
        ),
        (
            "Lambda",
            f"{function.memory_mb:,} MB, {function.duration_s * 1e3:,.0f} ms",
            f"{function.arch}; timeout {function.timeout_s} s; {peak_memory} used when full",
        ),
    ]
    if not workload.source.is_queue:
        basis = "as given" if workload.shards else "as few as take the peak"
        rows.insert(0, ("shards", f"{shard_count(workload):,}", basis))
    title = (
        f"{workload.records_per_s:,.10g} records/s of {workload.record_bytes:,.0f} B from "
        f"{workload.source}, window {workload.window_s} s, peak x {workload.peak:g}"
    )
    return TextTable(title, ("", "", ""), rows)


def _costs_table(plan: Plan) -> TextTable:
    costs = plan.costs
    rows = [
        (item.part, item.name, f"{item.batcher:,.2f}", f"{item.firehose:,.2f}")
        for item in costs.items
    ]
    for part in (DELIVERY, SOURCE, None):
        dollars = costs.batcher_dollars(part), costs.firehose_dollars(part)
        rows.append((part or "all", "total", f"{dollars[0]:,.2f}", f"{dollars[1]:,.2f}"))
    is_stream = plan.workload.source is SourceType.KINESIS
    firehose_input = "from the stream" if is_stream else "by Direct PUT"
    columns = ("", f"dollars per month, {PRICES_REGION}", "batcher", f"Firehose {firehose_input}")
    return TextTable("Costs", columns, rows, frozenset({2, 3}))


def _sizes_table(plan: Plan) -> TextTable:
    rows = [
        (
            f"{option.memory_mb:,} MB",
            f"{option.duration_s * 1e3:,.0f} ms",
            f"{option.cold_start_s:.1f} s",
            f"{option.invocation_dollars * plan.event.per_s * MONTH_S:,.2f}",
            "chosen" if option == plan.function else "" if option.fits else "too small",
        )
        for option in plan.function_sizes
    ]
    columns = ("memory", "per invocation", "full and cold", "dollars per month", "")
    return TextTable("Function sizes", columns, rows, frozenset({0, 1, 2, 3}))


def summarize_plan(plan: Plan) -> str:
    """Return the plan in one sentence."""
    function, costs = plan.function, plan.costs
    return (
        f"{_rate(plan.objects_per_s)} objects/s of {format_size(plan.object_bytes)}: "
        f"{_format_batch_end(plan)} ends a batch; {function.memory_mb:,} MB for "
        f"{function.duration_s * 1e3:,.0f} ms; ${costs.batcher_dollars():,.2f} per month "
        f"(${costs.batcher_dollars(DELIVERY):,.2f} for delivery), "
        f"Firehose ${costs.firehose_dollars():,.2f}"
    )


def _format_batch_end(plan: Plan) -> str:
    return {
        BatchEnd.WINDOW: (
            f"the window of {plan.workload.window_s} s" if plan.workload.window_s else "the poll"
        ),
        BatchEnd.PAYLOAD: "the 6 MB of an invocation",
        BatchEnd.BATCH_SIZE: f"the batch size of {plan.workload.batch_size:,}",
        BatchEnd.LOW_RATE: "the low rate",
    }[plan.event.batch_end]


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004  # three digits


COMMAND = Command(
    run,
    description="Computes from the rate and the size of records: number and size of objects, "
    "prefixes, memory and concurrency of the Lambda function, costs per month compared to "
    "Firehose, and the settings of the event source mapping. Sends no requests and writes "
    "nothing. See how-to/plan.md in the documentation for the formulas.",
    examples={
        "batcher plan --records-per-s 500 --record-bytes 1KiB": "plan for a queue",
        "batcher plan --records-per-s 500 --source kinesis \\\n    --sample events.ndjson": (
            "plan for a stream, with records as in a file"
        ),
    },
    parameters=[
        *(
            Option(
                f"--{name}",
                metavar,
                text,
                group="Workload",
                completes=WORKLOAD_CHOICES.get(name, ()),
            )
            for name, metavar, text in WORKLOAD_OPTIONS
        ),
        Option(
            "--sample",
            "FILE",
            "file of records to measure size and compression with, one per line (plain, gzip "
            "or zstd), or - for standard input; the first 8 MiB are read",
            group="Workload",
            completes="file",
        ),
        json_option("one JSON document"),
        *setting_options(USED_SETTINGS),
    ],
    exit_codes={0: "done, with or without warnings"},
)
