"""`batcher replay`: what it leaves in folders and buckets, what it prints, how it ends."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.settings import Settings
from integration.cli.replay_inputs import lines_in, read_output, write
from support.output_schema import parse_output
from support.s3_servers import Moto

pytestmark = pytest.mark.usefixtures("module")


def test_a_folders_bad_lines_are_replayed_once(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is still bad is a warning, with reason and position."""
    write("file://out")
    capsys.readouterr()
    flags = ["replay", "file://out", "--transform", f"{module}:fix", "--json"]
    assert main(flags) == 0
    summary, messages = read_output(capsys)
    assert list(summary) == [
        *("records", "objects", "bytes_in", "bytes_out", "quarantined", "failed", "left_out"),
        *("records_by_reason", "quarantined_by_reason", "seconds"),
    ]
    assert {name: summary[name] for name in ("records", "objects", "quarantined", "failed")} == {
        "records": 2,
        "objects": 1,
        "quarantined": 1,
        "failed": 0,
    }
    assert (summary["records_by_reason"], summary["quarantined_by_reason"]) == (
        {"not_json": 1, "empty": 1},
        {"transform": 1},
    )
    assert "warning: still bad: events:5: transform: transform raised ValueError" in messages
    replayed = [{"was": "bad one"}, {"was": ""}]
    assert lines_in(tmp_path / "out", "replay-*.gz") == replayed
    assert main(flags) == 0
    assert read_output(capsys)[0]["records"] == 0
    assert lines_in(tmp_path / "out", "replay-*.gz") == replayed
    kept = lines_in(tmp_path / "out" / "_quarantine", "*.gz")
    assert [line.get("replay", {}).get("state") for line in kept] == ["done", "done", None]


def test_flags_choose_records(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By reason, source and time."""
    write("file://out")
    common = ["replay", "file://out", "--transform", f"{module}:fix"]
    for flags in (["--source", "sqs"], ["--since", "2999-01-01"], ["--until", "2020-01-01T00:00Z"]):
        assert main([*common, *flags]) == 0
        assert lines_in(tmp_path / "out", "replay-*.gz") == []
    assert main([*common, "--reason", "empty", "--reason", "newline", "--since", "2020-01-01"]) == 0
    assert lines_in(tmp_path / "out", "replay-*.gz") == [{"was": ""}]
    assert "1 record replayed under file://out" in capsys.readouterr().err


def test_a_dry_run_writes_nothing_and_tells_by_reason(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what would stay bad."""
    write("file://out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.gz")}
    capsys.readouterr()
    assert main(["replay", "file://out", "--transform", f"{module}:fix", "--dry-run"]) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "empty 1 would be replayed 0 would stay bad",
        "not_json 1 would be replayed 0 would stay bad",
        "transform 0 would be replayed 1 would stay bad",
        f"folders: {folder_of(tmp_path)} (partition_by: {Settings(bucket='bucket').partition_by})",
        "nothing was written, sent or marked",
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.gz")} == before


def folder_of(folder: Path) -> str:
    """Return the partition of the good lines."""
    good = next(path for path in (folder / "out").rglob("*.gz") if "_quarantine" not in path.parts)
    return "/".join(good.parts[-3:-1])


def write_kinds(folder: Path, *flags: str) -> None:
    """Write two good and two bad lines by their kind."""
    (folder / "in").write_text('{"kind":"a"}\n{"kind":"b"}\nkind c\nkind d\n')
    (folder / "kinds.py").write_text("def fix(line):\n    return {'kind': line[-1:].decode()}\n")
    assert main(["write", "in", "file://out", "--partition-by", "kind={field:kind}", *flags]) == 0


@pytest.mark.parametrize("fanout", ["1", "16"])
@pytest.mark.parametrize("is_dry", [True, False])
def test_other_folders_than_those_of_the_writer_are_a_warning(
    fanout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_dry: bool
) -> None:
    """And where records go is printed, by a dry run before anything is written."""
    write_kinds(tmp_path, "--fanout", fanout)
    capsys.readouterr()
    flags = ["replay", "file://out", "--transform", "kinds:fix", *["--dry-run"] * is_dry]
    right = ["--partition-by", "kind={field:kind}", "--fanout", fanout]
    assert main([*flags, *right, "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "folders: kind=c, kind=d (partition_by: kind={field:kind})" in printed.out
    assert "warning" not in printed.err
    assert main(flags) == 0
    printed = capsys.readouterr()
    assert "warning: partition_by: objects are in folders such as kind=" in printed.err
    assert "folders: dt=" in (printed.out if is_dry else printed.err)


def test_a_dry_run_says_that_nothing_is_left(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else one line alone would look like a run that found nothing to read."""
    write_kinds(tmp_path)
    flags = ["replay", "file://out", "--transform", f"{module}:fix"]
    assert main(flags) == 0
    capsys.readouterr()
    assert main([*flags, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0 open records are selected: there is nothing to replay",
        "nothing was written, sent or marked",
    ]


def test_a_damaged_object_is_named_and_the_command_fails(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are replayed."""
    write("file://out")
    damaged = tmp_path / "out" / "_quarantine" / "cli" / "dt=2000-01-01" / "x.ndjson.gz"
    damaged.parent.mkdir()
    damaged.write_bytes(b"no gzip")
    assert main(["replay", "file://out", "--transform", f"{module}:fix"]) == 1
    assert "error: _quarantine/cli/dt=2000-01-01/x.ndjson.gz: " in capsys.readouterr().err
    assert len(lines_in(tmp_path / "out", "replay-*.gz")) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--since", "soon"], "--since: cannot parse 'soon'"),
        (["--transform", "fixes"], "names no function; write package.module:function"),
        (["--transform", "no_such_module:fix"], "ModuleNotFoundError"),
        (["--transform", "{module}:none"], "AttributeError"),
        (["--transform", "{module}:nothing"], "is NoneType; name a function"),
        (["--transform", "{module}:wait"], "it is a coroutine function; give a plain function"),
        (["--fanout", "3"], "not a power of two"),
        (["--to-queue", "htps://typo/q"], "--to-queue: 'htps://typo/q' is not the URL of a queue"),
        (["--to-queue", ""], "--to-queue: '' is not the URL of a queue"),
    ],
)
def test_wrong_usage_exits_2(
    module: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read."""
    assert main(["replay", "file://out", *(flag.format(module=module) for flag in flags)]) == 2
    assert message in capsys.readouterr().err


def test_every_fault_is_in_the_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the destination, the settings, and what only this command knows."""
    flags = ["--since", "x", "--until", "x", "--fanout", "3", "--transform", "x", "--to-queue", "x"]
    assert main(["replay", "s4://nowhere", *flags]) == 2
    messages = capsys.readouterr().err
    for name in ("DESTINATION", *flags[::2]):
        assert f"\n  - {name}: " in messages


def test_an_unknown_reason_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that are known."""
    assert main(["replay", "file://out", "--reason", "odd"]) == 2
    assert "kpl_aggregated" in capsys.readouterr().err


def test_a_folder_without_quarantine_is_done_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to do."""
    (tmp_path / "out").mkdir()
    assert main(["replay", "file://out", "--json"]) == 0
    assert read_output(capsys)[0]["records"] == 0


@pytest.mark.parametrize(
    ("numbers", "code", "replayed"),
    [
        ([signal.SIGINT], 130, 1),
        ([signal.SIGTERM], 143, 1),
        ([signal.SIGINT, signal.SIGTERM], 1, 0),
    ],
)
def test_a_signal_ends_after_the_object_in_work_a_second_one_at_once_and_the_next_run_goes_on(
    module: str, tmp_path: Path, numbers: list[signal.Signals], code: int, replayed: int
) -> None:
    """The transform is held while the signals come."""
    write("file://out")
    write("file://out")
    command = [sys.executable, "-m", "batcher", "replay", "file://out", "--json"]
    with subprocess.Popen(  # noqa: S603  # our own command
        [*command, "--reason", "empty", "--transform", f"{module}:slow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        for number in numbers:
            process.send_signal(number)
        out, err = process.communicate(b"\n", timeout=30)
    assert process.returncode == code, err
    assert parse_output("replay", out.decode())["records"] == replayed
    assert lines_in(tmp_path / "out", "replay-*.gz") == [{"was": ""}] * replayed
    assert b"Traceback" not in err
    flags = ["--reason", "empty", "--transform", f"{module}:fix"]
    assert main(["replay", "file://out", *flags]) == 0
    assert lines_in(tmp_path / "out", "replay-*.gz") == [{"was": ""}] * 2


@pytest.fixture
def s3(moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a destination in a bucket of its own."""
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    moto.create_bucket(bucket)
    return f"s3://{bucket}/events"


@pytest.mark.usefixtures("engine")
def test_a_buckets_bad_lines_are_replayed_once(
    s3: str, moto: Moto, bucket: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the same metadata, but for what tells of the text."""
    write(s3)
    flags = ["replay", s3, "--transform", f"{module}:fix"]
    assert main(flags) == 0
    assert main(flags) == 0
    listed = moto.client.list_objects_v2(Bucket=bucket)["Contents"]
    keys = [entry["Key"] for entry in listed]
    (replayed,) = [key for key in keys if "/replay-" in key]
    body = moto.client.get_object(Bucket=bucket, Key=replayed)["Body"].read()
    assert gzip.decompress(body) == b'{"was":"bad one"}\n{"was":""}\n'
    (quarantine,) = [key for key in keys if "/_quarantine/" in key]
    there = moto.client.get_object(Bucket=bucket, Key=quarantine)
    lines = [json.loads(line) for line in gzip.decompress(there["Body"].read()).splitlines()]
    assert [line.get("replay", {}).get("key") for line in lines] == [replayed, replayed, None]
    assert there["ContentType"] == "application/gzip"
    assert {"batcher-digest", "batcher-crc32", "batcher-records"} <= there["Metadata"].keys()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("engine")
def test_an_endpoint_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert main(["replay", "s3://bucket/root"]) == 1
    printed = capsys.readouterr().err
    assert "http://127.0.0.1:9" in printed
    assert "Traceback" not in printed


def test_a_transform_that_returns_none_for_all_marks_nothing(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its return was probably forgotten; unless the user says so. A dry run tells before."""
    write("file://out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.gz")}
    common = ["replay", "out", "--transform", f"{module}:forget"]
    capsys.readouterr()
    assert main([*common, "--dry-run"]) == 0
    printed = capsys.readouterr()
    shown = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert "not_json 0 would be replayed 2 would be left out 0 would stay bad" in shown
    assert "warning: the transform returned None for every record" in printed.err
    assert main([*common, "--json"]) == 1
    document, messages = read_output(capsys)
    assert (document["records"], document["left_out"]) == (0, 0)
    assert "error: the transform returned None for all of 3 records" in messages
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.gz")} == before
    assert main([*common, "--leave-all-out", "--json"]) == 0
    document, _ = read_output(capsys)
    assert (document["records"], document["left_out"]) == (0, 3)
    assert main([*common, "--leave-all-out"]) == 0
    assert "0 records replayed" in capsys.readouterr().err


def test_a_transform_that_returns_none_for_the_first_objects_marks_them(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are held back until a record is sent, whatever their order, and counted once."""
    write("file://out")
    (source,) = tmp_path.glob("out/_quarantine/cli/*/*.gz")
    lines = gzip.decompress(source.read_bytes()).splitlines(keepends=True)
    source.unlink()
    for line, day in zip(lines, (1, 2, 3), strict=True):
        path = source.parents[1] / f"dt=2020-01-0{day}" / source.name
        path.parent.mkdir()
        path.write_bytes(gzip.compress(line))
    capsys.readouterr()
    assert main(["replay", "out", "--transform", f"{module}:keep_two", "--json"]) == 0
    document, _ = read_output(capsys)
    assert (document["records"], document["left_out"]) == (1, 2)
    marks = [
        json.loads(line)["replay"]
        for path in tmp_path.glob("out/_quarantine/cli/*/*.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert [mark["state"] for mark in marks] == ["done"] * 3


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fixes.py:repair", "name the module, not its file: fixes:repair"),
        ("./app/fixes.py:repair", "app.fixes:repair"),
        ("/app/fixes.py:repair", "change to the folder of fixes.py, and write fixes:repair"),
    ],
)
def test_the_path_of_a_module_is_answered_with_its_name(
    name: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a new user writes it."""
    assert main(["replay", "out", "--transform", name]) == 2
    assert hint in " ".join(capsys.readouterr().err.split())
