"""What the handler is given, and what it does: the table of the design, section 2."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batcher.errors import PoisonRecordError, RejectedError, RetryableError, UnknownSourceError
from batcher.handler import make_handler
from batcher.stores.memory import MemoryStore
from support.examples import (
    EVENTS,
    SEQUENCE,
    event_from,
    fifo_message,
    kinesis_record,
    make_settings,
    message,
)
from support.fakes import failing
from support.handler_harness import (
    NO_FAILURES,
    HandlerFactory,
    data_of,
    hooked,
    quarantine_of,
    snapshot,
    text_of,
)
from support.output_schema import check_document
from support.store_fixtures import ENGINES

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

REAL = [
    "sqsEvent",
    "snsSqsFifoEvent",
    "sqsDlqTriggerEvent",
    "kinesisStreamEvent",
    "kinesisStreamCloudWatchLogsEvent",
    "dynamoStreamEvent",
]


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("format_", ["ndjson", "lines"])
def test_a_real_event_twice_leaves_the_bucket_as_once(
    handler_factory: HandlerFactory, store: MemoryStore, name: str, format_: str
) -> None:
    """Every record is in it once, as data or in quarantine."""
    handle = handler_factory.make(store, format=format_)
    event = event_from(name)
    assert handle(event, None) == NO_FAILURES
    once = snapshot(store)
    counts = [int(there.info.metadata["batcher-records"]) for there in store.objects.values()]
    assert sum(counts) == len(event["Records"])
    assert handle(event_from(name), None) == NO_FAILURES
    assert snapshot(store) == once


@pytest.mark.parametrize("name", REAL)
def test_another_environment_writes_the_same_keys_and_bytes(
    handler_factory: HandlerFactory, name: str
) -> None:
    """There is no clock in them, and nothing random."""
    one, two = MemoryStore(), MemoryStore()
    assert handler_factory.make(one)(event_from(name), None) == NO_FAILURES
    assert handler_factory.make(two)(event_from(name), None) == NO_FAILURES
    assert snapshot(one) == snapshot(two)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_real_event_twice_leaves_a_real_bucket_as_once(
    handler_factory: HandlerFactory,
    seaweedfs: SeaweedFS,
    bucket: str,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One handler and one client write all events; then they all come again."""
    seaweedfs.create_bucket(bucket)
    for variable, value in seaweedfs.environ.items():
        monkeypatch.setenv(variable, value)
    store = ENGINES[engine](make_settings(bucket=bucket))
    handle = handler_factory.make(store, format="lines")

    def listed() -> list[tuple[str, str, str]]:
        answer = seaweedfs.client.list_objects_v2(Bucket=bucket)
        found = answer.get("Contents", [])
        return [(each["Key"], each["ETag"], str(each["LastModified"])) for each in found]

    for name in REAL:
        assert handle(event_from(name), None) == NO_FAILURES
    once = listed()
    assert len(once) >= len(REAL)
    for name in REAL:
        assert handle(event_from(name), None) == NO_FAILURES
    assert listed() == once  # not even written again


def test_limits_split_a_queue_event_the_same_way_each_time(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """The same set of messages makes the same objects, whatever order it comes in."""
    handle = handler_factory.make(store, max_records=7, max_bytes=100)
    records = [message(f"m{n:02}", f'{{"n":{n}}}') for n in range(40)]
    assert handle({"Records": records}, None) == NO_FAILURES
    once = snapshot(store)
    assert len(once) == 6
    for there in store.objects.values():
        assert int(there.info.metadata["batcher-records"]) <= 7
        assert len(text_of(there)) <= 100
    random.Random(7).shuffle(records)  # noqa: S311  # no secret
    assert handle({"Records": records}, None) == NO_FAILURES
    assert snapshot(store) == once


def test_the_same_messages_in_another_order_are_the_same_object(
    handler_factory: HandlerFactory,
) -> None:
    """No order of a queue lasts: the second delivery is found to be written already."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    records = [message(f"m{n}", f'{{"n":{n}}}') for n in (3, 1, 2)]
    assert handle({"Records": records}, None) == NO_FAILURES
    once = snapshot(inner)
    assert handle({"Records": records[::-1]}, None) == NO_FAILURES
    assert store.operations() == ["put", "put", "head"]
    assert snapshot(inner) == once


def test_a_key_is_what_the_design_says(handler_factory: HandlerFactory, store: MemoryStore) -> None:
    """The example of the design, section 4."""
    handle = handler_factory.make(store)
    assert handle({"Records": [kinesis_record(SEQUENCE)]}, None) == NO_FAILURES
    (key,) = store.objects
    assert key == (
        "events/1100/dt=2026-11-23/hour=07/orders-shardId-000000000003-"
        "0000000049590338271490256608559692538361571095921575989136588898.ndjson.gz"
    )


def test_an_event_of_no_records_is_answered(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Nothing is written, and nothing comes back."""
    assert handler_factory.make(store)({"Records": []}, None) == NO_FAILURES
    assert store.objects == {}


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, "aws:s3"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}, "aws:sns"),
        ({"Records": [message("a"), kinesis_record("1")]}, "aws:kinesis, aws:sqs"),
        ({"Records": [message("a"), "text"]}, "several sources"),
        ({"Records": [{}]}, "no named source"),
        ({"Records": "text"}, "Records is str"),
        ({"records": {"topic-0": []}, "eventSource": "aws:kafka"}, "aws:kafka"),
        ({"records": [], "invocationId": "x"}, "`records`"),
        ({"awslogs": {"data": "H4sI"}}, "awslogs"),
        ({"detail-type": "x", "source": "aws.ec2", "detail": {}}, "aws.ec2"),
        ({}, "unsupported event"),
        (None, "unsupported event"),
        ("text", "unsupported event"),
        (7, "unsupported event"),
        ([{}, "text"], "str"),
    ],
)
def test_what_is_no_event_of_ours_is_named_and_raised(
    handler_factory: HandlerFactory, store: MemoryStore, event: object, named: str
) -> None:
    """Nothing is written, whatever `partial_response` says."""
    with pytest.raises(UnknownSourceError, match=named):
        handler_factory.make(store)(event, None)
    assert store.objects == {}


def test_a_real_event_of_kafka_is_refused(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Its records stand in a mapping by topic, not in a list."""
    with pytest.raises(UnknownSourceError, match="kafka"):
        handler_factory.make(store)(event_from("kafkaEventMsk"), None)


def test_a_record_without_an_identity_fails_the_event(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Nobody could acknowledge it; the message says which it is."""
    event = {"Records": [message("a"), {**message("b"), "messageId": None}]}
    with pytest.raises(RejectedError, match=r"Records\[1\] of 2 has no messageId"):
        handler_factory.make(store)(event, None)
    assert store.objects == {}


def test_a_direct_invoke_gets_its_receipts(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """One dict is one record; the receipt names the object."""
    answer = handler_factory.make(store)({"user": 7}, None)
    ((key, there),) = store.objects.items()
    size_bytes = len(there.body)
    assert answer == {
        "receipts": [{"key": key, "records": 1, "size_bytes": size_bytes}],
        "quarantined": 0,
    }
    assert text_of(there) == b'{"user":7}\n'


def test_a_direct_invoke_takes_a_list(handler_factory: HandlerFactory, store: MemoryStore) -> None:
    """Many records are one object a partition, in their order; a second call writes others."""
    handle = handler_factory.make(store, partition_by="kind={field:kind}")
    records = [{"kind": "ab"[n % 2], "n": n} for n in range(10)]
    answer = handle(records, None)
    assert [receipt["records"] for receipt in answer["receipts"]] == [5, 5]
    assert {receipt["key"] for receipt in answer["receipts"]} == set(store.objects)
    assert sorted(json.loads(line)["n"] for line in data_of(store)) == list(range(10))
    handle(records, None)
    assert len(store.objects) == 4


def test_a_direct_invoke_of_no_records_is_answered(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """It is a list of no records, not no event."""
    assert handler_factory.make(store)([], None) == {"receipts": [], "quarantined": 0}
    assert store.objects == {}


def test_a_direct_invoke_counts_what_went_to_quarantine(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """Receipts are those of data alone."""
    handle = handler_factory.make(store, max_bytes=50)
    answer = handle([{"n": 1}, {"n": "x" * 100}, {"n": 2}, {"n": "y" * 100}], None)
    check_document("answer", answer)
    assert answer["quarantined"] == 2
    assert [receipt["records"] for receipt in answer["receipts"]] == [2]
    assert [line["reason"] for line in quarantine_of(store)] == ["too_large", "too_large"]


def test_a_direct_invoke_raises_on_any_failure(handler_factory: HandlerFactory) -> None:
    """There is no partial answer to a program."""
    _, store = hooked()
    store.before = failing(RetryableError("busy"), "put", key="kind=b")
    handle = handler_factory.make(store, partition_by="kind={field:kind}")
    with pytest.raises(RetryableError, match="1 of 2 records are not durable"):
        handle([{"kind": "a"}, {"kind": "b"}], None)


def test_a_direct_invoke_hands_bad_records_back(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """With `on_bad_record=fail` it raises, and says which; the others are written."""
    handle = handler_factory.make(store, on_bad_record="fail", max_bytes=50)
    with pytest.raises(RetryableError, match="record 1: too_large") as caught:
        handle([{"n": 1}, {"n": "x" * 100}], None)
    assert isinstance(caught.value.__cause__, PoisonRecordError)
    assert data_of(store) == ['{"n":1}']


def test_a_direct_invoke_leaves_bad_records_out(
    handler_factory: HandlerFactory, store: MemoryStore
) -> None:
    """With `on_bad_record=drop` they are nowhere."""
    handle = handler_factory.make(store, on_bad_record="drop", max_bytes=50)
    answer = handle([{"n": 1}, {"n": "x" * 100}], None)
    assert [receipt["records"] for receipt in answer["receipts"]] == [1]
    assert answer["quarantined"] == 0
    assert data_of(store) == ['{"n":1}']
    assert len(store.objects) == 1


def test_a_handler_serves_event_after_event(handler_factory: HandlerFactory) -> None:
    """Of every kind, in one environment; a failed one and a raised one between change nothing."""
    inner, store = hooked()
    handle = handler_factory.make(store)
    for n in range(20):
        sqs = {"Records": [message(f"id-{n}", f'{{"n":{n}}}')]}
        assert handle(sqs, None) == NO_FAILURES
        assert handle({"Records": [kinesis_record(f"{n}00", b"{}")]}, None) == NO_FAILURES
        assert handle({"Records": [fifo_message(f"fifo-{n}", f"{n}")]}, None) == NO_FAILURES
        with pytest.raises(UnknownSourceError):
            handle(None, None)
        store.before = failing(RetryableError("busy"), "put")
        assert handle({"Records": [message("x")]}, None) != NO_FAILURES
        store.before = failing(RetryableError("busy"))
    assert len(inner.objects) == 60


def test_a_handler_is_set_up_by_the_environment_alone(
    handler_factory: HandlerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read at the first event, when a cold start has its environment."""
    handle = handler_factory.keep(make_handler())
    monkeypatch.setenv("BATCHER_BUCKET", f"file://{tmp_path}")
    monkeypatch.setenv("BATCHER_ROOT", "events")
    monkeypatch.setenv("BATCHER_COMPRESSION", "none")
    assert handle({"Records": [message("a", '{"n":1}')]}, None) == NO_FAILURES
    (path,) = (tmp_path / "events").rglob("*.ndjson")
    assert path.read_bytes() == b'{"n":1}\n'


def test_a_cold_start_imports_only_what_it_needs() -> None:
    """An event into a folder needs no AWS library, no other codec, and nothing of the CLI."""
    code = (
        "import json, sys, tempfile\n"
        "from batcher.handler import make_handler\n"
        "from batcher.settings import Settings\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    handle = make_handler(Settings(bucket='file://' + folder))\n"
        "    handle(json.load(open(sys.argv[1])), None)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code, str(EVENTS / "sqsEvent.json")],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    unneeded = {"aioboto3", "botocore", "aiohttp", "obstore", "rich", "duckdb", "backports"}
    assert not loaded & unneeded
