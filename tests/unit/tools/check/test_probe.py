"""The probe: the result of each outcome of each request."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.errors import PreconditionFailedError, RejectedError, RetryableError
from batcher.stores.base import ObjectInfo
from batcher.stores.memory import MemoryStore
from batcher.tools.check.findings import CheckResult, CheckStatus
from batcher.tools.check.probe import (
    WRITE_CHECKS,
    ProbeOutcomes,
    evaluate_probe,
    probe_key,
    run_probe,
)
from batcher.writing.object import METADATA_DIGEST
from support.examples import make_settings

STORED = ObjectInfo("etag", 1, {METADATA_DIGEST: "1"})
TAKEN = PreconditionFailedError("412")
FAILURES = [RejectedError("403 AccessDenied"), RetryableError("no answer within 10 s")]
WELL: dict[str, Any] = {
    "created": STORED,
    "created_again": TAKEN,
    "head": STORED,
    "replaced": STORED,
    "replaced_stale": TAKEN,
    "upload_completed": STORED,
    "upload_aborted": True,
}
CHECKS = {
    "created": "write.create",
    "created_again": "write.if_none_match",
    "head": "write.head",
    "replaced": "write.replace",
    "replaced_stale": "write.if_match",
    "upload_error": "write.parts",
    "upload_completed": "write.parts",
    "upload_aborted": "write.abort",
}


def judged(**changes: object) -> list[CheckResult]:
    """Evaluate expected outcomes, except for these."""
    return list(evaluate_probe(ProbeOutcomes(**WELL | changes)))


def errors(found: list[CheckResult]) -> set[str]:
    """Return the checks that are errors."""
    return {finding.check for finding in found if finding.status is CheckStatus.ERROR}


def test_a_probe_with_expected_outcomes_has_no_problem() -> None:
    """Seven findings, and no other mark."""
    found = judged()
    assert [finding.status for finding in found] == [CheckStatus.OK] * 7
    assert {finding.check for finding in found} == set(CHECKS.values())


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("step", CHECKS)
def test_a_request_that_fails_is_an_error_of_its_own(step: str, failure: Exception) -> None:
    """A refusal that is no 412 shows nothing about conditions, and says why."""
    found = judged(**{step: failure})
    assert errors(found) == {CHECKS[step]}
    assert any(str(failure) in finding.detail for finding in found)


@pytest.mark.parametrize("step", ["created_again", "replaced_stale"])
def test_a_condition_that_is_ignored_is_an_error(step: str) -> None:
    """What had to be refused was written."""
    found = judged(**{step: STORED})
    assert errors(found) == {CHECKS[step]}
    assert any("ignores If-" in finding.detail for finding in found)


def test_metadata_that_does_not_come_back_is_an_error() -> None:
    """A retry knows its own object by it."""
    assert errors(judged(head=ObjectInfo("etag", 1))) == {"write.head"}


def test_after_a_refused_creation_nothing_else_is_checked() -> None:
    """All the rest would fail for the same reason. No row is missing."""
    refused, *rest = evaluate_probe(ProbeOutcomes(created=RejectedError("403")))
    assert (refused.status, refused.check) == (CheckStatus.ERROR, "write.create")
    assert [each.check for each in rest] == list(WRITE_CHECKS[1:-1])
    assert {(each.status, each.detail) for each in rest} == {
        (CheckStatus.NOT_CHECKED, "because write.create failed")
    }


def test_what_was_not_sent_names_what_failed_before() -> None:
    found = judged(replaced=RejectedError("403"), replaced_stale=None)
    assert [each.check for each in found] == list(WRITE_CHECKS[:-1])
    reasons = {each.check: each.detail for each in found if each.status is CheckStatus.NOT_CHECKED}
    assert reasons == {"write.if_match": "because write.replace failed"}


def test_a_refusal_by_the_key_says_what_to_allow() -> None:
    """S3 passes on what KMS says."""
    denied = RejectedError("403 AccessDenied: not authorized to perform: kms:GenerateDataKey")
    found, *_ = evaluate_probe(ProbeOutcomes(created=denied))
    assert "kms:Decrypt" in found.fix


@pytest.mark.parametrize("root", ["", "events"])
async def test_one_object_remains_with_the_attributes_of_all_objects(root: str) -> None:
    """Replaced once; the upload has a key of its own, and none is open."""
    store = MemoryStore()
    key = probe_key(root, "x")
    chosen = make_settings(root=root, metadata={"team": "x"}, content_type="text/x")
    outcomes = await run_probe(store, key, chosen)
    assert {finding.status for finding in evaluate_probe(outcomes)} == {CheckStatus.OK}
    assert list(store.objects) == [key, f"{key}-parts"]
    assert store.objects[key].attributes.metadata == {"team": "x", METADATA_DIGEST: "3"}
    assert store.objects[key].attributes.content_type == "text/x"
    assert not store.uploads
