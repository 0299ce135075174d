"""Columns: what is declared is read, what is wrong is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import SettingsError
from batcher.tools.ddl.columns import (
    ArrayType,
    ColumnType,
    ScalarType,
    StructType,
    TableColumn,
    parse_columns,
)

SCALARS = st.sampled_from(["boolean", "int", "bigint", "double", "string"]).map(ScalarType)
WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


def unique(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Return lists of names that no engine takes for one another."""
    return st.lists(names, min_size=1, max_size=4, unique_by=str.lower)


def structs(types: st.SearchStrategy[ColumnType]) -> st.SearchStrategy[ColumnType]:
    """Return structs of these types."""
    return unique(WORDS).flatmap(
        lambda names: st.tuples(*(st.tuples(st.just(name), types) for name in names)).map(
            StructType
        )
    )


TYPES: st.SearchStrategy[ColumnType] = st.recursive(
    SCALARS, lambda types: st.one_of(types.map(ArrayType), structs(types)), max_leaves=6
)


def written(kind: ColumnType) -> str:
    """Write a type as a user would."""
    match kind:
        case ArrayType(item):
            return f"array< {written(item)} >"
        case StructType(fields):
            return f"struct<{' , '.join(f'{name}:{written(t)}' for name, t in fields)}>"
        case ScalarType(name):
            return name.upper()


@given(unique(NAMES), st.data(), st.sampled_from('"`'))
def test_declared_columns_are_parsed(names: list[str], data: st.DataObject, quote: str) -> None:
    """Any name in quotes, any type in any type."""
    columns = tuple(TableColumn(name, data.draw(TYPES)) for name in names)
    text = ", ".join(
        f"{quote}{c.name.replace(quote, quote * 2)}{quote} {written(c.type)}" for c in columns
    )
    assert parse_columns(text) == columns


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a name, found the end"),
        ("user", "expected a word, found the end"),
        ("user text", "expected a type: boolean, int, bigint, double, string, array"),
        ("user bigint action string", r"expected ',' or the end, found 'action string'"),
        ("user array bigint", "expected '<', found 'bigint'"),
        ("user array<bigint", "expected '>', found the end"),
        ("user struct<a bigint>", "expected ':'"),
        ("user struct<'a':bigint>", "expected a word"),
        ("user struct<a:int,A:int>", "duplicate name 'a'"),
        ("user int, USER int", "duplicate name 'user'"),
        ('"a\nb" int', "printable"),
        ("user int,", "expected a name, found the end"),
        ("a int; DROP TABLE x", "expected ',' or the end"),
    ],
)
def test_a_syntax_error_is_shown_where_it_is(text: str, says: str) -> None:
    """As a fault of the settings, which the command line tells."""
    with pytest.raises(SettingsError, match=says):
        parse_columns(text)
