"""Lines of Lambda's log, as they leave the process."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from batcher.handler.logs import write_line

if TYPE_CHECKING:
    import pytest


def test_a_line_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda freezes the process after an event, and may never thaw it."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), "utf-8"))
    write_line('{"message":"ü"}')
    assert raw.getvalue() == '{"message":"ü"}\n'.encode()
