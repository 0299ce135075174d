"""The programs for a sample read the sample: every value of every column, with all its digits."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.cli import main
from batcher.tools.ddl.columns import infer_columns
from batcher.tools.ddl.duckdb import duckdb_view
from batcher.tools.ddl.pyarrow import pyarrow_program
from integration.tools.ddl.written_days import described, settings_of, write

SAMPLES: dict[str, list[bytes]] = {
    "mixed": [b'{"a":1}', b'{"a":"x"}', b'{"a":true}', b'{"a":[1,"y",{"b":null}]}', b'{"a":null}'],
    "only null": [b'{"a":null,"b":1}', b'{"a":null}'],
    "empty struct": [b'{"a":{}}', b'{"a":{},"b":[]}', b'{"b":[[]]}'],
    "absent": [b'{"a":1}', b'{"b":"x"}', b"{}"],
    "large integers": [b'{"a":9007199254740993,"b":9223372036854775807}', b'{"a":1,"b":-1}'],
    "integers over 64 bits": [b'{"a":18446744073709551615,"b":123456789012345678901234567890}'],
    "powers of two": [b'{"a":9223372036854775808}', b'{"a":-9223372036854775809,"b":1e3}'],
    "an integer and a double": [b'{"a":9007199254740993}', b'{"a":0.5}'],
    "decimals": [b'{"a":0.1234567890123456789,"b":12345678901234567.25,"c":1.10}', b'{"a":0.5}'],
    "huge doubles": [b'{"a":1e400,"b":-1E+999,"c":1e-400,"d":5e-324}'],
    "doubles": [b'{"a":0.1,"b":1e22,"c":-0.0,"d":1.7976931348623157e308}', b'{"a":3}'],
    "nested": [b'{"a":{"b":[{"c":9007199254740993}]}}', b'{"a":{"b":[{"c":0.5},{"d":null}]}}'],
    "arrays": [b'{"a":[1,2.5,null]}', b'{"a":[]}', b'{"b":[[1],["x"]],"c":[{"x":1},5]}'],
    "names": [b'{"a b":1,"c.d":{"e-f":2},"select":3,"\\u00e9":4,"a\\"b`":5,"$x":6,"x\'y":7}'],
    "structs of any names": [b'{"a":{"b":1,"B":2}}', b'{"a":{"b":1}}'],
    "text": [b'{"a":"2026-11-23T00:00:00Z","b":"1","c":"\\u0000\\u2028\\"\\\\","d":"NULL"}'],
    "spaces": [b'{ "a" : { "b" : [ 1 , "x" ] } , "c":[ {} , 1 ] }'],
    "no objects": [b'{"a":1}', b"5", b"null", b'"x"', b"[1]"],
    "two spellings": [b'{"userId":1}', b'{"userid":"x"}', b'{"USERID":[1],"userId":2}'],
    "booleans": [b'{"a":true}', b'{"a":null}', b'{"a":false}'],
}


def exact(text: bytes, *, rounded: bool = False) -> Any:  # noqa: ANN401  # any JSON
    """Return a value with all digits of its numbers, or those of doubles: see duckdb's note."""
    parse_float = _round if rounded else Decimal
    return json.loads(text, parse_float=parse_float, parse_int=Decimal)


def _round(text: str) -> Decimal:
    return Decimal(repr(float(text))) if math.isfinite(float(text)) else Decimal(text)


def same(found: object, expected: object) -> bool:  # a case each
    """Return whether a value that was read is the one that was written, perhaps as JSON."""
    if isinstance(expected, str) and found == expected:
        return True
    if isinstance(found, str) and not isinstance(expected, str):
        return bool(exact(found.encode()) == expected)
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() <= found.keys() and all(
            same(value, expected.get(name)) for name, value in found.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, Decimal) and isinstance(found, int | float):
        is_number = not isinstance(found, bool) and math.isfinite(found)
        return is_number and expected in {Decimal(repr(found)), Decimal(found)}
    return found is expected  # None, True, False


async def read_both(folder: Path, lines: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """Write lines, and read them by the programs for the sample of them."""
    configured = settings_of(folder, fanout=1, partition_by="", compression="none")
    await write(configured, lines)
    table = described(configured, folder, columns=infer_columns(lines))
    scope: dict[str, Any] = {}
    exec(pyarrow_program(table).text, scope)  # noqa: S102
    with duckdb.connect() as database:
        database.execute(duckdb_view(table).text)
        result = database.execute("SELECT * FROM events")
        names = [column[0] for column in result.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return {"duckdb": rows, "pyarrow": scope["scan"]().read_all().to_pylist()}


def assert_same(found: list[dict[str, Any]], lines: list[bytes], *, rounded: bool) -> None:
    """Compare every value of every column, row by row."""
    columns = [column.name for column in infer_columns(lines)]
    assert len(found) == len(lines)
    for row, line in zip(found, lines, strict=True):
        record = exact(line, rounded=rounded)
        fields = record if isinstance(record, dict) else {}
        for name in columns:
            assert same(row[name], fields.get(name)), (name, row[name], line)


@pytest.mark.parametrize("engine", ["duckdb", "pyarrow"])
@pytest.mark.parametrize("name", SAMPLES)
async def test_a_sample_is_read_by_its_own_program(tmp_path: Path, name: str, engine: str) -> None:
    """No value is lost, rounded or refused."""
    found = await read_both(tmp_path, SAMPLES[name])
    assert_same(found[engine], SAMPLES[name], rounded=engine == "duckdb")


NUMBERS = st.one_of(
    st.integers(-(2**66), 2**66).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda n: f"{n:E}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5).map(json.dumps)
VALUES = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "false", "{}", "[]"]), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(st.sampled_from("abAé"), inner, max_size=3).map(
            lambda fields: "{" + ",".join(f'"{k}": {v}' for k, v in fields.items()) + "}"
        ),
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "long name"]), VALUES).map(
        lambda fields: ("{" + ",".join(f'"{k}":{v}' for k, v in fields.items()) + "}").encode()
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(lines=RECORDS)
@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_sample_is_read_by_its_own_program(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """By both engines."""
    if infer_columns(lines):
        found = await read_both(tmp_path_factory.mktemp("any"), lines)
        assert_same(found["pyarrow"], lines, rounded=False)
        assert_same(found["duckdb"], lines, rounded=True)


def test_fields_that_become_no_column_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason."""
    source = tmp_path / "in"
    source.write_text('{"userId":1,"":2}\n{"userid":"x","a\\u0007":1}\n')
    assert main(["ddl", "--engine", "duckdb", "s3://bucket/x", "--sample", str(source)]) == 0
    error = capsys.readouterr().err
    assert "note: the field 'userid' is no column: engines cannot tell it from 'userId'" in error
    assert error.count("the name is empty or has a character that cannot be printed") == 2


@pytest.mark.parametrize("engine", ["duckdb", "pyarrow"])
async def test_a_name_that_a_record_has_twice_is_read(tmp_path: Path, engine: str) -> None:
    """As text, whichever of its values an engine takes. The other records are as they were."""
    found = await read_both(tmp_path, [b'{"a":"x","a":1}', b'{"a":2,"b":{"c":1,"c":"y"}}'])
    first, second = found[engine]
    assert first["a"] in {"x", "1"}
    assert second["a"] == "2"
    assert second["b"]["c"] in {"1", "y"}


@pytest.mark.parametrize("engine", ["duckdb", "athena", "spark", "pyarrow"])
def test_the_bytes_that_stop_an_engine_are_named(
    engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of lines, which may have any bytes but newlines."""
    assert main(["ddl", "--engine", engine, "s3://bucket/x", "--format", "lines"]) == 0
    error = capsys.readouterr().err
    assert ("carriage return" in error) == (engine in {"duckdb", "athena"})
    assert ("(0x0D), a NUL (0x00), bytes that are not UTF-8" in error) == (engine == "duckdb")


async def test_pyarrow_reads_every_line(tmp_path: Path) -> None:
    """Of any bytes."""
    lines = [b"a\rb", b"\r", b"", b" ", b"\x00", b"\xff\xfe", b"\xef\xbb\xbfx", b'"', b"\x85"]
    configured = settings_of(tmp_path, fanout=1, partition_by="", format="lines")
    await write(configured, lines)
    scope: dict[str, Any] = {}
    exec(pyarrow_program(described(configured, tmp_path)).text, scope)  # noqa: S102
    assert scope["scan"]().read_all()["record"].to_pylist() == lines


async def test_pyarrow_names_a_value_that_its_column_cannot_hold(tmp_path: Path) -> None:
    """One that the sample did not have is an error, not null."""
    configured = settings_of(tmp_path, fanout=1, partition_by="", compression="none")
    await write(configured, [b'{"a":1}', b'{"a":"x"}'])
    table = described(configured, tmp_path, columns=infer_columns([b'{"a":1}']))
    scope: dict[str, Any] = {}
    exec(pyarrow_program(table).text, scope)  # noqa: S102
    with pytest.raises(ValueError, match='column a: "x" is not of type int64'):
        scope["scan"]().read_all()
