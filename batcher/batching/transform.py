"""Transform: the user's own function, applied to the records of a run before they are checked."""

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

    A record on which it raises, or for which it gives something that is no record, is bad; one for
    which it gives None is left out. The good ones still need `check`.
    """
    payloads: list[bytes] = []
    kept: list[int] = []
    left_out: list[int] = []
    bad: list[BadRecord] = []
    for index, payload in enumerate(cast("Sequence[bytes | str]", chunk.payloads)):
        try:
            raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
            new = transform(raw)
            if new is None:
                left_out.append(index)
            else:
                payloads.append(to_payload(new))
                kept.append(index)
        except Exception as error:  # noqa: BLE001  # whatever the user's code raises is the answer
            bad.append(
                BadRecord(chunk.take([index]), BadRecordReason.TRANSFORM, _describe_error(error))
            )
    good = replace(chunk.take(kept), payloads=payloads)
    return Validated(good, bad, chunk.take(left_out) if left_out else None)


def _describe_error(error: Exception) -> str:
    """Return what a transform raised; the error is its user's, and may not even tell itself."""
    raised = f"transform raised {type(error).__name__}"
    with suppress(Exception):
        raised = f"{raised}: {error}"
    return raised[:_MAX_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()
