"""Events under faults: each record in exactly one object, and the answer names what is not."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.errors import RejectedError, RetryableError
from support.fakes import FakeContext
from support.fault_bench import FaultBench
from support.fault_script import (
    ALWAYS,
    CONFLICT,
    CUT_BODY,
    CUT_RESPONSE,
    DENIED,
    HOLD,
    LATE_SERVER_ERROR,
    RESET,
    RESPONSE_LOST,
    SERVER_ERROR,
    SLOW_DOWN,
    Fault,
    Rule,
)
from support.handler_harness import NO_FAILURES, HandlerFactory, item_failures
from support.numbered_events import JSON, MakeEvent, kinesis, large, numbers, sqs

SOURCES = pytest.mark.parametrize("make", [sqs, kinesis])
PASSING = (
    SERVER_ERROR,
    SLOW_DOWN,
    CONFLICT,
    RESET,
    RESPONSE_LOST,
    CUT_BODY,
    CUT_RESPONSE,
    LATE_SERVER_ERROR,
)
"""Faults that a retry overcomes."""
SHORT = FakeContext(left_ms=2_500)
"""Time enough to come to the fault on a busy machine, and no more to wait for than that."""
ONE_OBJECT: dict[str, Any] = {"format": "ndjson", "partition_by": ""}


def etags(fault_bench: FaultBench) -> dict[str, Any]:
    """Return when each object was written, and what it is: a second write would show."""
    keys = fault_bench.keys()
    heads = {
        key: fault_bench.client.head_object(Bucket=fault_bench.bucket, Key=key) for key in keys
    }
    return {key: (head["ETag"], head["LastModified"]) for key, head in heads.items()}


@SOURCES
@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_an_event_is_written_once_whatever_passes(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent, fault: Fault
) -> None:
    """The answer is full success; so it is when redelivered, which writes nothing."""
    handle = handler_factory.keep(fault_bench.handler(**JSON))
    fault_bench.proxy.use_rules(Rule("put", fault, key="kind=b", times=3))
    assert handle(make("a", "b", "b", "c"), None) == NO_FAILURES
    assert fault_bench.proxy.unfired() == []
    assert numbers(fault_bench) == [0, 1, 2, 3]
    assert len(fault_bench.keys()) == 3
    before = etags(fault_bench)
    fault_bench.proxy.use_rules()
    assert handle(make("a", "b", "b", "c"), None) == NO_FAILURES
    assert etags(fault_bench) == before


@SOURCES
@pytest.mark.parametrize("fault", [RESPONSE_LOST, CUT_RESPONSE, LATE_SERVER_ERROR], ids=str)
def test_a_put_whose_answer_was_lost_is_success_and_no_second_object(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent, fault: Fault
) -> None:
    """The repeated PUT meets 412, the look shows our digest, and nothing is replaced."""
    handle = handler_factory.keep(fault_bench.handler(**ONE_OBJECT))
    fault_bench.proxy.use_rules(Rule("put", fault))
    assert handle(make("a", "b"), None) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1]
    assert fault_bench.proxy.count("put") == 2
    assert fault_bench.proxy.count("head") == 1


@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
@pytest.mark.parametrize("fault", [RESPONSE_LOST, CUT_RESPONSE, LATE_SERVER_ERROR], ids=str)
def test_a_put_of_the_rest_whose_answer_was_lost_is_success(
    fault_bench: FaultBench, handler_factory: HandlerFactory, fault: Fault, times: int
) -> None:
    """Its retry meets 412, and the object there is ours, so all is durable."""
    handle = handler_factory.keep(fault_bench.handler(**ONE_OBJECT))
    assert handle(kinesis("a"), None) == NO_FAILURES
    fault_bench.proxy.use_rules(Rule("put", fault, first=2, times=times))
    assert handle(kinesis("a", "b", "c"), None) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2]
    assert len(fault_bench.keys()) == 2


@SOURCES
@pytest.mark.parametrize("fault", [SERVER_ERROR, RESET, CUT_BODY, DENIED], ids=str)
def test_what_does_not_pass_comes_back_and_can_be_delivered_again(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent, fault: Fault
) -> None:
    """Of a queue the messages of that object, of a stream all; after it all is there once."""
    handle = handler_factory.keep(fault_bench.handler(**JSON))
    fault_bench.proxy.use_rules(Rule("put", fault, key="kind=b", times=ALWAYS))
    event = make("a", "b", "c", "b")
    back = item_failures("m1", "m3") if make is sqs else item_failures("100")
    assert handle(event, None) == back
    assert numbers(fault_bench) == [0, 2]
    assert fault_bench.proxy.unfired() == []
    fault_bench.proxy.use_rules()
    returned = event if make is kinesis else {"Records": event["Records"][1::2]}
    assert handle(returned, None) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_late_put_of_a_killed_invocation_is_refused(
    fault_bench: FaultBench, handler_factory: HandlerFactory
) -> None:
    """Its batch was halved meanwhile: an old whole over a new half would double records."""
    killed = handler_factory.keep(fault_bench.handler(real_time=True, **ONE_OBJECT))
    fault_bench.proxy.use_rules(Rule("put", HOLD))
    with pytest.raises(RetryableError, match="deadline"):
        killed(kinesis(*"abcd"), SHORT)
    assert fault_bench.keys() == set()
    handle = handler_factory.keep(fault_bench.handler(**ONE_OBJECT))
    assert handle(kinesis("a", "b"), None) == NO_FAILURES
    assert handle(kinesis("c", "d", first=2), None) == NO_FAILURES
    before = etags(fault_bench)
    assert fault_bench.proxy.release() == [412]
    assert numbers(fault_bench) == [0, 1, 2, 3]
    assert etags(fault_bench) == before


@pytest.mark.slow
def test_a_late_put_that_came_before_its_retry_is_kept(
    fault_bench: FaultBench, handler_factory: HandlerFactory
) -> None:
    """Both halves find their records in it, so nothing is there twice."""
    killed = handler_factory.keep(fault_bench.handler(real_time=True, **ONE_OBJECT))
    fault_bench.proxy.use_rules(Rule("put", HOLD))
    with pytest.raises(RetryableError, match="deadline"):
        killed(kinesis(*"abcd"), SHORT)
    assert fault_bench.proxy.release() == [200]
    handle = handler_factory.keep(fault_bench.handler(**ONE_OBJECT))
    assert handle(kinesis("a", "b"), None) == NO_FAILURES
    assert handle(kinesis("c", "d", first=2), None) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_late_put_of_the_rest_is_refused(
    fault_bench: FaultBench, handler_factory: HandlerFactory
) -> None:
    """Its name is taken by a shorter redelivery by now."""
    handle = handler_factory.keep(fault_bench.handler(real_time=True, **ONE_OBJECT))
    assert handle(kinesis("a"), None) == NO_FAILURES
    fault_bench.proxy.use_rules(Rule("put", HOLD, first=2))
    with pytest.raises(RetryableError, match="deadline"):
        handle(kinesis(*"abcd"), SHORT)
    assert handle(kinesis("a", "b"), None) == NO_FAILURES
    assert handle(kinesis("c", "d", first=2), None) == NO_FAILURES
    assert fault_bench.proxy.release() == [412]
    assert numbers(fault_bench) == [0, 1, 2, 3]


@pytest.mark.slow
@SOURCES
@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_large_event_is_written_once_whatever_passes(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent, fault: Fault
) -> None:
    """By one PUT, whatever its size: it has a condition, and nothing can stay open."""
    handle = handler_factory.keep(fault_bench.handler(**ONE_OBJECT))
    fault_bench.proxy.use_rules(Rule("put", fault))
    assert handle(large(make), None) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2]
    assert len(fault_bench.keys()) == 1
    assert fault_bench.proxy.count("create") == 0


@pytest.mark.slow
@SOURCES
@pytest.mark.parametrize("fault", [RESET, CUT_BODY, DENIED], ids=str)
def test_a_large_event_that_cannot_be_written_leaves_nothing(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent, fault: Fault
) -> None:
    """All of it comes back."""
    handle = handler_factory.keep(fault_bench.handler(partial_response=False, **ONE_OBJECT))
    fault_bench.proxy.use_rules(Rule("put", fault, times=ALWAYS))
    expected = RejectedError if fault is DENIED else RetryableError
    with pytest.raises(expected, match="3 of 3 records are not durable"):
        handle(large(make), None)
    fault_bench.assert_empty()
