"""Back to SQS: replayed records as messages of a queue, for the corrected consumer to take."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, cast

import aioboto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    HTTPClientError,
)

from batcher.batching.transform import transformed
from batcher.errors import RejectedError, RetryableError
from batcher.stores.retrying import Backoff
from batcher.tools.replay.grouping import group_id, run_of
from batcher.tools.replay.marks import Line, Mark, State, why_incomplete
from batcher.tools.replay.sqs_message import (
    Message,
    UnsendableError,
    batches_of,
    is_fifo,
    message_of,
)
from batcher.tools.replay.target import Arrived, Left, Plan
from batcher.writing.stats import Counts

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

CLIENT_ATTEMPTS = 4
"""Of botocore's own: a call that got no answer, or was throttled."""


_REGION = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com")


_SERVER_ERROR, _BUSY = 500, 429


_BUSY_CODES = {"Throttling", "ThrottlingException", "RequestThrottled", "RequestTimeout"}


SENDERS = 8
"""Calls side by side; a FIFO queue gets one at a time, to keep its order."""


ATTEMPTS = 5
"""How often a message is sent that the queue says it could not take just now."""


class Client(Protocol):
    """See `batcher.tools.replay.to_sqs.SqsClient`."""

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


class SqsClient:
    """Connects at its first call, to the region that the queue's URL names."""

    def __init__(self, url: str) -> None:
        """Send to the queue at `url`."""
        self._url = url
        self._exits = AsyncExitStack()
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def look(self) -> None:
        """Make sure that the queue is there, if we may ask; the answer itself is nothing to us.

        Raises:
            RetryableError: nothing answers at this URL, or it is busy.
            RejectedError: there is no such queue, or the credentials are no good.
        """
        try:
            await (await self._connected()).get_queue_attributes(QueueUrl=self._url)
        except ClientError as error:
            if "AccessDenied" not in str(error.response.get("Error", {}).get("Code", "")):
                raise self._translated(error) from error
        except BotoCoreError as error:
            raise self._unanswered(error) from error

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Send up to ten messages; give the entries of `Failed`: those that were not taken.

        Raises:
            RetryableError: nobody knows what was taken.
            RejectedError: the queue refuses all of them.
        """
        try:
            client = await self._connected()
            answer = await client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except ClientError as error:
            raise self._translated(error) from error
        except BotoCoreError as error:
            raise self._unanswered(error) from error
        failed: Sequence[Mapping[str, Any]] = answer.get("Failed") or ()
        return failed

    async def aclose(self) -> None:
        """Close all connections."""
        await self._exits.aclose()

    async def _connected(self) -> Any:  # noqa: ANN401  # aioboto3 has no types
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
        return self._client

    async def _connect(self) -> Any:  # noqa: ANN401  # aioboto3 has no types
        found = _REGION.match(self._url)
        region = os.environ.get("AWS_REGION") if found is None else found[1]
        named = {} if region is None else {"region_name": region}
        retries = {"mode": "standard", "total_max_attempts": CLIENT_ATTEMPTS}
        client = aioboto3.Session().client("sqs", config=Config(retries=retries), **named)
        return await self._exits.enter_async_context(client)

    def _unanswered(self, error: BotoCoreError) -> RetryableError | RejectedError:
        if isinstance(error, (ConnectionError, HTTPClientError)):
            return RetryableError(f"{self._url}: cannot be reached: {_first_line(error)}")
        return RejectedError(f"{self._url}: {_first_line(error)}")

    def _translated(self, error: ClientError) -> RetryableError | RejectedError:
        said = error.response.get("Error", {})
        code, status = str(said.get("Code", "")), _status(error)
        text = f"{self._url}: answered {status} {code}: {said.get('Message', '')}".rstrip(": ")
        if status >= _SERVER_ERROR or status == _BUSY or code in _BUSY_CODES:
            return RetryableError(text)
        hint = "allow sqs:SendMessage on the queue" if "AccessDenied" in code else ""
        return RejectedError(f"{text}: {hint}" if hint else text)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
