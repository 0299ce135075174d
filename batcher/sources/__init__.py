"""Sources: an event from Lambda, or records from a program, read into chunks.

To add an event source:

1. Add a module here with a function `read`, and register it in `_READERS`. `event_fields` has the
   helpers to read an event's fields. `event` has `Event`, and selects the failures for Lambda.
2. Give its `Origin` a `NamingScheme` (`records/chunk.py`). A new scheme needs a name in
   `keys/names.py`, a choice in `object_name` (`writing/object.py`), and a pattern in
   `keys/parse.py`.
3. If its records have an envelope, remove the payload from it in `_without_payload`
   (`batching/quarantine.py`).
4. Add it to the tools: `SourceService` in `tools/check/mapping.py` for `batcher check`, and
   `SourceType` in `tools/plan/workload.py` for `batcher plan`, whose tables by source are in
   `invocations.py`, `sizing.py`, `output.py` and `costs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from batcher.errors import UnknownSourceError
from batcher.sources.event import Event
from batcher.sources.event_fields import distinct_sources, get_path, short_name

__all__ = ["Event", "read_event"]

_READERS = {"aws:sqs": "sqs", "aws:kinesis": "kinesis", "aws:dynamodb": "dynamodb"}
"""The module for each event source. Imported on use: a Lambda function has one source."""

_SERVICE_EVENT_KEYS = {
    "API Gateway (REST) or a load balancer": {"requestContext", "httpMethod"},
    "API Gateway (HTTP) or a function URL": {"requestContext", "rawPath"},
    "API Gateway (WebSocket)": {"requestContext", "isBase64Encoded"},
    "Cognito": {"triggerSource", "userPoolId"},
    "S3 Batch Operations": {"invocationSchemaVersion", "tasks"},
}
"""Keys that identify the event of a service that does not name itself.

Source: AWS Lambda developer guide, the example event of each service.
"""

_HINT = f"batcher reads {', '.join(_READERS)}, and direct invokes with a dict or a list of them"


def read_event(event: object, now_s: float) -> Event:
    """Read any event into chunks.

    Args:
        event: the parsed event that Lambda passed to the function.
        now_s: the time in seconds since 1970, for records without an arrival time.

    Raises:
        UnknownSourceError: batcher does not read this source, or the records are of several.
        RejectedError: a record has no identity, so it cannot be acknowledged.
    """
    if isinstance(event, Mapping) and event:
        records = event.get("Records")
        if records == []:
            return Event(source="empty", chunks=[], bad=[], positions=[])
        if isinstance(records, list) and records:
            return _read_with(_READERS[_event_source(records)], records, now_s)
        foreign = _foreign_source(event)
        if foreign is None:
            return _read_with("direct", [event], now_s)
        msg = f"unsupported event: {foreign}; {_HINT}"
        raise UnknownSourceError(msg)
    if isinstance(event, list) and all(isinstance(record, dict) for record in event):
        return _read_with("direct", event, now_s)
    what = (
        f"a list with {_list_types(event)} in it"
        if isinstance(event, list)
        else _describe_event(event)
    )
    msg = f"unsupported event: {what}; {_HINT}"
    raise UnknownSourceError(msg)


def _read_with(name: str, records: Sequence[Any], now_s: float) -> Event:
    """Read records with the module `name` of this package."""
    read: Callable[[Sequence[Any], float], Event]
    read = import_module(f"batcher.sources.{name}").read
    return read(records, now_s)


def _event_source(records: Sequence[Any]) -> str:
    """Return the source of the first record. Its reader checks the others."""
    source = get_path(records[0], "eventSource")
    if not isinstance(source, str) or source not in _READERS:
        msg = f"unsupported event: {', '.join(distinct_sources(records))}; {_HINT}"
        raise UnknownSourceError(msg)
    return source


def _foreign_source(event: Mapping[str, Any]) -> str | None:
    """Return the name of the service that sent the event, or None for a direct invoke."""
    if "Records" in event:
        return f"Records is {type(event['Records']).__name__}, not a list"
    if "records" in event:
        return short_name(event.get("eventSource") or "a source that sends `records`")
    if "awslogs" in event:
        return "CloudWatch Logs (awslogs)"
    if "detail-type" in event and "source" in event:
        return f"EventBridge ({short_name(event['source'])})"
    source = event.get("eventSource")
    if isinstance(source, str) and source.startswith("aws:"):
        return short_name(
            source
        )  # Amazon MQ, DocumentDB, self-managed Kafka: each has its own event format
    return next((name for name, keys in _SERVICE_EVENT_KEYS.items() if event.keys() >= keys), None)


def _describe_event(event: object) -> str:
    """Return the type of an event, but no content, because errors are logged."""
    return repr(event) if not event else f"a {type(event).__name__}"


def _list_types(records: Sequence[object]) -> str:
    return ", ".join(sorted({type(r).__name__ for r in records if not isinstance(r, dict)}))
