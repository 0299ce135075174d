"""Kinesis: records of a shard, in order. A failure returns the whole event."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import cast

from msgspec.structs import replace
from pybase64 import b64decode

from batcher.keys.names import make_stem
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.sources.event import Event, whole_event
from batcher.sources.event_fields import (
    EventRecords,
    check_times,
    distinct_arns,
    drop_duplicates,
    get_arn,
    get_path,
    group_by,
    read_times,
    require_identities,
    split_non_text,
)

_ORIGIN = Origin("kinesis", NamingScheme.SEQUENCE)

_KINESIS, _NUMBER, _DATA = itemgetter("kinesis"), itemgetter("sequenceNumber"), itemgetter("data")
_ARRIVAL = itemgetter("approximateArrivalTimestamp")
_EVENT_ID = itemgetter("eventID")


def read(records: EventRecords, now_s: float) -> Event:
    """Read records into one chunk per shard, and each sequence number once."""
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
    whole = drop_duplicates(whole)
    chunks: list[Chunk] = []
    bad: list[BadRecord] = []
    if len(shards) == len(arns) == 1:
        groups: list[tuple[object, Chunk]] = [((arns.pop(), shards.pop()), whole)]
    else:
        groups = group_by(whole, _arn_and_shard)
    for shard, chunk in groups:
        arn, shard_id = cast("tuple[str, str]", shard)
        named = replace(chunk, origin=replace(_ORIGIN, stem=make_stem(_stream_name(arn), shard_id)))
        texts, non_texts = split_non_text(named, "the record's data is no text")
        good, undecoded = _decode_base64(texts)
        chunks.append(good)
        bad += [*non_texts, *undecoded]
    return Event("kinesis", chunks, bad, whole.positions, whole_event, all_or_nothing=True)


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


def _decode_base64(chunk: Chunk) -> tuple[Chunk, list[BadRecord]]:
    """Decode base64: all in one call, or one by one if that fails for one of them."""
    data = cast("Sequence[str]", chunk.payloads)
    try:
        return replace(chunk, payloads=list(map(b64decode, data, repeat(None), repeat(True)))), []  # noqa: FBT003  # validate
    except (binascii.Error, ValueError):
        payloads, kept, bad = [], [], []
        for index, text in enumerate(data):
            try:
                payloads.append(b64decode(text, None, validate=True))
                kept.append(index)
            except (binascii.Error, ValueError) as error:
                bad.append(
                    BadRecord(chunk.take([index]), BadRecordReason.BAD_BASE64, f"data: {error}")
                )
        return replace(chunk.take(kept), payloads=payloads), bad
