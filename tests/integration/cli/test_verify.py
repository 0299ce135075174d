"""`batcher verify`: a clean place is clean, what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batcher.cli import main
from batcher.handler import make_handler
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, ObjectStore
from support.examples import described, dynamodb_record, fifo_message, kinesis_record, message
from support.planted_objects import KEY, TEXT, counted, plant, verify

if TYPE_CHECKING:
    from support.s3_servers import Moto, SeaweedFS


def test_what_batcher_wrote_is_clean_and_its_figures_are_right(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects, records, bytes, and quarantine by reason."""
    capsys.readouterr()
    code, report = verify(written, capsys)
    files = [path for path in written.rglob("*.gz") if ".meta" not in path.parts]
    assert code == 0
    assert report["fine"]
    assert (report["objects"], report["records"]) == (4, 1_000)
    assert report["quarantined_by_reason"] == {"not_json": 1, "too_deep": 1}
    assert report["quarantine_objects"] == 1
    assert report["size_bytes"] == sum(path.stat().st_size for path in files)
    assert report["text_bytes"] == sum(len(gzip.decompress(p.read_bytes())) for p in files)
    assert (counted(report), report["findings"], report["incomplete_metadata"]) == ({}, [], 0)


def test_tables_tell_what_is_there_and_what_is_wrong(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Aligned text, where no terminal is."""
    plant(written, "notes.csv", b"x")
    capsys.readouterr()
    assert main(["verify", f"file://{written}"]) == 1
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "objects 4" in lines
    assert "records 1,000" in lines
    assert "program (library, command line) 4 1,000" in lines
    assert "not_json 1" in lines
    start = lines.index("foreign: not a key of batcher (1)")
    assert lines[start + 1] == "notes.csv"
    assert lines[start + 2].startswith("unknown suffix")
    assert lines[-1] == "1 finding: 1 foreign"


def test_a_terminal_gets_the_same_in_tables(
    written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a bar on standard error, which is gone at the end."""
    capsys.readouterr()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["verify", f"file://{written}"]) == 0
    printed = capsys.readouterr().out
    assert "1,000" in printed
    assert "(library, command line)" in printed


def test_all_that_the_handler_writes_is_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every source, with its quarantine; each is told by stream and shard, or queue."""
    place = f"file://{tmp_path}"
    with closing(make_handler(Settings(bucket=place))) as handle:
        handle({"Records": [kinesis_record("5"), kinesis_record("9", b"bad")]}, None)
        handle({"Records": [dynamodb_record("7"), dynamodb_record("8", {"a": "\ud800"})]}, None)
        handle({"Records": [message("a"), message("b", "bad")]}, None)
        handle({"Records": [fifo_message("f", "77")]}, None)
        handle({"direct": 1}, None)
    code, report = verify(tmp_path, capsys)
    assert (code, counted(report)) == (0, {})
    held = [(s["stream"], s["shard"], s["first"], s["last"]) for s in report["streams"]]
    assert sorted(held, key=str) == sorted(
        [
            ("", "", None, None),
            ("my-queue", "", "1795417200000", "1795417200000"),
            ("orders.fifo", "", "77", "77"),
            ("Orders", "2026-11-23T06:48:05.899", "7", "7"),
            ("orders", "shardId-000000000003", "5", "5"),
        ],
        key=str,
    )
    assert report["quarantined_by_reason"] == {"not_json": 2, "not_utf8": 1}


def test_a_key_that_could_change_the_terminal_is_escaped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Foreign names may hold anything."""
    plant(folder, "\x1b[31mred", b"")
    assert main(["verify", f"file://{folder}"]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_nothing_is_clean_but_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing has been written yet, or a root was mistyped."""
    folder.mkdir()
    assert main(["verify", f"file://{folder}"]) == 0
    assert f"no objects found under file://{folder}" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script with a mistyped folder must not pass; nor is a file one."""
    assert main(["verify", f"file://{folder}", "--json"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, str(folder) in printed.err) == ("", True)
    folder.write_text("")
    assert main(["verify", f"file://{folder}"]) == 2


def test_an_empty_root_of_a_bucket_is_clean_but_told(
    moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bucket has no folders that could be missing."""
    moto.create_bucket(bucket)
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    assert main(["verify", f"s3://{bucket}/root", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["fine"] is True
    assert f"warning: no objects found under s3://{bucket}/root" in printed.err


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["s4://x"], ["file://x", "--concurrency", "0"], ["s3://"]]
)
def test_wrong_usage_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And says what is wrong."""
    assert main(["verify", *arguments]) == 2
    assert "wrong usage or settings:" in capsys.readouterr().err


def test_ctrl_c_ends_it_without_a_verdict(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read so far proves nothing."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    plant(folder, KEY, gzip.compress(TEXT, mtime=0), described(TEXT))
    monkeypatch.setattr("batcher.cli.verify.Verifier.run", interrupted)
    assert main(["verify", f"file://{folder}"]) == 130
    printed = capsys.readouterr()
    assert "stopped" in printed.err
    assert printed.out == ""


async def _fill(store: ObjectStore) -> None:
    await store.put(
        f"root/{KEY}", gzip.compress(TEXT, mtime=0), ObjectAttributes(metadata=described(TEXT))
    )
    await store.put("root2/x.csv", b"", ObjectAttributes())
    await store.create_upload("root/big.ndjson.gz", ObjectAttributes(), part_bytes=MIN_PART_BYTES)


@pytest.mark.usefixtures("engine")
def test_a_bucket_is_verified_as_a_folder_is(
    seaweedfs: SeaweedFS,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within the root alone; an upload that is open is found with its age."""
    from batcher.stores.s3.store import S3Store  # noqa: PLC0415  # half a second to import

    seaweedfs.create_bucket(bucket)
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)

    async def fill() -> None:
        store = S3Store(Settings(bucket=bucket))
        await _fill(store)
        await store.aclose()

    asyncio.run(fill())
    assert main(["verify", f"s3://{bucket}/root", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["objects"], report["records"]) == (1, 2)
    assert counted(report) == {"open_upload": 1}
    assert report["findings"][0]["key"] == "root/big.ndjson.gz"
    assert report["findings"][0]["detail"].startswith("open for ")
    assert main(["verify", f"s3://{bucket}-gone/root"]) == 1
    assert "create it, or correct `bucket`" in capsys.readouterr().err


@pytest.mark.usefixtures("engine")
def test_an_endpoint_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the SDK has tried some times."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert main(["verify", "s3://bucket/root"]) == 1
    printed = capsys.readouterr().err
    assert "cannot reach http://127.0.0.1:9" in printed
    assert "Traceback" not in printed
