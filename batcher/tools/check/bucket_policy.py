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
    statements = parse_statements(response)
    if statements is None:
        return [not_checked(_CHECK, "the policy cannot be read: it is not JSON")]
    results = []
    if any(_denies_plain_http(statement, bucket, root) for statement in statements):
        results.append(ok(_CHECK, "requests without TLS are denied"))
    else:
        fix = "deny s3:* where aws:SecureTransport is false"
        results.append(warning(_CHECK, "requests without TLS are not denied", fix))
    results += [
        error(
            _CHECK,
            f"anybody may {', '.join(map(str, as_list(statement.get('Action', []))))} "
            f"(statement {statement.get('Sid') or number!r})",
            "name the allowed principals, or add a condition",
        )
        for number, statement in enumerate(statements, 1)
        if statement.get("Effect") == "Allow"
        and applies_to_anyone(statement)
        and not statement.get("Condition")
    ]
    return results


def parse_statements(response: Mapping[str, Any] | None) -> Sequence[PolicyStatement] | None:
    """Return the statements of GetBucketPolicy's response, or None if they cannot be read."""
    try:
        policy = orjson.loads((response or {}).get("Policy") or "{}")
    except orjson.JSONDecodeError:
        return None
    return as_list(policy.get("Statement", []))


def _denies_plain_http(statement: PolicyStatement, bucket: str, root: str) -> bool:
    """Return whether a statement denies everyone to read and write objects without TLS."""
    if statement.get("Effect") != "Deny" or not applies_to_anyone(statement):
        return False
    conditions = [
        (str(operator).lower(), str(name).lower(), [str(v).lower() for v in as_list(value)])
        for operator, names in (statement.get("Condition") or {}).items()
        for name, value in names.items()
    ]
    if conditions != [("bool", "aws:securetransport", ["false"])]:
        return False
    resources = as_list(statement.get("Resource", []))
    sample_key = f"{bucket}/{root}/x" if root else f"{bucket}/x"
    covers_objects = any(
        iam_matches(str(resource).rpartition(":")[2], sample_key) for resource in resources
    )
    patterns = [str(action).lower() for action in as_list(statement.get("Action", []))]
    return covers_objects and all(
        any(iam_matches(pattern, action.lower()) for pattern in patterns)
        for action in _OBJECT_ACTIONS
    )


def applies_to_anyone(statement: PolicyStatement) -> bool:
    """Return whether a statement names everyone as its principal."""
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        principal = principal.get("AWS")
    return "*" in as_list(principal or [])


def iam_matches(pattern: str, text: str) -> bool:
    """Return whether an IAM pattern matches. Only * and ? are special in it."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def as_list(value: Any) -> Sequence[Any]:  # noqa: ANN401  # JSON
    """Return a list. Policies may write a single value without one."""
    return value if isinstance(value, list) else [value]
