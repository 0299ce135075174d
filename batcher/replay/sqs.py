"""Back to SQS: replayed records as messages of a queue, for the corrected consumer to take."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from batcher.backoff import Backoff
from batcher.counts import Counts
from batcher.errors import RejectedError, RetryableError
from batcher.replay.destination import Arrived, Left, Plan
from batcher.replay.group import group_id, run_of
from batcher.replay.lines import Line, Mark, State, why_incomplete
from batcher.replay.message import Message, UnsendableError, batches_of, is_fifo, message_of
from batcher.transform import transformed

if TYPE_CHECKING:
    from batcher.check import Transform

SENDERS = 8
"""Calls side by side; a FIFO queue gets one at a time, to keep its order."""
ATTEMPTS = 5
"""How often a message is sent that the queue says it could not take just now."""


class Client(Protocol):
    """See `batcher.replay.sqs_client.SqsClient`."""

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Send up to ten messages; give the entries of `Failed`."""

    async def aclose(self) -> None:
        """Close all connections."""


class Queue:
    """Sends records to one queue, as they came or as a transform makes them; nothing is checked.

    At least once: a crash between a message and its mark sends it again.
    """

    def __init__(
        self,
        url: str,
        client: Client,
        transform: Transform | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Send to the queue at `url` by `client`, which is closed with this."""
        self.counts = Counts()
        self._url = url
        self._client = client
        self._transform = transform
        self._backoff = Backoff() if backoff is None else backoff

    def plan(self, lines: Sequence[Line], scope: str, group: str | None = None) -> Plan:
        """See `Destination.plan`."""
        left: list[Left] = []
        ready: dict[str, Line] = {}
        for line in lines:
            why = why_incomplete(line, is_transformed=self._transform is not None)
            if why is None:
                ready[line.identity] = line
            else:
                left.append(Left(line, line.reason, why))
        payloads, left_out, bad = self._payloads(ready, scope)
        left += bad
        messages = []
        for identity, payload in payloads.items():
            try:
                messages.append(message_of(ready[identity], payload, scope, self._url))
            except UnsendableError as error:
                left.append(Left(ready[identity], ready[identity].reason, str(error)))
        going = [*left_out, *(message.identity for message in messages)]
        name = group or group_id(scope, going)
        marks = {identity: Mark(name, State.STARTED, queue=self._url) for identity in going}
        return Plan(marks, left, (messages, left_out))

    def _payloads(
        self, lines: Mapping[str, Line], scope: str
    ) -> tuple[dict[str, bytes], list[str], list[Left]]:
        """Give what is to be sent, by identity; what the transform left out; what it raised on."""
        if self._transform is None or not lines:
            return {identity: line.payload for identity, line in lines.items()}, [], []
        changed = transformed(run_of(list(lines.values()), scope), self._transform)
        payloads = cast("Sequence[bytes]", changed.good.payloads)
        good = dict(zip(changed.good.positions, payloads, strict=True))
        bad = [Left(lines[b.position], b.reason, b.detail) for b in changed.bad]
        return good, list(changed.left_out.positions) if changed.left_out else [], bad

    async def send(self, plan: Plan) -> Arrived:
        """See `Destination.send`."""
        messages, left_out = cast("tuple[list[Message], list[str]]", plan.work)
        arrived = Arrived(set(left_out))
        self.counts.left_out += len(left_out)
        batches = deque(batches_of(messages))
        senders = 1 if is_fifo(self._url) else min(SENDERS, len(batches))
        async with asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(self._work(batches, arrived))
        arrived.unsent.update(message.identity for batch in batches for message in batch)
        return arrived

    async def _work(self, batches: deque[list[Message]], arrived: Arrived) -> None:
        """Send batch after batch, until there is an error: the others would meet it too."""
        while batches and not arrived.errors:
            batch = batches.popleft()
            try:
                await self._send(batch, arrived)
            except RetryableError as error:
                arrived.errors.append(error)
            except RejectedError as error:
                arrived.errors.append(error)
                identities = {message.identity for message in batch}
                arrived.unsent |= identities - arrived.identities - arrived.refused.keys()

    async def _send(self, batch: Sequence[Message], arrived: Arrived) -> None:
        """Send one batch, and again what the queue could not take just now.

        Raises:
            RetryableError: nobody knows what was taken, or the queue goes on refusing.
            RejectedError: the queue refuses all messages.
        """
        for attempt in range(1, ATTEMPTS + 1):
            entries = [message.entry(number) for number, message in enumerate(batch)]
            failed = {int(entry["Id"]): entry for entry in await self._client.send(entries)}
            again = []
            for number, message in enumerate(batch):
                entry = failed.get(number)
                if entry is None:
                    arrived.identities.add(message.identity)
                    arrived.refused.pop(message.identity, None)
                    self.counts.records += 1
                    self.counts.bytes_in += message.size_bytes
                    continue
                arrived.refused[message.identity] = _said(entry)
                if not entry.get("SenderFault"):
                    again.append(message)
            if not again:
                return
            batch = again
            if attempt < ATTEMPTS:
                share = random.random()  # noqa: S311  # it spreads the waiting, no more
                await asyncio.sleep(self._backoff.delay_s(attempt, share, None))
        msg = f"{self._url}: {len(batch)} messages: {arrived.refused[batch[0].identity]}"
        raise RetryableError(msg)

    async def has_arrived(self, mark: Mark, lines: Sequence[Line]) -> bool:
        """See `Destination.has_arrived`: nobody can look into a queue."""
        del mark, lines
        return False

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


def _said(entry: Mapping[str, Any]) -> str:
    return f"the queue refused it: {entry.get('Code', '')}: {entry.get('Message', '')}"
