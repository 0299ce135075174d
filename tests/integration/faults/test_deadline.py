"""Deadline: S3 hangs, and the handler has answered before it would be killed."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.errors import RetryableError
from support.fakes import FakeContext
from support.fault_bench import FaultBench
from support.fault_script import ALWAYS, LATE_STALL, SLOW_DOWN, STALL, Fault, Rule
from support.handler_harness import NO_FAILURES, HandlerFactory, item_failures
from support.numbered_events import JSON, MakeEvent, kinesis, large, numbers, sqs

SHORT = FakeContext(left_ms=2_500)
"""Time enough to come to the fault on a busy machine, and no more to wait for than that."""
LONG = FakeContext(left_ms=60_000)
SOURCES = pytest.mark.parametrize("make", [sqs, kinesis])
HANGING = pytest.mark.parametrize("fault", [STALL, LATE_STALL], ids=str)
ONE_OBJECT: dict[str, Any] = {"format": "ndjson", "partition_by": ""}


@pytest.mark.slow
@HANGING
@pytest.mark.parametrize("concurrency", [1, 16])
def test_the_answer_names_exactly_what_is_not_known_to_be_durable(
    fault_bench: FaultBench,
    handler_factory: HandlerFactory,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    concurrency: int,
) -> None:
    """Hanging messages, and those whose turn never came; delivered again, all are there once."""
    handle = handler_factory.keep(
        fault_bench.handler(real_time=True, concurrency=concurrency, **JSON)
    )
    assert handle(sqs("warm", first=9), LONG) == NO_FAILURES
    fault_bench.proxy.use_rules(Rule("put", fault, key="kind=b", times=ALWAYS))
    event = sqs("a", "b", "a", "c")
    answer = handle(event, SHORT)
    assert "deadline_cut source=sqs" in caplog.text  # not the end of an attempt, which is later
    there = set(numbers(fault_bench)) - ({1} if fault.after_success else set())
    assert answer == item_failures(*(f"m{n}" for n in range(4) if n not in there))
    assert item_failures("m1")["batchItemFailures"][0] in answer["batchItemFailures"]
    assert fault_bench.proxy.unfired() == []
    fault_bench.proxy.use_rules()
    back = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
    again = [record for record in event["Records"] if record["messageId"] in back]
    assert handle({"Records": again}, LONG) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2, 3, 9]


@pytest.mark.slow
@HANGING
@pytest.mark.parametrize("partial_response", [True, False])
def test_a_stream_that_hangs_is_raised_and_written_once_by_its_retry(
    fault_bench: FaultBench,
    handler_factory: HandlerFactory,
    fault: Fault,
    *,
    partial_response: bool,
) -> None:
    """Only an error lets AWS halve the batch; its retry finds what was written before."""
    handle = handler_factory.keep(
        fault_bench.handler(real_time=True, partial_response=partial_response, **JSON)
    )
    assert handle(kinesis("warm", first=9), LONG) == NO_FAILURES
    fault_bench.proxy.use_rules(Rule("put", fault, key="kind=b", times=ALWAYS))
    with pytest.raises(RetryableError, match=r"records are not durable.* deadline"):
        handle(kinesis("a", "b", "c"), SHORT)
    assert fault_bench.proxy.unfired() == []
    fault_bench.proxy.use_rules()
    assert handle(kinesis("a", "b", "c"), LONG) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2, 9]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "fault"), [(sqs, STALL), (kinesis, LATE_STALL)])
def test_a_large_put_that_hangs_lets_the_handler_answer(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent, fault: Fault
) -> None:
    """Whatever the server has done of it, the next delivery leaves each record there once."""
    handle = handler_factory.keep(
        fault_bench.handler(real_time=True, partial_response=False, **ONE_OBJECT)
    )
    assert handle(make("warm", first=9), LONG) == NO_FAILURES
    fault_bench.proxy.use_rules(Rule("put", fault, times=ALWAYS))
    with pytest.raises(RetryableError, match=r"3 of 3 records are not durable.* deadline"):
        handle(large(make), SHORT)
    assert fault_bench.proxy.unfired() == []
    fault_bench.proxy.use_rules()
    assert handle(large(make), LONG) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2, 9]


def test_a_store_where_everything_hangs_lets_the_handler_answer(
    fault_bench: FaultBench, handler_factory: HandlerFactory
) -> None:
    """A look hangs as well; it ends with the margin, and the next event is written."""
    handle = handler_factory.keep(
        fault_bench.handler(real_time=True, partial_response=False, **ONE_OBJECT)
    )
    fault_bench.proxy.use_rules(
        *(Rule(operation, STALL, times=ALWAYS) for operation in ("put", "head"))
    )
    with pytest.raises(RetryableError, match="deadline"):
        handle(large(sqs), SHORT)
    assert fault_bench.keys() == set()
    fault_bench.proxy.use_rules()
    assert handle(large(sqs), LONG) == NO_FAILURES
    assert numbers(fault_bench) == [0, 1, 2]


@pytest.mark.slow
@SOURCES
def test_a_storm_that_outlasts_the_event_ends_with_it(
    fault_bench: FaultBench, handler_factory: HandlerFactory, make: MakeEvent
) -> None:
    """Attempts stop at the deadline, all comes back, and no task goes on behind the answer."""
    handle = handler_factory.keep(
        fault_bench.handler(real_time=True, partial_response=False, **ONE_OBJECT)
    )
    fault_bench.proxy.use_rules(Rule("put", SLOW_DOWN, times=ALWAYS))
    with pytest.raises(RetryableError, match="2 of 2 records are not durable"):
        handle(make("a", "b"), SHORT)
    assert fault_bench.proxy.count("put") > 1
    fault_bench.assert_empty()
