"""Invocations: events in files, and the handler's children that are measured on them."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from isal import isal_zlib

from body_decoder import combine_checksums
from child_process import Child
from events import MAX_RECORDS, make_event, payloads
from interleave import TimedContender

if TYPE_CHECKING:
    from sink_environment import SinkEnvironment


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event, and what its text adds up to."""

    name: str
    file: Path
    records: int
    payload_bytes: int
    crc32: int

    def child(
        self, engine: str, cores: int, where: SinkEnvironment
    ) -> AbstractContextManager[Child]:
        """Start the handler on it."""
        given = (self.bucket(engine, cores), str(self.file), engine, str(cores))
        return Child("handler_process.py", *given, env=where.env)

    def bucket(self, engine: str, cores: int) -> str:
        """Name a bucket of the sink for it."""
        return f"{self.name}-{engine}-{cores}".replace(" ", "-").lower()

    def contender(
        self, child: Child, engine: str, cores: int, where: SinkEnvironment
    ) -> TimedContender:
        """Wait until a child is ready, hold what it writes against the event, and warm it up.

        Raises:
            RuntimeError: it has not written the event's records.
        """
        bucket = self.bucket(engine, cores)
        child.greeting()
        where.prove(bucket)
        child.ask(invocations=1)
        found = where.objects(bucket)
        text = combine_checksums([(one["text_crc32"], one["text_bytes"]) for one in found.values()])
        if text != (self.crc32, self.payload_bytes):
            msg = f"{self.name}, {engine}: wrote {text}, not {self}"
            raise RuntimeError(msg)
        where.measure(bucket)
        contender = TimedContender(f"{self.name} {engine}", child, bucket)
        contender.warm_up()
        return contender


def sqs(folder: Path, record_bytes: int, most_records: int = MAX_RECORDS) -> Invocation:
    """Make an event of SQS messages: this many, or as many as Lambda hands over at once."""
    event = make_event("sqs", record_bytes, most_records)
    return _written(folder, "sqs", event, len(event["Records"]), payloads(event))


def direct(folder: Path, records: int) -> Invocation:
    """Make a list of small records: a direct invoke."""
    rng = random.Random(7)  # noqa: S311  # the same at every run
    event = [
        {"id": i, "user": f"{rng.getrandbits(64):016x}", "note": "x" * 80} for i in range(records)
    ]
    return _written(folder, "list", event, records, [orjson.dumps(record) for record in event])


def _written(folder: Path, kind: str, event: Any, records: int, lines: list[bytes]) -> Invocation:  # noqa: ANN401  # JSON
    text = b"".join(line + b"\n" for line in lines)
    name = f"{kind} {records} of {len(lines[0])} B"
    file = folder / f"{name.replace(' ', '-')}.json"
    file.write_bytes(orjson.dumps(event))
    return Invocation(name, file, records, len(text), isal_zlib.crc32(text))
