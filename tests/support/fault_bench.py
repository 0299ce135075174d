"""Fault bench: batcher writing through a fault proxy to a real S3 server, and its bucket."""

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
"""About seven attempts, in virtual time."""
QUICK = Backoff(base_s=0.001, cap_s=0.01, max_elapsed_s=30)
"""For tests in real time: gives up as late as the default, with much shorter delays."""
RESPONSE_TIMEOUT_S = 1.5
"""Replaces the response timeout of 10 s."""
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
    """Lines and settings that make batcher upload a body in a certain way."""

    name: str
    line_bytes: int
    lines: int
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name

    def make(self) -> list[bytes]:
        """Create the lines. All of them differ."""
        return [incompressible_bytes(self.line_bytes, seed) for seed in range(self.lines)]


SMALL_PUT = UploadShape("a small PUT", 100, 3, {})
LARGE_PUT = UploadShape("a PUT sent in pieces", MIB, 2, {})
ONE_PART = UploadShape("one part", MIB, 2, {"multipart_threshold": MIB})
TWO_PARTS = UploadShape("two parts", 7 * MIB // 4, 3, {})


@dataclass(slots=True)
class VirtualSleeps:
    """Sleeps that return at once, and a clock that advances by them."""

    now_s: float = 0.0
    delays_s: list[float] = field(default_factory=list)
    before: Callable[[int], Awaitable[None]] | None = None
    """Called in each sleep with its number, from 1."""

    def clock(self) -> float:
        """Return the virtual time."""
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        """Record the delay and advance the clock."""
        self.delays_s.append(delay_s)
        self.now_s += delay_s
        if self.before is not None:
            await self.before(len(self.delays_s))


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """The result of a write: receipts, or the error that the ticket raised."""

    receipts: list[Receipt]
    error: BatcherError | None


class FaultBench:
    """A bucket behind a fault proxy, written to by one engine, under a new root per test."""

    def __init__(self, proxy: FaultProxy, server: S3Server, bucket: str, engine: str) -> None:
        """Prepare to write to the server's bucket through the proxy."""
        self.proxy = proxy
        self.client = server.client
        """A client of the server itself, not through the proxy."""
        self.bucket = bucket
        self.root = f"events-{token_hex(8)}"
        self.engine = engine
        self.sleeps = VirtualSleeps()

    def settings(self, **chosen: Any) -> Settings:  # noqa: ANN401  # as Settings takes them
        """Return settings for the bucket, without compression."""
        values = {
            "bucket": self.bucket,
            "root": self.root,
            "engine": self.engine,
            **DEFAULTS,
            **chosen,
        }
        return Settings(**values)

    def store(self, settings: Settings) -> RetryingStore:
        """Return a store that retries without delay, in virtual time."""
        return RetryingStore(
            ENGINES[self.engine](settings),
            BRIEF,
            jitter=lambda: 0.5,
            sleep=self.sleeps.sleep,
            clock=self.sleeps.clock,
        )

    def real_time_store(self, settings: Settings) -> RetryingStore:
        """Return a store that retries in real time, so that deadlines apply."""
        return RetryingStore(ENGINES[self.engine](settings), QUICK)

    async def write(
        self,
        lines: Sequence[bytes],
        *rules: Rule,
        seed: int = 0,
        real_time: bool = False,
        **chosen: Any,  # noqa: ANN401  # as Settings takes them
    ) -> WriteOutcome:
        """Write lines with a `Batcher` while the proxy applies the rules.

        Also checks that the batcher has returned its whole budget at the end.

        Args:
            lines: the records.
            rules: faults that the proxy injects.
            seed: of the rules that apply with a probability.
            real_time: retry in real time instead of virtual time.
            chosen: settings that differ from `DEFAULTS`.
        """
        settings = self.settings(**chosen)
        self.proxy.use_rules(*rules, seed=seed)
        store = self.real_time_store(settings) if real_time else self.store(settings)
        batcher = Batcher(settings, store=store)
        async with batcher:
            ticket = await batcher.submit_many(lines)
            try:
                await batcher.flush()
                outcome = WriteOutcome(await ticket, None)
            except BatcherError as error:
                outcome = WriteOutcome([], error)
        assert batcher.budget.held_bytes == 0
        return outcome

    def handler(self, *, real_time: bool = False, **chosen: Any) -> LambdaHandler:  # noqa: ANN401
        """Create a Lambda handler; with `real_time` its store retries until the deadline."""
        values = {"partial_response": True, "deadline_margin_s": 0, **chosen}
        settings = self.settings(**values)
        store = self.real_time_store(settings) if real_time else self.store(settings)
        return make_handler(settings, store=store)

    def bodies(self) -> dict[str, bytes]:
        """Return the bodies of all objects, by key."""
        keys = self.keys()
        return {k: self.client.get_object(Bucket=self.bucket, Key=k)["Body"].read() for k in keys}

    def keys(self) -> set[str]:
        """Return the keys of all objects."""
        response = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.root}/")
        return {entry["Key"] for entry in response.get("Contents", [])}

    def open_uploads(self) -> list[str]:
        """Return the keys of the open multipart uploads."""
        response = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=f"{self.root}/")
        return [entry["Key"] for entry in response.get("Uploads", [])]

    def assert_empty(self, *, lost_uploads: int = 0) -> None:
        """Check that there are no objects and no open uploads; see `assert_durable`."""
        assert self.keys() == set()
        self._assert_uploads(lost_uploads)

    def _assert_uploads(self, lost_uploads: int) -> None:
        left = lost_uploads if self.engine == "obstore" else 0
        assert len(self.open_uploads()) == left

    def lines(self) -> list[bytes]:
        """Return the lines of all objects, including incomplete ones. Guards have none."""
        bodies = filter(None, self.bodies().values())
        return [line for body in bodies for line in body.removesuffix(b"\n").split(b"\n")]

    def assert_durable(
        self, outcome: WriteOutcome, lines: Sequence[bytes], *, lost_uploads: int = 0
    ) -> None:
        """Check that the objects hold exactly these lines, once each, as the receipts say.

        Args:
            outcome: of the write.
            lines: all that was written.
            lost_uploads: how many responses to a creation were lost. obstore cannot abort those
                uploads, because only the response has their id; aioboto3 looks for them.
        """
        assert outcome.error is None
        bodies = self.bodies()
        assert {receipt.key: receipt.size_bytes for receipt in outcome.receipts} == {
            key: len(body) for key, body in bodies.items()
        }
        assert b"".join(line + b"\n" for line in lines) in bodies.values()
        assert Counter(self.lines()) == Counter(lines)
        self._assert_uploads(lost_uploads)

    def assert_nothing_partial(self, lines: Sequence[bytes]) -> None:
        """Check that all objects are complete, no line is there twice, and no upload is open."""
        for body in self.bodies().values():
            assert body.endswith(b"\n")
        assert Counter(self.lines()) <= Counter(lines)
        assert self.open_uploads() == []


def shorten_response_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the response timeouts to `RESPONSE_TIMEOUT_S`."""
    monkeypatch.setattr(request, "RESPONSE_TIMEOUT_S", RESPONSE_TIMEOUT_S)
    monkeypatch.setattr(request, "COMPLETE_TIMEOUT_S", RESPONSE_TIMEOUT_S)
    monkeypatch.setattr(request, "MIN_BYTES_PER_S", 16 * MIB)
