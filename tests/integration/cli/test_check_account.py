"""`batcher check` with settings for buckets of other accounts: as whom, and whose bucket it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batcher.cli import main
from support.account_server import AccountServer
from support.output_schema import parse_output

if TYPE_CHECKING:
    import pytest

ROLE = "arn:aws:iam::210987654321:role/writer"
OWNER = ["--expected-bucket-owner", "123456789012"]


def check(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict[str, str]]:
    """Run the command. Return its exit code, and what it says, by status and check."""
    code = main(["check", "s3://my-bucket/events", "--json", *flags])
    findings = parse_output("check", capsys.readouterr().out)["findings"]
    return code, {f"{found['mark']} {found['check']}": found["detail"] for found in findings}


def test_the_role_is_assumed_and_named(
    account: AccountServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """All requests to S3 are made by it."""
    code, found = check(capsys, "--role-arn", ROLE, "--external-id", "an-id", *OWNER)
    assert "assumed-role/writer/batcher" in found["ok caller"]
    assert found["ok bucket.owner"] == "the account 123456789012 owns the bucket"
    assert "ok write.create" in found
    assert code == 1  # this server honours no condition
    assert account.received
    for request in account.received:
        assert "Credential=ASIAROLE" in request.headers["authorization"]
        assert request.headers["x-amz-expected-bucket-owner"] == "123456789012"


def test_another_owner_is_a_finding(
    account: AccountServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written then."""
    account.owner = "999999999999"
    code, found = check(capsys, *OWNER)
    assert code == 1
    assert found["error bucket.owner"] == "another account than 123456789012 owns the bucket"
    assert {request.method for request in account.received} == {"HEAD"}


def test_a_bucket_that_may_not_be_looked_at_is_not_called_anothers(
    account: AccountServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers both in the same way."""
    monkeypatch.setattr(account, "find_fault", lambda _: "AccessDenied")
    _, found = check(capsys, *OWNER, "--no-write")
    assert not [name for name in found if "owner" in name]


def test_a_role_that_may_not_be_assumed_is_an_error(
    account: AccountServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With STS, the role and the fix."""
    account.sts_error = (403, "AccessDenied", "not authorized to perform: sts:AssumeRole")
    code, found = check(capsys, "--role-arn", ROLE)
    assert code == 1
    assert found["error bucket"].startswith("cannot get credentials: STS answered AssumeRole with")
    assert "(role_arn is arn:aws:iam::210987654321:role/" in found["error bucket"]
    assert account.received == []


def test_without_conditional_writes_only_they_are_left_out(
    account: AccountServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no condition is sent."""
    code, found = check(capsys, "--conditional-writes", "false")
    assert not [name for name in found if name.startswith("error")], found
    assert code == 0
    assert {"ok write.create", "ok write.head", "ok write.parts", "ok write.abort"} <= found.keys()
    assert found["not_checked write.if_none_match"] == "because conditional_writes is false"
    for check_ in ("write.replace", "write.if_match"):
        assert found[f"not_checked {check_}"] == "because conditional_writes is false"
    conditions = {"if-none-match", "if-match"}
    assert not [request for request in account.received if conditions & request.headers.keys()]


def test_replay_refuses_to_go_without_conditional_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before it reads anything."""
    assert main(["replay", "s3://my-bucket/events", "--conditional-writes", "false"]) == 2
    assert "--conditional-writes: false is only for fresh keys" in capsys.readouterr().err
