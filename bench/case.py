"""Case: all contenders on one event, each proven to do the work, then driven in turn."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from child import Child

from events import make_event, payloads

try:
    from compression import zstd
except ImportError:
    from backports import zstd

SAMPLE_CPU_S = 0.12
"""A round of a contender lasts at least this long, so that timers and noise don't matter."""
WARM_INVOCATIONS = 3
ENTRIES = (
    ("handler", "zstd"),
    ("floor", "zstd"),
    ("handler", "gzip"),
    ("floor", "gzip"),
    ("boto3-gzip", "gzip-9"),
    ("boto3-each", "none"),
)


@dataclass
class Series:
    """What one contender took, round by round."""

    source: str
    record_bytes: int
    contender: str
    compression: str
    event_records: int
    invocations: int = 1
    """In one round."""
    object_bytes: float = 0
    """Of one event's objects, together."""
    peak_bytes: int = 0
    cpu_us: list[float] = field(default_factory=list)
    """CPU microseconds a record, a round each."""
    wall_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What all cases share."""

    sink: Child
    env: Mapping[str, str]
    """The contenders' environment."""
    folder: Path
    """Where events are kept meanwhile."""
    rounds: int


def run_case(source: str, record_bytes: int, bench: Bench) -> list[Series]:
    """Measure all contenders on one event.

    Raises:
        RuntimeError: a contender did not write what it should have.
    """
    event = make_event(source, record_bytes)
    event_file = bench.folder / f"{source}-{record_bytes}.json"
    event_file.write_bytes(orjson.dumps(event))
    runners: list[_Runner] = []
    with ExitStack() as children:
        for contender, compression in ENTRIES:
            bucket = f"{source}-{record_bytes}-{contender}-{compression}"
            arguments = (contender, bucket, source, compression, str(event_file))
            child = children.enter_context(Child("contender.py", *arguments, env=bench.env))
            size = len(event["Records"])
            series = Series(source, record_bytes, contender, compression, size)
            runners.append(_Runner(child, bench.sink, bucket, series))
        for runner in runners:
            runner.warm_up()
        _prove(runners, payloads(event))
        for number in range(bench.rounds):
            for runner in _turned(runners, number):
                runner.round()
        for runner in runners:
            runner.finish()
    return [runner.series for runner in runners]


def _turned(runners: list[_Runner], number: int) -> Iterator[_Runner]:
    """Give all runners, starting with another one each round."""
    start = number % len(runners)
    yield from runners[start:]
    yield from runners[:start]


class _Runner:
    """Drives one contender, and knows how many requests the sink must have seen of it."""

    def __init__(self, child: Child, sink: Child, bucket: str, series: Series) -> None:
        self.series = series
        self._child = child
        self._sink = sink
        self._bucket = bucket
        self._invocations = 0
        self._records = 0

    def warm_up(self) -> None:
        """Connect, import, fill caches; then see how many invocations make a round."""
        self._child.greeting()
        self._invoke(WARM_INVOCATIONS)
        took = self._invoke(1)
        self.series.invocations = ceil(SAMPLE_CPU_S / took["cpu_s"])

    def round(self) -> None:
        """Measure one round."""
        took = self._invoke(self.series.invocations)
        self.series.cpu_us.append(took["cpu_s"] / took["records"] * 1e6)
        self.series.wall_us.append(took["wall_s"] / took["records"] * 1e6)

    def finish(self) -> None:
        """Read the memory, and compare what was sent with what the sink has seen.

        Raises:
            RuntimeError: they differ.
        """
        seen = self.seen()
        is_each = self.series.contender == "boto3-each"
        expected = self._records if is_each else self._invocations
        if seen["requests"] != expected:
            msg = f"{self._bucket}: {expected} PUTs expected, the sink saw {seen['requests']}"
            raise RuntimeError(msg)
        self.series.object_bytes = seen["size_bytes"] / self._records * self.series.event_records

    def seen(self) -> dict[str, Any]:
        """Ask the sink for what it has seen of this contender."""
        return self._sink.ask(bucket=self._bucket)

    def _invoke(self, invocations: int) -> dict[str, Any]:
        took = self._child.ask(invocations=invocations)
        self._invocations += invocations
        self._records += took["records"]
        self.series.peak_bytes = took["peak_bytes"]
        return took


def _prove(runners: list[_Runner], bodies: list[bytes]) -> None:
    """Hold what each contender has written against the event.

    Raises:
        RuntimeError: it is not the event's records, or handler and floor differ in key or digest.
    """
    text = b"".join(body + b"\n" for body in bodies)
    names: dict[str, set[tuple[str, str]]] = {"zstd": set(), "gzip": set()}
    for runner in runners:
        series, seen = runner.series, runner.seen()
        body = base64.b64decode(seen["body"])
        if series.contender == "boto3-each":
            is_right = body in bodies
        elif series.contender == "boto3-gzip":
            lines = gzip.decompress(body).splitlines()
            is_right = list(map(json.loads, lines)) == list(map(json.loads, bodies))
        else:
            plain = zstd.decompress(body) if series.compression == "zstd" else gzip.decompress(body)
            is_right = plain == text
            digest = seen["headers"]["x-amz-meta-batcher-digest"]
            object_name = unquote(seen["path"]).partition("/events/")[2]
            names[series.compression].add((object_name, digest))
        if not is_right:
            msg = f"{series.contender} {series.compression} did not write the event's records"
            raise RuntimeError(msg)
    if any(len(found) > 1 for found in names.values()):
        msg = f"handler and floor name the same object differently: {names}"
        raise RuntimeError(msg)
