"""`batcher replay`: what it leaves in folders, buckets and queues, what it prints, how it ends."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import md5
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from batcher.cli import main
from batcher.stores import s3_reader
from contract.servers import Moto

LINES = ['{"id": 0}', "bad one", '{"id": 1}', "", "bad two"]
FIX = """
import json, pathlib, sys

def fix(payload):
    if payload == b"bad two":
        raise ValueError("no way")
    return {"was": payload.decode()}

def slow(payload):
    print("working", flush=True)
    sys.stdin.readline()
    return fix(payload)

nothing = None
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Work in a folder where the user's module is; its name is no other test's."""
    name = f"fixes_{token_hex(4)}"
    (tmp_path / f"{name}.py").write_text(FIX)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def write(destination: str) -> None:
    """Write five lines, three of them bad."""
    Path("events").write_text("".join(f"{line}\n" for line in LINES))
    assert main(["write", "events", destination]) == 0


def told(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Give the JSON line and the messages that were printed."""
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def lines_in(folder: Path, pattern: str) -> list[Any]:
    """Give the lines of files, by name."""
    files = sorted(folder.rglob(pattern), key=lambda path: path.name)
    texts = (gzip.decompress(path.read_bytes()) for path in files)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_a_folders_bad_lines_are_replayed_once(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is still bad is a warning, with reason and position."""
    write("file://out")
    capsys.readouterr()
    flags = ["replay", "file://out", "--transform", f"{module}:fix", "--json"]
    assert main(flags) == 0
    summary, messages = told(capsys)
    assert {name: summary[name] for name in ("records", "objects", "quarantined", "failed")} == {
        "records": 2,
        "objects": 1,
        "quarantined": 1,
        "failed": 0,
    }
    assert (summary["by_reason"], summary["still_bad"]) == (
        {"not_json": 1, "empty": 1},
        {"transform": 1},
    )
    assert "warning: still bad: events:5: transform: transform raised ValueError" in messages
    replayed = [{"was": "bad one"}, {"was": ""}]
    assert lines_in(tmp_path / "out", "replay-*.gz") == replayed
    assert main(flags) == 0
    assert told(capsys)[0]["records"] == 0
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
    assert "1 records replayed under file://out" in capsys.readouterr().err


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
        "nothing was written, sent or marked",
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.gz")} == before


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
        (["--since", "soon"], "since: 'soon' is no date"),
        (["--transform", "fixes"], "is not package.module:function"),
        (["--transform", "no_such_module:fix"], "ModuleNotFoundError"),
        (["--transform", "{module}:none"], "AttributeError"),
        (["--transform", "{module}:nothing"], "NoneType, not a function"),
        (["--fanout", "3"], "not a power of two"),
        (["--to-queue", "htps://typo/q"], "to_queue: 'htps://typo/q' is no queue's URL"),
        (["--to-queue", ""], "to_queue: '' is no queue's URL"),
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
    assert main(["replay", "nowhere", *flags]) == 2
    messages = capsys.readouterr().err
    for name in ("destination", "since", "until", "fanout", "transform", "to_queue"):
        assert f"\n  - {name}: " in messages


def test_an_unknown_reason_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that are known."""
    with pytest.raises(SystemExit) as exit_:
        main(["replay", "file://out", "--reason", "odd"])
    assert exit_.value.code == 2
    assert "kpl_aggregated" in capsys.readouterr().err


def test_a_folder_without_quarantine_is_done_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to do."""
    (tmp_path / "out").mkdir()
    assert main(["replay", "file://out", "--json"]) == 0
    assert told(capsys)[0]["records"] == 0


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
    command = [sys.executable, "-m", "batcher.cli", "replay", "file://out", "--json"]
    with subprocess.Popen(  # noqa: S603  # our own command
        [*command, "--reason", "empty", "--transform", f"{module}:slow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        for number in numbers:
            process.send_signal(number)
        out, err = process.communicate(b"\n", timeout=30)
    assert process.returncode == code, err
    assert json.loads(out)["records"] == replayed
    assert lines_in(tmp_path / "out", "replay-*.gz") == [{"was": ""}] * replayed
    assert b"Traceback" not in err
    flags = ["--reason", "empty", "--transform", f"{module}:fix"]
    assert main(["replay", "file://out", *flags]) == 0
    assert lines_in(tmp_path / "out", "replay-*.gz") == [{"was": ""}] * 2


@pytest.fixture
def s3(moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a destination in a bucket of its own."""
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    moto.create_bucket(bucket)
    return f"s3://{bucket}/events"


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


def test_an_endpoint_that_is_not_there_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setitem(s3_reader.RETRIES, "total_max_attempts", 2)  # five take ten seconds
    assert main(["replay", "s3://bucket/root"]) == 1
    printed = capsys.readouterr().err
    assert "http://127.0.0.1:9" in printed
    assert "Traceback" not in printed


@pytest.fixture
def sqs(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a client of moto's SQS."""
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    url = moto.environ["AWS_ENDPOINT_URL_S3"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
    client = boto3.client("sqs", endpoint_url=url)
    yield client
    client.close()


@pytest.mark.parametrize("ending", ["", ".fifo"])
def test_bad_lines_go_to_a_queue_once(
    sqs: Any,  # noqa: ANN401  # boto3 has no types
    ending: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The empty one stays: SQS takes no such message."""
    attributes = {"FifoQueue": "true"} if ending else {}
    name = f"replay-{token_hex(4)}{ending}"
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    write("file://out")
    capsys.readouterr()
    for expected in (2, 0):
        assert main(["replay", "file://out", "--to-queue", url, "--json"]) == 0
        summary, messages = told(capsys)
        assert (summary["records"], summary["failed"]) == (expected, 0)
        assert "SQS takes no empty message" in messages
    got = [
        message["Body"]
        for _ in range(2)
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    ]
    assert sorted(got) == ["bad one", "bad two"]
    kept = lines_in(tmp_path / "out" / "_quarantine", "*.gz")
    assert [line.get("replay", {}).get("queue") for line in kept] == [url, None, url]


def etags(folder: Path) -> list[str]:
    """Give what tells each version of the quarantine objects from any other."""
    files = sorted((folder / ".meta" / "_quarantine").rglob("*.json"))
    return [json.loads(path.read_text())["etag"] for path in files]


def test_a_queue_that_is_not_there_is_told_before_any_mark(
    sqs: Any,  # noqa: ANN401  # boto3 has no types
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The records stay as they were, for another queue."""
    write("file://out")
    url = f"{sqs.meta.endpoint_url}/123456789012/gone"
    before = etags(tmp_path / "out")
    assert main(["replay", "file://out", "--to-queue", url]) == 1
    printed = capsys.readouterr().err
    assert "NonExistentQueue" in printed
    assert "Traceback" not in printed
    assert etags(tmp_path / "out") == before != []
    real = sqs.create_queue(QueueName=f"replay-{token_hex(4)}")["QueueUrl"]
    assert main(["replay", "file://out", "--to-queue", real]) == 0
    kept = lines_in(tmp_path / "out" / "_quarantine", "*.gz")
    assert [line.get("replay", {}).get("queue") for line in kept] == [real, None, real]


class OneAction(BaseHTTPRequestHandler):
    """Answers like an SQS whose policy allows to send, and nothing else."""

    def do_POST(self) -> None:
        """Refuse to tell of the queue; take all messages."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Amz-Target"] == "AmazonSQS.SendMessageBatch":
            taken = [
                {
                    "Id": entry["Id"],
                    "MessageId": entry["Id"],
                    "MD5OfMessageBody": md5(entry["MessageBody"].encode()).hexdigest(),  # noqa: S324  # SQS's own
                }
                for entry in request["Entries"]
            ]
            self._answer(200, {"Successful": taken, "Failed": []})
        else:
            self._answer(403, {"__type": "com.amazon.coral.service#AccessDeniedException"})

    def _answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_who_may_only_send_sends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The permission to look at the queue is not needed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "stand-in")
    write("file://out")
    capsys.readouterr()
    with HTTPServer(("127.0.0.1", 0), OneAction) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)
        url = f"{endpoint}/123456789012/queue"
        code = main(["replay", "file://out", "--to-queue", url, "--json"])
        server.shutdown()
        thread.join()
    summary, messages = told(capsys)
    assert (code, summary["records"]) == (0, 2), messages


def test_a_queue_that_does_not_answer_is_told_before_any_mark_unless_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run asks nobody."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    monkeypatch.setattr("batcher.replay.sqs_client.ATTEMPTS", 1)
    write("file://out")
    before = etags(tmp_path / "out")
    flags = ["replay", "file://out", "--to-queue", "http://127.0.0.1:9/123456789012/queue"]
    assert main([*flags, "--dry-run"]) == 0
    assert main(flags) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert etags(tmp_path / "out") == before
