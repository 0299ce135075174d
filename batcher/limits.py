"""Limits."""

from __future__ import annotations

MAX_KEY_BYTES = 1024  # Source: Amazon S3 user guide, object key names


MIN_PART_BYTES = 5 * 1024**2


MAX_PART_BYTES = 5 * 1024**3


MAX_PARTS = 10_000


MAX_TAGS = 10  # Source: Amazon S3 user guide, object tags


MAX_USER_METADATA_BYTES = 1_024  # S3 takes 2 KB of user metadata; the rest is batcher's own
