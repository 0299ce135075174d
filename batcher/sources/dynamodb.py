"""DynamoDB streams: changes of a table's items, in order. A failure returns the whole event.

The payload is the whole stream record. The change alone (`dynamodb`) would not show whether the
item was inserted, modified or removed (`eventName`), or by whom (`userIdentity`).

The shards of a stream number their records independently, and no record names its shard. Only
`eventID` is unique, so each record has a fingerprint of it (`batcher.records.position`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, cast

import orjson
from msgspec.structs import replace

from batcher.keys.names import make_stem
from batcher.records.bad_record import BadRecord, BadRecordReason, to_description
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, JsonColumn
from batcher.records.position import make_fingerprints
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
)
from batcher.sources.identities import separate_records

_ORIGIN = Origin("dynamodb", NamingScheme.SEQUENCE)

_CHANGE, _NUMBER = itemgetter("dynamodb"), itemgetter("SequenceNumber")
_ARRIVAL = itemgetter("ApproximateCreationDateTime")
_EVENT_ID = itemgetter("eventID")

_SORTED = orjson.OPT_SORT_KEYS
"""Maps have no order, but a redelivered record must give the same bytes."""


def read(records: EventRecords, now_s: float) -> Event:
    """Read records into one chunk per stream, and each record once."""
    try:
        changes = list(map(_CHANGE, records))
        numbers = list(map(_NUMBER, changes))
        arrivals_s = check_times(list(map(float, map(_ARRIVAL, changes))))
        fingerprints = make_fingerprints(list(map(_EVENT_ID, records)))
    except (KeyError, TypeError, ValueError, OverflowError):
        numbers = [get_path(r, "dynamodb", "SequenceNumber") for r in records]
        arrivals_s = read_times(records, ("dynamodb", "ApproximateCreationDateTime"), 1, now_s)
        fingerprints = make_fingerprints([str(get_path(r, "eventID") or "") for r in records])
    arns = distinct_arns(records, "aws:dynamodb")
    no_payloads = ConstantColumn(b"", len(records))  # made from the envelopes below
    whole = Chunk(
        _ORIGIN,
        no_payloads,
        require_identities(numbers, "SequenceNumber"),
        arrivals_s,
        records,
        fingerprints=fingerprints,
    )
    whole, identities = separate_records(whole, _content)
    chunks: list[Chunk] = []
    bad: list[BadRecord] = []
    streams = [(next(iter(arns)), whole)] if len(arns) == 1 else group_by(whole, get_arn)
    for arn, chunk in streams:
        named = replace(chunk, origin=replace(_ORIGIN, stem=make_stem(*_table_and_label(str(arn)))))
        good, undumped = _dump_records(named)
        chunks.append(good)
        bad += undumped
    return Event(
        "dynamodb",
        chunks,
        bad,
        whole.positions,
        whole_event,
        all_or_nothing=True,
        identities=identities,
    )


def _content(record: Mapping[str, Any]) -> bytes:
    """Return what makes two records of one sequence number equal: all that they have."""
    try:
        return orjson.dumps(record, None, _SORTED)
    except orjson.JSONEncodeError:
        return to_description(record)


def _table_and_label(arn: str) -> tuple[str, str]:
    """Parse a stream's ARN: `arn:aws:dynamodb:region:account:table/NAME/stream/LABEL`."""
    table, _, label = arn.partition(":table/")[2].partition("/stream/")
    return table or "table", label


def _dump_records(chunk: Chunk) -> tuple[Chunk, list[BadRecord]]:
    """Write the records as JSON: all in one call, or one by one if that fails for one of them.

    The payload is the whole record, so the chunk keeps no envelopes.
    """
    records = cast("Sequence[Mapping[str, Any]]", chunk.envelopes)
    bare = replace(chunk, envelopes=None)
    try:
        dumped = JsonColumn(map(orjson.dumps, records, repeat(None), repeat(_SORTED)))
        return replace(bare, payloads=dumped), []
    except orjson.JSONEncodeError:
        payloads, kept, bad = [], [], []
        for index, record in enumerate(records):
            try:
                payloads.append(orjson.dumps(record, None, _SORTED))
                kept.append(index)
            except orjson.JSONEncodeError as error:
                one = replace(bare.take([index]), payloads=[to_description(record)])
                is_text = "UTF-8" in str(error)
                reason = BadRecordReason.NOT_UTF8 if is_text else BadRecordReason.MALFORMED
                bad.append(BadRecord(one, reason, f"the record cannot be written: {error}"))
        return replace(bare.take(kept), payloads=payloads), bad
