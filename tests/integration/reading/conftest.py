"""Fixtures: a store to read from."""

from __future__ import annotations

import pytest

from support.sample_bucket import SampleBucket


@pytest.fixture
def sample_bucket() -> SampleBucket:
    return SampleBucket()
