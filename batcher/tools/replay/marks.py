"""Marks: the lines of a quarantine object, one record each, and the marks that replay adds to them.

A mark is the field `replay` of a line. It has the `id` of the group, the `state`, and the target:
the `key` of an object (null if a transform filtered the record out), or the URL of a `queue`.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import orjson

from batcher.batching.quarantine import TRUNCATED_NOTE
from batcher.batching.validation import TRANSFORM_OUTPUT_PREFIX
from batcher.reading.times import parse_time
from batcher.records.bad_record import BadRecordReason

MARK_FIELD = "replay"


class ReplayState(StrEnum):
    """The progress of a record's replay."""

    STARTED = "started"
    """It may have arrived. The run that finishes its group finds out."""
    DONE = "done"
    """It has arrived, and is never replayed again."""


@dataclass(frozen=True, slots=True)
class ReplayMark:
    """The mark of one line."""

    id: str
    """The group that the record was replayed with."""
    state: ReplayState
    key: str | None = None
    """The data object that the record goes to. None: it goes to a queue, or was filtered out."""
    queue: str | None = None
    """The URL of the queue that the record goes to."""

    @property
    def is_filtered(self) -> bool:
        """Whether a transform filtered the record out, so that it has no target."""
        return self.key is None and self.queue is None

    def as_dict(self) -> dict[str, str | None]:
        """Return the mark as the value of the line's field."""
        target = {"key": self.key} if self.queue is None else {"queue": self.queue}
        return {"id": self.id, "state": str(self.state), **target}

    def as_done(self) -> ReplayMark:
        """Return the mark of a record that has arrived."""
        return replace(self, state=ReplayState.DONE)


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """One line of a quarantine object. A damaged line has only `number`, `raw` and `fault`."""

    number: int
    """From 1."""
    raw: bytes
    """The line as stored, without its newline."""
    identity: str = ""
    """Its position, with a number appended if another line of the object has the same position."""
    arrival_s: float = 0.0
    """The time when the record reached its source, in seconds since 1970."""
    payload: bytes = b""
    mark: ReplayMark | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def reason(self) -> str:
        """Why the record was bad."""
        return str(self.fields["reason"])

    @property
    def position(self) -> str:
        """The record's full position; see `batcher.records.position`."""
        return _full_position(self.fields)

    @property
    def is_unstarted(self) -> bool:
        """Whether no replay has started the record."""
        return not self.fault and self.mark is None

    def with_mark(self, mark: ReplayMark | None) -> QuarantineLine:
        """Return the line with this mark instead of its own. All other fields stay."""
        fields = {name: value for name, value in self.fields.items() if name != MARK_FIELD}
        if mark is not None:
            fields[MARK_FIELD] = mark.as_dict()
        return replace(self, raw=orjson.dumps(fields), fields=fields, mark=mark)


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records to replay."""

    reasons: Collection[str] = ()
    """Empty: any reason."""
    source: str = ""
    """Empty: any source."""
    since_s: float = float("-inf")
    """The earliest arrival, in seconds since 1970."""
    until_s: float = float("inf")
    """The end of the arrival times, exclusive."""

    def matches(self, line: QuarantineLine) -> bool:
        """Return whether to replay a record, whatever its mark."""
        return (
            (not self.reasons or line.reason in self.reasons)
            and self.source in {"", line.fields["source"]}
            and self.since_s <= line.arrival_s < self.until_s
        )


def parse_lines(text: bytes) -> list[QuarantineLine]:
    """Parse the text of a quarantine object. Returns every line, including damaged ones."""
    repeats: Counter[str] = Counter()
    identities: set[str] = set()
    lines = []
    for number, raw in enumerate(text.removesuffix(b"\n").split(b"\n"), 1):
        try:
            line = _parse_line(number, raw)
        except ValueError as error:
            line = QuarantineLine(number, raw, fault=str(error))
        else:
            while line.identity in identities:  # for example a file that a command wrote twice
                repeats[line.position] += 1
                line = replace(line, identity=f"{line.position}#{repeats[line.position] + 1}")
            identities.add(line.identity)
        lines.append(line)
    return lines


def join_lines(lines: Sequence[QuarantineLine]) -> bytes:
    """Return the text of a quarantine object."""
    return b"".join(b"%b\n" % line.raw for line in lines)


REASONS_WITHOUT_PAYLOAD = {BadRecordReason.MALFORMED, BadRecordReason.BAD_BASE64}
"""Reasons for which the quarantined payload is not the record, but describes it."""


def incomplete_reason(line: QuarantineLine, *, transformed: bool) -> str | None:
    """Return why a line's payload is not the record's payload, or None if it is.

    Args:
        line: an undamaged line.
        transformed: whether a transform will make a record from the description.
    """
    if line.reason == BadRecordReason.TOO_LARGE and str(line.fields.get("detail")).endswith(
        TRUNCATED_NOTE
    ):
        return "quarantine has only the start of its payload; write its file again"
    if line.reason in REASONS_WITHOUT_PAYLOAD and not transformed:
        return "quarantine has no payload, only a description; use --transform to make a record"
    return None


def missing_transform_reason(line: QuarantineLine) -> str | None:
    """Return why a payload must not become data without a transform, or None if it may."""
    is_output = str(line.fields.get("detail")).startswith(TRANSFORM_OUTPUT_PREFIX)
    if line.reason == BadRecordReason.TRANSFORM or is_output:
        return "it failed in a transform; give the corrected one with --transform"
    return None


def _parse_line(number: int, raw: bytes) -> QuarantineLine:
    """Parse one line.

    Raises:
        ValueError: it is not a quarantine record. The message says what is missing.
    """
    fields = orjson.loads(raw)
    if not isinstance(fields, dict):
        msg = "not a JSON object"
        raise ValueError(msg)  # noqa: TRY004  # the same error class for any damage
    for name in ("reason", "source", "position", "arrival"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            msg = f"no {name}"
            raise ValueError(msg)
    return QuarantineLine(
        number,
        raw,
        _full_position(fields),
        parse_time(fields["arrival"]),
        _parse_payload(fields),
        _parse_mark(fields.get(MARK_FIELD)),
        fields,
    )


def _full_position(fields: Mapping[str, Any]) -> str:
    fingerprint = fields.get("fingerprint")
    position = str(fields["position"])
    return f"{position}:{fingerprint}" if isinstance(fingerprint, str) else position


def _parse_payload(fields: Mapping[str, Any]) -> bytes:
    payload, payload_b64 = fields.get("payload"), fields.get("payload_b64")
    if isinstance(payload, str):
        return payload.encode()
    if not isinstance(payload_b64, str):
        msg = "no payload"
        raise ValueError(msg)  # noqa: TRY004  # the same error class for any damage
    try:
        return b64decode(payload_b64, validate=True)
    except binascii.Error as error:
        msg = f"payload_b64: {error}"
        raise ValueError(msg) from error


def _parse_mark(value: object) -> ReplayMark | None:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        targets = [value.get("key"), value.get("queue")]
        if all(target is None or isinstance(target, str) for target in targets):
            return ReplayMark(value["id"], ReplayState(str(value.get("state"))), *targets)
    msg = f"not a mark of replay: {value!r:.80}"
    raise ValueError(msg)
