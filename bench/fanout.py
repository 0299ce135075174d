"""Fanout: what it costs to write many small objects at once, one a partition.

1 to 1,024 objects of 16 KiB, uncompressed, 16 requests in flight for every contender. batcher's
handler reads, checks and routes the records by a field; its writer begins where that is decided;
all others are given the same bodies, ready to be sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from child_process import Child
from interleave import TimedContender, interleave
from partitioned_events import OBJECT_RECORDS, make_partitioned_events
from report import Ratio, Result, Table, finish, make_parser, parse_options, ratio, start
from sink_environment import SinkEnvironment, sink_environment

OBJECTS = (1, 4, 16, 64, 256, 1024)
SHORT_OBJECTS = (1, 64)
TARGET_OBJECTS = 64
CONCURRENCY = 16
AIOBOTO3 = ("handler-aioboto3", "writer-aioboto3", "gather-aioboto3", "threads-boto3")
OBSTORE = ("handler-obstore", "writer-obstore", "gather-obstore")
WRITER_TARGET, WHOLE_TARGET = 1.2, 5.0
NOTES = (
    (
        "handler: batcher's Lambda handler on SQS messages, routed by {field:tenant}, from the"
        " event's dict on; from 256 objects on the event is larger than Lambda's 6 MB."
    ),
    "writer: batcher's writer on batches that are decided: join, name, digest, metadata, send.",
    (
        "gather: asyncio.gather over PUTs of bodies that are ready, behind a semaphore; obstore"
        " with batcher's own options, aioboto3 and boto3 with their defaults."
    ),
    "every contender's objects were held against the bodies by CRC-32 and length, in full.",
)


def prove(contender: TimedContender, objects: int, where: SinkEnvironment) -> None:
    """Invoke once, and hold every object against the bodies.

    Raises:
        RuntimeError: they are not the same.
    """
    where.prove(contender.bucket)
    contender.child.ask(invocations=1)
    found = where.objects(contender.bucket).values()
    sums = sorted((int(one["text_crc32"]), int(one["text_bytes"])) for one in found)
    if sums != make_partitioned_events(objects).sums():
        msg = f"{contender.name}: wrote {len(sums)} objects, which are not the {objects} bodies"
        raise RuntimeError(msg)
    where.measure(contender.bucket)


def measure(
    objects: int, names: Sequence[str], rounds: int, where: SinkEnvironment
) -> list[TimedContender]:
    """Measure all contenders on one number of objects."""
    with ExitStack() as children:
        contenders = []
        for name in names:
            bucket = f"{name}-{objects}"
            given = (name, bucket, str(objects), str(CONCURRENCY))
            child = children.enter_context(Child("fanout_process.py", *given, env=where.env))
            contenders.append(TimedContender(name, child, bucket))
        for contender in contenders:
            contender.child.greeting()
            prove(contender, objects, where)
            contender.warm_up()
        interleave(contenders, rounds)
    return contenders


def rows(objects: int, contenders: Sequence[TimedContender]) -> list[tuple[str | int | float, ...]]:
    """Return a line a contender."""
    found: list[tuple[str | int | float, ...]] = []
    for one in contenders:
        cpu_us = [cpu_s / objects * 1e6 for cpu_s in one.cpu_s]
        spread = f"[{min(cpu_us):,.0f}..{max(cpu_us):,.0f}]"
        wall_s = median(one.wall_s)
        found.append(
            (
                objects,
                one.name,
                median(cpu_us),
                spread,
                wall_s * 1e3,
                objects / wall_s,
                one.peak_bytes / 1e6,
            )
        )
    return found


def ratios(objects: int, contenders: Sequence[TimedContender]) -> list[Ratio]:
    """Compare CPU; the targets are for 64 objects."""
    cpu_s = {one.name: one.cpu_s for one in contenders}
    is_target = objects == TARGET_OBJECTS
    found = []
    for over, under, at_most, at_least in (
        ("writer-obstore", "gather-obstore", WRITER_TARGET, None),
        ("gather-aioboto3", "handler-obstore", None, WHOLE_TARGET),
        ("gather-aioboto3", "writer-obstore", None, None),
        ("handler-obstore", "gather-obstore", None, None),
        ("writer-aioboto3", "gather-aioboto3", None, None),
        ("threads-boto3", "handler-aioboto3", None, None),
    ):
        if over in cpu_s and under in cpu_s:
            name = f"{objects} objects: CPU of {over} over {under}"
            targets = {"at_most": at_most, "at_least": at_least} if is_target else {}
            found.append(ratio(name, cpu_s[over], cpu_s[under], **targets))
    return found


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__, rounds=7, short_rounds=3)
    parser.add_argument("--objects", type=int, action="append", help="this many only")
    options = parse_options(parser)
    setting = start()
    result = Result("fanout", notes=list(NOTES))
    lines: list[tuple[str | int | float, ...]] = []
    with sink_environment() as where:
        for objects in options.objects or (SHORT_OBJECTS if options.short else OBJECTS):
            contenders = measure(objects, (*OBSTORE, *AIOBOTO3), options.rounds, where)
            lines += rows(objects, contenders)
            result.ratios += ratios(objects, contenders)
    columns = (
        "objects", "contender", "CPU us/object", "[low..high]", "ms", "objects/s", "peak MB",
    )  # fmt: skip
    title = f"Objects of {OBJECT_RECORDS} KiB, {CONCURRENCY} requests in flight"
    result.tables.append(Table(title, columns, lines))
    finish(result, setting, options.json)


if __name__ == "__main__":
    main()
