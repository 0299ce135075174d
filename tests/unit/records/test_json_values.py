"""JSON values: what is written for values that JSON lacks."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pydantic
import pytest

from batcher.batching.validation import validate
from batcher.records.payload import to_payload
from support.examples import make_chunk

BIG = 2**70
"""Beside an integer over 64 bits, a record is written value by value instead of by orjson."""


class Money(Decimal):
    """A subclass with a text of its own."""

    def __str__(self) -> str:
        return f"{self:.2f} EUR"


class Moment(datetime):
    """As pandas and pendulum have them."""


class Id(uuid.UUID):
    """As uuid6 has them."""


class Zone(tzinfo):
    """A time zone of a class that orjson does not know."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta:  # noqa: ARG002  # as declared
        """Return one hour."""
        return timedelta(hours=1)

    def tzname(self, moment: datetime | None, /) -> str:  # noqa: ARG002  # as declared
        """Return a name."""
        return "Zone"

    def dst(self, moment: datetime | None, /) -> None:
        """Return that nothing is known."""


class NoZone(Zone):
    """A time zone that knows no offset: its times are naive."""

    def utcoffset(self, moment: datetime | None, /) -> None:  # type: ignore[override]
        """Return that there is none."""


class BrokenZone(Zone):
    """A time zone that fails, as pytz does near the year 9999."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta:
        """Raise."""
        raise OverflowError(moment)


class Price(Enum):
    """An enum whose value JSON lacks."""

    LOW = Decimal("0.10")


@dataclass
class Order:
    """Its cached property is written, as orjson does, once it is there."""

    total: object
    _hidden: object = None

    @cached_property
    def double(self) -> object:
        """Return twice the total."""
        return [self.total, self.total]


@dataclass
class SlottedOrder:
    """A dataclass without a dict."""

    __slots__ = ("_hidden", "total")
    total: object
    _hidden: object


Point = namedtuple("Point", "x y")  # noqa: PYI024  # both kinds are the same at run time


class Model(pydantic.BaseModel):
    """A model of pydantic 2."""

    at: datetime
    price: Decimal
    tags: set[str] = set()
    extra: Any = None


AT = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
DAY = "2026-11-23T07:30:00"

WRITTEN: list[tuple[Any, str]] = [
    (Decimal("1.10"), "1.10"),
    (Decimal("-0.00"), "-0.00"),
    (Decimal("1E+400"), "1E+400"),
    (
        Decimal("123456789012345678901234567890.123456789"),
        "123456789012345678901234567890.123456789",
    ),
    (Money("2.5"), "2.5"),
    (Price.LOW, "0.10"),
    (AT, f'"{DAY}+00:00"'),
    (AT.replace(tzinfo=None), f'"{DAY}"'),
    (AT.replace(tzinfo=Zone()), f'"{DAY}+01:00"'),
    (AT.replace(tzinfo=NoZone()), f'"{DAY}"'),
    (AT.replace(tzinfo=timezone(timedelta(hours=-3))), f'"{DAY}-03:00"'),
    (Moment(2026, 11, 23, 7, 30), f'"{DAY}"'),
    (date(2026, 11, 23), '"2026-11-23"'),
    (time(7, 30), '"07:30:00"'),
    (time(7, 30, tzinfo=UTC), '"07:30:00+00:00"'),
    (uuid.UUID(int=7), '"00000000-0000-0000-0000-000000000007"'),
    (Id(int=7), '"00000000-0000-0000-0000-000000000007"'),
    (PurePosixPath("/a/b"), '"/a/b"'),
    ({"b", "c", "a"}, '["a","b","c"]'),
    (frozenset({10, 9}), "[9,10]"),
    ({Decimal(2), Decimal(1)}, "[1,2]"),
    (Point(1, Decimal(2)), "[1,2]"),
    (MappingProxyType({"a": Decimal(1)}), '{"a":1}'),
    (OrderedDict(a=Decimal(1)), '{"a":1}'),
    (Order(Decimal(1), object()), '{"total":1}'),
    (SlottedOrder(Decimal(1), object()), '{"total":1}'),
    (np.float64(0.1), "0.1"),
    (np.float32(0.1), "0.1"),
    (np.int8(-3), "-3"),
    (np.uint64(2**64 - 1), "18446744073709551615"),
    (np.bool_(1), "true"),
    (np.str_("a"), '"a"'),
    (np.datetime64("2026-11-23T07:30:00.000000001"), f'"{DAY}.000000001"'),
    (np.datetime64("2026-11-23"), '"2026-11-23"'),
    (np.array([["2026-11-23"]], "M8[D]"), '[["2026-11-23"]]'),
    (np.array(["2026-11-23"], ">M8[s]"), '["2026-11-23T00:00:00"]'),
    (np.arange(6, dtype="i2").reshape(2, 3), "[[0,1,2],[3,4,5]]"),
    (np.arange(6, dtype="f4")[::2] / np.float32(10), "[0.0,0.2,0.4]"),
    (np.array([0.1], ">f4"), "[0.1]"),
    (np.asfortranarray(np.array([[1, 2], [3, 4]])), "[[1,2],[3,4]]"),
    (np.array(7), "7"),
    (np.array([]), "[]"),
    (np.array(["a", "b"]), '["a","b"]'),
    (np.array([None, Decimal(1), {1}], object), "[null,1,[1]]"),
    (np.ma.masked_array([1, 2], [False, True]), "[1,null]"),
    (
        Model(at=AT, price=Decimal("1.10"), tags={"a"}),
        f'{{"at":"{DAY}Z","price":"1.10","tags":["a"],"extra":null}}',
    ),
    ([{"a": (Decimal(1), [AT])}], f'[{{"a":[1,["{DAY}+00:00"]]}}]'),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN, ids=map(str, range(len(WRITTEN))))
@pytest.mark.parametrize("beside", [0, None, BIG])
def test_values_that_json_lacks_are_written(value: Any, text: str, beside: object) -> None:  # noqa: ANN401
    """The same beside what orjson writes, beside null, and beside what it does not write."""
    payload = to_payload({"n": beside, "x": value})
    assert payload == b'{"n":%s,"x":%s}' % (json.dumps(beside).encode(), text.encode())


@pytest.mark.parametrize(
    "record",
    [
        Model(at=AT, price=Decimal("1.10")),
        Order(Decimal(1)),
        SlottedOrder(1, 2),
        MappingProxyType({"a": Decimal(1)}),
    ],
)
def test_a_record_is_a_mapping_a_dataclass_or_a_model(record: object) -> None:
    """It is written as it is within a dict."""
    assert b'{"x":%s}' % to_payload(record) == to_payload({"x": record})


def test_a_model_of_pydantic_is_written_as_it_writes_itself() -> None:
    """By its own rules, also for values that batcher writes in another form."""
    model = Model(at=AT, price=Decimal("1.10"), tags={"a"}, extra=[timedelta(1), b"a"])
    assert to_payload(model) == model.model_dump_json().encode()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="pydantic 1 does not run there")
def test_a_model_of_pydantic_1_is_written_too() -> None:
    """At any depth, and infinity in it is bad."""
    from pydantic import v1  # noqa: PLC0415  # it warns where it does not run

    class OldModel(v1.BaseModel):
        at: datetime
        share: float

    model = OldModel(at=AT, share=0.5)
    assert to_payload(model) == b'{"at":"%s+00:00","share":0.5}' % DAY.encode()
    assert to_payload({"x": [model]}) == b'{"x":[%s]}' % to_payload(model)
    assert b"Infinity" in to_payload(OldModel(at=AT, share=float("inf")))


def test_the_cached_property_of_a_dataclass_is_written_everywhere_or_nowhere() -> None:
    """An integer over 64 bits does not change what is beside it."""
    order = Order(1)
    assert order.double == [1, 1]
    assert to_payload({"n": BIG, "x": order}) == b'{"n":%d,"x":{"total":1,"double":[1,1]}}' % BIG
    assert to_payload({"n": 1, "x": order}) == b'{"n":1,"x":{"total":1,"double":[1,1]}}'


@pytest.mark.parametrize(
    "value",
    [
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        np.float32("nan"),
        np.array([[1.0, np.inf]]),
        np.array([np.nan, 1], "f4")[::-1],
        np.datetime64("NaT"),
        np.array(["2026-11-23", "NaT"], "M8[D]"),
        Point(float("nan"), 1),
    ],
)
def test_nan_is_bad_in_values_that_json_lacks_too(value: object) -> None:
    """It is never turned into null. The detail names the field."""
    checked = validate(make_chunk(to_payload({"x": value})), is_json=True, max_bytes=1_000)
    assert len(checked.good) == 0
    (bad,) = checked.bad
    assert bad.detail.startswith("not one JSON value: x")
    assert bad.detail.endswith("is not JSON")


@pytest.mark.parametrize(
    "value",
    [
        timedelta(1),
        b"a",
        1j,
        object(),
        int,
        np.longdouble(1),
        np.complex64(1),
        np.timedelta64(1),
        np.zeros(1, "i4,i4"),
        iter([1]),
    ],
)
def test_what_has_several_forms_or_none_is_left_to_the_user(value: object) -> None:
    """Seconds or ISO 8601, base64 or text: batcher does not guess."""
    with pytest.raises(TypeError, match=r"^x\[0\]: object of type '.*' is not JSON serializable"):
        to_payload({"x": [value]})
    assert to_payload({"x": [value]}, lambda _: "y") == b'{"x":["y"]}'


@pytest.mark.parametrize("beside", [0, None, BIG])
@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (AT.replace(tzinfo=BrokenZone()), OverflowError),
        (object.__new__(SlottedOrder), AttributeError),
    ],
)
def test_a_value_that_cannot_be_read_is_named(
    value: object, cause: type[Exception], beside: object
) -> None:
    """If orjson read such a value itself, it would end the process by a segmentation fault."""
    name = type(value).__name__
    for record in [{"n": beside, "x": [value]}, {"n": beside, "x": [[{"y": value}]]}]:
        with pytest.raises(TypeError, match=rf"^x\[0\].* '{name}' raised {cause.__name__}") as e:
            to_payload(record)
        assert isinstance(e.value.__cause__, cause)


def test_what_pydantic_does_not_know_in_a_model_is_converted() -> None:
    """By the same rules as elsewhere, and by the user's function."""
    model = Model(at=AT, price=Decimal(1), extra=[np.arange(2), Zone()])
    with pytest.raises(TypeError, match=r"x: object of type 'Model' raised .*'Zone' is not JSON"):
        to_payload({"x": model})
    written = json.loads(to_payload({"x": model}, lambda _: "y"))
    assert written["x"]["extra"] == [[0, 1], "y"]


def test_no_package_is_imported_to_convert_a_value() -> None:
    """A program that does not use numpy does not wait for its import."""
    program = """
import sys, batcher.batching.validation
from batcher.records.payload import to_payload
before = {*sys.modules}
to_payload({"x": {1}, "y": [object()], "n": 2**70}, lambda value: "y")
added = {name for name in {*sys.modules} - before if not name.startswith("batcher.")}
assert not added, added
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], check=False)  # noqa: S603
    assert done.returncode == 0
