"""Message: a quarantined record as an entry of SQS's SendMessageBatch, within its limits."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batcher.records.chunk import positions_digest

if TYPE_CHECKING:
    from batcher.tools.replay.marks import QuarantineLine

_QUEUE_URL = re.compile(
    r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*(?:/[A-Za-z0-9._-]+)+/[A-Za-z0-9_-]{1,80}(?:\.fifo)?"
)
"""Any host, for emulators and endpoints of one's own; then an account, at least, and the name."""


EXAMPLE_QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/name"


# Source: Amazon SQS API reference, SendMessageBatch
MAX_BATCH_MESSAGES = 10


MAX_BATCH_BYTES = 1024**2


_INVALID_CHARACTER = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnsendableError(ValueError):
    """A record that no queue takes as it is; the message says why."""


@dataclass(frozen=True, slots=True)
class SqsMessage:
    """One message to be sent."""

    identity: str
    """The line's, to tell afterwards what became of it."""
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    """As SQS takes them; those of the message that the record once was."""
    fifo_parameters: Mapping[str, str]
    """MessageGroupId and MessageDeduplicationId; empty for a standard queue."""
    size_bytes: int

    def to_entry(self, number: int) -> dict[str, Any]:
        """Return the entry of a batch whose answer will name it by `number`."""
        entry: dict[str, Any] = {
            "Id": str(number),
            "MessageBody": self.body,
            **self.fifo_parameters,
        }
        if self.attributes:
            entry["MessageAttributes"] = self.attributes
        return entry


def is_fifo(url: str) -> bool:
    """Return whether a queue keeps the order; its name must then end so."""
    return url.rstrip("/").endswith(".fifo")


def make_message(line: QuarantineLine, payload: bytes, scope: str, url: str) -> SqsMessage:
    """Make the message of a record.

    Its deduplication id follows from where the record stands, so that a FIFO queue takes what is
    sent again within five minutes once.

    Raises:
        UnsendableError: SQS would not take it, or something of it would be lost.
    """
    body = _decode_body(payload)
    attributes = _convert_attributes(line)
    size_bytes = len(payload) + sum(map(_attribute_bytes, attributes, attributes.values()))
    if size_bytes > MAX_BATCH_BYTES:
        msg = f"{size_bytes} bytes with its attributes; SQS takes {MAX_BATCH_BYTES}"
        raise UnsendableError(msg)
    fifo = {}
    if is_fifo(url):
        group = _get_nested(line.fields.get("envelope"), "attributes", "MessageGroupId")
        fifo = {
            "MessageGroupId": group
            if isinstance(group, str)
            else positions_digest([line.position]),
            "MessageDeduplicationId": positions_digest([scope, line.identity]),
        }
    return SqsMessage(line.identity, body, attributes, fifo, size_bytes)


def split_batches(messages: Sequence[SqsMessage]) -> list[list[SqsMessage]]:
    """Divide messages, in their order, into what one call takes.

    Of a FIFO group there is one in a call: if it has to be sent again, none has overtaken it.
    """
    batches: list[list[SqsMessage]] = []
    room_bytes = 0
    groups: set[str] = set()
    for message in messages:
        is_full = not batches or len(batches[-1]) == MAX_BATCH_MESSAGES
        group = message.fifo_parameters.get("MessageGroupId")
        if is_full or message.size_bytes > room_bytes or group in groups:
            batches.append([])
            room_bytes = MAX_BATCH_BYTES
            groups.clear()
        batches[-1].append(message)
        room_bytes -= message.size_bytes
        if group is not None:
            groups.add(group)
    return batches


def _decode_body(payload: bytes) -> str:
    if not payload:
        msg = "SQS takes no empty message"
        raise UnsendableError(msg)
    try:
        body = payload.decode()
    except UnicodeDecodeError as error:
        msg = f"SQS takes text only; byte {payload[error.start]:#04x} at {error.start} is none"
        raise UnsendableError(msg) from error
    refused = _INVALID_CHARACTER.search(body)
    if refused is not None:
        msg = f"SQS does not take the character U+{ord(refused[0]):04X} at {refused.start()}"
        raise UnsendableError(msg)
    return body


def _convert_attributes(line: QuarantineLine) -> dict[str, dict[str, Any]]:
    """Return the message's own attributes, in the form in which they are sent."""
    envelope = line.fields.get("envelope")
    if line.fields["source"] == "sqs" and not isinstance(envelope, Mapping):
        msg = "its envelope is kept as text, so its message attributes would be lost"
        raise UnsendableError(msg)
    found = _get_nested(envelope, "messageAttributes")
    if not isinstance(found, Mapping):
        return {}
    return {name: _convert_attribute(name, value) for name, value in found.items()}


def _convert_attribute(name: str, value: object) -> dict[str, Any]:
    """Turn one attribute from the form of Lambda's events into that of the API."""
    kind, text, packed = (_get_nested(value, n) for n in ("dataType", "stringValue", "binaryValue"))
    if isinstance(kind, str) and isinstance(text, str):
        return {"DataType": kind, "StringValue": text}
    try:
        if isinstance(kind, str) and isinstance(packed, str):
            return {"DataType": kind, "BinaryValue": b64decode(packed, validate=True)}
    except ValueError:
        pass
    msg = f"its message attribute {name!r} has no value that can be sent"
    raise UnsendableError(msg)


def _attribute_bytes(name: str, attribute: Mapping[str, Any]) -> int:
    return len(name.encode()) + sum(
        len(value.encode() if isinstance(value, str) else value) for value in attribute.values()
    )


def _get_nested(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def queue_url_fault(url: str) -> str | None:
    """Return why this is not the URL of a queue; None: it may be one."""
    if _QUEUE_URL.fullmatch(url):
        return None
    return f"{url!r} is no queue's URL, which is as {EXAMPLE_QUEUE_URL}"
