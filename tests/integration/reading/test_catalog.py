"""Catalog: which objects are listed under all salts, in which order, by which requests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batcher.errors import RejectedError
from batcher.reading.catalog import MAX_EXPLORED_FOLDERS, UNDATED_GROUP_OBJECTS, Catalog
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.selection import parse_selection
from batcher.reading.times import TimeInput
from batcher.stores import ObjectAttributes
from support.sample_bucket import (
    HOUR_S,
    ROOT,
    SampleBucket,
    fresh_name,
    key_of,
    put,
    queue_name,
    stream_name,
)

DAY_S = 86_400


async def grouped(  # noqa: PLR0913  # what users choose
    sample_bucket: SampleBucket,
    since: TimeInput = None,
    until: TimeInput = None,
    partition: str | None = None,
    *,
    quarantine: bool = False,
    ordered: bool = True,
    findings: list[Finding] | None = None,
) -> list[list[str]]:
    """Return the keys that are found, in their groups."""
    reported: list[Finding] = [] if findings is None else findings
    selection = parse_selection(since, until, partition, quarantine=quarantine, now_s=HOUR_S)
    catalog = Catalog(sample_bucket, ROOT, selection, 4, reported.append)
    groups = [group async for group in catalog.groups(ordered=ordered)]
    assert all(groups)
    if findings is None:
        assert not reported
    return [[found.parsed_key.key for found in group] for group in groups]


async def found(
    sample_bucket: SampleBucket,
    since: TimeInput = None,
    until: TimeInput = None,
    partition: str | None = None,
    *,
    quarantine: bool = False,
) -> list[str]:
    """Return the keys that are found, in order."""
    groups = await grouped(sample_bucket, since, until, partition, quarantine=quarantine)
    return [key for group in groups for key in group]


def partition_of(time_s: float) -> str:
    """Return the default partition of a time."""
    return datetime.fromtimestamp(time_s, UTC).strftime("dt=%Y-%m-%d/hour=%H")


async def put_at(
    sample_bucket: SampleBucket, time_s: float, number: int = 0, fanout: int = 16
) -> str:
    """Write a queue's object of this time in its default partition; give its key."""
    name = queue_name(time_s, number)
    return await put(sample_bucket, key_of(name, partition_of(time_s), fanout))


async def put_year(sample_bucket: SampleBucket) -> None:
    """Write an object for each sixth hour of a year."""
    for hour in range(0, 24 * 365, 6):
        await put_at(sample_bucket, HOUR_S - 7 * 3_600 - hour * 3_600, hour)


async def test_an_empty_root_has_no_objects(sample_bucket: SampleBucket) -> None:
    """That is no error."""
    assert await grouped(sample_bucket) == []
    assert await grouped(sample_bucket, ordered=False) == []
    assert await found(sample_bucket, quarantine=True) == []


@pytest.mark.parametrize("ordered", [True, False])
async def test_objects_of_every_fanout_are_found(
    sample_bucket: SampleBucket,
    ordered: bool,  # noqa: FBT001  # a case
) -> None:
    """Salts are found by listing. Fanout 1 has none."""
    keys = []
    for number, fanout in enumerate([1, 16, 64, 1, 2, 65_536] * 4):
        keys.append(await put_at(sample_bucket, HOUR_S + number * 1_800, number, fanout))
    groups = await grouped(sample_bucket, ordered=ordered)
    assert [key for group in groups for key in group] == keys


@pytest.mark.parametrize("partition", ["", "customer=acme", "a/b", "0101x=1"])
@pytest.mark.parametrize("fanout", [1, 16])
async def test_any_layout_is_read(sample_bucket: SampleBucket, partition: str, fanout: int) -> None:
    """In the order of the times in the names."""
    times_s = [HOUR_S + 50_000 * number for number in range(9)]
    keys = [
        await put(sample_bucket, key_of(queue_name(time_s), partition, fanout))
        for time_s in times_s
    ]
    assert await found(sample_bucket) == keys
    unordered = await grouped(sample_bucket, ordered=False)
    assert sorted(key for group in unordered for key in group) == sorted(keys)


async def test_groups_are_days_in_the_order_of_time(sample_bucket: SampleBucket) -> None:
    """So the keys of one day are in memory at a time."""
    for hour in (30, 2, 1, 20, 50):
        await put_at(sample_bucket, HOUR_S + hour * 3_600)
    await put_at(sample_bucket, HOUR_S + 3_600, 1)
    groups = await grouped(sample_bucket)
    assert [len(group) for group in groups] == [3, 2, 1]
    keys = [key.partition("/dt=")[2] for group in groups for key in group]
    assert keys == sorted(keys)


async def test_objects_without_a_day_are_sorted_among_the_others(
    sample_bucket: SampleBucket,
) -> None:
    """After a change of `partition_by`. Stream objects without any time come first."""
    first = [await put(sample_bucket, key_of(stream_name(n), "customer=a")) for n in (5, 7)]
    keys = [
        await put_at(sample_bucket, HOUR_S),
        await put(sample_bucket, key_of(queue_name(HOUR_S + 60), "customer=a")),
        await put_at(sample_bucket, HOUR_S + 120),
        await put(sample_bucket, key_of(fresh_name(HOUR_S + DAY_S), "")),
        await put_at(sample_bucket, HOUR_S + DAY_S + 60),
    ]
    assert await found(sample_bucket) == [*first, *keys]


async def test_within_an_hour_stream_objects_are_sorted_by_shard_and_number(
    sample_bucket: SampleBucket,
) -> None:
    """Salts do not matter. Objects of queues and programs are sorted by time."""
    streams = [
        await put(sample_bucket, key_of(stream_name(number, shard)))
        for shard, number in [(1, 9), (1, 10), (1, 300), (2, 8), (2, 11)]
    ]
    timed = [
        await put(sample_bucket, key_of(queue_name(HOUR_S + 1))),
        await put(sample_bucket, key_of(fresh_name(HOUR_S + 2, 1))),
        await put(sample_bucket, key_of(fresh_name(HOUR_S + 2, 2))),
        await put(sample_bucket, key_of(fresh_name(HOUR_S + 2, 3))),
        await put(sample_bucket, key_of(queue_name(HOUR_S + 3))),
    ]
    assert await found(sample_bucket) == [*streams, *timed]


async def test_an_hour_is_read_without_listing_a_year(sample_bucket: SampleBucket) -> None:
    """Lists the root, each salt and its day, and the hour if it exists."""
    await put_year(sample_bucket)
    key = await put_at(sample_bucket, HOUR_S + 60)
    sample_bucket.requests.clear()
    assert await found(sample_bucket, "2026-11-23T07:00", "2026-11-23T08:00") == [key]
    assert sample_bucket.count("look r/") <= 1 + 16 + 16
    lists = [request for request in sample_bucket.requests if request.startswith("list ")]
    assert lists == [f"list {key[: key.index('/jobs')]}/"]


async def test_whole_days_are_listed_as_a_whole(sample_bucket: SampleBucket) -> None:
    """Only the days at the ends are explored."""
    await put_year(sample_bucket)
    sample_bucket.requests.clear()
    keys = await found(sample_bucket, "2026-11-10", "2026-11-12T12:00")
    assert len(keys) == 4 + 4 + 2
    assert not any("2026-11-09" in request for request in sample_bucket.requests)
    assert not any(
        request.endswith("dt=2026-11-12/")
        for request in sample_bucket.requests
        if "list" in request
    )
    assert sample_bucket.count("look r/") <= 1 + 16 + 16
    assert sample_bucket.count("list r/") <= len(keys)


async def test_a_full_read_takes_one_listing_per_salt_and_day(sample_bucket: SampleBucket) -> None:
    """The hours are not explored."""
    await put_year(sample_bucket)
    sample_bucket.requests.clear()
    assert len(await found(sample_bucket)) == 4 * 365
    assert sample_bucket.count("look r/") == 1 + 16
    assert sample_bucket.count("list r/") <= 16 * 365


async def test_only_folders_that_can_match_the_pattern_are_listed(
    sample_bucket: SampleBucket,
) -> None:
    """Nothing else is requested."""
    await put_year(sample_bucket)
    sample_bucket.requests.clear()
    assert len(await found(sample_bucket, partition="dt=2026-11-10/hour=*")) == 4
    assert sample_bucket.count("look r/") == 1 + 16
    assert {request[-14:-1] for request in sample_bucket.requests if "list" in request} == {
        "dt=2026-11-10"
    }
    assert len(await found(sample_bucket, partition="hour=06")) == 365
    assert len(await found(sample_bucket, "2026-11-01", "2026-11-03", "hour=06")) == 2


async def test_days_below_a_few_other_folders_are_found(sample_bucket: SampleBucket) -> None:
    """Folders without a time are explored, because days may be below them."""
    for customer in ("a", "b"):
        for day in range(1, 29):
            await put(
                sample_bucket, key_of(stream_name(day), f"customer={customer}/dt=2026-11-{day:02d}")
            )
    sample_bucket.requests.clear()
    keys = await found(sample_bucket, "2026-11-10", "2026-11-11")
    assert [key.partition("customer=")[2][:15] for key in keys] == [
        "a/dt=2026-11-10",
        "b/dt=2026-11-10",
    ]
    assert all(
        "dt=2026-11-10" in request for request in sample_bucket.requests if "list" in request
    )


@pytest.mark.parametrize("fanout", [1, 2])
async def test_below_many_other_folders_everything_is_listed(
    sample_bucket: SampleBucket, fanout: int
) -> None:
    """And selected by key. One request per customer would take longer for a million of them."""
    for number in range(2 * MAX_EXPLORED_FOLDERS + 50):
        day = "dt=2026-11-10" if number % 7 else "dt=2026-11-11"
        await put(sample_bucket, key_of(stream_name(number), f"customer={number}/{day}", fanout))
    await put(sample_bucket, f"r/_quarantine/sqs/dt=2026-11-11/{queue_name(HOUR_S)}.ndjson.gz")
    salted = "" if fanout == 1 else "0/"
    await put(sample_bucket, f"r/{salted}customer=1/dt=2026-11-10/not-ours-but-not-chosen.csv")
    sample_bucket.requests.clear()
    keys = await found(sample_bucket, "2026-11-11", "2026-11-12")
    assert len(keys) == (2 * MAX_EXPLORED_FOLDERS + 50 + 6) // 7
    assert len(sample_bucket.requests) == (5 if fanout == 2 else 2)


async def test_many_objects_directly_in_a_folder_are_listed_once(
    sample_bucket: SampleBucket,
) -> None:
    """They are not kept in memory while folders are explored."""
    keys = [
        await put(sample_bucket, key_of(queue_name(HOUR_S + n), "", fanout=1))
        for n in range(UNDATED_GROUP_OBJECTS + 9)
    ]
    assert await found(sample_bucket) == keys
    unordered = await grouped(sample_bucket, ordered=False)
    assert max(map(len, unordered)) <= UNDATED_GROUP_OBJECTS
    assert sorted(key for group in unordered for key in group) == sorted(keys)


async def test_a_streams_objects_of_a_partition_are_in_one_group(
    sample_bucket: SampleBucket,
) -> None:
    """Otherwise their ranges could not be compared. They are sorted even without `ordered`."""
    keys = [await put(sample_bucket, key_of(stream_name(n), "customer=a")) for n in range(50)]
    await put(sample_bucket, key_of(queue_name(HOUR_S), "customer=a"))
    groups = await grouped(sample_bucket, ordered=False)
    assert keys in groups


async def test_folders_with_an_underscore_are_ignored(sample_bucket: SampleBucket) -> None:
    """So are the folder markers of consoles. Neither is reported."""
    key = await put_at(sample_bucket, HOUR_S)
    await put(sample_bucket, f"r/_quarantine/sqs/dt=2026-11-23/{queue_name(HOUR_S)}.ndjson.gz")
    await put(sample_bucket, "r/_SUCCESS")
    await put(sample_bucket, "r/_other/x.csv")
    for folder in ("r/", "r/0101/", "r/0101/dt=2026-11-23/"):
        await sample_bucket.put(folder, b"", ObjectAttributes())
    assert await found(sample_bucket) == [key]


async def test_quarantine_is_found_by_source_and_date(sample_bucket: SampleBucket) -> None:
    """It may have records later than its date, so `since` uses the time it was written."""
    await put_at(sample_bucket, HOUR_S)
    keys = {}
    for source in ("kinesis", "sqs"):
        for day in (21, 22, 23):
            name = stream_name(day)
            key = f"r/_quarantine/{source}/dt=2026-11-{day}/{name}.ndjson.gz"
            keys[source, day] = await put(sample_bucket, key)
            sample_bucket.modified_s[key] = HOUR_S + (day - 23) * DAY_S
    assert sorted(await found(sample_bucket, quarantine=True)) == sorted(keys.values())
    assert await found(sample_bucket, partition="sqs/dt=2026-11-22", quarantine=True) == [
        keys["sqs", 22]
    ]
    assert sorted(await found(sample_bucket, "2026-11-22", quarantine=True)) == sorted(
        key for (_, day), key in keys.items() if day >= 22
    )
    sample_bucket.requests.clear()
    assert sorted(await found(sample_bucket, None, "2026-11-21T23:00", quarantine=True)) == sorted(
        key for (_, day), key in keys.items() if day == 21
    )
    assert not any("dt=2026-11-22" in request for request in sample_bucket.requests)


async def test_foreign_objects_are_reported_and_left_out(
    sample_bucket: SampleBucket,
) -> None:
    """If they are in folders that are listed."""
    key = await put_at(sample_bucket, HOUR_S)
    for foreign in ("r/report.csv", "r/0000/dt=2026-11-23/x.ndjson", "r/0000/dt=2026-11-22/y"):
        await put(sample_bucket, foreign)
    findings: list[Finding] = []
    assert await grouped(sample_bucket, findings=findings) == [[key]]
    assert {finding.kind for finding in findings} == {FindingKind.FOREIGN}
    assert sorted(finding.key for finding in findings) == [
        "r/0000/dt=2026-11-22/y",
        "r/0000/dt=2026-11-23/x.ndjson",
        "r/report.csv",
    ]
    findings.clear()
    assert await grouped(sample_bucket, partition="dt=2026-11-23", findings=findings) == [[key]]
    assert "r/0000/dt=2026-11-22/y" not in [finding.key for finding in findings]


async def test_a_foreign_object_is_reported_once(sample_bucket: SampleBucket) -> None:
    """Even if a folder was explored first and then listed as a whole."""
    for number in range(UNDATED_GROUP_OBJECTS + 1):
        await put(sample_bucket, key_of(queue_name(HOUR_S + number), "", fanout=1))
    await put(sample_bucket, "r/a.csv")
    await put(sample_bucket, "r/customer=a/b.csv")
    findings: list[Finding] = []
    await grouped(sample_bucket, findings=findings)
    assert [finding.key for finding in findings] == ["r/a.csv", "r/customer=a/b.csv"]


async def test_a_root_excludes_roots_that_start_with_its_name(sample_bucket: SampleBucket) -> None:
    """`r` is not `r2`."""
    key = await put_at(sample_bucket, HOUR_S)
    await put(sample_bucket, key.replace("r/", "r2/", 1))
    assert await found(sample_bucket) == [key]


@pytest.mark.parametrize("request_", ["look r/", "look r/1", "list r/1"])
async def test_a_failed_list_request_is_an_error(
    sample_bucket: SampleBucket, request_: str
) -> None:
    """For every kind of request. No task is left running."""
    for number in range(40):
        await put_at(sample_bucket, HOUR_S, number)
    sample_bucket.error_for = lambda request, _: (
        RejectedError("no") if request.startswith(request_) else None
    )
    with pytest.raises(RejectedError, match="no"):
        await found(sample_bucket)
