"""Fixtures: a store to read from."""

from __future__ import annotations

import pytest

from support.sample_bucket import Shelf


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()
