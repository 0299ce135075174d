"""The settings `region` and `endpoint_url` beat what the environment says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher.errors import BatcherError
from batcher.reading.read_objects import read_objects
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, open_reader, open_store
from batcher.stores.credentials.provider import find_provider
from batcher.tools.aws import AwsSession, CallLimits
from support.examples import make_settings
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES

NOWHERE = "http://127.0.0.1:9"
FOUND = {"ETag": '"an-etag"', "Last-Modified": "Mon, 23 Nov 2026 07:00:00 GMT"}
LISTING = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>my-bucket</Name>
<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"""
UPLOADS = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"""


@pytest.fixture
def server() -> Iterator[RespondingServer]:
    """Serve the place that the settings name."""
    with RespondingServer(200, FOUND, LISTING) as responding:
        yield responding


@pytest.fixture(params=["variables", "profile"], autouse=True)
def wrong_place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Let variables or a profile name another region, and an endpoint where nothing listens."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if request.param == "variables":
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
        monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOWHERE)
    else:
        path = tmp_path / "config"
        path.write_text(f"[default]\nregion = us-east-1\nendpoint_url = {NOWHERE}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))


def settings_of(engine: str, url: str) -> Settings:
    """Return settings that name this endpoint and a region of their own."""
    return make_settings(engine=engine, region="eu-north-1", endpoint_url=url)


def assert_asked(server: RespondingServer) -> None:
    """Check that requests have come, for the region of the settings."""
    assert server.received
    for request in server.received:
        assert "/eu-north-1/s3/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_store_writes_where_the_settings_say(engine: str, server: RespondingServer) -> None:
    """Objects, and uploads."""
    store = open_store(settings_of(engine, server.url))
    try:
        await store.put("a", b"body", ObjectAttributes())
        await store.head("a")
        server.status, server.body = 403, b""
        with pytest.raises(BatcherError):
            await store.create_upload("a", ObjectAttributes(), part_bytes=5 * 1024**2)
    finally:
        await store.aclose()
    assert {request.method for request in server.received} == {"PUT", "HEAD", "POST"}
    assert_asked(server)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_reader_reads_where_the_settings_say(engine: str, server: RespondingServer) -> None:
    """Objects, listings of objects, and listings of uploads, which boto3 makes for obstore."""
    reader = open_reader(settings_of(engine, server.url))
    try:
        assert [entry async for entry in reader.list_objects("a/")] == []
        async with reader.open_object("a") as opened:
            assert b"".join([piece async for piece in opened.pieces]) == LISTING
        server.body = UPLOADS
        assert [upload async for upload in reader.list_uploads("a/")] == []
    finally:
        await reader.aclose()
    assert_asked(server)


async def test_read_objects_takes_the_place_as_arguments(server: RespondingServer) -> None:
    """It has no settings."""
    place = {"region": "eu-north-1", "endpoint_url": server.url}
    async with read_objects("s3://my-bucket/events", **place) as objects:  # type: ignore[arg-type]  # all text
        assert [found.key async for found in objects] == []
    assert_asked(server)


async def test_a_tool_calls_a_service_where_it_is_placed(server: RespondingServer) -> None:
    """`check` asks S3 about the bucket where the settings say that it is."""
    session = AwsSession(limits=CallLimits(5, 1))
    session.place("s3", "eu-north-1", server.url)
    await session.call("s3", "head_bucket", "s3:ListBucket", Bucket="my-bucket")
    assert session.region("s3") == "eu-north-1"
    assert session.endpoint("s3") == server.url
    await session.aclose()
    assert_asked(server)


def test_the_environment_names_what_the_settings_leave_out() -> None:
    """Each of the two by itself."""
    where = find_provider("PutObject", "my-bucket", "a", region="eu-north-1").endpoint
    assert (where.region, where.url) == ("eu-north-1", NOWHERE)
    where = find_provider("PutObject", "my-bucket", "a", endpoint_url="http://h").endpoint
    assert (where.region, where.url) == ("us-east-1", "http://h")
