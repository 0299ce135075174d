"""Sample: types are inferred with care; duckdb reads every sample by them without a loss."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import SettingsError
from batcher.tools.ddl.columns import (
    STRING,
    ArrayType,
    ColumnType,
    ScalarType,
    StructType,
    TableColumn,
    infer_columns,
    parse_columns,
    require_distinct,
)


def inferred(*records: object) -> dict[str, ColumnType]:
    """Return each column's type."""
    return {column.name: column.type for column in infer_columns(map(orjson.dumps, records))}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, -(2**63)], "bigint"),
        ([1, 2.5], "double"),
        ([2**63], "double"),
        ([True, None], "boolean"),
        ([True, 1], "string"),
        (["x", 1], "string"),
        ([None], "string"),
        ([[1], [], [None, 2.5]], "array<double>"),
        ([[]], "array<string>"),
        ([[1, "x"]], "array<string>"),
        ([[1], 1], "string"),
        ([{"a": None}, {"a": 1, "b": [None]}, {}], "string"),
        ([{"a": None}, {"a": 1, "b": [None]}], "struct<a:bigint,b:array<string>>"),
        ([{"a": 1}, {"a": "x"}], "struct<a:string>"),
        ([{"a-b": 1}], "string"),
        ([{"a": 1}, {"A": 1}], "string"),
        ([{f"k{n}": 1 for n in range(101)}], "string"),
        ([{f"k{n}": 1 for n in range(100)}, {"other": 1}], "string"),
    ],
)
def test_a_type_holds_all_values_that_were_seen(values: list[object], kind: str) -> None:
    """What disagrees, or cannot be named, is a string."""
    (column,) = parse_columns(f"c {kind}")
    assert inferred(*({"c": value} for value in values)) == {"c": column.type}


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        (["9007199254740993"], "bigint"),
        (["9007199254740993", "1"], "bigint"),
        (["1", "9007199254740993"], "bigint"),
        (["9007199254740992", "0.5"], "double"),
        (["9007199254740993", "0.5"], "string"),
        (["0.5", "1", "9007199254740993"], "string"),
        (["18446744073709551615"], "string"),
        (["18446744073709551616"], "double"),
        (["9" * 5_000], "string"),
        (["0.1234567890123456789"], "string"),
        (
            ["1.7976931348623157e308", "5e-324", "0.1", "1e22", "-0.0", "1.50000000000000000000"],
            "double",
        ),
        (["1e400"], "string"),
        (["1e-400"], "string"),
        (["1e99999999999999999999999"], "string"),
        (["0e99999999999999999999999"], "string"),
    ],
)
def test_no_number_loses_digits(numbers: list[str], kind: str) -> None:
    """A double that would round one of them is no type for the column; the text is."""
    for value, wanted in [
        ("%s", kind),
        ("[%s]", f"array<{kind}>"),
        ('{"x":%s}', f"struct<x:{kind}>"),
    ]:
        lines = [f'{{"c":{value % number}}}'.encode() for number in numbers]
        assert infer_columns(lines) == parse_columns(f"c {wanted}")


def test_only_objects_count() -> None:
    """Other records, and what is no JSON, have no fields."""
    assert infer_columns([b"null", b"[1]", b"5", b"not json", b"", b'{"a":1}']) == (
        TableColumn("a", ScalarType("bigint")),
    )
    assert infer_columns([b"1"]) == ()


def test_names_that_differ_in_case_alone_are_one_column() -> None:
    """The first; unprintable and empty ones are none."""
    assert inferred({"userId": 1}, {"USERID": "x", "": 1, "a\nb": 1}) == {
        "userId": ScalarType("bigint")
    }


def test_a_deeply_nested_value_is_a_string() -> None:
    """So that no record makes a type without end."""
    value: Any = 1
    for _ in range(100):
        value = [value]
    kind, depth = inferred({"c": value})["c"], 0
    while isinstance(kind, ArrayType):
        kind, depth = kind.item, depth + 1
    assert (kind, depth) == (STRING, 15)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**64), 2**64), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("abA-"), inner)),
    max_leaves=8,
)


def fits(value: Any, kind: ColumnType) -> bool:  # noqa: ANN401
    """Return whether a column of this type can hold the value."""
    match kind:
        case ScalarType("string"):
            return True
        case ScalarType("boolean"):
            return value is None or isinstance(value, bool)
        case ScalarType("bigint"):
            return value is None or (type(value) is int and -(2**63) <= value < 2**63)
        case ScalarType("double"):
            return value is None or type(value) in {int, float}
        case ArrayType(item):
            return value is None or (type(value) is list and all(fits(v, item) for v in value))
        case StructType(fields):
            known = dict(fields)
            return value is None or (
                value.keys() <= known.keys() and all(fits(v, known[k]) for k, v in value.items())
            )
    raise AssertionError(kind)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES), max_size=5))
def test_every_record_of_the_sample_fits(records: list[dict[str, Any]]) -> None:
    """Whatever they are, in whatever order they come."""
    lines = []
    for record in records:
        try:
            lines.append(orjson.dumps(record))
        except TypeError:  # a whole number that orjson does not write
            return
    kinds = {column.name: column.type for column in infer_columns(lines)}
    for line in lines:
        for name, value in orjson.loads(line).items():
            assert fits(value, kinds[name])


def test_names_that_are_values_are_no_columns() -> None:
    """A million columns are no table; the message says what to do."""
    lines = [orjson.dumps({f"k{n}": n}) for n in range(1_001)]
    assert len(infer_columns(lines[:-1])) == 1_000
    with pytest.raises(SettingsError, match=r"more than 1,000 different fields; .* --columns"):
        infer_columns(lines)


def test_many_names_are_checked_in_one_pass() -> None:
    """Counting each would take minutes."""
    columns = [TableColumn(f"k{n}", STRING) for n in range(50_000)]
    assert require_distinct(columns) == tuple(columns)
