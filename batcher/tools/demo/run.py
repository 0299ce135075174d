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
from batcher.stores import About, ObjectStore, Stored, Upload, open_store
from batcher.tools.demo.audit import Bucket, Difference, Listed, ReadBack, difference, read_back
from batcher.tools.demo.events import KINESIS, SQS, Record, Source, poisoned, webhooks

TIMEOUT_MS = 60_000


DELIVERIES = 5


SOURCES = (SQS, KINESIS)


@dataclass
class Outcome:
    """What became of one source's records."""

    mapping: EventSourceMapping
    invocations: Sequence[Sequence[Record]]
    objects: list[Listed]
    found: ReadBack
    difference: Difference
    checks: list[tuple[bool, str]]
    """What was looked at, in sentences, and whether it was so."""
    error: str
    """What the store raised last, beside what the demo planted; empty if nothing."""

    @property
    def sent_bytes(self) -> int:
        """Bytes of all payloads sent."""
        text = self.mapping.source.text
        return sum(len(text(r).encode()) for records in self.invocations for r in records)

    @property
    def data(self) -> list[Listed]:
        """The objects of good records."""
        return [listed for listed in self.objects if not listed.is_quarantine]


def run_source(
    source: Source, bucket: Bucket, root: str, folder: Path, advance: Callable[[str], None]
) -> Outcome:
    """Send one source's events through the handler, fetch what landed, and compare.

    Args:
        source: which.
        bucket: where to write, with what the environment says.
        root: the start of every key; nothing is there yet.
        folder: where the objects are fetched to.
        advance: told what comes next, once an invocation and once for the audit.
    """
    invocations = source.make(webhooks())
    number, bad = poisoned(source, invocations)
    settings = Settings(bucket=bucket.name, root=root, partial_response=True)
    store = FailingOnce(open_store(settings))
    handler = make_handler(settings, store=store)
    mapping = EventSourceMapping(source, handler)
    checks = []
    try:
        for index, records in enumerate(invocations):
            advance(f"{source.name}: invocation {index + 1} of {len(invocations)}")
            if index == number:
                checks.append(_with_failure(mapping, store, records))
            else:
                mapping.deliver(records)
        advance(f"{source.name}: reading the bucket")
        objects = bucket.objects(root)
        bucket.download(objects, folder)
        # Not before: what comes once more could hide what was lost
        checks.append(_delivered_again(mapping, bucket, root, invocations[number]))
    finally:
        handler.close()
    found = read_back(objects, folder)
    checks.append(_set_aside(source, bad, found.quarantined))
    sent = [source.text(r) for records in invocations for r in records if r is not bad]
    apart = difference(sent, found.records)
    error = str(store.error or "")
    return Outcome(mapping, invocations, objects, found, apart, checks, error)


def _with_failure(
    mapping: EventSourceMapping, store: FailingOnce, records: Sequence[Record]
) -> tuple[bool, str]:
    """Deliver records while one object's PUT fails, and look at what is handed back."""
    source = mapping.source
    hour = source.hour(max(records, key=source.arrived_s))
    store.fail_next(f"/{hour}/")
    back, *later = mapping.deliver(records)
    if source.is_stream:
        expected = [source.position(records[0])]
        what = f"the first sequence number, so all {len(records):,} records came again"
    else:
        good = [record for record in records if _is_json(source.text(record))]
        expected = [source.position(record) for record in good if source.hour(record) == hour]
        what = f"that object's {len(expected):,} of {len(records):,} messages, which came again"
    is_so = sorted(back) == sorted(expected) and later == [[]] and len(store.failed) == 1
    text = f"one PUT, to {hour}, was made to fail by this demo: handed back was exactly {what}"
    return is_so, text


def _delivered_again(
    mapping: EventSourceMapping, bucket: Bucket, root: str, records: Sequence[Record]
) -> tuple[bool, str]:
    """Deliver a whole event a second time, and look at whether the bucket changes."""
    before = bucket.objects(root)
    is_so = mapping.deliver(records) == [[]] and bucket.objects(root) == before
    text = (
        f"all {len(records):,} records of that event were delivered once more: nothing changed in "
        f"the bucket ({len(before)} objects, the same keys, ETags and times)"
    )
    return is_so, text


def _set_aside(
    source: Source, bad: Record, quarantined: Sequence[dict[str, Any]]
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

    def __init__(self, source: Source, handler: LambdaHandler) -> None:
        """Deliver the records of `source` to `handler`."""
        self.source = source
        self.deliveries = 0
        self.handed_back = 0
        """Records that were sent again because an answer asked for it."""
        self.handler_s = 0.0
        """Time within the handler."""
        self._handler = handler

    def deliver(self, records: Sequence[Record]) -> list[list[str]]:
        """Invoke the function until it hands nothing back; give the identifiers of each answer.

        As with AWS, events come as JSON, and after some deliveries they are given up.
        """
        answers: list[list[str]] = []
        while records and len(answers) < DELIVERIES:
            event: Any = orjson.loads(orjson.dumps({"Records": records}))
            started_s = time.perf_counter()
            answer = self._handler(event, _Context())
            self.handler_s += time.perf_counter() - started_s
            self.deliveries += 1
            identifiers = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            answers.append(identifiers)
            records = self.source.again(records, identifiers) if identifiers else []
            self.handed_back += len(records)
        return answers


class _Context:
    """What Lambda tells the function about its time."""

    def get_remaining_time_in_millis(self) -> int:
        """Give all of it: the invocation is new."""
        return TIMEOUT_MS


class FailingOnce:
    """Passes everything on to a real store, but for the one PUT that is made to fail."""

    def __init__(self, store: ObjectStore) -> None:
        """Pass on to `store`."""
        self.failed: list[str] = []
        """The keys whose PUT was made to fail."""
        self.error: BatcherError | None = None
        """What the real store raised last, if that means that something was not written."""
        self._store = store
        self._fragment: str | None = None

    def fail_next(self, fragment: str) -> None:
        """Let the next PUT fail whose key has `fragment` in it."""
        self._fragment = fragment

    async def put(
        self, key: str, body: bytes, about: About, *, replaces: str | None = None
    ) -> Stored:
        """Store one object, or fail without having sent anything; see `ObjectStore.put`."""
        if self._fragment is not None and self._fragment in key:
            self._fragment = None
            self.failed.append(key)
            msg = f"{key}: the demo let this PUT fail"
            raise RetryableError(msg)
        try:
            return await self._store.put(key, body, about, replaces=replaces)
        except (RetryableError, RejectedError) as error:
            self.error = error
            raise

    async def head(self, key: str) -> Stored | None:
        """Look at an object; see `ObjectStore.head`."""
        return await self._store.head(key)

    async def create_upload(self, key: str, about: About, *, part_bytes: int) -> Upload:
        """Open a multipart upload; see `ObjectStore.create_upload`."""
        return await self._store.create_upload(key, about, part_bytes=part_bytes)

    async def aclose(self) -> None:
        """Close the real store."""
        await self._store.aclose()
