"""Credentials stand in no text that batcher makes: no repr, no error, no traceback."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from batcher.errors import BatcherError
from batcher.stores.base import ObjectAttributes
from batcher.stores.credentials.endpoint import Credentials
from support.examples import make_settings
from support.store_fixtures import ENGINES

SECRET, TOKEN = "wJalrXUtnFEMIhunter2", "FwoGZXIvhunter3"
SETTINGS = make_settings(tags={"team": "x"}, metadata={"source": "y"})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failed_request_tells_no_secret(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its error, nor what it was raised from, nor the store's repr."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    store = ENGINES[engine](SETTINGS)

    async def put() -> str:
        try:
            await store.put("k", b"x", ObjectAttributes())
        except BatcherError as error:
            return "".join(traceback.format_exception(error)) + repr(error)
        finally:
            await store.aclose()
        return ""

    told = asyncio.run(put())
    assert "127.0.0.1" in told
    for text in (told, repr(store), repr(SETTINGS)):
        assert SECRET not in text
        assert TOKEN not in text
        assert "hunter" not in text


def test_keys_show_who_asks_and_nothing_else() -> None:
    """An access key's id is in each request, too."""
    shown = f"{Credentials('AKIAEXAMPLE', SECRET, TOKEN)!r}"
    assert "AKIAEXAMPLE" in shown
    assert "hunter" not in shown


def test_no_setting_holds_a_secret() -> None:
    """Credentials come by the SDK's own ways, never from a setting; so repr may show all."""
    names = set(vars(SETTINGS))
    assert not {name for name in names if "secret" in name or "password" in name or "token" in name}
    assert {name for name in names if "key" in name} == {"kms_key_id"}
