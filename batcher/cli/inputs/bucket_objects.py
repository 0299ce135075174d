"""The objects below a prefix of a bucket, or those that match a pattern, in sorted order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from glob import escape
from typing import TYPE_CHECKING, Any

from batcher.cli.inputs.name_pattern import NamePattern, fixed_start, has_wildcard
from batcher.keys.names import root_prefix
from batcher.settings import connection_settings

if TYPE_CHECKING:
    from batcher.settings import Settings
    from batcher.stores.base import ObjectReader


@dataclass(slots=True)
class BucketListing:
    """What was found in a bucket."""

    objects: list[tuple[str, int]] = field(default_factory=list)
    """Key and size, sorted by key."""
    hidden: int = 0
    """Names that start with `.` or `_` and were left out, with all that is below them."""
    excluded: int = 0
    """Objects below the excluded prefix."""


def input_settings(settings: Settings, bucket: str) -> Settings:
    """Return the settings with which a bucket is read: those of the destination.

    `expected_bucket_owner` is of the destination alone.
    """
    owner = settings.expected_bucket_owner if bucket == settings.bucket else ""
    return replace(settings, bucket=bucket, root="", expected_bucket_owner=owner)


def destination_settings(settings: Settings) -> Settings:
    """Return the settings of a folder without those that only inputs of S3 use.

    Otherwise a warning would say that they are not used.
    """
    if not settings.bucket.startswith("file:"):
        return settings
    declared = type(settings).__dataclass_fields__
    defaults: dict[str, Any] = {name: declared[name].default for name in connection_settings()}
    return replace(settings, **defaults)


def is_one_key(key: str) -> bool:
    """Return whether `key` names one object, neither a folder nor a pattern."""
    return bool(key) and not key.endswith("/") and not has_wildcard(key)


def listed_folder(key: str) -> str:
    """Return the prefix of the folder that a prefix or a pattern is about."""
    return fixed_start(key).rpartition("/")[0] + "/"


async def list_objects(reader: ObjectReader, key: str, excluded: str | None) -> BucketListing:
    """List the objects below a prefix that ends with a slash, or those that match a pattern.

    Args:
        reader: lists the bucket.
        key: the prefix, or the pattern. If there is an object with just this name, or one below
            just this prefix, it is no pattern.
        excluded: the root of objects that are left out, or None.

    Raises:
        BatcherError: the objects cannot be listed.
    """
    listing = BucketListing()
    pattern = NamePattern(key.removesuffix("/").split("/") if key else [])
    excluded_prefix = None if excluded is None else root_prefix(excluded)
    hidden: set[str] = set()
    may_be_folder = key.endswith("/") and has_wildcard(key)
    async for entry in reader.list_objects(fixed_start(key)):
        if entry.key == key and not key.endswith("/"):
            return BucketListing([(key, entry.size_bytes)])
        if may_be_folder and entry.key.startswith(key):
            may_be_folder = False
            pattern = NamePattern([escape(name) for name in key.removesuffix("/").split("/")])
            listing, hidden = BucketListing(), set()
        if entry.key.endswith("/") and not entry.size_bytes:
            continue  # the marker of an empty folder, which consoles create
        if not _is_match(pattern, entry.key, hidden):
            continue
        if excluded_prefix is not None and entry.key.startswith(excluded_prefix):
            listing.excluded += 1
            continue
        listing.objects.append((entry.key, entry.size_bytes))
    listing.objects.sort(key=lambda found: found[0].encode())
    listing.hidden = len(hidden)
    return listing


def _is_match(pattern: NamePattern, key: str, hidden: set[str]) -> bool:
    """Return whether a key matches. Add the path of a name that is left out as hidden."""
    state = pattern.start
    names = key.split("/")
    for index, name in enumerate(names):
        state, is_hidden = pattern.step(state, name)
        if is_hidden:
            hidden.add("/".join(names[: index + 1]))
        if not state:
            return False
    return pattern.is_match(state)


def excluded_root(bucket: str, key: str, destination: tuple[str, str]) -> str | None:
    """Return the root of the destination if it is within what an input lists, or None.

    Args:
        bucket: of the input.
        key: of the input: a prefix or a pattern.
        destination: bucket and root.

    Raises:
        ValueError: the input is the destination.
    """
    destination_bucket, root = destination
    if bucket != destination_bucket:
        return None
    folder, prefix = listed_folder(key).lstrip("/"), root_prefix(root)
    if folder == prefix and not has_wildcard(key):
        raise ValueError
    return root if prefix.startswith(folder) and prefix != folder else None
