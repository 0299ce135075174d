"""SQS, by aioboto3: the calls that are used, and what it says sorted by what to do next."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    HTTPClientError,
)

from batcher.errors import RejectedError, RetryableError

ATTEMPTS = 4
"""Of botocore's own: a call that got no answer, or was throttled."""
_REGION = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com")
_SERVER_ERROR, _BUSY = 500, 429
_BUSY_CODES = {"Throttling", "ThrottlingException", "RequestThrottled", "RequestTimeout"}


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
        retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
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
