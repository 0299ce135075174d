"""Checks of the fuzz tests: guarantees that hold for any event and for any objects in a bucket.

Hypothesis and atheris call the same functions. Each takes one input and raises if a guarantee is
broken: an `AssertionError`, or an exception of the code that is not a `BatcherError`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from batcher.errors import BatcherError
from batcher.handler import make_handler
from batcher.limits import MAX_KEY_BYTES
from batcher.stores.base import ObjectAttributes
from batcher.stores.memory import MemoryStore
from batcher.tools.replay.job import ReplayContext
from batcher.tools.replay.marks import RecordFilter
from batcher.tools.replay.replay import Replay
from batcher.tools.replay.to_objects import ObjectTarget
from batcher.tools.verify.report import VerifyReport
from batcher.tools.verify.verify import Verifier
from support.examples import make_settings

ROOT = "events"
SOURCES = {
    "sqs": "aws:sqs",
    "fifo": "aws:sqs",
    "kinesis": "aws:kinesis",
    "dynamodb": "aws:dynamodb",
}
IDENTITY = {
    "sqs": ("messageId",),
    "fifo": ("messageId",),
    "kinesis": ("kinesis", "sequenceNumber"),
    "dynamodb": ("dynamodb", "SequenceNumber"),
}


def value_at(record: object, path: tuple[str, ...]) -> object:
    """Return the value at a path, or None if a step is missing."""
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def invoke_handler(event: object, **settings: Any) -> tuple[object, MemoryStore]:  # noqa: ANN401
    """Return the response of a new handler, or the `BatcherError` that it raised, and its store.

    Raises:
        Exception: any other exception of the handler.
    """
    store = MemoryStore()
    chosen = make_settings(**{"root": ROOT, "partial_response": True, "linger_s": 0, **settings})
    handler = make_handler(chosen, store=store)
    try:
        return handler(event), store
    except BatcherError as error:
        return error, store
    finally:
        handler.close()


def lines_of(store: MemoryStore, *, quarantined: bool) -> list[bytes]:
    """Return the lines of all data objects, or of all quarantine objects, after checking keys."""
    lines: list[bytes] = []
    for key, stored in store.objects.items():
        assert len(key.encode()) <= MAX_KEY_BYTES, key
        root, first, *rest = key.split("/")
        assert root == ROOT, key
        assert rest, key
        assert not {"", ".", ".."} & {first, *rest}, key
        assert first == "_quarantine" or re.fullmatch("[01]{4}", first), key
        if (first == "_quarantine") is quarantined:
            text = gzip.decompress(stored.body)
            assert text.endswith(b"\n")
            lines += text[:-1].split(b"\n")
            assert stored.info.metadata["batcher-records"] == str(text.count(b"\n"))
    return lines


def parse_line(line: bytes) -> object:
    """Parse a line of data. Integers too long for Python's limit stay text."""
    return json.loads(line, parse_int=lambda text: int(text) if len(text) < 99 else text)


def payload_of(kind: str, record: dict[str, Any]) -> object:
    """Return the value that the line of a good record must have."""
    if kind == "dynamodb":
        return record
    return json.loads(b64decode(record["kinesis"]["data"]) if kind == "kinesis" else record["body"])


def check_service_event(kind: str, records: list[Any], bad: set[int], **settings: Any) -> None:  # noqa: ANN401
    """Check an event of a service: every record is settled or handed back, good ones are written.

    Args:
        kind: a key of `SOURCES`.
        records: of the event.
        bad: indices of records that may be anything. The others are good.
        settings: of the handler.
    """
    identities = [value_at(record, IDENTITY[kind]) for record in records]
    sources = [value_at(record, ("eventSource",)) for record in records]
    response, store = invoke_handler({"Records": records}, **settings)
    has_all = all(isinstance(i, str) and i for i in identities)
    if isinstance(response, BatcherError):
        assert not store.objects
        assert not has_all or set(map(repr, sources)) != {repr(SOURCES[kind])}, response
        return
    assert has_all
    assert isinstance(response, dict)
    assert set(response) == {"batchItemFailures"}
    failures = {item["itemIdentifier"] for item in response["batchItemFailures"]}
    assert failures <= set(identities)
    good, quarantined = lines_of(store, quarantined=False), lines_of(store, quarantined=True)
    positions = [json.loads(line)["position"] for line in quarantined]
    assert len(set(positions)) == len(positions)
    known = {_escaped(identity) for identity in identities}
    assert all(each in known or each.rpartition("/")[0] in known for each in positions)
    mode = settings.get("on_bad_record", "quarantine")
    if mode != "fail":
        assert not failures
    if mode == "quarantine":
        # Records that share an identity are written as well, if their content differs
        assert len(set(identities)) <= len(good) + len(quarantined) <= len(records)
    else:
        assert not quarantined
    values = [parse_line(line) for line in good]
    for index, record in enumerate(records):
        first = identities.index(identities[index])
        if index in bad or first in bad:
            continue
        expected = payload_of(kind, record)
        if first == index:
            assert values.count(expected) == 1, (record, values)


def _escaped(identity: object) -> str:
    """Return an identity as a quarantine line has it."""
    return str(identity).encode("utf-8", "backslashreplace").decode()


def check_any_event(event: object) -> None:
    """Check a direct invocation: a response of a known form or a `BatcherError`, no record lost."""
    response, store = invoke_handler(event)
    if isinstance(response, BatcherError):
        assert not store.objects
        return
    assert isinstance(response, dict)
    if set(response) == {"batchItemFailures"}:
        return
    assert set(response) == {"receipts", "quarantined"}
    count = len(event) if isinstance(event, list) else 1
    good, quarantined = lines_of(store, quarantined=False), lines_of(store, quarantined=True)
    assert len(good) == sum(receipt["records"] for receipt in response["receipts"])
    assert len(quarantined) == response["quarantined"]
    assert len(good) + len(quarantined) == count


StoredObjects = Mapping[str, tuple[bytes, Mapping[str, str]]]
"""Bodies and metadata, by key."""


def check_stored(
    objects: Mapping[str, tuple[bytes, Mapping[str, str]]], uploads: list[str]
) -> None:
    """Check that `verify` and `replay` cope with any objects under a root.

    Data objects must stay unchanged, and no object may be removed.
    """
    asyncio.run(_check_stored(objects, uploads))


async def _check_stored(objects: StoredObjects, uploads: list[str]) -> None:
    store = MemoryStore()
    for key, (body, metadata) in objects.items():
        await store.put(key, body, ObjectAttributes("application/gzip", dict(metadata)))
    for key in uploads:
        await store.create_upload(key, ObjectAttributes(), part_bytes=5 * 2**20)
    report = VerifyReport()
    await Verifier(store, ROOT, report, 2).run(lambda: 0.0, lambda: None)
    json.dumps(report.as_dict("s3://b")).encode()
    keys = [key for key in objects if key.startswith(f"{ROOT}/")]
    assert report.objects + report.quarantine_objects <= len(keys)
    if any(key.startswith(f"{ROOT}/") for key in uploads):
        assert not report.is_clean
    settings = make_settings(root=ROOT)
    target = ObjectTarget(store, settings)
    record_filter = RecordFilter(frozenset(), "", float("-inf"), float("inf"))
    context = ReplayContext(store, store, target, record_filter, 2**20)
    try:
        for _ in range(2):
            replay = Replay(context, ROOT)
            async for _ in replay.run(await replay.list_objects()):
                pass
        assert replay.stats.replayed.total() == 0, "a second run replayed records"
    finally:
        await target.aclose()
    for key, (body, _) in objects.items():
        assert key in store.objects
        if not key.startswith(f"{ROOT}/_quarantine/"):
            assert store.objects[key].body == body
