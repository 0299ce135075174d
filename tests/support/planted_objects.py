"""Objects that tests plant for `batcher verify`, and its result."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batcher.cli import main
from batcher.keys.names import salt
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from support.examples import described

if TYPE_CHECKING:
    import pytest

TEXT = b'{"a":1}\n{"b":2}\n'
FRESH = "019aaf5c-2f00-7000-8000-0123456789ab"
KEY = f"{salt(FRESH, 16)}/dt=2026-11-23/hour=07/{FRESH}.ndjson.gz"


def plant(folder: Path, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
    """Write one object, by default without metadata."""
    attributes = ObjectAttributes("application/gzip", metadata or {})
    asyncio.run(FileStore(folder).put(key, body, attributes))


def plant_stream(folder: Path, first: int, last: int, partition: str = "p=1") -> str:
    """Write an object of a stream and return its key."""
    name = f"orders-shardId-000000000003-{first:064d}"
    key = f"{salt(name, 16)}/{partition}/{name}.ndjson.gz"
    metadata = described(TEXT, first=str(first), last=str(last))
    plant(folder, key, gzip.compress(TEXT, mtime=0), metadata)
    return key


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, Any]:
    """Run the command with `--json` and return its exit code and its output."""
    code = main(["verify", f"file://{folder}", "--json", *flags])
    return code, json.loads(capsys.readouterr().out)
