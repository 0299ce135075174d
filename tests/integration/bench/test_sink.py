"""The sink: it keeps no object, and still knows what was in each."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

try:
    from compression import zstd
except ImportError:
    from backports import zstd

BENCH = Path(__file__).parents[3] / "bench"
TEXT = b'{"a":1}\n{"a":2}\n' * 5_000


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401  # a script of the bench
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    import sink_bucket as module  # noqa: PLC0415

    return module


def send(bucket: Any, target: Any, method: str, path: str, body: bytes = b"") -> Any:  # noqa: ANN401
    return target.answer(bucket.Request(method, path, {}, body))


@pytest.mark.parametrize(
    "body",
    [
        TEXT,
        gzip.compress(TEXT[:7_000], mtime=0) + gzip.compress(TEXT[7_000:], mtime=0),
        zstd.compress(TEXT[:7_000]) + zstd.compress(TEXT[7_000:]),
        b"{}",
    ],
    ids=["plain", "gzip members", "zstd frames", "shorter than any magic"],
)
def test_an_object_in_parts_of_any_order_is_decoded_as_it_comes(
    bucket: Any,  # noqa: ANN401
    body: bytes,
) -> None:
    """The second part comes first; sums are those of the whole text."""
    target = bucket.Bucket()
    target.change(is_proving=True)
    answer = send(bucket, target, "POST", "/b/k%3D1?uploads=")
    identity = answer.body.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    half = len(body) // 2
    send(bucket, target, "PUT", f"/b/k%3D1?partNumber=2&uploadId={identity}", body[half:])
    send(bucket, target, "PUT", f"/b/k%3D1?partNumber=1&uploadId={identity}", body[:half])
    assert target.objects()["open_uploads"] == 1
    send(bucket, target, "POST", f"/b/k%3D1?uploadId={identity}")
    found = target.objects()
    text = b"{}" if body == b"{}" else TEXT
    assert found["open_uploads"] == 0
    assert found["objects"]["k=1"] == {
        "size_bytes": len(body),
        "crc32": zlib.crc32(body),
        "parts": 2,
        "text_bytes": len(text),
        "text_crc32": zlib.crc32(text),
        "fault": "",
    }
    assert send(bucket, target, "HEAD", "/b/k=1").size_bytes == len(body)


def test_a_body_that_ends_early_is_a_fault(bucket: Any) -> None:  # noqa: ANN401
    """Half a gzip member must not pass for its text."""
    target = bucket.Bucket()
    target.change(is_proving=True)
    send(bucket, target, "PUT", "/b/k", gzip.compress(TEXT, mtime=0)[:100])
    assert target.objects()["objects"]["k"]["fault"] == "it ends too early"


def test_a_body_that_is_damaged_is_a_fault(bucket: Any) -> None:  # noqa: ANN401
    """A wrong byte fails the member's own checksum."""
    body = bytearray(gzip.compress(TEXT, mtime=0))
    body[-6] ^= 1
    target = bucket.Bucket()
    target.change(is_proving=True)
    send(bucket, target, "PUT", "/b/k", bytes(body))
    assert "incorrect data check" in target.objects()["objects"]["k"]["fault"]
