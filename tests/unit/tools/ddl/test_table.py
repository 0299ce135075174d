"""Table: what is wrong is told at once; names never collide."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from batcher.errors import SettingsError
from batcher.settings import Settings
from batcher.tools.ddl.columns import parse_columns
from batcher.tools.ddl.table import TableOptions, define_table


def settings_of(**settings: object) -> Settings:
    """Make settings for S3."""
    return Settings(**{"bucket": "bucket", **settings})  # type: ignore[arg-type]  # as text


def test_all_faults_are_reported_at_once() -> None:
    """One run shows them all."""
    settings = settings_of(format="lines", partition_by="c={field:c}")
    wanted = TableOptions(
        name="a b",
        columns=parse_columns("a int"),
        fanouts=[3, 131_072],
        values={"x": ["1"], "c": [""]},
        since=date(2026, 1, 1),
    )
    with pytest.raises(SettingsError) as caught:
        define_table(settings, ("s3", "bucket"), wanted)
    assert caught.value.faults == (
        "table: 'a b' is not a valid name; use a-z, 0-9 and '_', as in lake.events",
        "columns: records of format lines have no fields; leave it out, or use format ndjson",
        "fanouts: 3 is not a power of two from 1 to 65536",
        "fanouts: 131072 is not a power of two from 1 to 65536",
        "values: 'x' is not a partition column; the partition columns are: c",
    )


def test_a_value_that_no_key_holds_is_a_fault() -> None:
    """A folder that is more than a field takes its values as they stand in keys."""
    settings = settings_of(partition_by="c=x{field:c}.")
    with pytest.raises(SettingsError, match=r"'a b' cannot occur in a key"):
        define_table(settings, ("s3", "bucket"), TableOptions(values={"c": ["a.", "a b"]}))


def test_an_access_points_arn_is_rejected() -> None:
    """Its alias is."""
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-point"
    with pytest.raises(SettingsError, match="alias"):
        define_table(settings_of(bucket=arn), ("s3", arn), TableOptions())


@pytest.mark.parametrize(
    ("path", "name"),
    [("bucket/events", "events"), ("bucket/2026 Events!/", "_2026_events_"), ("bucket", "bucket")],
)
def test_the_name_is_that_of_the_roots_last_folder(path: str, name: str) -> None:
    """Made one that every engine takes."""
    assert define_table(settings_of(), ("s3", path), TableOptions()).name == name


def test_a_partition_gives_way_to_a_column() -> None:
    """And to another one: engines take no notice of upper and lower case."""
    by = "salt={arrival:%Y}/DT={arrival:%m}/dt={arrival:%d}/record={arrival:%H}"
    columns = parse_columns("Dt string, partition_dt string")
    table = define_table(
        settings_of(partition_by=by), ("s3", "bucket"), TableOptions(columns=columns)
    )
    assert table.salt == "salt"
    assert [partition.name for partition in table.partition_columns] == [
        "partition_salt",
        "partition_dt_2",
        "partition_dt_3",
        "partition_record",
    ]


def test_layouts_are_with_and_without_a_salt() -> None:
    """However many fanouts there were."""
    wanted = TableOptions(fanouts=[16, 1, 4, 16])
    salted, unsalted = define_table(settings_of(), ("s3", "bucket"), wanted).layouts
    assert (salted.salt_bits, unsalted.salt_bits) == ((2, 4), ())
    assert salted.salts[:5] == ["00", "01", "10", "11", "0000"]
    assert len(salted.salts) == 20
    only = define_table(settings_of(fanout=1), ("s3", "bucket"), TableOptions())
    assert (len(only.layouts), only.salt) == (1, "")


def test_nothing_that_writes_imports_ddl() -> None:
    """A cold start pays for nothing that only readers need."""
    package = Path(__file__).parents[4] / "batcher"
    users = [path for path in package.rglob("*.py") if "batcher.tools.ddl" in path.read_text()]
    assert {path.parent.name for path in users} <= {"ddl", "cli"}
