"""X-Ray's header of an event on the requests that it makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher.stores import ObjectAttributes
from batcher.stores.obstore.store import ObstoreStore
from batcher.stores.s3.store import S3Store
from integration.contract.recording_server import RecordingServer
from support.examples import make_settings

pytestmark = pytest.mark.slow

ABOUT = ObjectAttributes("application/gzip", {"batcher-records": "3"})
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled=1"


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    """Serve over TLS, and let the environment lead there."""
    with RecordingServer(tmp_path) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(server.certificate))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        yield server


async def test_each_request_carries_the_trace_of_its_event(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By aioboto3, over one connection; Lambda changes the variable from event to event."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-writer")
    store = S3Store(make_settings())
    for trace in (TRACE, TRACE.replace("2793", "0000")):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
        await store.put("a", b"body", ABOUT)
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    await store.put("a", b"body", ABOUT)
    await store.aclose()
    first, second, third = sink.seen
    assert first.headers["x-amzn-trace-id"] == TRACE
    assert second.headers["x-amzn-trace-id"] == TRACE.replace("2793", "0000")
    assert "x-amzn-trace-id" not in third.headers
    assert sink.connections == 1


async def test_a_function_with_tracing_writes_with_obstore_without_the_header(
    sink: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda sets these variables; docs/how-to/powertools.md says what is lost."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-writer")
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1:2000")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE)
    store = ObstoreStore(make_settings())
    await store.put("a", b"body", ABOUT)
    await store.aclose()
    (seen,) = sink.seen
    assert "x-amzn-trace-id" not in seen.headers
