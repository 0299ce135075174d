"""Targets: what must hold of events, and of what lies in a bucket, whatever comes in.

Hypothesis and atheris call the same functions. Each takes one input, and raises where a promise is
broken: an `AssertionError`, or whatever the code raised that is no error of ours.
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


def at(record: object, path: tuple[str, ...]) -> object:
    """Look a value up; None where a step is missing."""
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def answered(event: object, **settings: Any) -> tuple[object, MemoryStore]:  # noqa: ANN401
    """Return what a fresh handler answers, or the error of ours that it raises, and what it wrote.

    Raises:
        Exception: any that is no `BatcherError`.
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
    """Return the lines of all objects of data, or of quarantine; every key must be one of ours."""
    found: list[bytes] = []
    for key, there in store.objects.items():
        assert len(key.encode()) <= MAX_KEY_BYTES, key
        root, first, *rest = key.split("/")
        assert root == ROOT, key
        assert rest, key
        assert not {"", ".", ".."} & {first, *rest}, key
        assert first == "_quarantine" or re.fullmatch("[01]{4}", first), key
        if (first == "_quarantine") is quarantined:
            text = gzip.decompress(there.body)
            assert text.endswith(b"\n")
            found += text[:-1].split(b"\n")
            assert there.info.metadata["batcher-records"] == str(text.count(b"\n"))
    return found


def read(line: bytes) -> object:
    """Read a line of data; numbers that Python has no value for are their text."""
    return json.loads(line, parse_int=lambda text: int(text) if len(text) < 99 else text)


def payload_of(kind: str, record: dict[str, Any]) -> object:
    """Return what stands in the line of a good record."""
    if kind == "dynamodb":
        return record
    return json.loads(b64decode(record["kinesis"]["data"]) if kind == "kinesis" else record["body"])


def check_service_event(kind: str, records: list[Any], bad: set[int], **settings: Any) -> None:  # noqa: ANN401
    """An event of a service: all with an identity is settled or handed back, good ones are written.

    Args:
        kind: of `SOURCES`.
        records: what the event holds.
        bad: the indices of those that may be anything; the others are good.
    """
    identities = [at(record, IDENTITY[kind]) for record in records]
    sources = [at(record, ("eventSource",)) for record in records]
    answer, store = answered({"Records": records}, **settings)
    has_all = all(isinstance(i, str) and i for i in identities)
    if isinstance(answer, BatcherError):
        assert not store.objects
        assert not has_all or set(map(repr, sources)) != {repr(SOURCES[kind])}, answer
        return
    assert has_all
    assert isinstance(answer, dict)
    assert set(answer) == {"batchItemFailures"}
    back = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
    assert back <= set(identities)
    kept, aside = lines_of(store, quarantined=False), lines_of(store, quarantined=True)
    positions = [json.loads(line)["position"] for line in aside]
    assert len(set(positions)) == len(positions)
    assert set(positions) <= {_shown(identity) for identity in identities}
    mode = settings.get("on_bad_record", "quarantine")
    if mode != "fail":
        assert not back
    if mode == "quarantine":
        assert len(kept) + len(aside) == len(set(identities))
    else:
        assert not aside
    values = [read(line) for line in kept]
    for index, record in enumerate(records):
        first = identities.index(identities[index])
        if index in bad or first in bad:
            continue
        expected = payload_of(kind, record)
        if first == index:
            assert values.count(expected) == 1, (record, values)


def _shown(identity: object) -> str:
    """Return an identity as a line of quarantine shows it."""
    return str(identity).encode("utf-8", "backslashreplace").decode()


def check_any_event(event: object) -> None:
    """A hand-made event: an answer of a known form, or an error of ours; records are all there."""
    answer, store = answered(event)
    if isinstance(answer, BatcherError):
        assert not store.objects
        return
    assert isinstance(answer, dict)
    if set(answer) == {"batchItemFailures"}:
        return
    assert set(answer) == {"receipts", "quarantined"}
    count = len(event) if isinstance(event, list) else 1
    kept, aside = lines_of(store, quarantined=False), lines_of(store, quarantined=True)
    assert len(kept) == sum(receipt["records"] for receipt in answer["receipts"])
    assert len(aside) == answer["quarantined"]
    assert len(kept) + len(aside) == count


StoredObjects = Mapping[str, tuple[bytes, Mapping[str, str]]]
"""Bodies and metadata, by key."""


def check_stored(
    objects: Mapping[str, tuple[bytes, Mapping[str, str]]], uploads: list[str]
) -> None:
    """What lies under a root may be anything: `verify` judges it, `replay` leaves it or says why.

    Objects of data stay as they are, whatever is found; nothing is removed.
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
    json.dumps(report.as_dict()).encode()
    under = [key for key in objects if key.startswith(f"{ROOT}/")]
    assert report.objects + report.quarantine_objects <= len(under)
    if any(key.startswith(f"{ROOT}/") for key in uploads):
        assert not report.is_clean
    settings = make_settings(root=ROOT)
    destination = ObjectTarget(store, settings)
    means = ReplayContext(
        store, store, destination, RecordFilter(frozenset(), "", float("-inf"), float("inf")), 2**20
    )
    try:
        for _ in range(2):
            replay = Replay(means, ROOT)
            async for _ in replay.run(await replay.list_objects()):
                pass
        assert replay.stats.replayed.total() == 0, "a second run sent records again"
    finally:
        await destination.aclose()
    for key, (body, _) in objects.items():
        assert key in store.objects
        if not key.startswith(f"{ROOT}/_quarantine/"):
            assert store.objects[key].body == body
