"""Direct invokes: a program hands us one record, or a list of them, and waits for the receipts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from batcher.run import Naming, Numbered, Origin, Run, Same
from batcher.sources.event import Event

_ORIGIN = Origin("direct", Naming.FRESH)


def read(records: Sequence[Mapping[str, Any]], now_s: float) -> Event:
    """Read dicts into one run."""
    positions = Numbered("", range(len(records)))
    payloads = list(map(_as_json, records))
    run = Run(_ORIGIN, payloads, positions, Same(now_s, len(records)))
    return Event("direct", [run], [], positions, is_direct=True)


def _as_json(record: Mapping[str, Any]) -> bytes:
    """Write what Lambda parsed as JSON again."""
    try:
        return orjson.dumps(record)
    except TypeError:  # whole numbers over 64 bits, or a lone surrogate, which checking will find
        return json.dumps(record, separators=(",", ":")).encode()
