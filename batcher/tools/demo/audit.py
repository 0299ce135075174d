"""Audit: reads the bucket back with tools that are independent of batcher, and compares."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import duckdb
from botocore.exceptions import BotoCoreError, ClientError

from batcher.errors import BatcherError
from batcher.keys.names import QUARANTINE_FOLDER
from batcher.tools.formatting import format_count

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
    """The bucket cannot be read back. The message says why."""


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An entry of a listing of the bucket."""

    key: str
    etag: str
    modified: object
    size_bytes: int

    @property
    def is_quarantine(self) -> bool:
        """Whether the key is in quarantine."""
        return f"/{QUARANTINE_FOLDER}/" in self.key


@dataclass(frozen=True, slots=True)
class BucketContents:
    """The contents of the bucket, as DuckDB reads them."""

    records: list[str]
    """Every line of the data objects, unchanged."""
    partitions: list[tuple[str, int]]
    """The name of each partition, and its number of records."""
    quarantined: list[dict[str, Any]]
    """Every line of the quarantine objects."""


@dataclass(frozen=True, slots=True)
class RecordDifference:
    """The difference between the records sent and the records written."""

    missing: int
    duplicates: int
    changed: int
    """Records that were never sent, that is, changed ones."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.duplicates or self.changed)

    def __str__(self) -> str:
        return (
            f"{format_count(self.missing, 'missing record')}, "
            f"{format_count(self.duplicates, 'duplicate')}, "
            f"{format_count(self.changed, 'changed record')}"
        )


def compare_records(sent: Iterable[str], written: Iterable[str]) -> RecordDifference:
    """Compare two multisets of records."""
    expected, actual = Counter(sent), Counter(written)
    surplus = actual - expected
    duplicates = sum(count for text, count in surplus.items() if text in expected)
    missing = (expected - actual).total()
    return RecordDifference(missing, duplicates, surplus.total() - duplicates)


class Bucket:
    """A bucket, read with AWS's own SDK and the AWS settings of the environment."""

    def __init__(self, name: str) -> None:
        """Open the bucket `name`."""
        self.name = name
        self._client = boto3.Session(region_name=os.environ.get("AWS_REGION")).client("s3")

    def objects(self, root: str) -> list[BucketObject]:
        """List all objects under `root`."""
        with _as_audit_errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{root}/"
            )
            return [
                BucketObject(entry["Key"], entry["ETag"], entry["LastModified"], entry["Size"])
                for page in pages
                for entry in page.get("Contents", ())
            ]

    def download(self, objects: Sequence[BucketObject], folder: Path) -> None:
        """Download objects into `folder`, to paths equal to their keys."""
        for entry in objects:
            path = folder / entry.key
            path.parent.mkdir(parents=True, exist_ok=True)
            with _as_audit_errors():
                response = self._client.get_object(Bucket=self.name, Key=entry.key)
                path.write_bytes(response["Body"].read())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


@contextmanager
def _as_audit_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        msg = f"the bucket cannot be read: {error}"
        raise AuditError(msg) from error


def read_back(objects: Sequence[BucketObject], folder: Path) -> BucketContents:
    """Return the contents of downloaded objects, as DuckDB reads them."""
    data = [str(folder / entry.key) for entry in objects if not entry.is_quarantine]
    quarantine = [str(folder / entry.key) for entry in objects if entry.is_quarantine]
    with duckdb.connect(":memory:", config=OFFLINE_CONFIG) as database:

        def rows(query: str, files: Sequence[str]) -> list[tuple[Any, ...]]:
            try:
                return database.execute(query, [files]).fetchall() if files else []
            except RuntimeError as error:
                if "interrupted" in str(error).lower():  # DuckDB's error for Ctrl-C
                    raise KeyboardInterrupt from error
                raise

        return BucketContents(
            [text for (text,) in rows(LINES_QUERY, data)],
            [(name, records) for name, records in rows(PARTITIONS_QUERY, data)],
            [json.loads(text) for (text,) in rows(LINES_QUERY, quarantine)],
        )
