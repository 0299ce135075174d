"""Bucket policy: it should deny requests without TLS, and must not be open to everyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import orjson

from batcher.tools.check.findings import CheckResult, error, not_checked, ok, warning

PolicyStatement = Mapping[str, Any]

_CHECK = "bucket.policy"
_OBJECT_ACTIONS = ("s3:PutObject", "s3:GetObject")


def evaluate_policy(
    response: Mapping[str, Any] | None, bucket: str, root: str
) -> list[CheckResult]:
    """Evaluate the response of GetBucketPolicy. None means that there is no policy."""
    try:
        policy = orjson.loads((response or {}).get("Policy") or "{}")
    except orjson.JSONDecodeError as problem:
        return [not_checked(_CHECK, f"the policy cannot be read: {problem}")]
    statements = _as_list(policy.get("Statement", []))
    results = []
    if any(_denies_plain_http(statement, bucket, root) for statement in statements):
        results.append(ok(_CHECK, "requests without TLS are denied"))
    else:
        fix = "deny s3:* where aws:SecureTransport is false"
        results.append(warning(_CHECK, "requests without TLS are not denied", fix))
    results += [
        error(
            _CHECK,
            f"anybody may {', '.join(map(str, _as_list(statement.get('Action', []))))} "
            f"(statement {statement.get('Sid') or number!r})",
            "name the allowed principals, or add a condition",
        )
        for number, statement in enumerate(statements, 1)
        if statement.get("Effect") == "Allow"
        and _applies_to_anyone(statement)
        and not statement.get("Condition")
    ]
    return results


def _denies_plain_http(statement: PolicyStatement, bucket: str, root: str) -> bool:
    """Return whether a statement denies everyone to read and write objects without TLS."""
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
    sample_key = f"{bucket}/{root}/x" if root else f"{bucket}/x"
    covers_objects = any(
        _iam_matches(str(resource).rpartition(":")[2], sample_key) for resource in resources
    )
    patterns = [str(action).lower() for action in _as_list(statement.get("Action", []))]
    return covers_objects and all(
        any(_iam_matches(pattern, action.lower()) for pattern in patterns)
        for action in _OBJECT_ACTIONS
    )


def _applies_to_anyone(statement: PolicyStatement) -> bool:
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        principal = principal.get("AWS")
    return "*" in _as_list(principal or [])


def _iam_matches(pattern: str, text: str) -> bool:
    """Return whether an IAM pattern matches. Only * and ? are special in it."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _as_list(value: Any) -> Sequence[Any]:  # noqa: ANN401  # JSON
    """Return a list. Policies may write a single value without one."""
    return value if isinstance(value, list) else [value]
