"""Transform: applies the user's function to each record before validation."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from batcher.batching.validation import Validated
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.payload import to_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.validation import Transform
    from batcher.records.chunk import Chunk

_MAX_DETAIL_CHARACTERS = 120


def apply_transform(chunk: Chunk, transform: Transform) -> Validated:
    """Apply the user's `transform` to each record, in order.

    A record is bad if the transform raises, or returns anything but a record. It is filtered if the
    transform returns None. The good records still need `validate`.
    """
    payloads: list[bytes] = []
    kept: list[int] = []
    filtered: list[int] = []
    bad: list[BadRecord] = []
    for index, payload in enumerate(cast("Sequence[bytes | str]", chunk.payloads)):
        try:
            raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
            record = transform(raw)
            if record is None:
                filtered.append(index)
            else:
                payloads.append(to_payload(record))
                kept.append(index)
        except Exception as error:  # noqa: BLE001  # user code may raise anything
            bad.append(
                BadRecord(chunk.take([index]), BadRecordReason.TRANSFORM, _describe_error(error))
            )
    good = replace(chunk.take(kept), payloads=payloads)
    return Validated(good, bad, chunk.take(filtered) if filtered else None)


def _describe_error(error: Exception) -> str:
    """Return a description of the user's error, whose `__str__` may raise too."""
    detail = f"transform raised {type(error).__name__}"
    with suppress(Exception):
        detail = f"{detail}: {error}"
    return detail[:_MAX_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()
