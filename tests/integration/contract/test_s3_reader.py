"""Readers of S3: what is said when S3 refuses, and when a body does not come whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError

from batcher.errors import BatcherError, NotFoundError, RejectedError, RetryableError
from batcher.stores import ObjectReader
from batcher.stores.sdk_errors import translate_error
from support.examples import make_settings
from support.store_fixtures import READERS

LISTING = (
    '<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"
)


@asynccontextmanager
async def served(
    monkeypatch: pytest.MonkeyPatch, engine: str, *answers: bytes
) -> AsyncIterator[tuple[ObjectReader, list[bytes]]]:
    """Return a reader of a server that gives these answers in turn, and what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    opened = READERS[engine](make_settings(engine=engine))
    try:
        yield opened, asked
    finally:
        await opened.aclose()
        server.close()
        await server.wait_closed()


def http(status: str, body: bytes, length: int | None = None) -> bytes:
    """Write an answer whose Content-Length can be another one than its body's."""
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nETag: x\r\n\r\n".encode() + body


@pytest.mark.parametrize("engine", READERS)
async def test_a_body_that_ends_early_may_be_read_again(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """A connection that breaks is no object that is damaged."""
    async with (
        served(monkeypatch, engine, http("200 OK", b"half of it", 20)) as (reader, _),
        reader.open_object("k") as opened,
    ):
        assert opened.info.size_bytes == 20
        pieces = opened.pieces
        assert await anext(pieces) == b"half of it"
        with pytest.raises(RetryableError, match="ended after 10 of 20 bytes"):
            await anext(pieces)


@pytest.mark.parametrize("engine", READERS)
async def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Reading needs no exactness, so the SDK repeats."""
    busy = http("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>")
    async with (
        served(monkeypatch, engine, busy, http("200 OK", b"body")) as (reader, asked),
        reader.open_object("k") as opened,
    ):
        assert [piece async for piece in opened.pieces] == [b"body"]
        assert len(asked) == 2


@pytest.mark.parametrize("engine", READERS)
async def test_a_listing_that_never_ends_is_refused(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """A server that says there is more, and not where it goes on, is not asked for ever."""
    async with served(monkeypatch, engine, http("200 OK", LISTING.encode())) as (reader, _):
        with pytest.raises(RejectedError, match="uploads cannot be listed"):
            assert [upload async for upload in reader.list_uploads("")] == []


def refused(operation: str, code: str, status: int) -> BatcherError:
    """Translate an answer of S3."""
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error = translate_error(ClientError(answer, operation), operation, "b", "k", "https://s3")
    assert isinstance(error, BatcherError)
    return error


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("ListObjectsV2", "s3:ListBucket on the bucket"),
        ("ListMultipartUploads", "s3:ListBucketMultipartUploads on the bucket"),
        ("GetObject", "s3:GetObject"),
        ("PutObject", "s3:PutObject"),
    ],
)
def test_the_permission_that_is_missing_is_named(operation: str, permission: str) -> None:
    """The one that this call needs."""
    error = refused(operation, "AccessDenied", 403)
    assert isinstance(error, RejectedError)
    assert permission in str(error)


def test_an_object_that_is_archived_or_gone_is_told() -> None:
    """One can be restored, the other is not there any more."""
    assert "restore it first" in str(refused("GetObject", "InvalidObjectState", 403))
    assert isinstance(refused("GetObject", "NoSuchKey", 404), NotFoundError)


def test_a_body_that_the_sdk_finds_short_may_be_read_again() -> None:
    """It compares lengths by itself in some cases."""
    error = IncompleteReadError(actual_bytes=1, expected_bytes=2)
    assert isinstance(translate_error(error, "GetObject", "b", "k", "https://s3"), RetryableError)
