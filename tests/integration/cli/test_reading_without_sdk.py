"""Reading back a bucket with obstore alone: no aioboto3, boto3 or botocore is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.s3_servers import Moto

SDKS = ("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "rich")
NOTE = (
    "note: open uploads were not looked for: listing open uploads needs boto3, which is not "
    "installed; pip install 's3-batcher[cli]'"
)
MAIN = "from batcher.cli import main; sys.exit(main(sys.argv[1:]))"
READ_OBJECTS = """
import asyncio, batcher

async def read():
    async with batcher.read_objects(sys.argv[1]) as objects:
        async for found in objects:
            async for lines in found:
                print(len(lines))

asyncio.run(read())
"""


@pytest.fixture
def place(moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an empty root in a bucket."""
    moto.create_bucket(bucket)
    for name, value in {**moto.environ, "BATCHER_ENGINE": "obstore"}.items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/events"


def run(*arguments: str, script: str = MAIN) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that cannot import an SDK."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({SDKS!r}))\n{script}"
    return subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-W", "error", "-c", blocked, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def test_what_was_written_is_read_back(place: str, moto: Moto, bucket: str, tmp_path: Path) -> None:
    """By all that reads: `ls`, `cat`, `verify`, `replay` and `read_objects`."""
    source = tmp_path / "in.ndjson"
    source.write_text("".join(f'{{"n":{n}}}\n' for n in range(100)) + "not json\n")
    assert run("write", str(source), place).returncode == 0
    upload = moto.client.create_multipart_upload(Bucket=bucket, Key="events/0/x")["UploadId"]

    listed = run("ls", place)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 1)
    given = run("cat", place)
    assert (given.returncode, given.stdout) == (0, source.read_text().replace("not json\n", ""))
    verified = run("verify", place)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert NOTE in verified.stdout.splitlines()
    report = json.loads(run("verify", place, "--json").stdout)
    assert (report["fine"], report["records"], report["quarantine_objects"]) == (True, 100, 1)
    assert NOTE.endswith(report["uploads_unchecked"])
    replayed = run("replay", place, "--dry-run")
    assert (replayed.returncode, "Traceback" in replayed.stderr) == (0, False), replayed.stderr
    read = run(place, script=READ_OBJECTS)
    assert (read.stdout.split(), read.stderr) == (["100"], "")
    moto.client.abort_multipart_upload(Bucket=bucket, Key="events/0/x", UploadId=upload)


def test_what_is_wrong_is_found(place: str, moto: Moto, bucket: str, tmp_path: Path) -> None:
    """Damaged and foreign objects are named, the others are read. A key may have any name."""
    source = tmp_path / "in.ndjson"
    source.write_text('{"n":1}\n')
    assert run("write", str(source), place).returncode == 0
    (key,) = [found["Key"] for found in moto.client.list_objects_v2(Bucket=bucket)["Contents"]]
    damaged = key.replace(key.rpartition("/")[2][:8], "00000000")
    for name in (damaged, "events/other.csv", "events/", "events/0101/"):
        moto.client.put_object(Bucket=bucket, Key=name, Body=b"" if name[-1] == "/" else b"x")
    report = json.loads(run("verify", place, "--json").stdout)
    assert report["records"] == 1
    assert report["counts"]["foreign"] >= 1
    given = run("cat", place)
    assert (given.returncode, given.stdout) == (1, source.read_text())
    assert "events/other.csv" in given.stderr
    moto.client.put_object(Bucket=bucket, Key="events/a//b", Body=b"x")
    for command in ("cat", "ls", "verify"):
        done = run(command, place)
        assert done.returncode == 1
        assert "'events/a//b', which has an empty part; use engine=aioboto3" in done.stderr
        assert len(done.stderr.splitlines()) == 1
