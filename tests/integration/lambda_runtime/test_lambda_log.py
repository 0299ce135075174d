"""What stands in the log of a function under Lambda's own runtime client, in both log formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.emf_schema import metrics_of
from support.examples import kinesis_record, message
from support.handler_harness import NO_FAILURES
from support.runtime_api import TRACE, Function

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

pytestmark = pytest.mark.slow

FORMATS = ["Text", "JSON"]
TRACE_ID = TRACE.split(";")[0].removeprefix("Root=")
SECRET = "thepayloadssecret"
TRANSFORMING = f"""
import logging
import os

from batcher.handler import make_handler


def transform(payload):
    if b"raise" in payload:
        raise ValueError(payload.decode())
    return {{}}["{SECRET}"] if b"key" in payload else payload


inner = make_handler(transform=transform)


def handler(event, context):
    logging.getLogger("mine").warning("a line of mine: %d", 7)
    return inner(event, context)
"""


class Log:
    """A function that writes to a folder, and its log."""

    def __init__(self, folder: Path, format_: str, **environ: str) -> None:
        """Write to `folder`, logging in this format."""
        self._folder = folder
        self._environ = {
            "AWS_LAMBDA_LOG_FORMAT": format_,
            "BATCHER_BUCKET": f"file://{folder}/out",
            "BATCHER_ROOT": "events",
            "BATCHER_PARTIAL_RESPONSE": "true",
            **environ,
        }
        (folder / "transforming.py").write_text(TRANSFORMING)

    def function(self, handler: str = "batcher.handler.handler") -> Function:
        """Start a sandbox."""
        return Function(self._environ, self._folder, handler)

    def text(self) -> str:
        """Return all there is."""
        return (self._folder / "function.log").read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines that are JSON objects."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event of ours."""
        return [line for line in self.lines() if line.get("message") == event]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_line_is_one_json_object_with_its_fields(tmp_path: Path, format_: str) -> None:
    """Under the names that Lambda's own lines have, and of the event that it belongs to."""
    log = Log(tmp_path, format_)
    with log.function() as function:
        assert function.invoke({"Records": [message("a", "1"), message("b", "bad")]}) == (
            "response",
            NO_FAILURES,
        )
        assert function.invoke({"Records": [message("c", "bad")]}) == ("response", NO_FAILURES)
    first, second = log.told("quarantined")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", first.pop("timestamp"))
    assert "/_quarantine/sqs/" in first.pop("key")
    assert first == {
        "level": "WARNING",
        "message": "quarantined",
        "logger": "batcher",
        "requestId": "request-1",
        "xray_trace_id": TRACE_ID,
        "records": 1,
    }
    assert second["requestId"] == "request-2"
    assert "quarantined records" not in log.text(), "written twice"


@pytest.mark.parametrize("format_", FORMATS)
def test_each_invocation_has_one_line_of_metrics(tmp_path: Path, format_: str) -> None:
    """As CloudWatch reads them: the line alone, whatever the format of the others."""
    log = Log(tmp_path, format_)
    with log.function() as function:
        function.invoke({"Records": [message("a", "1"), message("b", "bad")]})
        kind, _ = function.invoke({"Records": [{"eventSource": "aws:kafka"}]})
        assert kind == "error"
        function.invoke({"Records": []})
    lines = [line for line in log.text().splitlines() if '"_aws"' in line]
    found = [metrics_of(line) for line in lines]
    assert [each["batcher_records_total"] for each in found] == [[1], [0], [0]]
    assert found[0]["batcher_quarantined_records_total"] == [1]
    assert found[0]["batcher_cold_starts_total"] == [1]
    documents = [json.loads(line) for line in lines]
    assert {document["FunctionName"] for document in documents} == {"batcher"}
    assert {document["xray_trace_id"] for document in documents} == {TRACE_ID}
    requests = [document["requestId"] for document in documents]
    assert requests == ["request-1", "request-2", "request-3"]
    assert documents[1]["error"] == "UnknownSourceError"


@pytest.mark.parametrize("format_", FORMATS)
def test_lines_of_the_users_own_stay_as_lambda_writes_them(tmp_path: Path, format_: str) -> None:
    """Only ours get their form, for the root logger is not ours."""
    log = Log(tmp_path, format_)
    with log.function("transforming.handler") as function:
        function.invoke({"Records": [message("a", "1"), message("b", "bad")]})
    (line,) = [line for line in log.text().splitlines() if "a line of mine" in line]
    if format_ == "JSON":
        assert json.loads(line)["message"] == "a line of mine: 7"
    else:
        assert re.fullmatch(r"\[WARNING\]\t\S+Z\trequest-1\ta line of mine: 7", line)
    assert len(log.told("quarantined")) == 1


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("on_bad_record", ["quarantine", "drop", "fail"])
def test_no_payload_is_in_any_line(tmp_path: Path, format_: str, on_bad_record: str) -> None:
    """Good, bad, in the error of a transform, or of no event; with every level logged."""
    log = Log(tmp_path, format_, AWS_LAMBDA_LOG_LEVEL="DEBUG", BATCHER_ON_BAD_RECORD=on_bad_record)
    bodies = [f'{{"a":"{SECRET}"}}', SECRET, f"{SECRET} raise", f"{SECRET} key", f'"{SECRET}']
    with log.function("transforming.handler") as function:
        function.invoke({"Records": [message(f"m{n}", body) for n, body in enumerate(bodies)]})
        for n, body in enumerate(bodies):
            function.invoke({"Records": [kinesis_record(f"{n}", body.encode())]})
            function.invoke({"a": body})
            function.invoke([body])
            function.invoke(body)
    assert SECRET not in log.text()
    assert log.told("batch_written")
    assert bool(log.told("quarantined")) == (on_bad_record == "quarantine")
    assert bool(log.told("refused")) == (on_bad_record == "fail")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("engine", ["aioboto3", "obstore"])
def test_no_client_tells_a_payload_either(
    tmp_path: Path, seaweedfs: SeaweedFS, bucket: str, engine: str, format_: str
) -> None:
    """Lines of level DEBUG that botocore writes would have whole bodies in them."""
    seaweedfs.create_bucket(bucket)
    own = {"BATCHER_BUCKET": bucket, "BATCHER_ENGINE": engine, "BATCHER_COMPRESSION": "none"}
    log = Log(tmp_path, format_, AWS_LAMBDA_LOG_LEVEL="DEBUG", **seaweedfs.environ, **own)
    with log.function() as function:
        event = {"Records": [message("a", f'"{SECRET}"')]}
        assert function.invoke(event) == ("response", NO_FAILURES)
    assert SECRET not in log.text()
    (line,) = log.told("batch_written")
    assert (line["records"], line["size_bytes"], line["level"]) == (1, len(SECRET) + 3, "DEBUG")
    (metrics,) = [line for line in log.lines() if "_aws" in line]
    assert len(metrics["batcher_put_seconds"]) == 1
    assert metrics["sent_bytes"] == len(SECRET) + 3


@pytest.mark.parametrize("format_", FORMATS)
def test_an_object_has_no_line_by_default(tmp_path: Path, format_: str) -> None:
    """Lines cost money; the line of metrics says how many objects there are."""
    log = Log(tmp_path, format_, AWS_LAMBDA_LOG_LEVEL="INFO" if format_ == "JSON" else "")
    with log.function() as function:
        function.invoke({"Records": [message("a", "1")]})
    assert [line for line in log.lines() if "_aws" not in line] == []
