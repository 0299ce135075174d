"""The demo's audit: the bucket read back by readers that are not ours, and compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from batcher.errors import BatcherError
from batcher.keys.names import QUARANTINE_FOLDER

LINES_QUERY = "SELECT json::VARCHAR FROM read_ndjson_objects(?)"


PARTITIONS_QUERY = """
    SELECT 'dt=' || dt || '/hour=' || hour, count(*)
    FROM read_ndjson_objects(?, hive_partitioning = true, hive_types_autocast = false)
    GROUP BY ALL ORDER BY ALL
"""


OFFLINE_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False
}


class AuditError(BatcherError):
    """The bucket cannot be read back."""


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object as a listing of the bucket shows it."""

    key: str
    etag: str
    modified: object
    size_bytes: int

    @property
    def is_quarantine(self) -> bool:
        """Whether it holds bad records, by its name."""
        return f"/{QUARANTINE_FOLDER}/" in self.key


@dataclass(frozen=True, slots=True)
class BucketContents:
    """What the bucket holds."""

    records: list[str]
    """Every line of the data objects, as it is there."""
    partitions: list[tuple[str, int]]
    """Each partition's name, and its records."""
    quarantined: list[dict[str, Any]]
    """Every line of the quarantine objects."""


@dataclass(frozen=True, slots=True)
class RecordDifference:
    """How what landed differs from what was sent, record for record."""

    missing: int
    duplicates: int
    changed: int
    """Records that nobody sent: changed ones."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.duplicates or self.changed)

    def __str__(self) -> str:
        return (
            f"{self.missing} records are missing, {self.duplicates} are there more than once, "
            f"{self.changed} are not as they were sent"
        )


def compare_records(sent: Iterable[str], landed: Iterable[str]) -> RecordDifference:
    """Compare two multisets of records."""
    wanted, there = Counter(sent), Counter(landed)
    surplus = there - wanted
    duplicates = sum(count for text, count in surplus.items() if text in wanted)
    return RecordDifference((wanted - there).total(), duplicates, surplus.total() - duplicates)


class Bucket:
    """A bucket as AWS's own SDK sees it, with what the environment says."""

    def __init__(self, name: str) -> None:
        """Look at bucket `name`."""
        self.name = name
        self._client = get_session().create_client("s3")

    def objects(self, root: str) -> list[BucketObject]:
        """List all objects under `root`."""
        with _as_audit_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{root}/"
            )
            return [
                BucketObject(found["Key"], found["ETag"], found["LastModified"], found["Size"])
                for page in pages
                for found in page.get("Contents", ())
            ]

    def download(self, objects: Sequence[BucketObject], folder: Path) -> None:
        """Fetch objects into `folder`, each at its key."""
        for listed in objects:
            path = folder / listed.key
            path.parent.mkdir(parents=True, exist_ok=True)
            with _as_audit_errors():
                answer = self._client.get_object(Bucket=self.name, Key=listed.key)
                path.write_bytes(answer["Body"].read())

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


@contextmanager
def _as_audit_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        msg = f"the bucket cannot be read: {error}"
        raise AuditError(msg) from error


def read_back(objects: Sequence[BucketObject], folder: Path) -> BucketContents:
    """Read downloaded objects with DuckDB, which knows nothing of batcher."""
    data = [str(folder / listed.key) for listed in objects if not listed.is_quarantine]
    bad = [str(folder / listed.key) for listed in objects if listed.is_quarantine]
    with duckdb.connect(":memory:", config=OFFLINE_CONFIG) as database:

        def rows(query: str, files: Sequence[str]) -> list[tuple[Any, ...]]:
            try:
                return database.execute(query, [files]).fetchall() if files else []
            except RuntimeError as error:
                if "interrupted" in str(error).lower():  # DuckDB's name for Ctrl-C
                    raise KeyboardInterrupt from error
                raise

        return BucketContents(
            [text for (text,) in rows(LINES_QUERY, data)],
            [(name, records) for name, records in rows(PARTITIONS_QUERY, data)],
            [json.loads(text) for (text,) in rows(LINES_QUERY, bad)],
        )
