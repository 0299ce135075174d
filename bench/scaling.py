"""Scaling: what a record costs as events grow, with cores, and with requests in flight.

Events of 100 records up to what Lambda hands over at once, and lists of small records; on one core
and on two; many objects with 1 to 256 requests in flight, while S3 answers at once, 20 or 100 ms
later.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from child_process import Child
from handler_invocations import Invocation, direct, sqs
from interleave import TimedContender, interleave
from report import Ratio, Result, Table, finish, make_parser, parse_options, ratio, start
from sink_environment import SinkEnvironment, sink_environment

SIZES = (100, 1_000, 5_000)
LIST_SIZES = (100, 1_000, 10_000)
RECORD_BYTES = 200
CORES = (1, 2)
CONCURRENCIES, SHORT_CONCURRENCIES = (1, 4, 16, 64, 256), (1, 16, 256)
DELAYS_MS, SHORT_DELAYS_MS = (0, 20, 100), (0, 20)
WAVES = 4
"""Objects for each request in flight, so that a slow wave does not show."""
LEAST_OBJECTS, MOST_OBJECTS = 16, 512
BUSY = 0.85
FLAT = 1.0
NOTES = (
    "events: SQS messages of 200 B, gzip-1; lists: direct invokes of some 120 B a record.",
    (
        "cores: sched_setaffinity before any thread starts, as taskset does. The sink is a process"
        " of its own and shares them; so seconds on two cores are no promise."
    ),
    (
        "in flight: batcher's writer on objects of 16 KiB that are decided; the delay is added by"
        " the sink to every answer."
    ),
    (
        "limit: CPU where the process uses a core for 85 % of the time or more (one event loop is"
        " one core); sink where the sink does; requests where it mostly waits for those that may"
        " be in flight; else shared cores: client, sink and whatever else runs here want the same."
    ),
)


def growing(
    engine: str, cores: int, rounds: int, where: SinkEnvironment
) -> list[tuple[Invocation, TimedContender]]:
    """Measure events as they grow."""
    folder = Path(where.folder)
    events = [sqs(folder, RECORD_BYTES, most) for most in SIZES]
    events += [direct(folder, records) for records in LIST_SIZES]
    with ExitStack() as children:
        pairs = []
        for event in events:
            child = children.enter_context(event.child(engine, cores, where))
            pairs.append((event, event.contender(child, engine, cores, where)))
        interleave([contender for _, contender in pairs], rounds)
    return pairs


def growth_table(found: dict[tuple[str, int], list[tuple[Invocation, TimedContender]]]) -> Table:
    """Return CPU and wall a record."""
    rows = []
    for (engine, cores), pairs in found.items():
        for event, one in pairs:
            cpu_us = [cpu_s / event.records * 1e6 for cpu_s in one.cpu_s]
            spread = f"[{min(cpu_us):,.2f}..{max(cpu_us):,.2f}]"
            wall_us = median(one.wall_s) / event.records * 1e6
            rows.append((engine, cores, event.name, median(cpu_us), spread, wall_us))
    columns = ("engine", "cores", "event", "CPU us/record", "[low..high]", "wall us/record")
    return Table("As events grow", columns, rows)


def growth_ratios(
    found: dict[tuple[str, int], list[tuple[Invocation, TimedContender]]],
) -> list[Ratio]:
    """Hold the cost of a record in large events against that in small ones."""
    ratios = []
    for (engine, cores), pairs in found.items():
        for kind in ("sqs", "list"):
            group = [pair for pair in pairs if pair[0].name.startswith(kind)]
            for (less, first), (more, second) in itertools.pairwise(group):
                name = f"CPU per record: {more.name} over {less.name}, {engine}, cores: {cores}"
                over = [cpu_s / more.records for cpu_s in second.cpu_s]
                under = [cpu_s / less.records for cpu_s in first.cpu_s]
                ratios.append(ratio(name, over, under, at_most=FLAT))
    return ratios


def in_flight(
    engine: str, concurrency: int, delay_s: float, rounds: int, where: SinkEnvironment
) -> tuple[str | int | float, ...]:
    """Measure concurrent objects. Return a row of the table."""
    objects = max(LEAST_OBJECTS, min(MOST_OBJECTS, WAVES * concurrency))
    bucket = f"writer-{engine}-{concurrency}-{delay_s * 1e3:.0f}"
    given = (f"writer-{engine}", bucket, str(objects), str(concurrency))
    with Child("fanout_process.py", *given, env=where.env) as child:
        child.greeting()
        where.measure(bucket)
        child.ask(invocations=1)
        where.measure(bucket, delay_s)
        contender = TimedContender(engine, child, bucket)
        contender.warm_up(0)
        sink_s = -float(where.sink.ask()["cpu_s"])
        interleave([contender], rounds)
        sink_s += float(where.sink.ask()["cpu_s"])
    sink_share = sink_s / (sum(contender.wall_s) * contender.invocations)
    wall_s, cpu_s = median(contender.wall_s), median(contender.cpu_s)
    waves = -(-objects // concurrency)
    allowed_s = waves * delay_s
    if cpu_s / wall_s >= BUSY:
        limit = "CPU"
    elif sink_share >= BUSY:
        limit = "sink"
    else:
        limit = "requests" if concurrency == 1 or allowed_s >= wall_s / 2 else "shared cores"
    return (
        engine,
        round(delay_s * 1e3),
        concurrency,
        objects / wall_s,
        cpu_s / objects * 1e6,
        cpu_s / wall_s,
        sink_share,
        limit,
    )


def in_flight_table(
    engines: Sequence[str], rounds: int, where: SinkEnvironment, *, is_short: bool
) -> Table:
    """Measure all combinations of delay and requests in flight."""
    rows = [
        in_flight(engine, concurrency, delay_ms / 1e3, rounds, where)
        for engine in engines
        for delay_ms in (SHORT_DELAYS_MS if is_short else DELAYS_MS)
        for concurrency in (SHORT_CONCURRENCIES if is_short else CONCURRENCIES)
    ]
    columns = (
        "engine", "delay ms", "in flight", "objects/s", "CPU us/object", "cores used",
        "by the sink", "limit",
    )  # fmt: skip
    return Table("Objects of 16 KiB, with requests in flight", columns, rows)


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__, rounds=7, short_rounds=3)
    parser.add_argument("--only", choices=("events", "in-flight"), help="this part only")
    parser.add_argument("--cores", type=int, choices=CORES, help="this many only")
    options = parse_options(parser)
    setting = start()
    engines = [name for name in ("obstore", "aioboto3") if find_spec(name) is not None]
    result = Result("scaling", notes=list(NOTES))
    with sink_environment() as where:
        if options.only != "in-flight":
            found = {
                (engine, cores): growing(engine, cores, options.rounds, where)
                for engine in (engines[:1] if options.short else engines)
                for cores in ((options.cores,) if options.cores else CORES)
            }
            result.tables.append(growth_table(found))
            result.ratios += growth_ratios(found)
        if options.only != "events":
            rounds = min(options.rounds, 3)
            result.tables.append(in_flight_table(engines, rounds, where, is_short=options.short))
    finish(result, setting, options.json)


if __name__ == "__main__":
    main()
