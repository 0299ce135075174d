"""An endpoint that cannot be one is told before anything is sent, whatever sends it."""

from __future__ import annotations

import pytest

from batcher.errors import RejectedError
from batcher.stores.base import ObjectAttributes
from support.examples import make_settings
from support.store_fixtures import ENGINES

NONE_SUCH = [
    "127.0.0.1:9000",
    "http://h:99999",
    " http://h",
    "ftp://h",
    "http://",
    "http://[::1",
    "x",
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("url", NONE_SUCH)
async def test_what_is_no_endpoint_is_refused_by_its_name(
    engine: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line that says what to set; sending again would not help."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    store = ENGINES[engine](make_settings())
    try:
        with pytest.raises(RejectedError) as caught:
            await store.put("key", b"body", ObjectAttributes())
    finally:
        await store.aclose()
    text = str(caught.value)
    assert "PutObject s3://my-bucket/key: " in text
    assert url in text or "Invalid IPv6 URL" in text
    assert "set AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL to http(s)://host[:port]" in text
    assert "\n" not in text
