"""Logs: in Lambda, batcher's lines as JSON objects, in either of Lambda's log formats.

A template names its fields: `log.error("not_durable source=%s error=%s", …)` is an event and two
fields. Elsewhere that is the text of the line; in Lambda it becomes
`{"timestamp", "level", "message": "not_durable", "logger", "requestId", "source", "error"}`, the
names that Lambda's own lines have. A logger that somebody has set up is left as it is.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping

import orjson

_RUNTIME_HANDLER_PREFIX = "LambdaLoggerHandler"
"""What the classes of handlers are called that Lambda's runtime client gives the root logger."""


_CLIENT_LOGGERS = ("aiobotocore", "botocore")
"""Their lines of level DEBUG have whole bodies in them."""


_labels: dict[str, str] = {}


def set_labels(labels: Mapping[str, str]) -> None:
    """Put these fields on every line from now on, in place of those before."""
    _labels.clear()
    _labels.update(labels)


def configure(*, lambda_writes_json: bool) -> None:
    """Return our lines their form, if only Lambda's runtime client has set logging up.

    And keep bodies out of the log: who wants the client's own DEBUG lines sets its level.

    Args:
        is_json: whether Lambda writes JSON itself: then it gets our fields. Else we write.
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
        ours.addFilter(_set_fields)  # the same function twice is there once
    else:
        ours.addHandler(JsonLogHandler())
        ours.propagate = False


class JsonLogHandler(logging.Handler):
    """Writes each record as one JSON object a line, on standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what cannot be written is told as logging does, and raises nothing."""
        try:
            event, fields = _parse(record)
            if record.exc_info:
                fields["stackTrace"] = logging.Formatter().formatException(record.exc_info)
            written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            found = {
                "timestamp": f"{written}.{record.msecs:03.0f}Z",
                "level": record.levelname,
                "message": event,
                "logger": record.name,
                **_labels,
                **fields,
            }
            write_line(orjson.dumps(found, str).decode())
        except Exception:  # noqa: BLE001  # as every handler of the standard library
            self.handleError(record)


def write_line(line: str) -> None:
    """Write one line to standard output, which is Lambda's log, in one piece."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _set_fields(record: logging.LogRecord) -> bool:
    """Turn a record's arguments into fields, which Lambda's JSON formatter shows."""
    event, fields = _parse(record)
    record.msg, record.args = event, ()
    trace = {name: value for name, value in _labels.items() if name != "requestId"}  # it has that
    record.__dict__.update(trace | fields)
    return True


def _parse(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    """Return the event and the fields of a record, or all its text where it has another form."""
    event, *pairs = str(record.msg).split(" ")
    arguments = record.args if isinstance(record.args, tuple) else ()
    if "%" in event or len(pairs) != len(arguments) or not all("=%" in pair for pair in pairs):
        return record.getMessage(), {}
    fields: dict[str, object] = {}
    for pair, argument in zip(pairs, arguments, strict=True):
        is_plain = isinstance(argument, (str, int, float))
        fields[pair.partition("=")[0]] = argument if is_plain else str(argument)
    return event, fields
