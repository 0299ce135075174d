"""Message: a quarantined record as an entry of SQS's SendMessageBatch, within its limits."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batcher.records.chunk import digest_of

if TYPE_CHECKING:
    from batcher.tools.replay.marks import Line

_QUEUE = re.compile(
    r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*(?:/[A-Za-z0-9._-]+)+/[A-Za-z0-9_-]{1,80}(?:\.fifo)?"
)
"""Any host, for emulators and endpoints of one's own; then an account, at least, and the name."""


EXAMPLE = "https://sqs.eu-west-1.amazonaws.com/123456789012/name"


# Source: Amazon SQS API reference, SendMessageBatch
MAX_ENTRIES = 10


MAX_BYTES = 1024**2


_REFUSED = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnsendableError(ValueError):
    """A record that no queue takes as it is; the message says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to be sent."""

    identity: str
    """The line's, to tell afterwards what became of it."""
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    """As SQS takes them; those of the message that the record once was."""
    fifo: Mapping[str, str]
    """MessageGroupId and MessageDeduplicationId; empty for a standard queue."""
    size_bytes: int

    def entry(self, number: int) -> dict[str, Any]:
        """Give the entry of a batch whose answer will name it by `number`."""
        entry: dict[str, Any] = {"Id": str(number), "MessageBody": self.body, **self.fifo}
        if self.attributes:
            entry["MessageAttributes"] = self.attributes
        return entry


def is_fifo(url: str) -> bool:
    """Say whether a queue keeps the order; its name must then end so."""
    return url.rstrip("/").endswith(".fifo")


def message_of(line: Line, payload: bytes, scope: str, url: str) -> Message:
    """Make the message of a record.

    Its deduplication id follows from where the record stands, so that a FIFO queue takes what is
    sent again within five minutes once.

    Raises:
        UnsendableError: SQS would not take it, or something of it would be lost.
    """
    body = _body(payload)
    attributes = _attributes(line)
    size_bytes = len(payload) + sum(map(_attribute_bytes, attributes, attributes.values()))
    if size_bytes > MAX_BYTES:
        msg = f"{size_bytes} bytes with its attributes; SQS takes {MAX_BYTES}"
        raise UnsendableError(msg)
    fifo = {}
    if is_fifo(url):
        group = _at(line.fields.get("envelope"), "attributes", "MessageGroupId")
        fifo = {
            "MessageGroupId": group if isinstance(group, str) else digest_of([line.position]),
            "MessageDeduplicationId": digest_of([scope, line.identity]),
        }
    return Message(line.identity, body, attributes, fifo, size_bytes)


def batches_of(messages: Sequence[Message]) -> list[list[Message]]:
    """Divide messages, in their order, into what one call takes.

    Of a FIFO group there is one in a call: if it has to be sent again, none has overtaken it.
    """
    batches: list[list[Message]] = []
    room_bytes = 0
    groups: set[str] = set()
    for message in messages:
        is_full = not batches or len(batches[-1]) == MAX_ENTRIES
        group = message.fifo.get("MessageGroupId")
        if is_full or message.size_bytes > room_bytes or group in groups:
            batches.append([])
            room_bytes = MAX_BYTES
            groups.clear()
        batches[-1].append(message)
        room_bytes -= message.size_bytes
        if group is not None:
            groups.add(group)
    return batches


def _body(payload: bytes) -> str:
    if not payload:
        msg = "SQS takes no empty message"
        raise UnsendableError(msg)
    try:
        body = payload.decode()
    except UnicodeDecodeError as error:
        msg = f"SQS takes text only; byte {payload[error.start]:#04x} at {error.start} is none"
        raise UnsendableError(msg) from error
    refused = _REFUSED.search(body)
    if refused is not None:
        msg = f"SQS does not take the character U+{ord(refused[0]):04X} at {refused.start()}"
        raise UnsendableError(msg)
    return body


def _attributes(line: Line) -> dict[str, dict[str, Any]]:
    """Give the message's own attributes, in the form in which they are sent."""
    envelope = line.fields.get("envelope")
    if line.fields["source"] == "sqs" and not isinstance(envelope, Mapping):
        msg = "its envelope is kept as text, so its message attributes would be lost"
        raise UnsendableError(msg)
    found = _at(envelope, "messageAttributes")
    if not isinstance(found, Mapping):
        return {}
    return {name: _attribute(name, value) for name, value in found.items()}


def _attribute(name: str, found: object) -> dict[str, Any]:
    """Turn one attribute from the form of Lambda's events into that of the API."""
    kind, text, packed = (_at(found, n) for n in ("dataType", "stringValue", "binaryValue"))
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


def _at(found: object, *path: str) -> object:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def why_no_queue(url: str) -> str | None:
    """Say why this is not the URL of a queue; None: it may be one."""
    if _QUEUE.fullmatch(url):
        return None
    return f"{url!r} is no queue's URL, which is as {EXAMPLE}"
