"""Variables that name a proxy mean the same for both engines: what they mean for botocore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from batcher.errors import BatcherError, RetryableError
from batcher.stores.base import ObjectAttributes
from batcher.stores.proxies import describe_proxy, find_proxy
from support.examples import make_settings
from support.responding_server import RespondingServer
from support.store_fixtures import ENGINES

FOUND = {"ETag": '"an-etag"'}
DEAD = "127.0.0.1:1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RespondingServer]:
    """Serve an endpoint, and no proxy."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    with RespondingServer(200, FOUND) as responding:
        yield responding


async def put(engine: str, url: str) -> None:
    """Write one object, once."""
    store = ENGINES[engine](make_settings(engine=engine, endpoint_url=url))
    try:
        await store.put("a", b"body", ObjectAttributes())
    finally:
        await store.aclose()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("environ", "is_used"),
    [
        ({"HTTP_PROXY": f"http://{DEAD}"}, True),
        ({"http_proxy": f"http://{DEAD}"}, True),
        ({"HTTP_PROXY": DEAD}, True),
        ({"HTTP_PROXY": f"http://user:pass@{DEAD}/"}, True),
        ({"HTTPS_PROXY": f"http://{DEAD}"}, False),
        ({"ALL_PROXY": f"http://{DEAD}"}, False),
        ({"all_proxy": f"http://{DEAD}"}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "http_proxy": ""}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "REQUEST_METHOD": "GET"}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "NO_PROXY": "127.0.0.1"}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "no_proxy": "x, 127.0.0.1"}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "NO_PROXY": "*"}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "NO_PROXY": "127.0.0.1:{port}"}, False),
        ({"HTTP_PROXY": f"http://{DEAD}", "NO_PROXY": "127.0.0.1:1"}, True),
        ({"HTTP_PROXY": f"http://{DEAD}", "NO_PROXY": "127.0.0.0/8"}, True),
    ],
    ids=lambda value: "+".join(map("=".join, value.items())) if isinstance(value, dict) else None,
)
async def test_a_proxy_is_used_or_not_by_the_same_rule(
    engine: str,
    environ: Mapping[str, str],
    is_used: bool,  # noqa: FBT001  # a case
    server: RespondingServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that nothing listens at: a request that comes through has gone around it."""
    port = server.url.rpartition(":")[2]
    for name, value in environ.items():
        monkeypatch.setenv(name, value.format(port=port))
    if is_used:
        with pytest.raises(RetryableError) as caught:
            await put(engine, server.url)
        assert f"cannot reach {server.url} through the proxy {DEAD}: " in str(caught.value)
        assert "pass" not in str(caught.value)
    else:
        await put(engine, server.url)
    assert bool(server.received) != is_used


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_proxy_gets_the_request(
    engine: str, server: RespondingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the URL of the endpoint, which nothing listens at here."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    await put(engine, f"http://{DEAD}")
    assert [(one.method, one.path) for one in server.received] == [
        ("PUT", f"http://{DEAD}/my-bucket/a")
    ]


@pytest.mark.parametrize("engine", ["obstore"])
async def test_a_redirect_to_another_host_is_not_followed_beside_a_proxy_that_is_not_used(
    engine: str, server: RespondingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable for another scheme, or an exception, is no reason to follow it."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{DEAD}")
    monkeypatch.setenv("HTTP_PROXY", f"http://{DEAD}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2")
    with RespondingServer(200, FOUND, host="127.0.0.2") as elsewhere:
        server.status, server.headers = 303, {"Location": f"{elsewhere.url}{{path}}"}
        with pytest.raises(Exception, match="redirects to another place"):
            await put(engine, server.url)
    assert elsewhere.received == []


def test_the_scheme_of_the_endpoint_chooses_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a host that is an exception has none."""
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    monkeypatch.setenv("HTTP_PROXY", "plain:2")
    monkeypatch.setenv("NO_PROXY", ".internal")
    assert find_proxy("https://s3.example") == "http://secure:1"
    assert find_proxy("http://s3.example:9000") == "http://plain:2"
    assert find_proxy("https://minio.internal:9000") == ""
    assert describe_proxy("S3") == ""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "proxy", ["ftp://127.0.0.1:1", "socks5://user:pass@127.0.0.1:1", "http://127.0.0.1:99999"]
)
async def test_nothing_is_sent_past_a_proxy_that_cannot_be_used(
    engine: str, proxy: str, server: RespondingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is named, without its password."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(BatcherError, match="the proxy ") as caught:
        await put(engine, server.url)
    assert "pass" not in str(caught.value)
    assert server.received == []
