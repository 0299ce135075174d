"""`batcher ddl`: the printed definitions work, and wrong options are reported."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import duckdb
import pytest

from batcher.cli import main

S3 = "s3://bucket/events"


def ddl(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command."""
    code = main(["ddl", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("engine", "start"),
    [
        ("athena", "CREATE EXTERNAL TABLE `events` ("),
        ("duckdb", 'CREATE OR REPLACE VIEW "events" AS'),
        ("spark", "from pyspark.sql import functions"),
        ("pyarrow", "ROOT = 'bucket/events'"),
    ],
)
def test_each_engine_gets_its_own(
    engine: str, start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard output, and nothing else there; notes go to standard error."""
    code, out, err = ddl(capsys, "--engine", engine, S3)
    assert code == 0
    assert start in out.splitlines()
    assert out.endswith("\n")
    assert "bucket/events" in out
    assert "batcher: note:" not in out
    assert all(line.startswith("batcher: note: ") for line in err.splitlines())


def test_what_was_written_is_read_by_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From `write` to a query, by the same flags."""
    source = tmp_path / "in.ndjson.gz"
    lines = "".join(f'{{"n":{n},"where":{{"city":"x{n % 3}"}}}}\n' for n in range(500))
    source.write_bytes(gzip.compress(lines.encode(), mtime=0))
    place = f"file://{tmp_path}/out"
    flags = ["--fanout", "4", "--compression", "zstd", "--partition-by", "n={field:n}/x"]
    assert main(["write", str(source), place, *flags, "--max-records", "50"]) == 0
    capsys.readouterr()
    sample = ["--sample", str(source), "--table", "things"]
    code, out, _ = ddl(capsys, "--engine", "duckdb", place, *flags, *sample)
    assert code == 0
    with duckdb.connect() as database:
        database.execute(out)
        query = "SELECT n, \"where\".city FROM things WHERE partition_n = '7'"
        assert database.execute(query).fetchall() == [(7, "x1")]


@pytest.mark.parametrize("template", ["kind={field:a}", "dt={arrival:%Y-%m-%d}/a={field:a}", ""])
@pytest.mark.parametrize("fanout", ["1", "16"])
def test_folders_that_the_table_lacks_are_a_warning(
    template: str, fanout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The view would have no rows; by the template of the writer it has all."""
    flags = ["--partition-by", template, "--fanout", fanout]
    write_objects(tmp_path, capsys, *flags)
    place = str(tmp_path / "out")
    code, out, err = ddl(capsys, "--engine", "duckdb", place, *flags)
    assert (code, err, count_rows(out)) == (0, "", 3)
    if template or fanout != "1":
        code, _, err = ddl(capsys, "--engine", "duckdb", place, "--fanout", fanout)
        assert code == 0
        assert "are not in the table, which has those of 'dt={arrival:%Y-%m-%d}/hour=" in err


def write_objects(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> None:
    """Write three records with these settings."""
    source = folder / "in"
    source.write_text('{"a":1}\n{"a":2}\n{"a":3}\n')
    assert main(["write", str(source), str(folder / "out"), "--fanout", "1", *flags]) == 0
    capsys.readouterr()


def count_rows(statements: str) -> int:
    """Run the printed statements and count the rows."""
    with duckdb.connect() as database:
        database.execute(statements)
        (count,) = database.execute("SELECT count(*) FROM out").fetchall()[0]
    return int(count)


@pytest.mark.parametrize("form", ["ndjson", "lines"])
@pytest.mark.parametrize("compression", ["zstd", "none", "gzip"])
def test_the_compression_is_that_of_the_objects(
    compression: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With gzip, the default, the view would find no files."""
    write_objects(tmp_path, capsys, "--compression", compression, "--format", form)
    flags = ["--engine", "duckdb", str(tmp_path / "out"), "--fanout", "1", "--format", form]
    code, out, err = ddl(capsys, *flags)
    assert code == 0
    assert "warning" not in err
    assert count_rows(out) == 3


def test_a_compression_that_is_set_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an option or the environment; what the table leaves out is named."""
    write_objects(tmp_path, capsys, "--compression", "zstd")
    flags = ["--engine", "duckdb", str(tmp_path / "out"), "--fanout", "1"]
    says = "objects that end in .ndjson.zst (1) are not in the table"
    _, out, err = ddl(capsys, *flags, "--compression", "gzip")
    assert "*.ndjson.gz'" in out
    assert says in " ".join(err.split())
    monkeypatch.setenv("BATCHER_COMPRESSION", "gzip")
    _, out, err = ddl(capsys, *flags)
    assert "*.ndjson.gz'" in out
    assert says in " ".join(err.split())


def test_other_objects_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind, with the options for a table of it; not quarantine, other files and roots."""
    write_objects(tmp_path, capsys, "--compression", "zstd", "--max-records", "1")
    write_objects(tmp_path, capsys, "--compression", "none", "--max-records", "3")
    write_objects(tmp_path, capsys, "--format", "lines")
    source, inner = str(tmp_path / "in"), str(tmp_path / "out" / "inner")
    assert main(["write", source, inner, "--format", "lines", "--compression", "zstd"]) == 0
    bad = tmp_path / "bad"
    bad.write_text("{\n")
    main(["write", str(bad), str(tmp_path / "out")])
    (tmp_path / "out" / "notes.ndjson.gz").touch()
    capsys.readouterr()
    code, out, err = ddl(capsys, "--engine", "duckdb", str(tmp_path / "out"), "--fanout", "1")
    text = " ".join(err.split())
    assert code == 0
    assert count_rows(out) == 3
    assert "*.ndjson.zst'" in out
    assert "--format ndjson --compression none" in text
    assert "--format lines --compression gzip" in text
    assert text.count("warning:") == 2


def test_a_sample_may_come_through_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in `batcher cat … | batcher ddl --sample - …`."""
    source = tmp_path / "in"
    source.write_text('{"userId":1}\n{"userId":2.5}\n')
    with source.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        _, out, _ = ddl(capsys, "--engine", "athena", S3, "--sample", "-")
    assert "  `userid` double\n" in out


def test_a_sample_ends_after_many_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However long the file is: 10,000 records stand for the others."""
    source = tmp_path / "in"
    source.write_text('{"a":1}\n' * 10_000 + '{"a":"x","b":1}\n' * 200_000)
    _, out, _ = ddl(capsys, "--engine", "athena", S3, "--sample", str(source))
    assert "(\n  `a` bigint\n)" in out


def test_the_environment_says_how_things_are_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every other command; `engine` is the writer's there, and no harm is done."""
    monkeypatch.setenv("BATCHER_FANOUT", "2")
    monkeypatch.setenv("BATCHER_ENGINE", "obstore")
    monkeypatch.setenv("BATCHER_FORMAT", "lines")
    code, out, _ = ddl(capsys, "--engine", "duckdb", S3)
    assert code == 0
    assert "'s3://bucket/events/[01]/dt=*/hour=*/*.txt.gz'" in out


def test_flags_reach_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Fanouts, values, the first day and the name."""
    by = "customer={field:c}/dt={arrival:%Y-%m-%d}"
    flags = ["--values", "customer=acme,glo bex", "--values", "customer=x", "--since", "2025-01-31"]
    more = ["--partition-by", by, "--fanouts", "2,4", "--table", "lake.t"]
    _, out, err = ddl(capsys, "--engine", "athena", S3, *flags, *more)
    assert "'projection.customer.values' = 'acme,glo%20bex,x'" in out
    assert "'projection.dt.range' = '2025-01-31,NOW'" in out
    assert "'projection.salt.values' = '0,1,00,01,10,11'" in out
    assert "TABLE `lake`.`t` (" in out
    assert "note: S3 is not asked; the table has objects that end in .ndjson.gz" in err
    _, _, err = ddl(capsys, "--engine", "athena", S3, *flags, *more, "--compression", "gzip")
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fanouts", "1;2"], "fanouts: '1;2' is not a list of numbers; expected powers of two"),
        (["--fanouts", "3"], "fanouts: 3 is not a power of two"),
        (["--values", "customer"], "values: 'customer' names no column or no value; expected"),
        (
            ["--values", "customer=a"],
            "'customer' is not a partition column; the partition columns are: dt, hour",
        ),
        (["--since", "yesterday"], "since: 'yesterday' is not a date; expected one as in"),
        (["--columns", "a text"], "columns: expected a type"),
        (["--table", "a b"], "table: 'a b' is not a valid name"),
        (["--fanout", "3"], "fanout: 3 is not a power of two"),
    ],
)
def test_what_is_wrong_is_told(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2, and nothing on standard output that could be run."""
    code, out, err = ddl(capsys, "--engine", "athena", S3, *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_a_sample_without_objects_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that is not there is."""
    (tmp_path / "lines").write_text("null\n5\n")
    code, out, err = ddl(capsys, "--engine", "spark", S3, "--sample", str(tmp_path / "lines"))
    assert (code, out) == (2, "")
    assert "does not start with a JSON object" in err
    code, out, err = ddl(capsys, "--engine", "spark", S3, "--sample", str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert "sample: " in err
    assert "none: cannot be read" in err


def test_every_fault_is_in_the_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever corrects one is not told of the next."""
    flags = ["--fanouts", "x", "--values", "x", "--since", "x", "--sample", "x", "--format", "x"]
    code, out, err = ddl(capsys, "--engine", "spark", "s4://nowhere", *flags)
    assert (code, out) == (2, "")
    for name in ("PLACE", *flags[::2]):
        assert f"  - {name}: " in err


def test_athena_reads_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """The other engines do."""
    code, _, err = ddl(capsys, "--engine", "athena", "file:///")
    assert code == 2
    assert "athena reads s3:// only" in err


def test_a_relative_folder_is_the_same_from_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed may run elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out put").mkdir()
    _, out, _ = ddl(capsys, "--engine", "duckdb", "file://out put")
    assert f"'{tmp_path}/out put/[01][01][01][01]/dt=*/hour=*/*.ndjson.gz'" in out


def test_an_engine_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    """No guess is made."""
    assert main(["ddl", S3]) == 2
    assert "--engine: required" in capsys.readouterr().err


def test_help_tells_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the table, and those settings alone that a reader must know."""
    assert main(["ddl", "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in (
        "--engine",
        "--columns",
        "--sample",
        "--fanouts",
        "--values",
        "--since",
        "--table",
    ):
        assert flag in shown
    for flag in ("--fanout ", "--partition-by", "--format", "--compression "):
        assert flag in shown
    assert "{arrival:%Y-%m-%d}" in shown
    assert "--max-bytes" not in shown
