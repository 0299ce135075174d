"""Transforms: what a user's function may make of records, and what it may not break."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from batcher.batching.router import Router
from batcher.batching.transform import apply_transform, check_transform, raised_type
from batcher.batching.validation import Validated
from batcher.errors import RejectedError, RetryableError, ThrottledError
from batcher.records.bad_record import BadRecordReason
from support.examples import make_chunk, make_settings


def good(checked: Validated) -> list[bytes | str]:
    """Return the payloads that the transform made."""
    return list(checked.good.payloads)


@pytest.mark.parametrize(
    ("gives", "payload"),
    [(b"new", b"new"), ("n\u00e9w", "n\u00e9w".encode()), ({"a": [1, None]}, b'{"a":[1,null]}')],
)
def test_a_transform_may_give_bytes_text_or_a_dict(gives: object, payload: bytes) -> None:
    """What it gives stands in the record's place."""
    changed = apply_transform(make_chunk(b"old", b"older"), lambda _: gives)  # type: ignore[arg-type, return-value]
    assert good(changed) == [payload, payload]
    assert changed.bad == []
    assert changed.filtered is None


def test_a_transform_is_given_bytes_always() -> None:
    """Also where a source has text, a lone surrogate in it or not."""
    seen: list[bytes] = []
    apply_transform(make_chunk("\u00e9", "\ud800"), seen.append)
    assert seen == [b"\xc3\xa9", b"\xed\xa0\x80"]


def test_a_record_for_which_the_transform_gives_none_is_left_out() -> None:
    """It is neither good nor bad, and the others keep their order."""
    changed = apply_transform(make_chunk(b"0", b"1", b"2"), lambda p: None if p == b"1" else p)
    assert good(changed) == [b"0", b"2"]
    assert changed.filtered is not None
    assert list(changed.filtered.positions) == ["1"]


def test_a_record_on_which_the_transform_raises_is_bad() -> None:
    """With what it raised, shortened, and the payload as it came."""

    def transform(payload: bytes) -> bytes:
        if payload == b"1":
            raise ValueError("no " * 1000)
        return payload

    changed = apply_transform(make_chunk(b"0", b"1", b"2"), transform)
    assert good(changed) == [b"0", b"2"]
    (bad,) = changed.bad
    assert bad.reason is BadRecordReason.TRANSFORM
    assert bad.detail.startswith("transform raised ValueError: no no")
    assert len(bad.detail) == 120
    assert bad.chunk.payloads == [b"1"]


def test_an_error_that_cannot_tell_itself_is_told_by_its_name() -> None:
    """It stops none of the good records, either."""

    class OddError(Exception):
        def __str__(self) -> str:
            return self.args[0]  # type: ignore[no-any-return]  # what the test is about

    def transform(payload: bytes) -> bytes:
        if payload == b"1":
            raise OddError(17)
        return payload

    changed = apply_transform(make_chunk(b"0", b"1", b"2"), transform)
    assert good(changed) == [b"0", b"2"]
    assert [bad.detail for bad in changed.bad] == ["transform raised OddError"]


@pytest.mark.parametrize("gives", [7, [b"x"], bytearray(b"x"), {"a": object()}, "\ud800"])
def test_a_record_for_which_the_transform_gives_no_record_is_bad(gives: object) -> None:
    """A wrong type, what JSON has no form for, or text that is none."""
    changed = apply_transform(make_chunk(b"0"), lambda _: gives)  # type: ignore[arg-type, return-value]
    assert good(changed) == []
    assert [bad.reason for bad in changed.bad] == [BadRecordReason.TRANSFORM]


class NoMemoryError(MemoryError):
    """As libraries derive it."""


@pytest.mark.parametrize(
    "error", [MemoryError(), NoMemoryError(), RetryableError("later"), ThrottledError("slow down")]
)
def test_an_error_that_is_not_the_records_fault_is_raised(error: Exception) -> None:
    """Then nothing of the chunk is bad, and nothing of it is good either."""

    def transform(payload: bytes) -> bytes:
        if payload == b"1":
            raise error
        return payload

    with pytest.raises(type(error)) as caught:
        apply_transform(make_chunk(b"0", b"1", b"2"), transform)
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [RejectedError("no"), OSError("no"), RecursionError(), StopIteration(), KeyError("k")]
)
def test_any_other_error_is_the_records_fault(error: Exception) -> None:
    """Its type is known from the bad record."""

    def transform(_: bytes) -> bytes:
        raise error

    (bad,) = apply_transform(make_chunk(b"0"), transform).bad
    assert raised_type(bad) == type(error).__name__


async def wait(payload: bytes) -> bytes:
    """Be a coroutine function."""
    return payload


async def stream(payload: bytes) -> AsyncIterator[bytes]:
    """Be an asynchronous generator function."""
    yield payload


def split(payload: bytes) -> Iterator[bytes]:
    """Be a generator function."""
    yield payload


class Awaited:
    """Objects that are called like coroutine functions."""

    async def __call__(self, payload: bytes) -> bytes:
        """Wait."""
        return payload


class Called:
    """Objects that are called like functions."""

    def __call__(self, payload: bytes) -> bytes:
        """Return the payload."""
        return payload

    def method(self, payload: bytes, level: int = 1) -> bytes:
        """Return some of the payload."""
        return payload[level:]

    async def wait(self, payload: bytes) -> bytes:
        """Wait."""
        return payload


@pytest.mark.parametrize(
    ("transform", "problem"),
    [
        (wait, "a coroutine function"),
        (Awaited(), "a coroutine function"),
        (Called().wait, "a coroutine function"),
        (partial(wait), "a coroutine function"),
        (partial(partial(Awaited())), "a coroutine function"),
        (stream, "a generator function"),
        (split, "a generator function"),
        (lambda: b"", "too many positional arguments"),
        (lambda a, b: a + b, "missing a required argument: 'b'"),
        (lambda a, *, key: a + key, "missing a required"),
        (lambda *, payload: payload, "too many positional arguments"),
        (partial(lambda a, b: a + b, b"", b""), "too many positional arguments"),
        (Called.method, "missing a required argument: 'payload'"),
        (b"payload", "bytes is not callable"),
        (7, "int is not callable"),
    ],
)
def test_a_function_that_is_no_transform_is_refused_at_once(
    transform: object, problem: str
) -> None:
    """The message says what it is, and no record is needed to find out."""
    with pytest.raises(TypeError, match=problem):
        check_transform(transform)
    with pytest.raises(TypeError, match=problem):
        Router(make_settings(), transform)  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(TypeError, match=problem):
        Router(make_settings()).with_transform(transform)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "transform",
    [
        gzip.decompress,
        zlib.decompress,
        json.loads,
        bytes.upper,
        str,
        dict,
        [].append,
        lambda payload: payload,
        lambda *payloads: payloads[0],
        lambda payload, level=9: payload[:level],
        lambda payload, *, level=9: payload[:level],
        partial(lambda a, b: a + b, b"{"),
        Called(),
        Called().method,
        partial(Called().method, level=2),
    ],
)
def test_any_function_of_a_payload_is_accepted(transform: object) -> None:
    """Also one that has further parameters with defaults, or no known signature."""
    check_transform(transform)
