"""The same objects are read by the reader of each engine as they are from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batcher.errors import BatcherError
from batcher.reading.read_objects import ReadObjects
from batcher.reading.selection import parse_selection
from support.examples import make_settings
from support.sample_bucket import (
    HOUR,
    HOUR_S,
    ROOT,
    SampleBucket,
    fresh_name,
    key_of,
    put,
    put_range,
    queue_name,
    stream_name,
)
from support.store_fixtures import READERS

if TYPE_CHECKING:
    from batcher.reading.findings import Finding
    from batcher.stores import ObjectReader
    from support.s3_servers import Moto

Read = tuple[list[tuple[str, list[bytes], str]], list["Finding"]]
"""The objects with their lines and errors, and the findings."""


async def fill(sample_bucket: SampleBucket) -> None:
    """Write objects of all sources, some of them damaged, foreign, covered, or without a salt."""
    for number in range(6):
        await put(sample_bucket, key_of(fresh_name(HOUR_S + number)), b"1\n2\n")
        await put(sample_bucket, key_of(queue_name(HOUR_S + number), fanout=1), b"3\n")
        await put(sample_bucket, key_of(fresh_name(HOUR_S, number), "customer=a%20b"), b"4\n")
    await put_range(sample_bucket, 10, 19)
    await put_range(sample_bucket, 11, 14)
    await put_range(sample_bucket, 15, 24)
    whole = await put(sample_bucket, key_of(stream_name(90), "dt=2026-11-24/hour=00"), b"9\n" * 99)
    stored = sample_bucket.objects[whole]
    for key, body in [
        (key_of(stream_name(80), "dt=2026-11-24/hour=00"), stored.body[:-9]),
        (f"{ROOT}/other.csv", b"x"),
        (f"{ROOT}/dt=2026-11-23/other.csv", b""),
        (f"{ROOT}/", b""),
        (f"{ROOT}/0101/", b""),
        (f"{ROOT}/_quarantine/", b""),
        (f"{ROOT}2/other.csv", b"x"),
    ]:
        await sample_bucket.put(key, body, stored.attributes)


async def read_all(reader: ObjectReader, partition: str | None, *, ordered: bool) -> Read:
    """Read a selection."""
    findings: list[Finding] = []
    found: list[tuple[str, list[bytes], str]] = []
    selection = parse_selection(None, None, partition, quarantine=False, now_s=HOUR_S)
    settings = make_settings(root=ROOT, concurrency=4)
    async with ReadObjects(
        reader, settings, selection, ordered=ordered, on_finding=findings.append
    ) as objects:
        async for read_object in objects:
            lines: list[bytes] = []
            error = ""
            try:
                async for some in read_object:
                    lines += some
            except BatcherError as raised:
                error = str(raised)
            found.append((read_object.key, lines, error))
    return (found if ordered else sorted(found)), sorted(findings)


@pytest.fixture
def bucket_on_moto(moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an empty bucket, to which the environment's credentials have access."""
    moto.create_bucket(bucket)
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    return bucket


@pytest.mark.parametrize("partition", [None, HOUR, "dt=2026-11-24", "customer=a%20b", "x=*"])
async def test_a_bucket_is_read_as_memory_is(
    partition: str | None, moto: Moto, bucket_on_moto: str, sample_bucket: SampleBucket
) -> None:
    """The same lines, in the same order where there is one, the same errors and findings."""
    await fill(sample_bucket)
    for key, stored in sample_bucket.objects.items():
        metadata = dict(stored.info.metadata)
        moto.client.put_object(Bucket=bucket_on_moto, Key=key, Body=stored.body, Metadata=metadata)
    for ordered in (False, True):
        expected = await read_all(sample_bucket, partition, ordered=ordered)
        for engine, kind in READERS.items():
            reader = kind(make_settings(bucket=bucket_on_moto, root=ROOT, engine=engine))
            assert await read_all(reader, partition, ordered=ordered) == expected
    if partition is None:
        objects, findings = expected
        assert sum(bool(error) for _, _, error in objects) == 1
        assert {finding.kind.value for finding in findings} == {"foreign", "covered", "overlap"}
