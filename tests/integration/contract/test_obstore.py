"""ObstoreStore: what is on the wire, what it refuses, and what it does with processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batcher.errors import (
    RejectedError,
    RetryableError,
    SettingsError,
    UploadLostError,
    install_hint,
)
from batcher.limits import MIN_PART_BYTES
from batcher.stores import ObjectAttributes, open_store
from batcher.stores.credentials.endpoint import CredentialProvider, Credentials
from batcher.stores.credentials.provider import EnvironmentCredentialProvider, find_provider
from batcher.stores.obstore.store import ObstoreStore
from integration.contract.recording_server import RecordingServer
from support.examples import make_settings
from support.s3_servers import Moto

KEY = "events/1100/city=S%C3%A3o/a.ndjson.gz"
ABOUT = ObjectAttributes("application/gzip", {"batcher-records": "3", "team": "data  lake"})
AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_REGION": "eu-west-1"}


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    """Return a server that takes everything, over TLS, and is trusted."""
    with RecordingServer(tmp_path) as server:
        environ = {**AWS, "AWS_ENDPOINT_URL_S3": server.url, "AWS_CA_BUNDLE": server.certificate}
        for name, value in environ.items():
            monkeypatch.setenv(name, str(value))
        yield server


def store_of(**settings: Any) -> ObstoreStore:  # noqa: ANN401  # as Settings takes them
    """Make the engine's store, as nothing wraps it."""
    return ObstoreStore(make_settings(**settings))


async def put(store: ObstoreStore, if_match: str | None = None) -> None:
    """Write one object."""
    await store.put(KEY, b"body", ABOUT, if_match=if_match)


async def test_a_put_is_one_request_with_a_checksum_and_a_condition(sink: RecordingServer) -> None:
    """S3 verifies the CRC; over TLS the payload is not hashed once more to be signed."""
    store = store_of()
    await put(store)
    await put(store, if_match='"an-etag"')
    created, replaced = sink.seen
    assert (created.method, created.path) == (
        "PUT",
        "/my-bucket/events/1100/city%3DS%25C3%25A3o/a.ndjson.gz",
    )
    headers = created.headers
    assert headers["x-amz-checksum-crc64nvme"] == "mI+Ji1NHP80="
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["content-length"] == "4"
    assert headers["content-type"] == "application/gzip"
    assert headers["x-amz-meta-batcher-records"] == "3"
    assert headers["if-none-match"] == "*"
    assert "/eu-west-1/s3/" in headers["authorization"]
    assert headers["user-agent"].startswith("batcher/")
    assert "expect" not in headers
    assert "if-match" not in headers
    assert replaced.headers["if-match"] == '"an-etag"'
    assert "if-none-match" not in replaced.headers


async def test_an_empty_body_has_a_checksum_too(sink: RecordingServer) -> None:
    """That of nothing."""
    await store_of().put(KEY, b"", ABOUT)
    assert sink.seen[0].headers["x-amz-checksum-crc64nvme"] == "AAAAAAAAAAA="


async def test_everything_that_is_set_is_on_the_wire_and_signed(sink: RecordingServer) -> None:
    """Encryption, key, class and tags: in the words of S3."""
    chosen = {
        "sse": "aws:kms:dsse",
        "kms_key_id": "alias/my-key",
        "storage_class": "STANDARD_IA",
        "tags": {"team": "data lake", "cost": "a+b=c:d/e@f"},
    }
    await put(store_of(**chosen))
    headers = sink.seen[0].headers
    expected = {
        "x-amz-server-side-encryption": "aws:kms:dsse",
        "x-amz-server-side-encryption-aws-kms-key-id": "alias/my-key",
        "x-amz-storage-class": "STANDARD_IA",
    }
    assert {name: headers.get(name) for name in expected} == expected
    tags = {"team=data+lake", "cost=a%2Bb%3Dc%3Ad%2Fe%40f"}
    assert set(headers["x-amz-tagging"].split("&")) == tags
    signed = headers["authorization"].partition("SignedHeaders=")[2].split(",")[0].split(";")
    assert {*expected, "x-amz-tagging", "if-none-match", "x-amz-checksum-crc64nvme"} <= {*signed}


async def test_variables_of_obstores_own_change_nothing(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no settings of batcher, and no other SDK knows them."""
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "SHA256")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    monkeypatch.setenv("AWS_BUCKET", "another")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_DISABLE_TAGGING", "true")
    monkeypatch.setenv("AWS_S3_EXPRESS", "true")
    monkeypatch.setenv("AWS_TOKEN", "nobodys")
    monkeypatch.setenv("AWS_REQUEST_PAYER", "true")
    await put(store_of(tags={"team": "x"}))
    (one,) = sink.seen
    assert one.path.startswith("/my-bucket/events/")
    assert one.headers["x-amz-checksum-crc64nvme"]
    assert one.headers["if-none-match"] == "*"
    assert one.headers["authorization"]
    assert one.headers["x-amz-tagging"] == "team=x"
    assert "x-amz-security-token" not in one.headers
    assert "x-amz-request-payer" not in one.headers


async def test_a_server_that_nobody_vouches_for_is_not_written_to(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the other engine it may be the network's fault, so the error is retryable."""
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(RetryableError, match="its certificate is not trusted") as caught:
        await put(store_of())
    assert sink.url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sink.seen == []


async def test_certificates_that_cannot_be_read_are_told(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent; the message names the file."""
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(RejectedError, match=r"s3://my-bucket/.*/nowhere/ca\.pem"):
        await put(store_of())
    assert sink.seen == []


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ({"metadata": {"Content-Encoding": "gzip"}}, "metadata: 'Content-Encoding'"),
        ({"metadata": {"storage-class": "GLACIER"}}, "metadata: 'storage-class'"),
        ({"metadata": {"my team": "x"}}, "metadata: 'my team'"),
        ({"content_type": "text/größe"}, "content_type: 'text/größe'"),
        ({"storage_class": "A\r\nX: 1"}, "storage_class: "),
        ({"sse": "aws:kms", "kms_key_id": "key\n"}, "kms_key_id: "),
        (
            {"bucket": "arn:aws:s3::123456789012:accesspoint/x.mrap"},
            "bucket: 'arn:aws:s3::123456789012:accesspoint/x.mrap' is a multi-region access",
        ),
        (
            {"bucket": "fast--euw1-az1--x-s3"},
            "bucket: 'fast--euw1-az1--x-s3' is a directory bucket, which",
        ),
        ({"bucket": "fast--euw1-az1--xa-s3"}, "bucket: 'fast--euw1-az1--xa-s3' is a directory"),
    ],
)
def test_what_cannot_be_sent_as_it_is_set_is_refused(chosen: dict[str, Any], fault: str) -> None:
    """Never left out, never sent as something else; the message names the way out."""
    with pytest.raises(SettingsError) as caught:
        open_store(make_settings(engine="obstore", **chosen))
    (told,) = caught.value.faults
    assert told.startswith(fault)
    assert "with engine=obstore" in told
    assert told.endswith(f"; use engine=aioboto3 ({install_hint('aioboto3')})")


def test_a_variable_that_would_encrypt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken behind our back, and only this engine would."""
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "AES256")
    with pytest.raises(SettingsError, match=r"AWS_SERVER_SIDE_ENCRYPTION.* set sse"):
        open_store(make_settings(engine="obstore"))


def test_an_engine_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.delitem(sys.modules, "batcher.stores.obstore.store")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(SettingsError, match=r"pip install s3-batcher"):
        open_store(make_settings(engine="obstore"))


def test_a_store_serves_one_event_loop_after_another(sink: RecordingServer) -> None:
    """Requests run in threads of their own, and so do connections."""
    store = store_of()

    async def put_many() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(put(store))

    for _ in range(2):
        asyncio.run(put_many())
    asyncio.run(store.aclose())
    asyncio.run(put_many())
    assert len(sink.seen) == 24


async def test_a_closed_store_takes_no_old_connection(sink: RecordingServer) -> None:
    """One serves request after request; who closes lets go of it."""
    store = store_of()
    await put(store)
    await put(store)
    assert sink.connections == 1
    await store.aclose()
    await put(store)
    assert sink.connections == 2


async def test_every_request_of_an_upload_is_signed_with_current_credentials(
    moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload may last longer than the credentials of a role."""
    moto.create_bucket(bucket)
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    asked: list[str] = []

    class Role(EnvironmentCredentialProvider):
        """Notes each question."""

        def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
            asked.append(operation)
            return super().get_credentials(operation, bucket, key)

    def find_role(operation: str, bucket: str, key: str, **_: str) -> CredentialProvider:
        del operation, bucket, key
        return Role(os.environ)

    monkeypatch.setattr("batcher.stores.credentials.source.find_provider", find_role)
    store = store_of(bucket=bucket)
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    at_creation = len(asked)
    for number in (1, 2):
        await upload.put_part(number, bytes(MIN_PART_BYTES))
        assert len(asked) == at_creation + number
    await upload.complete()
    assert len(asked) == at_creation + 3
    await store.aclose()


async def test_an_upload_by_obstore_has_no_condition(
    moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for fresh keys; on a key that is taken it would replace the object."""
    moto.create_bucket(bucket)
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    store = store_of(bucket=bucket)
    await store.put(KEY, b"first", ABOUT)
    upload = await store.create_upload(KEY, ABOUT, part_bytes=MIN_PART_BYTES)
    await upload.put_part(1, b"second")
    await upload.complete()
    assert moto.client.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"second"
    with pytest.raises(UploadLostError, match="complete or aborted"):
        await upload.put_part(2, b"late")
    await upload.abort()
    await store.aclose()


async def test_requests_that_come_at_once_find_out_once_where_to_go(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials may cost a request to somebody, and a client its certificates."""
    searches: list[str] = []

    def slow_find(operation: str, bucket: str, key: str, **place: Any) -> CredentialProvider:  # noqa: ANN401  # those of the function
        searches.append(operation)
        time.sleep(0.05)
        return find_provider(operation, bucket, key, **place)

    monkeypatch.setattr("batcher.stores.credentials.source.find_provider", slow_find)
    store = store_of()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(put(store))
    assert searches == ["PutObject"]
    assert len(sink.seen) == 4


async def test_renewed_credentials_sign_the_next_request(sink: RecordingServer) -> None:
    """A role's run out; the request that finds them due asks for new ones."""

    class Role(EnvironmentCredentialProvider):
        """Credentials that are due as often as a test says."""

        due = False
        issue = 0

        def is_refresh_due(self) -> bool:
            return self.due

        def get_credentials(self, operation: str, bucket: str, key: str) -> Credentials:
            del operation, bucket, key
            self.issue += 1
            return Credentials(f"AKID{self.issue}", "SECRET", f"TOKEN{self.issue}")

    store = store_of()
    role = Role({**AWS, "AWS_ENDPOINT_URL_S3": sink.url, "AWS_CA_BUNDLE": str(sink.certificate)})
    store._client.source.provider = role  # noqa: SLF001  # what `find` would have found
    await put(store)
    await put(store)
    role.due = True
    await put(store)
    tokens = [one.headers["x-amz-security-token"] for one in sink.seen]
    assert tokens == ["TOKEN1", "TOKEN1", "TOKEN2"]
    assert "Credential=AKID2/" in sink.seen[-1].headers["authorization"]


def run(script: str, sink: RecordingServer) -> str:
    """Run a script in a process of its own; give what it prints."""
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-W", "error", "-c", script, sink.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=220,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_handler_that_writes_a_small_object_never_imports_the_sdk(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second of a cold start."""
    monkeypatch.setenv("BATCHER_BUCKET", "my-bucket")
    monkeypatch.setenv("BATCHER_ENGINE", "obstore")
    script = (
        "import sys; from batcher.handler import handler\n"
        "print(handler({'n': 1}, None)['receipts'][0]['records'])\n"
        "sdk = {'aioboto3', 'aiobotocore', 'boto3', 'botocore', 'aiohttp'}\n"
        "print(*sorted(sys.modules.keys() & sdk))"
    )
    assert run(script, sink) == "1"
    assert len(sink.seen) == 1


def test_a_forked_process_is_told_that_it_cannot_write(sink: RecordingServer) -> None:
    """The threads that send are the parent's; without a word the child would wait for ever."""
    script = """
import asyncio, os
from batcher.errors import RejectedError
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.obstore.store import ObstoreStore

async def put():
    await ObstoreStore(Settings(bucket="my-bucket")).put("key", b"body", ObjectAttributes())

asyncio.run(put())
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    try:
        asyncio.run(asyncio.wait_for(put(), 20))
    except RejectedError as error:
        print(error, flush=True)
    os._exit(0)
"""
    assert "forked" in run(script, sink)
    assert len(sink.seen) == 1


def test_requests_that_are_cancelled_leave_no_word_behind(sink: RecordingServer) -> None:
    """At any moment, and with the loop closed at once: no warning, no error, no task."""
    script = """
import asyncio
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.obstore.store import ObstoreStore

store = ObstoreStore(Settings(bucket="my-bucket"))

async def cut(turns):
    sending = asyncio.ensure_future(store.put(f"key{turns}", b"body", ObjectAttributes()))
    for _ in range(turns):
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled() or sending.exception() is None

for turns in [*range(60)] * 3:
    asyncio.run(cut(turns), debug=turns % 2 == 0)
asyncio.run(store.put("last", b"body", ObjectAttributes()))
print("done")
"""
    assert run(script, sink) == "done"
    # A request that was cancelled may reach the server after it
    assert "/my-bucket/last" in {one.path for one in sink.seen}
