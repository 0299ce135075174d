"""Partitions: the Hive-style path of each record, from a template, with escaped values.

Hive, Spark and Athena must read the values back. Records can choose a value, but never leave the
folder: see `escape_value`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from itertools import repeat
from math import isinf
from typing import Any, TypedDict, cast
from urllib.parse import quote_from_bytes

import msgspec
import orjson

from batcher.records.chunk import Chunk
from batcher.records.columns import ConstantColumn
from batcher.records.json_text import find_non_utf8, iter_shallow

DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"

MAX_VALUE_BYTES = 128
"""Size of the longest value. Longer ones are cut to `KEPT_VALUE_BYTES`, `~` and a digest."""

KEPT_VALUE_BYTES = 96

DIGEST_DIGITS = 16

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

_LITERAL = re.compile(r"[A-Za-z0-9._\-=/]*")

_QUOTE = ord('"')

_DIRECTIVE = re.compile(r"%(.?)")

_DIRECTIVE_UNITS_S = {
    "S": 1,
    "M": 60,
    "H": 3600,
    **dict.fromkeys("YymdjGVuUW", 86_400),
    "%": 86_400,
}
"""The directives of an arrival format, none of which depends on a locale, and their units."""

_SAMPLE = datetime(2026, 12, 30, 23, 59, 59, tzinfo=UTC)
"""A time for which every directive has its full width."""


class PartitionTemplate:
    """A parsed `partition_by` setting: literals, arrival times and record fields."""

    def __init__(self, text: str) -> None:
        """Parse `text`, for which `find_faults` must have returned nothing."""
        pieces = _PLACEHOLDER.split(text.strip("/"))
        self._literals = pieces[::2]
        self._formats: list[str | None] = []
        self._paths: list[list[str]] = []
        for placeholder in pieces[1::2]:
            kind, _, argument = placeholder.partition(":")
            self._formats.append(argument if kind == "arrival" else None)
            if kind == "field":
                self._paths.append(argument.split("."))
        self._unit_s = min(
            (_DIRECTIVE_UNITS_S[d] for f in self._formats if f for d in _DIRECTIVE.findall(f)),
            default=None,
        )
        """The shortest unit of time, in seconds, that the path depends on."""

    @staticmethod
    def find_faults(text: str) -> list[str]:
        """Return the errors of a template, as messages for the user. An empty list means valid."""
        pieces = _PLACEHOLDER.split(text)
        found = [
            f"{literal!r}: only A-Za-z0-9._-=/ are allowed outside placeholders"
            for literal in pieces[::2]
            if not _LITERAL.fullmatch(literal)
        ]
        for placeholder in pieces[1::2]:
            kind, _, argument = placeholder.partition(":")
            if kind == "arrival":
                directives = _DIRECTIVE.findall(argument)
                if not directives or not all(d in _DIRECTIVE_UNITS_S for d in directives):
                    found.append(f"{{{placeholder}}}: use directives such as %Y %m %d %H %M %S %j")
                elif not _LITERAL.fullmatch(_DIRECTIVE.sub("", argument)):
                    found.append(
                        f"{{{placeholder}}}: only A-Za-z0-9._-=/ are allowed besides directives"
                    )
            elif kind != "field" or "" in argument.split("."):
                found.append(f"{{{placeholder}}}: use {{arrival:%Y-%m-%d}} or {{field:name}}")
        folders = _PLACEHOLDER.sub(_fill_example, text.strip("/")).split("/")
        if text and any(folder in {"", ".", ".."} for folder in folders):
            found.append(f"{text!r} has an empty, '.' or '..' folder; remove it")
        return found

    @property
    def is_first_folder_safe(self) -> bool:
        """Whether no record can choose a first folder that batcher uses itself.

        Reserved are names directly under `root` that start with `_` or have only 0 and 1 (salts).
        """
        start = self._literals[0]
        if not start:
            return not self._formats or (self._formats[0] or "").startswith("%Y")
        return not start.startswith("_") and not set(start.partition("/")[0]) <= {"0", "1"}

    @property
    def has_fields(self) -> bool:
        """Whether the partition of a record depends on its fields."""
        return bool(self._paths)

    @property
    def fields(self) -> list[str]:
        """The fields of a record that its partition depends on, such as `customer.id`."""
        return [".".join(path) for path in self._paths]

    @property
    def max_bytes(self) -> int:
        """Size of the longest partition."""
        formats = (len(_SAMPLE.strftime(f)) for f in self._formats if f is not None)
        return sum(map(len, self._literals)) + sum(formats) + MAX_VALUE_BYTES * len(self._paths)

    def split(self, chunk: Chunk) -> list[tuple[str, Chunk]]:
        """Return the records of a chunk by partition, in their order.

        Without record fields, no code runs per record unless the chunk spans two units of time.
        """
        if not len(chunk):
            return []
        if not self.has_fields:
            units = self._time_units(chunk)
            if units is None:
                return [(self._render(chunk.arrivals_s[0], ()), chunk)]
            paths: Sequence[str] = self._render_units(units, repeat(()))
        else:
            units = self._time_units(chunk) or ConstantColumn(chunk.arrivals_s[0], len(chunk))
            paths = self._render_units(units, map(self._field_values, chunk.payloads))
        groups: dict[str, list[int]] = {}
        for index, path in enumerate(paths):
            groups.setdefault(path, []).append(index)
        if len(groups) == 1:
            return [(paths[0], chunk)]
        return [(path, chunk.take(indices)) for path, indices in groups.items()]

    def _time_units(self, chunk: Chunk) -> Sequence[float] | None:
        """Return the start of each record's unit of time, or None if all records share one."""
        unit_s = self._unit_s
        if unit_s is None or chunk.oldest_arrival_s // unit_s == chunk.newest_arrival_s // unit_s:
            return None
        return [t // unit_s * unit_s for t in chunk.arrivals_s]

    def _render_units(self, units: Sequence[float], values: Any) -> list[str]:  # noqa: ANN401
        """Return the path of each record. Equal times and values are rendered once."""
        rendered: dict[tuple[float, tuple[str, ...]], str] = {}
        paths = []
        for arguments in zip(units, values, strict=False):
            path = rendered.get(arguments)
            if path is None:
                path = rendered[arguments] = self._render(*arguments)
            paths.append(path)
        return paths

    def _render(self, arrival_s: float, values: tuple[str, ...]) -> str:
        """Return the path for one time and the escaped fields of one record."""
        if not self._formats:
            return self._literals[0]
        arrival = datetime.fromtimestamp(arrival_s, UTC)
        fields = iter(values)
        parts = [self._literals[0]]
        for fmt, literal in zip(self._formats, self._literals[1:], strict=True):
            parts += [next(fields) if fmt is None else arrival.strftime(fmt), literal]
        return "".join(parts)

    def _field_values(self, payload: bytes | str) -> tuple[str, ...]:
        """Return the escaped fields of a record. A missing field is the default partition."""
        if (
            isinstance(payload, bytes)
            and not payload.isascii()
            and find_non_utf8(payload) is not None
        ):
            return (DEFAULT_PARTITION,) * len(self._paths)  # not JSON, which only lines may be
        found = self._fields.find(payload)
        return tuple([DEFAULT_PARTITION if raw is None else _escape_json(raw) for raw in found])

    @cached_property
    def _fields(self) -> _FieldFinder:
        return _FieldFinder(self._paths)


class _FieldFinder:
    """Finds the fields at some paths of a record, as JSON. All other values are skipped.

    It finds what a parser finds: of equal names the last counts, and names can have escapes.
    """

    def __init__(self, paths: Sequence[Sequence[str]]) -> None:
        """Prepare to find paths of at least one name each."""
        self._decode = _make_decoder([path[0] for path in paths])
        self._paths = [
            (path[0], [(name, _make_decoder([name])) for name in path[1:]]) for path in paths
        ]

    def find(self, payload: bytes | str) -> list[msgspec.Raw | None]:
        """Return the JSON of each path, or None if the payload has none."""
        fields = _decode_fields(self._decode, payload)
        found = []
        for first_name, steps in self._paths:
            raw = fields.get(first_name)
            for name, decode in steps:
                if raw is None:
                    break
                raw = _decode_fields(decode, raw).get(name)
            found.append(raw)
        return found


_Decode = Callable[[bytes | str | msgspec.Raw], dict[str, msgspec.Raw]]


def _make_decoder(names: Sequence[str]) -> _Decode:
    """Return a function that decodes these fields of an object, and skips all others."""
    known = [name for name in names if _is_in_json(name)]
    # A TypedDict, because the names of a Struct cannot have quotes
    wanted = TypedDict("wanted", dict.fromkeys(known, msgspec.Raw), total=False)  # type: ignore[misc]
    return cast("_Decode", msgspec.json.Decoder(wanted).decode)


def _decode_fields(
    decode: _Decode, payload: bytes | str | msgspec.Raw
) -> Mapping[str, msgspec.Raw]:
    """Return the fields that `decode` finds: none if the payload is no object, or no JSON."""
    try:
        try:
            return decode(payload)
        except RecursionError:  # a skipped value is nested deeper than Python's stack
            raw = payload.encode() if isinstance(payload, str) else bytes(payload)
            *_, outermost = iter_shallow(raw)
            return decode(outermost)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}


def _is_in_json(name: str) -> bool:
    """Return whether JSON can have this name: not with a lone surrogate.

    msgspec 0.23 finds a name that is not ASCII only if Python has cached its UTF-8. This does it.
    """
    try:
        msgspec.json.encode(name)
    except UnicodeEncodeError:
        return False
    return True


def _escape_json(raw: msgspec.Raw) -> str:
    """Return the JSON of a field as `escape_value` does. Objects and arrays are not built."""
    text = bytes(raw)
    if text[0] in b"[{":
        return DEFAULT_PARTITION
    if text[0] == _QUOTE and b"\\" not in text:
        return _escape_utf8(text[1:-1])
    value: object = 0.0
    with suppress(orjson.JSONDecodeError):  # 1e999
        value = orjson.loads(text)
    # orjson reads integers over 64 bits as doubles
    return escape_value(_load_exactly(text) if type(value) is float else value)


def escape_value(value: object) -> str:
    """Return a value of a record in the form that Hive and Spark decode in a key.

    Objects and arrays are no values of a partition: they have the default one, like null.
    The result has only `A-Za-z0-9._-`, `%` and `~`, is at most 128 bytes long, and is never `.`,
    `..` or empty. So a record chooses its partition, but cannot leave the partitioned folders.
    """
    if value is None or isinstance(value, dict | list):
        return DEFAULT_PARTITION
    text = value if isinstance(value, str) else _scalar_to_json(value)
    return _escape_utf8(text.encode("utf-8", "surrogatepass"))


def _escape_utf8(text: bytes) -> str:
    if text in {b"", b".", b".."}:
        return DEFAULT_PARTITION
    encoded = _percent_encode(text[: MAX_VALUE_BYTES + 1])  # of a longer value, no more is needed
    if len(encoded) <= MAX_VALUE_BYTES:
        return encoded
    digest = hashlib.sha256(text).hexdigest()
    return f"{encoded[:KEPT_VALUE_BYTES]}~{digest[:DIGEST_DIGITS]}"


def percent_encode(text: str) -> str:
    """Percent-encode all characters but `A-Za-z0-9._-`.

    `~` is encoded too, although `quote` keeps it, because it separates a digest from a cut value.
    """
    return _percent_encode(text.encode("utf-8", "surrogatepass"))


def _percent_encode(text: bytes) -> str:
    return quote_from_bytes(text, "").replace("~", "%7E")


def _fill_example(placeholder: re.Match[str]) -> str:
    """Replace a placeholder by an example, to check the folders around it."""
    kind, _, argument = placeholder[1].partition(":")
    return _DIRECTIVE.sub("x", argument) if kind == "arrival" else "x"


def _scalar_to_json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # an integer over 64 bits
        return json.dumps(value)


def _load_exactly(payload: bytes) -> object:
    """Parse JSON exactly. A number that Python cannot hold stays text."""
    return json.loads(payload, parse_float=_parse_float, parse_int=_parse_int)


def _parse_float(text: str) -> float | str:
    value = float(text)
    return text if isinf(value) else value


def _parse_int(text: str) -> int | str:
    return int(text) if len(text) <= MAX_VALUE_BYTES else text
