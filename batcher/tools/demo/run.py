"""Run: one source's events through the handler into S3, with redeliveries, and the checks.

The same events by another engine must become the same objects.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
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

OTHER_ENGINE = "aioboto3"
"""The engine that is not the default. It comes with an extra."""


@dataclass
class SourceOutcome:
    """The result of one source's run."""

    mapping: EventSourceMapping
    invocations: Sequence[Sequence[EventRecord]]
    objects: list[BucketObject]
    digests: dict[str, str]
    """SHA-256 of each object, by key without the root."""
    contents: BucketContents
    difference: RecordDifference
    checks: list[tuple[bool, str]]
    """Whether each check passed, and a sentence that describes it."""
    store_error: str
    """The last error of the store, other than the simulated one. Empty if there was none."""

    @property
    def sent_bytes(self) -> int:
        """Total size of all payloads sent."""
        text = self.mapping.source.text
        return sum(len(text(r).encode()) for records in self.invocations for r in records)

    @property
    def data_objects(self) -> list[BucketObject]:
        """The objects outside of quarantine."""
        return [listed for listed in self.objects if not listed.is_quarantine]


def has_other_engine() -> bool:
    """Return whether `OTHER_ENGINE` is installed."""
    return find_spec(OTHER_ENGINE) is not None


def run_source(  # noqa: PLR0913  # a source's run has them
    source: DemoSource,
    bucket: Bucket,
    root: str,
    folder: Path,
    on_progress: Callable[[str], None],
    *,
    engine: str | None = None,
) -> SourceOutcome:
    """Send one source's events through the handler, download the objects, and compare.

    Args:
        source: the source to run.
        bucket: the destination, accessed with the AWS settings of the environment.
        root: the start of every key; there must be no objects under it.
        folder: where the objects are downloaded to.
        on_progress: called with a description before each invocation, and before the audit.
        engine: the engine of the handler; None for the default.
    """
    invocations = source.make_invocations(load_webhooks())
    failing_index, bad_record = corrupt_one_record(source, invocations)
    chosen: dict[str, Any] = {} if engine is None else {"engine": engine}
    settings = Settings(bucket=bucket.name, root=root, partial_response=True, **chosen)
    store = FailOnceStore(open_store(settings))
    handler = make_handler(settings, store=store)
    mapping = EventSourceMapping(source, handler)
    checks = []
    try:
        for index, records in enumerate(invocations):
            on_progress(f"{source.name}: invocation {index + 1} of {len(invocations)}")
            if index == failing_index:
                checks.append(_check_failed_put(mapping, store, records))
            else:
                mapping.deliver(records)
        on_progress(f"{source.name}: reading the bucket")
        objects = bucket.objects(root)
        bucket.download(objects, folder)
        # After the download, because a redelivery could hide a lost record
        checks.append(_check_redelivery(mapping, bucket, root, invocations[failing_index]))
    finally:
        handler.close()
    digests = {
        entry.key.removeprefix(root): hashlib.sha256((folder / entry.key).read_bytes()).hexdigest()
        for entry in objects
    }
    contents = read_back(objects, folder)
    checks.append(_check_quarantine(source, bad_record, contents.quarantined))
    sent = [source.text(r) for records in invocations for r in records if r is not bad_record]
    difference = compare_records(sent, contents.records)
    error = str(store.last_error or "")
    return SourceOutcome(
        mapping, invocations, objects, digests, contents, difference, checks, error
    )


def check_same_objects(first: SourceOutcome, other: SourceOutcome) -> tuple[bool, str]:
    """Check that the other engine has written the same objects for the same events."""
    text = (
        f"{other.mapping.source.name} by engine={OTHER_ENGINE}: the same {len(first.objects)} "
        "objects, with the same keys and bytes"
    )
    return other.digests == first.digests, text


def _check_failed_put(
    mapping: EventSourceMapping, store: FailOnceStore, records: Sequence[EventRecord]
) -> tuple[bool, str]:
    """Deliver records while the PUT of one object fails, and check what the handler returns."""
    source = mapping.source
    hour = source.partition(max(records, key=source.arrived_s))
    store.fail_next(f"/{hour}/")
    returned, *later = mapping.deliver(records)
    if source.is_stream:
        expected = [source.position(records[0])]
        described = f"the first sequence number, so all {len(records):,} records were redelivered"
    else:
        good = [record for record in records if _is_json(source.text(record))]
        expected = [source.position(record) for record in good if source.partition(record) == hour]
        described = f"the object's {len(expected):,} of {len(records):,} messages for redelivery"
    passed = sorted(returned) == sorted(expected) and later == [[]] and len(store.failed_keys) == 1
    text = f"the demo let one PUT to {hour} fail: the handler returned exactly {described}"
    return passed, text


def _check_redelivery(
    mapping: EventSourceMapping, bucket: Bucket, root: str, records: Sequence[EventRecord]
) -> tuple[bool, str]:
    """Deliver a whole event again, and check that the bucket does not change."""
    before = bucket.objects(root)
    passed = mapping.deliver(records) == [[]] and bucket.objects(root) == before
    text = (
        f"all {len(records):,} records of that event were delivered again: nothing changed in the "
        f"bucket ({len(before)} objects with the same keys, ETags and times)"
    )
    return passed, text


def _check_quarantine(
    source: DemoSource, bad_record: EventRecord, quarantined: Sequence[dict[str, Any]]
) -> tuple[bool, str]:
    """Check that quarantine has the bad record, unchanged, and nothing else."""
    actual = [(line.get("position"), line.get("payload")) for line in quarantined]
    passed = actual == [(source.position(bad_record), source.text(bad_record))]
    reasons = ", ".join(sorted({str(line.get("reason")) for line in quarantined})) or "nothing"
    text = f"one webhook was cut in half: it is in quarantine ({reasons}); all others were written"
    return passed, text


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


class EventSourceMapping:
    """An event source mapping: invokes the function, redelivers failures, and counts both."""

    def __init__(self, source: DemoSource, handler: LambdaHandler) -> None:
        """Deliver the records of `source` to `handler`."""
        self.source = source
        self.deliveries: int = 0
        self.redelivered: int = 0
        """Records redelivered because the handler's response asked for them."""
        self.handler_s: float = 0.0
        """Time spent in the handler."""
        self._handler = handler

    def deliver(self, records: Sequence[EventRecord]) -> list[list[str]]:
        """Invoke the function until no record fails, and return the failed identifiers per call.

        As with AWS, events pass through JSON, and are dropped after `MAX_DELIVERIES`.
        """
        failures: list[list[str]] = []
        while records and len(failures) < MAX_DELIVERIES:
            event: Any = orjson.loads(orjson.dumps({"Records": records}))
            started_s = time.perf_counter()
            response = self._handler(event, _LambdaContext())
            self.handler_s += time.perf_counter() - started_s
            self.deliveries += 1
            identifiers = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
            failures.append(identifiers)
            records = self.source.redeliver(records, identifiers) if identifiers else []
            self.redelivered += len(records)
        return failures


class _LambdaContext:
    """The context of an invocation that has its whole time left."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the function's timeout."""
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
