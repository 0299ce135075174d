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

CLIENT_ATTEMPTS = 4
"""Of botocore's own: a call that got no answer, or was throttled."""


_REGION_IN_URL = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com")


_SERVER_ERROR, _TOO_MANY_REQUESTS = 500, 429


_THROTTLING_CODES = {"Throttling", "ThrottlingException", "RequestThrottled", "RequestTimeout"}


MAX_CONCURRENT_SENDS = 8
"""Calls side by side; a FIFO queue gets one at a time, to keep its order."""


MAX_SENDS = 5
"""How often a message is sent that the queue says it could not take just now."""


class SqsSender(Protocol):
    """See `batcher.tools.replay.to_sqs.SqsClient`."""

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


class SqsClient:
    """Connects at its first call, to the region that the queue's URL names."""

    def __init__(self, url: str) -> None:
        """Send to the queue at `url`."""
        self._url = url
        self._exit_stack = AsyncExitStack()
        self._client: Any = None
        self._connect_lock = asyncio.Lock()

    async def check_queue(self) -> None:
        """Make sure that the queue is there, if we may ask; the answer itself is nothing to us.

        Raises:
            RetryableError: nothing answers at this URL, or it is busy.
            RejectedError: there is no such queue, or the credentials are no good.
        """
        try:
            await (await self._get_client()).get_queue_attributes(QueueUrl=self._url)
        except ClientError as error:
            if "AccessDenied" not in str(error.response.get("Error", {}).get("Code", "")):
                raise self._response_error(error) from error
        except BotoCoreError as error:
            raise self._no_response_error(error) from error

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Send up to ten messages; give the entries of `Failed`: those that were not taken.

        Raises:
            RetryableError: nobody knows what was taken.
            RejectedError: the queue refuses all of them.
        """
        try:
            client = await self._get_client()
            answer = await client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except ClientError as error:
            raise self._response_error(error) from error
        except BotoCoreError as error:
            raise self._no_response_error(error) from error
        failed: Sequence[Mapping[str, Any]] = answer.get("Failed") or ()
        return failed

    async def aclose(self) -> None:
        """Close all connections."""
        await self._exit_stack.aclose()

    async def _get_client(self) -> Any:  # noqa: ANN401  # aioboto3 has no types
        async with self._connect_lock:
            if self._client is None:
                self._client = await self._connect()
        return self._client

    async def _connect(self) -> Any:  # noqa: ANN401  # aioboto3 has no types
        found = _REGION_IN_URL.match(self._url)
        region = os.environ.get("AWS_REGION") if found is None else found[1]
        named = {} if region is None else {"region_name": region}
        retries = {"mode": "standard", "total_max_attempts": CLIENT_ATTEMPTS}
        client = aioboto3.Session().client("sqs", config=Config(retries=retries), **named)
        return await self._exit_stack.enter_async_context(client)

    def _no_response_error(self, error: BotoCoreError) -> RetryableError | RejectedError:
        if isinstance(error, (ConnectionError, HTTPClientError)):
            return RetryableError(f"{self._url}: cannot be reached: {_first_line(error)}")
        return RejectedError(f"{self._url}: {_first_line(error)}")

    def _response_error(self, error: ClientError) -> RetryableError | RejectedError:
        said = error.response.get("Error", {})
        code, status = str(said.get("Code", "")), _http_status(error)
        text = f"{self._url}: answered {status} {code}: {said.get('Message', '')}".rstrip(": ")
        if status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS or code in _THROTTLING_CODES:
            return RetryableError(text)
        hint = "allow sqs:SendMessage on the queue" if "AccessDenied" in code else ""
        return RejectedError(f"{text}: {hint}" if hint else text)


def _http_status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
