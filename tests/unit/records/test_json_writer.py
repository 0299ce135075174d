"""JSON writer: errors name the field, and each value is converted once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batcher.batching.validation import validate
from batcher.errors import RetryableError
from batcher.records.json_text import MAX_DEPTH
from batcher.records.payload import to_payload
from support.examples import make_chunk

LOOP: list[object] = []
LOOP.append({"a": LOOP})


def nested(levels: int) -> object:
    """Return lists within each other."""
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"user": {"tags": [1, object()]}}, "user.tags[1]: object of type 'object' is not JSON"),
        ({"user": {"a b": {"c": b""}}}, "user['a b'].c: object of type 'bytes' is not JSON"),
        ({7: {None: 1j}}, "[7][None]: object of type 'complex' is not JSON"),
        ({"a": [[], {"b": LOOP}]}, "a[1].b[0].a: a circular reference"),
        ({"n": [10**5_000]}, "n[0]: Exceeds the limit"),
        ({"a": [{b"k": 1}]}, "a[0]: keys must be str, int, float, bool or None, not bytes: b'k'"),
        ({"a": {("k",): 1}}, "a: keys must be str"),
        ({"a": {"b": {1: 2, "1": 3}}}, "a.b: it has the keys 1 and '1', which are the same"),
        ({"a": nested(MAX_DEPTH)}, "a[0][0]"),
        ({"o": {"a": [1], "n": 2, b"k": 2}}, "o: keys must be str"),
        ({"o": {"a": [1], b"k": 2}}, "o: keys must be str"),
        ({"o": {"a": {2: 1}, b"k": 2}}, "o: keys must be str"),
        ({("k",): 1}, "the record: keys must be str"),
        ({"a": {"\ud800": 1j}}, "a['\\ud800']: object of type 'complex'"),
        ({"a": {b"k" * 10**6: 1}}, "a: keys must be str"),
        ({"a": {"k k" * 10**6: 1j}}, "a['k k"),
        ({"a": ({1j},)}, "a[0][0]: object of type 'complex'"),
        ({"a": {"b": 1}, "c": {"d": 1j}}, "c.d: object"),
    ],
)
def test_an_error_names_the_field(record: Any, message: str) -> None:  # noqa: ANN401  # also odd ones
    """Beside fields that are good, at any depth. It can be printed."""
    with pytest.raises(TypeError) as caught:
        to_payload(record)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).encode()) < 400
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_values_are_nested_as_deep_as_a_setting_can_allow() -> None:
    """Whatever Python's stack can hold."""
    assert to_payload({"a": nested(MAX_DEPTH - 1)}) == b'{"a":%s%s}' % (
        b"[" * (MAX_DEPTH - 1),
        b"]" * (MAX_DEPTH - 1),
    )


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"a": [1, {"b": float("nan")}]}, "a[1].b: NaN is not JSON"),
        ({"a": float("-inf"), "b": float("nan")}, "a: -Infinity is not JSON"),
        ({"a": {"b": "x\ud800"}}, "a.b: the text has a lone surrogate"),
        ({"a": {"x\ud800": 1}}, r"a['x\ud800']: the key has a lone surrogate"),
        ({"pair": "\ud83d\ude00", "a": float("nan")}, "a: NaN is not JSON"),
    ],
)
def test_the_detail_of_a_bad_record_names_the_field(record: object, detail: str) -> None:
    """Also if it is only found by validation."""
    (bad,) = validate(make_chunk(to_payload(record)), is_json=True, max_bytes=1_000).bad
    assert bad.detail == f"not one JSON value: {detail}"


def test_default_converts_what_json_lacks_at_any_depth() -> None:
    """Its results may have more of it, and None is null."""
    record = {"a": [1j, {"b": b"x"}], "c": range(2), "n": 2**70}
    defaults: dict[type, Callable[[Any], object]] = {
        complex: lambda value: [value.real, bytes(1)],
        bytes: lambda _: None,
        range: set,
    }
    text = to_payload(record, lambda value: defaults[type(value)](value))
    assert text == b'{"a":[[0.0,null],{"b":null}],"c":[0,1],"n":%d}' % 2**70


@pytest.mark.parametrize("beside", [1, None, 2**70, float("nan"), {1: 2}])
def test_a_value_is_converted_once(beside: object) -> None:
    """An iterator would be empty the second time."""
    calls: list[object] = []

    def default(value: Any) -> list[object]:  # noqa: ANN401  # an iterator
        calls.append(value)
        return list(value)

    text = to_payload({"n": beside, "x": iter([1, None, iter([2])])}, default)
    assert text.endswith(b',"x":[1,null,[2]]}')
    assert len(calls) == 2


def test_a_default_may_make_a_record_of_another_object() -> None:
    """But lists and numbers are refused: they are several records, or none."""

    class Other:
        def __init__(self) -> None:
            self.a = 1

    assert to_payload(Other(), vars) == b'{"a":1}'
    for record in [Other(), [1], 1, None, (1,), {1}, bytearray(b"1")]:
        with pytest.raises(TypeError, match="a record is a dict"):
            to_payload(record, None if isinstance(record, Other) else str)


def raising(error: BaseException) -> Callable[[object], object]:
    """Return a default that raises."""

    def default(_: object) -> object:
        raise error

    return default


def test_the_error_of_a_default_is_the_only_cause() -> None:
    """The message names the field."""
    error = KeyError("k")
    with pytest.raises(TypeError, match=r"^a\[0\]: default raised KeyError: 'k'$") as caught:
        to_payload({"a": [1j]}, raising(error))
    assert caught.value.__cause__ is error
    assert error.__cause__ is None


def test_any_error_of_a_class_of_the_user_is_named() -> None:
    """Whatever it is, and if it cannot be shown either."""

    class Odd(dict[object, object]):
        def items(self) -> Any:  # noqa: ANN401
            msg = "no items"
            raise LookupError(msg)

    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(TypeError, match=r"^a\[0\]: cannot be read: LookupError: no items$"):
        to_payload({"n": 2**70, "a": [Odd({1: 1})]})
    with pytest.raises(TypeError, match=r"^a: default raised OddError$"):
        to_payload({"a": 1j}, raising(OddError()))


@pytest.mark.parametrize("error", [MemoryError(), RetryableError("x"), KeyboardInterrupt()])
def test_what_is_not_the_fault_of_the_record_is_raised_itself(error: BaseException) -> None:
    """An interrupt is not swallowed, and a record that can be retried is not refused."""
    with pytest.raises(type(error)) as caught:
        to_payload({"a": [1j]}, raising(error))
    assert caught.value is error


@pytest.mark.parametrize(
    ("default", "problem"),
    [
        (lambda value: value, "default returned it unchanged"),
        (lambda value: [value], "a circular reference"),
        (lambda _: [object()], "nested too deep"),
        (lambda _: object(), "default returned another object 254 times"),
        (lambda _: {b"k": 1}, "keys must be str"),
    ],
)
def test_a_default_that_returns_no_json_ends(
    default: Callable[[object], object], problem: str
) -> None:
    """It is called for its results, too."""
    with pytest.raises(TypeError, match=problem) as caught:
        to_payload({"a": [1j]}, default)
    assert str(caught.value).startswith("a[0]")


def test_a_record_is_not_changed_and_its_payload_neither() -> None:
    """The payload is what the record was."""
    tags = {2, 1}
    record: dict[Any, Any] = {"tags": tags, 1: [2**70, (1,)]}
    payload = to_payload(record)
    assert record == {"tags": {1, 2}, 1: [2**70, (1,)]}
    assert record["tags"] is tags
    tags.add(3)
    assert payload == b'{"tags":[1,2],"1":[%d,[1]]}' % 2**70
