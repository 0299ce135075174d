"""Bucket policies that demand `If-None-Match`, or deny what batcher sends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batcher.tools.check.create_only import evaluate_create_only
from batcher.tools.check.findings import CheckStatus
from support.aws_shapes import make_response

OK, WARNING, ERROR = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.ERROR
ROLE = "arn:aws:iam::123456789012:role/batcher-sqs"
MISSING: dict[str, Any] = {"Null": {"s3:if-none-match": "true"}}
IS_ROLE: dict[str, Any] = {"ArnEquals": {"aws:PrincipalArn": ROLE}}
CREATES: dict[str, Any] = {"Bool": {"s3:ObjectCreationOperation": "true"}}


def marks(*statements: dict[str, Any], role: str = ROLE) -> list[CheckStatus]:
    """Evaluate statements that deny PutObject to everyone, with these changes."""
    base = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::my-bucket/*",
    }
    merged = [base | statement for statement in statements]
    kept = [{name: value for name, value in one.items() if value is not None} for one in merged]
    text = json.dumps({"Statement": kept})
    response = make_response("s3", "GetBucketPolicy", {"Policy": text})
    return [found.status for found in evaluate_create_only(response, "my-bucket", "events", role)]


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": MISSING | IS_ROLE},
        {"Condition": {"Null": {"s3:If-None-Match": True}} | IS_ROLE},
        {"Condition": MISSING, "Principal": {"AWS": [ROLE]}},
        {"Condition": MISSING, "Principal": {"AWS": "123456789012"}},
        {"Condition": MISSING | IS_ROLE | CREATES, "Action": ["s3:Get*", "s3:Put*"]},
        {"Condition": MISSING | IS_ROLE, "Resource": ["arn:aws:s3:::my-bucket/events/*"]},
        {"Condition": {"StringNotEquals": {"s3:if-none-match": "*"}} | IS_ROLE},
        {"Condition": MISSING | {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/batcher-*"}}},
    ],
)
def test_a_statement_that_demands_it_is_found(statement: dict[str, Any]) -> None:
    """In every way to write it."""
    assert marks(statement) == [OK]


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": MISSING | {"ArnEquals": {"aws:PrincipalArn": f"{ROLE}-2"}}},
        {"Condition": MISSING, "Principal": {"AWS": f"{ROLE}-2"}},
        {"Condition": MISSING, "Principal": {"Service": "logging.s3.amazonaws.com"}},
        {"Condition": MISSING | IS_ROLE, "Resource": "arn:aws:s3:::my-bucket/other/*"},
        {"Condition": MISSING | IS_ROLE, "Action": "s3:DeleteObject"},
        {"Condition": MISSING | IS_ROLE, "NotAction": "s3:PutObject", "Action": None},
        {"Condition": MISSING | IS_ROLE | {"Bool": {"aws:SecureTransport": "false"}}},
        {"Condition": {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"}} | IS_ROLE},
        {"Condition": MISSING | IS_ROLE, "Effect": "Allow"},
    ],
)
def test_a_statement_about_something_else_is_not_enough(statement: dict[str, Any]) -> None:
    """Of another role, other keys or actions, or where replacing is still allowed."""
    assert marks(statement) == [WARNING]


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"Null": {"s3:if-none-match": "false"}},
        {"Null": {"s3:if-match": "true"}},
        {"StringEquals": {"s3:if-none-match": "*"}},
        {"StringNotEquals": {"s3:if-match": "*"}},
        {"StringNotLike": {"s3:if-none-match": "x*"}},
        CREATES,
    ],
)
@pytest.mark.parametrize("resource", ["my-bucket/*", "my-bucket/events/_quarantine/*"])
def test_a_statement_that_denies_batchers_writes_is_an_error(
    condition: dict[str, Any], resource: str
) -> None:
    """Whoever writes. A statement that demands it beside this one changes nothing."""
    fault = {"Condition": condition, "Resource": f"arn:aws:s3:::{resource}"}
    for role in (ROLE, ""):
        assert marks(fault, role=role) == [ERROR]
        assert marks({"Condition": MISSING | IS_ROLE}, fault, role=role) == [ERROR]


def test_without_a_statement_it_is_advised() -> None:
    """There may be no policy at all."""
    (found,) = evaluate_create_only(None, "my-bucket", "", ROLE)
    assert found.status is WARNING
    assert "s3:if-none-match" in found.fix
    assert "batcher-sqs" in found.detail


def test_parts_and_marks_have_no_such_header() -> None:
    """Programs upload in parts, and replay marks quarantine: a statement for everyone denies it."""
    assert marks({"Condition": MISSING}) == [OK, WARNING, WARNING]
    assert marks({"Condition": MISSING}, role="") == [OK, ERROR, WARNING]
    assert marks({"Condition": MISSING | CREATES}, role="") == [OK, WARNING]
    other = {"NotResource": "arn:aws:s3:::my-bucket/events/_quarantine/*", "Resource": None}
    assert marks({"Condition": MISSING | CREATES, **other}, role="") == [OK]


def test_what_cannot_be_known_is_no_fault() -> None:
    """Without a function its role is unknown; other condition keys are not looked into."""
    assert marks({"Condition": MISSING | IS_ROLE}, role="") == [OK]
    assert marks({"Condition": MISSING, "Principal": {"AWS": ROLE}}, role="") == [OK]
    assert marks({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}) == [WARNING]


def test_a_statement_for_all_but_some_principals_is_not_judged() -> None:
    """NotPrincipal also excludes by session and account."""
    others = {"Principal": None, "NotPrincipal": {"AWS": ROLE}}
    assert marks(others) == [WARNING]


def test_a_policy_that_is_no_json_is_reported_once() -> None:
    """By the check of the policy."""
    assert evaluate_create_only({"Policy": "{"}, "my-bucket", "", "") == []
