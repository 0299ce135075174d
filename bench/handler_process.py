"""Invoker: batcher's handler on one event, in a process of its own, timed invocation by invocation.

`python handler_process.py BUCKET EVENT ENGINE CORES` prints that it is ready, then
answers each line of standard input, `{"invocations": n}`, with what n of them took. `CORES` is how
many it may use. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from peak_memory import peak_bytes

SHARED_DIGITS = 16
"""Sequence numbers of one stream's event begin with these digits in common."""

FIRST_IDENTITY = 10_000_000
"""Has 8 digits and no leading zero, which no sequence number has."""


class FreshEvents:
    """The event again and again, parsed again: no `str` has its hash computed yet."""

    def __init__(self, event_json: bytes) -> None:
        """Vary this event so that its object's key is new each time.

        Of SQS the first message id varies; of a stream the start of all sequence numbers.
        """
        self._json = event_json
        event = orjson.loads(event_json)
        self._varied = ""
        if isinstance(event, dict):
            first = event["Records"][0]
            if "messageId" in first:
                self._varied = first["messageId"]
            elif "kinesis" in first:
                self._varied = first["kinesis"]["sequenceNumber"][:SHARED_DIGITS]
            else:
                self._varied = first["dynamodb"]["SequenceNumber"][:SHARED_DIGITS]
        self._given = 0

    def __next__(self) -> Any:  # noqa: ANN401  # JSON
        """Return the next event."""
        self._given += 1
        if not self._varied:
            return orjson.loads(self._json)
        identity = f"{FIRST_IDENTITY + self._given}{self._varied[8:]}"
        return orjson.loads(self._json.replace(self._varied.encode(), identity.encode()))


def parse_s(event_json: bytes) -> float:
    """Return the CPU seconds that Lambda's runtime client takes to parse the event."""
    try:
        import simplejson as parser  # noqa: PLC0415  # what it has
    except ImportError:
        parser = json
    text = event_json.decode()
    started_s = time.process_time()
    parser.loads(text)
    return time.process_time() - started_s


def main() -> None:
    """Answer until standard input ends."""
    bucket, event_file, engine, cores = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # before any thread is there: they inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    from batcher.handler import Handler  # noqa: PLC0415  # after the cores are chosen
    from batcher.settings import Settings  # noqa: PLC0415

    event_json = Path(event_file).read_bytes()
    events = FreshEvents(event_json)
    chosen: dict[str, Any] = {"engine": engine}
    handle = Handler(Settings(bucket=bucket, root="events", **chosen))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        cpu_s = wall_s = 0.0
        for _ in range(json.loads(line)["invocations"]):
            event = next(events)
            wall_start_s, cpu_start_s = time.perf_counter(), time.process_time()
            answer = handle(event, None)
            cpu_s += time.process_time() - cpu_start_s  # all threads of this process
            wall_s += time.perf_counter() - wall_start_s
            if answer.get("batchItemFailures") or answer.get("quarantined"):
                msg = f"not all was written: {answer!r:.200}"
                raise RuntimeError(msg)
            del event
        took = {"cpu_s": cpu_s, "wall_s": wall_s, "peak_bytes": peak_bytes()}
        print(json.dumps(took | {"parse_s": parse_s(event_json)}), flush=True)
    os._exit(0)  # as a Lambda environment ends, without closing a handler's connections


if __name__ == "__main__":
    main()
