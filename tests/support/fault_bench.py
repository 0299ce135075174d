"""Lab: batcher before a proxy before a real S3 server, and a look at what is in the bucket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from batcher.batcher import Batcher
from batcher.errors import BatcherError
from batcher.handler import LambdaHandler, make_handler
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from batcher.stores import request
from batcher.stores.retrying import Backoff, RetryingStore
from batcher.writing.object import Receipt
from support.fakes import incompressible_bytes
from support.fault_proxy import FaultProxy
from support.fault_script import Rule
from support.s3_servers import S3Server
from support.store_fixtures import ENGINES

BRIEF = Backoff(max_elapsed_s=3)
"""Some seven attempts, in virtual time."""
QUICK = Backoff(base_s=0.001, cap_s=0.01, max_elapsed_s=30)
"""In place of the usual one where time is real: as patient, and more eager."""
ANSWER_S = 1.5
"""In place of 10 s: when a request is cut whose answer does not come."""
DEFAULTS: Mapping[str, Any] = {
    "format": "lines",
    "compression": "none",
    "partition_by": "",
    "linger_s": 3_600,
    "multipart_threshold": MIN_PART_BYTES,
    "part_size": MIN_PART_BYTES,
}
MIB = 1024**2

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, slots=True)
class UploadShape:
    """How a body goes up."""

    name: str
    line_bytes: int
    lines: int
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name

    def make(self) -> list[bytes]:
        """Make its lines; no two are the same."""
        return [incompressible_bytes(self.line_bytes, seed) for seed in range(self.lines)]


SMALL_PUT = UploadShape("a small PUT", 100, 3, {})
LARGE_PUT = UploadShape("a PUT sent in pieces", MIB, 2, {})
ONE_PART = UploadShape("one part", MIB, 2, {"multipart_threshold": MIB})
TWO_PARTS = UploadShape("two parts", 7 * MIB // 4, 3, {})


@dataclass(slots=True)
class VirtualSleeps:
    """Waiting between attempts that takes no time, on a clock that believes it."""

    now_s: float = 0.0
    delays_s: list[float] = field(default_factory=list)
    before: Callable[[int], Awaitable[None]] | None = None
    """Called with the number of each wait, from 1, in its place."""

    def clock(self) -> float:
        """Return the time."""
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        """Note the delay, and let the clock go on."""
        self.delays_s.append(delay_s)
        self.now_s += delay_s
        if self.before is not None:
            await self.before(len(self.delays_s))


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """How it ended: receipts, or the error that the ticket raised."""

    receipts: list[Receipt]
    error: BatcherError | None


class FaultBench:
    """A bucket behind a proxy, written by an engine, each test under a root of its own."""

    def __init__(self, proxy: FaultProxy, server: S3Server, bucket: str, engine: str) -> None:
        """Write to the server's bucket through the proxy."""
        self.proxy = proxy
        self.client = server.client
        """Looks at the server itself, not through the proxy."""
        self.bucket = bucket
        self.root = f"events-{token_hex(8)}"
        self.engine = engine
        self.waits = VirtualSleeps()

    def settings(self, **chosen: Any) -> Settings:  # noqa: ANN401  # as Settings takes them
        """Return settings for the bucket, under which bodies are as large as their lines."""
        values = {
            "bucket": self.bucket,
            "root": self.root,
            "engine": self.engine,
            **DEFAULTS,
            **chosen,
        }
        return Settings(**values)

    def store(self, settings: Settings) -> RetryingStore:
        """Return the store that everybody writes to; its waits take no time."""
        return RetryingStore(
            ENGINES[self.engine](settings),
            BRIEF,
            jitter=lambda: 0.5,
            sleep=self.waits.sleep,
            clock=self.waits.clock,
        )

    def store_in_real_time(self, settings: Settings) -> RetryingStore:
        """Return a store that looks at the event's deadline."""
        return RetryingStore(ENGINES[self.engine](settings), QUICK)

    async def write(
        self,
        lines: Sequence[bytes],
        *rules: Rule,
        seed: int = 0,
        is_in_real_time: bool = False,
        **chosen: Any,  # noqa: ANN401  # as Settings takes them
    ) -> WriteOutcome:
        """Write lines by a `Batcher` while the proxy follows the rules; nothing of it is left."""
        settings = self.settings(**chosen)
        self.proxy.use_rules(*rules, seed=seed)
        store = self.store_in_real_time(settings) if is_in_real_time else self.store(settings)
        batcher = Batcher(settings, store=store)
        async with batcher:
            ticket = await batcher.submit_many(lines)
            try:
                await batcher.flush()
                written = WriteOutcome(await ticket, None)
            except BatcherError as error:
                written = WriteOutcome([], error)
        assert batcher.budget.held_bytes == 0
        return written

    def handler(self, *, is_in_real_time: bool = False, **chosen: Any) -> LambdaHandler:  # noqa: ANN401
        """Make a Lambda handler; `is_in_real_time`: it looks at the event's deadline."""
        values = {"partial_response": True, "deadline_margin_s": 0, **chosen}
        settings = self.settings(**values)
        store = self.store_in_real_time(settings) if is_in_real_time else self.store(settings)
        return make_handler(settings, store=store)

    def bodies(self) -> dict[str, bytes]:
        """Return what is in the bucket, by key, as the server itself tells it."""
        keys = self.keys()
        return {k: self.client.get_object(Bucket=self.bucket, Key=k)["Body"].read() for k in keys}

    def keys(self) -> set[str]:
        """Return the keys of all objects."""
        answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.root}/")
        return {found["Key"] for found in answer.get("Contents", [])}

    def open_uploads(self) -> list[str]:
        """Return the keys of the multipart uploads that are open."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.root}/")
        return [found["Key"] for found in answer.get("Uploads", [])]

    def assert_empty(self) -> None:
        """No object is there, and no upload is open."""
        assert self.keys() == set()
        assert self.open_uploads() == []

    def lines(self) -> list[bytes]:
        """Return the lines of all objects; a half line is a line that nobody wrote."""
        bodies = self.bodies().values()
        return [line for body in bodies for line in body.removesuffix(b"\n").split(b"\n")]

    def assert_durable(self, written: WriteOutcome, lines: Sequence[bytes]) -> None:
        """All is there once, byte for byte, under the keys of the receipts, and nothing else."""
        assert written.error is None
        bodies = self.bodies()
        assert {receipt.key: receipt.size_bytes for receipt in written.receipts} == {
            key: len(body) for key, body in bodies.items()
        }
        assert b"".join(line + b"\n" for line in lines) in bodies.values()
        assert Counter(self.lines()) == Counter(lines)
        assert self.open_uploads() == []

    def assert_nothing_partial(self, lines: Sequence[bytes]) -> None:
        """What is there is whole, and there once; no upload is open."""
        for body in self.bodies().values():
            assert body.endswith(b"\n")
        assert Counter(self.lines()) <= Counter(lines)
        assert self.open_uploads() == []


def shorten_response_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an answer that does not come be given up in less than a second."""
    monkeypatch.setattr(request, "RESPONSE_TIMEOUT_S", ANSWER_S)
    monkeypatch.setattr(request, "COMPLETE_TIMEOUT_S", ANSWER_S)
    monkeypatch.setattr(request, "MIN_BYTES_PER_S", 16 * MIB)
