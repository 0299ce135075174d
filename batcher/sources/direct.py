"""Direct invokes: a program hands us one record, or a list of them, and waits for the receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batcher.check import to_payload
from batcher.run import Naming, Numbered, Origin, Run, Same
from batcher.sources.event import Event

_ORIGIN = Origin("direct", Naming.FRESH)


def read(records: Sequence[Mapping[str, Any]], now_s: float) -> Event:
    """Read dicts into one run."""
    positions = Numbered("", range(len(records)))
    payloads = list(map(to_payload, records))
    run = Run(_ORIGIN, payloads, positions, Same(now_s, len(records)))
    return Event("direct", [run], [], positions, is_direct=True)
