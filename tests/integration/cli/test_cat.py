"""`batcher cat`: all records are printed, with `--ordered` in order; exit codes and errors."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd

from batcher.batcher import Batcher
from batcher.cli import main
from batcher.handler import make_handler
from batcher.settings import Settings
from batcher.settings.types import CompressionName
from batcher.stores import ObjectAttributes
from batcher.stores.base import ListEntry
from batcher.stores.file import FileStore
from batcher.stores.file_reader import FileReader
from support.examples import dynamodb_record, kinesis_record, message
from support.fakes import FakeClock
from support.sample_bucket import HOUR_S, key_of, queue_name, stream_name

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS
from support.store_fixtures import READERS

MIDNIGHT_S = HOUR_S - 7 * 3_600
Output = pytest.CaptureFixture[bytes]


def plant(folder: Path, number: int, text: bytes, body: bytes | None = None) -> str:
    """Write an object of a queue, the n-th in time, and return its key."""
    key = key_of(queue_name(HOUR_S + number)).removeprefix("r/")
    found = gzip.compress(text, mtime=0) if body is None else body
    asyncio.run(FileStore(folder).put(key, found, ObjectAttributes()))
    return key


def plant_range(folder: Path, first: int, last: int) -> str:
    """Write an object of a stream and return its key."""
    key = key_of(stream_name(first)).removeprefix("r/")
    text = b"".join(b"%d\n" % number for number in range(first, last + 1))
    attributes = ObjectAttributes(metadata={"batcher-first": str(first), "batcher-last": str(last)})
    asyncio.run(FileStore(folder).put(key, gzip.compress(text, mtime=0), attributes))
    return key


async def write_day(settings: Settings) -> list[bytes]:
    """Write a day of records through the library, and return them in the order of arrival."""
    clock = FakeClock(float(MIDNIGHT_S))
    records = []
    async with Batcher(settings, wall_clock=clock) as batcher:
        for minute in range(0, 24 * 60, 10):
            clock.now_s = MIDNIGHT_S + 60.0 * minute
            part = [b'{"minute":%d,"n":%d}' % (minute, n) for n in range(50)]
            records += part
            await batcher.submit_many(part)
            await batcher.flush()
    return records


@pytest.fixture(params=["folder", *READERS])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return the URL of an empty root, in a folder and in a bucket that each engine reads."""
    if request.param == "folder":
        return f"file://{tmp_path}/out"
    server: SeaweedFS = request.getfixturevalue("seaweedfs")
    server.create_bucket(bucket)
    for name, value in {**server.environ, "BATCHER_ENGINE": request.param}.items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/events"


def settings_of(place: str, **chosen: Any) -> Settings:  # noqa: ANN401  # as Settings takes them
    """Return the settings that write there."""
    scheme, _, rest = place.partition("://")
    bucket, _, root = rest.partition("/")
    if scheme == "file":
        bucket, root = place, ""
    return Settings(bucket=bucket, root=root, **chosen)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_day_that_was_written_comes_back(
    place: str, compression: str, capfdbinary: Output
) -> None:
    """Over 16 salts: as a whole, in order, and by the hour."""
    settings = settings_of(place, fanout=16, compression=compression)
    records = asyncio.run(write_day(settings))
    capfdbinary.readouterr()
    assert main(["cat", place]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out.endswith(b"\n")
    assert sorted(printed.out.splitlines()) == sorted(records)
    assert printed.err == b""
    assert main(["cat", place, "--ordered"]) == 0
    assert capfdbinary.readouterr().out.splitlines() == records
    span = ["--since", "2026-11-23T07:00", "--until", "2026-11-23T09:00"]
    assert main(["cat", place, "--ordered", *span]) == 0
    assert capfdbinary.readouterr().out.splitlines() == records[7 * 300 : 9 * 300]
    assert main(["cat", place, "--ordered", "--partition", "hour=23", "--limit", "120"]) == 0
    assert capfdbinary.readouterr().out.splitlines() == records[23 * 300 :][:120]


def test_what_the_handler_writes_comes_back_whatever_the_fanout_was(
    place: str, capfdbinary: Output
) -> None:
    """Of a stream, in the order of its numbers; bad records are in quarantine."""
    payloads = []
    for start, fanout in [(0, 1), (10, 16), (20, 64), (30, 1)]:
        with closing(make_handler(settings_of(place, fanout=fanout))) as handle:
            for first in range(start, start + 10, 5):
                part = [b'{"n":%d}' % number for number in range(first, first + 5)]
                payloads += part
                records = [kinesis_record(str(first + 100 + n), p) for n, p in enumerate(part)]
                handle({"Records": [*records, kinesis_record(str(first + 500), b"bad")]}, None)
            handle({"Records": [message(f"m{start}", '{"queue":1}')]}, None)
    capfdbinary.readouterr()
    assert main(["cat", place, "--ordered", "--all"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert [line for line in lines if b"queue" not in line] == payloads
    assert lines.count(b'{"queue":1}') == 4
    assert main(["cat", place, "--quarantine"]) == 0
    quarantined = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["payload"] for line in quarantined] == ["bad"] * 8


def test_covered_objects_are_left_out_and_counted(tmp_path: Path, capfdbinary: Output) -> None:
    """Partial overlaps are given and named; `--all` gives everything."""
    plant_range(tmp_path, 1, 9)
    plant_range(tmp_path, 2, 8)
    later = plant_range(tmp_path, 9, 12)
    numbers = [*range(1, 10), *range(9, 13)]
    assert main(["cat", f"file://{tmp_path}", "--ordered"]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == b"".join(b"%d\n" % n for n in numbers)
    assert f"warning: {later}: 9 to 12 overlaps 1 to 9 of".encode() in printed.err
    assert b"1 object left out, because other objects hold all their records" in printed.err
    assert main(["cat", f"file://{tmp_path}", "--all"]) == 0
    printed = capfdbinary.readouterr()
    assert len(printed.out.splitlines()) == len(numbers) + 7
    assert printed.err == b""


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("source", [kinesis_record, dynamodb_record])
def test_deliveries_in_any_cut_give_each_record_once(
    tmp_path: Path,
    capfdbinary: Output,
    source: Callable[..., dict[str, Any]],
    compression: CompressionName,
) -> None:
    """Data and quarantine, also if a transform leaves records out. `--all` gives everything."""

    def transform(payload: bytes) -> bytes | None:
        number = int(re.findall(rb'"N":"(\d+)"', payload)[0])
        if number % 5 == 0:
            raise ValueError(number)
        return None if number % 7 == 0 else b"%d" % number

    place = f"file://{tmp_path}"
    settings = Settings(bucket=place, compression=compression)
    everything = [number**2 for number in range(1, 900)]
    with closing(make_handler(settings, transform=transform)) as handle:
        for cut in (everything[:500], everything[10:30], everything[400:], everything[300:450:2]):
            records = [source(str(number)) for number in cut]
            for record, number in zip(records, cut, strict=True):
                if source is kinesis_record:
                    record["kinesis"]["data"] = b64encode(b'{"N":"%d"}' % number).decode()
            assert handle({"Records": records}, None) == {"batchItemFailures": []}
    capfdbinary.readouterr()
    good = [n for n in everything if n % 5 and n % 7]
    assert main(["cat", place]) == 0
    printed = capfdbinary.readouterr()
    assert sorted(map(int, printed.out.split())) == good
    assert printed.err.count(b"\n") == 2  # covered, and without some lines
    assert main(["cat", place, "--all"]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) > len(good)
    assert main(["cat", place, "--quarantine"]) == 0
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert sorted(int(line["position"]) for line in lines) == [n for n in everything if not n % 5]


def test_objects_that_cannot_be_read_are_named_and_the_others_are_given(
    tmp_path: Path, capfdbinary: Output
) -> None:
    """With whole lines only, up to the damage."""
    bodies = [
        gzip.compress(b"1\n", mtime=0) + gzip.compress(b"2\n", mtime=0)[:-3],
        zstd.compress(b"no gzip\n"),
        gzip.compress(b"3\nhalf a li", mtime=0),
    ]
    keys = [plant(tmp_path, number, b"", body) for number, body in enumerate(bodies)]
    plant(tmp_path, 9, b"9\n")
    (tmp_path / "notes.txt").write_text("x")
    assert main(["cat", f"file://{tmp_path}", "--ordered"]) == 1
    printed = capfdbinary.readouterr()
    assert printed.out == b"1\n2\n3\n9\n"
    assert printed.err.count(b"error: ") == 4
    for key in (*keys, "notes.txt"):
        assert f"error: {key}: ".encode() in printed.err


def test_an_object_that_is_gone_meanwhile_is_named(
    tmp_path: Path, capfdbinary: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lifecycle rule may run while we read."""
    gone, _ = plant(tmp_path, 0, b"0\n"), plant(tmp_path, 1, b"1\n")
    list_objects = FileReader.list_objects

    async def list_and_delete(self: FileReader, prefix: str) -> AsyncIterator[ListEntry]:
        async for listed in list_objects(self, prefix):
            yield listed
            if listed.key == gone:
                await asyncio.to_thread((tmp_path / gone).unlink)

    monkeypatch.setattr(FileReader, "list_objects", list_and_delete)
    assert main(["cat", f"file://{tmp_path}"]) == 1
    printed = capfdbinary.readouterr()
    assert printed.out == b"1\n"
    assert f"error: {gone}: there is no such object".encode() in printed.err


@pytest.mark.parametrize(("limit", "records"), [(0, 0), (1, 1), (3, 3), (4, 4), (9, 9), (10, 9)])
def test_a_limit_stops_after_so_many_records(
    tmp_path: Path, capfdbinary: Output, limit: int, records: int
) -> None:
    """Also at the end of an object; a carriage return ends no record."""
    for number in range(3):
        plant(tmp_path, number, b"a\r\nb\r\nc\r\n")
    assert main(["cat", f"file://{tmp_path}", "--limit", str(limit)]) == 0
    assert capfdbinary.readouterr().out == (b"a\r\nb\r\nc\r\n" * 3)[: 3 * records]


def test_a_line_longer_than_any_record_may_be_is_damage(
    tmp_path: Path, capfdbinary: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the setting that bounds records."""
    plant(tmp_path, 0, b"1\n" + b"x" * 3_000_000 + b"\n")
    plant(tmp_path, 1, b"2\n")
    monkeypatch.setenv("BATCHER_MAX_BYTES", "1MiB")
    assert main(["cat", f"file://{tmp_path}", "--ordered"]) == 1
    printed = capfdbinary.readouterr()
    assert printed.out == b"1\n2\n"
    assert b"line 2 is longer than 1048576 bytes" in printed.err


def test_nothing_is_a_warning(tmp_path: Path, capfdbinary: Output) -> None:
    """Nothing has been written yet."""
    assert main(["cat", f"file://{tmp_path}"]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == b""
    assert b"warning: no objects found under file://" in printed.err


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["file://x", "--limit", "many"], b"limit: 'many' is not a number of records"),
        (["file://x", "--limit", "-1"], b"limit: '-1' is not a number of records"),
        (["file://x", "--until", "later"], b"until: cannot parse 'later'"),
        (["s3://"], b"write s3://bucket/root"),
    ],
)
def test_wrong_usage_exits_2(flags: list[str], expected: bytes, capfdbinary: Output) -> None:
    """And says what is wrong."""
    assert main(["cat", *flags]) == 2
    assert expected in capfdbinary.readouterr().err


@pytest.mark.parametrize("command", ["cat", "ls"])
def test_every_fault_is_in_the_one_message(command: str, capfdbinary: Output) -> None:
    """Those of the destination, of the settings, and of what only this command knows."""
    flags = ["--since", "yesterday", "--until", "5x", "--partition", "a=1//b", "--concurrency", "0"]
    flags += ["--limit", "x"] if command == "cat" else []
    assert main([command, "gs://x", *flags]) == 2
    printed = capfdbinary.readouterr().err
    for name in ("PLACE", *flags[::2]):
        assert f"\n  - {name}: ".encode() in printed


class CatProcess:
    """`batcher cat` in a process whose output is read by the test."""

    def __init__(self, folder: Path, *flags: str) -> None:
        """Start the process."""
        command = [sys.executable, "-m", "batcher", "cat", f"file://{folder}", *flags]
        self.process = subprocess.Popen(  # noqa: S603  # our own command
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        """Kill the process if it still runs."""
        self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        self.process.wait()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a folder with more text than the buffer of a pipe holds."""
    line = random.Random(0).randbytes(50).hex().encode()  # noqa: S311  # no secret
    for number in range(20):
        plant(tmp_path, number, (line + b"\n") * 20_000)
    return tmp_path


@pytest.mark.parametrize("flags", [[], ["--ordered"]])
def test_a_pipe_that_somebody_has_closed_ends_it_without_a_word(
    large: Path, flags: list[str]
) -> None:
    """As `| head` does; the code is that of any program that the signal has killed."""
    with CatProcess(large, *flags) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.readline()) == 101
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_ctrl_c_ends_it_at_the_end_of_a_line(
    large: Path, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was written so far."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with CatProcess(large) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(30) == 130
        assert rest.endswith(b"\n")
        assert set(rest.splitlines(keepends=True)) == {first}
        assert len(rest) < 20 * 20_000 * 101
        assert process.stderr.read() == b"batcher: stopped before the end\n"
