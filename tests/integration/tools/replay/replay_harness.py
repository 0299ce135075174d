"""Harness: quarantine objects from the real handler, and stores that end a replay."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from batcher.batching.validation import Transform
from batcher.errors import BatcherError, RetryableError
from batcher.handler import make_handler
from batcher.stores import ObjectAttributes, ObjectStore, Operation, Request, Response
from batcher.stores.base import CommonPrefix, ListEntry, ObjectBody, OpenUpload
from batcher.stores.memory import MemoryObject, MemoryStore
from batcher.tools.replay.job import ReplayContext
from batcher.tools.replay.marks import RecordFilter
from batcher.tools.replay.replay import Replay, ReplayStats
from batcher.tools.replay.target import ReplayTarget
from batcher.tools.replay.to_objects import ObjectTarget
from support.examples import ARRIVAL_S, kinesis_record, make_settings, message

ALL = RecordFilter()
NOTHING = RecordFilter(source="none")
HOUR_S = 3_600


def fix(payload: bytes) -> bytes:
    """Make a record of a bad payload."""
    return json.dumps({"was": payload.decode()}).encode()


def record(number: str, data: bytes, hours: int = 0) -> dict[str, Any]:
    """Return a stream record that arrived this many hours later."""
    made = kinesis_record(number, data)
    made["kinesis"]["approximateArrivalTimestamp"] = ARRIVAL_S + hours * HOUR_S
    return made


STREAM = [record("1", b"{}"), record("2", b"two"), record("3", b"", 1), record("4", b"four")]
MESSAGES = [message("a", "aaa"), message("b", "1"), message("c", "ccc")]
FIXED = ["two", "", "four", "aaa", "ccc"]
"""What is bad among them."""


def handle(
    store: MemoryStore, *events: list[dict[str, Any]], transform: Transform | None = None
) -> None:
    """Write events through the handler. Each must succeed."""
    handler = make_handler(make_settings(root="events"), transform=transform, store=store)
    try:
        for records in events:
            handler({"Records": records}, None)
    finally:
        handler.close()


def quarantined() -> MemoryStore:
    """Return a store with two quarantine objects, and some good records."""
    store = MemoryStore()
    handle(store, STREAM, MESSAGES)
    return store


@dataclass(eq=False)
class CrashingStore(ObjectStore):
    """A store that serves a number of calls, and then none: an outage, or a killed process."""

    inner: MemoryStore
    calls_left: int = 10**9
    is_last_served: bool = False
    """Whether the call that it dies in gets there, and only its answer is lost."""
    is_crash: bool = True
    """Whether the process ends there; else that one call fails, and the others are served."""
    calls: list[str] = field(default_factory=list)

    @property
    def has_died(self) -> bool:
        """Whether it came to that."""
        return self.calls_left < 0

    async def _before(self, name: str) -> None:
        self.calls.append(name)
        self.calls_left -= 1
        if self.calls_left == -1 and not self.is_last_served:
            await self._die()

    async def _after(self) -> None:
        if self.calls_left == -1 and self.is_last_served:
            self.calls_left -= 1
            await self._die()

    async def _die(self) -> None:
        if not self.is_crash:
            msg = "no answer"
            raise RetryableError(msg)
        for task in asyncio.all_tasks():
            if task.get_name() == "replay":
                task.cancel()
        await asyncio.Event().wait()

    async def send(self, request: Request) -> Response:
        """See `ObjectStore.send`."""
        operation = request.operation
        if operation in {Operation.PUT, Operation.HEAD, Operation.CREATE_UPLOAD}:
            await self._before(f"{request.label} {request.key}")
        response = await self.inner.send(request)
        if operation in {Operation.PUT, Operation.HEAD}:
            await self._after()
        return response

    async def list_objects(self, prefix: str) -> AsyncIterator[ListEntry]:
        """See `ObjectReader.list_objects`."""
        await self._before(f"list {prefix}")
        async for listed in self.inner.list_objects(prefix):
            yield listed

    def list_folder(self, prefix: str) -> AsyncGenerator[ListEntry | CommonPrefix, None]:
        """See `ObjectReader.list_folder`."""
        return self.inner.list_folder(prefix)

    def list_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """See `ObjectReader.list_uploads`."""
        return self.inner.list_uploads(prefix)

    def open_object(self, key: str) -> AbstractAsyncContextManager[ObjectBody]:
        """See `ObjectReader.reading`."""
        return self._reading(key)

    @asynccontextmanager
    async def _reading(self, key: str) -> AsyncIterator[ObjectBody]:
        await self._before(f"read {key}")
        async with self.inner.open_object(key) as opened:
            yield opened

    async def aclose(self) -> None:
        """Do nothing."""


def replay(
    store: MemoryStore | CrashingStore,
    wanted: RecordFilter = ALL,
    transform: Transform | None = fix,
    destination: ReplayTarget | None = None,
    **chosen: Any,  # noqa: ANN401  # settings, and what Replay takes
) -> ReplayStats:
    """Replay as a process of its own. Return the stats, even if it was killed."""
    flags = {name: chosen.pop(name, False) for name in ("restart", "dry_run")}
    settings = make_settings(**{"root": "events", **chosen})
    tallies: list[ReplayStats] = []

    async def run() -> None:
        into = destination or ObjectTarget(store, settings, transform)
        restart = flags["restart"]
        means = ReplayContext(store, store, into, wanted, settings.budget_bytes, restart=restart)
        replaying = Replay(means, settings.root, dry_run=flags["dry_run"])
        tallies.append(replaying.stats)
        try:  # as the command does
            async for _ in replaying.run(await replaying.list_objects()):
                pass
        except BatcherError as error:
            replaying.stats.add_error(str(error))
        finally:
            await into.aclose()

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(run(), name="replay")
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    asyncio.run(main())
    return tallies[0]


def text_of(there: MemoryObject) -> str:
    """Return the text of an object."""
    return gzip.decompress(there.body).decode()


def landed(store: MemoryStore) -> list[str]:
    """Return the replayed payloads: those that `fix` has made records of."""
    keys = [key for key in sorted(store.objects) if "/replay-" in key]
    found = [json.loads(line) for key in keys for line in text_of(store.objects[key]).splitlines()]
    return sorted(line["was"] for line in found)


def quarantine_keys(store: MemoryStore) -> list[str]:
    """Return the keys of the quarantine objects."""
    return [key for key in sorted(store.objects) if "/_quarantine/" in key]


def lines(store: MemoryStore) -> list[dict[str, Any]]:
    """Return all lines of quarantine."""
    texts = (text_of(store.objects[key]) for key in quarantine_keys(store))
    return [json.loads(line) for text in texts for line in text.splitlines()]


def states(store: MemoryStore) -> dict[str, str | None]:
    """Return the state of each record's mark, by position."""
    return {line["position"]: line.get("replay", {}).get("state") for line in lines(store)}


def put(store: MemoryStore, key: str, raw: Iterable[bytes], **metadata: str) -> None:
    """Write a quarantine object, replacing any existing one."""
    store.objects.pop(key, None)
    body = gzip.compress(b"".join(line + b"\n" for line in raw), mtime=0)
    asyncio.run(store.put(key, body, ObjectAttributes("application/gzip", metadata)))
