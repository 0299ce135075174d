"""AWS calls of the operator tools: each failure has a kind, a hint, and whether to retry."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from batcher.tools.aws import AwsCallError, AwsErrorKind, AwsSession, CallLimits
from support.http_stub import Stub

ONCE = CallLimits(timeout_s=5.0, attempts=1)


class Refusal(BaseHTTPRequestHandler):
    """Responds to every request with one error."""

    status = 400
    code = ""

    def do_POST(self) -> None:
        """Respond as the JSON protocol of AWS does."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"__type": f"com.amazonaws#{self.code}", "message": "no"}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # the base's
        """Log nothing."""


async def failed_call(limits: CallLimits = ONCE) -> AwsCallError:
    """Return the error of one call."""
    session = AwsSession(limits=limits)
    try:
        with pytest.raises(AwsCallError) as raised:
            await session.call("sqs", "list_queues", "sqs:ListQueues")
    finally:
        await session.aclose()
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable", "hint"),
    [
        (403, "AccessDeniedException", AwsErrorKind.DENIED, False, "allow sqs:ListQueues"),
        (403, "ExpiredTokenException", AwsErrorKind.CREDENTIALS, False, "renew"),
        (403, "InvalidClientTokenId", AwsErrorKind.CREDENTIALS, False, "check the credentials"),
        (400, "InvalidAction", AwsErrorKind.UNSUPPORTED, False, ""),
        (405, "Odd", AwsErrorKind.UNSUPPORTED, False, ""),
        (400, "QueueDoesNotExist", AwsErrorKind.OTHER, False, ""),
        (400, "RequestThrottled", AwsErrorKind.OTHER, True, ""),
        (429, "Odd", AwsErrorKind.OTHER, True, ""),
        (500, "InternalFailure", AwsErrorKind.OTHER, True, ""),
    ],
)
async def test_an_error_response_has_a_kind_and_a_hint(  # noqa: PLR0913, PLR0917  # columns of a table
    status: int,
    code: str,
    kind: AwsErrorKind,
    retryable: bool,  # noqa: FBT001  # a case
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code alone decides, or the status if the code has no meaning of its own."""
    handler = cast("type[Refusal]", type("Handler", (Refusal,), {"status": status, "code": code}))
    with Stub(handler, "AWS_ENDPOINT_URL", "us-east-1") as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        error = await failed_call()
    assert (error.kind, error.code, error.retryable) == (kind, code, retryable)
    assert hint in error.hint
    assert bool(error.hint) == bool(hint)


@pytest.mark.parametrize(
    ("url", "kind", "retryable"),
    [
        ("http://127.0.0.1:1", AwsErrorKind.UNREACHABLE, True),
        ("127.0.0.1", AwsErrorKind.CONFIGURATION, False),
    ],
)
async def test_a_wrong_endpoint_is_unreachable_or_a_configuration_error(
    url: str,
    kind: AwsErrorKind,
    retryable: bool,  # noqa: FBT001  # a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both have a hint that names the variable."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    error = await failed_call()
    assert (error.kind, error.code, error.retryable) == (kind, "", retryable)
    assert "AWS_ENDPOINT_URL" in error.hint
    assert "object at 0x" not in error.reason


async def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says what to set."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    error = await failed_call()
    assert (error.kind, error.retryable) == (AwsErrorKind.CONFIGURATION, False)
    assert "AWS_PROFILE" in error.reason


async def test_a_call_ends_at_its_total_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome is unknown then."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        error = await failed_call(CallLimits(timeout_s=60.0, attempts=1, total_s=0.2))
    assert (error.kind, error.retryable) == (AwsErrorKind.UNREACHABLE, True)


async def test_what_credentials_come_from_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that a profile names; botocore lets the system's error through."""
    (tmp_path / "config").write_text("[default]\ncredential_process = /nowhere/at-all\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    error = await failed_call()
    assert (error.kind, error.retryable) == (AwsErrorKind.CONFIGURATION, False)
    assert "/nowhere/at-all" in error.reason


async def test_calls_at_once_share_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in its thread, and one client per service."""
    handler = cast("type[Refusal]", type("Handler", (Refusal,), {"code": "QueueDoesNotExist"}))
    made: list[str] = []
    make = boto3.Session.client

    def counted(self: object, service: str, **options: object) -> object:
        made.append(service)
        return make(self, service, **options)

    monkeypatch.setattr(boto3.Session, "client", counted)
    with Stub(handler, "AWS_ENDPOINT_URL", "us-east-1") as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        session = AwsSession(limits=ONCE)
        calls = [session.call("sqs", "list_queues", "sqs:ListQueues") for _ in range(5)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert session.endpoint("sqs") == server.environ["AWS_ENDPOINT_URL"]
        assert session.region("sqs") == "us-east-1"
        await session.aclose()
    assert [cast("AwsCallError", error).code for error in errors] == ["QueueDoesNotExist"] * 5
    assert made == ["sqs"]


def test_a_process_ends_although_a_call_has_no_response() -> None:
    """The time of its timeouts would be minutes."""
    script = """
import asyncio, os, socket
from batcher.tools.aws import AwsCallError, AwsSession, CallLimits

async def main(url):
    session = AwsSession(limits=CallLimits(timeout_s=200.0, attempts=1, total_s=0.5))
    try:
        await session.call("sqs", "list_queues", "sqs:ListQueues")
    except AwsCallError as error:
        print(error.kind.name)
    await session.aclose()

with socket.create_server(("127.0.0.1", 0)) as silent:
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
    asyncio.run(main(os.environ["AWS_ENDPOINT_URL"]))
"""
    environ = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"), "x")
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
        timeout=100,  # ends the process if the test fails
    )
    assert (done.stdout, done.stderr, done.returncode) == ("UNREACHABLE\n", "", 0)
