"""Scenarios: what happens to records on their way, and where each one must be in the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batcher.tools.demo.events import MAX_EVENT_BYTES
from e2e.modelled_cloud import Modelled, Queueing, Streaming
from e2e.pipelines import Cloud, Wanted, audit
from e2e.record_counts import Counts
from e2e.traffic import small, whole
from support.fault_script import (
    ALWAYS,
    DENIED,
    HOLD,
    LATE_STALL,
    RESET,
    RESPONSE_LOST,
    SERVER_ERROR,
    SLOW_DOWN,
    STALL,
    Rule,
)

pytestmark = pytest.mark.timeout(180)
Count = Callable[[Counts], None]
FULL_BYTES = 0.95 * MAX_EVENT_BYTES
SOON_OVER_S = 4
"""A function's timeout: it answers two seconds before, so that an outage takes no longer."""
BY_KIND = {"partition_by": "kind={field:kind}"}
FIFO = {
    "queue": "existing",
    "queue_arn": "arn:aws:sqs:us-east-1:000000000000:webhooks.fifo",
    "batch_size": 10,
    "window": 0,
}

both_sources = pytest.mark.parametrize("kind", ["sqs", "kinesis"])


@both_sources
def test_all_records_of_large_events_arrive_once(model: Modelled, count: Count, kind: str) -> None:
    """Events are as large as Lambda takes them: 6 MB."""
    traffic = small(12_000)
    with model.deploy(Wanted(kind)) as pipeline:
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("6 MB events", pipeline, traffic))
        assert FULL_BYTES < pipeline.largest_bytes <= MAX_EVENT_BYTES


@both_sources
def test_a_window_makes_one_event_of_what_it_brings(
    model: Modelled, count: Count, kind: str
) -> None:
    """Ten minutes at five records a second, in windows as the template has them."""
    traffic = small(3_000, span_s=600)
    with model.deploy(Wanted(kind, {"window": 20})) as pipeline:
        pipeline.send(traffic, as_they_come=True)
        pipeline.drain()
        count(audit("windows", pipeline, traffic))
        lanes = 1 if kind == "sqs" else 2
        assert 28 * lanes <= pipeline.invocations <= 32 * lanes


@both_sources
def test_a_poisoned_record_is_set_aside_and_its_neighbours_arrive(
    cloud: Cloud, count: Count, kind: str
) -> None:
    """Nothing comes back for it."""
    traffic = whole(1_500).poisoned()
    with cloud.deploy(Wanted(kind)) as pipeline:
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("a poisoned record", pipeline, traffic))
        assert pipeline.failed == 0


@both_sources
def test_an_s3_that_fails_for_seconds_is_waited_for(cloud: Cloud, count: Count, kind: str) -> None:
    """The function tries again by itself: no invocation fails."""
    traffic = whole(1_000)
    with cloud.deploy(Wanted(kind)) as pipeline:
        pipeline.proxy.use_rules(
            Rule("put", SLOW_DOWN, times=3), Rule("put", RESET, times=2), Rule("put", RESPONSE_LOST)
        )
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("S3 fails for seconds", pipeline, traffic))
        assert not pipeline.proxy.unfired()
        assert pipeline.failed == 0


@both_sources
def test_an_s3_that_fails_for_longer_than_an_invocation_loses_nothing(
    cloud: Cloud, count: Count, kind: str
) -> None:
    """Records come back until it works again; a stream's batches are halved meanwhile."""
    traffic = whole(1_000)
    with cloud.deploy(Wanted(kind, timeout_s=SOON_OVER_S)) as pipeline:
        pipeline.proxy.use_rules(
            Rule("put", SERVER_ERROR, times=30), Rule("put", STALL), Rule("put", LATE_STALL)
        )
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("S3 fails for longer", pipeline, traffic, may_double=kind == "sqs"))
        assert not pipeline.proxy.unfired()
        assert pipeline.failed
        assert not isinstance(pipeline, Streaming) or pipeline.reached["bisected"]
        assert not isinstance(pipeline, Queueing | Streaming) or not pipeline.killed


@both_sources
def test_a_function_that_is_killed_in_a_put_loses_nothing(
    model: Modelled, count: Count, kind: str
) -> None:
    """By SIGKILL, as at a timeout: S3 has heard of the PUT, or hears of it later, or never."""
    traffic = whole(1_500)
    with model.deploy(Wanted(kind)) as pipeline:
        pipeline.proxy.use_rules(
            Rule("put", HOLD, times=2), Rule("put", LATE_STALL, first=2, times=2)
        )
        pipeline.kill_in(HOLD, LATE_STALL)
        pipeline.send(traffic)
        pipeline.drain()
        late = pipeline.proxy.release()
        assert len(late) == 2
        count(audit("killed", pipeline, traffic, may_double=kind == "sqs"))
        assert not pipeline.proxy.unfired()
        assert pipeline.failed == pipeline.killed == 4


@both_sources
def test_only_what_failed_comes_back(cloud: Cloud, count: Count, kind: str) -> None:
    """One partition is refused three times: a queue's other messages are not delivered again."""
    traffic = small(3_000)
    with cloud.deploy(Wanted(kind, BY_KIND, timeout_s=SOON_OVER_S)) as pipeline:
        pipeline.proxy.use_rules(Rule("put", DENIED, key="kind=b", times=3))
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("a partial failure", pipeline, traffic))
        assert not pipeline.proxy.unfired()
        assert pipeline.failed == 3
        assert not isinstance(pipeline, Queueing) or pipeline.reached["some came back"] == 3


def test_messages_that_always_fail_are_dead_letters_of_the_queue(
    cloud: Cloud, count: Count
) -> None:
    """After as many receives as the template says; what S3 takes arrives."""
    traffic = small(600)
    with cloud.deploy(Wanted("sqs", BY_KIND, timeout_s=SOON_OVER_S)) as pipeline:
        pipeline.proxy.use_rules(Rule("put", DENIED, key="kind=b", times=ALWAYS))
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("always refused", pipeline, traffic, dead=200))


def test_a_stream_waits_for_s3_without_end(cloud: Cloud, count: Count) -> None:
    """As it is deployed no retry limit gives records up."""
    traffic = small(600, span_s=1)
    with cloud.deploy(Wanted("kinesis")) as pipeline:
        pipeline.proxy.use_rules(Rule("put", DENIED, key="shardId-000000000000", times=6))
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("refused for long", pipeline, traffic))
        assert not pipeline.proxy.unfired()
        assert pipeline.failed == 6


def test_a_stream_with_a_retry_limit_tells_its_destination(cloud: Cloud, count: Count) -> None:
    """For those who set one: what is given up is told, and the shard goes on."""
    traffic = small(600)
    with cloud.deploy(Wanted("kinesis", {"maximum_retry_attempts": 2})) as pipeline:
        pipeline.proxy.use_rules(Rule("put", DENIED, key="shardId-000000000000", times=ALWAYS))
        pipeline.send(traffic)
        pipeline.drain()
        dead = len(pipeline.dead_letters())
        assert 0 < dead < len(traffic.sent)
        count(audit("a retry limit", pipeline, traffic, dead=dead))


def test_a_fifo_queue_keeps_the_order_of_each_group(cloud: Cloud, count: Count) -> None:
    """From a failure on, all later messages of its group come back, written or not."""
    traffic = small(400)
    wanted = Wanted("sqs", {**FIFO, **BY_KIND}, timeout_s=SOON_OVER_S, is_fifo=True)
    with cloud.deploy(wanted) as pipeline:
        pipeline.proxy.use_rules(Rule("put", DENIED, key="kind=b", times=5))
        pipeline.send(traffic)
        pipeline.drain()
        count(audit("FIFO", pipeline, traffic, may_double=True))
        assert not pipeline.proxy.unfired()
