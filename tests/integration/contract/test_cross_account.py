"""Settings for buckets of other accounts: what both engines send, signed, with every request."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from batcher import Batcher
from batcher.errors import RejectedError, RetryableError, SettingsError
from batcher.handler import make_handler
from batcher.reading.read_objects import read_objects
from batcher.settings import Settings
from batcher.stores import ObjectAttributes, ObjectReader, open_reader, open_store
from batcher.stores.credentials import assumed_role
from batcher.stores.credentials.source import CredentialSource
from support.account_server import BODY, AccountServer
from support.examples import make_settings
from support.store_fixtures import ENGINES

ROLE = "arn:aws:iam::210987654321:role/writer"
OWNER = {"expected_bucket_owner": "123456789012"}
PAYER = {"request_payer": "requester"}
PART_BYTES = 5 * 1024**2
REQUESTS = {
    "PUT a", "HEAD a", "GET a", "LIST", "POST a?uploads", "PUT a?partNumber&uploadId",
    "POST a?uploadId", "DELETE a?uploadId", "GET ?uploads",
}  # fmt: skip


async def send_all(settings: Settings) -> None:
    """Send each kind of request that a writer or a reader sends."""
    store = open_store(settings)
    try:
        await store.put("a", b"body", ObjectAttributes())
        await store.head("a")
        assert await store.read_range("a", 2, 5) == BODY[2:5]
        if store.parallel_parts:
            for is_complete in (True, False):
                upload = await store.create_upload("a", ObjectAttributes(), part_bytes=PART_BYTES)
                await upload.put_part(1, bytes(PART_BYTES))
                await upload.put_part(2, b"end")
                await (upload.complete() if is_complete else upload.abort())
    finally:
        await store.aclose()
    await read_all(open_reader(settings))


async def read_all(reader: ObjectReader) -> None:
    """Send each kind of request that a reader sends."""
    try:
        assert [entry async for entry in reader.list_objects("a/")] == []
        assert [entry async for entry in reader.list_folder("a/")] == []
        async with reader.open_object("a") as opened:
            assert b"".join([piece async for piece in opened.pieces]) == BODY
        assert [upload async for upload in reader.list_uploads("a/")] == []
    finally:
        await reader.aclose()


def kinds_of(account: AccountServer) -> set[str]:
    """Return the requests that have come, without what differs by engine."""
    kinds = set()
    for request in account.received:
        url = urlsplit(request.path)
        names = sorted({field.partition("=")[0] for field in url.query.split("&")} - {""})
        if "list-type" in names:
            kinds.add("LIST")
            continue
        key = url.path.strip("/").partition("/")[2]
        wanted = "&".join(n for n in names if n in {"uploads", "uploadId", "partNumber"})
        kinds.add(f"{request.method} {key}{'?' * bool(wanted)}{wanted}")
    return kinds


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("chosen", "headers"),
    [
        (OWNER, {"x-amz-expected-bucket-owner": "123456789012"}),
        (PAYER, {"x-amz-request-payer": "requester"}),
        (OWNER | PAYER, {"x-amz-expected-bucket-owner": "123456789012"}),
        ({}, {}),
    ],
)
async def test_owner_and_payer_are_in_every_request_and_signed(
    engine: str, chosen: dict[str, Any], headers: dict[str, str], account: AccountServer
) -> None:
    """Without the settings there is none of them. The server refuses what is not signed."""
    await send_all(make_settings(engine=engine, **chosen))
    assert account.refused == []
    assert kinds_of(account) == REQUESTS
    for request in account.received:
        sent = {n: v for n, v in request.headers.items() if n.endswith(("owner", "payer"))}
        assert sent.items() >= headers.items()
        assert len(sent) == len(chosen)


@pytest.mark.parametrize("engine", ENGINES)
async def test_another_owner_is_named_where_s3_only_denies(
    engine: str, account: AccountServer
) -> None:
    """The response of S3 is that of a missing permission."""
    account.owner = "999999999999"
    store = open_store(make_settings(engine=engine, **OWNER))
    reader = open_reader(make_settings(engine=engine, **OWNER))
    words = "correct expected_bucket_owner, if not 123456789012 owns the bucket"
    try:
        with pytest.raises(RejectedError, match=words):
            await store.put("a", b"body", ObjectAttributes())
        with pytest.raises(RejectedError, match=words):
            await store.head("a")
        with pytest.raises(RejectedError, match=words):
            await store.create_upload("a", ObjectAttributes(), part_bytes=PART_BYTES)
        with pytest.raises(RejectedError, match=words):
            _ = [entry async for entry in reader.list_objects("")]
    finally:
        await store.aclose()
        await reader.aclose()
    assert account.received == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_acl_is_sent_with_what_makes_an_object_and_with_nothing_else(
    engine: str, account: AccountServer
) -> None:
    """S3 refuses it in UploadPart, so that obstore writes large objects by one PUT."""
    settings = make_settings(engine=engine, acl="bucket-owner-full-control")
    await send_all(settings)
    assert account.refused == []
    creating = {"PUT a", "POST a?uploads"} & kinds_of(account)
    with_acl = [request for request in account.received if "x-amz-acl" in request.headers]
    assert {request.headers["x-amz-acl"] for request in with_acl} == {"bucket-owner-full-control"}
    account.received[:] = with_acl
    assert kinds_of(account) == creating
    account.received.clear()
    large = settings_of_large_objects(settings)
    async with Batcher(large) as batcher:
        await (await batcher.submit_many([b'{"n":%d}' % n for n in range(200_000)]))
    assert account.refused == []
    methods = [request.method for request in account.received]
    assert methods == (["PUT"] if engine == "obstore" else ["POST", "PUT", "POST"])


def settings_of_large_objects(settings: Settings) -> Settings:
    """Return settings with which objects of 1 MB would go up in parts."""
    return make_settings(
        engine=settings.engine, acl=settings.acl, compression="none", multipart_threshold="1MiB"
    )


def test_an_acl_with_objects_beyond_one_put_is_refused() -> None:
    """Only obstore needs one PUT."""
    with pytest.raises(SettingsError, match=r"max_bytes: .*one PUT.*use engine=aioboto3"):
        open_store(make_settings(acl="private", max_bytes="5GB", budget_bytes="20GB"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size_bytes", [4, 6 * 1024**2])
async def test_without_conditional_writes_no_condition_is_sent(
    engine: str, size_bytes: int, account: AccountServer
) -> None:
    """And obstore does not make an upload of what is large."""
    for is_conditional in (False, True):
        store = open_store(make_settings(engine=engine, conditional_writes=is_conditional))
        await store.put("a", bytes(size_bytes), ObjectAttributes())
        await store.aclose()
    first, second = account.received
    assert (first.method, second.method) == ("PUT", "PUT")
    assert "if-none-match" not in first.headers
    assert second.headers["if-none-match"] == "*"


async def test_without_conditional_writes_an_upload_is_completed_without_one(
    account: AccountServer,
) -> None:
    """As obstore does anyway."""
    await send_all(make_settings(engine="aioboto3", conditional_writes=False))
    assert not [request for request in account.received if "if-none-match" in request.headers]


def test_event_sources_refuse_to_go_without_conditional_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the handler is made, or at its first event if the environment configures it."""
    with pytest.raises(SettingsError, match="conditional_writes: false is only for fresh keys"):
        make_handler(make_settings(conditional_writes=False))
    monkeypatch.setenv("BATCHER_BUCKET", "my-bucket")
    monkeypatch.setenv("BATCHER_CONDITIONAL_WRITES", "false")
    from_env = make_handler()
    for _ in range(2):
        with pytest.raises(SettingsError, match="conditional_writes: false is only for fresh keys"):
            from_env({"Records": []})
    from_env.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("style", "path"), [("virtual", "http://my-bucket.s3.test/a"), ("path", "http://s3.test/my-")]
)
async def test_the_bucket_is_named_where_the_style_says(
    engine: str, style: str, path: str, account: AccountServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the host, which only a proxy finds here, or in the path."""
    monkeypatch.setenv("HTTP_PROXY", account.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(account, "find_fault", lambda _: "")  # URLs are absolute
    settings = make_settings(engine=engine, addressing_style=style, endpoint_url="http://s3.test")
    store = open_store(settings)
    await store.put("a", b"body", ObjectAttributes())
    await store.aclose()
    (request,) = account.received
    assert request.path.startswith(path)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_role_is_assumed_once_for_all_requests(engine: str, account: AccountServer) -> None:
    """Also for those that wait at the same time, and with the external id."""
    account.sts_delay_s = 0.2
    settings = make_settings(engine=engine, role_arn=ROLE, external_id="an-id/1")
    store = open_store(settings)
    await asyncio.gather(*(store.put(f"a{n}", b"b", ObjectAttributes()) for n in range(8)))
    await store.head("a0")
    await store.aclose()
    (asked,) = account.assumed
    assert (asked["RoleArn"], asked["ExternalId"]) == (ROLE, "an-id/1")
    assert asked["RoleSessionName"] == "batcher"
    assert len(account.received) == 9
    for request in account.received:
        assert "Credential=ASIAROLE1/" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"] == "role token"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_reader_assumes_the_role_too(engine: str, account: AccountServer) -> None:
    """Also for the listing of uploads, which boto3 makes for obstore."""
    await read_all(open_reader(make_settings(engine=engine, role_arn=ROLE)))
    assert len(account.assumed) == 1
    assert "ExternalId" not in account.assumed[0]
    for request in account.received:
        assert "Credential=ASIAROLE1/" in request.headers["authorization"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_credentials_of_a_role_are_renewed_before_they_expire(
    engine: str, account: AccountServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for all requests that find them due; if STS fails, those that are valid are used."""
    store = open_store(make_settings(engine=engine, role_arn=ROLE))
    now_s = [account.clock()]
    monkeypatch.setattr(account, "clock", lambda: now_s[0])
    monkeypatch.setattr(
        assumed_role.AssumedRoleProvider.__init__, "__defaults__", (lambda: now_s[0],)
    )
    for later_s, assumed in ((0, 1), (2_600, 1), (200, 2)):
        now_s[0] += later_s
        await asyncio.gather(*(store.put(f"a{n}", b"b", ObjectAttributes()) for n in range(4)))
        assert len(account.assumed) == assumed
    account.sts_error = (500, "InternalFailure", "try later")
    now_s[0] += 2_800
    await store.head("a")
    with_old = account.received[-1].headers["authorization"]
    assert "Credential=ASIAROLE2/" in with_old
    now_s[0] += 3_600
    with pytest.raises(RetryableError, match=r"STS answered AssumeRole with 500.*role_arn is arn:"):
        await store.head("a", deadline_s=asyncio.get_running_loop().time())
    await store.aclose()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_role_that_may_not_be_assumed_is_one_clear_error(
    engine: str, account: AccountServer
) -> None:
    """It names STS, the role and the fix. Nothing is sent to S3."""
    said = f"User: x is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    account.sts_error = (403, "AccessDenied", said)
    store = open_store(make_settings(engine=engine, role_arn=ROLE))
    with pytest.raises(RejectedError) as caught:
        await store.put("a", b"body", ObjectAttributes())
    await store.aclose()
    text = str(caught.value)
    assert text.startswith("PutObject s3://my-bucket/a: cannot get credentials: STS answered ")
    assert "trust policy, with the external id if the policy asks for one" in text
    assert text.endswith(f"(role_arn is {ROLE})")
    assert account.received == []


async def test_an_sts_that_cannot_be_reached_is_named(
    account: AccountServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry may succeed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    source = CredentialSource.from_settings(make_settings(role_arn=ROLE))
    with pytest.raises(
        RetryableError, match=r"127\.0\.0\.1:1.*check the network.*role_arn is arn:"
    ):
        await source.run(lambda: source.get("PutObject", "a"), "PutObject", "a")
    assert account.received == []


async def test_read_objects_takes_the_settings_of_a_reader(account: AccountServer) -> None:
    """Listings with an owner are by aioboto3: obstore does not sign it there."""
    place = {**OWNER, **PAYER, "role_arn": ROLE, "external_id": "an-id", "addressing_style": "path"}
    async with read_objects("s3://my-bucket/events", **place) as objects:  # type: ignore[arg-type]  # all text
        assert [found.key async for found in objects] == []
    assert account.received
    for request in account.received:
        assert request.headers["x-amz-expected-bucket-owner"] == "123456789012"
        assert request.headers["x-amz-request-payer"] == "requester"
        assert "Credential=ASIAROLE1/" in request.headers["authorization"]


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ({"role_arn": "writer"}, "role_arn: 'writer' is not the ARN of a role; write one as"),
        ({"role_arn": "arn:aws:iam::1:user/x"}, "role_arn: 'arn:aws:iam::1:user/x' is not the ARN"),
        ({"external_id": "x1"}, "external_id: not used without a role; set role_arn"),
        ({"role_arn": ROLE, "external_id": "ä b"}, "external_id: 'ä b' is not an external id"),
        ({"expected_bucket_owner": "123"}, "expected_bucket_owner: '123' is not the id of an"),
        ({"request_payer": "me"}, "request_payer: unknown value 'me'"),
        ({"acl": "bucket-owner"}, "acl: unknown value 'bucket-owner'"),
        ({"addressing_style": "host"}, "addressing_style: unknown value 'host'"),
        ({"conditional_writes": "maybe"}, "conditional_writes: unknown value 'maybe'"),
        (
            {
                "bucket": "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-point",
                "addressing_style": "path",
            },
            "addressing_style: an access point is never in the path",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_fault(chosen: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings(**chosen)
    (found,) = caught.value.faults
    assert found.startswith(fault)


@pytest.mark.parametrize("open_place", [open_store, open_reader])
def test_a_role_without_the_package_for_it_is_refused_at_once(
    open_place: Callable[[Settings], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any record is taken, with the command."""
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(SettingsError, match=r"role_arn: botocore is not installed.*pip install"):
        open_place(make_settings(role_arn=ROLE))
