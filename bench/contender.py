"""Contender: one way to write an event, in a process of its own, timed round by round.

`python contender.py NAME BUCKET SOURCE COMPRESSION EVENT` says on standard output that it is ready,
then answers each line of standard input, `{"invocations": n}`, with what n of them took. It ends
with its standard input.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

SAMPLE_RECORDS = 300
"""What the one PUT a record is measured on, for it takes some 2 ms a record."""

Event = dict[str, Any]
Invoke = Callable[[Event], int]
"""Writes an event, and gives how many of its records."""


def handler(bucket: str, source: str, compression: str) -> Invoke:
    """Use batcher's Lambda handler, as `make_handler` gives it."""
    from batcher.handler import make_handler  # noqa: PLC0415  # a contender loads what it uses
    from batcher.settings import Settings  # noqa: PLC0415

    del source  # it sees for itself
    handle = make_handler(Settings(bucket=bucket, root="events", compression=compression))

    def invoke(event: Event) -> int:
        _expect_success(handle(event, None))
        return len(event["Records"])

    return invoke


def floor(bucket: str, source: str, compression: str) -> Invoke:
    """Do what must be done, and nothing else."""
    from floor import BareFloor  # noqa: PLC0415

    handle = getattr(BareFloor(bucket, compression), source)

    def invoke(event: Event) -> int:
        _expect_success(handle(event))
        return len(event["Records"])

    return invoke


def boto3_each(bucket: str, source: str, compression: str) -> Invoke:
    """Use boto3 as most handlers do: one PUT a record; here of the first records only."""
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415  # it has no types

    del compression  # none
    client = boto3.client("s3")

    def invoke(event: Event) -> int:
        sample = event["Records"][:SAMPLE_RECORDS]
        for record in sample:
            body = _text(record, source)
            client.put_object(Bucket=bucket, Key=f"events/{_identity(record)}.json", Body=body)
        return len(sample)

    return invoke


def boto3_gzip(bucket: str, source: str, compression: str) -> Invoke:
    """Use boto3 as careful handlers do: parse, dump, join, gzip as it is, one PUT an event."""
    import boto3  # noqa: PLC0415

    del compression  # gzip.compress with its default
    client = boto3.client("s3")

    def invoke(event: Event) -> int:
        records = event["Records"]
        lines = [json.dumps(json.loads(_text(record, source))) for record in records]
        body = gzip.compress(("\n".join(lines) + "\n").encode())
        key = f"events/{_identity(records[0])}.ndjson.gz"
        client.put_object(Bucket=bucket, Key=key, Body=body)
        return len(records)

    return invoke


CONTENDERS: dict[str, Callable[[str, str, str], Invoke]] = {
    "handler": handler,
    "floor": floor,
    "boto3-each": boto3_each,
    "boto3-gzip": boto3_gzip,
}


def _text(record: Event, source: str) -> str | bytes:
    if source == "kinesis":
        return base64.b64decode(record["kinesis"]["data"])
    return str(record["body"])


def _identity(record: Event) -> str:
    return str(record.get("messageId") or record["eventID"])


def _expect_success(answer: Event) -> None:
    if answer != {"batchItemFailures": []}:
        msg = f"not all was written: {answer!r:.200}"
        raise RuntimeError(msg)


class FreshEvents:
    """The event again and again, parsed anew, its first record under another identity each time.

    So every object has a key that botocore has not seen, and no `str` has its hash computed yet.
    """

    def __init__(self, event_json: bytes) -> None:
        """Vary this event."""
        self._json = event_json
        first = orjson.loads(event_json)["Records"][0]
        self._first = str(first.get("messageId") or first["kinesis"]["sequenceNumber"])
        self._given = 0

    def __next__(self) -> Event:
        """Give the next event; every contender gets the same ones."""
        self._given += 1
        if "-" in self._first:  # a UUID
            identity = f"{self._given:08x}{self._first[8:]}"
        else:
            identity = f"{int(self._first) + self._given}"
        event: Event = orjson.loads(self._json.replace(self._first.encode(), identity.encode()))
        return event


def timed(invoke: Invoke, events: FreshEvents, invocations: int) -> dict[str, float]:
    """Invoke so often; making the event is not in the timing."""
    cpu_s = wall_s = 0.0
    records = 0
    for _ in range(invocations):
        event = next(events)
        wall_start_s, cpu_start_s = time.perf_counter(), time.process_time()
        records += invoke(event)
        cpu_s += time.process_time() - cpu_start_s  # all threads of this process
        wall_s += time.perf_counter() - wall_start_s
        del event  # before the next one is made
    return {"cpu_s": cpu_s, "wall_s": wall_s, "records": records, "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """Give the most memory this process has had, its event included.

    Linux hands a parent's ru_maxrss down to its children; VmHWM starts anew with each program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes


def main() -> None:
    """Answer until standard input ends."""
    name, bucket, source, compression, event_file = sys.argv[1:]
    events = FreshEvents(Path(event_file).read_bytes())
    invoke = CONTENDERS[name](bucket, source, compression)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(invoke, events, json.loads(line)["invocations"])), flush=True)
    os._exit(0)  # as a Lambda environment ends: nobody closes a handler's connections


if __name__ == "__main__":
    main()
