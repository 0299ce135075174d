"""The handler within the decorators of Powertools for AWS Lambda, under the real runtime client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_lambda_powertools  # noqa: F401  # the functions below need it: told here if missing
import pytest

from support.emf_schema import metrics_of
from support.examples import kinesis_record, message
from support.handler_harness import NO_FAILURES
from support.runtime_api import TRACE, Function

pytestmark = pytest.mark.slow

DECORATED = """
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.middleware_factory import lambda_handler_decorator

from batcher.handler import make_handler

logger = Logger(service="orders")
tracer = Tracer(service="orders")
metrics = Metrics(namespace="orders", service="orders")
inner = make_handler()


@lambda_handler_decorator
def middleware(handler, event, context):
    logger.info("before")
    return handler(event, context)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def around(event, context):
    logger.info("received")
    metrics.add_metric("orders", "Count", len(event["Records"]))
    return inner(event, context)


direct = logger.inject_lambda_context(
    tracer.capture_lambda_handler(metrics.log_metrics(middleware(inner)))
)
traced = tracer.capture_lambda_handler(inner)
logged = logger.inject_lambda_context(inner, log_event=False)
measured = metrics.log_metrics(inner)
within = middleware(inner)
"""
HANDLERS = ["around", "direct", "traced", "logged", "measured", "within"]
TRACE_ID = TRACE.split(";")[0].removeprefix("Root=")


class Daemon:
    """Where X-Ray's daemon would listen."""

    def __init__(self) -> None:
        """Choose a free port."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0)

    def environ(self) -> dict[str, str]:
        """Return what leads there."""
        return {"AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{self.socket.getsockname()[1]}"}

    def segments(self) -> list[dict[str, Any]]:
        """Return what has come."""
        found = []
        while True:
            try:
                found.append(json.loads(self.socket.recv(65_536).split(b"\n", 1)[1]))
            except BlockingIOError:
                return found


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Listen."""
    made = Daemon()
    yield made
    made.socket.close()


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("format_", ["Text", "JSON"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_decorated_handler_answers_raises_and_reports_as_a_bare_one(
    tmp_path: Path, daemon: Daemon, handler: str, format_: str
) -> None:
    """Each decorator alone, and all of them, around a function or around the handler itself."""
    (tmp_path / "decorated.py").write_text(DECORATED)
    environ = {
        **daemon.environ(),
        "AWS_LAMBDA_LOG_FORMAT": format_,
        "BATCHER_BUCKET": f"file://{tmp_path}/out",
        "BATCHER_PARTIAL_RESPONSE": "true",
    }
    with Function(environ, tmp_path, f"decorated.{handler}") as function:
        event = {"Records": [message("a", "1"), message("b", "bad")]}
        assert function.invoke(event) == ("response", NO_FAILURES)
        kind, error = function.invoke({"Records": [{"eventSource": "aws:kafka"}]})
        assert (kind, error["errorType"]) == ("error", "UnknownSourceError")
        assert function.invoke({"Records": [kinesis_record("1")]}) == ("response", NO_FAILURES)
    text = (tmp_path / "function.log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    ours = [line for line in lines if "batcher_records_total" in line]
    assert [line["batcher_records_total"] for line in ours] == [1, 0, 1]
    assert [line["requestId"] for line in ours] == ["request-1", "request-2", "request-3"]
    assert [metrics_of(json.dumps(line)).keys() >= {"batcher_records_total"} for line in ours]
    (quarantined,) = [line for line in lines if line.get("message") == "quarantined"]
    assert quarantined["requestId"] == "request-1"
    if handler in {"around", "direct", "traced"}:
        assert {segment["trace_id"] for segment in daemon.segments()} == {TRACE_ID}
    if handler == "around":
        assert [line["orders"] for line in lines if "orders" in line] == [[2.0], [1.0], [1.0]]
        received = [line for line in lines if line.get("message") == "received"]
        assert [line["function_request_id"] for line in received] == [
            "request-1", "request-2", "request-3",
        ]  # fmt: skip
