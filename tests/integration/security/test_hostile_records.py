"""What a hostile record, or whoever may invoke the function, can do to keys: choose a partition."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.errors import BatcherError
from batcher.handler import make_handler
from batcher.keys.partition import DEFAULT_PARTITION
from batcher.limits import MAX_KEY_BYTES
from batcher.stores.file import FileStore
from batcher.stores.memory import MemoryStore
from support.examples import (
    QUEUE_ARN,
    SEQUENCE,
    dynamodb_record,
    fifo_message,
    kinesis_record,
    make_settings,
    message,
)
from support.strategies import dumped, field_values

ROOT = "events"
KEY = re.compile(
    rf"{ROOT}/(_quarantine/[a-z]+/dt=\d{{4}}-\d\d-\d\d|[01]{{4}}(/[A-Za-z0-9._=%~-]+)*)"
    r"/[A-Za-z0-9.%~_-]+"
)
"""A key of quarantine, or of data under a salt of four digits."""
TEMPLATES = ["{field:f}", "f={field:f}/{field:g.h}", "dt={arrival:%Y-%m-%d}/{field:g.h}x{field:f}"]
TRAVERSALS = [
    "../../etc/passwd",
    "..",
    "/",
    "//",
    "\\..\\..",
    "%2e%2e%2f",
    "a/../../../b",
    "_quarantine/sqs",
    "0101/dt=2026-11-23",
    "\x00",
    "\n",
    "\x1b[2J",
    "\u2028",
    "\u202e",
    "s3://other-bucket/x",
    "{field:f}",
    "a" * 5_000,
    "\u00e9" * 5_000,
    DEFAULT_PARTITION,
    {"h": "../.."},
    ["../.."],
    10**400,
    -0.0,
    True,
]
hostile = st.sampled_from(TRAVERSALS) | field_values
hostile_names = st.sampled_from([t for t in TRAVERSALS if isinstance(t, str)]) | st.text()
quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def event_of(source: str, payloads: list[bytes]) -> dict[str, Any]:
    """Make an event of a source, as AWS makes it, of these payloads."""
    if source == "sqs":
        records = [message(f"id{n}", p.decode()) for n, p in enumerate(payloads)]
    elif source == "fifo":
        records = [fifo_message(f"id{n}", str(n), "g", p.decode()) for n, p in enumerate(payloads)]
    elif source == "kinesis":
        records = [kinesis_record(str(int(SEQUENCE) + n), p) for n, p in enumerate(payloads)]
    else:
        records = [{**dynamodb_record(str(n + 1)), **json.loads(p)} for n, p in enumerate(payloads)]
    return {"Records": records}


def assert_within(keys: list[str]) -> None:
    """Every key is under the root, among salts or quarantine, and short enough for S3."""
    for key in keys:
        assert KEY.fullmatch(key), key
        assert len(key.encode()) <= MAX_KEY_BYTES
        assert not {".", "..", ""} & set(key.split("/"))


@pytest.mark.parametrize("source", ["sqs", "fifo", "kinesis", "dynamodb"])
@quick
@given(st.data())
def test_a_record_chooses_its_partition_and_no_other_key_space(
    source: str, data: st.DataObject
) -> None:
    """Through the handler, from the event to the store; and every record is written once."""
    template = data.draw(st.sampled_from(TEMPLATES))
    fields = data.draw(st.lists(st.tuples(hostile, hostile), min_size=1, max_size=4))
    payloads = [dumped({"f": f, "g": {"h": h}, "n": n}) for n, (f, h) in enumerate(fields)]
    store = MemoryStore()
    handle = make_handler(make_settings(root=ROOT, partition_by=template), store=store)
    try:
        assert handle(event_of(source, payloads)) == {"batchItemFailures": []}
    finally:
        handle.close()
    assert_within(list(store.objects))
    lines = [
        line
        for there in store.objects.values()
        for line in gzip.decompress(there.body).split(b"\n")[:-1]
    ]
    read = [json.loads(line) for line in lines]
    whole = [json.loads(one["payload"]) if "payload" in one else one for one in read]
    assert sorted(one["n"] for one in whole) == list(range(len(payloads)))


@quick
@given(
    st.sampled_from(["sqs", "fifo", "kinesis", "dynamodb"]),
    hostile_names,
    hostile_names,
    hostile_names,
)
def test_who_may_invoke_the_function_cannot_leave_the_root_either(
    source: str, arn: str, identity: str, number: str
) -> None:
    """A forged event names queue, shard and sequence number; all are escaped, or refused."""
    event = event_of(source, [b'{"f":1}', b"not json"] if source != "dynamodb" else [b"{}"])
    for record in event["Records"]:
        record["eventSourceARN"] = f"{QUEUE_ARN}:stream/{arn}"
        record["eventID"] = identity
        if "messageId" in record:
            record["messageId"] += identity
            record["attributes"]["SequenceNumber"] = number
            record["attributes"]["MessageGroupId"] = identity
        else:
            inner = record.get("kinesis") or record["dynamodb"]
            inner["sequenceNumber" if "kinesis" in record else "SequenceNumber"] += number
    store = MemoryStore()
    handle = make_handler(make_settings(root=ROOT, partition_by="f={field:f}"), store=store)
    try:
        handle(event)
    except BatcherError:
        assert not store.objects
    finally:
        handle.close()
    assert_within(list(store.objects))


@pytest.mark.parametrize("value", TRAVERSALS, ids=lambda value: repr(value)[:30])
def test_no_file_is_written_outside_of_the_folder(value: object) -> None:
    """Where keys are paths, `..` would be a way out."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "a" / "b" / "out"
        chosen = make_settings(root=ROOT, partition_by="{field:f}/{field:g.h}")
        handle = make_handler(chosen, store=FileStore(folder))
        try:
            body = dumped({"f": value, "g": {"h": value}}).decode()
            handle({"Records": [message("id", body)]})
        finally:
            handle.close()
        files = [path for path in Path(place).rglob("*") if path.is_file()]
        assert len(files) == 2
        assert all(
            path.is_relative_to(folder / ROOT) or path.is_relative_to(folder / ".meta" / ROOT)
            for path in files
        )


def test_a_record_can_make_objects_many_and_that_is_what_it_costs() -> None:
    """A field with as many values as records: an object each, in one invocation.

    So `partition_by` is for fields of few values, or of values that the sender is trusted with.
    """
    store = MemoryStore()
    handle = make_handler(make_settings(root=ROOT, partition_by="f={field:f}"), store=store)
    try:
        handle(event_of("sqs", [dumped({"f": n}) for n in range(200)]))
    finally:
        handle.close()
    assert len(store.objects) == 200
