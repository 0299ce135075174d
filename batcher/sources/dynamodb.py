"""DynamoDB streams: changes of a table's items, in order; handed back as Kinesis is.

A record's payload is the whole stream record: the change alone (`dynamodb`) would not say whether
the item was inserted, modified or removed (`eventName`), nor by whom (`userIdentity`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, cast

import orjson
from msgspec.structs import replace

from batcher.keys.names import make_stem
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn
from batcher.sources.envelopes import (
    EventRecords,
    check_times,
    distinct_arns,
    drop_duplicates,
    get_arn,
    get_path,
    group_by,
    read_times,
    require_identities,
)
from batcher.sources.event import Event, whole_event

_ORIGIN = Origin("dynamodb", NamingScheme.SEQUENCE)


_CHANGE, _NUMBER = itemgetter("dynamodb"), itemgetter("SequenceNumber")


_ARRIVAL = itemgetter("ApproximateCreationDateTime")


_SORTED = orjson.OPT_SORT_KEYS  # a map has no order of its own: the same record, the same bytes


def read(records: EventRecords, now_s: float) -> Event:
    """Read records into a run a stream; a sequence number that comes twice is read once."""
    try:
        changes = list(map(_CHANGE, records))
        numbers = list(map(_NUMBER, changes))
        arrivals_s = check_times(list(map(float, map(_ARRIVAL, changes))))
    except (KeyError, TypeError, ValueError, OverflowError):
        numbers = [get_path(r, "dynamodb", "SequenceNumber") for r in records]
        arrivals_s = read_times(records, ("dynamodb", "ApproximateCreationDateTime"), 1, now_s)
    arns = distinct_arns(records, "aws:dynamodb")
    no_payloads = ConstantColumn(b"", len(records))  # they are made of the envelopes, below
    whole = Chunk(
        _ORIGIN, no_payloads, require_identities(numbers, "SequenceNumber"), arrivals_s, records
    )
    whole = drop_duplicates(whole)
    runs: list[Chunk] = []
    bad: list[BadRecord] = []
    streams = [(next(iter(arns)), whole)] if len(arns) == 1 else group_by(whole, get_arn)
    for arn, run in streams:
        named = replace(run, origin=replace(_ORIGIN, stem=make_stem(*_table_and_label(str(arn)))))
        good, undumped = _dump_records(named)
        runs.append(good)
        bad += undumped
    return Event("dynamodb", runs, bad, whole.positions, whole_event, all_or_nothing=True)


def _table_and_label(arn: str) -> tuple[str, str]:
    """Get what a stream's ARN says: `arn:aws:dynamodb:region:account:table/NAME/stream/LABEL`."""
    table, _, label = arn.partition(":table/")[2].partition("/stream/")
    return table or "table", label


def _dump_records(chunk: Chunk) -> tuple[Chunk, list[BadRecord]]:
    """Write the records as JSON: in one call, or, where one has no such form, each by itself.

    The payload is the whole record, so no envelope is kept beside it.
    """
    records = cast("Sequence[Mapping[str, Any]]", chunk.envelopes)
    bare = replace(chunk, envelopes=None)
    try:
        dumped = list(map(orjson.dumps, records, repeat(None), repeat(_SORTED)))
        return replace(bare, payloads=dumped), []
    except orjson.JSONEncodeError:
        payloads, kept, bad = [], [], []
        for index, record in enumerate(records):
            try:
                payloads.append(orjson.dumps(record, None, _SORTED))
                kept.append(index)
            except orjson.JSONEncodeError as error:
                one = replace(bare.take([index]), payloads=[_dump_undumpable(record)])
                is_text = "UTF-8" in str(error)
                reason = BadRecordReason.NOT_UTF8 if is_text else BadRecordReason.MALFORMED
                bad.append(BadRecord(one, reason, f"the record cannot be written: {error}"))
        return replace(bare.take(kept), payloads=payloads), bad


def _dump_undumpable(record: Mapping[str, Any]) -> bytes:
    """Write a record that orjson cannot, for quarantine: half a surrogate pair is escaped there."""
    try:
        return json.dumps(record, sort_keys=True, default=repr).encode()
    except (TypeError, ValueError, RecursionError):
        return repr(record).encode("utf-8", "backslashreplace")
