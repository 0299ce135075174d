"""Logs: writes batcher's log lines as JSON objects in Lambda, in either of Lambda's log formats.

A template names its fields: `log.error("not_durable source=%s error=%s", …)` has an event and two
fields. Outside of Lambda that is the text of the line. In Lambda it becomes
`{"timestamp", "level", "message": "not_durable", "logger", "requestId", "source", "error"}`, with
the field names of Lambda's own lines. A logger that is already configured is left unchanged.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping

import orjson

_RUNTIME_HANDLER_PREFIX = "LambdaLoggerHandler"
"""The class names of the handlers that Lambda's runtime client installs start with this."""


_CLIENT_LOGGERS = ("aiobotocore", "botocore")
"""Their DEBUG lines contain whole request bodies."""


_labels: dict[str, str] = {}


def set_labels(labels: Mapping[str, str]) -> None:
    """Add these fields to every following line, instead of the previous ones."""
    _labels.clear()
    _labels.update(labels)


def configure(*, lambda_writes_json: bool) -> None:
    """Format batcher's lines as JSON, unless the user has configured logging.

    Also set the loggers of the S3 client to INFO, unless the user has set their level, to keep
    request bodies out of the log.

    Args:
        lambda_writes_json: whether Lambda's runtime formats lines as JSON. Then it gets our fields.
            Otherwise we write the lines.
    """
    for client in map(logging.getLogger, _CLIENT_LOGGERS):
        if client.level == logging.NOTSET:
            client.setLevel(logging.INFO)
    ours, root = logging.getLogger("batcher"), logging.getLogger()
    if ours.handlers or not root.handlers:
        return
    if not all(
        type(handler).__name__.startswith(_RUNTIME_HANDLER_PREFIX) for handler in root.handlers
    ):
        return
    if lambda_writes_json:
        ours.addFilter(_set_fields)  # adding the same function again has no effect
    else:
        ours.addHandler(JsonLogHandler())
        ours.propagate = False


class JsonLogHandler(logging.Handler):
    """Writes each log record as one line of JSON to standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one log record. An error is reported by `logging` and not raised."""
        try:
            event, fields = _parse(record)
            if record.exc_info:
                fields["stackTrace"] = logging.Formatter().formatException(record.exc_info)
            timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            line = {
                "timestamp": f"{timestamp}.{record.msecs:03.0f}Z",
                "level": record.levelname,
                "message": event,
                "logger": record.name,
                **_labels,
                **fields,
            }
            write_line(orjson.dumps(line, str).decode())
        except Exception:  # noqa: BLE001  # as handlers of the standard library do
            self.handleError(record)


def write_line(line: str) -> None:
    """Write one line to standard output, which is Lambda's log, in a single write."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _set_fields(record: logging.LogRecord) -> bool:
    """Turn a log record's arguments into fields for Lambda's JSON formatter."""
    event, fields = _parse(record)
    record.msg, record.args = event, ()
    # Lambda's formatter adds the request id itself
    labels = {name: value for name, value in _labels.items() if name != "requestId"}
    record.__dict__.update(labels | fields)
    return True


def _parse(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """Return a log record's event and fields, or its whole text if its template has no fields."""
    event, *pairs = str(record.msg).split(" ")
    arguments = record.args if isinstance(record.args, tuple) else ()
    if "%" in event or len(pairs) != len(arguments) or not all("=%" in pair for pair in pairs):
        return record.getMessage(), {}
    fields: dict[str, object] = {}
    for pair, argument in zip(pairs, arguments, strict=True):
        is_plain = isinstance(argument, (str, int, float))
        fields[pair.partition("=")[0]] = argument if is_plain else str(argument)
    return event, fields
