"""Direct invokes: a program invokes the function with records, and waits for receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batcher.errors import RejectedError
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn, RangeColumn
from batcher.records.payload import to_payload
from batcher.sources.event import Event

_ORIGIN = Origin("direct", NamingScheme.FRESH)


def read(records: Sequence[Mapping[str, Any]], now_s: float) -> Event:
    """Read dicts into one chunk.

    Raises:
        RejectedError: a record cannot be written as JSON. The message has its index. No record of
            the event is written.
    """
    positions = RangeColumn("", range(len(records)))
    payloads = []
    for index, record in enumerate(records):
        try:
            payloads.append(to_payload(record))
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"record {index} of {len(records)} cannot be written as JSON: {error}"
            raise RejectedError(msg) from error
    chunk = Chunk(_ORIGIN, payloads, positions, ConstantColumn(now_s, len(records)))
    return Event("direct", [chunk], [], positions, direct=True)
