"""Limits of Amazon S3 and AWS Lambda, each with its source."""

from __future__ import annotations

MAX_KEY_BYTES = 1_024
"""The largest key, in bytes of UTF-8. Source: Amazon S3 User Guide, "Naming Amazon S3 objects"."""


MIN_PART_BYTES = 5 * 1024**2
"""The smallest part of a multipart upload. The last part may be smaller. Source: Amazon S3 User
Guide, "Amazon S3 multipart upload limits"."""


MAX_PART_BYTES = 5 * 1024**3
"""The largest part, and the largest body of one PUT. Source: as for `MIN_PART_BYTES`."""


MAX_PARTS = 10_000
"""The most parts of one multipart upload. Source: as for `MIN_PART_BYTES`."""


MAX_TAGS = 10
"""The most tags of one object. Source: Amazon S3 User Guide, "Categorizing your objects using
tags"."""


MAX_USER_METADATA_BYTES = 1_024
"""The most bytes that the setting `metadata` may have, names and values together. S3 accepts 2 KB
of user-defined metadata; batcher needs the other half. Source: Amazon S3 User Guide, "Working with
object metadata"."""


MAX_LAMBDA_TIMEOUT_S = 900
"""The longest that a Lambda invocation may take. Source: AWS Lambda Developer Guide, "Lambda
quotas"."""
