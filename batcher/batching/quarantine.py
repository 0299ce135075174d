"""Quarantine: each bad record as one JSON line that has all that is needed to replay it.

The fields are a contract with `batcher replay` and with users: add fields, never change them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec.structs import replace

from batcher.records.bad_record import BadRecord, describe
from batcher.records.chunk import Chunk
from batcher.records.json_text import find_non_utf8

_CONTROLS = bytes({*range(32)} - {*b"\b\t\n\f\r"})
"""The characters that JSON has no short escape for."""

TRUNCATED_NOTE = "only its start is kept here"
"""The end of `detail` if the payload was too large to be kept."""


def quarantine_chunk(bad: Sequence[BadRecord]) -> Chunk:
    """Return the chunk of lines for bad records of one origin."""
    numbers = [number for record in bad for number in record.chunk.sequence_numbers or ()]
    fingerprints = [digits for record in bad for digits in record.chunk.fingerprints or ()]
    return replace(
        bad[0].chunk,
        payloads=[quarantine_line(record) for record in bad],
        positions=[record.position for record in bad],
        arrivals_s=[record.chunk.arrivals_s[0] for record in bad],
        sequence_numbers=numbers or None,
        fingerprints=fingerprints or None,
        envelopes=None,
    )


def quarantine_line(bad: BadRecord) -> bytes:
    """Return a bad record as JSON.

    A payload that is not UTF-8 is written as `payload_b64`. So is one with so many control
    characters that base64 is shorter: escaped, they take six times their size.
    """
    chunk = bad.chunk
    payload = chunk.payloads[0]
    raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    line: dict[str, object] = {
        "reason": bad.reason,
        "detail": bad.detail,
        "source": chunk.origin.source,
        "position": bad.position.encode("utf-8", "backslashreplace").decode(),
        "arrival": datetime.fromtimestamp(chunk.arrivals_s[0], UTC).isoformat(),
    }
    if chunk.fingerprints is not None:
        line["fingerprint"] = chunk.fingerprints[0]
    escaped = len(raw) - len(raw.translate(None, _CONTROLS))
    if 5 * escaped > len(raw) // 3 or find_non_utf8(raw) is not None:
        line["payload_b64"] = b64encode(raw).decode()
    else:
        line["payload"] = raw.decode()
    line["envelope"] = None if chunk.envelopes is None else _without_payload(chunk.envelopes[0])
    try:
        return orjson.dumps(line)
    except TypeError:  # JSON cannot express the envelope, for example text with a lone surrogate
        envelope = describe(line["envelope"])
        line["envelope"] = envelope.encode("utf-8", "backslashreplace").decode()
        return orjson.dumps(line)


def _without_payload(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope without the payload, which the line has in a separate field.

    Records of DynamoDB streams have no envelope: the whole record is their payload.
    """
    fields = dict(envelope)
    if isinstance(fields.get("body"), str):
        del fields["body"]
    kinesis = fields.get("kinesis")
    if isinstance(kinesis, Mapping):
        fields["kinesis"] = {name: value for name, value in kinesis.items() if name != "data"}
    return fields
