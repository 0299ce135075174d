"""A repeat in another cut, on a real S3 server: each record is in exactly one object."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from batcher.encoding.decoder import Decoder
from batcher.handler import make_handler
from support.examples import kinesis_record, make_settings
from support.handler_harness import NO_FAILURES
from support.s3_servers import SeaweedFS
from support.store_fixtures import ENGINES

MANY = [n * n * n for n in range(1, 700)]
"""Numbers whose list has to be in the body."""


def event_of(numbers: Sequence[int]) -> dict[str, object]:
    """Make an event of records with these sequence numbers."""
    return {"Records": [kinesis_record(str(n), b'{"n":%d}' % n) for n in numbers]}


def numbers_in(server: SeaweedFS, bucket: str) -> list[int]:
    """Return the numbers of all records in the bucket, sorted."""
    numbers = []
    for found in server.client.list_objects_v2(Bucket=bucket)["Contents"]:
        body = server.client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        text = b"".join(Decoder(found["Key"]).feed(body)) if body else b""
        numbers += [json.loads(line)["n"] for line in text.splitlines()]
    return sorted(numbers)


@pytest.fixture
def served_bucket(seaweedfs: SeaweedFS, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a bucket of the server that the environment names."""
    seaweedfs.create_bucket(bucket)
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    return bucket


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize(
    "cuts",
    [
        [range(5), range(3), range(5, 8)],
        [range(5), range(3), range(3, 8), range(6), range(6, 9)],
        [MANY, MANY[:20], MANY[20:]],
    ],
)
def test_each_record_is_in_one_object(
    seaweedfs: SeaweedFS,
    served_bucket: str,
    engine: str,
    compression: str,
    cuts: list[Sequence[int]],
) -> None:
    """What was acknowledged stays; only a long list without compression doubles records."""
    settings = make_settings(
        bucket=served_bucket, root="events", engine=engine, compression=compression
    )
    handle = make_handler(settings)
    try:
        for cut in cuts:
            assert handle(event_of(cut), None) == NO_FAILURES
    finally:
        handle.close()
    found = numbers_in(seaweedfs, served_bucket)
    assert set(found) == {number for cut in cuts for number in cut}
    assert len(found) == len(set(found)) or (cuts[0] is MANY and compression == "none")
