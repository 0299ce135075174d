"""Case: all contenders on one event, each proven to do the work, then driven in turn."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from child_process import Child
from events import MAX_RECORDS, make_event, payloads
from report import size

if TYPE_CHECKING:
    from contenders import ContenderSpec
    from sink_environment import SinkEnvironment

try:
    from compression import zstd
except ImportError:
    from backports import zstd

SAMPLE_CPU_S = 0.12
"""A round of a contender lasts at least this long, so that timers and noise don't matter."""
WARM_INVOCATIONS = 3
_UNPACK = {"zstd": zstd.decompress, "gzip": gzip.decompress, "none": bytes}


@dataclass(frozen=True)
class Case:
    """One event."""

    source: str
    record_bytes: int
    most_records: int = MAX_RECORDS

    @property
    def name(self) -> str:
        """Return what it is; an event is full unless its records are counted."""
        is_full = self.most_records == MAX_RECORDS
        return (
            f"{self.source} {size(self.record_bytes)}{'' if is_full else f' x{self.most_records}'}"
        )


@dataclass
class Series:
    """What one contender took, round by round."""

    case: Case
    entry: ContenderSpec
    event_records: int
    invocations: int = 1
    """In one round."""
    object_bytes: float = 0
    """Of one event's objects, together."""
    peak_bytes: int = 0
    cpu_us: list[float] = field(default_factory=list)
    """CPU microseconds a record, a round each."""
    wall_us: list[float] = field(default_factory=list)
    sink_share: list[float] = field(default_factory=list)
    """The sink's CPU time over the wall time of the same round."""


def run_case(
    case: Case, entries: Sequence[ContenderSpec], shared: SinkEnvironment, rounds: int
) -> list[Series]:
    """Measure all contenders on one event.

    Raises:
        RuntimeError: a contender did not write what it should have.
    """
    event = make_event(case.source, case.record_bytes, case.most_records)
    label = f"{case.source}-{case.record_bytes}-{len(event['Records'])}"
    event_file = shared.folder / f"{label}.json"
    event_file.write_bytes(orjson.dumps(event))
    runners: list[_Runner] = []
    with ExitStack() as children:
        for entry in entries:
            bucket = f"{label}-{entry.contender}-{entry.codec}"
            arguments = (entry.contender, bucket, case.source, entry.codec, str(event_file))
            child = children.enter_context(
                Child("contender_process.py", *arguments, env=shared.env)
            )
            series = Series(case, entry, len(event["Records"]))
            runners.append(_Runner(child, shared.sink, bucket, series))
        for runner in runners:
            runner.warm_up()
        _prove(runners, payloads(event))
        for number in range(rounds):
            for runner in _turned(runners, number):
                runner.round()
        for runner in runners:
            runner.finish()
    return [runner.series for runner in runners]


def _turned(runners: list[_Runner], number: int) -> Iterator[_Runner]:
    """Return all runners, starting with another one each round."""
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
        before_s = self._sink_cpu_s()
        took = self._invoke(self.series.invocations)
        sink_s = self._sink_cpu_s() - before_s
        self.series.cpu_us.append(took["cpu_s"] / took["records"] * 1e6)
        self.series.wall_us.append(took["wall_s"] / took["records"] * 1e6)
        self.series.sink_share.append(sink_s / took["wall_s"])

    def finish(self) -> None:
        """Read the memory, and compare what was sent with what the sink has seen.

        Raises:
            RuntimeError: they differ.
        """
        seen = self.seen()
        is_each = self.series.entry.contender == "boto3-each"
        expected = self._records if is_each else self._invocations
        if seen["requests"] != expected:
            msg = f"{self._bucket}: {expected} PUTs expected, the sink saw {seen['requests']}"
            raise RuntimeError(msg)
        self.series.object_bytes = seen["size_bytes"] / self._records * self.series.event_records

    def seen(self) -> dict[str, Any]:
        """Ask the sink for what it has seen of this contender."""
        return self._sink.ask(bucket=self._bucket)

    def _sink_cpu_s(self) -> float:
        return float(self._sink.ask()["cpu_s"])

    def _invoke(self, invocations: int) -> dict[str, Any]:
        took = self._child.ask(invocations=invocations)
        self._invocations += invocations
        self._records += took["records"]
        self.series.peak_bytes = took["peak_bytes"]
        return took


def _prove(runners: list[_Runner], bodies: list[bytes]) -> None:
    """Hold what each contender has written against the event.

    Those that do batcher's work must write its text under its key with its digest, a checksum
    that S3 verifies, and the condition that the key is free; the others the same records.

    Raises:
        RuntimeError: it is not the event's records, or key or digest differ.
    """
    text = b"".join(body + b"\n" for body in bodies)
    names: dict[str, set[tuple[str, str]]] = {}
    for runner in runners:
        entry, seen = runner.series.entry, runner.seen()
        body = base64.b64decode(seen["body"])
        if entry.contender == "boto3-each":
            is_right = body in bodies
        elif entry.codec in _UNPACK:
            headers = seen["headers"]
            has_checksum = any("x-amz-checksum-" in f"{one}: {headers[one]}" for one in headers)
            is_guarded = has_checksum and headers.get("if-none-match") == "*"
            is_right = is_guarded and _UNPACK[entry.codec](body) == text
            digest = headers["x-amz-meta-batcher-digest"]
            object_name = unquote(seen["path"]).partition("/events/")[2]
            names.setdefault(entry.codec, set()).add((object_name, digest))
        else:
            lines = gzip.decompress(body).splitlines()
            is_right = list(map(json.loads, lines)) == list(map(json.loads, bodies))
        if not is_right:
            msg = f"{entry.label} did not write the event's records"
            raise RuntimeError(msg)
    if any(len(found) > 1 for found in names.values()):
        msg = f"the same object is named differently: {names}"
        raise RuntimeError(msg)
