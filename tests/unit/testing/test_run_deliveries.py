"""run_deliveries: batcher's handler passes, and handlers with a bug of each kind are caught."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from batcher import Batcher
from batcher.batching.validation import Transform
from batcher.errors import BatcherError
from batcher.handler import make_handler
from batcher.testing import (
    BEHAVIORS,
    EXACT_BEHAVIORS,
    AnyHandler,
    DeliveryReport,
    FakeContext,
    MakeHandler,
    ObjectAttributes,
    ObjectInfo,
    ObjectStore,
    dynamodb_records,
    fifo_messages,
    kinesis_records,
    run_deliveries,
    sqs_messages,
)
from batcher.testing.deliveries import failures_of
from support.examples import make_settings

SEEDS = range(15)
PAYLOADS = [{"n": n, "kind": "ab"[n % 2]} for n in range(12)]
SUCCESS: dict[str, Any] = {"batchItemFailures": []}
IMAGES = [{"Id": {"N": str(n)}} for n in range(12)]
SOURCES: Mapping[str, Callable[[], Sequence[Mapping[str, Any]]]] = {
    "sqs": lambda: sqs_messages(PAYLOADS),
    "fifo": lambda: fifo_messages(PAYLOADS, groups=["a", "b", "c"]),
    "kinesis": lambda: kinesis_records(PAYLOADS),
    "dynamodb": lambda: dynamodb_records(IMAGES),
    "direct": lambda: PAYLOADS,
}
STREAMS = ["kinesis", "dynamodb"]
QUEUES_AND_STREAMS = ["sqs", "fifo", *STREAMS]


def transform(payload: bytes) -> dict[str, Any] | None:
    """Filter a record, fail on another, and change all others."""
    record = json.loads(payload)
    n = record.get("n", 0)
    if n == 5:
        raise ValueError(n)
    return None if n == 3 else {**record, "seen": True}


def batchers(transform: Transform | None = None, **settings: Any) -> MakeHandler:  # noqa: ANN401
    """Return what makes batcher's handler, with partial responses unless set otherwise."""
    chosen = make_settings(
        **{"root": "events", "partition_by": "k={field:kind}", "partial_response": True, **settings}
    )
    return lambda store: make_handler(chosen, transform=transform, store=store)


def reports(make: MakeHandler, source: str, **options: Any) -> list[DeliveryReport]:  # noqa: ANN401
    """Run all seeds."""
    return [run_deliveries(make, SOURCES[source](), seed=seed, **options) for seed in SEEDS]


@pytest.mark.parametrize("source", SOURCES)
def test_batchers_handler_loses_nothing(source: str) -> None:
    """With a transform; and under every fault that the kit has."""
    found = reports(batchers(transform), source, transform=transform, fault_chance=0.2)
    for report in found:
        report.assert_none_lost()
        if source in STREAMS:
            report.assert_exactly_once()
    faults = sum((report.faults for report in found), Counter[str]())
    assert len(faults) >= 10, faults


@pytest.mark.parametrize("source", QUEUES_AND_STREAMS)
def test_a_mapping_without_partial_responses(source: str) -> None:
    """The handler raises then."""
    for report in reports(batchers(partial_response=False), source, partial_response=False):
        report.assert_none_lost()


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_every_behavior_of_a_stream(behavior: str) -> None:
    """Nothing is lost in any, and nothing is doubled between known boundaries."""
    doubled = 0
    for report in reports(batchers(), "kinesis", behavior=behavior, fault_chance=0.15):
        report.assert_none_lost()
        doubled += len(report.doubled)
    assert behavior not in EXACT_BEHAVIORS or not doubled


def test_all_kinds_of_redelivery_are_reached() -> None:
    """Overlaps, repeats, other cuts, doubles, and records that expire."""
    found = {
        behavior: reports(batchers(), "kinesis", behavior=behavior, fault_chance=0.2)
        for behavior in BEHAVIORS
    }
    assert sum(r.faults["deliveries overlap"] for r in found["pollers overlap"])
    assert any(r.expired for r in found["records expire"])
    assert any(r.doubled for r in found["falls back anywhere"])
    for behavior in ("repeats in another cut", "checkpoint falls back", "falls back anywhere"):
        again = [
            delivery
            for r in found[behavior]
            for delivery in r.deliveries
            if r.acknowledged.get(delivery.positions[0], delivery.number) < delivery.number
        ]
        assert again, behavior
    overlaps = [r.faults["deliveries overlap"] for r in reports(batchers(), "sqs")]
    assert sum(overlaps)


def test_a_seed_gives_the_same_run() -> None:
    """And another seed another one."""
    runs = [run_deliveries(batchers(), SOURCES["kinesis"](), seed=seed) for seed in (3, 3, 4)]
    shown = [(r.deliveries, r.faults, r.objects, r.acknowledged) for r in runs]
    assert shown[0] == shown[1] != shown[2]


def test_bad_records_count_where_they_are_quarantined() -> None:
    """They are named by their position, because they may have no content."""
    records = sqs_messages(["no json", {"n": 1}])
    for seed in SEEDS:
        report = run_deliveries(batchers(), records, seed=seed)
        report.assert_none_lost()
        assert report.quarantined == [records[0]["messageId"]]


def test_shards_are_delivered_apart() -> None:
    """A batch has records of one shard."""
    first = kinesis_records(PAYLOADS[:6], shard_id="shardId-000000000001")
    second = kinesis_records(PAYLOADS[6:], shard_id="shardId-000000000002", first_number=7)
    shard = {r["kinesis"]["sequenceNumber"]: r["eventID"].split(":")[0] for r in first + second}
    for seed in SEEDS:
        report = run_deliveries(batchers(), first + second, seed=seed)
        report.assert_exactly_once()
        for delivery in report.deliveries:
            assert len({shard[position] for position in delivery.positions}) == 1


def test_a_fifo_queue_delivers_each_group_in_order() -> None:
    """No message comes before an earlier one of its group is acknowledged, or with it."""
    records = SOURCES["fifo"]()
    ids = [record["messageId"] for record in records]
    groups = {r["messageId"]: r["attributes"]["MessageGroupId"] for r in records}
    for report in reports(batchers(), "fifo"):
        for delivery in report.deliveries:
            for position in delivery.positions:
                for earlier in ids[: ids.index(position)]:
                    if groups[earlier] == groups[position]:
                        before = report.acknowledged[earlier] < delivery.number
                        assert before or earlier in delivery.positions


def test_a_handler_may_use_a_batcher() -> None:
    """In asyncio.run, and with any store; it writes a redelivery again, but loses nothing."""

    def make(store: ObjectStore) -> AnyHandler:
        async def write(texts: list[str]) -> None:
            async with Batcher(make_settings(root="events"), store=store) as batcher:
                ticket = await batcher.submit_many(texts)
            await ticket

        def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
            del context
            asyncio.run(write([record["body"] for record in event["Records"]]))
            return SUCCESS

        return handler

    for report in reports(make, "sqs"):
        report.assert_none_lost()


# Handlers with bugs


def acknowledging(store: ObjectStore) -> AnyHandler:
    """Acknowledge without writing."""
    del store
    return lambda _event, _context: SUCCESS


def swallowing(store: ObjectStore) -> AnyHandler:
    """Write, but answer success whatever happens."""
    inner = batchers(partial_response=False)(store)

    def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
        try:
            return inner(event, context)
        except BatcherError:
            return SUCCESS

    return handler


def dropping_failures(store: ObjectStore) -> AnyHandler:
    """Write, but drop the partial failure."""
    inner = batchers()(store)

    def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
        inner(event, context)
        return SUCCESS

    return handler


def remembering(store: ObjectStore) -> AnyHandler:
    """Skip events that it has begun before."""
    inner = batchers()(store)
    begun: set[str] = set()

    def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
        text = json.dumps(event)
        if text in begun:
            return SUCCESS
        begun.add(text)
        return inner(event, context)

    return handler


def text_of(event: Any) -> bytes:  # noqa: ANN401  # JSON
    """Return the lines of an SQS event."""
    return b"".join(record["body"].encode() + b"\n" for record in event["Records"])


def replacing(store: ObjectStore) -> AnyHandler:
    """Replace one object again and again."""

    async def write(text: bytes) -> None:
        found = await store.head("latest.ndjson")
        etag = None if found is None else found.etag
        await store.put("latest.ndjson", text, ObjectAttributes(), if_match=etag)

    def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
        del context
        asyncio.run(write(text_of(event)))
        return SUCCESS

    return handler


def answering_before(store: ObjectStore) -> AnyHandler:
    """Write in a task that nobody awaits."""
    tasks: set[asyncio.Future[ObjectInfo]] = set()

    def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
        del context

        async def begin() -> None:
            text = text_of(event)
            tasks.add(asyncio.ensure_future(store.put(f"{len(tasks)}", text, ObjectAttributes())))

        asyncio.run(begin())
        return SUCCESS

    return handler


@pytest.mark.parametrize("source", QUEUES_AND_STREAMS)
@pytest.mark.parametrize("make", [acknowledging, swallowing, dropping_failures, remembering])
def test_a_handler_that_acknowledges_what_is_not_durable_is_caught(
    make: MakeHandler, source: str
) -> None:
    """On every source; the message names a lost record and the delivery that acknowledged it."""
    found = [report for report in reports(make, source, fault_chance=0.2) if report.lost]
    assert found
    report = found[0]
    with pytest.raises(AssertionError) as raised:
        report.assert_none_lost()
    text = str(raised.value)
    lost = report.lost[0]
    assert f"seed {report.seed}" in text
    assert f"of {len(SOURCES[source]())} records lost" in text
    assert f"{lost}: acknowledged by delivery {report.acknowledged[lost]}" in text
    assert (report.lines[lost] or b"?").decode()[:80] in text


@pytest.mark.parametrize("make", [replacing, answering_before])
def test_a_handler_without_batcher_is_caught(make: MakeHandler) -> None:
    """One that replaces objects, and one that does not wait for its requests."""
    found = reports(make, "sqs")
    assert any(report.lost for report in found)
    with pytest.raises(AssertionError, match=r"records lost"):
        next(report for report in found if report.lost).assert_none_lost()


def test_a_replaced_object_is_named() -> None:
    """With the delivery that did it."""
    report = next(report for report in reports(replacing, "sqs") if report.replaced)
    number = report.replaced["latest.ndjson"]
    with pytest.raises(AssertionError, match=f"latest.ndjson: replaced .* by delivery {number};"):
        report.assert_none_lost()


def test_a_mapping_that_ignores_partial_responses_is_caught() -> None:
    """The handler's setting must be that of the mapping."""
    found = reports(batchers(), "sqs", partial_response=False, fault_chance=0.2)
    assert any(report.lost for report in found)


def test_a_handler_that_writes_a_stream_under_fresh_keys_is_caught() -> None:
    """It loses nothing, but each redelivery is written again."""

    def make(store: ObjectStore) -> AnyHandler:
        def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
            first = inner([r["dynamodb"] for r in event["Records"]], context)
            return SUCCESS if first else None

        inner = batchers(lambda p: json.dumps(json.loads(p)["NewImage"]))(store)
        return handler

    image_of: Transform = lambda p: json.dumps(json.loads(p)["dynamodb"]["NewImage"])  # noqa: E731
    found = reports(make, "dynamodb", transform=image_of, fault_chance=0.2)
    for report in found:
        report.assert_none_lost()
    report = next(report for report in found if report.doubled)
    position, keys = next(iter(report.doubled.items()))
    with pytest.raises(AssertionError, match="records doubled") as raised:
        report.assert_exactly_once()
    assert f"{position}: in {', '.join(keys)}" in str(raised.value)


def test_a_handler_that_never_gets_done_is_caught() -> None:
    """It has lost nothing, but would be blocked for ever; the message has its last error."""

    def make(store: ObjectStore) -> AnyHandler:
        del store

        def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
            del event, context
            message = "no table"
            raise LookupError(message)

        return handler

    for source in SOURCES:
        report = run_deliveries(make, SOURCES[source](), behavior="retries")
        assert len(report.unfinished) == 12
        with pytest.raises(AssertionError, match=r"never acknowledged(.|\n)*LookupError: no table"):
            report.assert_none_lost()


def test_lines_that_no_record_makes_are_named() -> None:
    """A transform that was not given to the kit, or one that changes content at random."""
    report = run_deliveries(batchers(transform), SOURCES["kinesis"]())
    with pytest.raises(AssertionError, match="lines that no record makes") as raised:
        report.assert_none_lost()
    assert "give run_deliveries the handler's transform" in str(raised.value)
    assert '"seen":true' in str(raised.value)


def test_a_task_that_outlives_its_invocation_is_an_error() -> None:
    """Lambda would freeze it."""

    def make(store: ObjectStore) -> AnyHandler:
        runner = asyncio.Runner()

        async def begin(event: object) -> None:
            asyncio.get_running_loop().create_task(
                store.put("key", json.dumps(event).encode(), ObjectAttributes())
            )

        def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
            del context
            runner.get_loop().run_until_complete(begin(event))
            return SUCCESS

        return handler

    report = run_deliveries(make, SOURCES["sqs"](), fault_chance=0.0)
    outcomes = {delivery.outcome for delivery in report.deliveries}
    assert any("a task has outlived its invocation" in outcome for outcome in outcomes)


def test_an_answer_with_an_unknown_record_acknowledges_nothing() -> None:
    """The whole batch is redelivered."""
    unknown = {"batchItemFailures": [{"itemIdentifier": "unknown"}]}
    for source in QUEUES_AND_STREAMS:
        report = run_deliveries(lambda _store: lambda _e, _c: unknown, SOURCES[source]())
        assert not report.acknowledged
        assert len(report.unfinished) == 12


def test_a_handler_that_catches_everything_does_not_survive_its_kill() -> None:
    """No process can: what it answers then is not seen."""

    def make(store: ObjectStore) -> AnyHandler:
        inner = batchers()(store)

        def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
            try:
                return inner(event, context)
            except BaseException:  # noqa: BLE001  # the bug
                return SUCCESS

        return handler

    killed = [
        delivery
        for report in reports(make, "sqs", fault_chance=0.3)
        for delivery in report.deliveries
        if delivery.outcome.startswith("killed")
    ]
    assert killed
    assert not any(delivery.acknowledged for delivery in killed)


def test_a_loop_without_virtual_time_is_refused() -> None:
    """It could hang for ever; the message says what to use."""

    def make(store: ObjectStore) -> AnyHandler:
        def handler(event: Any, context: FakeContext) -> object:  # noqa: ANN401  # JSON
            del event, context
            loop = asyncio.SelectorEventLoop()
            try:
                loop.run_until_complete(store.head("key"))
            finally:
                loop.close()
            return SUCCESS

        return handler

    report = run_deliveries(make, SOURCES["sqs"]())
    with pytest.raises(AssertionError, match=r"SelectorEventLoop of its own; let it use asyncio"):
        report.assert_none_lost()


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        (SUCCESS, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, None),
        ({"batchItemFailures": [{"id": "a"}]}, None),
        ({"batchItemFailures": ["a"]}, None),
        ({"batchItemFailures": {"a": "b"}}, None),
        ("done", None),
    ],
)
def test_answers_are_read_as_lambda_does(answer: object, failures: set[str] | None) -> None:
    """An answer that Lambda cannot read redelivers the whole batch."""
    assert failures_of(answer) == failures


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "records: from 0 sources"),
        ([*sqs_messages(["1"]), *kinesis_records(["2"])], "aws:kinesis, aws:sqs"),
        (sqs_messages([{"n": 1}, b'{"n": 1}']), "records 0 and 1: both make the same line"),
        ([*sqs_messages([{"n": 1}]), *sqs_messages([{"n": 2}])], "records 0 and 1: both are"),
        (
            [*sqs_messages(["1"]), *sqs_messages(["2"], queue_arn="a:b", seed=1)],
            r"records: from 2 queues \(a:b, arn:aws:sqs:us-east-2:123456789012:my-queue\)",
        ),
        ([{"eventSource": "aws:kinesis", "data": "e30="}], "record 0: it has no message id or seq"),
        ([{"eventSource": "aws:sqs"}], "record 0: it has no message id or seq"),
    ],
)
def test_records_that_cannot_be_told_apart_are_refused(
    records: Sequence[Mapping[str, Any]], message: str
) -> None:
    """A report could not name what was lost."""
    with pytest.raises(ValueError, match=message):
        run_deliveries(batchers(), records)


def test_a_fault_chance_is_a_probability() -> None:
    """Not a percentage."""
    with pytest.raises(ValueError, match="fault_chance: 20 is no probability"):
        run_deliveries(batchers(), SOURCES["sqs"](), fault_chance=20)


async def test_an_async_test_is_told_how_to_call_it() -> None:
    """Handlers run loops of their own."""
    with pytest.raises(RuntimeError, match="inside a running event loop; call it in a plain"):
        run_deliveries(batchers(), SOURCES["sqs"]())
    report = await asyncio.to_thread(run_deliveries, batchers(), SOURCES["sqs"]())
    report.assert_none_lost()


def test_an_unknown_behavior_is_refused() -> None:
    """The message has those that exist."""
    with pytest.raises(ValueError, match="unknown value 'calm'; choose one of: retries, restarts"):
        run_deliveries(batchers(), SOURCES["kinesis"](), behavior="calm")
