"""AsyncRecords: submits what an async iterable yields, in slices, and holds nothing back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Sequence
from types import AsyncGeneratorType
from typing import Any

from batcher.writing.writer import first_error


class AsyncRecords:
    """Reads an async iterable in the caller's task, and submits its records in their order.

    Records that come without a wait are submitted together. As soon as the iterable waits, a task
    submits what it has yielded, so that these records linger in their batch like all others. While
    they wait for room, the iterable is asked for one more record at most.
    """

    def __init__(
        self,
        submit: Callable[[Sequence[Any]], Coroutine[Any, Any, None]],
        prepare: Callable[[Any, int], Any],
        *,
        max_records: int,
        max_bytes: int,
    ) -> None:
        """Submit by `submit`.

        Args:
            submit: takes some records, and waits for room.
            prepare: returns the text or bytes to be submitted for a record. Its second argument is
                how many records before it have not been submitted yet.
            max_records: of one call of `submit`.
            max_bytes: of one call of `submit`. Its last record may exceed it.
        """
        self._submit = submit
        self._prepare = prepare
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._slice: list[Any] = []
        self._slice_bytes = 0
        self._task: asyncio.Task[None] | None = None

    async def submit_all(self, records: AsyncIterable[Any]) -> None:
        """Submit all records. If the iterable raises, those before the error are submitted first.

        If this is cancelled, records that wait for room are not submitted. A generator that is not
        read to its end is closed.
        """
        failure: BaseException | None = None
        rest = aiter(records)
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    failure = await self._read(rest, group)
                finally:
                    self._slice = []  # for a call of `_start` that is still to come
                    if isinstance(rest, AsyncGeneratorType):
                        await rest.aclose()
        except BaseExceptionGroup as errors:
            if failure is None:  # else closing the generator failed too
                failure = first_error(errors)
        if failure is not None:
            raise failure  # outside of the `except`, to keep its own cause

    async def _read(
        self, records: AsyncIterator[Any], group: asyncio.TaskGroup
    ) -> Exception | None:
        """Submit all records. Return the error of the iterable or of a record, if there is one."""
        failure: Exception | None = None
        while True:
            try:
                record = await anext(records)
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001  # raised in the end
                failure = error
                break
            await self._wait_for_task()
            try:
                record = self._prepare(record, len(self._slice))
            except Exception as error:  # noqa: BLE001  # as above
                failure = error
                break
            if not self._slice:
                asyncio.get_running_loop().call_soon(self._start, group)
            self._slice.append(record)
            self._slice_bytes += len(record)
            if len(self._slice) >= self._max_records or self._slice_bytes >= self._max_bytes:
                await self._submit_slice()
        await self._wait_for_task()
        await self._submit_slice()
        return failure

    def _start(self, group: asyncio.TaskGroup) -> None:
        """Submit what was yielded. The event loop runs this as soon as the iterable waits."""
        if self._slice:  # taken now: this may be called again before the task begins
            self._task = group.create_task(self._submit(self._take_slice()))

    async def _submit_slice(self) -> None:
        if self._slice:
            await self._submit(self._take_slice())

    def _take_slice(self) -> list[Any]:
        part, self._slice, self._slice_bytes = self._slice, [], 0
        return part

    async def _wait_for_task(self) -> None:
        """Wait until the task has submitted its slice. Raise its error."""
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait([task])
            task.result()
