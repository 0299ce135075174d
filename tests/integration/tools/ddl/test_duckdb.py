"""duckdb: the view, run as it is printed, on what the Batcher wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from batcher.keys.partition import escape_value
from batcher.settings import Settings
from batcher.tools.ddl.columns import parse_columns
from batcher.tools.ddl.duckdb import duckdb_view
from batcher.tools.ddl.table import TableOptions, define_table
from integration.tools.ddl.written_days import (
    COLUMNS,
    DAY,
    ODD,
    OTHER_DAY,
    damage,
    described,
    salts_used,
    settings_of,
    write,
    write_day,
    write_guard,
)

OFFLINE: Any = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}


def rows(text: str, query: str) -> list[tuple[Any, ...]]:
    """Make the view and ask it."""
    with duckdb.connect(config=OFFLINE) as database:
        database.execute(text)
        return database.execute(query).fetchall()


def view(folder: Path, settings: Settings, **wanted: Any) -> str:  # noqa: ANN401
    """Write the view."""
    return duckdb_view(described(settings, folder, **wanted)).text


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_guard_has_no_rows(tmp_path: Path, compression: str) -> None:
    """An empty object, typed and untyped."""
    settings = settings_of(tmp_path, compression=compression)
    await write_day(settings)
    await write_guard(settings, tmp_path)
    for columns in ({}, {"columns": parse_columns(COLUMNS)}):
        text = view(tmp_path, settings, **columns)
        assert rows(text, "SELECT count(*) FROM events") == [(640,)]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_day_comes_back_as_it_went_in(tmp_path: Path, compression: str) -> None:
    """Its records and no others, through 16 salts, typed and untyped."""
    settings = settings_of(tmp_path, compression=compression)
    written = await write_day(settings)
    assert len(salts_used(tmp_path)) > 8
    records = rows(view(tmp_path, settings), "SELECT record FROM events WHERE dt = '2026-11-23'")
    assert sorted((orjson.loads(text) for (text,) in records), key=lambda r: r["n"]) == written
    typed = view(tmp_path, settings, columns=parse_columns(COLUMNS))
    query = "SELECT n, action, \"where\" FROM events WHERE dt = '2026-11-23' ORDER BY n"
    found = rows(typed, query)
    assert found == [(r["n"], r["action"], r["where"]) for r in written]
    (total,) = rows(typed, "SELECT count(*), count(n), min(n) FROM events")
    assert total == (640, 640, -1)


async def test_partitions_are_text_as_in_the_key(tmp_path: Path) -> None:
    """Each object's own, the salt among them."""
    settings = settings_of(tmp_path)
    await write_day(settings)
    found = rows(view(tmp_path, settings), "SELECT dt, hour, count(*) FROM events GROUP BY ALL")
    assert sorted(found) == [
        (OTHER_DAY, "23", 40),
        (DAY, "00", 300),
        (DAY, "07", 280),
        (DAY, "23", 20),
    ]
    salts = rows(view(tmp_path, settings), "SELECT DISTINCT salt FROM events")
    assert {salt for (salt,) in salts} == salts_used(tmp_path)


@pytest.mark.parametrize("columns", ["", COLUMNS])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*), min(dt) FROM events WHERE dt = '2026-11-23'",
        "SELECT count(*), min(dt) FROM events WHERE dt >= '2026-11-23'",
        "SELECT count(*), min(dt) FROM events WHERE dt > '2026-11-22' AND hour < '24'",
    ],
)
async def test_other_days_are_not_opened(tmp_path: Path, query: str, columns: str) -> None:
    """They are damaged: a query that asks for the day alone still succeeds."""
    settings = settings_of(tmp_path)
    await write_day(settings)
    text = view(tmp_path, settings, columns=parse_columns(columns) if columns else ())
    assert damage(tmp_path, OTHER_DAY) > 1
    assert rows(text, query) == [(600, DAY)]
    with pytest.raises(duckdb.Error, match=r"gz|GZIP"):
        rows(text, "SELECT count(*) FROM events WHERE dt < '2027-01-01'")


async def test_records_of_any_shape_are_rows(tmp_path: Path) -> None:
    """Without columns they are their text; with columns what does not fit is NULL."""
    settings = settings_of(tmp_path)
    await write(settings, ODD, a_batch=3)
    found = rows(view(tmp_path, settings), "SELECT record FROM events")
    assert sorted(text.encode() for (text,) in found) == sorted(ODD)
    typed = view(tmp_path, settings, columns=parse_columns("a bigint, salt string"))
    found = rows(typed, "SELECT a, salt, count(*) FROM events GROUP BY ALL ORDER BY ALL")
    assert found == [(1, "[]", 1), (1, None, 1), (None, None, 8)]
    assert rows(typed, "SELECT DISTINCT length(partition_salt) FROM events") == [(4,)]


async def test_lines_are_rows(tmp_path: Path) -> None:
    """As they are, whatever could be taken for CSV; empty ones are left out, as is noted."""
    settings = settings_of(tmp_path, format="lines", compression="zstd")
    lines = [b"plain", b'a,"b;c\td|e', b'"quoted"', b"\\esc", b"\x01\x02", b" sp ", b"#c", b"NULL"]
    await write(settings, [*lines, b"", b"z" * 3_000_000], a_batch=2)
    answer = duckdb_view(described(settings, tmp_path))
    found = rows(answer.text, "SELECT record FROM events WHERE dt = '2026-11-23'")
    assert sorted(text.encode() for (text,) in found) == sorted([*lines, b"z" * 3_000_000])
    assert any("empty lines" in note for note in answer.notes)


async def test_a_partition_by_a_field_has_the_fields_value(tmp_path: Path) -> None:
    """Decoded; but as in the key where the record has none, or one too long for a key."""
    by = "kind=x/customer={field:customer}/day={arrival:%Y-%m-%d}"
    settings = settings_of(tmp_path, partition_by=by)
    values = ["a/b", "ü +%", "~", "it's", "x" + "ü" * 100]
    records = [orjson.dumps({"customer": value}) for value in values]
    await write(settings, [*records, b"{}"], a_batch=1)
    text = view(tmp_path, settings, columns=parse_columns("customer string"))
    found = rows(text, "SELECT customer, partition_customer FROM events")
    *same, (long, cut) = sorted(found, key=lambda row: (row[0] == values[-1], str(row[0])))
    missing = (None, "__HIVE_DEFAULT_PARTITION__")
    assert sorted(same, key=str) == sorted([*((v, v) for v in values[:-1]), missing], key=str)
    assert long == values[-1]
    assert cut == escape_value(values[-1])
    damage_all_but(tmp_path, "customer=a%2Fb")
    query = "SELECT customer FROM events WHERE partition_customer = 'a/b'"
    assert rows(text, query) == [("a/b",)]


def damage_all_but(folder: Path, name: str) -> None:
    """Damage every object that is not in a folder of this name."""
    for path in folder.rglob("*.gz"):
        if name not in path.parts and ".meta" not in path.parts:
            path.write_bytes(b"\x1f\x8bno gzip")


@pytest.mark.parametrize(
    "partition_by",
    [
        "",
        "fixed",
        "{arrival:%Y}/{arrival:%m}/{arrival:%d}",
        "{arrival:%Y/%m}/h{arrival:%H}",
        "day={arrival:%Y-%j}T{arrival:%H}/{field:n}",
        "{field:n}={field:n}",
    ],
)
@pytest.mark.parametrize("fanouts", [[1], [16], [1, 2, 16]])
async def test_any_template_and_any_mixture_of_fanouts_is_read_once(
    tmp_path: Path, partition_by: str, fanouts: list[int]
) -> None:
    """And nothing of batcher's own: quarantine has more folders, other files other ends."""
    if 1 in fanouts and partition_by.startswith("{field"):
        pytest.skip("settings refuse this without a salt")
    records = [b'{"n":%d}' % n for n in range(40)]
    for index, fanout in enumerate(fanouts):
        settings = settings_of(tmp_path, partition_by=partition_by, fanout=fanout)
        await write(settings, [*records[index :: len(fanouts)], b"bad"], a_batch=1)
    (tmp_path / "tmp" / "0101").mkdir(parents=True)
    (tmp_path / "tmp" / "0101" / "x.ndjson.gz").write_bytes(b"not ours")
    text = view(tmp_path, settings, fanouts=fanouts)
    found = rows(text, "SELECT record FROM events")
    assert sorted(text.encode() for (text,) in found) == sorted(records)
    if max(fanouts) > 1:
        lengths = {n.bit_length() - 1 for n in fanouts}
        assert {n for (n,) in rows(text, "SELECT length(salt) FROM events")} == lengths


async def test_a_changed_fanout_changes_no_partition(tmp_path: Path) -> None:
    """Whether a salt stands before it or not."""
    for fanout in (1, 16):
        await write(settings_of(tmp_path, fanout=fanout), [b"1", b"2"], a_batch=1)
    text = view(tmp_path, settings_of(tmp_path), fanouts=[1, 16])
    assert rows(text, "SELECT dt, hour, count(*) FROM events GROUP BY ALL") == [(DAY, "07", 4)]
    query = "SELECT count(*) FROM events WHERE dt = '2026-11-23' AND salt = ''"
    assert rows(text, query) == [(2,)]


@pytest.mark.parametrize("name", ['it\'s "odd" 100% $x ;--', "[ab] *?{c,d}", "0101", "ü é", "_x"])
async def test_any_folder_and_any_column_is_quoted(tmp_path: Path, name: str) -> None:
    """Nothing of them is taken for a glob or for SQL."""
    folder = tmp_path / name
    folder.mkdir()
    bucket = f"file://{name_in_url(folder)}"
    settings = settings_of(folder, bucket=bucket)
    fields = {name: 1, 'a"b': 2, "c'd": 3, "filename": 4, "path": 5, "record": 6, "Salt": 7}
    await write(settings, [orjson.dumps(fields)])
    columns = ", ".join('"{}" bigint'.format(field.replace('"', '""')) for field in fields)
    text = view(folder, settings, columns=parse_columns(columns))
    (found,) = rows(text, "SELECT * FROM events WHERE dt = '2026-11-23'")
    assert found[:7] == (1, 2, 3, 4, 5, 6, 7)
    assert found[8:] == (DAY, "07")


def name_in_url(folder: Path) -> str:
    """Write a folder as a URL has it."""
    return str(folder).replace("%", "%25")


def test_s3_needs_a_secret_which_the_comments_create(tmp_path: Path) -> None:
    """As comments: a program that has one of its own runs the rest."""
    table = define_table(
        Settings(bucket="bucket", root="a's"), ("s3", "bucket/a's"), TableOptions(name="t")
    )
    answer = duckdb_view(table)
    head, view_of, _ = answer.text.partition('CREATE OR REPLACE VIEW "t" AS\n')
    assert view_of
    assert all(line.startswith("-- ") for line in head.splitlines())
    assert "httpfs" in head
    assert "'s3://bucket/a''s/[01][01][01][01]/dt=*/hour=*/*.ndjson.gz'" in answer.text
    assert any("lists all objects under the root" in note for note in answer.notes)
    assert "--" not in view(tmp_path, settings_of(tmp_path))


def test_a_table_of_a_database_keeps_it(tmp_path: Path) -> None:
    """Each part of the name is quoted by itself."""
    text = view(tmp_path, settings_of(tmp_path), name="lake.events")
    assert 'VIEW "lake"."events" AS' in text
