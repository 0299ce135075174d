"""Days: records written by the real Batcher with arrival times of a test's choice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from batcher.batcher import Batcher
from batcher.encoding.codec import encode_text
from batcher.encoding.positions_field import add_positions
from batcher.keys.names import salt
from batcher.records.positions import encode_positions
from batcher.settings import Settings
from batcher.stores import ObjectAttributes
from batcher.stores.file import FileStore
from batcher.tools.ddl.table import TableDefinition, TableOptions, define_table

DAY = "2026-11-23"
OTHER_DAY = "2026-11-22"
PLAIN: list[dict[str, Any]] = [
    {"n": n, "action": f"a{n % 7}", "where": {"city": "Ü", "at": [n / 4, 2.5]}} for n in range(600)
]
COLUMNS = "n bigint, action string, where struct<city:string,at:array<double>>"
ODD = [
    b'{"a":1,"dt":"x","salt":[]}',
    b'{"a":"text","A":{"b":null}}',
    b"null",
    b"[1,2]",
    b'"it\'s \\u0000 \\n"',
    b"1e999",
    b"18446744073709551616",
    b"{}",
    b'{"a":\t1}',
    '{"ü":"日本"}'.encode(),
]


def settings_of(folder: Path, **settings: Any) -> Settings:  # noqa: ANN401
    """Make settings for a folder."""
    return Settings(**{"bucket": f"file://{folder}", "fanout": 16, **settings})


def described(settings: Settings, folder: Path, **wanted: Any) -> TableDefinition:  # noqa: ANN401
    """Describe the folder as a table called `events`."""
    return define_table(
        settings, ("file", str(folder)), TableOptions(**{"name": "events", **wanted})
    )


async def write(
    settings: Settings, records: Sequence[bytes], at: str = f"{DAY}T07:30:00", a_batch: int = 20
) -> None:
    """Write records, some to an object, as if they all arrived at this time (UTC)."""
    arrival_s = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    async with Batcher(settings, wall_clock=lambda: arrival_s) as batcher:
        for start in range(0, len(records), a_batch):
            await batcher.submit_many(records[start : start + a_batch])
            await batcher.flush()


async def write_guard(settings: Settings, folder: Path, at: str = f"dt={DAY}/hour=07") -> None:
    """Write an empty object as a redelivery leaves it, with a long positions list in its body."""
    positions_list = encode_positions([str(n * n) for n in range(1, 3000)])
    assert positions_list is not None
    suffix = {"gzip": ".gz", "zstd": ".zst", "none": ""}[settings.compression]
    body, _ = encode_text(b"", settings.compression, 1)
    body = add_positions(body, settings.compression, positions_list) or body
    name = f"orders-shardId-000000000003-{1:064d}"
    key = f"{salt(name, settings.fanout)}/{at}/{name}.ndjson{suffix}"
    metadata = {"batcher-kind": "guard"}
    await FileStore(folder).put(key, body, ObjectAttributes(metadata=metadata))


async def write_day(settings: Settings) -> list[dict[str, Any]]:
    """Write a day, of three hours, and the day before it; give what is of the day."""
    lines = [orjson.dumps(record) for record in PLAIN]
    await write(settings, lines[:300], f"{DAY}T00:00:00")
    await write(settings, lines[300:580], f"{DAY}T07:59:59")
    await write(settings, lines[580:], f"{DAY}T23:59:59")
    await write(settings, [b'{"n":-1}'] * 40, f"{OTHER_DAY}T23:59:59")
    return PLAIN


def damage(folder: Path, day: str) -> int:
    """Make every object of a day unreadable, so that whoever opens one fails."""
    found = [path for path in folder.rglob(f"dt={day}/**/*") if path.is_file()]
    kept = [path for path in found if ".meta" not in path.parts]
    for path in kept:
        path.write_bytes(b"\x1f\x8bno gzip, no zstd, no JSON")
    return len(kept)


def salts_used(folder: Path, day: str = "*") -> set[str]:
    """Name the salts that have objects of a day."""
    return {path.parent.name for path in folder.glob(f"[01]*/dt={day}")}
