"""Quarantine: bad records, one JSON line each, with everything needed to send them again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec.structs import replace

from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Chunk

TRUNCATED_NOTE = "only its start is kept here"
"""What the `detail` ends with where the payload was too long to be held at all."""


def quarantine_chunk(bad: Sequence[BadRecord]) -> Chunk:
    """Make the run of lines that stands in a quarantine object; `bad` shares one origin."""
    numbers = [number for record in bad for number in record.chunk.sequence_numbers or ()]
    return replace(
        bad[0].chunk,
        payloads=[quarantine_line(record) for record in bad],
        positions=[record.position for record in bad],
        arrivals_s=[record.chunk.arrivals_s[0] for record in bad],
        sequence_numbers=numbers or None,
        envelopes=None,
    )


def quarantine_line(bad: BadRecord) -> bytes:
    """Write one bad record as JSON; a payload that is no UTF-8 goes into `payload_b64`."""
    run = bad.chunk
    payload = run.payloads[0]
    raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    line: dict[str, object] = {
        "reason": bad.reason,
        "detail": bad.detail,
        "source": run.origin.source,
        "position": bad.position.encode("utf-8", "backslashreplace").decode(),
        "arrival": datetime.fromtimestamp(run.arrivals_s[0], UTC).isoformat(),
    }
    try:
        line["payload"] = raw.decode()
    except UnicodeDecodeError:
        line["payload_b64"] = b64encode(raw).decode()
    line["envelope"] = None if run.envelopes is None else _without_payload(run.envelopes[0])
    try:
        return orjson.dumps(line)
    except TypeError:  # an envelope that JSON has no form for: text with a lone surrogate, say
        line["envelope"] = repr(line["envelope"]).encode("utf-8", "backslashreplace").decode()
        return orjson.dumps(line)


def _without_payload(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the line has as its payload already.

    Records of DynamoDB streams have no envelope at all: the whole record is their payload.
    """
    rest = dict(envelope)
    if isinstance(rest.get("body"), str):
        del rest["body"]
    if isinstance(rest.get("kinesis"), Mapping):
        rest["kinesis"] = {name: value for name, value in rest["kinesis"].items() if name != "data"}
    return rest
