"""Kinesis: records of one shard, in order; any failure brings the whole invocation back."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import cast

from msgspec.structs import replace
from pybase64 import b64decode

from batcher.keys.names import stem
from batcher.records.bad_record import BadRecord, Reason
from batcher.records.chunk import Naming, Origin, Run
from batcher.sources.envelopes import (
    Records,
    arn_of,
    arns_of,
    at,
    by_name,
    identities,
    in_range,
    once,
    texts_only,
    times_of,
)
from batcher.sources.event import Event, from_the_start

_ORIGIN = Origin("kinesis", Naming.SEQUENCE)


_KINESIS, _NUMBER, _DATA = itemgetter("kinesis"), itemgetter("sequenceNumber"), itemgetter("data")


_ARRIVAL = itemgetter("approximateArrivalTimestamp")


_EVENT_ID = itemgetter("eventID")


def read(records: Records, now_s: float) -> Event:
    """Read records into a run a shard; a sequence number that comes twice is read once."""
    try:
        inner = list(map(_KINESIS, records))
        numbers = list(map(_NUMBER, inner))
        data = list(map(_DATA, inner))
        arrivals_s = in_range(list(map(float, map(_ARRIVAL, inner))))
        shards = _shards_of(list(map(_EVENT_ID, records)))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        numbers = [at(r, "kinesis", "sequenceNumber") for r in records]
        data = [at(r, "kinesis", "data") for r in records]
        arrivals_s = times_of(records, ("kinesis", "approximateArrivalTimestamp"), 1, now_s)
        shards = {_shard_of(str(at(r, "eventID") or "")) for r in records}
    arns = arns_of(records, "aws:kinesis")
    whole = Run(_ORIGIN, data, identities(numbers, "sequenceNumber"), arrivals_s, records)
    whole = once(whole)
    runs: list[Run] = []
    bad: list[BadRecord] = []
    if len(shards) == len(arns) == 1:
        parts: list[tuple[object, Run]] = [((arns.pop(), shards.pop()), whole)]
    else:
        parts = by_name(whole, _shard)
    for shard, run in parts:
        arn, shard_id = cast("tuple[str, str]", shard)
        named = replace(run, origin=replace(_ORIGIN, stem=stem(_stream(arn), shard_id)))
        texts, odd = texts_only(named, "the record's data is no text")
        good, undecoded = _decoded(texts)
        runs.append(good)
        bad += [*odd, *undecoded]
    return Event("kinesis", runs, bad, whole.positions, from_the_start, is_whole=True)


def _shard(record: Mapping[str, object]) -> tuple[str, str]:
    return arn_of(record), _shard_of(str(at(record, "eventID") or ""))


def _shards_of(event_ids: list[str]) -> set[str]:
    """Give the different shards; nearly always there is one, which is seen without cutting."""
    first = _shard_of(event_ids[0])
    if all(map(str.startswith, event_ids, repeat(f"{first}:"))):
        return {first}
    return set(map(_shard_of, event_ids))


def _shard_of(event_id: str) -> str:
    """Give the shard: what stands before the sequence number."""
    return event_id.partition(":")[0]


def _stream(arn: str) -> str:
    """Give the stream's name; an enhanced consumer's ARN goes on after it."""
    return arn.partition(":stream/")[2].partition("/")[0] or "stream"


def _decoded(run: Run) -> tuple[Run, list[BadRecord]]:
    """Decode base64: the run in one call, or, where one record fails, each by itself."""
    data = cast("Sequence[str]", run.payloads)
    try:
        return replace(run, payloads=list(map(b64decode, data, repeat(None), repeat(True)))), []  # noqa: FBT003  # validate
    except (binascii.Error, ValueError):
        payloads, kept, bad = [], [], []
        for index, text in enumerate(data):
            try:
                payloads.append(b64decode(text, None, validate=True))
                kept.append(index)
            except (binascii.Error, ValueError) as error:
                bad.append(BadRecord(run.take([index]), Reason.BAD_BASE64, f"data: {error}"))
        return replace(run.take(kept), payloads=payloads), bad
