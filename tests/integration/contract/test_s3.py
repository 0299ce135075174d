"""Every engine for S3: what goes there beside the body, and what is said when S3 refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes, ObjectStore
from batcher.stores.s3.store import checksum_header
from support.examples import make_settings
from support.s3_servers import Moto, SeaweedFS
from support.store_fixtures import ENGINES, S3StoreFixture

KEY = "events/1100/dt=2026-11-23/hour=07/my-queue-0001.ndjson.gz"
ABOUT = ObjectAttributes("application/gzip", {"batcher-records": "3"})
CRC64NVME_OF_BODY = ("ChecksumCRC64NVME", "mI+Ji1NHP80=")
"""Of b"body", by a program of its own."""
UNREACHABLE = "http://127.0.0.1:1"


@asynccontextmanager
async def opened(engine: str, bucket: str, **settings: Any) -> AsyncIterator[ObjectStore]:  # noqa: ANN401
    """Return an engine's store, and close it."""
    store = ENGINES[engine](make_settings(bucket=bucket, **settings))
    try:
        yield store
    finally:
        await store.aclose()


async def put(store: ObjectStore) -> None:
    """Write an object by PUT."""
    await store.put(KEY, b"body", ABOUT)


async def put_parts(store: ObjectStore) -> None:
    """Write an object in two parts."""
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, bytes(MIN_PART_BYTES))
    await upload.put_part(2, b"tail")
    await upload.complete()


WRITES = pytest.mark.parametrize("write", [put, put_parts])
Write = Callable[[ObjectStore], Any]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Return each engine."""
    return str(request.param)


@pytest.fixture
def on_moto(
    moto: Moto, bucket: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> S3StoreFixture:
    """Return a bucket on moto."""
    return _on(moto, bucket, engine, monkeypatch)


@pytest.fixture
def on_seaweedfs(
    seaweedfs: SeaweedFS, bucket: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> S3StoreFixture:
    """Return a bucket on SeaweedFS."""
    return _on(seaweedfs, bucket, engine, monkeypatch)


def _on(
    server: Moto | SeaweedFS, bucket: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> S3StoreFixture:
    server.create_bucket(bucket)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return S3StoreFixture(server, bucket, engine)


@WRITES
async def test_every_object_carries_what_the_settings_say(
    on_moto: S3StoreFixture, write: Write
) -> None:
    """Storage class, encryption and tags, whichever way the object goes up."""
    async with opened(
        on_moto.engine,
        on_moto.bucket,
        storage_class="STANDARD_IA",
        sse="aws:kms",
        kms_key_id="alias/my-key",
        tags={"team": "data lake", "cost": "a+b=c:d/e@f"},
    ) as store:
        await write(store)
    head = on_moto.head(KEY)
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "alias/my-key"
    tags = on_moto.server.client.get_object_tagging(Bucket=on_moto.bucket, Key=KEY)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "team": "data lake",
        "cost": "a+b=c:d/e@f",
    }


@WRITES
async def test_an_object_carries_no_more_than_the_settings_say(
    on_moto: S3StoreFixture, write: Write
) -> None:
    """Where nothing is set, encryption and storage class are the bucket's own; no encoding."""
    async with opened(on_moto.engine, on_moto.bucket) as store:
        await write(store)
    head = on_moto.head(KEY)
    assert "SSEKMSKeyId" not in head
    assert "TagCount" not in head
    assert "StorageClass" not in head
    assert not head.get("ContentEncoding")


async def test_an_object_has_the_checksum_that_we_sent(on_seaweedfs: S3StoreFixture) -> None:
    """SeaweedFS keeps a checksum only if the body has it."""
    async with opened(on_seaweedfs.engine, on_seaweedfs.bucket) as store:
        await store.put(KEY, b"body", ABOUT)
    head = on_seaweedfs.head(KEY)
    expected = {
        "aioboto3": ("ChecksumCRC32", checksum_header(b"body")),
        "obstore": CRC64NVME_OF_BODY,
    }
    name, value = expected[on_seaweedfs.engine]
    assert head[name] == value


async def test_an_object_in_parts_has_a_checksum_of_its_parts(on_seaweedfs: S3StoreFixture) -> None:
    """Of the parts' own, with their number behind it; or of the whole, which CRC-64 allows."""
    async with opened(on_seaweedfs.engine, on_seaweedfs.bucket) as store:
        await put_parts(store)
    head = on_seaweedfs.head(KEY)
    if on_seaweedfs.engine == "aioboto3":
        assert head["ChecksumCRC32"].endswith("-2")
    else:
        assert head["ChecksumCRC64NVME"]
        assert head["ChecksumType"] == "FULL_OBJECT"


def test_a_body_that_has_another_checksum_is_refused(on_seaweedfs: S3StoreFixture) -> None:
    """The server verifies it: every write to SeaweedFS here shows that ours is right."""
    client = on_seaweedfs.server.client
    names = {"Bucket": on_seaweedfs.bucket, "Key": KEY}
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(**names, Body=b"bodx", ChecksumCRC32=checksum_header(b"body"))
    upload = client.create_multipart_upload(**names, ChecksumAlgorithm="CRC32")
    names["UploadId"] = upload["UploadId"]
    with pytest.raises(ClientError, match="BadDigest"):
        client.upload_part(
            **names, PartNumber=1, Body=b"bodx", ChecksumCRC32=checksum_header(b"body")
        )
    client.abort_multipart_upload(**names)
    assert on_seaweedfs.keys() == set()


def assert_one_line(error: BatcherError, *mentioned: str) -> None:
    """The message is one line, and says where and what to do."""
    text = str(error)
    assert "\n" not in text
    for word in mentioned:
        assert word in text


@WRITES
async def test_a_missing_bucket_is_named(on_seaweedfs: S3StoreFixture, write: Write) -> None:
    """It will not come by itself, so the error is no retryable one."""
    async with opened(on_seaweedfs.engine, f"{on_seaweedfs.bucket}-x") as store:
        with pytest.raises(RejectedError) as caught:
            await write(store)
    assert_one_line(caught.value, f"s3://{on_seaweedfs.bucket}-x/{KEY}", "create it")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("AWS_SECRET_ACCESS_KEY", "the secret key is wrong"),
        ("AWS_ACCESS_KEY_ID", "the access key is unknown"),
    ],
)
@WRITES
async def test_wrong_credentials_are_told(
    on_seaweedfs: S3StoreFixture,
    monkeypatch: pytest.MonkeyPatch,
    write: Write,
    variable: str,
    hint: str,
) -> None:
    """The message says which half is wrong, and nothing of either."""
    monkeypatch.setenv(variable, "NOTTHISONE")
    async with opened(on_seaweedfs.engine, on_seaweedfs.bucket) as store:
        with pytest.raises(RejectedError) as caught:
            await write(store)
    assert_one_line(caught.value, f"s3://{on_seaweedfs.bucket}/{KEY}", hint)
    assert "NOTTHISONE" not in str(caught.value)
    assert on_seaweedfs.keys() == set()


async def test_a_look_with_wrong_credentials_is_rejected(
    on_seaweedfs: S3StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEAD has no body, so the answer is all there is to go by; it is never `None`."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "NOTTHISONE")
    async with opened(on_seaweedfs.engine, on_seaweedfs.bucket) as store:
        with pytest.raises(RejectedError) as caught:
            await store.head(KEY)
    assert_one_line(caught.value, f"HeadObject s3://{on_seaweedfs.bucket}/{KEY}", "403")


@WRITES
async def test_an_endpoint_that_cannot_be_reached_is_named(
    on_moto: S3StoreFixture, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    """It may be there again later, so the error is retryable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", UNREACHABLE)
    async with opened(on_moto.engine, on_moto.bucket) as store:
        with pytest.raises(RetryableError) as caught:
            await write(store)
    assert_one_line(
        caught.value, f"s3://{on_moto.bucket}/{KEY}", UNREACHABLE, "AWS_ENDPOINT_URL_S3"
    )


async def test_a_machine_without_credentials_is_told_what_to_set(engine: str, bucket: str) -> None:
    """Nothing is sent anywhere."""
    async with opened(engine, bucket) as store:
        with pytest.raises(RejectedError) as caught:
            await store.put(KEY, b"body", ABOUT)
    assert_one_line(caught.value, f"s3://{bucket}/{KEY}", "AWS_PROFILE")


async def test_an_upload_that_somebody_ended_is_to_be_sent_again(
    on_seaweedfs: S3StoreFixture,
) -> None:
    """A lifecycle rule may have: the same bytes may go, in a new upload."""
    async with opened(on_seaweedfs.engine, on_seaweedfs.bucket) as store:
        upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
        await upload.put_part(1, b"part")
        await upload.abort()
        with pytest.raises(RetryableError):
            await upload.put_part(2, b"part")
        with pytest.raises(RetryableError):
            await upload.complete()
    assert on_seaweedfs.keys() == set()


async def test_an_object_to_replace_that_is_gone_is_to_be_sent_again(
    on_seaweedfs: S3StoreFixture,
) -> None:
    """Somebody removed it between HEAD and PUT: nothing is wrong with the record or the bucket."""
    async with opened(on_seaweedfs.engine, on_seaweedfs.bucket) as store:
        stored = await store.put(KEY, b"body", ABOUT)
        on_seaweedfs.server.client.delete_object(Bucket=on_seaweedfs.bucket, Key=KEY)
        with pytest.raises(BatcherError) as caught:
            await store.put(KEY, b"new", ABOUT, if_match=stored.etag)
    assert not isinstance(caught.value, RejectedError)
    assert on_seaweedfs.keys() == set()
