"""SQS: messages of standard and FIFO queues. Each message is acknowledged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from batcher.keys.names import SEQUENCE_DIGITS, make_stem
from batcher.records.bad_record import BadRecord, describe
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.sources.event import Event, FailureSelector, Ledger
from batcher.sources.event_fields import (
    EventRecords,
    distinct_arns,
    get_arn,
    get_path,
    group_by,
    name_in_arn,
    parse_milliseconds,
    read_times,
    require_identities,
    split_non_text,
)
from batcher.sources.identities import separate_records

_ORIGIN = Origin("sqs", NamingScheme.MESSAGE_SET)

_MS = 1e-3

_ID, _BODY, _ATTRIBUTES = itemgetter("messageId"), itemgetter("body"), itemgetter("attributes")
_SENT = itemgetter("SentTimestamp")


def read(records: EventRecords, now_s: float) -> Event:
    """Read messages into one chunk per queue, and each message once.

    The chunk of a FIFO queue is in the order of its sequence numbers. Within a message group that
    is the order in which the messages were sent.
    """
    try:
        ids = list(map(_ID, records))
        bodies = list(map(_BODY, records))
        sent_s: Sequence[float] = parse_milliseconds(map(_SENT, map(_ATTRIBUTES, records)))
    except (KeyError, TypeError, ValueError):
        ids = [get_path(r, "messageId") for r in records]
        bodies = [get_path(r, "body") for r in records]
        sent_s = read_times(records, ("attributes", "SentTimestamp"), _MS, now_s)
    arns = distinct_arns(records, "aws:sqs")
    sequence_numbers = None
    if get_path(records[0], "attributes", "SequenceNumber") is not None:
        sequence_numbers = [
            _parse_sequence_number(get_path(r, "attributes", "SequenceNumber")) for r in records
        ]
    positions = require_identities(ids, "messageId")
    whole = Chunk(_ORIGIN, bodies, positions, sent_s, records, sequence_numbers)
    if sequence_numbers is not None:
        whole = _sort_by_number(whole, sequence_numbers)
    whole, identities = separate_records(whole, _content)
    chunks: list[Chunk] = []
    bad: list[BadRecord] = []
    queues = [(next(iter(arns)), whole)] if len(arns) == 1 else group_by(whole, get_arn)
    for arn, chunk in queues:
        named = replace(chunk, origin=replace(_ORIGIN, stem=make_stem(name_in_arn(arn, "queue"))))
        good, non_texts = split_non_text(named, "the message's body is no text")
        chunks.append(good)
        bad += non_texts
    if sequence_numbers is None:
        return Event("sqs", chunks, bad, whole.positions, identities=identities)
    groups = {
        position: str(get_path(envelope, "attributes", "MessageGroupId"))
        for position, envelope in zip(whole.positions, whole.envelopes or (), strict=True)
    }
    select_failures = from_first_failure(groups, identities)
    return Event("sqs", chunks, bad, whole.positions, select_failures, identities=identities)


def from_first_failure(
    groups: Mapping[str, str], identities: Mapping[str, str] | None = None
) -> FailureSelector:
    """Select, in each FIFO group, the first message that is not durable and all after it.

    Args:
        groups: the group of each position.
        identities: see `Event.identities`. A message is durable if all of its records are.
    """
    identities = identities or {}

    def select(ledger: Ledger, positions: Sequence[str]) -> list[str]:
        unsettled = {identities.get(p, p) for p in ledger.unsettled(positions)}
        blocked: set[str] = set()
        failures = []
        for position in positions if unsettled else ():
            group = groups[position]
            if identities.get(position, position) in unsettled or group in blocked:
                blocked.add(group)
                failures.append(position)
        return failures

    return select


def _content(message: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what makes two messages of one id equal. It can be compared."""
    body = get_path(message, "body")
    return get_arn(message), type(body).__name__, body if isinstance(body, str) else describe(body)


def _parse_sequence_number(value: object) -> str:
    """Return a sequence number (AWS: 20 digits) as text, or an empty string if it is not one."""
    if type(value) is int and 0 <= value < 10**SEQUENCE_DIGITS:
        return str(value)
    is_number = isinstance(value, str) and value.isdecimal() and len(value) <= SEQUENCE_DIGITS
    return str(value) if is_number else ""


def _sort_by_number(chunk: Chunk, numbers: Sequence[str]) -> Chunk:
    """Return the messages in the order of their sequence numbers, which increase per queue."""
    order = sorted(range(len(chunk)), key=lambda i: int(numbers[i] or 0))
    return chunk.take(order)
