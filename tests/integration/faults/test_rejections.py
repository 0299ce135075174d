"""Refusals: what no retry mends is raised at once, and says what to do."""

from __future__ import annotations

import pytest

from batcher.errors import RejectedError, RetryableError
from support.fault_bench import SMALL_PUT, TWO_PARTS, FaultBench, UploadShape
from support.fault_script import (
    ALWAYS,
    DENIED,
    EXPIRED,
    RESPONSE_LOST,
    SKEWED,
    UPLOAD_GONE,
    Fault,
    FaultKind,
    Rule,
)
from support.handler_harness import HandlerFactory
from support.numbered_events import JSON, sqs

EXPIRED_403 = Fault("expired, 403", FaultKind.RESPOND, status=403, code="ExpiredToken")
HINTS = {
    EXPIRED: "the credentials have expired; renew them",
    EXPIRED_403: "the credentials have expired; renew them",
    SKEWED: "this machine's clock is off; set it",
    DENIED: "allow s3:PutObject",
}
REFUSALS = pytest.mark.parametrize("fault", HINTS, ids=str)


@pytest.mark.parametrize(
    ("operation", "shape", "fault"),
    [
        *(("put", SMALL_PUT, fault) for fault in HINTS),
        *(
            (operation, TWO_PARTS, fault)
            for operation in ("create", "part", "complete")
            for fault in (EXPIRED, SKEWED)
        ),
    ],
    ids=str,
)
async def test_what_no_retry_mends_is_raised_at_once(
    fault_bench: FaultBench, operation: str, shape: UploadShape, fault: Fault
) -> None:
    """One request, no wait, one line that names bucket and remedy; nothing is left."""
    rule = Rule(operation, fault, times=ALWAYS)
    written = await fault_bench.write(shape.make(), rule, **shape.settings)
    assert isinstance(written.error, RejectedError)
    text = str(written.error)
    assert HINTS[fault] in text
    assert f"s3://{fault_bench.bucket}/{fault_bench.root}/" in text
    assert "\n" not in text
    assert fault_bench.sleeps.delays_s == []
    assert fault_bench.proxy.count(operation) <= 2  # two parts go side by side
    fault_bench.assert_empty()


@REFUSALS
def test_an_event_that_is_refused_says_why(
    fault_bench: FaultBench, handler_factory: HandlerFactory, fault: Fault
) -> None:
    """The error is the one that somebody must do something about, with how many are not durable."""
    handle = handler_factory.keep(fault_bench.handler(partial_response=False, **JSON))
    fault_bench.proxy.use_rules(Rule("put", fault, times=ALWAYS))
    with pytest.raises(RejectedError, match="2 of 2 records are not durable") as caught:
        handle(sqs("a", "b"), None)
    assert HINTS[fault] in str(caught.value)
    assert fault_bench.proxy.count("put") == 2
    fault_bench.assert_empty()


async def test_a_lost_response_to_complete_is_told_as_such_where_the_look_is_refused(
    fault_bench: FaultBench,
) -> None:
    """Without s3:ListBucket a HEAD is answered 403 if nothing is there: nothing is known then."""
    rules = [
        Rule("complete", RESPONSE_LOST),
        Rule("complete", UPLOAD_GONE),
        Rule("head", DENIED, times=ALWAYS),
    ]
    written = await fault_bench.write(TWO_PARTS.make(), *rules, **TWO_PARTS.settings)
    assert isinstance(written.error, RetryableError)
    assert "HeadObject" not in str(written.error)
    assert fault_bench.proxy.count("head") == 1


def test_a_refused_look_at_a_key_that_is_taken_names_the_permission(
    fault_bench: FaultBench, handler_factory: HandlerFactory
) -> None:
    """After a 412 the key exists, so what is missing is the permission to read it."""
    handle = handler_factory.keep(fault_bench.handler(partial_response=False, **JSON))
    handle(sqs("a"), None)
    fault_bench.proxy.use_rules(Rule("head", DENIED, times=ALWAYS))
    with pytest.raises(RejectedError, match="s3:GetObject"):
        handle(sqs("a"), None)


@REFUSALS
def test_a_look_that_is_refused_is_no_success(
    fault_bench: FaultBench, handler_factory: HandlerFactory, fault: Fault
) -> None:
    """HEAD after a 412 has no body to tell the code by; the message comes back all the same."""
    handle = handler_factory.keep(fault_bench.handler(partial_response=False, **JSON))
    handle(sqs("a"), None)
    fault_bench.proxy.use_rules(Rule("head", fault, times=ALWAYS))
    with pytest.raises(RejectedError, match="HeadObject"):
        handle(sqs("a"), None)
    assert fault_bench.sleeps.delays_s == []
