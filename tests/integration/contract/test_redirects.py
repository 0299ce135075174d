"""A redirect is a response, not an instruction; a page of a proxy is sorted by its status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from aiobotocore.awsrequest import AioAWSResponse

from batcher.errors import (
    BatcherError,
    PreconditionFailedError,
    RejectedError,
    RetryableError,
    ThrottledError,
)
from batcher.stores import open_reader, open_store
from batcher.stores.base import ObjectAttributes
from batcher.stores.credentials.endpoint import Endpoint
from batcher.stores.s3.client import S3Client
from support.examples import make_settings
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES, READERS

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

pytestmark = pytest.mark.slow

MIB = 1024**2
TOKEN = "SESSION-TOKEN"
REDIRECTS = [301, 302, 303, 307, 308]
OBJECT = {"ETag": '"an-etag"', "Last-Modified": "Mon, 23 Nov 2026 07:00:00 GMT"}
OPERATIONS = ["put", "large put", "head", "upload", "get", "list", "folder"]
PAGE = b"<html><head><title>Sorry</title></head><body><p>Sorry</body></html>"
XML_PAGE = b"<html><body><p>Sorry</p></body></html>"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[RespondingServer]:
    """Serve another host, which accepts everything."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with RespondingServer(200, OBJECT, b"<UploadId>u</UploadId>", host="127.0.0.2") as server:
        yield server


async def attempt(operation: str, engine: str, endpoint_url: str) -> BatcherError | None:
    """Return the error of an operation at this endpoint, or None if it succeeds."""
    settings = make_settings(engine=engine, endpoint_url=endpoint_url)
    store, reader = ENGINES[engine](settings), READERS[engine](settings)
    try:
        if operation in {"put", "large put"}:
            body = b"x" * (2 * MIB if operation == "large put" else 4)
            await store.put("a", body, ObjectAttributes())
        elif operation == "head":
            await store.head("a")
        elif operation == "upload":
            await store.create_upload("a", ObjectAttributes(), part_bytes=5 * MIB)
        elif operation == "get":
            async with reader.open_object("a") as opened:
                async for _ in opened.pieces:
                    pass
        else:
            listing = reader.list_objects if operation == "list" else reader.list_folder
            async with aclosing(listing("a")) as entries:  # type: ignore[type-var]  # generators
                async for _ in entries:
                    pass
    except BatcherError as error:
        return error
    finally:
        await store.aclose()
        await reader.aclose()
    return None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", REDIRECTS)
async def test_no_redirect_leads_to_another_host(
    engine: str, operation: str, status: int, elsewhere: RespondingServer
) -> None:
    """Neither with the body nor with the session token; nothing there makes a receipt."""
    headers = {"Location": f"{elsewhere.url}{{path}}", **OBJECT}
    with RespondingServer(status, headers) as front:
        error = await attempt(operation, engine, front.url)
    assert type(error) is RejectedError
    assert elsewhere.received == []
    assert {request.headers["x-amz-security-token"] for request in front.received} == {TOKEN}
    assert "endpoint_url" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operation", ["put", "head"])
@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_that_names_no_place_is_one_refusal(
    engine: str, operation: str, status: int, elsewhere: RespondingServer
) -> None:
    """The endpoint is not asked for the region of the bucket, without end."""
    with RespondingServer(status) as front:
        error = await attempt(operation, engine, front.url)
    assert type(error) is RejectedError
    assert len(front.received) == 1
    assert elsewhere.received == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operation", ["put", "head"])
@pytest.mark.parametrize("body", [b"", PAGE, XML_PAGE], ids=["no body", "a page", "an XML page"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, RetryableError),
        (425, RetryableError),
        (429, ThrottledError),
        (499, RetryableError),
        (500, RetryableError),
        (501, RetryableError),
        (502, RetryableError),
        (503, ThrottledError),
        (504, RetryableError),
        (520, RetryableError),
        (530, RetryableError),
        (400, RejectedError),
        (401, RejectedError),
        (403, RejectedError),
        (413, RejectedError),
        (451, RejectedError),
        (412, PreconditionFailedError),
    ],
)
async def test_a_response_without_an_error_of_s3_is_sorted_by_its_status(  # noqa: PLR0913, PLR0917  # as parametrized
    engine: str,
    operation: str,
    body: bytes,
    status: int,
    kind: type[BatcherError],
    elsewhere: RespondingServer,
) -> None:
    """Load balancers and proxies respond for S3, in their own words or in none."""
    del elsewhere
    with RespondingServer(status, body=body) as front:
        error = await attempt(operation, engine, front.url)
    assert type(error) is kind
    assert f"answered {status} {status}" in str(error)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operation", ["put", "head", "upload"])
@pytest.mark.parametrize("body", [b"", PAGE, XML_PAGE], ids=["no body", "a page", "an XML page"])
async def test_a_success_that_is_not_of_s3_makes_no_receipt(
    engine: str, operation: str, body: bytes, elsewhere: RespondingServer
) -> None:
    """Such as the page of a captive portal. S3's response has an ETag, or the upload's id."""
    del elsewhere
    with RespondingServer(200, body=body) as front:
        error = await attempt(operation, engine, front.url)
    assert type(error) is RetryableError


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_range_is_cut_out_of_a_whole_body_and_never_out_of_a_page(
    engine: str, elsewhere: RespondingServer
) -> None:
    """A store may ignore ranges. A page that is shorter than the range says nothing of the body."""
    del elsewhere
    body = bytes(range(200))
    with RespondingServer(200, OBJECT, body) as front:
        store = ENGINES[engine](make_settings(engine=engine, endpoint_url=front.url))
        assert await store.read_range("a", 0, 200) == body
        assert await store.read_range("a", 10, 110) == body[10:110]
        front.body = PAGE
        with pytest.raises(RetryableError, match="not from S3"):
            await store.read_range("a", 10, 110)
        await store.aclose()


@pytest.mark.parametrize("status", [301, 307, 400])
async def test_aioboto3_follows_s3_into_the_region_that_the_response_names(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To S3's endpoint of that region, wherever `Location` leads."""
    urls = await requested_urls(
        monkeypatch,
        status,
        {"x-amz-bucket-region": "eu-west-3", "Location": "https://evil.example"},
    )
    assert urls == [
        "https://my-bucket.s3.eu-central-1.amazonaws.com/a",
        "https://my-bucket.s3.eu-west-3.amazonaws.com/a",
    ]


async def test_aioboto3_asks_once_for_a_region_that_the_response_does_not_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not in a circle, if the response to that is a redirect, too."""
    urls = await requested_urls(monkeypatch, 301, {"Location": "https://evil.example"})
    assert urls == [
        "https://my-bucket.s3.eu-central-1.amazonaws.com/a",
        "https://my-bucket.s3.eu-central-1.amazonaws.com/",
    ]


async def requested_urls(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str]
) -> list[str]:
    """Return what is requested by a PUT of which the first responses have this status."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    urls: list[str] = []
    code = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>"

    async def respond(request: AWSPreparedRequest, **_: object) -> AioAWSResponse:
        urls.append(request.url)
        is_there = "eu-west-3" in request.url
        found = OBJECT if is_there else headers
        body = code if status == 400 and not is_there else b""
        return AioAWSResponse(request.url, 200 if is_there else status, found, Body(body))

    client = S3Client(make_settings(region="eu-central-1"), {"total_max_attempts": 1})
    try:
        async with client.call("PutObject", "a") as sdk:
            sdk.meta.events.register("before-send.s3", respond)
            await sdk.put_object(Bucket="my-bucket", Key="a", Body=b"body")
    except RejectedError:
        pass
    finally:
        await client.aclose()
    return urls


@pytest.mark.parametrize(
    ("operation", "location"), [("put", True), ("put", False), ("upload", False)]
)
async def test_obstore_follows_s3_into_the_region_that_it_names(
    operation: str, monkeypatch: pytest.MonkeyPatch, elsewhere: RespondingServer, *, location: bool
) -> None:
    """It asks without a signature or a token; all requests after that go to the right place."""
    headers = {"x-amz-bucket-region": "eu-west-3"}
    if location:
        headers["Location"] = f"{elsewhere.url}{{path}}"
    upload = (
        b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    )
    with RespondingServer(301, headers) as wrong, RespondingServer(200, OBJECT, upload) as right:
        places = {"us-east-1": wrong.url, "eu-west-3": right.url}
        monkeypatch.setattr(Endpoint, "base_url", lambda self: places[self.region])
        monkeypatch.setattr(Endpoint, "bucket_url", lambda self, _: (self.base_url(), False))
        store = open_store(make_settings(engine="obstore"))
        try:
            for key in ("a", "b"):
                if operation == "put":
                    await store.put(key, b"body", ObjectAttributes())
                else:
                    opened = await store.create_upload(key, ObjectAttributes(), part_bytes=5 * MIB)
                    await opened.abort()
        finally:
            await store.aclose()
    signed, asked = wrong.received
    assert "authorization" in signed.headers
    assert (asked.method, asked.path) == ("HEAD", "/my-bucket")
    assert not {"authorization", "x-amz-security-token"} & asked.headers.keys()
    method = "PUT" if operation == "put" else "POST"
    there = [request for request in right.received if request.method == method]
    assert [request.path.partition("?")[0] for request in there] == ["/my-bucket/a", "/my-bucket/b"]
    assert "/eu-west-3/s3/aws4_request" in there[0].headers["authorization"]
    assert elsewhere.received == []


@pytest.mark.parametrize("named", ["", "us-east-1", "eu/../evil", "evil.example#"])
async def test_a_region_that_is_none_is_not_followed(
    named: str, monkeypatch: pytest.MonkeyPatch, elsewhere: RespondingServer
) -> None:
    """Nor that where the request came from: it is refused as before."""
    headers = {"x-amz-bucket-region": named, "Location": f"{elsewhere.url}{{path}}"}
    with RespondingServer(301, headers) as wrong:
        monkeypatch.setattr(Endpoint, "bucket_url", lambda *_: (wrong.url, False))
        store = open_store(make_settings(engine="obstore"))
        with pytest.raises(RejectedError, match="endpoint_url and region"):
            await store.put("a", b"body", ObjectAttributes())
        await store.aclose()
    assert len(wrong.received) == 2
    assert elsewhere.received == []


async def test_a_reader_names_the_region(
    monkeypatch: pytest.MonkeyPatch, elsewhere: RespondingServer
) -> None:
    """It does not retry, so it is to be set."""
    del elsewhere
    with RespondingServer(301, {"x-amz-bucket-region": "eu-west-3"}) as wrong:
        monkeypatch.setattr(Endpoint, "bucket_url", lambda *_: (wrong.url, False))
        reader = open_reader(make_settings(engine="obstore"))
        with pytest.raises(RejectedError, match="it is in eu-west-3"):
            async with reader.open_object("a"):
                pass
        await reader.aclose()


class Body:
    """The body of a response, as aiohttp has it."""

    def __init__(self, text: bytes) -> None:
        """Hold the text."""
        self._text = text

    async def read(self) -> bytes:
        """Return the text."""
        return self._text
