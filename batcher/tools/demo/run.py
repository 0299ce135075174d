"""The demo's run: real events through the real handler into a real S3, and every claim checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from batcher.errors import BatcherError, RejectedError, RetryableError
from batcher.handler import LambdaHandler, make_handler
from batcher.settings import Settings
from batcher.stores import ObjectStore, Operation, Request, Response, open_store
from batcher.tools.demo.audit import (
    Bucket,
    BucketContents,
    BucketObject,
    RecordDifference,
    compare_records,
    read_back,
)
from batcher.tools.demo.events import (
    KINESIS,
    SQS,
    DemoSource,
    EventRecord,
    corrupt_one_record,
    load_webhooks,
)

TIMEOUT_MS = 60_000


MAX_DELIVERIES = 5


SOURCES = (SQS, KINESIS)


@dataclass
class SourceOutcome:
    """What became of one source's records."""

    mapping: EventSourceMapping
    invocations: Sequence[Sequence[EventRecord]]
    objects: list[BucketObject]
    contents: BucketContents
    difference: RecordDifference
    checks: list[tuple[bool, str]]
    """What was looked at, in sentences, and whether it was so."""
    store_error: str
    """What the store raised last, beside what the demo planted; empty if nothing."""

    @property
    def sent_bytes(self) -> int:
        """Bytes of all payloads sent."""
        text = self.mapping.source.text
        return sum(len(text(r).encode()) for records in self.invocations for r in records)

    @property
    def data_objects(self) -> list[BucketObject]:
        """The objects of good records."""
        return [listed for listed in self.objects if not listed.is_quarantine]


def run_source(
    source: DemoSource, bucket: Bucket, root: str, folder: Path, on_progress: Callable[[str], None]
) -> SourceOutcome:
    """Send one source's events through the handler, fetch what landed, and compare.

    Args:
        source: which.
        bucket: where to write, with what the environment says.
        root: the start of every key; nothing is there yet.
        folder: where the objects are fetched to.
        advance: told what comes next, once an invocation and once for the audit.
    """
    invocations = source.make_invocations(load_webhooks())
    number, bad = corrupt_one_record(source, invocations)
    settings = Settings(bucket=bucket.name, root=root, partial_response=True)
    store = FailOnceStore(open_store(settings))
    handler = make_handler(settings, store=store)
    mapping = EventSourceMapping(source, handler)
    checks = []
    try:
        for index, records in enumerate(invocations):
            on_progress(f"{source.name}: invocation {index + 1} of {len(invocations)}")
            if index == number:
                checks.append(_check_failed_put(mapping, store, records))
            else:
                mapping.deliver(records)
        on_progress(f"{source.name}: reading the bucket")
        objects = bucket.objects(root)
        bucket.download(objects, folder)
        # Not before: what comes once more could hide what was lost
        checks.append(_check_redelivery(mapping, bucket, root, invocations[number]))
    finally:
        handler.close()
    found = read_back(objects, folder)
    checks.append(_check_quarantine(source, bad, found.quarantined))
    sent = [source.text(r) for records in invocations for r in records if r is not bad]
    apart = compare_records(sent, found.records)
    error = str(store.last_error or "")
    return SourceOutcome(mapping, invocations, objects, found, apart, checks, error)


def _check_failed_put(
    mapping: EventSourceMapping, store: FailOnceStore, records: Sequence[EventRecord]
) -> tuple[bool, str]:
    """Deliver records while one object's PUT fails, and look at what is handed back."""
    source = mapping.source
    hour = source.partition(max(records, key=source.arrived_s))
    store.fail_next(f"/{hour}/")
    back, *later = mapping.deliver(records)
    if source.is_stream:
        expected = [source.position(records[0])]
        what = f"the first sequence number, so all {len(records):,} records came again"
    else:
        good = [record for record in records if _is_json(source.text(record))]
        expected = [source.position(record) for record in good if source.partition(record) == hour]
        what = f"that object's {len(expected):,} of {len(records):,} messages, which came again"
    is_so = sorted(back) == sorted(expected) and later == [[]] and len(store.failed_keys) == 1
    text = f"one PUT, to {hour}, was made to fail by this demo: handed back was exactly {what}"
    return is_so, text


def _check_redelivery(
    mapping: EventSourceMapping, bucket: Bucket, root: str, records: Sequence[EventRecord]
) -> tuple[bool, str]:
    """Deliver a whole event a second time, and look at whether the bucket changes."""
    before = bucket.objects(root)
    is_so = mapping.deliver(records) == [[]] and bucket.objects(root) == before
    text = (
        f"all {len(records):,} records of that event were delivered once more: nothing changed in "
        f"the bucket ({len(before)} objects, the same keys, ETags and times)"
    )
    return is_so, text


def _check_quarantine(
    source: DemoSource, bad: EventRecord, quarantined: Sequence[dict[str, Any]]
) -> tuple[bool, str]:
    """Look at what is in quarantine: the bad record alone, as it came."""
    there = [(line.get("position"), line.get("payload")) for line in quarantined]
    is_so = there == [(source.position(bad), source.text(bad))]
    reasons = ", ".join(sorted({str(line.get("reason")) for line in quarantined})) or "nothing"
    text = f"one webhook was cut in half: it is in quarantine ({reasons}); its neighbours landed"
    return is_so, text


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


class EventSourceMapping:
    """An event source mapping: one source, one function, and what was counted between them."""

    def __init__(self, source: DemoSource, handler: LambdaHandler) -> None:
        """Deliver the records of `source` to `handler`."""
        self.source = source
        self.deliveries = 0
        self.redelivered = 0
        """Records that were sent again because an answer asked for it."""
        self.handler_s = 0.0
        """Time within the handler."""
        self._handler = handler

    def deliver(self, records: Sequence[EventRecord]) -> list[list[str]]:
        """Invoke the function until it hands nothing back; give the identifiers of each answer.

        As with AWS, events come as JSON, and after some deliveries they are given up.
        """
        answers: list[list[str]] = []
        while records and len(answers) < MAX_DELIVERIES:
            event: Any = orjson.loads(orjson.dumps({"Records": records}))
            started_s = time.perf_counter()
            answer = self._handler(event, _LambdaContext())
            self.handler_s += time.perf_counter() - started_s
            self.deliveries += 1
            identifiers = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            answers.append(identifiers)
            records = self.source.redeliver(records, identifiers) if identifiers else []
            self.redelivered += len(records)
        return answers


class _LambdaContext:
    """What Lambda tells the function about its time."""

    def get_remaining_time_in_millis(self) -> int:
        """Return all of it: the invocation is new."""
        return TIMEOUT_MS


class FailOnceStore(ObjectStore):
    """Passes requests to a real store, except one PUT that it makes fail."""

    def __init__(self, store: ObjectStore) -> None:
        """Pass requests to `store`."""
        self.failed_keys: list[str] = []
        """The keys whose PUT was made to fail."""
        self.last_error: BatcherError | None = None
        """The last error of the real store by which an object was not written."""
        self._store = store
        self._key_part: str | None = None

    def fail_next(self, key_part: str) -> None:
        """Make the next PUT fail whose key contains `key_part`."""
        self._key_part = key_part

    async def send(self, request: Request) -> Response:
        """Send one request, or fail without sending it; see `ObjectStore.send`."""
        if request.operation is not Operation.PUT:
            return await self._store.send(request)
        if self._key_part is not None and self._key_part in request.key:
            self._key_part = None
            self.failed_keys.append(request.key)
            msg = f"{request.key}: the demo let this PUT fail"
            raise RetryableError(msg)
        try:
            return await self._store.send(request)
        except (RetryableError, RejectedError) as error:
            self.last_error = error
            raise

    async def aclose(self) -> None:
        """Close the real store."""
        await self._store.aclose()
