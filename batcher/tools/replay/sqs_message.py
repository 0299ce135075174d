"""SQS message: a quarantined record as an entry of SendMessageBatch, within the limits of SQS."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batcher.records.chunk import positions_digest

if TYPE_CHECKING:
    from batcher.tools.replay.marks import QuarantineLine

# Source: Amazon SQS API reference, SendMessageBatch
MAX_BATCH_MESSAGES = 10
MAX_BATCH_BYTES = 1024**2


class UnsendableError(ValueError):
    """A record cannot be a message of a queue. The message of the error says why."""


@dataclass(frozen=True, slots=True)
class SqsMessage:
    """One message to send."""

    identity: str
    """The identity of the line."""
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    """The message attributes of the original message, as the API of SQS has them."""
    fifo_parameters: Mapping[str, str]
    """MessageGroupId and MessageDeduplicationId. Empty for a standard queue."""
    size_bytes: int
    """The size by which SQS limits a call: payload and attributes."""

    def to_entry(self, number: int) -> dict[str, Any]:
        """Return the entry of a batch. The response of SQS refers to it by `number`."""
        entry: dict[str, Any] = {
            "Id": str(number),
            "MessageBody": self.body,
            **self.fifo_parameters,
        }
        if self.attributes:
            entry["MessageAttributes"] = self.attributes
        return entry


def is_fifo(url: str) -> bool:
    """Return whether the URL is that of a FIFO queue, whose name must end with `.fifo`."""
    return url.rstrip("/").endswith(".fifo")


def make_message(line: QuarantineLine, payload: bytes, scope: str, url: str) -> SqsMessage:
    """Return the message of a record.

    Its deduplication id is derived from the record's position. So a FIFO queue accepts the message
    once if it is sent several times within five minutes.

    Raises:
        UnsendableError: SQS would reject the message, or a part of it would be lost.
    """
    body = _decode_body(payload)
    attributes = _convert_attributes(line)
    size_bytes = len(payload) + sum(map(_attribute_bytes, attributes, attributes.values()))
    if size_bytes > MAX_BATCH_BYTES:
        msg = f"{size_bytes} bytes with its attributes; SQS accepts {MAX_BATCH_BYTES}"
        raise UnsendableError(msg)
    fifo_parameters = {}
    if is_fifo(url):
        group = _get_nested(line.fields.get("envelope"), "attributes", "MessageGroupId")
        fifo_parameters = {
            "MessageGroupId": group
            if isinstance(group, str)
            else positions_digest([line.position]),
            "MessageDeduplicationId": positions_digest([scope, line.identity]),
        }
    return SqsMessage(line.identity, body, attributes, fifo_parameters, size_bytes)


def split_batches(messages: Sequence[SqsMessage]) -> list[list[SqsMessage]]:
    """Divide messages, in their order, into batches for one call each.

    A batch has at most one message of a FIFO group, so that no message overtakes one of its group
    that has to be sent again.
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


_INVALID_CHARACTER = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _decode_body(payload: bytes) -> str:
    if not payload:
        msg = "SQS does not accept an empty message"
        raise UnsendableError(msg)
    try:
        body = payload.decode()
    except UnicodeDecodeError as error:
        byte = payload[error.start]
        msg = f"SQS accepts only text; byte {byte:#04x} at {error.start} is not UTF-8"
        raise UnsendableError(msg) from error
    invalid = _INVALID_CHARACTER.search(body)
    if invalid is not None:
        msg = f"SQS does not accept the character U+{ord(invalid[0]):04X} at {invalid.start()}"
        raise UnsendableError(msg)
    return body


def _convert_attributes(line: QuarantineLine) -> dict[str, dict[str, Any]]:
    """Return the message attributes of a record's envelope, in the form of the API."""
    envelope = line.fields.get("envelope")
    if line.fields["source"] == "sqs" and not isinstance(envelope, Mapping):
        msg = "its envelope is stored as text, so its message attributes would be lost"
        raise UnsendableError(msg)
    attributes = _get_nested(envelope, "messageAttributes")
    if not isinstance(attributes, Mapping):
        return {}
    return {name: _convert_attribute(name, value) for name, value in attributes.items()}


def _convert_attribute(name: str, value: object) -> dict[str, Any]:
    """Convert one attribute from the form of Lambda events to the form of the API."""
    data_type = _get_nested(value, "dataType")
    text, binary = _get_nested(value, "stringValue"), _get_nested(value, "binaryValue")
    if isinstance(data_type, str) and isinstance(text, str):
        return {"DataType": data_type, "StringValue": text}
    try:
        if isinstance(data_type, str) and isinstance(binary, str):
            return {"DataType": data_type, "BinaryValue": b64decode(binary, validate=True)}
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


_QUEUE_URL = re.compile(
    r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*(?:/[A-Za-z0-9._-]+)+/[A-Za-z0-9_-]{1,80}(?:\.fifo)?"
)
"""Any host, because emulators and VPC endpoints have their own. Then at least an account, and the
name of the queue."""

EXAMPLE_QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/name"


def queue_url_fault(url: str) -> str | None:
    """Return why `url` cannot be the URL of a queue, or None if it can be."""
    if _QUEUE_URL.fullmatch(url):
        return None
    return f"{url!r} is not the URL of a queue; use one such as {EXAMPLE_QUEUE_URL}"
