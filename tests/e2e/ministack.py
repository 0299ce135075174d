"""Ministack: an emulator of AWS in one process, whose queues and streams invoke functions."""

from __future__ import annotations

import os
from pathlib import Path

from e2e.emulator import HOST, Emulator, free_port
from e2e.tools import ministack


def open_ministack(folder: Path) -> Emulator:
    """Return the emulator on a free port of loopback, with its files in a folder. Enter it."""
    python, port = ministack(), free_port()
    environ = {
        "PATH": f"{python.parent}:{os.defpath}",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    return Emulator([python.with_name("ministack")], environ, folder, port)
