"""`batcher replay --to-queue`: what is sent and marked, and what the queue must allow for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import md5
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from secrets import token_hex
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from batcher.cli import main
from batcher.tools.aws import CallLimits
from integration.cli.replay_inputs import lines_in, read_output, write
from support.http_stub import Stub
from support.s3_servers import Moto

pytestmark = pytest.mark.usefixtures("module")


@pytest.fixture
def sqs(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of moto's SQS."""
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
    """The empty one stays: SQS accepts no such message."""
    attributes = {"FifoQueue": "true"} if ending else {}
    name = f"replay-{token_hex(4)}{ending}"
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    write("file://out")
    capsys.readouterr()
    for expected in (2, 0):
        assert main(["replay", "file://out", "--to-queue", url, "--json"]) == 0
        summary, messages = read_output(capsys)
        assert (summary["records"], summary["failed"]) == (expected, 0)
        assert "SQS does not accept an empty message" in messages
    got = [
        message["Body"]
        for _ in range(2)
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    ]
    assert sorted(got) == ["bad one", "bad two"]
    kept = lines_in(tmp_path / "out" / "_quarantine", "*.gz")
    assert [line.get("replay", {}).get("queue") for line in kept] == [url, None, url]


def etags(folder: Path) -> list[str]:
    """Return what tells each version of the quarantine objects from any other."""
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
        """Return nothing."""


def test_who_may_only_send_sends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The permission to look at the queue is not needed."""
    write("file://out")
    capsys.readouterr()
    with Stub(OneAction, "AWS_ENDPOINT_URL_SQS", "us-east-1") as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        url = f"{server.environ['AWS_ENDPOINT_URL_SQS']}/123456789012/queue"
        code = main(["replay", "file://out", "--to-queue", url, "--json"])
    summary, messages = read_output(capsys)
    assert (code, summary["records"]) == (0, 2), messages


def test_a_queue_that_does_not_answer_is_told_before_any_mark_unless_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run asks nobody."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "stand-in")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    monkeypatch.setattr("batcher.tools.replay.sqs_client.CALL_LIMITS", CallLimits(attempts=1))
    write("file://out")
    before = etags(tmp_path / "out")
    flags = ["replay", "file://out", "--to-queue", "http://127.0.0.1:9/123456789012/queue"]
    assert main([*flags, "--dry-run"]) == 0
    assert main(flags) == 1
    assert "cannot reach" in capsys.readouterr().err
    assert etags(tmp_path / "out") == before
