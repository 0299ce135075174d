"""Cost: dollars for a TB and for a billion records, from measured CPU and Amazon's list prices.

batcher's handler on full SQS events, on a function with one core, billed for its CPU, for the
parsing by Lambda's runtime client and for the wait for S3; compared with Amazon Data Firehose.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from batcher.tools.plan.prices import (
    FIREHOSE_DOLLARS_PER_GB,
    LAMBDA_DOLLARS_PER_GB_S,
    PRICES_DATE,
    PRICES_REGION,
    S3_DOLLARS_PER_PUT,
    firehose_dollars,
    kinesis_dollars,
    lambda_dollars,
    sqs_dollars,
)
from batcher.tools.plan.quotas import MB_PER_VCPU
from handler_invocations import Invocation, sqs
from interleave import TimedContender, interleave
from report import Result, Table, finish, make_parser, parse_options, ratio, size, start
from sink_environment import SinkEnvironment, sink_environment

RECORD_SIZES = (200, 1024, 20 * 1024)
S3_WAIT_S = 0.050
"""Taken for the wait for one PUT of a MB or so to S3 in the region; billed, and no CPU is used."""
TB = 1e12
BILLION = 1e9
NOTES = (
    (
        f"prices: {PRICES_REGION}, as known on {PRICES_DATE}: see "
        "batcher/tools/plan/prices.py. No free tier."
    ),
    (
        f"Lambda: {MB_PER_VCPU:,} MB, which is one core; billed: CPU + parsing by simplejson, as"
        f" Lambda's runtime client does + {S3_WAIT_S * 1e3:.0f} ms of waiting for S3. Full events."
    ),
    (
        "CPU was measured on this machine for both prices: it is no Graviton. Lambda's core may"
        " be slower or faster; the CPU share of the bill goes with it."
    ),
    (
        f"Firehose: ${FIREHOSE_DOLLARS_PER_GB} a GB with records rounded up to "
        "5 KB each, plus a PUT for 64 MB"
        " of text: taken as its buffer. Several records put as one would round less."
    ),
    (
        "the ratios are of the writing alone; the second table has what comes before it: SQS in"
        " batches of 10, Kinesis on provisioned shards that are always full; Firehose by Direct PUT"
        " needs neither. Logs and storage are nowhere."
    ),
)
FIREHOSE_BUFFER_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Bill:
    """What one record costs, in dollars."""

    compute: float
    puts: float

    @property
    def total(self) -> float:
        """Everything."""
        return self.compute + self.puts


def bills(event: Invocation, one: TimedContender, parse_s: float, machine: str) -> list[Bill]:
    """Return the bill for one record, a round each."""
    return [
        Bill(
            lambda_dollars(cpu_s + parse_s + S3_WAIT_S, MB_PER_VCPU, machine) / event.records,
            S3_DOLLARS_PER_PUT / event.records,
        )
        for cpu_s in one.cpu_s
    ]


def firehose(record_bytes: int) -> Bill:
    """Return Firehose's bill for one record."""
    return Bill(
        firehose_dollars(record_bytes), S3_DOLLARS_PER_PUT * record_bytes / FIREHOSE_BUFFER_BYTES
    )


def measure(
    sizes: Sequence[int], engines: Sequence[str], rounds: int, where: SinkEnvironment
) -> list[tuple[int, str, Invocation, TimedContender, float]]:
    """Measure every engine on events of each size of record."""
    found = []
    for record_bytes in sizes:
        event = sqs(Path(where.folder), record_bytes)
        with ExitStack() as children:
            group = []
            for engine in engines:
                child = children.enter_context(event.child(engine, 1, where))
                group.append((engine, event.contender(child, engine, 1, where)))
            interleave([one for _, one in group], rounds)
            for engine, one in group:
                parsed = [float(one.child.ask(invocations=0)["parse_s"]) for _ in range(rounds)]
                found.append((record_bytes, engine, event, one, median(parsed)))
    return found


def whole_table(writing: dict[int, float]) -> Table:
    """Return dollars for a billion records, the source before the writer included."""
    rows = []
    for record_bytes, dollars in writing.items():
        sqs_source, stream = sqs_dollars(record_bytes), kinesis_dollars(record_bytes)
        every = (dollars, sqs_source, stream, firehose_dollars(record_bytes))
        alone, queue, shards, theirs = (one * BILLION for one in every)
        rows.append((size(record_bytes), alone, queue + alone, shards + alone, theirs))
    columns = ("record", "batcher alone", "SQS + batcher", "Kinesis + batcher", "Firehose")
    title = "Dollars for 10^9 records, the source included; batcher's fastest engine, arm64"
    return Table(title, columns, rows)


def _row(record_bytes: int, who: str, cpu_us: float, bill: Bill) -> tuple[str | int | float, ...]:
    records_a_tb = TB / record_bytes
    return (
        size(record_bytes),
        who,
        cpu_us,
        bill.compute * records_a_tb,
        bill.puts * records_a_tb,
        bill.total * records_a_tb,
        bill.total * BILLION,
    )


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__, rounds=7, short_rounds=3)
    parser.add_argument("--record-bytes", type=int, action="append", help="this size only")
    options = parse_options(parser)
    setting = start()
    result = Result("cost", notes=list(NOTES))
    engines = [name for name in ("obstore", "aioboto3") if find_spec(name) is not None]
    rows: list[tuple[str | int | float, ...]] = []
    writing: dict[int, float] = {}
    with sink_environment() as where:
        found = measure(options.record_bytes or RECORD_SIZES, engines, options.rounds, where)
    for record_bytes, engine, event, one, parse_s in found:
        cpu_us = (median(one.cpu_s) + parse_s) / event.records * 1e6
        theirs = firehose(record_bytes)
        for machine in LAMBDA_DOLLARS_PER_GB_S:
            ours = bills(event, one, parse_s, machine)
            middle = sorted(ours, key=lambda bill: bill.total)[len(ours) // 2]
            rows.append(_row(record_bytes, f"batcher {engine}, {machine}", cpu_us, middle))
            if machine == "arm64":
                least = min(writing.get(record_bytes, middle.total), middle.total)
                writing[record_bytes] = least
            name = f"dollars, {size(record_bytes)}: Firehose over batcher {engine}, {machine}"
            totals = [bill.total for bill in ours]
            result.ratios.append(ratio(name, [theirs.total] * len(totals), totals))
        if engine == engines[-1]:
            rows.append(_row(record_bytes, "Data Firehose", 0.0, theirs))
    columns = (
        "record", "who", "CPU us/record", "$ compute/TB", "$ PUT/TB", "$/TB", "$/10^9 records",
    )  # fmt: skip
    result.tables.append(Table(f"Dollars, {PRICES_REGION}", columns, rows))
    result.tables.append(whole_table(writing))
    finish(result, setting, options.json)


if __name__ == "__main__":
    main()
