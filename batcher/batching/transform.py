"""Transform: applies the user's function to each record before validation."""

from __future__ import annotations

import inspect
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from batcher.batching.validation import Validated
from batcher.errors import RetryableError
from batcher.records.bad_record import BadRecord, BadRecordReason
from batcher.records.payload import JsonDefault, to_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batcher.batching.validation import Transform
    from batcher.records.chunk import Chunk

_MAX_DETAIL_CHARACTERS = 120

_ERROR_PREFIX = "transform raised "


def check_transform(transform: object) -> None:
    """Check that `transform` can be called with a payload and can return a record.

    Raises:
        TypeError: it cannot. The message says what to give instead.
    """
    _check_function("transform", transform, "payload", "the record")


def check_default(default: object) -> None:
    """Check that `default` can be called with a value and can return another one.

    Raises:
        TypeError: it cannot. The message says what to give instead.
    """
    _check_function("default", default, "value", "what is written for the value")


def _check_function(name: str, function: object, argument: str, result: str) -> None:
    if not callable(function):
        msg = f"{name}: {type(function).__name__} is not callable; give a function"
        raise TypeError(msg)
    kind = _unfit_kind(function)
    if kind is not None:
        msg = f"{name}: it is {kind}; give a plain function, which returns {result}"
        raise TypeError(msg)
    try:
        inspect.signature(function).bind(b"")
    except ValueError:
        return  # some functions that are written in C have no signature
    except TypeError as error:
        msg = f"{name}: {error}; give a function that is called with the {argument} alone"
        raise TypeError(msg) from None


def _unfit_kind(given: object) -> str | None:
    """Return the kind of function if its result is never what is needed, else None."""
    while isinstance(given, partial):
        given = given.func
    for function in (given, getattr(given, "__call__", None)):  # noqa: B004  # the method
        if inspect.iscoroutinefunction(function):
            return "a coroutine function"
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            return "a generator function"
    return None


def apply_transform(
    chunk: Chunk, transform: Transform, default: JsonDefault | None = None
) -> Validated:
    """Apply the user's `transform` to each record, in order.

    A record is bad if the transform raises, or returns anything but a record. It is filtered if the
    transform returns None. The good records still need `validate`.

    Raises:
        MemoryError, RetryableError: the transform, or `default`, raised it. That is not the fault
            of the record: the records of the chunk must come again.
    """
    payloads: list[bytes] = []
    kept: list[int] = []
    filtered: list[int] = []
    bad: list[BadRecord] = []
    for index, payload in enumerate(cast("Sequence[bytes | str]", chunk.payloads)):
        try:
            raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
            record = transform(raw)
            if record is None:
                filtered.append(index)
            else:
                payloads.append(to_payload(record, default))
                kept.append(index)
        except (MemoryError, RetryableError):
            raise
        except Exception as error:  # noqa: BLE001  # user code may raise anything
            bad.append(
                BadRecord(chunk.take([index]), BadRecordReason.TRANSFORM, _describe_error(error))
            )
    good = replace(chunk.take(kept), payloads=payloads)
    return Validated(good, bad, chunk.take(filtered) if filtered else None)


def raised_type(bad: BadRecord) -> str:
    """Return the type of the exception that the transform raised for a bad record."""
    return bad.detail.removeprefix(_ERROR_PREFIX).partition(":")[0]


def _describe_error(error: Exception) -> str:
    """Return a description of the user's error, whose `__str__` may raise too."""
    detail = f"{_ERROR_PREFIX}{type(error).__name__}"
    with suppress(Exception):
        detail = f"{detail}: {error}"
    return detail[:_MAX_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()
