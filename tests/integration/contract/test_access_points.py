"""Access points: requests of both engines go to the host that an ARN means, with its region."""

from __future__ import annotations

from collections.abc import Iterator

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
from botocore.config import Config

from batcher.settings import Settings
from batcher.stores import ObjectAttributes, open_reader, open_store
from batcher.stores.credentials.endpoint import Endpoint
from support.examples import make_settings
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES

POINT = "arn:aws:s3:eu-north-1:123456789012:accesspoint/my-point"
FOUND = {"ETag": '"an-etag"', "Last-Modified": "Mon, 23 Nov 2026 07:00:00 GMT"}
LISTING = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>my-bucket</Name>
<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RespondingServer]:
    """Serve every host, as a proxy: names of access points are parts of host names."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with RespondingServer(200, FOUND, LISTING) as responding:
        monkeypatch.setenv("HTTP_PROXY", responding.url)
        yield responding


def settings_of(engine: str, point: str) -> Settings:
    """Return settings whose endpoint only the proxy finds."""
    return make_settings(engine=engine, bucket=point, endpoint_url="http://s3.test")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("point", [POINT, POINT.replace("t/", "t:")])
async def test_an_access_point_is_a_host_of_its_own(
    engine: str, point: str, proxy: RespondingServer
) -> None:
    """All requests, signed for the region in the ARN, although the environment has another."""
    store, reader = open_store(settings_of(engine, point)), open_reader(settings_of(engine, point))
    try:
        await store.put("a/b", b"body", ObjectAttributes())
        await store.head("a/b")
        assert [entry async for entry in reader.list_objects("a/")] == []
        async with reader.open_object("a/b") as opened:
            assert b"".join([piece async for piece in opened.pieces]) == LISTING
    finally:
        await store.aclose()
        await reader.aclose()
    host = "http://my-point-123456789012.s3.test"
    paths = [request.path.partition("?")[0].removesuffix("/") for request in proxy.received]
    assert paths == [f"{host}/a/b", f"{host}/a/b", host, f"{host}/a/b"]
    for request in proxy.received:
        assert "/eu-north-1/s3/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dualstack", [False, True])
@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws", "eu-north-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")],
)
def test_the_host_is_the_one_that_botocore_would_use(
    partition: str,
    region: str,
    fips: bool,  # noqa: FBT001  # a case
    dualstack: bool,  # noqa: FBT001  # a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In every partition."""
    if partition == "aws-cn" and fips:
        pytest.skip("there are no such endpoints")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    point = f"arn:{partition}:s3:{region}:123456789012:accesspoint/my-point"
    config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dualstack)
    client = boto3.client("s3", region_name=region, config=config)
    signed = client.generate_presigned_url("get_object", {"Bucket": point, "Key": "k"})
    url, is_in_host = Endpoint(region, fips=fips, dualstack=dualstack).bucket_url(point)
    assert is_in_host
    assert url == signed.partition("/k?")[0]
