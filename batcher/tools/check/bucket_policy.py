"""Bucket policy: whether it refuses plain HTTP, and lets nobody in who is not named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import orjson

from batcher.tools.check.findings import Finding, error, not_checked, ok, warning

_CHECK = "bucket.policy"


_ACTIONS = ("s3:PutObject", "s3:GetObject")


Statement = Mapping[str, Any]


def judge_policy(found: Mapping[str, Any] | None, bucket: str, root: str) -> list[Finding]:
    """Judge what GetBucketPolicy answers; None: there is no policy."""
    try:
        policy = orjson.loads((found or {}).get("Policy") or "{}")
    except orjson.JSONDecodeError as problem:
        return [not_checked(_CHECK, f"the policy cannot be read: {problem}")]
    statements = _listed(policy.get("Statement", []))
    findings = []
    if any(_refuses_plain_http(one, bucket, root) for one in statements):
        findings.append(ok(_CHECK, "requests without TLS are refused"))
    else:
        do = "deny s3:* where aws:SecureTransport is false"
        findings.append(warning(_CHECK, "requests without TLS are not refused", do))
    findings += [
        error(
            _CHECK,
            f"anybody may {', '.join(map(str, _listed(one.get('Action', []))))} "
            f"(statement {one.get('Sid') or number!r})",
            "name who may, or add a condition",
        )
        for number, one in enumerate(statements, 1)
        if one.get("Effect") == "Allow" and _is_anybody(one) and not one.get("Condition")
    ]
    return findings


def _refuses_plain_http(statement: Statement, bucket: str, root: str) -> bool:
    """Say whether one statement denies reading and writing objects to all who come without TLS."""
    if statement.get("Effect") != "Deny" or not _is_anybody(statement):
        return False
    conditions = [
        (str(operator).lower(), str(name).lower(), [str(v).lower() for v in _listed(value)])
        for operator, names in (statement.get("Condition") or {}).items()
        for name, value in names.items()
    ]
    if conditions != [("bool", "aws:securetransport", ["false"])]:
        return False
    resources = _listed(statement.get("Resource", []))
    key = f"{bucket}/{root}/x" if root else f"{bucket}/x"
    has_objects = any(_matches(str(one).rpartition(":")[2], key) for one in resources)
    actions = [str(one).lower() for one in _listed(statement.get("Action", []))]
    return has_objects and all(
        any(_matches(pattern, action.lower()) for pattern in actions) for action in _ACTIONS
    )


def _is_anybody(statement: Statement) -> bool:
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        principal = principal.get("AWS")
    return "*" in _listed(principal or [])


def _matches(pattern: str, text: str) -> bool:
    """Match as IAM does, where only * and ? are special."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _listed(value: Any) -> Sequence[Any]:  # noqa: ANN401  # JSON
    """Give what may stand alone or in a list as a list."""
    return value if isinstance(value, list) else [value]
