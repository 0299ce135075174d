"""Lines: what stands in a quarantine object, one record a line, and the marks that replay leaves.

A mark is a field of the line, `replay`: the `id` of the group it went with, its `state`, and where
it goes: the `key` of an object (null for what a transform left out), or the URL of a `queue`.
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


REASONS_WITHOUT_PAYLOAD = {BadRecordReason.MALFORMED, BadRecordReason.BAD_BASE64}
"""Reasons whose payload is not the record's, but tells what stood in its place."""


class ReplayState(StrEnum):
    """How far the replay of a record has come."""

    STARTED = "started"
    """It may have arrived: only the run that finishes its group knows."""
    DONE = "done"
    """It has arrived, and is never taken again."""


@dataclass(frozen=True, slots=True)
class ReplayMark:
    """What a replay notes on a line."""

    id: str
    """The group that the record went with."""
    state: ReplayState
    key: str | None = None
    """The object it goes to; None: to a queue, or a transform left it out."""
    queue: str | None = None
    """The queue it goes to."""

    @property
    def is_filtered(self) -> bool:
        """Whether it goes nowhere, since a transform left it out."""
        return self.key is None and self.queue is None

    def as_dict(self) -> dict[str, str | None]:
        """Return the mark as it stands on the line."""
        where = {"key": self.key} if self.queue is None else {"queue": self.queue}
        return {"id": self.id, "state": str(self.state), **where}

    def as_done(self) -> ReplayMark:
        """Return the mark of a record that has arrived."""
        return replace(self, state=ReplayState.DONE)


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """One line of a quarantine object; a damaged one has a `fault` and nothing else."""

    number: int
    """From 1."""
    raw: bytes
    """The line as it stands there, without its newline."""
    identity: str = ""
    """Its position; a position that comes again in the object gets a number."""
    arrival_s: float = 0.0
    """When the record reached its source, in seconds since 1970."""
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
        """Its identity at the source."""
        return str(self.fields["position"])

    @property
    def is_unstarted(self) -> bool:
        """Whether no replay has begun with it."""
        return not self.fault and self.mark is None

    def with_mark(self, mark: ReplayMark | None) -> QuarantineLine:
        """Return the line with this mark in place of its own; all else on it stays."""
        fields = {name: value for name, value in self.fields.items() if name != MARK_FIELD}
        if mark is not None:
            fields[MARK_FIELD] = mark.as_dict()
        return replace(self, raw=orjson.dumps(fields), fields=fields, mark=mark)


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records a user wants replayed."""

    reasons: Collection[str] = ()
    """Empty: whatever the reason."""
    source: str = ""
    """Empty: whatever the source."""
    since_s: float = float("-inf")
    """Records that arrived then or later."""
    until_s: float = float("inf")
    """Records that arrived before."""

    def matches(self, line: QuarantineLine) -> bool:
        """Return whether a record is among them; its mark is not looked at."""
        return (
            (not self.reasons or line.reason in self.reasons)
            and self.source in {"", line.fields["source"]}
            and self.since_s <= line.arrival_s < self.until_s
        )


def parse_lines(text: bytes) -> list[QuarantineLine]:
    """Read the text of a quarantine object; every line of it, the damaged ones too."""
    seen: Counter[str] = Counter()
    used: set[str] = set()
    found = []
    for number, raw in enumerate(text.removesuffix(b"\n").split(b"\n"), 1):
        try:
            line = _parse_line(number, raw)
        except ValueError as error:
            line = QuarantineLine(number, raw, fault=str(error))
        else:
            while line.identity in used:  # a file that was written twice by one command
                seen[line.position] += 1
                line = replace(line, identity=f"{line.position}#{seen[line.position] + 1}")
            used.add(line.identity)
        found.append(line)
    return found


def join_lines(lines: Sequence[QuarantineLine]) -> bytes:
    """Write the text of a quarantine object."""
    return b"".join(b"%b\n" % line.raw for line in lines)


def incomplete_reason(line: QuarantineLine, *, transformed: bool) -> str | None:
    """Return why a line's payload is not the record's, or give None where it is.

    Args:
        line: an undamaged one.
        is_transformed: whether a transform will make a record of what is there instead.
    """
    if line.reason == BadRecordReason.TOO_LARGE and str(line.fields.get("detail")).endswith(
        TRUNCATED_NOTE
    ):
        return "only the start of its payload is in quarantine: write its file again"
    if line.reason in REASONS_WITHOUT_PAYLOAD and not transformed:
        return "its payload tells what stood in its place: give a --transform that makes a record"
    return None


def missing_transform_reason(line: QuarantineLine) -> str | None:
    """Return why a payload must not become data without a transform, or give None where it may."""
    is_output = str(line.fields.get("detail")).startswith(TRANSFORM_OUTPUT_PREFIX)
    if line.reason == BadRecordReason.TRANSFORM or is_output:
        return "it was bad under a transform: give the corrected one with --transform"
    return None


def _parse_line(number: int, raw: bytes) -> QuarantineLine:
    """Read one line.

    Raises:
        ValueError: it is no line of quarantine; the message says what is missing.
    """
    fields = orjson.loads(raw)
    if not isinstance(fields, dict):
        msg = "no JSON object"
        raise ValueError(msg)  # noqa: TRY004  # one kind of error for one kind of damage
    for name in ("reason", "source", "position", "arrival"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            msg = f"no {name}"
            raise ValueError(msg)
    return QuarantineLine(
        number,
        raw,
        fields["position"],
        parse_time(fields["arrival"]),
        _parse_payload(fields),
        _parse_mark(fields.get(MARK_FIELD)),
        fields,
    )


def _parse_payload(fields: Mapping[str, Any]) -> bytes:
    payload, packed = fields.get("payload"), fields.get("payload_b64")
    if isinstance(payload, str):
        return payload.encode()
    if not isinstance(packed, str):
        msg = "no payload"
        raise ValueError(msg)  # noqa: TRY004  # as above
    try:
        return b64decode(packed, validate=True)
    except binascii.Error as error:
        msg = f"payload_b64: {error}"
        raise ValueError(msg) from error


def _parse_mark(value: object) -> ReplayMark | None:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        places = [value.get("key"), value.get("queue")]
        if all(place is None or isinstance(place, str) for place in places):
            return ReplayMark(value["id"], ReplayState(str(value.get("state"))), *places)
    msg = f"a mark that replay did not write: {value!r:.80}"
    raise ValueError(msg)
