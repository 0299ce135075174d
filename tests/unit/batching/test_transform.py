"""Transforms: what a user's function may make of records, and what it may not break."""

from __future__ import annotations

import pytest

from batcher.batching.transform import apply_transform
from batcher.batching.validation import Validated
from batcher.records.bad_record import BadRecordReason
from support.examples import make_chunk


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
