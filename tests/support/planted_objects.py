"""Objects that tests plant for `batcher verify`, and its result."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backports import zstd

from batcher.cli import main
from batcher.encoding.positions_field import add_positions
from batcher.keys.names import salt
from batcher.records.chunk import positions_digest
from batcher.records.positions import encode_positions
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from support.examples import described
from support.output_schema import parse_output

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


def plant_positions(  # noqa: PLR0913  # what an object can differ in
    folder: Path,
    positions: Sequence[int],
    /,
    *,
    partition: str = "p=1",
    compression: str = "gzip",
    in_body: bool = True,
    listed: Sequence[int] | None = None,
    guard_of: str | None = None,
    **changes: str,
) -> str:
    """Write an object of a stream that has a positions list and a record per position.

    Args:
        folder: the root.
        positions: of its records, in increasing order.
        partition: its folders.
        compression: `gzip` or `zstd`.
        in_body: whether the list is in the body, and not in the metadata.
        listed: other positions for the list; the digest is that of `positions`.
        guard_of: the key of the object that has these records: this one is a guard.
        changes: other metadata, without prefix.

    Returns:
        Its key.
    """
    name = f"orders-shardId-000000000003-{positions[0]:064d}"
    suffix = {"gzip": "gz", "zstd": "zst"}[compression]
    key = f"{salt(name, 16)}/{partition}/{name}.ndjson.{suffix}"
    text = b"" if guard_of is not None else b"".join(b"%d\n" % number for number in positions)
    digest = positions_digest(list(map(str, positions)))
    if guard_of is not None:
        changes = {"kind": "guard", "of": guard_of, **changes}
    positions_list = encode_positions(list(map(str, positions if listed is None else listed)))
    assert positions_list is not None
    body = gzip.compress(text, mtime=0) if compression == "gzip" else zstd.compress(text)
    if in_body:
        body = add_positions(body, compression, positions_list) or body
    else:
        changes = {"positions": b64encode(positions_list).decode(), **changes}
    first, last = str(positions[0]), str(positions[-1])
    metadata = described(text, **({"first": first, "last": last, "digest": digest} | changes))
    plant(folder, key, body, metadata)
    return key


def counted(report: Mapping[str, Any]) -> dict[str, int]:
    """Return how many findings of each kind a report has, without kinds that it has none of."""
    return {kind: count for kind, count in report["counts"].items() if count}


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, Any]:
    """Run the command with `--json` and return its exit code and its output."""
    code = main(["verify", f"file://{folder}", "--json", *flags])
    return code, parse_output("verify", capsys.readouterr().out)
