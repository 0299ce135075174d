"""Back to SQS: replayed records as messages of a queue, for the corrected consumer to take."""

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
"""Calls side by side; a FIFO queue gets one at a time, to keep its order."""


MAX_SENDS = 5
"""How often a message is sent that the queue says it could not take just now."""


class SqsSender(Protocol):
    """See `batcher.tools.replay.sqs_client.SqsClient`."""

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Send up to ten messages; give the entries of `Failed`."""

    async def aclose(self) -> None:
        """Close all connections."""


class QueueTarget:
    """Sends records to one queue, as they came or as a transform makes them; nothing is checked.

    At least once: a crash between a message and its mark sends it again.
    """

    def __init__(
        self,
        url: str,
        client: SqsSender,
        transform: Transform | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Send to the queue at `url` by `client`, which is closed with this."""
        self.counts = Stats()
        self._url = url
        self._client = client
        self._transform = transform
        self._backoff = Backoff() if backoff is None else backoff

    def plan(
        self, lines: Sequence[QuarantineLine], scope: str, group: str | None = None
    ) -> SendPlan:
        """See `Destination.plan`."""
        left: list[Skipped] = []
        ready: dict[str, QuarantineLine] = {}
        for line in lines:
            why = incomplete_reason(line, transformed=self._transform is not None)
            if why is None:
                ready[line.identity] = line
            else:
                left.append(Skipped(line, line.reason, why))
        payloads, left_out, bad = self._transform_lines(ready, scope)
        left += bad
        messages = []
        for identity, payload in payloads.items():
            try:
                messages.append(make_message(ready[identity], payload, scope, self._url))
            except UnsendableError as error:
                left.append(Skipped(ready[identity], ready[identity].reason, str(error)))
        going = [*left_out, *(message.identity for message in messages)]
        name = group or make_group_id(scope, going)
        marks = {
            identity: ReplayMark(name, ReplayState.STARTED, queue=self._url) for identity in going
        }
        return SendPlan(marks, left, (messages, left_out))

    def _transform_lines(
        self, lines: Mapping[str, QuarantineLine], scope: str
    ) -> tuple[dict[str, bytes], list[str], list[Skipped]]:
        """Get what is to be sent, by identity; what the transform left out; what it raised on."""
        if self._transform is None or not lines:
            return {identity: line.payload for identity, line in lines.items()}, [], []
        changed = apply_transform(make_chunk(list(lines.values()), scope), self._transform)
        payloads = cast("Sequence[bytes]", changed.good.payloads)
        good = dict(zip(changed.good.positions, payloads, strict=True))
        bad = [Skipped(lines[b.position], b.reason, b.detail) for b in changed.bad]
        return good, list(changed.filtered.positions) if changed.filtered else [], bad

    async def send(self, plan: SendPlan) -> SendResult:
        """See `Destination.send`."""
        messages, left_out = cast("tuple[list[SqsMessage], list[str]]", plan.prepared)
        arrived = SendResult(set(left_out))
        self.counts.filtered += len(left_out)
        batches = deque(split_batches(messages))
        senders = 1 if is_fifo(self._url) else min(MAX_CONCURRENT_SENDS, len(batches))
        async with asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(self._send_queued(batches, arrived))
        arrived.unsent.update(message.identity for batch in batches for message in batch)
        return arrived

    async def _send_queued(self, batches: deque[list[SqsMessage]], send_result: SendResult) -> None:
        """Send batch after batch, until there is an error: the others would meet it too."""
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
        """Send one batch, and again what the queue could not take just now.

        Raises:
            RetryableError: nobody knows what was taken, or the queue goes on refusing.
            RejectedError: the queue refuses all messages.
        """
        for attempt in range(1, MAX_SENDS + 1):
            entries = [message.to_entry(number) for number, message in enumerate(batch)]
            failed = {int(entry["Id"]): entry for entry in await self._client.send(entries)}
            again = []
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
                    again.append(message)
            if not again:
                return
            batch = again
            if attempt < MAX_SENDS:
                share = random.random()  # noqa: S311  # it spreads the waiting, no more
                await asyncio.sleep(self._backoff.delay_s(attempt, share, None))
        msg = f"{self._url}: {len(batch)} messages: {send_result.rejected[batch[0].identity]}"
        raise RetryableError(msg)

    async def has_arrived(self, mark: ReplayMark, lines: Sequence[QuarantineLine]) -> bool:
        """See `Destination.has_arrived`: nobody can look into a queue."""
        del mark, lines
        return False

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


def _rejection_text(entry: Mapping[str, Any]) -> str:
    return f"the queue refused it: {entry.get('Code', '')}: {entry.get('Message', '')}"
