"""Fixtures: a store to read from."""

from __future__ import annotations

import pytest

from reading.shelf import Shelf


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()
