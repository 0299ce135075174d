"""Records of a stream that a model draws, and what must become of each."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batcher.stores.memory import MemoryObject
from support.aws_model.s3 import Bucket
from support.examples import dynamodb_record, kinesis_record
from support.handler_harness import assert_described

MIDNIGHT_S = 1_795_478_400.0
"""2026-11-24 00:00 UTC: the border of an hour and of a day."""
MINUTE_S = 60.0
FIRST_NUMBER = 97
"""Sequence numbers soon have a digit more: their order as text is another one."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record."""

    number: str
    kind: str
    """`a` to `c` are partitions; `bad`, `odd` and `raise` are bad records; `leave` is left out."""
    arrival_s: float
    source: str

    @property
    def is_bad(self) -> bool:
        """Whether its place is in quarantine."""
        return self.kind in {"bad", "odd", "raise"}

    @property
    def is_left_out(self) -> bool:
        """Whether the transform leaves it out."""
        return self.kind == "leave"

    def envelope(self) -> dict[str, Any]:
        """Return it as its source sends it."""
        payload = json.dumps({"kind": self.kind, "n": self.number})
        if self.source == "dynamodb":
            text = "\ud800" if self.kind in {"bad", "odd"} else self.kind
            image = {"Id": {"N": self.number}, "kind": {"S": text}}
            return dynamodb_record(self.number, image, arrival_s=self.arrival_s)
        made = kinesis_record(
            self.number, b"no json" if self.kind == "bad" else f" {payload}".encode()
        )
        if self.kind == "odd":
            made["kinesis"]["data"] = "*"  # no base64: found before all others
        made["kinesis"]["approximateArrivalTimestamp"] = self.arrival_s
        return made


def transform(payload: bytes) -> bytes | None:
    """Leave records out, and fail on others; the same each time."""
    if b'"leave"' in payload:
        return None
    if b'"raise"' in payload:
        raise ValueError(payload)
    return payload.strip()


def records_of(source: str, kinds: Sequence[str], minutes: Sequence[int]) -> list[StreamRecord]:
    """Make records with sequence numbers that grow, which arrived so many minutes from midnight."""
    return [
        StreamRecord(str(FIRST_NUMBER + n), kind, MIDNIGHT_S + minute * MINUTE_S, source)
        for n, (kind, minute) in enumerate(zip(kinds, minutes, strict=True))
    ]


def event_of(records: Iterable[StreamRecord]) -> dict[str, Any]:
    """Make the event that brings these."""
    return {"Records": [record.envelope() for record in records]}


PARTITIONS = {
    "kinesis": "hour={arrival:%H}/kind={field:kind}",
    "dynamodb": "hour={arrival:%H}/kind={field:dynamodb.NewImage.kind.S}",
}


def unpack(key: str, body: bytes) -> bytes:
    """Take an object's compression off."""
    return gzip.decompress(body) if key.endswith(".gz") else body


class Audit:
    """Reads a bucket, and says where each record is; what is wrong with an object fails at once."""

    def __init__(self, records: Iterable[StreamRecord]) -> None:
        """Know all records there are."""
        self._records = {record.number: record for record in records}
        self._read: dict[tuple[str, str], list[str]] = {}

    def places(self, bucket: Bucket) -> Counter[str]:
        """Count the objects that each record is in."""
        return Counter(
            number for key, there in bucket.objects.items() for number in self._numbers(key, there)
        )

    def _numbers(self, key: str, there: MemoryObject) -> list[str]:
        known = self._read.get((key, there.info.etag))
        if known is None:
            known = self._read[key, there.info.etag] = self._look(key, there)
        return known

    def _look(self, key: str, there: MemoryObject) -> list[str]:
        """Read one object: its lines are the records, in order, and its metadata is true."""
        text = unpack(key, there.body)
        lines = [json.loads(line) for line in text.splitlines()]
        is_quarantine = "/_quarantine/" in key
        numbers = [_number(line, is_quarantine=is_quarantine) for line in lines]
        assert numbers == sorted(numbers, key=int)
        assert_described(there.info.metadata, text, numbers)
        assert f"{numbers[0]:0>64}" in key
        for number, line in zip(numbers, lines, strict=True):
            record = self._records[number]
            assert not record.is_left_out
            assert record.is_bad == is_quarantine
            if not is_quarantine:
                assert f"/kind={record.kind}/" in key
                assert line == _payload(record)
        return numbers

    def check(self, bucket: Bucket, acknowledged: Iterable[StreamRecord]) -> None:
        """Each record that was acknowledged is in exactly one object, or was left out."""
        places = self.places(bucket)
        for record in acknowledged:
            found = places[record.number]
            assert found == (not record.is_left_out), f"{record} is in {found} objects"

    def check_end(self, bucket: Bucket) -> None:
        """Each record is in exactly one object, and nothing else is there."""
        self.check(bucket, self._records.values())
        assert set(self.places(bucket)) <= set(self._records)


def _number(line: Mapping[str, Any], *, is_quarantine: bool) -> str:
    if is_quarantine:
        return str(line["position"])
    return str(line["n"] if "n" in line else line["dynamodb"]["SequenceNumber"])


def _payload(record: StreamRecord) -> object:
    if record.source == "dynamodb":
        return record.envelope()
    return {"kind": record.kind, "n": record.number}
