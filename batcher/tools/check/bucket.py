"""Bucket: what its configuration means for the objects that batcher writes into it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batcher.tools.check.aws import AwsResponse, CallFailure
from batcher.tools.check.bucket_policy import evaluate_policy
from batcher.tools.check.create_only import evaluate_create_only
from batcher.tools.check.findings import CheckResult, error, ok, warning
from batcher.tools.check.lifecycle import StreamRetention, evaluate_expiry, evaluate_lifecycle
from batcher.tools.formatting import format_count

if TYPE_CHECKING:
    from batcher.settings import Settings

_PUBLIC_BLOCKS = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
_LOOPBACK = ("http://127.", "http://localhost", "http://[::1]")


@dataclass(frozen=True, slots=True)
class BucketCall:
    """One API call that reads a part of a bucket's configuration."""

    check: str
    operation: str
    permission: str
    absent_codes: Collection[str]
    """Error codes that mean that nothing is configured."""


VERSIONING = BucketCall(
    "bucket.versioning", "get_bucket_versioning", "s3:GetBucketVersioning", frozenset()
)
LIFECYCLE = BucketCall(
    "bucket.lifecycle",
    "get_bucket_lifecycle_configuration",
    "s3:GetLifecycleConfiguration",
    {"NoSuchLifecycleConfiguration"},
)
PUBLIC_ACCESS = BucketCall(
    "bucket.public_access",
    "get_public_access_block",
    "s3:GetBucketPublicAccessBlock",
    {"NoSuchPublicAccessBlockConfiguration"},
)
POLICY = BucketCall(
    "bucket.policy", "get_bucket_policy", "s3:GetBucketPolicy", {"NoSuchBucketPolicy"}
)
ENCRYPTION = BucketCall(
    "bucket.encryption",
    "get_bucket_encryption",
    "s3:GetEncryptionConfiguration",
    {"ServerSideEncryptionConfigurationNotFoundError"},
)
OBJECT_LOCK = BucketCall(
    "bucket.object_lock",
    "get_object_lock_configuration",
    "s3:GetBucketObjectLockConfiguration",
    {"ObjectLockConfigurationNotFoundError", "ObjectLockConfigurationNotFound"},
)
BUCKET_CALLS = (VERSIONING, LIFECYCLE, PUBLIC_ACCESS, POLICY, ENCRYPTION, OBJECT_LOCK)


@dataclass(frozen=True, slots=True)
class BucketWriter:
    """Who writes to the bucket, as far as it is known."""

    role: str = ""
    """The ARN of the function's role."""
    retentions: Sequence[StreamRetention] | None = None
    """Of the streams that the function reads. None without a function."""


def evaluate_bucket(
    responses: Mapping[str, AwsResponse], settings: Settings, writer: BucketWriter
) -> list[CheckResult]:
    """Evaluate the responses to all `BUCKET_CALLS`, given by the id of their check.

    A call that was denied gives a `not checked` result, never an error.
    """
    versioning = responses[VERSIONING.check]
    versioned = isinstance(versioning, Mapping) and versioning.get("Status") == "Enabled"
    evaluators: Mapping[str, Callable[[Mapping[str, Any] | None], list[CheckResult]]] = {
        VERSIONING.check: evaluate_versioning,
        LIFECYCLE.check: lambda response: [
            *evaluate_lifecycle(response, settings.root, versioned=versioned),
            *evaluate_expiry(response, settings, writer.retentions),
        ],
        PUBLIC_ACCESS.check: evaluate_public_access,
        POLICY.check: lambda response: [
            *evaluate_policy(response, settings.bucket, settings.root),
            *evaluate_create_only(response, settings.bucket, settings.root, writer.role),
        ],
        ENCRYPTION.check: lambda response: evaluate_encryption(response, settings.sse),
        OBJECT_LOCK.check: evaluate_object_lock,
    }
    results: list[CheckResult] = []
    for check, evaluate in evaluators.items():
        response = responses[check]
        if isinstance(response, CallFailure):
            results.append(response.to_result(check))
        else:
            results += evaluate(response)
    return results


def evaluate_region(
    head: Mapping[str, Any], region: str, endpoint: str, *, follows_region: bool
) -> list[CheckResult]:
    """Compare a bucket's region with the region and endpoint that requests go to.

    Args:
        head: the response of HeadBucket.
        region: the region of the requests; may be empty.
        endpoint: the URL of the requests.
        follows_region: whether all of the engine's requests follow S3 to the bucket's region.
    """
    headers = head.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    actual = head.get("BucketRegion") or headers.get("x-amz-bucket-region") or ""
    if actual and region and actual != region:
        detail = f"the bucket is in {actual}, but requests go to {region}"
        if follows_region:
            fix = "run the writer in the bucket's region: traffic across regions is slow and costly"
            return [warning("bucket.region", detail, fix)]
        fix = f"set region={actual}: readers with engine=obstore do not follow a bucket there"
        return [error("bucket.region", detail, fix)]
    if endpoint.startswith("http://") and not endpoint.startswith(_LOOPBACK):
        fix = "use an https:// endpoint: records can be read in transit"
        return [warning("bucket.region", f"{endpoint} is not encrypted", fix)]
    return [ok("bucket.region", f"the bucket exists, in {actual or region or 'an unknown region'}")]


def evaluate_versioning(response: Mapping[str, Any] | None) -> list[CheckResult]:
    """Report what happens to replaced objects; `evaluate_lifecycle` checks their expiry."""
    if (response or {}).get("Status") == "Enabled":
        return [ok(VERSIONING.check, "on: replaced and deleted objects remain as old versions")]
    return [ok(VERSIONING.check, "off: replaced and deleted objects leave nothing behind")]


def evaluate_public_access(response: Mapping[str, Any] | None) -> list[CheckResult]:
    """Check that Block Public Access is fully on."""
    blocks = (response or {}).get("PublicAccessBlockConfiguration", {})
    missing = [name for name in _PUBLIC_BLOCKS if blocks.get(name) is not True]
    if not missing:
        return [ok(PUBLIC_ACCESS.check, "blocked")]
    detail = "not blocked" if len(missing) == len(_PUBLIC_BLOCKS) else f"off: {', '.join(missing)}"
    fix = "turn on Block Public Access: without it one wrong policy or ACL makes the bucket public"
    return [warning(PUBLIC_ACCESS.check, detail, fix)]


def evaluate_encryption(response: Mapping[str, Any] | None, sse: str) -> list[CheckResult]:
    """Check that objects are encrypted at rest, at a reasonable cost."""
    if sse:
        return [ok(ENCRYPTION.check, f"each object is sent with sse={sse}")]
    rules = (response or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    rule = rules[0] if rules else {}
    by_default = rule.get("ApplyServerSideEncryptionByDefault", {})
    algorithm = by_default.get("SSEAlgorithm")
    if not algorithm:
        fix = "set a default encryption of the bucket, or the setting sse"
        return [warning(ENCRYPTION.check, "the bucket has no default encryption", fix)]
    key = by_default.get("KMSMasterKeyID", "")
    detail = f"{algorithm} by default{f', with {key}' if key else ''}"
    if algorithm.startswith("aws:kms") and rule.get("BucketKeyEnabled") is not True:
        fix = "turn on the bucket key: without it each object costs a KMS call and KMS quota"
        return [warning(ENCRYPTION.check, f"{detail}, without a bucket key", fix)]
    return [ok(ENCRYPTION.check, detail)]


def evaluate_object_lock(response: Mapping[str, Any] | None) -> list[CheckResult]:
    """Check whether a default retention keeps versions from being deleted."""
    lock = (response or {}).get("ObjectLockConfiguration", {})
    retention = lock.get("Rule", {}).get("DefaultRetention")
    if lock.get("ObjectLockEnabled") != "Enabled" or not retention:
        return [ok(OBJECT_LOCK.check, "no default retention")]
    days, years = retention.get("Days"), retention.get("Years")
    period = format_count(days, "day") if days else format_count(years, "year")
    detail = f"{retention.get('Mode')}: no version can be deleted for {period}"
    fix = "expect quarantined and replaced objects, and the one of this check, to stay that long"
    return [warning(OBJECT_LOCK.check, detail, fix)]
