"""Verdicts: the figures of the throughput bench as tables, and its ratios against their targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from contenders import CODECS, ENGINES, LEVELS
from report import Bar, Chart, Ratio, Result, Table, ratio
from throughput_case import Case, Series

FLOOR_TARGETS = {
    Case("sqs", 1024): 1.15,
    Case("sqs", 200): 1.4,
    Case("kinesis", 1024): 1.25,
    Case("kinesis", 200): 1.4,
}
"""Of the first engine with zstd: at most this many times the minimal handler."""
PEER_TARGETS = {
    "boto3-each": ("boto3, one PUT per record", 400.0),
    "boto3-gzip": ("boto3 gzip", 18.0),
    "powertools-gzip": ("Powertools gzip", 18.0),
    "expert": ("careful aiobotocore batcher", 1.0),
}
"""At least this many times the handler, on full events of 1 KiB records and of smaller ones."""
SMALL_EVENT, SMALL_EVENT_TARGET = 100, 2.5
"""Records of a small event, and what the careful batcher takes of it, at least."""
LARGE_RECORD_BYTES = 20 * 1024
SLOW_SINK = 0.5

NOTES = (
    "CPU: user and system time of the client process, all threads; parsing the event is not in it",
    "[low..high]: the fastest and the slowest round; MB: 10^6 payload bytes, uncompressed",
    "peak: VmHWM of the client process, the event (its JSON and its dicts) included",
    "proven: the records, of all; key, digest, checksum and condition, of those of the same work",
)


def judge(series: Sequence[Series]) -> Result:
    """Return all tables, ratios and charts."""
    result = Result("throughput", [_figures(series), _left_out(series)])
    for case in dict.fromkeys(one.case for one in series):
        own = {(s.entry.contender, s.entry.codec): s for s in series if s.case == case}
        result.ratios += _ratios(case, own)
        result.charts.append(_chart(case, list(own.values())))
    result.notes += [*NOTES, _about_the_sink(series)]
    return result


def _figures(series: Sequence[Series]) -> Table:
    columns = (
        "event", "contender", "CPU us/record", "[low..high]", "records/CPU s", "records/s",
        "MB/CPU s", "MB/s", "ratio", "peak MB", "sink", "records", "rounds",
    )  # fmt: skip
    rows = []
    for one in series:
        cpu_us, wall_us = median(one.cpu_us), median(one.wall_us)
        event_bytes = one.event_records * one.case.record_bytes
        rows.append(
            (
                one.case.name,
                one.entry.label,
                cpu_us,
                f"[{min(one.cpu_us):,.2f}..{max(one.cpu_us):,.2f}]",
                round(1e6 / cpu_us),
                round(1e6 / wall_us),
                one.case.record_bytes / cpu_us,
                one.case.record_bytes / wall_us,
                event_bytes / one.object_bytes,
                round(one.peak_bytes / 1e6),
                f"{median(one.sink_share):.0%}",
                one.event_records,
                f"{len(one.cpu_us)} x {one.invocations}",
            )
        )
    return Table("What each contender took", columns, rows)


def _left_out(series: Sequence[Series]) -> Table:
    rows = dict.fromkeys((s.entry.label, s.entry.less) for s in series if s.entry.less)
    return Table("Who does less than batcher's handler", ("contender", "leaves out"), list(rows))


def _ratios(case: Case, own: dict[tuple[str, str], Series]) -> Iterator[Ratio]:
    """Compare within one case; what has not taken part is passed over."""
    for engine in ENGINES:
        is_judged = engine == ENGINES[0]
        for codec in CODECS:
            ours = own.get((f"handler-{engine}", codec))
            if ours is None:
                continue
            setting = f"{case.name}, {LEVELS[codec]}: "
            if (floor := own.get(("floor", codec))) is not None:
                most = FLOOR_TARGETS.get(case) if is_judged and codec == "zstd" else None
                name = f"{setting}handler {engine} / minimal handler"
                yield ratio(name, ours.cpu_us, floor.cpu_us, at_most=most)
            for (contender, _), peer in own.items():
                if contender not in PEER_TARGETS or codec == "none":
                    continue
                if contender == "expert" and codec != peer.entry.codec:
                    continue
                if contender != "expert" and not is_judged:
                    continue
                label = PEER_TARGETS[contender][0]
                least = _peer_target(contender, case) if is_judged else None
                name = f"{setting}{label} / handler {engine}"
                yield ratio(name, peer.cpu_us, ours.cpu_us, at_least=least)


def _peer_target(contender: str, case: Case) -> float | None:
    if contender == "expert" and case.most_records == SMALL_EVENT:
        return SMALL_EVENT_TARGET
    is_full = case == Case(case.source, case.record_bytes)
    if contender == "expert":
        return PEER_TARGETS[contender][1] if is_full else None
    if not is_full or case.record_bytes >= LARGE_RECORD_BYTES:
        return None  # there compression is nearly all that anybody does
    return PEER_TARGETS[contender][1]


def _chart(case: Case, series: Sequence[Series]) -> Chart:
    bars = [
        Bar(one.entry.label, median(one.cpu_us), min(one.cpu_us), max(one.cpu_us)) for one in series
    ]
    name = "throughput-" + case.name.lower().replace(" ", "-")
    title = f"CPU per record: {case.name}, {series[0].event_records:,} records per event"
    return Chart(name, title, "µs of CPU per record", bars, is_log=True)


def _about_the_sink(series: Sequence[Series]) -> str:
    """Return whether wall times are the sink's rather than the client's."""
    busiest = max(series, key=lambda one: median(one.sink_share))
    share = median(busiest.sink_share)
    note = (
        f"sink: its CPU over the wall time; at most {share:.0%}, under {busiest.entry.label} on "
        f"{busiest.case.name}"
    )
    is_slow = share > SLOW_SINK
    return note + (": records/s there are the sink's limit, CPU is not" if is_slow else "")
