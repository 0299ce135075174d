"""What models need of pytest."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Return nothing of the thousands of failures that are meant."""
    with caplog.at_level(logging.CRITICAL, logger="batcher"):
        yield
