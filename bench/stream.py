"""Stream: what it costs to write a large file of lines to S3, and how much memory it takes.

Every contender is a program of its own, run to its end on the same file, in turn, round after
round, and on a file of half the size: the difference is what the bytes cost, without the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from body_decoder import combine_checksums
from line_files import MIB, Lines, write_lines
from measured_command import ProcessUsage, run
from report import Ratio, Result, Table, finish, make_parser, parse_options, ratio, start
from sink_environment import SinkEnvironment, sink_environment
from stream_commands import ENGINES, Stream, missing, peers, streams

CODECS = ("gzip", "zstd", "none")
FULL_MIB, SHORT_MIB = 1024, 128
LINES_TARGET, NDJSON_TARGET = 0.85, 0.7
BUDGET_BYTES = 256 * MIB
"""batcher's default."""
MEMORY_TARGET_MB = 120
REPEATS = 2
SIZE_TOLERANCE = 0.01
"""Stored bytes of a round may differ by this much from those proven: batches cut by time differ."""
NOTES = (
    "MB/CPU s: 10^6 bytes of text for each second of CPU, user and system, of all its processes.",
    "less its start: the same for what the file takes beyond one of half its size.",
    "floor: 1 MiB blocks through batcher's own codec into obstore's writer: no line is looked at.",
    "gzip and zstd at level 1; pyarrow's own gzip lets none be chosen (6).",
    (
        "peak: VmHWM, over all its processes. Every contender's text was decoded, its CRC-32"
        " and length held against the file's before it was measured."
    ),
)


@dataclass
class Series:
    """What one contender took, round by round."""

    stream: Stream
    stored_bytes: int
    large_bytes: int
    half_bytes: int
    large: list[ProcessUsage] = field(default_factory=list)
    half: list[ProcessUsage] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Runs that ended with an error, and were repeated."""

    def whole(self) -> list[float]:
        """Return MB of text a second of CPU, its start included."""
        return [self.large_bytes / 1e6 / took.cpu_s for took in self.large]

    def steady(self) -> list[float]:
        """Return MB of text a second of CPU for what is beyond its start."""
        more_mb = (self.large_bytes - self.half_bytes) / 1e6
        pairs = zip(self.large, self.half, strict=True)
        return [more_mb / max(1e-3, large.cpu_s - half.cpu_s) for large, half in pairs]

    def start_s(self) -> list[float]:
        """Return the CPU seconds that do not grow with the file."""
        pairs = zip(self.large, self.steady(), strict=True)
        return [took.cpu_s - self.large_bytes / 1e6 / steady for took, steady in pairs]


def prove(stream: Stream, lines: Lines, where: SinkEnvironment) -> int:
    """Run once, and hold the decoded text against the file; give the bytes that were stored.

    Raises:
        RuntimeError: it is not the file's text.
    """
    where.prove(stream.bucket)
    failure: RuntimeError | None = None
    try:
        run(stream.command(lines, stream.bucket), where.env)
    except RuntimeError as error:
        failure = error  # it may have written all the same: `measure` counts it
    try:
        return proven_bytes(where.objects(stream.bucket), lines)
    except RuntimeError as error:
        raise (failure or error) from None


def proven_bytes(objects: Mapping[str, Mapping[str, Any]], lines: Lines) -> int:
    """Hold what the sink has decoded against the file; give the bytes that are stored.

    Raises:
        RuntimeError: it is not the file's text.
    """
    # Names of batcher's objects sort as the lines they hold; others' are stored in their order
    is_ours = all(key.startswith("events/") for key in objects)
    names = sorted(objects, key=lambda key: key.rpartition("/")[2]) if is_ours else list(objects)
    text = combine_checksums([(objects[n]["text_crc32"], objects[n]["text_bytes"]) for n in names])
    if text != (lines.crc32, lines.size_bytes):
        msg = f"wrote CRC-32 and length {text}, not {lines.crc32, lines.size_bytes}"
        raise RuntimeError(msg)
    return sum(int(one["size_bytes"]) for one in objects.values())


def proven(
    candidates: Iterable[Stream], large: Lines, half: Lines, where: SinkEnvironment
) -> tuple[list[Series], list[str]]:
    """Prove all; give those that are to be measured, and notes on peers that are left out.

    Raises:
        RuntimeError: batcher or the floor did not write the file's text.
    """
    found: list[Series] = []
    left_out: list[str] = []
    for stream in candidates:
        try:
            stored_bytes = prove(stream, large, where)
        except RuntimeError as error:
            if stream.is_ours:
                raise
            left_out.append(f"left out: {stream.name}, {stream.codec}: {error!s:.200}")
        else:
            found.append(Series(stream, stored_bytes, large.size_bytes, half.size_bytes))
    return found, left_out


def measure(series: Series, large: Lines, half: Lines, where: SinkEnvironment) -> None:
    """Run one round of one contender.

    Raises:
        RuntimeError: it did not store as much as it did when it was proven.
    """
    stream = series.stream
    series.half.append(_run(series, half, where))
    series.large.append(_run(series, large, where))
    stored_bytes = sum(int(one["size_bytes"]) for one in where.objects(stream.bucket).values())
    if abs(stored_bytes - series.stored_bytes) > SIZE_TOLERANCE * series.stored_bytes:
        msg = f"{stream.name} {stream.codec}: stored {stored_bytes}, not {series.stored_bytes}"
        raise RuntimeError(msg)


def _run(series: Series, lines: Lines, where: SinkEnvironment) -> ProcessUsage:
    """Run once; a program that fails may do so once more, which is noted."""
    stream = series.stream
    command = stream.command(lines, stream.bucket)
    for _ in range(REPEATS):
        where.measure(stream.bucket)
        try:
            return run(command, where.env)
        except RuntimeError as error:
            series.failures.append(str(error).partition(":")[0])
    where.measure(stream.bucket)
    return run(command, where.env)


def table(found: Sequence[Series], size_bytes: int) -> Table:
    """Return what each contender took."""
    rows = []
    for one in found:
        steady, whole = one.steady(), one.whole()
        wall_s = median(took.wall_s for took in one.large)
        rows.append(
            (
                one.stream.codec,
                one.stream.name,
                median(whole),
                f"[{min(whole):,.0f}..{max(whole):,.0f}]",
                median(steady),
                size_bytes / 1e6 / wall_s,
                median(one.start_s()),
                max(took.peak_bytes for took in one.large) / 1e6,
                size_bytes / one.stored_bytes,
            )
        )
    columns = (
        "codec", "contender", "MB/CPU s", "[low..high]", "less its start", "MB/s", "start, CPU s",
        "peak MB", "ratio",
    )  # fmt: skip
    return Table(f"{size_bytes / 1e6:,.0f} MB of NDJSON into S3", columns, rows)


def ratios(found: Sequence[Series]) -> list[Ratio]:
    """Hold batcher against the floor, and its memory against its budget."""
    by_name = {(one.stream.codec, one.stream.name): one for one in found}
    results = []
    for codec in dict.fromkeys(one.stream.codec for one in found):
        floor = by_name.get((codec, "floor"))
        for engine in ENGINES:
            for format_, target in (("lines", LINES_TARGET), ("ndjson", NDJSON_TARGET)):
                ours = by_name.get((codec, f"batcher {format_} {engine}"))
                if ours is None or floor is None:
                    continue
                name = f"MB/CPU s over the floor: {format_}, {codec}, {engine}"
                for what, over, under in (
                    ("whole", ours.whole(), floor.whole()),
                    ("less start", ours.steady(), floor.steady()),
                ):
                    results.append(ratio(f"{name}, {what}", over, under, at_least=target))
    for one in found:
        if one.stream.name.startswith("batcher"):
            over_mb = [(took.peak_bytes - BUDGET_BYTES) / 1e6 for took in one.large]
            name = f"peak MB beyond budget_bytes: {one.stream.name}, {one.stream.codec}"
            ones = [1.0] * len(over_mb)
            results.append(ratio(name, over_mb, ones, at_most=MEMORY_TARGET_MB))
    return results


def is_selected(name: str, only: str | None) -> bool:
    """Return whether a contender is to run; the floor always is."""
    return not only or name == "floor" or only in name


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__, rounds=3, short_rounds=2)
    parser.add_argument("--mib", type=int, help=f"size (default {FULL_MIB}, short {SHORT_MIB})")
    parser.add_argument("--codec", choices=CODECS, help="this one only")
    parser.add_argument("--only", metavar="TEXT", help="contenders whose name has this, and floor")
    options = parse_options(parser)
    setting = start()
    size_mib = options.mib or (SHORT_MIB if options.short else FULL_MIB)
    found: list[Series] = []
    result = Result("stream", notes=[*NOTES, peers(), *missing()])
    with sink_environment() as where:
        large = write_lines(where.folder / "large.ndjson", size_mib * MIB)
        half = write_lines(where.folder / "half.ndjson", size_mib * MIB // 2)
        for codec in (options.codec,) if options.codec else CODECS:
            candidates = streams(codec, is_short=options.short)
            group, left_out = proven(
                (one for one in candidates if is_selected(one.name, options.only)),
                large,
                half,
                where,
            )
            result.notes += left_out
            for number in range(options.rounds):
                turn = number % max(1, len(group))
                for one in group[turn:] + group[:turn]:
                    measure(one, large, half, where)
            found += group
    result.tables.append(table(found, large.size_bytes))
    result.ratios += ratios(found)
    result.notes += [
        f"FAILED and repeated: {one.stream.name}, {one.stream.codec}: {', '.join(one.failures)}"
        for one in found
        if one.failures
    ]
    finish(result, setting, options.json)


if __name__ == "__main__":
    main()
