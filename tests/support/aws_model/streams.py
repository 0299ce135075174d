"""Records of the stream models, and an audit of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batcher.encoding.positions_field import find_positions
from batcher.records.position import full_positions, make_fingerprints, sequence_number
from batcher.records.positions import decode_positions
from batcher.stores.memory import MemoryObject
from batcher.writing.object import read_positions_metadata
from support.aws_model.s3 import Bucket
from support.examples import dynamodb_record, kinesis_record
from support.handler_harness import assert_described

MIDNIGHT_S = 1_795_478_400.0
"""2026-11-24 00:00 UTC: the border of an hour and of a day."""
MINUTE_S = 60.0
FIRST_NUMBER = 97
"""Sequence numbers go from two to three digits, so that their order as text differs."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record."""

    number: str
    kind: str
    """`a` to `c` are partitions; `bad`, `odd`, `raise` are bad; `leave` is filtered."""
    arrival_s: float
    source: str

    @property
    def is_bad(self) -> bool:
        """Whether it belongs into quarantine."""
        return self.kind in {"bad", "odd", "raise"}

    @property
    def is_filtered(self) -> bool:
        """Whether the transform filters it."""
        return self.kind == "leave"

    def envelope(self) -> dict[str, Any]:
        """Return it as its source sends it."""
        payload = json.dumps({"kind": self.kind, "n": self.number})
        if self.source == "dynamodb":
            text = "\ud800" if self.kind in {"bad", "odd"} else self.kind
            image = {"Id": {"N": self.number}, "kind": {"S": text}}
            return dynamodb_record(self.number, image, arrival_s=self.arrival_s)
        record = kinesis_record(
            self.number, b"no json" if self.kind == "bad" else f" {payload}".encode()
        )
        if self.kind == "odd":
            record["kinesis"]["data"] = "*"  # not base64, which is found before other faults
        record["kinesis"]["approximateArrivalTimestamp"] = self.arrival_s
        return record


def transform(payload: bytes) -> bytes | None:
    """Filter some records and fail on others, deterministically."""
    if b'"leave"' in payload:
        return None
    if b'"raise"' in payload:
        raise ValueError(payload)
    return payload.strip()


def records_of(source: str, kinds: Sequence[str], minutes: Sequence[int]) -> list[StreamRecord]:
    """Create records with growing sequence numbers, which arrived these minutes after midnight."""
    return [
        StreamRecord(str(FIRST_NUMBER + n), kind, MIDNIGHT_S + minute * MINUTE_S, source)
        for n, (kind, minute) in enumerate(zip(kinds, minutes, strict=True))
    ]


def event_of(records: Iterable[StreamRecord]) -> dict[str, Any]:
    """Create the event with these records."""
    return {"Records": [record.envelope() for record in records]}


PARTITIONS = {
    "kinesis": "hour={arrival:%H}/kind={field:kind}",
    "dynamodb": "hour={arrival:%H}/kind={field:dynamodb.NewImage.kind.S}",
}


def unpack(key: str, body: bytes) -> bytes:
    """Decompress an object."""
    return gzip.decompress(body) if key.endswith(".gz") else body


def list_of(key: str, stored: MemoryObject) -> list[str] | None:
    """Return the positions list of an object, wherever it is."""
    found: bytes | int | None = read_positions_metadata(stored.info.metadata)
    if found is None:
        compression = "gzip" if key.endswith(".gz") else "none"
        found = find_positions(compression, stored.body)
    assert not isinstance(found, int)
    return None if found is None else decode_positions(found)


class Audit:
    """Reads a bucket, checks every object, and counts the objects that have each record."""

    def __init__(self, records: Iterable[StreamRecord]) -> None:
        """Use `records` as all records that exist."""
        self._records = {record.number: record for record in records}
        self._read: dict[tuple[str, str], list[str]] = {}

    def count_objects(self, bucket: Bucket) -> Counter[str]:
        """Count the objects that have each record, by sequence number."""
        return Counter(
            number
            for key, stored in bucket.objects.items()
            for number in self._numbers(key, stored)
        )

    def _numbers(self, key: str, stored: MemoryObject) -> list[str]:
        numbers = self._read.get((key, stored.info.etag))
        if numbers is None:
            numbers = self._read[key, stored.info.etag] = self._parse(key, stored)
        return numbers

    def _parse(self, key: str, stored: MemoryObject) -> list[str]:
        """Check one object, its lines and its metadata, and return its sequence numbers."""
        text = unpack(key, stored.body)
        listed = list_of(key, stored)
        if stored.info.metadata.get("batcher-kind") == "guard":
            assert text == b""
            assert stored.info.metadata["batcher-of"]
            assert listed is not None
            assert f"{sequence_number(listed[0]):0>64}" in key
            return []
        lines = [json.loads(line) for line in text.splitlines()]
        is_quarantine = "/_quarantine/" in key
        numbers = [_number(line, is_quarantine=is_quarantine) for line in lines]
        assert numbers == sorted(numbers, key=int)
        full = self._full_positions(numbers)
        assert_described(stored.info.metadata, text, full)
        assert listed == full
        assert f"{numbers[0]:0>64}" in key
        for number, line in zip(numbers, lines, strict=True):
            record = self._records[number]
            assert not record.is_filtered
            assert record.is_bad == is_quarantine
            if not is_quarantine:
                assert f"/kind={record.kind}/" in key
                assert line == _payload(record)
        return numbers

    def _full_positions(self, numbers: Sequence[str]) -> Sequence[str]:
        """Return the positions that lists and digests have."""
        envelopes = [self._records[number].envelope() for number in numbers]
        if any("dynamodb" not in envelope for envelope in envelopes):
            return numbers
        return full_positions(numbers, make_fingerprints([e["eventID"] for e in envelopes]))

    def check(self, bucket: Bucket, acknowledged: Iterable[StreamRecord]) -> None:
        """Check that each acknowledged record is in exactly one object, or was filtered."""
        counts = self.count_objects(bucket)
        for record in acknowledged:
            objects = counts[record.number]
            assert objects == (not record.is_filtered), f"{record} is in {objects} objects"

    def check_none_lost(self, bucket: Bucket, acknowledged: Iterable[StreamRecord]) -> int:
        """Check that each acknowledged record is in some object. Return how many are in several."""
        counts = self.count_objects(bucket)
        for record in acknowledged:
            assert record.is_filtered or counts[record.number], f"{record} is lost"
        return sum(objects > 1 for objects in counts.values())

    def check_end(self, bucket: Bucket) -> None:
        """Check that each record is in exactly one object, and that there are no others."""
        self.check(bucket, self._records.values())
        assert set(self.count_objects(bucket)) <= set(self._records)


def _number(line: Mapping[str, Any], *, is_quarantine: bool) -> str:
    if is_quarantine:
        return str(line["position"])
    return str(line["n"] if "n" in line else line["dynamodb"]["SequenceNumber"])


def _payload(record: StreamRecord) -> object:
    if record.source == "dynamodb":
        return record.envelope()
    return {"kind": record.kind, "n": record.number}
