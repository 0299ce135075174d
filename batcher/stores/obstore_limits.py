"""What obstore cannot send as it is set: refused with a word, never left out or sent otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batcher.settings import Settings

HEADERS = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "storage-class",
}
"""Attributes that obstore sends as headers of their own: no metadata can have these names."""
VARIABLES = (
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_SSE_KMS_KEY_ID",
)
"""What obstore reads by itself, and nobody else; its configuration cannot say "none"."""
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # Source: RFC 9110, 5.6.2


def faults_of(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Name what obstore would send otherwise than it is set, or not at all."""
    faults = [
        f"{name}: engine=obstore would take it from the environment: unset it, and set sse"
        for name in VARIABLES
        if name in environ
    ]

    def refuse(name: str, value: str, why: str) -> None:
        faults.append(f"{name}: {value!r} {why} with engine=obstore: use engine=aioboto3")

    if settings.bucket.startswith("arn:") or settings.bucket.endswith("--x-s3"):
        refuse("bucket", settings.bucket, "cannot be addressed")
    for name in settings.metadata:
        if name.lower() in HEADERS:
            refuse("metadata", name, "would become a header of its own")
        elif not _TOKEN.fullmatch(name):
            refuse("metadata", name, "cannot be a name")
    for name in ("content_type", "storage_class", "kms_key_id"):
        value = getattr(settings, name)
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            refuse(name, value, "cannot be a header")
    return faults
