"""Landed: what is in a bucket, read back by batcher's own readers and judged by `verify`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batcher.reading.read_objects import read_objects
from batcher.settings import Settings
from batcher.stores import open_reader
from batcher.tools.demo.seaweedfs import isolated_aws_environ
from batcher.tools.verify.report import VerifyReport
from batcher.tools.verify.verify import Verifier

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class BucketContents:
    """All there is under a root."""

    records: list[str]
    """Every line of the data objects."""
    quarantined: list[dict[str, Any]]
    """Every line of the quarantine objects."""
    keys: list[str]
    """Of both."""
    report: VerifyReport
    """What `batcher verify` says."""


def look(environ: Mapping[str, str], bucket: str, root: str) -> BucketContents:
    """Read everything under a root, as a user would whose environment is `environ`."""
    with isolated_aws_environ(environ):
        return asyncio.run(_look(bucket, root))


async def _look(bucket: str, root: str) -> BucketContents:
    place = f"s3://{bucket}/{root}"
    data = await _lines(place, is_quarantine=False)
    bad = await _lines(place, is_quarantine=True)
    report = VerifyReport()
    settings = Settings(bucket=bucket, root=root)
    reader = open_reader(settings)
    try:
        await Verifier(reader, root, report, CONCURRENCY).run(time.time, lambda: None)
    finally:
        await reader.aclose()
    records = [line for lines in data.values() for line in lines]
    quarantined = [json.loads(line) for lines in bad.values() for line in lines]
    return BucketContents(records, quarantined, sorted([*data, *bad]), report)


async def _lines(place: str, *, is_quarantine: bool) -> dict[str, list[str]]:
    """Return the lines of each object; those that others cover too, for they would be doubled."""
    found = {}
    async with read_objects(place, quarantine=is_quarantine, covered=True) as objects:
        async for there in objects:
            found[there.key] = [line.decode() async for lines in there for line in lines]
    return found
