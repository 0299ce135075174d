"""Create only: statements of a bucket's policy about `If-None-Match`, as writers meet them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batcher.keys.names import QUARANTINE_FOLDER
from batcher.tools.check.bucket_policy import (
    PolicyStatement,
    applies_to_anyone,
    as_list,
    iam_matches,
    parse_statements,
)
from batcher.tools.check.findings import CheckResult, error, ok, warning

_CHECK = "bucket.if_none_match"
_HEADER, _MATCH, _CREATION = "s3:if-none-match", "s3:if-match", "s3:objectcreationoperation"
_PRINCIPAL, _TLS = "aws:principalarn", "aws:securetransport"


@dataclass(frozen=True, slots=True)
class _Write:
    """A PutObject request as a policy sees it."""

    key: str
    context: Mapping[str, str]
    """Condition keys in lower case. A key without a value is absent from the request."""


def evaluate_create_only(
    response: Mapping[str, Any] | None, bucket: str, root: str, role: str
) -> list[CheckResult]:
    """Check that the policy demands `If-None-Match`, and denies nothing that batcher sends.

    Args:
        response: the response of GetBucketPolicy. None means that there is no policy.
        bucket: its name.
        root: the fixed start of every key.
        role: the ARN of the function's role; empty: the writer is a program, or unknown.
    """
    statements = parse_statements(response)
    if statements is None:
        return []  # `evaluate_policy` reports it
    folder = f"{bucket}/{root}" if root else bucket
    data, quarantine = f"{folder}/x", f"{folder}/{QUARANTINE_FOLDER}/x"
    create = _Write(data, {_HEADER: "*", _CREATION: "true"})
    plain = _Write(data, {_CREATION: "true"})
    replace = _Write(data, {_MATCH: "x", _CREATION: "true"})
    mark = _Write(quarantine, {_MATCH: "x", _CREATION: "true"})
    part = _Write(data, {_CREATION: "false"})
    named = [
        (str(statement.get("Sid") or number), statement)
        for number, statement in enumerate(statements, 1)
    ]
    results = [
        error(
            _CHECK,
            f"the statement {name!r} denies writes with If-None-Match, which batcher sends",
            "remove it, or limit it to requests without If-None-Match: "
            '"Null": {"s3:if-none-match": "true"}',
        )
        for name, statement in named
        if _denies(statement, create, role)
        or _denies(statement, _Write(quarantine, create.context), role)
    ]
    if results:
        return results
    for name, statement in named:
        if _denies(statement, part, ""):
            detail = f"the statement {name!r} denies uploads in parts, which programs send"
            fix = (
                'add the condition "Bool": {"s3:ObjectCreationOperation": "true"}, or limit it '
                "to the function's role"
            )
            results.append((warning if role else error)(_CHECK, detail, fix))
        if _denies(statement, mark, ""):
            detail = f"the statement {name!r} denies the marks of `batcher replay` on quarantine"
            fix = "limit it to the function's role, or to other keys than those of quarantine"
            results.append(warning(_CHECK, detail, fix))
    demands = [
        (name, [_denies(statement, write, role) for write in (plain, replace)])
        for name, statement in named
    ]
    if certain := [name for name, denied in demands if all(denied)]:
        return [ok(_CHECK, f"demanded by the statement {certain[0]!r}"), *results]
    possible = [
        name
        for (name, denied), (_, statement) in zip(demands, named, strict=True)
        if False not in denied and _denies(statement, create, role) is False
    ]
    if possible:
        detail = f"the statement {possible[0]!r} demands it of some principals"
        return [ok(_CHECK, detail), *results]
    whom = role.rpartition("/")[2] or "functions"
    detail = f"no statement demands If-None-Match of {whom}: they could replace objects"
    fix = (
        "deny s3:PutObject to the role where s3:if-none-match is Null, if the store supports it; "
        "docs/reference/deployment.md has the statement"
    )
    return [warning(_CHECK, detail, fix), *results]


def _denies(statement: PolicyStatement, write: _Write, role: str) -> bool | None:
    """Return whether a statement denies a write. None: it cannot be known."""
    if statement.get("Effect") != "Deny":
        return False
    context = {**write.context, _TLS: "true"}
    known = {_HEADER, _MATCH, _CREATION, _TLS}
    if role:
        context[_PRINCIPAL] = role
        known.add(_PRINCIPAL)
    return _all_of(
        (
            _includes(statement, "Action", "s3:putobject"),
            _includes(statement, "Resource", write.key),
            _includes_principal(statement, role),
            *_conditions(statement, context, known),
        )
    )


def _all_of(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _includes(statement: PolicyStatement, element: str, value: str) -> bool:
    """Return whether `Action` or `Resource`, or the opposite such as `NotAction`, includes this."""
    is_opposite = element not in statement
    patterns = as_list(statement.get(f"Not{element}" if is_opposite else element, []))
    if element == "Action":
        matches = any(iam_matches(str(pattern).lower(), value) for pattern in patterns)
    else:
        names = (str(pattern).split(":", 5)[-1] for pattern in patterns)
        matches = any(iam_matches(name, value) for name in names)
    return matches != is_opposite


def _includes_principal(statement: PolicyStatement, role: str) -> bool | None:
    if "Principal" not in statement:
        return None  # NotPrincipal
    if applies_to_anyone(statement):
        return True
    principal = statement["Principal"]
    named = as_list(principal.get("AWS", [])) if isinstance(principal, Mapping) else []
    if not role:
        return None if named else False
    account = role.split(":")[4]
    return any(name in {role, account} or name.endswith(f"::{account}:root") for name in named)


def _conditions(
    statement: PolicyStatement, context: Mapping[str, str], known: set[str]
) -> Iterator[bool | None]:
    """Yield whether each condition holds. None: its key or operator is not known here."""
    for operator, names in (statement.get("Condition") or {}).items():
        for name, values in names.items():
            key = str(name).lower()
            if key not in known:
                yield None
                continue
            wanted = [str(value) for value in as_list(values)]
            yield _holds(str(operator).lower(), wanted, context.get(key))


def _holds(operator: str, wanted: Sequence[str], actual: str | None) -> bool | None:
    """Return whether one condition holds. Source: IAM User Guide, condition operators."""
    if operator == "null":
        return str(actual is None).lower() in {value.lower() for value in wanted}
    base = operator.removesuffix("ifexists")
    is_opposite = "not" in base
    kind = base.replace("not", "")
    if kind not in {
        "bool",
        "stringequals",
        "stringequalsignorecase",
        "stringlike",
        "arnequals",
        "arnlike",
    }:
        return None
    if actual is None:
        return is_opposite or base != operator
    if kind in {"stringlike", "arnequals", "arnlike"}:
        matches = any(iam_matches(pattern, actual) for pattern in wanted)
    elif kind == "stringequals":
        matches = actual in wanted
    else:
        matches = actual.lower() in {value.lower() for value in wanted}
    return matches != is_opposite
