"""Selecting: nothing that was asked for is hidden, given twice, or out of order."""

from __future__ import annotations

import asyncio
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.batching.router import Router
from batcher.keys.names import uuid7
from batcher.keys.parse import parse_key
from batcher.reading.catalog import Catalog
from batcher.reading.findings import Finding
from batcher.reading.read_objects import ReadObjects
from batcher.reading.selection import PartitionPattern, Selection
from batcher.reading.times import ALL_TIME, TimeRange
from batcher.records.chunk import NamingScheme, Origin
from batcher.settings import MAX_LINGER_S
from batcher.stores.base import ListEntry
from batcher.writing.object import object_key, object_name
from support.examples import make_batch, make_chunk, make_settings
from support.sample_bucket import (
    HOUR_S,
    ROOT,
    SETTINGS,
    SampleBucket,
    fresh_name,
    put,
    put_range,
    queue_name,
    stream_name,
)
from support.sample_bucket import key_of as key_at

LAYOUTS = [
    "dt={arrival:%Y-%m-%d}/hour={arrival:%H}",
    "dt={arrival:%Y-%m-%d}",
    "f={field:f}/dt={arrival:%Y-%m-%d}",
    "day={arrival:%Y%m%d}",
    "",
]
HOURS = st.integers(-30 * 4, 30 * 4).map(lambda quarter: HOUR_S + quarter * 900)
MOMENTS = st.one_of(HOURS, HOURS.map(lambda time_s: time_s - 0.001), st.sampled_from([-inf, inf]))
PARTITIONS = [
    "",
    "a=1",
    "a=2",
    "a=1/dt=2026-11-23",
    "dt=2026-11-23/a=1",
    *(f"dt=2026-11-{day}/hour={hour:02d}" for day in (22, 23) for hour in (0, 7, 23)),
]
PATTERNS = ["dt=2026-11-23", "a=1", "a=*", "hour=0*", "dt=*/a=1", "dt=2026-11-22/hour=23", "dt=*"]


@st.composite
def spans(draw: st.DrawFn) -> TimeRange:
    """Draw a time span that is not empty."""
    start_s, end_s = sorted((draw(MOMENTS), draw(MOMENTS)))
    return TimeRange(start_s, end_s) if start_s < end_s else ALL_TIME


@given(
    st.lists(HOURS, min_size=1, max_size=5),
    st.sampled_from(LAYOUTS),
    st.sampled_from(NamingScheme),
    st.booleans(),
    spans(),
    st.integers(0, 600),
    st.booleans(),
)
def test_an_object_with_a_record_of_the_span_is_never_hidden(  # noqa: PLR0913, PLR0917  # all there is to draw
    arrivals_s: list[float],
    layout: str,
    naming: NamingScheme,
    is_quarantine: bool,  # noqa: FBT001  # drawn
    span: TimeRange,
    delay_s: int,
    is_in_parts: bool,  # noqa: FBT001  # drawn
) -> None:
    """By the keys that batcher gives, for any layout; it is written a while after its last record.

    Of an upload in parts S3 has the time when it was opened, which is that of the first record.
    """
    arrivals_s = sorted(arrivals_s)
    chunk = make_chunk(
        *(b'{"f":1}' for _ in arrivals_s),
        origin=Origin("sqs", naming, "" if naming is NamingScheme.FRESH else "jobs"),
        positions=[str(n) for n in range(len(arrivals_s))],
        arrivals_s=arrivals_s,
    )
    chosen = make_settings(partition_by=layout, root=ROOT)
    for route, part in Router(chosen).route(chunk).chunks:
        batch = make_batch(
            part, "" if is_quarantine else route.partition, is_quarantine=is_quarantine
        )
        waited_ms = round((min(part.arrivals_s) + delay_s) * 1000)
        name = object_name(batch, batch.digest(), uuid7(waited_ms, 0, 0))
        key = object_key(batch, name, chosen)
        open_s = max(part.arrivals_s) - min(part.arrivals_s)
        is_streamed = is_in_parts and naming is NamingScheme.FRESH and open_s <= MAX_LINGER_S
        written_s = (min if is_streamed else max)(part.arrivals_s) + delay_s
        listed = ListEntry(key, 1, '"0123-2"' if is_streamed else '"0123"', written_s)
        selection = Selection(span, quarantine=is_quarantine)
        if any(span.start_s <= arrival_s < span.end_s for arrival_s in part.arrivals_s):
            assert selection.includes(parse_key(key, ROOT), listed)
            folders = route.partition.split("/")
            if not is_quarantine:
                assert all(
                    selection.may_include_below(folders[:n]) for n in range(len(folders) + 1)
                )


@given(st.integers(-48, 48), spans())
def test_of_the_default_layout_no_hour_is_taken_that_the_span_does_not_touch(
    hour: int, span: TimeRange
) -> None:
    """So choosing is exact to the hour."""
    start_s = HOUR_S + hour * 3_600
    day = 23 + (start_s - (HOUR_S - 7 * 3_600)) // 86_400
    key = key_at(stream_name(1), f"dt=2026-11-{day:02d}/hour={start_s // 3_600 % 24:02d}")
    is_touched = span.start_s < start_s + 3_600 and start_s < span.end_s
    is_taken = Selection(span).includes(parse_key(key, ROOT), ListEntry(key, 1, "", inf))
    assert is_taken == is_touched


@st.composite
def keys(draw: st.DrawFn) -> str:
    """Draw a key of ours, under any fanout and partition."""
    time_s, number = draw(HOURS), draw(st.integers(0, 3))
    names = [stream_name(number), queue_name(time_s, number), fresh_name(time_s, number)]
    fanout = draw(st.sampled_from([1, 2, 16, 64]))
    return key_at(draw(st.sampled_from(names)), draw(st.sampled_from(PARTITIONS)), fanout)


@settings(max_examples=300)
@given(
    st.lists(keys(), unique=True, max_size=25),
    spans(),
    st.none() | st.sampled_from(PATTERNS),
    st.booleans(),
)
def test_the_catalog_has_what_is_chosen_once_and_in_order(
    there: list[str],
    span: TimeRange,
    pattern: str | None,
    is_ordered: bool,  # noqa: FBT001  # drawn
) -> None:
    """Compared with looking at each object there is; no request is made twice."""
    selection = Selection(span, PartitionPattern.parse(pattern) if pattern else PartitionPattern())
    shelf = SampleBucket()
    told: list[Finding] = []

    async def find() -> list[list[tuple[object, ...]]]:
        for key in there:
            await put(shelf, key)
        catalog = Catalog(shelf, ROOT, selection, 3, told.append)
        groups = [group async for group in catalog.groups(ordered=is_ordered)]
        return [[found.sort_key for found in group] for group in groups]

    groups = asyncio.run(find())
    places = [place for group in groups for place in group]
    expected = [
        k for k in there if selection.includes(parse_key(k, ROOT), ListEntry(k, 1, "", 4e9))
    ]
    assert sorted(str(place[-1]) for place in places) == sorted(expected)
    if is_ordered:
        assert places == sorted(places)
    assert len(set(shelf.requests)) == len(shelf.requests)
    assert not told


RANGES = st.tuples(
    st.integers(0, 30),
    st.integers(0, 12),
    st.sampled_from(["a=1", "a=2"]),
    st.sampled_from([1, 16]),
)


@given(st.lists(RANGES, max_size=12, unique_by=lambda r: (r[0], r[2], r[3])), st.booleans())
def test_what_others_hold_is_left_out_and_every_record_is_given(
    ranges: list[tuple[int, int, str, int]],
    is_ordered: bool,  # noqa: FBT001  # drawn
) -> None:
    """Compared with looking at each pair: of those that hold the same, one is given."""
    shelf = SampleBucket()
    told: list[Finding] = []

    async def read() -> tuple[list[str], dict[str, list[bytes]]]:
        there: dict[str, tuple[str, int, int]] = {}
        for first, more, partition, fanout in ranges:
            key = await put_range(shelf, first, first + more, partition, fanout)
            there[key] = (partition, first, first + more)
        lines: dict[str, list[bytes]] = {"a=1": [], "a=2": []}
        given_keys = []
        objects = ReadObjects(
            shelf, SETTINGS, Selection(), ordered=is_ordered, on_finding=told.append
        )
        async with objects:
            async for found in objects:
                given_keys.append(found.key)
                lines[found.partition] += [line async for some in found for line in some]
        for partition, got in lines.items():
            held = {n for p, a, b in there.values() if p == partition for n in range(a, b + 1)}
            assert set(got) == {b"%d" % number for number in held}
        distinct = set(there.values())
        outer = {
            (p, a, b)
            for p, a, b in distinct
            if not any(
                (q, c, d) != (p, a, b) and q == p and c <= a and b <= d for q, c, d in distinct
            )
        }
        assert sorted(there[key] for key in given_keys) == sorted(outer)
        return given_keys, lines

    asyncio.run(read())
