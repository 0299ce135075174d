"""Commands without the extra `cli`: most work, and those that need boto3 say so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from integration.cli.replay_inputs import write

SDKS = ("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "rich")
HINT = "which is not installed; pip install 's3-batcher[cli]'"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}

pytestmark = pytest.mark.usefixtures("module")


def run(*arguments: str, missing: tuple[str, ...] = SDKS) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that cannot import some packages."""
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        f"from batcher.cli import main; sys.exit(main({list(arguments)!r}))"
    )
    return subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | CREDENTIALS,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["check", "--help"], 0),
        (["plan", "--records-per-s", "50", "--record-bytes", "1KiB"], 0),
        (["ddl", "s3://my-bucket/events", "--engine", "duckdb", "--columns", "n bigint"], 0),
        (["write", "events", "file://other"], 0),
        (["ls", "file://out"], 0),
        (["cat", "file://out"], 0),
        (["verify", "file://out"], 0),
        (["replay", "file://out", "--dry-run"], 0),
        (["check", "file://out"], 0),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_most_commands_need_no_sdk(arguments: list[str], code: int) -> None:
    """A folder as destination, and everything that only computes."""
    write("file://out")
    Path("events").write_text("{}\n")
    done = run(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@pytest.mark.parametrize("missing", [SDKS, ("boto3",)], ids=["none", "boto3"])
@pytest.mark.parametrize(
    ("arguments", "purpose"),
    [
        (["check", "s3://my-bucket/events"], "check of a bucket or a function"),
        (["check", "s3://my-bucket/events", "--json"], "check of a bucket or a function"),
        (["check", "--function", "writer"], "check of a bucket or a function"),
        (["replay", "file://out", "--to-queue", "http://127.0.0.1:1/1/q"], "replay --to-queue"),
    ],
    ids=["check", "json", "function", "replay"],
)
def test_a_command_that_needs_boto3_ends_with_one_line(
    arguments: list[str], purpose: str, missing: tuple[str, ...], tmp_path: Path
) -> None:
    """Before anything is changed. aioboto3 in its place is of no use."""
    write("file://out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = run(*arguments, missing=missing)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"batcher: {purpose} needs boto3, {HINT}\n"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
