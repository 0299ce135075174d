"""Transform: the user's own function, applied to the records of a run before they are checked."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from batcher.batching.validation import Checked
from batcher.records.bad_record import BadRecord, Reason
from batcher.records.payload import to_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.validation import Transform
    from batcher.records.chunk import Run

_SHOWN_CHARACTERS = 120


def transformed(run: Run, transform: Transform) -> Checked:
    """Apply the user's `transform` to each record, in order.

    A record on which it raises, or for which it gives something that is no record, is bad; one for
    which it gives None is left out. The good ones still need `check`.
    """
    payloads: list[bytes] = []
    kept: list[int] = []
    left_out: list[int] = []
    bad: list[BadRecord] = []
    for index, payload in enumerate(cast("Sequence[bytes | str]", run.payloads)):
        try:
            raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
            new = transform(raw)
            if new is None:
                left_out.append(index)
            else:
                payloads.append(to_payload(new))
                kept.append(index)
        except Exception as error:  # noqa: BLE001  # whatever the user's code raises is the answer
            bad.append(BadRecord(run.take([index]), Reason.TRANSFORM, _told(error)))
    good = replace(run.take(kept), payloads=payloads)
    return Checked(good, bad, run.take(left_out) if left_out else None)


def _told(error: Exception) -> str:
    """Say what a transform raised; the error is its user's, and may not even tell itself."""
    raised = f"transform raised {type(error).__name__}"
    with suppress(Exception):
        raised = f"{raised}: {error}"
    return raised[:_SHOWN_CHARACTERS].encode("utf-8", "backslashreplace").decode()
