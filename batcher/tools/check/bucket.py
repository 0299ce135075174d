"""Bucket: what its configuration means for what batcher writes into it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batcher.keys.names import QUARANTINE_FOLDER, root_prefix
from batcher.tools.check.aws import AwsResponse, CallFailure
from batcher.tools.check.bucket_policy import evaluate_policy
from batcher.tools.check.findings import CheckResult, error, ok, warning

if TYPE_CHECKING:
    from batcher.settings import Settings

_CHECK = "bucket.lifecycle"


LifecycleRule = Mapping[str, Any]


_PUBLIC_BLOCKS = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)


_LOOPBACK = ("http://127.", "http://localhost", "http://[::1]")


@dataclass(frozen=True, slots=True)
class BucketCall:
    """One thing that is asked of a bucket."""

    check: str
    operation: str
    permission: str
    absent_codes: Collection[str]
    """Codes that say that nothing of the kind is configured."""


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


def evaluate_bucket(responses: Mapping[str, AwsResponse], settings: Settings) -> list[CheckResult]:
    """Judge all answers to `QUESTIONS`, by the name of the check.

    What could not be asked is told as such, and is no fault.
    """
    versioning = responses[VERSIONING.check]
    is_versioned = isinstance(versioning, Mapping) and versioning.get("Status") == "Enabled"
    judges: Mapping[str, Callable[[Mapping[str, Any] | None], list[CheckResult]]] = {
        VERSIONING.check: evaluate_versioning,
        LIFECYCLE.check: lambda found: evaluate_lifecycle(
            found, settings.root, versioned=is_versioned
        ),
        PUBLIC_ACCESS.check: evaluate_public_access,
        POLICY.check: lambda found: evaluate_policy(found, settings.bucket, settings.root),
        ENCRYPTION.check: lambda found: evaluate_encryption(found, settings.sse),
        OBJECT_LOCK.check: evaluate_object_lock,
    }
    findings: list[CheckResult] = []
    for check, judge in judges.items():
        answer = responses[check]
        findings += [answer.to_result(check)] if isinstance(answer, CallFailure) else judge(answer)
    return findings


def evaluate_region(
    head: Mapping[str, Any], region: str, endpoint: str, *, follows_region: bool
) -> list[CheckResult]:
    """Judge where a bucket is.

    Args:
        head: what HeadBucket answers.
        region: the one that requests go to.
        endpoint: the URL that they go to.
        follows: whether the engine follows a bucket into its region.
    """
    headers = head.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    there = head.get("BucketRegion") or headers.get("x-amz-bucket-region") or ""
    if there and region and there != region:
        found = f"it is in {there}, and requests go to {region}"
        if follows_region:
            do = "every byte crosses regions, which costs time and money: run the writer there"
            return [warning("bucket.region", found, do)]
        do = f"set AWS_REGION={there}: engine=obstore does not follow it"
        return [error("bucket.region", found, do)]
    if endpoint.startswith("http://") and not endpoint.startswith(_LOOPBACK):
        do = "anybody on the way reads the records: use an https:// endpoint"
        return [warning("bucket.region", f"{endpoint} is not encrypted", do)]
    return [
        ok("bucket.region", f"it is there, in {there or region or 'a region it does not tell'}")
    ]


def evaluate_versioning(response: Mapping[str, Any] | None) -> list[CheckResult]:
    """Return what becomes of replaced objects; whether old versions expire is the lifecycle's."""
    if (response or {}).get("Status") == "Enabled":
        text = "on: an object that a retry replaces, and one that is deleted, stays as old version"
        return [ok(VERSIONING.check, text)]
    return [ok(VERSIONING.check, "off: a replaced object is gone, and costs nothing")]


def evaluate_public_access(response: Mapping[str, Any] | None) -> list[CheckResult]:
    """See that nothing can make the bucket public."""
    blocks = (response or {}).get("PublicAccessBlockConfiguration", {})
    missing = [name for name in _PUBLIC_BLOCKS if blocks.get(name) is not True]
    if not missing:
        return [ok(PUBLIC_ACCESS.check, "blocked")]
    what = "not blocked" if len(missing) == len(_PUBLIC_BLOCKS) else f"off: {', '.join(missing)}"
    do = "one wrong policy or ACL would show it to everybody: turn Block Public Access on"
    return [warning(PUBLIC_ACCESS.check, what, do)]


def evaluate_encryption(response: Mapping[str, Any] | None, sse: str) -> list[CheckResult]:
    """See how objects are encrypted where they lie."""
    if sse:
        return [ok(ENCRYPTION.check, f"each object is sent with sse={sse}")]
    rules = (response or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    rule = rules[0] if rules else {}
    by_default = rule.get("ApplyServerSideEncryptionByDefault", {})
    algorithm = by_default.get("SSEAlgorithm")
    if not algorithm:
        do = "set the bucket's default encryption, or sse"
        return [warning(ENCRYPTION.check, "the bucket encrypts nothing by default", do)]
    key = by_default.get("KMSMasterKeyID", "")
    shown = f"{algorithm} by default{f', with {key}' if key else ''}"
    if algorithm.startswith("aws:kms") and rule.get("BucketKeyEnabled") is not True:
        do = "each object costs a call to KMS, and shares its quota: turn the bucket key on"
        return [warning(ENCRYPTION.check, f"{shown}, without a bucket key", do)]
    return [ok(ENCRYPTION.check, shown)]


def evaluate_object_lock(response: Mapping[str, Any] | None) -> list[CheckResult]:
    """See whether versions are kept by force."""
    lock = (response or {}).get("ObjectLockConfiguration", {})
    retention = lock.get("Rule", {}).get("DefaultRetention")
    if lock.get("ObjectLockEnabled") != "Enabled" or not retention:
        return [ok(OBJECT_LOCK.check, "nothing is kept by force")]
    days, years = retention.get("Days"), retention.get("Years")
    span = f"{days} days" if days else f"{years} years"
    do = "quarantine, replaced objects and the object of this check stay, and cost, as long"
    found_text = f"{retention.get('Mode')}: no version can be removed for {span}"
    return [warning(OBJECT_LOCK.check, found_text, do)]


def evaluate_lifecycle(
    response: Mapping[str, Any] | None, root: str, *, versioned: bool
) -> list[CheckResult]:
    """Judge the rules that reach `root`.

    Args:
        found: what GetBucketLifecycleConfiguration answers; None: there is no rule at all.
        root: the fixed start of every key.
        is_versioned: whether replaced objects stay as old versions.
    """
    rules = [rule for rule in (response or {}).get("Rules", []) if rule.get("Status") == "Enabled"]
    whole = [rule for rule in rules if _covers_root(rule, root)]
    findings = [_evaluate_upload_cleanup(whole, root)]
    if versioned:
        findings.append(_evaluate_old_versions(whole, root))
    return findings + [_evaluate_expiry(rule) for rule in rules if _removes_data(rule, root)]


def _evaluate_upload_cleanup(rules: Sequence[LifecycleRule], root: str) -> CheckResult:
    days = [
        rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule
    ]
    if days:
        return ok(_CHECK, f"uploads that were never completed are removed after {min(days)} days")
    do = (
        "the parts of a killed upload cost money for ever, and nobody sees them: add a rule with "
        "AbortIncompleteMultipartUpload, DaysAfterInitiation: 1"
    )
    return warning(_CHECK, f"no rule removes incomplete uploads under {_format_root(root)}", do)


def _evaluate_old_versions(rules: Sequence[LifecycleRule], root: str) -> CheckResult:
    expirations = [rule.get("NoncurrentVersionExpiration", {}) for rule in rules]
    days = [found["NoncurrentDays"] for found in expirations if "NoncurrentDays" in found]
    if days:
        return ok(_CHECK, f"old versions are removed after {min(days)} days")
    do = "they pile up where retries replace objects: add NoncurrentVersionExpiration"
    return warning(
        _CHECK, f"versioning is on, and no rule removes old versions of {_format_root(root)}", do
    )


def _evaluate_expiry(rule: LifecycleRule) -> CheckResult:
    expiration = rule["Expiration"]
    when = f"after {expiration['Days']} days" if "Days" in expiration else f"{expiration['Date']}"
    return ok(_CHECK, f"the rule {rule.get('ID', '')!r} removes the records themselves {when}")


def _removes_data(rule: LifecycleRule, root: str) -> bool:
    """Return whether a rule removes objects of data under the root, perhaps not all of them."""
    expiration = rule.get("Expiration", {})
    if not ("Days" in expiration or "Date" in expiration):
        return False
    prefix, top = _prefix(rule), root_prefix(root)
    is_quarantine = prefix.startswith(f"{top}{QUARANTINE_FOLDER}")
    return not is_quarantine and (top.startswith(prefix) or prefix.startswith(top))


def _covers_root(rule: LifecycleRule, root: str) -> bool:
    """Get whether a rule reaches every object under the root: no tag, no size, no longer prefix."""
    conditions = _conditions(rule)
    is_limited = any(name != "Prefix" and value for name, value in conditions.items())
    return not is_limited and root_prefix(root).startswith(_prefix(rule))


def _conditions(rule: LifecycleRule) -> Mapping[str, Any]:
    """Return the conditions of a rule's filter; in old rules the prefix stands beside it."""
    found: Mapping[str, Any] = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    both: Mapping[str, Any] = found.get("And", found)
    return both


def _prefix(rule: LifecycleRule) -> str:
    return str(_conditions(rule).get("Prefix") or "")


def _format_root(root: str) -> str:
    return root_prefix(root) or "the bucket"
