"""pyarrow: the program, run as it is printed, on what the Batcher wrote."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow.compute as pc
import pytest

from batcher.keys.partition import escape_value
from batcher.settings import Settings
from batcher.tools.ddl.columns import parse_columns
from batcher.tools.ddl.pyarrow import pyarrow_program
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

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS


def run(folder: Path, settings: Settings, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run the program; give what it defines."""
    defined: dict[str, Any] = {}
    exec(pyarrow_program(described(settings, folder, **wanted)).text, defined)  # noqa: S102
    return defined


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_day_comes_back_as_it_went_in(tmp_path: Path, compression: str) -> None:
    """Its records and no others, through 16 salts, typed and untyped."""
    settings = settings_of(tmp_path, compression=compression)
    written = await write_day(settings)
    where = pc.field("dt") == DAY
    found = run(tmp_path, settings)["scan"](where).read_all()
    records = sorted(map(orjson.loads, found["record"].to_pylist()), key=lambda r: r["n"])
    assert records == written
    assert set(found["hour"].to_pylist()) == {"00", "07", "23"}
    assert set(found["salt"].to_pylist()) == salts_used(tmp_path, DAY)
    scan = run(tmp_path, settings, columns=parse_columns(COLUMNS))["scan"]
    typed = scan(where).read_all().select(["n", "action", "where"]).to_pylist()
    assert sorted(typed, key=lambda r: r["n"]) == written
    assert scan().read_all().num_rows == 640


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
async def test_a_guard_has_no_rows(tmp_path: Path, compression: str) -> None:
    """An empty object, typed and untyped. pyarrow alone takes it for an error, or for one row."""
    settings = settings_of(tmp_path, compression=compression)
    await write_day(settings)
    await write_guard(settings, tmp_path)
    assert run(tmp_path, settings)["scan"]().read_all().num_rows == 640
    scan = run(tmp_path, settings, columns=parse_columns(COLUMNS))["scan"]
    assert scan().read_all().num_rows == 640


async def test_other_days_are_not_opened(tmp_path: Path) -> None:
    """They are damaged: who asks for the day alone still gets it."""
    settings = settings_of(tmp_path)
    await write_day(settings)
    assert damage(tmp_path, OTHER_DAY) > 1
    scan = run(tmp_path, settings)["scan"]
    assert scan((pc.field("dt") >= DAY) & (pc.field("hour") == "07")).read_all().num_rows == 280
    assert scan(under=f"dt={DAY}").read_all().num_rows == 600
    with pytest.raises(OSError, match="zlib"):
        scan().read_all()


async def test_only_the_selected_folder_is_listed(tmp_path: Path) -> None:
    """`under` names a folder below the salts."""
    settings = settings_of(tmp_path)
    await write_day(settings)
    objects = run(tmp_path, settings)["objects"]
    assert set(objects(f"dt={DAY}/hour=07").to_pydict()["hour"]) == {"07"}
    assert objects("dt=1999-01-01").num_rows == 0


async def test_records_of_any_shape_are_rows(tmp_path: Path) -> None:
    """Without columns they are their text."""
    settings = settings_of(tmp_path)
    await write(settings, ODD, a_batch=3)
    found = run(tmp_path, settings)["scan"]().read_all()["record"].to_pylist()
    assert sorted(text.encode() for text in found) == sorted(ODD)


async def test_columns_that_are_not_there_are_null_and_others_are_left_out(tmp_path: Path) -> None:
    """Objects need not have all fields."""
    settings = settings_of(tmp_path)
    await write(settings, [b'{"a":1,"b":2}', b'{"b":[]}', b'{"c":{}}'], a_batch=1)
    found = run(tmp_path, settings, columns=parse_columns("a bigint"))["scan"]().read_all()
    assert sorted(found["a"].to_pylist(), key=str) == [1, None, None]
    assert found.column_names == ["a", "salt", "dt", "hour"]


async def test_lines_are_rows_of_bytes(tmp_path: Path) -> None:
    """As they are: empty ones, carriage returns, and what is no text."""
    settings = settings_of(tmp_path, format="lines")
    lines = [b"plain", b"", b"cr\r", b"\r", b'a,"b', b"\xff\x00\x01", b"z" * 2_000_000]
    await write(settings, lines, a_batch=3)
    found = run(tmp_path, settings)["scan"]().read_all()["record"].to_pylist()
    assert sorted(found) == sorted(lines)


async def test_a_partition_by_a_field_has_the_fields_value(tmp_path: Path) -> None:
    """Decoded; but as in the key where the record has none, or one too long for a key."""
    settings = settings_of(tmp_path, partition_by="customer={field:customer.id}")
    values = ["a/b", "ü +%", "~", "it's", "x" + "ü" * 100]
    records = [orjson.dumps({"customer": {"id": value}}) for value in values]
    await write(settings, [*records, b"5"], a_batch=1)
    scan = run(tmp_path, settings)["scan"]
    found = scan().read_all()["customer"].to_pylist()
    *same, cut = sorted(found, key=len)
    assert sorted(same) == sorted([*values[:-1], "__HIVE_DEFAULT_PARTITION__"])
    assert cut == escape_value(values[-1])
    assert scan(pc.field("customer") == "a/b").read_all().num_rows == 1


@pytest.mark.parametrize("partition_by", ["", "{arrival:%Y/%m}/h{arrival:%H}", "d={arrival:%d}"])
@pytest.mark.parametrize("fanouts", [[1], [1, 2, 16], [4, 65_536]])
async def test_any_template_and_any_mixture_of_fanouts_is_read_once(
    tmp_path: Path, partition_by: str, fanouts: list[int]
) -> None:
    """And nothing of batcher's own, nor what others left there."""
    records = [b'{"n":%d}' % n for n in range(40)]
    for index, fanout in enumerate(fanouts):
        settings = settings_of(tmp_path, partition_by=partition_by, fanout=fanout)
        await write(settings, [*records[index :: len(fanouts)], b"bad"], a_batch=1)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "x.ndjson.gz").write_bytes(b"not ours")
    found = run(tmp_path, settings, fanouts=fanouts)["scan"]().read_all()
    assert sorted(text.encode() for text in found["record"].to_pylist()) == sorted(records)
    if "d=" in partition_by:
        assert set(found["d"].to_pylist()) == {"23"}
    if max(fanouts) > 1:
        lengths = {n.bit_length() - 1 for n in fanouts}
        assert set(map(len, found["salt"].to_pylist())) == lengths


@pytest.mark.parametrize("name", ['it\'s "odd" 100% $x ;--{}', "[ab] *?{c,d}\\", "0101", "ü é"])
async def test_any_folder_and_any_column_is_quoted(tmp_path: Path, name: str) -> None:
    """Nothing of them is taken for a program."""
    folder = tmp_path / name
    folder.mkdir()
    settings = settings_of(folder, bucket=f"file://{str(folder).replace('%', '%25')}")
    fields = {name: 1, 'a"b': 2, "c'd": 3, "path": 4, "record": 5, "Salt": 6}
    await write(settings, [orjson.dumps(fields)])
    columns = ", ".join('"{}" bigint'.format(field.replace('"', '""')) for field in fields)
    scan = run(folder, settings, columns=parse_columns(columns))["scan"]
    (found,) = scan(pc.field("dt") == DAY).read_all().to_pylist()
    assert {field: found[field] for field in fields} == fields
    assert len(found["partition_salt"]) == 4


async def test_nothing_there_is_an_empty_table(tmp_path: Path) -> None:
    """With the columns it would have."""
    found = run(tmp_path, settings_of(tmp_path))["scan"]().read_all()
    assert (found.num_rows, found.column_names) == (0, ["record", "salt", "dt", "hour"])


async def test_a_record_longer_than_arrows_own_blocks_is_read(tmp_path: Path) -> None:
    """Arrow would refuse one over a mebibyte."""
    settings = settings_of(tmp_path)
    await write(settings, [b'{"a":"%s"}' % (b"x" * 5_000_000)])
    found = run(tmp_path, settings, columns=parse_columns("a string"))["scan"]().read_all()
    assert len(found["a"][0].as_py()) == 5_000_000


def test_objects_in_s3_are_read_the_same_way(
    seaweedfs: SeaweedFS, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From any endpoint, under any root; in a process of its own, for Arrow's threads stay."""
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    seaweedfs.create_bucket(bucket)
    root = "it's 100% é"
    settings = Settings(bucket=bucket, root=root)
    written = asyncio.run(write_day(settings))
    listed = seaweedfs.client.list_objects_v2(Bucket=bucket)["Contents"]
    for key in (found["Key"] for found in listed if OTHER_DAY in found["Key"]):
        seaweedfs.client.put_object(Bucket=bucket, Key=key, Body=b"no gzip")
    wanted = TableOptions(columns=parse_columns(COLUMNS))
    program = pyarrow_program(define_table(settings, ("s3", f"{bucket}/{root}"), wanted)).text
    program += "\nimport json\nrows = scan(pc.field('dt') == '2026-11-23').read_all()"
    program += "\nprint(json.dumps(rows.select(['n', 'action', 'where']).to_pylist()))"
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(orjson.loads(done.stdout), key=lambda row: row["n"]) == written


def test_costs_and_limits_are_noted(tmp_path: Path) -> None:
    """Types that must fit, and salts that must all be listed."""
    columns = parse_columns("a int")
    notes = pyarrow_program(
        described(settings_of(tmp_path, fanout=256), tmp_path, columns=columns)
    ).notes
    assert [note for note in notes if "fails" in note or "256 folders" in note] == list(notes)
    assert len(notes) == 2
    assert pyarrow_program(described(settings_of(tmp_path), tmp_path)).notes == ()
