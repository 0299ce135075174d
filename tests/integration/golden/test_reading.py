"""Golden answers of `read_objects`: what golden inputs look like when they are read back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from batcher.handler import make_handler
from batcher.reading.read_objects import read_objects
from batcher.settings import Settings

from .expected import compare, compare_names
from .inputs import kinds, kinesis, sqs
from .server import BUCKET, RecordingS3

QUESTIONS: dict[str, dict[str, Any]] = {
    "all_in_order": {"ordered": True},
    "one_partition": {"ordered": True, "partition": "kind=b"},
    "covered_too": {"ordered": True, "covered": True},
    "quarantine": {"ordered": True, "quarantine": True},
    "nothing_that_late": {"since": "2027-01-01"},
}
PLACES = ("s3", "folder")


def write(bucket: str) -> None:
    """Write a stream with a retry of its second half, and a queue; each with a bad record."""
    settings = Settings(
        bucket=bucket, root="events", partition_by="kind={field:kind}", max_records=2
    )
    handler = make_handler(settings)
    data = [*kinds(7), b"bad"]
    try:
        handler(kinesis(data))
        handler(kinesis(data[4:], 4))
        handler(sqs([*(kind.decode() for kind in kinds(4)), "bad"]))
    finally:
        handler.close()


async def read(place: str, question: dict[str, Any]) -> list[dict[str, Any]]:
    """Read back what a question chooses."""
    found = []
    async with read_objects(place, on_finding=lambda _: None, **question) as objects:
        async for one in objects:
            lines = [line.decode() async for some in one for line in some]
            is_quarantine = bool(question.get("quarantine"))
            found.append(
                {
                    "key": one.key,
                    "partition": one.partition,
                    "records": one.records,
                    "first": one.metadata["batcher-first"],
                    "lines": len(lines) if is_quarantine else lines,
                }
            )
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", QUESTIONS)
def test_golden_objects_are_read_back(
    s3: RecordingS3, tmp_path: Path, name: str, place: str
) -> None:
    bucket = BUCKET if place == "s3" else f"file://{tmp_path}"
    write(bucket)
    where = f"s3://{BUCKET}/events" if place == "s3" else f"{bucket}/events"
    found = asyncio.run(read(where, QUESTIONS[name]))
    assert not s3.faults
    for one in found:
        one["key"] = one["key"].removeprefix("events/")  # a folder has no root beside itself
    compare("reading", name, {"found": found}, is_first=place == PLACES[0])


def test_every_golden_question_is_tested() -> None:
    compare_names("reading", QUESTIONS)
