"""Contender: one way to write an event, in a process of its own, timed round by round.

`python contender_process.py NAME BUCKET SOURCE CODEC EVENT` prints that it is ready, then
answers each line of standard input, `{"invocations": n}`, with what n of them took. It ends with
its standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from contenders import ENGINES
from peak_memory import peak_bytes
from peer_handlers import Event, Invoke, boto3_each, boto3_gzip, powertools_gzip


def handler(bucket: str, source: str, codec: str, *, engine: str) -> Invoke:
    """Use batcher's Lambda handler, as `make_handler` gives it."""
    from batcher.handler import make_handler  # noqa: PLC0415  # a contender loads what it uses
    from batcher.settings import Settings  # noqa: PLC0415

    del source  # it sees for itself
    chosen: dict[str, Any] = {"compression": codec, "engine": engine}
    settings = Settings(bucket=bucket, root="events", **chosen)
    handle = make_handler(settings)
    return _answered(lambda event: handle(event, None))


def floor(bucket: str, source: str, codec: str) -> Invoke:
    """Do what must be done, and nothing else."""
    from minimal_handler import BareFloor  # noqa: PLC0415

    return _answered(getattr(BareFloor(bucket, codec), source))


def expert(bucket: str, source: str, codec: str) -> Invoke:
    """Do it as a careful engineer does without batcher."""
    from hand_written_handler import HandWrittenHandler  # noqa: PLC0415

    del codec  # zstd
    return _answered(getattr(HandWrittenHandler(bucket), source))


CONTENDERS: dict[str, Callable[[str, str, str], Invoke]] = {
    **{f"handler-{engine}": partial(handler, engine=engine) for engine in ENGINES},
    "floor": floor,
    "expert": expert,
    "powertools-gzip": lambda bucket, source, _: powertools_gzip(bucket, source),
    "boto3-gzip": lambda bucket, source, _: boto3_gzip(bucket, source),
    "boto3-each": lambda bucket, source, _: boto3_each(bucket, source),
}


def _answered(handle: Callable[[Event], dict[str, Any]]) -> Invoke:
    """Take a handler's word that nothing failed."""

    def invoke(event: Event) -> int:
        answer = handle(event)
        if answer != {"batchItemFailures": []}:
            msg = f"not all was written: {answer!r:.200}"
            raise RuntimeError(msg)
        return len(event["Records"])

    return invoke


class FreshEvents:
    """The event again and again, parsed again, its first record under another identity each time.

    So every object has a key that botocore has not seen, and no `str` has its hash computed yet.
    """

    def __init__(self, event_json: bytes) -> None:
        """Vary this event."""
        self._json = event_json
        first = orjson.loads(event_json)["Records"][0]
        self._first = str(first.get("messageId") or first["kinesis"]["sequenceNumber"])
        self._given = 0

    def __next__(self) -> Event:
        """Return the next event; every contender gets the same ones."""
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


def main() -> None:
    """Answer until standard input ends."""
    name, bucket, source, codec, event_file = sys.argv[1:]
    events = FreshEvents(Path(event_file).read_bytes())
    invoke = CONTENDERS[name](bucket, source, codec)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(invoke, events, json.loads(line)["invocations"])), flush=True)
    os._exit(0)  # as a Lambda environment ends, without closing a handler's connections


if __name__ == "__main__":
    main()
