"""To SQS: replayed records become messages of a queue, for the corrected consumer."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from batcher.batching.transform import apply_transform
from batcher.errors import RejectedError, RetryableError
from batcher.stores.retrying import Backoff
from batcher.tools.replay.grouping import make_chunk, make_group_id
from batcher.tools.replay.marks import QuarantineLine, ReplayMark, ReplayState, incomplete_reason
from batcher.tools.replay.sqs_message import (
    SqsMessage,
    UnsendableError,
    is_fifo,
    make_message,
    split_batches,
)
from batcher.tools.replay.target import SendPlan, SendResult, Skipped
from batcher.writing.stats import Stats

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

MAX_CONCURRENT_SENDS = 8
"""Concurrent calls. A FIFO queue gets one call at a time, to keep its order."""

MAX_SENDS = 5
"""How often a message is sent if SQS reports an internal error for it."""


class SqsSender(Protocol):
    """See `batcher.tools.replay.sqs_client.SqsClient`."""

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Send up to ten messages. Return the entries of `Failed`."""

    async def aclose(self) -> None:
        """Close all connections."""


class QueueTarget:
    """Sends records to one queue, unchanged or transformed, without validation.

    At least once: after a crash between a message and its mark, the message is sent again.
    """

    def __init__(
        self,
        url: str,
        client: SqsSender,
        transform: Transform | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Send to the queue at `url` through `client`. Takes ownership of `client`."""
        self.counts: Stats = Stats()
        self._url = url
        self._client = client
        self._transform = transform
        self._backoff = Backoff() if backoff is None else backoff

    def plan(
        self, lines: Sequence[QuarantineLine], scope: str, group: str | None = None
    ) -> SendPlan:
        """See `ReplayTarget.plan`."""
        skipped: list[Skipped] = []
        ready: dict[str, QuarantineLine] = {}
        for line in lines:
            detail = incomplete_reason(line, transformed=self._transform is not None)
            if detail is None:
                ready[line.identity] = line
            else:
                skipped.append(Skipped(line, line.reason, detail))
        payloads, filtered, bad = self._transform_lines(ready, scope)
        skipped += bad
        messages = []
        for identity, payload in payloads.items():
            try:
                messages.append(make_message(ready[identity], payload, scope, self._url))
            except UnsendableError as error:
                skipped.append(Skipped(ready[identity], ready[identity].reason, str(error)))
        planned = [*filtered, *(message.identity for message in messages)]
        group_id = group or make_group_id(scope, planned)
        marks = {
            identity: ReplayMark(group_id, ReplayState.STARTED, queue=self._url)
            for identity in planned
        }
        return SendPlan(marks, skipped, (messages, filtered), frozenset(filtered))

    def _transform_lines(
        self, lines: Mapping[str, QuarantineLine], scope: str
    ) -> tuple[dict[str, bytes], list[str], list[Skipped]]:
        """Return the payloads to send by identity, the filtered identities, and the bad lines."""
        if self._transform is None or not lines:
            return {identity: line.payload for identity, line in lines.items()}, [], []
        transformed = apply_transform(make_chunk(list(lines.values()), scope), self._transform)
        payloads = cast("Sequence[bytes]", transformed.good.payloads)
        good = dict(zip(transformed.good.positions, payloads, strict=True))
        filtered = list(transformed.filtered.positions) if transformed.filtered else []
        bad = [Skipped(lines[bad.position], bad.reason, bad.detail) for bad in transformed.bad]
        return good, filtered, bad

    async def send(self, plan: SendPlan) -> SendResult:
        """See `ReplayTarget.send`."""
        messages, filtered = cast("tuple[list[SqsMessage], list[str]]", plan.prepared)
        send_result = SendResult(set(filtered))
        self.counts.filtered += len(filtered)
        batches = deque(split_batches(messages))
        senders = 1 if is_fifo(self._url) else min(MAX_CONCURRENT_SENDS, len(batches))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(senders):
                tasks.create_task(self._send_queued(batches, send_result))
        send_result.unsent.update(message.identity for batch in batches for message in batch)
        return send_result

    async def _send_queued(self, batches: deque[list[SqsMessage]], send_result: SendResult) -> None:
        """Send batches until one fails, because the others would fail, too."""
        while batches and not send_result.errors:
            batch = batches.popleft()
            try:
                await self._send_batch(batch, send_result)
            except RetryableError as error:
                send_result.errors.append(error)
            except RejectedError as error:
                send_result.errors.append(error)
                identities = {message.identity for message in batch}
                send_result.unsent |= (
                    identities - send_result.delivered - send_result.rejected.keys()
                )

    async def _send_batch(self, batch: Sequence[SqsMessage], send_result: SendResult) -> None:
        """Send one batch. Retry the messages that failed through a fault of SQS.

        Raises:
            RetryableError: the outcome is unknown, or messages failed every time.
            RejectedError: SQS refuses all messages.
        """
        for attempt in range(1, MAX_SENDS + 1):
            entries = [message.to_entry(number) for number, message in enumerate(batch)]
            failed = {int(entry["Id"]): entry for entry in await self._client.send(entries)}
            retries = []
            for number, message in enumerate(batch):
                entry = failed.get(number)
                if entry is None:
                    send_result.delivered.add(message.identity)
                    send_result.rejected.pop(message.identity, None)
                    self.counts.records += 1
                    self.counts.bytes_in += message.size_bytes
                    continue
                send_result.rejected[message.identity] = _rejection_text(entry)
                if not entry.get("SenderFault"):
                    retries.append(message)
            if not retries:
                return
            batch = retries
            if attempt < MAX_SENDS:
                jitter = random.random()  # noqa: S311  # only spreads the delays
                await asyncio.sleep(self._backoff.delay_s(attempt, jitter, None))
        messages = "1 message" if len(batch) == 1 else f"{len(batch)} messages"
        msg = f"{self._url}: {messages}: {send_result.rejected[batch[0].identity]}"
        raise RetryableError(msg)

    async def has_arrived(self, mark: ReplayMark, lines: Sequence[QuarantineLine]) -> bool:
        """See `ReplayTarget.has_arrived`. A queue cannot be searched, so the answer is no."""
        del mark, lines
        return False

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


def _rejection_text(entry: Mapping[str, Any]) -> str:
    return f"the queue rejected it: {entry.get('Code', '')}: {entry.get('Message', '')}"
