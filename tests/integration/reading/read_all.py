"""Read all: read every object of a bucket to its end, and keep findings and errors."""

from __future__ import annotations

from typing import Any

from batcher.errors import BatcherError
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.read_objects import ReadObjects
from batcher.reading.selection import parse_selection
from batcher.reading.stream import ReopenPolicy
from batcher.stores.retrying import Backoff
from support.sample_bucket import HOUR_S, SETTINGS, SampleBucket


class Reading:
    """What was read of a bucket, with findings and errors."""

    def __init__(self, sample_bucket: SampleBucket) -> None:
        """Read this bucket. Retries do not wait."""
        self.bucket = sample_bucket
        self.findings: list[Finding] = []
        self.delays_s: list[float] = []
        self.keys: list[str] = []
        self.lines: list[bytes] = []
        self.errors: dict[str, BatcherError] = {}

    async def _sleep(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)

    def objects(self, partition: str | None = None, **chosen: Any) -> ReadObjects:  # noqa: ANN401
        """Make what is iterated."""
        selection = parse_selection(None, None, partition, quarantine=False, now_s=HOUR_S)
        reopening = ReopenPolicy(3, Backoff(), lambda: 1.0, self._sleep)
        return ReadObjects(
            self.bucket,
            SETTINGS,
            selection,
            on_finding=self.findings.append,
            reopen_policy=reopening,
            **chosen,
        )

    async def run(self, partition: str | None = None, **chosen: Any) -> Reading:  # noqa: ANN401
        """Read everything."""
        async with self.objects(partition, **chosen) as objects:
            async for found in objects:
                self.keys.append(found.key)
                try:
                    async for lines in found:
                        self.lines += lines
                except BatcherError as error:
                    self.errors[found.key] = error
        assert self.bucket.open_bodies == 0
        assert self.bucket.is_closed
        return self

    def keys_of(self, kind: FindingKind) -> list[str]:
        """Return the keys of findings of a kind, sorted."""
        return sorted(finding.key for finding in self.findings if finding.kind is kind)


def numbers(*ranges: range) -> list[bytes]:
    """Return the lines of these ranges, sorted as text is."""
    return sorted(b"%d" % number for numbers in ranges for number in numbers)
