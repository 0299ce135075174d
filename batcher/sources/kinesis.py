"""Kinesis: records of a shard, in order. A failure returns the whole event."""

from __future__ import annotations

import binascii
from collections.abc import Hashable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, cast

from msgspec.structs import replace
from pybase64 import b64decode

from batcher.keys.names import make_stem
from batcher.records.bad_record import BadRecord, BadRecordReason, describe
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.sources.event import Event, whole_event
from batcher.sources.event_fields import (
    EventRecords,
    check_times,
    distinct_arns,
    get_arn,
    get_path,
    group_by,
    read_times,
    require_identities,
    split_non_text,
)
from batcher.sources.identities import separate_records

_ORIGIN = Origin("kinesis", NamingScheme.SEQUENCE)

_KINESIS, _NUMBER, _DATA = itemgetter("kinesis"), itemgetter("sequenceNumber"), itemgetter("data")
_ARRIVAL = itemgetter("approximateArrivalTimestamp")
_EVENT_ID = itemgetter("eventID")

_BYTES = (bytes, bytearray, memoryview)
_TEXTS = (str, *_BYTES)


def read(records: EventRecords, now_s: float) -> Event:
    """Read records into one chunk per shard, and each record once."""
    try:
        inner = list(map(_KINESIS, records))
        numbers = list(map(_NUMBER, inner))
        data = list(map(_DATA, inner))
        arrivals_s = check_times(list(map(float, map(_ARRIVAL, inner))))
        shards = _distinct_shards(list(map(_EVENT_ID, records)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        numbers = [get_path(r, "kinesis", "sequenceNumber") for r in records]
        data = [get_path(r, "kinesis", "data") for r in records]
        arrivals_s = read_times(records, ("kinesis", "approximateArrivalTimestamp"), 1, now_s)
        shards = {_parse_shard(str(get_path(r, "eventID") or "")) for r in records}
    arns = distinct_arns(records, "aws:kinesis")
    whole = Chunk(_ORIGIN, data, require_identities(numbers, "sequenceNumber"), arrivals_s, records)
    whole, identities = separate_records(whole, _content)
    chunks: list[Chunk] = []
    bad: list[BadRecord] = []
    if len(shards) == len(arns) == 1:
        groups: list[tuple[object, Chunk]] = [((arns.pop(), shards.pop()), whole)]
    else:
        groups = group_by(whole, _arn_and_shard)
    for shard, chunk in groups:
        arn, shard_id = cast("tuple[str, str]", shard)
        named = replace(chunk, origin=replace(_ORIGIN, stem=make_stem(_stream_name(arn), shard_id)))
        good, undecoded = _decode_data(named)
        chunks.append(good)
        bad += undecoded
    return Event(
        "kinesis",
        chunks,
        bad,
        whole.positions,
        whole_event,
        all_or_nothing=True,
        identities=identities,
    )


def _arn_and_shard(record: Mapping[str, object]) -> tuple[str, str]:
    return get_arn(record), _parse_shard(str(get_path(record, "eventID") or ""))


def _distinct_shards(event_ids: list[str]) -> set[str]:
    """Return the different shards. There is nearly always one, found without parsing each id."""
    first = _parse_shard(event_ids[0])
    if all(map(str.startswith, event_ids, repeat(f"{first}:"))):
        return {first}
    return set(map(_parse_shard, event_ids))


def _parse_shard(event_id: str) -> str:
    """Return the shard of an event id: the part before the sequence number."""
    return event_id.partition(":")[0]


def _stream_name(arn: str) -> str:
    """Return the stream's name. The ARN of an enhanced fan-out consumer continues after it."""
    return arn.partition(":stream/")[2].partition("/")[0] or "stream"


def _content(record: Mapping[str, Any]) -> Hashable:
    """Return what makes two records of one sequence number equal.

    The sequence number of an unpacked record, which its aggregate has too, is complete only with
    the number of the record in the aggregate. aws_kinesis_agg calls it `subSequenceNumber`.
    """
    data = get_path(record, "kinesis", "data")
    try:
        payload: object = _decode_one(data)
    except (binascii.Error, TypeError, ValueError):
        payload = describe(data)
    number = describe(get_path(record, "kinesis", "subSequenceNumber"))
    return _arn_and_shard(record), number, payload


def _decode_data(chunk: Chunk) -> tuple[Chunk, list[BadRecord]]:
    """Decode base64: all in one call, or one by one if that fails for one of them."""
    data = cast("Sequence[str]", chunk.payloads)
    try:
        return replace(chunk, payloads=list(map(b64decode, data, repeat(None), repeat(True)))), []  # noqa: FBT003  # validate
    except (binascii.Error, TypeError, ValueError):
        pass
    texts, bad = split_non_text(chunk, "the record's data is no text", _TEXTS)
    payloads, kept = [], []
    for index, text in enumerate(cast("Sequence[str | bytes]", texts.payloads)):
        try:
            payloads.append(_decode_one(text))
            kept.append(index)
        except (binascii.Error, ValueError) as error:
            bad.append(BadRecord(texts.take([index]), BadRecordReason.BAD_BASE64, f"data: {error}"))
    return replace(texts.take(kept), payloads=payloads), bad


def _decode_one(data: str | bytes) -> bytes:
    """Decode the data of one record. Bytes that are not base64 are the payload itself.

    Lambda sends text. Bytes come from programs in front of the handler: aws_kinesis_agg makes
    base64 of them, as Lambda does.
    """
    try:
        return b64decode(data, None, validate=True)
    except (binascii.Error, ValueError):
        if isinstance(data, _BYTES):
            return bytes(data)
        raise
