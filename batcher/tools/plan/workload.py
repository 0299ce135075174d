"""Workload: the records to plan for, as the user describes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from batcher.errors import SettingsError
from batcher.settings import parse_size, unknown_value
from batcher.tools.plan.prices import LAMBDA_DOLLARS_PER_GB_S
from batcher.tools.plan.quotas import (
    FIFO_BATCH_SIZE,
    MAX_BATCH_SIZE,
    MAX_MESSAGE_BYTES,
    MAX_POLLERS,
    MAX_WINDOW_S,
    NO_WINDOW_BATCH_SIZE,
)

DEFAULT_WINDOW_S = 20

DEFAULT_JSON_GROWTH = 1.08
"""Size of a JSON record as a JSON string, divided by its own size: every quote and backslash is
escaped. Measured: orders of 1 KiB 1.08, log lines of 200 B 1.14, real webhooks of 10 KB 1.07."""

WORKLOAD_BOUNDS: Mapping[str, tuple[float, float]] = {
    "records_per_s": (1e-6, 1e9),
    "record_bytes": (1, 6_000_000),
    "json_growth": (1, 6),
    "window_s": (0, MAX_WINDOW_S),
    "peak": (1, 1_000),
    "partitions": (1, 10_000),
    "shards": (1, 100_000),
    "pollers": (1, MAX_POLLERS),
    "retention_days": (0, 36_500),
}


_REQUIRED = {"records_per_s": "such as 500", "record_bytes": "such as 1KiB, or measure a sample"}
"""Fields without a default, each with an example."""


class SourceType(StrEnum):
    """The kind of event source."""

    SQS = "sqs"
    FIFO = "fifo"
    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"

    @property
    def is_queue(self) -> bool:
        """Whether it is a queue. Otherwise it is a stream with shards."""
        return self in {SourceType.SQS, SourceType.FIFO}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The records to plan for, and how Lambda batches them.

    Raises:
        SettingsError: values are out of range or contradict each other; names all of them.
    """

    records_per_s: float
    """Average rate. Dollars and object sizes follow from it."""
    record_bytes: float
    """Average size of a payload without its newline; for DynamoDB of the whole stream record."""
    json_growth: float = DEFAULT_JSON_GROWTH
    """Size of a payload as a JSON string, without its quotes, divided by its own; for queues."""
    source: SourceType = SourceType.SQS
    window_s: int = DEFAULT_WINDOW_S
    """MaximumBatchingWindowInSeconds. 0 for FIFO queues."""
    peak: float = 2.0
    """Highest rate divided by the average. Concurrency, fanout and shards follow from it."""
    partitions: int = 1
    """Number of partitions that the records of one invocation belong to."""
    shards: int | None = None
    """Shards of a stream. None: the fewest that can take the peak."""
    pollers: int | None = None
    """Batches of a queue that are filled concurrently. None: estimated from the rate."""
    retention_days: float = 0.0
    """How long objects are kept. 0 leaves storage out of the costs."""
    arch: str = "arm64"

    def __post_init__(self) -> None:
        """Raise SettingsError with all faults."""
        if faults := [*_range_faults(self), *_source_faults(self)]:
            raise SettingsError(faults)

    @property
    def batch_size(self) -> int:
        """The largest batch size that the mapping allows."""
        if self.source is SourceType.FIFO:
            return FIFO_BATCH_SIZE
        if self.source is SourceType.SQS and self.window_s == 0:
            return NO_WINDOW_BATCH_SIZE
        return MAX_BATCH_SIZE

    @property
    def peak_records_per_s(self) -> float:
        """Records per second at the peak."""
        return self.records_per_s * self.peak

    def with_window(self, window_s: int) -> Workload:
        """Return this workload with another window."""
        return replace(self, window_s=window_s)

    @classmethod
    def from_text(cls, values: Mapping[str, object]) -> Workload:
        """Parse the values of a command line. Missing ones, and None, get their defaults.

        Raises:
            SettingsError: names all faults.
        """
        faults: list[str] = []
        parsed: dict[str, Any] = {}
        for name, value in values.items():
            if value is None:
                continue
            try:
                parsed[name] = _PARSERS[name](value) if isinstance(value, str) else value
            except ValueError as error:
                faults.append(f"{name}: {error}")
        if parsed.get("source") is SourceType.FIFO:
            parsed.setdefault("window_s", 0)
        faults += [
            f"{name}: required; {example}"
            for name, example in _REQUIRED.items()
            if values.get(name) is None
        ]
        placeholders: dict[str, Any] = dict.fromkeys(_REQUIRED, 1)
        try:
            workload = cls(**placeholders | parsed)
        except SettingsError as error:
            raise SettingsError([*faults, *error.faults]) from None
        if faults:
            raise SettingsError(faults)
        return workload


def _parse_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"expected a number, got {text!r}"
        raise ValueError(msg)
    return number


def _parse_whole_number(text: str) -> int:
    number = _parse_number(text)
    if not number.is_integer():
        msg = f"expected a whole number, got {text!r}"
        raise ValueError(msg)
    return int(number)


def _parse_source(text: str) -> SourceType:
    try:
        return SourceType(text)
    except ValueError:
        raise ValueError(unknown_value(text, list(SourceType))) from None


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "records_per_s": _parse_number,
    "record_bytes": parse_size,
    "source": _parse_source,
    "window_s": _parse_whole_number,
    "peak": _parse_number,
    "partitions": _parse_whole_number,
    "shards": _parse_whole_number,
    "pollers": _parse_whole_number,
    "retention_days": _parse_number,
    "arch": str,
}


def _range_faults(workload: Workload) -> list[str]:
    faults = []
    for spec in fields(workload):
        value, bounds = getattr(workload, spec.name), WORKLOAD_BOUNDS.get(spec.name)
        if bounds is not None and value is not None and not bounds[0] <= value <= bounds[1]:
            faults.append(f"{spec.name}: {value:,} is outside {bounds[0]:,} to {bounds[1]:,}")
    if workload.arch not in LAMBDA_DOLLARS_PER_GB_S:
        faults.append(f"arch: {unknown_value(workload.arch, list(LAMBDA_DOLLARS_PER_GB_S))}")
    return faults


def _source_faults(workload: Workload) -> list[str]:
    source, faults = workload.source, []
    if source is SourceType.FIFO and workload.window_s:
        faults.append("window_s: FIFO queues have no batching window; leave it out, or set it to 0")
    if source.is_queue and workload.shards is not None:
        faults.append(f"shards: a queue ({source}) has no shards; leave it out")
    if not source.is_queue and workload.pollers is not None:
        faults.append(f"pollers: a {source} stream has no pollers; leave it out, or set shards")
    if (
        source.is_queue
        and MAX_MESSAGE_BYTES < workload.record_bytes <= WORKLOAD_BOUNDS["record_bytes"][1]
    ):
        faults.append(
            f"record_bytes: {workload.record_bytes:,.0f} is more than a message can have "
            f"({MAX_MESSAGE_BYTES:,}); put large payloads into S3, and send their keys"
        )
    return faults
