"""SqsClient: the calls to SQS that a replay makes, and their errors by what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from batcher.errors import RejectedError, RetryableError
from batcher.tools.aws import AwsCallError, AwsErrorKind, AwsSession, CallLimits

CALL_LIMITS = CallLimits()

_REGION_IN_URL = re.compile(r"https://sqs\.([a-z0-9-]+)\.amazonaws\.com")


class SqsClient:
    """Sends to one queue. Connects at the first call, to the region in the queue's URL."""

    def __init__(self, url: str) -> None:
        """Send to the queue at `url`.

        Raises:
            NotInstalledError: boto3 is not installed.
        """
        self._url = url
        match = _REGION_IN_URL.match(url)
        region = None if match is None else match[1]
        self._session = AwsSession(region, CALL_LIMITS, purpose="replay --to-queue")

    async def check_queue(self) -> None:
        """Check that the queue exists. Without the permission to look, it is taken to exist.

        Raises:
            RetryableError: SQS cannot be reached, or throttles.
            RejectedError: there is no such queue, or the credentials are not accepted.
        """
        try:
            await self._session.call(
                "sqs", "get_queue_attributes", "sqs:GetQueueAttributes", QueueUrl=self._url
            )
        except AwsCallError as failed:
            if failed.kind is not AwsErrorKind.DENIED:
                raise self._sorted(failed) from failed

    async def send(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Send up to ten messages. Return the entries of `Failed`: the messages not accepted.

        Raises:
            RetryableError: the outcome is unknown. Some messages may have been accepted.
            RejectedError: SQS refuses all of them, and will until something is changed.
        """
        try:
            response = await self._session.call(
                "sqs",
                "send_message_batch",
                "sqs:SendMessage",
                QueueUrl=self._url,
                Entries=entries,
            )
        except AwsCallError as failed:
            raise self._sorted(failed) from failed
        rejected: Sequence[Mapping[str, Any]] = response.get("Failed") or ()
        return rejected

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.aclose()

    def _sorted(self, failed: AwsCallError) -> RetryableError | RejectedError:
        """Return the error by what the caller does next."""
        error_class = RetryableError if failed.retryable else RejectedError
        return error_class(f"{self._url}: {failed}")
