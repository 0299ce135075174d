"""Credentials that S3 refuses are looked for once more, because a tool may have renewed them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batcher.errors import RejectedError, UploadLostError
from batcher.settings import Settings
from batcher.settings.types import EngineName
from batcher.stores import ObjectAttributes, open_reader, open_store
from batcher.stores.base import ObjectReader, ObjectStore
from batcher.stores.credentials import source as credential_source
from batcher.stores.credentials.provider import find_provider
from batcher.tools.aws import AwsCallError, AwsErrorKind, AwsSession, CallLimits
from support.credential_server import CredentialServer
from support.examples import make_settings
from support.store_fixtures import ENGINES

MIB = 1024**2
ATTRIBUTES = ObjectAttributes()
EACH_ENGINE = pytest.mark.parametrize("engine", ENGINES)


class Credentials:
    """A credentials file, which a tool rewrites."""

    def __init__(self, path: Path) -> None:
        """Write to `path`."""
        self.path = path

    def write(self, key_id: str) -> None:
        """Replace the credentials."""
        text = f"aws_access_key_id = {key_id}\naws_secret_access_key = x\naws_session_token = t\n"
        self.path.write_text(f"[default]\n{text}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[CredentialServer]:
    """Serve S3."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with CredentialServer() as serving:
        monkeypatch.setenv("AWS_ENDPOINT_URL", serving.url)
        yield serving


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    """Let a file have the credentials `OLD`."""
    found = Credentials(tmp_path / "credentials")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(found.path))
    found.write("OLD")
    return found


async def put(store: ObjectStore, reader: ObjectReader) -> None:
    """Write an object."""
    del reader
    await store.put("a/b", b"body", ATTRIBUTES)


async def head(store: ObjectStore, reader: ObjectReader) -> None:
    """Look at an object. The response to HEAD does not say what is wrong."""
    del reader
    await store.head("a/b")


async def create(store: ObjectStore, reader: ObjectReader) -> None:
    """Open an upload."""
    del reader
    upload = await store.create_upload("a/b", ATTRIBUTES, part_bytes=5 * MIB)
    await upload.abort()


async def read(store: ObjectStore, reader: ObjectReader) -> None:
    """Read an object."""
    del store
    async with reader.open_object("a/b") as opened:
        async for _ in opened.pieces:
            pass


async def list_all(store: ObjectStore, reader: ObjectReader) -> None:
    """List objects."""
    del store
    assert [found async for found in reader.list_objects("a/")] == []


async def list_uploads(store: ObjectStore, reader: ObjectReader) -> None:
    """List uploads."""
    del store
    assert [found async for found in reader.list_uploads("a/")] == []


REQUESTS = [put, head, create, read, list_all, list_uploads]


def open_both(engine: EngineName) -> tuple[ObjectStore, ObjectReader]:
    """Return a store with all its wrappers, and a reader."""
    settings = Settings(bucket="my-bucket", engine=engine)
    return open_store(settings), open_reader(settings)


@EACH_ENGINE
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one.__name__)
async def test_a_request_is_sent_once_more_with_the_credentials_that_are_there_now(
    engine: EngineName,
    request_: Callable[[ObjectStore, ObjectReader], object],
    server: CredentialServer,
    credentials: Credentials,
) -> None:
    """It succeeds, and all after it are signed with the new ones at once."""
    store, reader = open_both(engine)
    try:
        server.accepted = {"OLD"}
        await request_(store, reader)  # type: ignore[misc]  # a coroutine
        assert set(server.signed_by()) == {"OLD"}
        server.accepted = {"NEW"}
        credentials.write("NEW")
        await request_(store, reader)  # type: ignore[misc]  # as above
        signed_by = server.signed_by()
        assert (signed_by[0], set(signed_by[1:])) == ("OLD", {"NEW"})
        await request_(store, reader)  # type: ignore[misc]  # as above
        assert set(server.signed_by()) == {"NEW"}
    finally:
        await store.aclose()
        await reader.aclose()


@EACH_ENGINE
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (400, "InvalidToken"),
        (400, "TokenRefreshRequired"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredTokenException"),
        (403, "InvalidClientTokenId"),
    ],
)
async def test_every_refusal_of_credentials_is_a_reason_to_look(
    engine: EngineName, status: int, code: str, server: CredentialServer, credentials: Credentials
) -> None:
    """Half of a file may be new, the key may be deleted, the token may be another's."""
    server.status, server.code = status, code
    store = ENGINES[engine](make_settings(engine=engine))
    server.accepted = {"OLD"}
    await store.put("a", b"body", ATTRIBUTES)
    server.accepted = {"NEW"}
    credentials.write("NEW")
    await store.put("a", b"body", ATTRIBUTES)
    await store.aclose()
    assert server.signed_by() == ["OLD", "OLD", "NEW"]


@EACH_ENGINE
@pytest.mark.parametrize("code", ["AccessDenied", "RequestTimeTooSkewed", "NoSuchBucket"])
async def test_another_refusal_is_none(
    engine: EngineName, code: str, server: CredentialServer, credentials: Credentials
) -> None:
    """One request, and no search."""
    server.status, server.code = 403, code
    credentials.write("NEW")
    store = ENGINES[engine](make_settings(engine=engine))
    with pytest.raises(RejectedError):
        await store.put("a", b"body", ATTRIBUTES)
    await store.aclose()
    assert server.signed_by() == ["NEW"]


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the operation of each search."""
    found: list[str] = []

    def counted(operation: str, *arguments: str, **options: object) -> object:
        found.append(operation)
        return find_provider(operation, *arguments, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(credential_source, "find_provider", counted)
    return found


@EACH_ENGINE
async def test_requests_that_come_at_once_share_a_search(
    engine: EngineName, server: CredentialServer, credentials: Credentials, searches: list[str]
) -> None:
    """Each is sent twice; the search takes a file, a program or a request to STS."""
    store, _ = open_both(engine)
    server.accepted = {"OLD"}
    await store.put("a", b"body", ATTRIBUTES)
    assert searches == ["PutObject"]
    server.accepted = {"NEW"}
    credentials.write("NEW")
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(store.put(f"a/{number}", b"body", ATTRIBUTES))
    await store.aclose()
    assert searches == ["PutObject"] * 2
    assert server.signed_by().count("NEW") == 8


@EACH_ENGINE
async def test_credentials_that_are_still_the_same_are_refused_at_once(
    engine: EngineName, server: CredentialServer, credentials: Credentials, searches: list[str]
) -> None:
    """One request each, one search for all of them, and the message says where it has looked."""
    del credentials
    server.gathering = threading.Barrier(8)  # one that is answered late would search again
    store, _ = open_both(engine)
    puts = [store.put(f"a/{number}", b"body", ATTRIBUTES) for number in range(8)]
    errors = await asyncio.gather(*puts, return_exceptions=True)
    await store.aclose()
    assert {type(error) for error in errors} == {RejectedError}
    assert server.signed_by() == ["OLD"] * 8
    assert len(searches) == 2
    for error in errors:
        assert "the credentials have expired; renew them" in str(error)
        assert "(they are from the credentials file, with no others there)" in str(error)


@EACH_ENGINE
async def test_new_credentials_that_are_refused_too_are_not_tried_again(
    engine: EngineName, server: CredentialServer, credentials: Credentials
) -> None:
    """Two requests, then the refusal."""
    store, _ = open_both(engine)
    server.accepted = {"OLD"}
    await store.put("a", b"body", ATTRIBUTES)
    server.accepted = set()
    credentials.write("NEW")
    with pytest.raises(RejectedError, match="expired"):
        await store.put("a", b"body", ATTRIBUTES)
    await store.aclose()
    assert server.signed_by() == ["OLD", "OLD", "NEW"]


@EACH_ENGINE
async def test_a_source_that_gives_others_each_time_is_asked_twice_at_most(
    engine: EngineName, server: CredentialServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As STS does. S3 may refuse all of them."""
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    count = tmp_path / "count"
    count.write_text("")
    keys = json.dumps({"Version": 1, "AccessKeyId": "KEY$(wc -c < $0)", "SecretAccessKey": "x"})
    script = tmp_path / "script"
    escaped = keys.replace('"', '\\"')
    script.write_text(
        f'#!/bin/sh\nprintf x >> {count}\necho "{escaped}"\n'.replace("$0", str(count))
    )
    script.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    store, _ = open_both(engine)
    with pytest.raises(RejectedError, match="expired"):
        await store.put("a", b"body", ATTRIBUTES)
    await store.aclose()
    assert server.signed_by() == ["KEY1", "KEY2"]
    assert len(count.read_text()) == 3


@EACH_ENGINE
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no credentials"),
        ("[default\n", "cannot be parsed"),
        ("[default]\naws_access_key_id = NEW\n", "has no aws_secret_access_key"),
    ],
    ids=["no file", "half a section", "half a pair"],
)
async def test_a_file_that_is_being_written_leaves_the_refusal(
    engine: EngineName,
    text: str | None,
    said: str,
    server: CredentialServer,
    credentials: Credentials,
) -> None:
    """With what was found. The next request finds what is there then."""
    store, _ = open_both(engine)
    server.accepted = {"OLD"}
    await store.put("a", b"body", ATTRIBUTES)
    server.accepted = {"NEW"}
    credentials.path.unlink() if text is None else credentials.path.write_text(text)
    with pytest.raises(RejectedError) as caught:
        await store.put("a", b"body", ATTRIBUTES)
    assert "the credentials have expired; renew them (there are no others: " in str(caught.value)
    assert said in str(caught.value)
    credentials.write("NEW")
    await asyncio.sleep(credential_source.PAUSE_S)  # requests in between share the search
    await store.put("a", b"body", ATTRIBUTES)
    await store.aclose()
    assert server.signed_by()[-1] == "NEW"


@EACH_ENGINE
async def test_a_part_that_is_refused_goes_on_or_loses_its_upload(
    engine: EngineName, server: CredentialServer, credentials: Credentials
) -> None:
    """With obstore the upload is given up. The writer begins again with the parts it still has."""
    store, _ = open_both(engine)
    server.accepted = {"OLD"}
    upload = await store.create_upload("a", ATTRIBUTES, part_bytes=5 * MIB)
    server.accepted = {"NEW"}
    credentials.write("NEW")
    if engine == "obstore":
        with pytest.raises(UploadLostError):
            await upload.put_part(1, bytes(5 * MIB))
        upload = await store.create_upload("a", ATTRIBUTES, part_bytes=5 * MIB)
    await upload.put_part(1, bytes(5 * MIB))
    await upload.put_part(2, b"end")
    await upload.complete()
    await store.aclose()
    assert server.signed_by()[-1] == "NEW"


async def test_a_tool_looks_once_more_too(
    server: CredentialServer, credentials: Credentials
) -> None:
    """`check`, `plan` and `replay`: a new session of boto3, for all services."""
    session = AwsSession(limits=CallLimits(5.0, 1))

    async def call() -> None:
        await session.call("s3", "list_multipart_uploads", "s3:List", Bucket="my-bucket")

    server.accepted = {"OLD"}
    await call()
    server.accepted = {"NEW"}
    with pytest.raises(AwsCallError) as caught:
        await call()
    assert caught.value.kind is AwsErrorKind.CREDENTIALS
    assert server.signed_by() == ["OLD", "OLD"]
    credentials.write("NEW")
    await asyncio.gather(*(call() for _ in range(3)))
    await session.aclose()
    signed_by = server.signed_by()
    assert signed_by.count("NEW") == 3
    assert set(signed_by) <= {"OLD", "NEW"}
