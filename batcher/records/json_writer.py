"""JSON writer: writes what orjson does not write by itself, and finds the field that is at fault.

Only records with such values come here. Most need a second call of orjson. The others are written
here value by value: integers over 64 bits, keys that are no text, NaN, deep nesting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from json.encoder import encode_basestring_ascii
from typing import Any, Final

import orjson

from batcher.errors import RetryableError
from batcher.records.json_text import MAX_DEPTH
from batcher.records.json_values import (
    DUMPS_OPTIONS,
    UNKNOWN,
    convert,
    convert_common,
    has_nan,
)

MAX_CONVERSIONS: Final = 254
"""How often in a row a value is converted; orjson's own limit."""

_WHOLE_LEVELS = 4
"""Down to here orjson is tried for each list and dict. Deeper it could be tried too often."""

_NO_KEY: Final = object()

_MAX_PATH = 200
"""Characters of a field's path in a message."""

_MAX_KEY = 60
"""Characters of a key in a message."""


class FlawedJson(bytes):
    """The text of a record that validation finds bad. `flaw` says what is wrong with which field.

    NaN is written as `NaN`, and text with a lone surrogate as an escape.
    """

    flaw: str


class JsonWriter:
    """Writes one record. Each of its values is converted once, for some can be read only once."""

    def __init__(self, default: Callable[[Any], Any] | None) -> None:
        """Take the user's `default`."""
        self._default = default
        self._converted: dict[int, tuple[object, object]] = {}

    def write(self, record: object) -> bytes:
        """Write a record as JSON.

        Raises:
            TypeError: JSON cannot express it. The message starts with the path of the field. The
                cause is what the user's `default` or the value itself has raised.
            MemoryError, RetryableError: `default` raised it.
        """
        try:
            text = orjson.dumps(record, self._convert_for_orjson, DUMPS_OPTIONS)
            if b"null" not in text or not has_nan(record, self._converted):
                return text
        except Exception:  # noqa: BLE001, S110  # raised again below, where its field is known
            pass
        return _TextWriter(self._convert).write(record)

    def _convert_for_orjson(self, value: object) -> object:
        """Convert a value. orjson ends with an error if it is a failure."""
        result = self._convert(value)
        if isinstance(result, _Failure):
            raise TypeError
        return result

    def _convert(self, value: object) -> object:
        """Convert a value, or return what was made of it before."""
        if id(value) not in self._converted:
            self._converted[id(value)] = (value, self._convert_new(value))
        return self._converted[id(value)][1]

    def _convert_new(self, value: object) -> object:
        by_user = False
        try:
            result = convert(value, self._convert_for_pydantic)
            if result is not UNKNOWN:
                return result
            if self._default is None:
                return _Failure(f"{_not_json(value)}; pass default=, a function that converts it")
            by_user = True
            result = self._default(value)
        except BaseException as error:  # noqa: BLE001  # raised when its field is known
            what = "default" if by_user else f"object of type {type(value).__name__!r}"
            return _Failure(f"{what} raised {_describe(error)}", error)
        if result is value:
            return _Failure(f"{_not_json(value)}, and default returned it unchanged")
        return result

    def _convert_for_pydantic(self, value: object) -> object:
        result = self._convert(value)
        if isinstance(result, _Failure):
            raise TypeError(result.problem) from result.cause
        if isinstance(result, orjson.Fragment):
            return json.loads(orjson.dumps(result))
        return result


class _Failure:
    """What is known of a value that cannot be written."""

    def __init__(self, problem: str, cause: BaseException | None = None) -> None:
        self.problem = problem
        self.cause = cause


class _ProblemError(Exception):
    """A value cannot be written. The writer adds the path of the field."""


class _Level:
    """A list or dict that is being written."""

    def __init__(
        self, entries: Iterator[tuple[str, object, object]], closing: str, ids: frozenset[int]
    ) -> None:
        self.entries = entries
        """For each value: the text before it, its key or index, and the value."""
        self.closing = closing
        self.ids = ids
        """Of the values that it was made of."""
        self.key: object = _NO_KEY
        """The key or index of the value that is being written."""


class _TextWriter:
    """Writes JSON as `json.dumps` does, without recursion, and knows where it is."""

    def __init__(self, converter: Callable[[object], object]) -> None:
        self._convert = converter
        self._levels: list[_Level] = []
        self._flaw = ""

    def write(self, record: object) -> bytes:
        """Write a record. See `JsonWriter.write`."""
        pieces: list[str] = []
        try:
            self._write_all(record, pieces)
        except _ProblemError as problem:
            cause = problem.__cause__
            if cause is not None and not _is_fault_of_record(cause):
                raise cause from cause.__cause__
            msg = f"{self._path()}: {problem}"
            raise TypeError(msg) from cause
        except Exception as error:  # the code of a class of the user's raised it
            if not _is_fault_of_record(error):
                raise
            msg = f"{self._path()}: cannot be read: {_describe(error)}"
            raise TypeError(msg) from error
        text = "".join(pieces).encode()
        if self._flaw:
            text = FlawedJson(text)
            text.flaw = self._flaw
        return text

    def _write_all(self, record: object, pieces: list[str]) -> None:
        levels = self._levels
        levels.append(_Level(iter((("", _NO_KEY, record),)), "", frozenset()))
        while levels:
            level = levels[-1]
            level.key = _NO_KEY
            for piece, key, value in level.entries:
                level.key = key
                if isinstance(key, str) and not key.isascii() and _has_lone_surrogate(key):
                    self._note_flaw("the key has a lone surrogate")
                pieces.append(piece)
                opened = self._write_one(value, pieces)
                if opened is not None:
                    levels.append(opened)
                    break
                level.key = _NO_KEY
            else:
                pieces.append(level.closing)
                levels.pop()

    def _write_one(self, value: Any, pieces: list[str]) -> _Level | None:  # noqa: ANN401  # any
        """Write a value, or return the list or dict that it is, to be written next."""
        ids: set[int] = set()
        for _ in range(MAX_CONVERSIONS + 1):
            text = self._scalar_text(value) or self._whole_text(value)
            if text is not None:
                pieces.append(text)
                return None
            ids.add(id(value))
            if isinstance(value, dict | list | tuple):
                self._check_nesting(ids)
                if isinstance(value, dict):
                    pieces.append("{")
                    return _Level(_iter_dict(value), "}", frozenset(ids))
                pieces.append("[")
                return _Level(_iter_list(value), "]", frozenset(ids))
            value = self._simplify(value)
        msg = f"default returned another object {MAX_CONVERSIONS} times, and none is JSON"
        raise _ProblemError(msg)

    def _scalar_text(self, value: object) -> str | None:
        """Return the text of a value that has none nested in it, or None."""
        if isinstance(value, str):
            if not value.isascii() and _has_lone_surrogate(value):
                self._note_flaw("the text has a lone surrogate")
            return encode_basestring_ascii(value)
        if value is None or value is True or value is False:
            return _KEYWORDS[value]
        if isinstance(value, int):
            try:
                return int.__repr__(value)
            except ValueError as error:  # more digits than Python writes
                raise _ProblemError(str(error)) from None
        if isinstance(value, float):
            if not math.isfinite(value):
                self._note_flaw(f"{_float_text(value)} is not JSON")
            return _float_text(value)
        if isinstance(value, _RawText):
            return value.text
        return None

    def _whole_text(self, value: object) -> str | None:
        """Return the text of a list or dict that orjson writes, or None."""
        if not isinstance(value, dict | list) or not 1 < len(self._levels) <= _WHOLE_LEVELS:
            return None
        try:
            text = orjson.dumps(value, convert_common, DUMPS_OPTIONS)
            return None if b"null" in text and has_nan(value, {}) else text.decode()
        except Exception:  # noqa: BLE001  # raised again where its field is known
            return None

    def _simplify(self, value: object) -> object:
        """Return what is written for a value that is no scalar, list or dict."""
        if isinstance(value, Enum):
            return value.value
        try:
            return _RawText(orjson.dumps(value, None, DUMPS_OPTIONS).decode())  # a UUID, a fragment
        except (orjson.JSONEncodeError, ValueError):
            pass
        result = self._convert(value)
        if isinstance(result, _Failure):
            raise _ProblemError(result.problem) from result.cause
        return result

    def _check_nesting(self, ids: Iterable[int]) -> None:
        """Raise if a list or dict is nested in itself, or too deep."""
        if any(not level.ids.isdisjoint(ids) for level in self._levels):
            msg = "a circular reference: the value contains itself"
            raise _ProblemError(msg)
        if len(self._levels) > MAX_DEPTH:
            msg = f"nested too deep: more than {MAX_DEPTH} levels"
            raise _ProblemError(msg)

    def _note_flaw(self, problem: str) -> None:
        self._flaw = self._flaw or f"{self._path()}: {problem}"

    def _path(self) -> str:
        """Return the path of the value that is being written, such as `user.tags[1]`."""
        path = "".join(_label(level.key) for level in self._levels).removeprefix(".")
        if len(path) > _MAX_PATH:
            path = f"{path[: _MAX_PATH // 2]}...{path[-_MAX_PATH // 2 :]}"
        return path or "the record"


class _RawText:
    """JSON that is written already."""

    def __init__(self, text: str) -> None:
        self.text = text


_KEYWORDS = {None: "null", True: "true", False: "false"}


def _float_text(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _has_lone_surrogate(text: str) -> bool:
    """Return whether text has half of a surrogate pair. Two halves are a character in JSON."""
    try:
        text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return True
    return False


def _is_fault_of_record(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, MemoryError | RetryableError)


def _describe(error: BaseException) -> str:
    """Return the type and the text of an error, whose `__str__` may raise too."""
    text = type(error).__name__
    with suppress(Exception):
        text = f"{text}: {error}"
    return text[:_MAX_PATH].encode("utf-8", "backslashreplace").decode()


def _label(key: object) -> str:
    """Return the part of a path that a key or index is."""
    if key is _NO_KEY:
        return ""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{_show(key)}]"


def _show(key: object) -> str:
    """Return the `repr` of a key, which may be long."""
    text = repr(key)
    return text if len(text) <= _MAX_KEY else f"{text[:_MAX_KEY]}..."


def _not_json(value: object) -> str:
    return f"object of type {type(value).__name__!r} is not JSON serializable"


def _iter_list(values: Iterable[object]) -> Iterator[tuple[str, int, object]]:
    for index, value in enumerate(values):
        yield "," if index else "", index, value


def _iter_dict(values: dict[Any, object]) -> Iterator[tuple[str, object, object]]:
    """Return the entries. Checks that no two keys are the same text, such as `1` and `"1"`.

    Readers of JSON keep one of the two, or fail.
    """
    keys: dict[str, object] = {}
    separator = ""
    for key, value in values.items():
        text = key if isinstance(key, str) else _key_text(key)
        if text in keys:
            msg = f"it has the keys {_show(keys[text])} and {_show(key)}, which are the same in "
            msg += "JSON; use text for all keys"
            raise _ProblemError(msg)
        keys[text] = key
        yield f"{separator}{encode_basestring_ascii(text)}:", key, value
        separator = ","


def _key_text(key: object) -> str:
    """Return the text of a key that is none, as `json.dumps` does."""
    if key is None or key is True or key is False:
        return _KEYWORDS[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return _float_text(key)
    msg = f"keys must be str, int, float, bool or None, not {type(key).__name__}: {_show(key)}; "
    msg += "convert them before submit: default= is for values"
    raise _ProblemError(msg)
