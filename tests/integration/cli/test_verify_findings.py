"""What `batcher verify` finds: each kind of finding is planted, found and named."""

from __future__ import annotations

import asyncio
import gzip
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from backports import zstd

from batcher.cli import main
from batcher.keys.names import salt
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from support.examples import described
from support.planted_objects import FRESH, KEY, TEXT, counted, plant, plant_stream, verify

WRONG_SALT = "10"[int(salt(FRESH, 2))]


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
    code, report = verify(written, capsys)
    assert code == 1
    assert report["counts"]["damaged"] == 1
    assert report["findings"][0]["kind"] == "damaged"
    assert report["findings"][0]["key"] == key


def test_a_member_that_is_missing_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The body decodes to its end; only the metadata knows that there was more."""
    plant(folder, KEY, gzip.compress(TEXT, mtime=0), described(TEXT * 2))
    code, report = verify(folder, capsys)
    assert (code, counted(report)) == (1, {"mismatch": 1})
    assert "batcher-records is 4, the body has 2" in report["findings"][0]["detail"]
    assert "batcher-crc32" in report["findings"][0]["detail"]


@pytest.mark.parametrize("line", [b"{", b"1 2", b"", b'"\xff"'])
def test_a_line_that_is_no_json_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    """Though the object is the one described."""
    text = TEXT + line + b"\n"
    plant(folder, KEY, gzip.compress(text, mtime=0), described(text))
    code, report = verify(folder, capsys)
    assert (code, counted(report)) == (1, {"bad_line": 1})
    assert report["findings"][0]["detail"].startswith("line 3: ")


def test_an_object_without_metadata_is_found_and_a_streamed_one_is_fine(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A streamed upload knows only its first position; that is said."""
    plant(folder, KEY, gzip.compress(TEXT, mtime=0), {"batcher-first": "x:1"})
    code, report = verify(folder, capsys)
    assert (code, report["incomplete_metadata"]) == (0, 1)
    (folder / ".meta" / f"{KEY}.json").unlink()
    code, report = verify(folder, capsys)
    assert (code, counted(report), report["incomplete_metadata"]) == (1, {"no_metadata": 1}, 0)


def test_overlapping_ranges_of_a_shard_and_partition_are_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other partitions hold other records of the same range; a user may say that it is fine."""
    plant_stream(folder, 10, 19)
    later = plant_stream(folder, 15, 24)
    plant_stream(folder, 10, 24, "p=2")
    code, report = verify(folder, capsys)
    assert (code, counted(report)) == (1, {"overlap": 1})
    assert report["findings"][0]["key"] == later
    assert "15 to 24 overlaps 10 to 19" in report["findings"][0]["detail"]
    (stream,) = report["streams"]
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
    code, report = verify(folder, capsys)
    assert (code, counted(report), report["objects"]) == (1, {"foreign": 1}, 0)
    assert report["findings"][0]["key"] == key


def _leave_upload(folder: Path) -> list[Path]:
    """Leave temporary files of a body and of attributes, as a killed writer does."""

    async def leave() -> None:
        upload = await FileStore(folder).create_upload(
            KEY, ObjectAttributes(), part_bytes=MIN_PART_BYTES
        )
        await upload.put_part(1, b"x")

    asyncio.run(leave())
    (body,) = folder.rglob(".*.tmp")
    attributes = folder / ".meta" / body.relative_to(folder)
    attributes.parent.mkdir(parents=True)
    attributes.write_bytes(b"{}")
    return [body, attributes]


def _make_old(path: Path, hours: float) -> None:
    written_s = time.time() - hours * 3_600
    os.utime(path, (written_s, written_s))


def test_temporary_files_that_were_left_are_found_with_their_age(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of bodies and of attributes. The command that is printed deletes them and nothing else."""
    left = _leave_upload(folder)
    _make_old(left[0], 26)
    _make_old(left[1], 72)
    ours = [KEY, "x/.0123456789abcdeg.tmp", "x/0123456789abcdef.tmp", "x/.0123456789abcdef.tmp~"]
    for name in ours:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
        _make_old(folder / name, 72)
    code, report = verify(folder, capsys)
    assert code == 1
    assert report["counts"]["open_upload"] == 2
    details = {f["key"]: f["detail"] for f in report["findings"] if f["kind"] == "open_upload"}
    assert set(details) == {str(path.relative_to(folder)) for path in left}
    assert "last written 26 h ago" in details[str(left[0].relative_to(folder))]
    assert "last written 3 days ago" in details[str(left[1].relative_to(folder))]
    assert all("delete the file" in detail for detail in details.values())
    assert main(["verify", f"file://{folder}"]) == 1
    (note,) = [line for line in capsys.readouterr().out.splitlines() if " -delete" in line]
    young = left[0].with_name(".00000000000000aa.tmp")
    young.write_bytes(b"")
    subprocess.run(shlex.split(note.partition("files: ")[2]), check=True)  # noqa: S603  # our own
    assert not any(path.exists() for path in left)
    assert young.exists()
    assert all((folder / name).exists() for name in ours)


def test_a_temporary_file_of_a_running_writer_is_no_finding(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is counted. A batch lingers for a day at most, and then its writer writes it."""
    left = _leave_upload(folder)
    _make_old(left[0], 24)
    code, report = verify(folder, capsys)
    assert (code, counted(report), report["recent_temporary_files"]) == (0, {}, 2)
    assert main(["verify", f"file://{folder}"]) == 0
    printed = capsys.readouterr().out
    assert "2 temporary files last written less than 25 h ago: a writer may be running" in printed
    assert "-delete" not in printed


def test_quarantine_is_read_too(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged one is as bad as any."""
    (path,) = (written / "_quarantine").rglob("*.gz")
    path.write_bytes(path.read_bytes()[:-3])
    capsys.readouterr()
    code, report = verify(written, capsys)
    assert (code, counted(report)) == (1, {"damaged": 1})
    assert report["findings"][0]["key"].startswith("_quarantine/cli/dt=")
