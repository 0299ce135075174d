"""Bucket policy: whether it refuses plain HTTP, and lets nobody in who is not named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import orjson

from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning

_CHECK = "bucket.policy"


_ACTIONS = ("s3:PutObject", "s3:GetObject")


PolicyStatement = Mapping[str, Any]


def evaluate_policy(
    response: Mapping[str, Any] | None, bucket: str, root: str
) -> list[CheckResult]:
    """Judge what GetBucketPolicy answers; None: there is no policy."""
    try:
        policy = orjson.loads((response or {}).get("Policy") or "{}")
    except orjson.JSONDecodeError as problem:
        return [not_checked(_CHECK, f"the policy cannot be read: {problem}")]
    statements = _as_list(policy.get("Statement", []))
    findings = []
    if any(_denies_plain_http(one, bucket, root) for one in statements):
        findings.append(ok(_CHECK, "requests without TLS are refused"))
    else:
        do = "deny s3:* where aws:SecureTransport is false"
        findings.append(warning(_CHECK, "requests without TLS are not refused", do))
    findings += [
        error(
            _CHECK,
            f"anybody may {', '.join(map(str, _as_list(one.get('Action', []))))} "
            f"(statement {one.get('Sid') or number!r})",
            "name who may, or add a condition",
        )
        for number, one in enumerate(statements, 1)
        if one.get("Effect") == "Allow" and _applies_to_anyone(one) and not one.get("Condition")
    ]
    return findings


def _denies_plain_http(statement: PolicyStatement, bucket: str, root: str) -> bool:
    """Get whether one statement denies reading and writing objects to all who come without TLS."""
    if statement.get("Effect") != "Deny" or not _applies_to_anyone(statement):
        return False
    conditions = [
        (str(operator).lower(), str(name).lower(), [str(v).lower() for v in _as_list(value)])
        for operator, names in (statement.get("Condition") or {}).items()
        for name, value in names.items()
    ]
    if conditions != [("bool", "aws:securetransport", ["false"])]:
        return False
    resources = _as_list(statement.get("Resource", []))
    key = f"{bucket}/{root}/x" if root else f"{bucket}/x"
    has_objects = any(_iam_matches(str(one).rpartition(":")[2], key) for one in resources)
    actions = [str(one).lower() for one in _as_list(statement.get("Action", []))]
    return has_objects and all(
        any(_iam_matches(pattern, action.lower()) for pattern in actions) for action in _ACTIONS
    )


def _applies_to_anyone(statement: PolicyStatement) -> bool:
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        principal = principal.get("AWS")
    return "*" in _as_list(principal or [])


def _iam_matches(pattern: str, text: str) -> bool:
    """Match as IAM does, where only * and ? are special."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _as_list(value: Any) -> Sequence[Any]:  # noqa: ANN401  # JSON
    """Return what may stand alone or in a list as a list."""
    return value if isinstance(value, list) else [value]
