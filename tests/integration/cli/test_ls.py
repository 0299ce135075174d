"""`batcher ls`: a line an object, across all salts, in the order of time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batcher.cli import main
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, ObjectStore, open_store
from batcher.tools.formatting import format_count
from support.output_schema import parse_lines
from support.sample_bucket import HOUR, HOUR_S, fresh_name, key_of, queue_name, stream_name

if TYPE_CHECKING:
    from support.s3_servers import Moto

QUEUE = key_of(queue_name(HOUR_S + 61.5)).removeprefix("r/")
STREAM = key_of(stream_name(5), fanout=64).removeprefix("r/")
FRESH = key_of(fresh_name(HOUR_S + 90_000), "customer=a", fanout=1).removeprefix("r/")
UNTIMED = key_of(stream_name(7), "customer=a").removeprefix("r/")
QUARANTINE = f"_quarantine/sqs/dt=2026-11-23/{queue_name(HOUR_S)}.ndjson.gz"
WRITTEN_S = HOUR_S + 172_800
KEYS = [UNTIMED, STREAM, QUEUE, FRESH]


async def fill(store: ObjectStore, root: str = "") -> None:
    """Write an object of each kind, of 3 bytes."""
    for key in (*KEYS, QUARANTINE):
        await store.put(f"{root}{key}", b"abc", ObjectAttributes())
    await store.aclose()


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Return a folder with an object of each kind, written two days after."""
    found = f"file://{tmp_path}"
    asyncio.run(fill(open_store(Settings(bucket=found))))
    for key in KEYS:
        os.utime(tmp_path / key, (WRITTEN_S, WRITTEN_S))
    return found


def test_a_line_has_time_size_and_key(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of time; what has none comes first."""
    assert main(["ls", place]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"-                                   3 {UNTIMED}",
        f"2026-11-23T07:00:00.000Z            3 {STREAM}",
        f"2026-11-23T07:01:01.500Z            3 {QUEUE}",
        f"2026-11-24T08:00:00.000Z            3 {FRESH}",
    ]
    assert printed.err == "batcher: 4 objects, 12 B\n"


def test_json_tells_all_that_is_known_of_an_object(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document a line."""
    assert main(["ls", place, "--json"]) == 0
    documents = parse_lines("ls", capsys.readouterr().out)
    assert [one["key"] for one in documents] == KEYS
    assert documents[1] == {
        "key": STREAM,
        "size_bytes": 3,
        "time": "2026-11-23T07:00:00.000Z",
        "arrived_from": "2026-11-23T07:00:00.000Z",
        "arrived_before": "2026-11-23T08:00:00.000Z",
        "written": "2026-11-25T07:00:00.000Z",
        "partition": HOUR,
        "stream": "orders",
        "shard": "shardId-000000000003",
    }
    assert (documents[0]["time"], documents[0]["arrived_from"]) == (None, None)


@pytest.mark.parametrize(
    ("flags", "keys"),
    [
        (["--since", "2026-11-23T08:00"], [UNTIMED, FRESH]),
        (["--since", "2026-11-25T08:00"], []),
        (["--until", "2026-11-23T07:01:01.500"], [UNTIMED, STREAM]),
        (["--since", "2026-11-23T07:01", "--until", "2026-11-23T07:02"], [UNTIMED, STREAM, QUEUE]),
        (["--partition", "customer=a"], [UNTIMED, FRESH]),
        (["--partition", "dt=2026-11-23/hour=0*"], [STREAM, QUEUE]),
        (["--quarantine"], [QUARANTINE]),
        (["--quarantine", "--partition", "sqs"], [QUARANTINE]),
    ],
)
def test_objects_are_chosen_by_time_and_partition(
    place: str, capsys: pytest.CaptureFixture[str], flags: list[str], keys: list[str]
) -> None:
    """And only those are counted; of a stream without a day only the latest time is known."""
    assert main(["ls", place, *flags]) == 0
    printed = capsys.readouterr()
    assert [line.split()[-1] for line in printed.out.splitlines()] == keys
    assert (format_count(len(keys), "object") if keys else "warning: no") in printed.err


def test_how_long_ago_is_counted_from_now(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By when it was written, where nothing else is known."""
    os.utime(tmp_path / UNTIMED)
    assert main(["ls", place, "--since", "2h", "--partition", "customer=a"]) == 0
    assert UNTIMED in capsys.readouterr().out


def test_nothing_is_a_warning(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A root that was mistyped looks so."""
    assert main(["ls", place, "--partition", "customer=b"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"warning: no objects found under {place}" in printed.err


def test_what_batcher_has_not_written_is_named_and_the_others_are_listed(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some by name, then a count."""
    for number in range(25):
        (tmp_path / f"{number}.csv").write_bytes(b"x")
    assert main(["ls", place]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(KEYS)
    assert "batcher: error: 0.csv: unknown suffix" in printed.err
    assert printed.err.count("error:") == 20
    assert "25 objects not written by batcher" in printed.err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["file://x", "--since", "soon"], "--since: cannot parse 'soon'"),
        (["file://x", "--partition", "a b"], "'a%20b'"),
        (["file://x", "--concurrency", "0"], "concurrency: 0"),
        (["gs://x"], "write s3://bucket/root, or the path of a folder"),
    ],
)
def test_wrong_usage_exits_2(
    flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says what is wrong."""
    assert main(["ls", *flags]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.usefixtures("engine")
def test_a_bucket_is_listed_within_its_root(
    moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a folder is."""
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    moto.create_bucket(bucket)
    asyncio.run(fill(open_store(Settings(bucket=bucket)), "events/"))
    moto.client.put_object(Bucket=bucket, Key="events2/x.csv", Body=b"")
    assert main(["ls", f"s3://{bucket}/events"]) == 0
    listed = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert listed == [f"events/{key}" for key in KEYS]
    assert main(["ls", f"s3://{bucket}-gone/events"]) == 1
    assert "create it, or correct `bucket`" in capsys.readouterr().err
