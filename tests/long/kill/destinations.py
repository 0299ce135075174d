"""Destinations of a killed program, read by plain boto3 and plain files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a destination has in addition to objects."""

    open_uploads: int = 0
    dot_files: int = 0
    """Temporary files of bodies and of metadata."""
    meta_files: int = 0
    """Those of metadata."""


class Destination(Protocol):
    """A destination of its own for each run."""

    destination: str

    def objects(self) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
        """Return the key, body and metadata of each object that a reader can see."""

    def left(self) -> Leftovers:
        """Count what else is there."""

    def clear(self) -> None:
        """Remove everything."""


class Folder:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        """Write under `folder`."""
        self.destination = f"file://{folder}"
        self._folder = folder
        self._meta = folder / ".meta"

    def objects(self) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
        """See `Destination.objects`."""
        for file in self._files():
            key = str(file.relative_to(self._folder))
            if file.is_relative_to(self._meta) or file.name.startswith("."):
                continue
            about = self._meta / f"{key}.json"
            metadata = json.loads(about.read_text())["metadata"] if about.exists() else {}
            yield key, file.read_bytes(), metadata

    def left(self) -> Leftovers:
        """See `Destination.left`."""
        files = [file for file in self._files() if file.name.startswith(".")]
        meta_files = sum(file.is_relative_to(self._meta) for file in files)
        return Leftovers(dot_files=len(files), meta_files=meta_files)

    def clear(self) -> None:
        """See `Destination.clear`."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return [file for file in self._folder.rglob("*") if file.is_file()]


class Root:
    """A root in a bucket."""

    def __init__(self, client: Any, bucket: str, root: str) -> None:  # noqa: ANN401  # no types
        """Write under `root`."""
        self.destination = f"s3://{bucket}/{root}"
        self._client = client
        self._names = {"Bucket": bucket}
        self._under = {"Bucket": bucket, "Prefix": f"{root}/"}

    def objects(self) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
        """See `Destination.objects`."""
        for key in self._keys():
            answer = self._client.get_object(**self._names, Key=key)
            yield key, answer["Body"].read(), answer["Metadata"]

    def left(self) -> Leftovers:
        """See `Destination.left`."""
        return Leftovers(open_uploads=len(self._uploads()))

    def clear(self) -> None:
        """See `Destination.clear`."""
        for found in self._uploads():
            self._client.abort_multipart_upload(
                **self._names, Key=found["Key"], UploadId=found["UploadId"]
            )
        for key in self._keys():
            self._client.delete_object(**self._names, Key=key)

    def _keys(self) -> list[str]:
        answer = self._client.list_objects_v2(**self._under)
        assert not answer["IsTruncated"], "more objects than a run ever makes"
        return [found["Key"] for found in answer.get("Contents", [])]

    def _uploads(self) -> list[dict[str, str]]:
        uploads: list[dict[str, str]] = self._client.list_multipart_uploads(**self._under).get(
            "Uploads", []
        )
        return uploads
