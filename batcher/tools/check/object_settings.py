"""Settings whose values only S3 and KMS judge: what is known of them without a request."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from batcher.tools.check.findings import CheckResult, warning

if TYPE_CHECKING:
    from batcher.settings import Settings

STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
    "FSX_ONTAP",
)
"""Source: Amazon S3 API Reference, PutObject, x-amz-storage-class."""


_KMS_KEY = re.compile(
    r"(arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:)?"
    r"((key/)?([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})|alias/[\w/-]+)",
    re.ASCII | re.IGNORECASE,
)
"""Source: AWS KMS Developer Guide, "Key identifiers (KeyId)"."""


def evaluate_object_settings(settings: Settings) -> list[CheckResult]:
    """Return a warning for each value that Amazon's services do not know. Other stores may."""
    results = []
    if settings.storage_class and settings.storage_class not in STORAGE_CLASSES:
        near = difflib.get_close_matches(settings.storage_class.upper(), STORAGE_CLASSES, 1)
        detail = f"Amazon S3 has no storage class {settings.storage_class!r}"
        fix = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(STORAGE_CLASSES)}"
        results.append(warning("settings.storage_class", detail, fix))
    if settings.kms_key_id and not _KMS_KEY.fullmatch(settings.kms_key_id):
        detail = f"{settings.kms_key_id!r} is not the id of a key of AWS KMS"
        fix = "write the id or the ARN of a key, or alias/ and its alias"
        results.append(warning("settings.kms_key_id", detail, fix))
    return results
