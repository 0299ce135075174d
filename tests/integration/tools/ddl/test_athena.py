"""Athena: the statements, parsed, held against Amazon's guide, and against real keys."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlglot import exp

from batcher.batcher import Batcher
from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.stores.memory import MemoryStore
from batcher.tools.ddl.athena import athena_ddl
from batcher.tools.ddl.columns import parse_columns
from batcher.tools.ddl.table import EngineScript, TableOptions, define_table
from integration.tools.ddl.athena_rules import Statement, parse, table
from integration.tools.ddl.written_days import DAY

SINCE = date(2026, 11, 20)
START = datetime(2026, 11, 20, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
ARRIVALS = [f"{DAY}T00:00:00", f"{DAY}T07:30:59", f"{DAY}T23:59:59", "2026-11-24T03:00:00"]
TEMPLATES = [
    "dt={arrival:%Y-%m-%d}/hour={arrival:%H}",
    "",
    "v1/fixed=x",
    "{arrival:%Y/%m/%d}",
    "year={arrival:%Y}/month={arrival:%m}/day={arrival:%d}/h{arrival:%H}",
    "at={arrival:%Y-%m-%dT%H}",
    "{arrival:%Y}/{arrival:%j}",
    "day={arrival:%Y%j}",
    "dt={arrival:%d.%m.%Y}/hour={arrival:%H}",
    "a={arrival:%m}/a={arrival:%d}/A={arrival:%H}",
    "week={arrival:%V}/weekday={arrival:%u}",
]


def settings_of(**settings: Any) -> Settings:  # noqa: ANN401
    """Make settings for S3."""
    return Settings(**{"bucket": "bucket", "root": "events/v1", **settings})


def ddl(settings: Settings, **wanted: Any) -> EngineScript:  # noqa: ANN401
    """Write the statements."""
    path = "/".join(filter(None, [settings.bucket, settings.root]))
    return athena_ddl(
        define_table(settings, ("s3", path), TableOptions(**{"name": "events", **wanted}))
    )


def only_table(settings: Settings, **wanted: Any) -> Statement:  # noqa: ANN401
    """Write, parse and check the one statement there is."""
    (statement,) = parse(ddl(settings, **wanted).text)
    return table(statement)


async def keys_of(settings: Settings, records: list[bytes]) -> list[str]:
    """Write records at several times, each an object, by the real Batcher; give the keys."""
    store = MemoryStore()
    for at in ARRIVALS:
        arrival_s = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
        async with Batcher(settings, store=store, wall_clock=lambda s=arrival_s: s) as batcher:  # type: ignore[misc]
            for record in records:
                await batcher.submit(record)
                await batcher.flush()
    return list(store.objects)


def folder_of(key: str) -> str:
    """Return where an object lies, as a location."""
    return f"s3://bucket/{key.rpartition('/')[0]}/"


@pytest.mark.parametrize("fanout", [1, 2, 16, 64])
@pytest.mark.parametrize("partition_by", TEMPLATES)
async def test_every_key_lies_in_a_projected_folder(partition_by: str, fanout: int) -> None:
    """As the Batcher makes them: from the salt to the hour."""
    settings = settings_of(partition_by=partition_by, fanout=fanout)
    found = only_table(settings, since=SINCE)
    keys = await keys_of(settings, [b"{}"] * 12)
    folders = set(found.folders(START, NOW, {})) if found.partitions else {found.location}
    assert {folder_of(key) for key in keys} <= folders
    assert len(keys) == 12 * len(ARRIVALS)


async def test_a_query_of_one_day_looks_into_that_days_folders_alone() -> None:
    """Through all salts: 16 times 24 of them, and no one else's."""
    found = only_table(settings_of(), since=SINCE)
    folders = set(found.folders(START, NOW, {"dt": DAY}))
    assert len(folders) == 16 * 24
    assert all(f"/dt={DAY}/" in folder for folder in folders)
    at = {"dt": DAY, "hour": "07", "salt": "0101"}
    assert list(found.folders(START, NOW, at)) == [f"s3://bucket/events/v1/0101/dt={DAY}/hour=07/"]


async def test_a_field_must_be_filtered_by_as_it_is_in_keys() -> None:
    """Percent-encoded; or its values are told, as the records have them."""
    settings = settings_of(partition_by="customer={field:id}/dt={arrival:%Y-%m-%d}")
    values = ["acme", "a/b", "ü ~", "x,y"]
    keys = await keys_of(settings, [*(orjson.dumps({"id": value}) for value in values), b"{}"])
    answer = ddl(settings, since=SINCE)
    (statement,) = parse(answer.text)
    found = table(statement)
    assert found.projection("customer") == {"type": "injected"}
    assert any("customer" in note and "=" in note for note in answer.notes)
    asked = {key.split("customer=")[1].split("/")[0] for key in keys}
    folders = {
        folder for value in asked for folder in found.folders(START, NOW, {"customer": value})
    }
    assert {folder_of(key) for key in keys} <= folders
    told = only_table(
        settings, since=SINCE, values={"customer": [*values, "__HIVE_DEFAULT_PARTITION__"]}
    )
    assert told.projection("customer")["type"] == "enum"
    assert {folder_of(key) for key in keys} <= set(told.folders(START, NOW, {}))
    assert len(told.values("customer", START, NOW)) == 5


async def test_a_folder_without_a_projection_must_be_filtered_by() -> None:
    """A time and a field in one folder, or an ISO year."""
    settings = settings_of(partition_by="x={arrival:%Y}-{field:id}/{arrival:%G}")
    found = only_table(settings)
    assert [found.projection(name)["type"] for name in ("x", "year")] == ["injected"] * 2
    keys = await keys_of(settings, [b'{"id":"a"}'])
    given = {"x": "2026-a", "year": "2026"}
    assert {folder_of(key) for key in keys} <= set(found.folders(START, NOW, given))


async def test_a_changed_fanout_makes_two_tables_and_a_view() -> None:
    """All salts that were ever used are in the list; objects without one have a table beside."""
    both = only_table(settings_of(), fanouts=[2, 16], since=SINCE)
    assert len(both.values("salt", START, NOW)) == 2 + 16
    answer = ddl(settings_of(), fanouts=[16, 1, 2], since=SINCE, columns=parse_columns("a int"))
    salted, unsalted, view = parse(answer.text)
    assert [table(salted).name, table(unsalted).name] == ["events_salted", "events_unsalted"]
    assert "salt" not in table(unsalted).partitions
    keys = await keys_of(settings_of(fanout=1), [b"{}"])
    assert {folder_of(key) for key in keys} <= set(table(unsalted).folders(START, NOW, {}))
    assert isinstance(view, exp.Create)
    assert view.kind == "VIEW"
    assert view.this.name == "events"
    union = view.expression
    assert isinstance(union, exp.Union)
    assert not union.args["distinct"]
    assert union.left.named_selects == union.right.named_selects == ["a", "salt", "dt", "hour"]
    assert [found.name for found in view.find_all(exp.Table)][1:] == [
        "events_salted",
        "events_unsalted",
    ]
    assert any("one statement at a time" in note for note in answer.notes)


def test_salts_that_fit_no_list_must_be_filtered_by() -> None:
    """Athena takes 262,144 bytes of a statement; the note says what it means."""
    assert only_table(settings_of(fanout=8_192)).projection("salt")["type"] == "enum"
    answer = ddl(settings_of(fanout=65_536))
    (statement,) = parse(answer.text)
    assert table(statement).projection("salt") == {"type": "injected"}
    assert any("too many salts" in note for note in answer.notes)
    assert not any("--values" in note for note in answer.notes)
    assert any("128 folders" in note for note in ddl(settings_of(fanout=128)).notes)
    assert not any("folders" in note for note in ddl(settings_of()).notes)


def test_dates_start_a_year_ago_by_default() -> None:
    """What is older is not found, and that is said."""
    answer = ddl(settings_of())
    (statement,) = parse(answer.text)
    assert table(statement).projection("dt") == {
        "type": "date",
        "format": "yyyy-MM-dd",
        "range": "NOW-1YEARS,NOW",
        "interval": "1",
        "interval.unit": "DAYS",
    }
    assert any("--since" in note for note in answer.notes)
    told = ddl(settings_of(), since=SINCE)
    (statement,) = parse(told.text)
    assert table(statement).projection("dt")["range"] == "2026-11-20,NOW"
    assert told.notes == ()


def test_a_date_has_the_step_of_its_smallest_part() -> None:
    """Hours need `interval.unit`: Athena's default is for days and months."""
    by = "at={arrival:%Y-%m-%dT%H}/m={arrival:%Y%m}/y={arrival:%Y}"
    found = only_table(settings_of(partition_by=by), since=SINCE)
    assert found.projection("at")["interval.unit"] == "HOURS"
    assert found.projection("at")["format"] == "yyyy-MM-dd'T'HH"
    assert found.projection("at")["range"] == "2026-11-20T00,NOW"
    assert found.projection("m")["interval.unit"] == "MONTHS"
    assert found.projection("y")["interval.unit"] == "YEARS"


def test_without_columns_a_record_is_a_line_as_it_is() -> None:
    """By a regular expression that takes all of it."""
    found = only_table(settings_of(format="lines", compression="zstd"))
    assert found.columns == {"record": "STRING"}
    assert found.serde_properties == {"input.regex": "(?s)(.*)"}


def test_columns_have_names_that_athena_takes() -> None:
    """Lower case is the SerDe's own; what else is in a field's name is mapped to it."""
    columns = '"user-ID" bigint, "user id" string, user_id boolean, userName string, "1" int'
    columns += ", at struct<City:string,xs:array<double>>, salt string, dt string"
    found = only_table(settings_of(), columns=parse_columns(columns))
    assert found.columns == {
        "user_id": "BIGINT",
        "user_id_2": "STRING",
        "user_id_3": "BOOLEAN",
        "username": "STRING",
        "_1": "INT",
        "at": "STRUCT<city: STRING, xs: ARRAY<DOUBLE>>",
        "salt": "STRING",
        "dt": "STRING",
    }
    assert found.serde_properties == {
        "ignore.malformed.json": "true",
        "mapping.user_id": "user-id",
        "mapping.user_id_2": "user id",
        "mapping.user_id_3": "user_id",
        "mapping._1": "1",
    }
    assert list(found.partitions) == ["partition_salt", "partition_dt", "hour"]


def test_a_fields_name_cannot_end_the_statement() -> None:
    """Quotes and backslashes are the SerDe's to read."""
    name = "it's \\ '); DROP TABLE x; --"
    found = only_table(settings_of(), columns=parse_columns(f'"{name}" string'))
    assert found.serde_properties["mapping.it_s_______drop_table_x____"] == name.lower()


@pytest.mark.parametrize("root", ["it's", "a*", "${salt}", "x[1]", "a\\b", "a?b", '"'])
def test_a_root_that_athena_does_not_take_literally_is_rejected(root: str) -> None:
    """Rather than a table that finds nothing."""
    with pytest.raises(SettingsError, match="root"):
        ddl(settings_of(root=root))


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    """Only S3 can."""
    settings = Settings(bucket=f"file://{tmp_path}")
    with pytest.raises(SettingsError, match="s3:// only"):
        athena_ddl(define_table(settings, ("file", str(tmp_path)), TableOptions()))


def test_a_table_of_a_database_keeps_it() -> None:
    """Each part of the name is quoted by itself."""
    answer = ddl(settings_of(), name="lake.events", fanouts=[1, 2])
    salted, _, view = parse(answer.text)
    assert table(salted).name == "lake.events_salted"
    assert 'VIEW "lake"."events" AS' in answer.text
    assert view.this.db == "lake"
