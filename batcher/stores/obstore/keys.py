"""Keys that obstore cannot represent. It has paths, and changes or refuses all other keys."""

from __future__ import annotations

import re

from batcher.errors import RejectedError
from batcher.stores.credentials.endpoint import OTHER_ENGINE_HINT

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


_LAST_CHARACTER = "\U0010ffff"
"""The character that sorts after all others."""


def find_key_fault(key: str) -> str:
    """Return why obstore cannot read the object of a key, or an empty string.

    It would read another object if a slash is at the start or the end: it leaves that out.
    """
    if not key:
        return "is empty"
    if key.endswith("/"):
        return "ends with a slash"
    return find_prefix_fault(key)


def find_prefix_fault(prefix: str) -> str:
    """Return why obstore cannot list the start of a key, or an empty string."""
    folders, slash, _ = prefix.rpartition("/")
    if prefix.startswith("/"):
        return "starts with a slash"
    if slash and "" in folders.split("/"):
        return "has an empty part"
    if not {".", ".."}.isdisjoint(folders.split("/")):
        return "has a part '.' or '..'"
    return "has a control character" if _CONTROL.search(prefix) else ""


def offset_after_names(start: str) -> str:
    """Return an offset for a listing that is after all keys with this start."""
    return f"{start}{_LAST_CHARACTER}"


def unreadable_key_error(operation: str, bucket: str, key: str, fault: str) -> RejectedError:
    """Return the error for a key that obstore cannot represent. It names the engine that can."""
    return RejectedError(
        f"{operation} s3://{bucket}: engine=obstore cannot read the key {key!r}, which {fault}; "
        f"{OTHER_ENGINE_HINT}"
    )
