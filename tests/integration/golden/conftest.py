"""Fixtures of the golden tests: the server, and an environment that leads to it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .server import RecordingS3


@pytest.fixture(scope="session")
def recording_s3() -> Iterator[RecordingS3]:
    """Serve S3 for all tests."""
    with RecordingS3() as server:
        yield server


@pytest.fixture
def s3(recording_s3: RecordingS3, monkeypatch: pytest.MonkeyPatch) -> RecordingS3:
    """Return an empty server, to which this process's environment leads."""
    recording_s3.reset()
    for name in list(os.environ):
        if name.upper().startswith(("AWS_", "BATCHER_")):
            monkeypatch.delenv(name)
    for name, value in recording_s3.environ.items():
        monkeypatch.setenv(name, value)
    return recording_s3
