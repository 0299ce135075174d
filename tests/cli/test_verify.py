"""`batcher verify`: each kind of finding is planted, found and named; a clean place is clean."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd

from batcher.cli import main
from batcher.handler import make_handler
from batcher.keys import salt
from batcher.parts import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores import About, ObjectStore, s3_reader
from batcher.stores.file import FileStore
from unit.examples import dynamodb_record, fifo_message, kinesis_record, message

if TYPE_CHECKING:
    from contract.servers import Moto, SeaweedFS

TEXT = b'{"a":1}\n{"b":2}\n'
FRESH = "019aaf5c-2f00-7000-8000-0123456789ab"
WRONG_SALT = "10"[int(salt(FRESH, 2))]
KEY = f"{salt(FRESH, 16)}/dt=2026-11-23/hour=07/{FRESH}.ndjson.gz"


def described(text: bytes, **changes: str) -> dict[str, str]:
    """Give the metadata of an object with this text."""
    known = {
        "records": str(text.count(b"\n")),
        "bytes": str(len(text)),
        "crc32": f"{zlib.crc32(text):08x}",
        "first": "x:1",
        "last": "x:2",
    }
    return {f"batcher-{field}": value for field, value in (known | changes).items()}


def plant(folder: Path, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
    """Write one object, with this metadata or none."""
    about = About("application/gzip", metadata or {})
    asyncio.run(FileStore(folder).put(key, body, about))


def plant_stream(folder: Path, first: int, last: int, partition: str = "p=1") -> str:
    """Write an object of a stream; give its key."""
    name = f"orders-shardId-000000000003-{first:064d}"
    key = f"{salt(name, 16)}/{partition}/{name}.ndjson.gz"
    metadata = described(TEXT, first=str(first), last=str(last))
    plant(folder, key, gzip.compress(TEXT, mtime=0), metadata)
    return key


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, Any]:
    """Run the command with `--json`; give its exit code and what it says."""
    code = main(["verify", f"file://{folder}", "--json", *flags])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def written(folder: Path, tmp_path: Path) -> Path:
    """Give a folder that `batcher write` has filled."""
    source = tmp_path / "in.ndjson"
    source.write_text("".join(f'{{"n":{n}}}\n' for n in range(1_000)) + "not json\n\n")
    assert main(["write", str(source), f"file://{folder}", "--max-records", "300"]) == 0
    return folder


def test_what_batcher_wrote_is_clean_and_its_figures_are_right(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects, records, bytes, and quarantine by reason."""
    capsys.readouterr()
    code, told = verify(written, capsys)
    files = [path for path in written.rglob("*.gz") if ".meta" not in path.parts]
    assert code == 0
    assert told["clean"]
    assert (told["objects"], told["records"]) == (4, 1_000)
    assert told["quarantined"] == {"empty": 1, "not_json": 1}
    assert told["quarantine_objects"] == 1
    assert told["bytes"] == sum(path.stat().st_size for path in files)
    assert told["text_bytes"] == sum(len(gzip.decompress(p.read_bytes())) for p in files)
    assert (told["findings"], told["found"], told["not_all_known"]) == ({}, [], 0)


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
    assert "foreign no name or place of batcher's 1" in lines
    assert any(
        line.startswith("foreign: notes.csv: no object of batcher's ends so") for line in lines
    )


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


def _cut(body: bytes) -> bytes:
    return body[:-5]


def _turn(body: bytes) -> bytes:
    return body[:20] + bytes([body[20] ^ 0xFF]) + body[21:]


@pytest.mark.parametrize(
    ("key", "body"),
    [
        (KEY, _cut(gzip.compress(TEXT, mtime=0))),
        (KEY, _turn(gzip.compress(TEXT * 9, mtime=0))),
        (KEY, TEXT),
        (KEY, b""),
        (KEY.replace(".gz", ".zst"), _cut(zstd.compress(TEXT))),
        (KEY.replace(".gz", ".zst"), gzip.compress(TEXT, mtime=0)),
        (KEY.replace(".gz", ""), TEXT[:-1]),
    ],
)
def test_a_damaged_object_is_found(
    written: Path, capsys: pytest.CaptureFixture[str], key: str, body: bytes
) -> None:
    """Cut off, changed, or not what its name says."""
    plant(written, key, body, described(TEXT))
    capsys.readouterr()
    code, told = verify(written, capsys)
    assert code == 1
    assert told["findings"]["damaged"] == 1
    assert told["found"][0]["kind"] == "damaged"
    assert told["found"][0]["key"] == key


def test_a_member_that_is_missing_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The body decodes to its end; only the metadata knows that there was more."""
    plant(folder, KEY, gzip.compress(TEXT, mtime=0), described(TEXT * 2))
    code, told = verify(folder, capsys)
    assert (code, told["findings"]) == (1, {"mismatch": 1})
    assert "batcher-records is 4, the body has 2" in told["found"][0]["detail"]
    assert "batcher-crc32" in told["found"][0]["detail"]


@pytest.mark.parametrize("line", [b"{", b"1 2", b"", b'"\xff"'])
def test_a_line_that_is_no_json_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    """Though the object is the one described."""
    text = TEXT + line + b"\n"
    plant(folder, KEY, gzip.compress(text, mtime=0), described(text))
    code, told = verify(folder, capsys)
    assert (code, told["findings"]) == (1, {"bad_line": 1})
    assert told["found"][0]["detail"].startswith("line 3: ")


def test_an_object_without_metadata_is_found_and_a_streamed_one_is_fine(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A streamed upload knows only its first position; that is said."""
    plant(folder, KEY, gzip.compress(TEXT, mtime=0), {"batcher-first": "x:1"})
    code, told = verify(folder, capsys)
    assert (code, told["not_all_known"]) == (0, 1)
    (folder / ".meta" / f"{KEY}.json").unlink()
    code, told = verify(folder, capsys)
    assert (code, told["findings"], told["not_all_known"]) == (1, {"no_metadata": 1}, 0)


def test_overlapping_ranges_of_a_shard_and_partition_are_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other partitions hold other records of the same range; a user may say that it is fine."""
    plant_stream(folder, 10, 19)
    later = plant_stream(folder, 15, 24)
    plant_stream(folder, 10, 24, "p=2")
    code, told = verify(folder, capsys)
    assert (code, told["findings"]) == (1, {"overlap": 1})
    assert told["found"][0]["key"] == later
    assert "15 to 24 overlaps 10 to 19" in told["found"][0]["detail"]
    (stream,) = told["streams"]
    assert stream == {
        "family": "stream",
        "stream": "orders",
        "shard": "shardId-000000000003",
        "objects": 3,
        "records": 6,
        "first": "10",
        "last": "24",
    }
    assert verify(folder, capsys, "--allow-overlaps")[0] == 0


@pytest.mark.parametrize(
    "key",
    ["x.csv", "_other/x", f"wrong/{FRESH}.json", f"{WRONG_SALT}/1/{FRESH}.ndjson", "_quarantine/x"],
)
def test_a_foreign_object_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """By its name or its place; it is not read."""
    plant(folder, key, b"\xff")
    code, told = verify(folder, capsys)
    assert (code, told["findings"], told["objects"]) == (1, {"foreign": 1}, 0)
    assert told["found"][0]["key"] == key


def test_an_upload_that_is_open_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its age."""

    async def leave() -> None:
        upload = await FileStore(folder).create_upload(KEY, About(), part_bytes=MIN_PART_BYTES)
        await upload.put_part(1, b"x")

    asyncio.run(leave())
    code, told = verify(folder, capsys)
    assert (code, told["findings"]) == (1, {"open_upload": 1})
    assert told["found"][0]["detail"].startswith("open for ")


def test_quarantine_is_read_too(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged one is as bad as any."""
    (path,) = (written / "_quarantine").rglob("*.gz")
    path.write_bytes(path.read_bytes()[:-3])
    capsys.readouterr()
    code, told = verify(written, capsys)
    assert (code, told["findings"]) == (1, {"damaged": 1})
    assert told["found"][0]["key"].startswith("_quarantine/cli/dt=")


def test_a_bomb_is_read_to_its_end_in_little_memory(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line of 300 MB from 300 KB: too long to be judged, and nothing else is known of it."""
    member = gzip.compress(b"x" * 50 * 1024**2, mtime=0)
    text_bytes = 6 * 50 * 1024**2 + 1
    body = member * 6 + gzip.compress(b"\n", mtime=0)
    plant(folder, KEY, body, {"batcher-bytes": str(text_bytes), "batcher-records": "1"})
    code, told = verify(folder, capsys)
    assert (code, told["unjudged_lines"], told["text_bytes"]) == (0, 1, text_bytes)


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
    code, told = verify(tmp_path, capsys)
    assert (code, told["findings"]) == (0, {})
    held = [(s["stream"], s["shard"], s["first"], s["last"]) for s in told["streams"]]
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
    assert told["quarantined"] == {"not_json": 2, "not_utf8": 1}


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
    assert f"nothing is under file://{folder}" in capsys.readouterr().err


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
    assert json.loads(printed.out)["clean"] is True
    assert f"warning: nothing is under s3://{bucket}/root" in printed.err


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
    monkeypatch.setattr("batcher.cli.verify.Verify.run", interrupted)
    assert main(["verify", f"file://{folder}"]) == 130
    printed = capsys.readouterr()
    assert "stopped" in printed.err
    assert printed.out == ""


async def _fill(store: ObjectStore) -> None:
    await store.put(f"root/{KEY}", gzip.compress(TEXT, mtime=0), About(metadata=described(TEXT)))
    await store.put("root2/x.csv", b"", About())
    await store.create_upload("root/big.ndjson.gz", About(), part_bytes=MIN_PART_BYTES)


def test_a_bucket_is_verified_as_a_folder_is(
    seaweedfs: SeaweedFS,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within the root alone; an upload that is open is found with its age."""
    from batcher.stores.s3 import S3Store  # noqa: PLC0415  # half a second to import

    seaweedfs.create_bucket(bucket)
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)

    async def fill() -> None:
        store = S3Store(Settings(bucket=bucket))
        await _fill(store)
        await store.aclose()

    asyncio.run(fill())
    assert main(["verify", f"s3://{bucket}/root", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["objects"], told["records"]) == (1, 2)
    assert told["findings"] == {"open_upload": 1}
    assert told["found"][0]["key"] == "root/big.ndjson.gz"
    assert told["found"][0]["detail"].startswith("open for ")
    assert main(["verify", f"s3://{bucket}-gone/root"]) == 1
    assert "create it, or correct `bucket`" in capsys.readouterr().err


def test_an_endpoint_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the SDK has tried some times."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setitem(s3_reader.RETRIES, "total_max_attempts", 2)  # five take ten seconds
    assert main(["verify", "s3://bucket/root"]) == 1
    printed = capsys.readouterr().err
    assert "cannot reach http://127.0.0.1:9" in printed
    assert "Traceback" not in printed
