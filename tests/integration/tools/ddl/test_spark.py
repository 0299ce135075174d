"""Spark: the program, run as it is printed, where pyspark and Java are; else only read."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest

from batcher.keys.partition import escape_value
from batcher.settings import Settings
from batcher.tools.ddl.columns import parse_columns
from batcher.tools.ddl.spark import spark_program
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
)

LONGEST_S = 220
HAS_SPARK = find_spec("pyspark") is not None and shutil.which("java") is not None
needs_spark = pytest.mark.skipif(not HAS_SPARK, reason="needs pyspark and Java")
DRIVER = """
import json, sys
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
spark = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
spark.sparkContext.setLogLevel("OFF")
for program, query in json.load(open(sys.argv[1])):
    exec(program, {"spark": spark})
    try:
        rows = [list(row.asDict(recursive=True).values()) for row in spark.sql(query).collect()]
    except Exception as error:
        rows = type(error).__name__
    print("ROWS", json.dumps(rows))
"""


def program(folder: Path, settings: Settings, **wanted: Any) -> str:  # noqa: ANN401
    """Write the program."""
    return spark_program(described(settings, folder, **wanted)).text


def asked(tmp_path: Path, cases: list[tuple[str, str]]) -> list[Any]:
    """Run programs and queries in one session of an interpreter of its own."""
    (tmp_path / "driver.py").write_text(DRIVER)
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "cases.json")],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("ROWS ")]
    assert len(answers) == len(cases), done.stderr[-3000:]
    return [json.loads(line.removeprefix("ROWS ")) for line in answers]


@needs_spark
@pytest.mark.timeout(LONGEST_S + 10)
async def test_what_was_written_comes_back_and_other_days_are_not_opened(tmp_path: Path) -> None:
    """One session for all, for it takes seconds to start."""
    cases, expected = [], []
    for compression in ("gzip", "zstd", "none"):
        folder = tmp_path / compression
        settings = settings_of(folder, compression=compression)
        written = await write_day(settings)
        damage(folder, OTHER_DAY)
        typed = program(folder, settings, columns=parse_columns(COLUMNS))
        cases += [
            (program(folder, settings), "SELECT record FROM events WHERE dt = '2026-11-23'"),
            (typed, "SELECT n, action, where FROM events WHERE dt = '2026-11-23' ORDER BY n"),
            (
                typed,
                "SELECT DISTINCT salt FROM events WHERE dt = '2026-11-23' AND hour < '24'",
            ),
        ]
        lines = [orjson.dumps(record).decode() for record in written]
        expected += [
            sorted([line] for line in lines),
            [[r["n"], r["action"], r["where"]] for r in written],
            sorted([salt] for salt in salts_used(folder, DAY)),
        ]
    cases.append((program(tmp_path / "gzip", settings_of(tmp_path)), "SELECT record FROM events"))
    *found, damaged = asked(tmp_path, cases)
    assert damaged == "Py4JJavaError"
    for answer, wanted in zip(found, expected, strict=True):
        assert (answer if isinstance(answer[0][0], int) else sorted(answer)) == wanted


@needs_spark
@pytest.mark.timeout(LONGEST_S + 10)
async def test_unusual_records_names_templates_and_fanouts(tmp_path: Path) -> None:
    """All that the other engines are tried with, in one session."""
    odd = tmp_path / "odd 100% [ab] *?{c,d} it's"
    settings = settings_of(odd, bucket=f"file://{str(odd).replace('%', '%25')}")
    await write(settings, ODD, a_batch=3)
    mixed = tmp_path / "mixed"
    by = "{arrival:%Y/%m}/customer={field:c}"
    for fanout in (2, 16):
        records = [b'{"c":"a/%d","n":1}' % fanout, b'{"c":"x%s"}' % (b"\xc3\xbc" * 100)]
        await write(settings_of(mixed, partition_by=by, fanout=fanout), records, a_batch=1)
    unsalted = settings_of(mixed, partition_by=by, fanout=1)
    await write(unsalted, [b'{"c":"~ +"}', b"{}", b"bad"], a_batch=1)
    fields = 'c string, "it\'s `x`" bigint, dt string'
    joined = program(mixed, unsalted, fanouts=[1, 2, 16], columns=parse_columns(fields))
    lines = settings_of(tmp_path / "lines", format="lines", compression="zstd")
    await write(lines, [b"plain", b"", b"cr\r", b'a,"b', b"\x01"], a_batch=3)
    cases = [
        (program(odd, settings), "SELECT record FROM events WHERE dt = '2026-11-23'"),
        (joined, "SELECT length(salt), year, month, customer, c FROM events"),
        (joined, "SELECT c FROM events WHERE customer = 'a/16'"),
        (program(tmp_path / "lines", lines), "SELECT record FROM events"),
    ]
    records_found, joined_found, one, lines_found = asked(tmp_path, cases)
    assert sorted(text.encode() for (text,) in records_found) == sorted(ODD)
    assert {tuple(row) for row in joined_found if row[4] != "x" + "ü" * 100} == {
        (1, "2026", "11", "a/2", "a/2"),
        (4, "2026", "11", "a/16", "a/16"),
        (0, "2026", "11", "~ +", "~ +"),
        (0, "2026", "11", "__HIVE_DEFAULT_PARTITION__", None),
    }
    long = "x" + "ü" * 100
    assert [row[3] for row in joined_found if row[4] == long] == [escape_value(long)] * 2
    assert one == [["a/16"]]
    assert sorted(text.encode() for (text,) in lines_found) == sorted(
        [b"plain", b"", b"cr\r", b'a,"b', b"\x01"]
    )


def test_the_program_is_python_whatever_the_names_are(tmp_path: Path) -> None:
    """Where Spark cannot run, at least that."""
    settings = settings_of(tmp_path, partition_by="{field:x'y}/{arrival:%Y}")
    columns = parse_columns('"it\'s ""x"" \\ `y`" struct<a:array<int>>')
    text = program(tmp_path / "it's\\", settings, columns=columns, fanouts=[1, 16])
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert names == {"spark", "functions", "path", "events"}


def test_only_objects_are_named(tmp_path: Path) -> None:
    """Paths end with files, so Spark does not look for partitions, and refuse the salts."""
    text = program(tmp_path, settings_of(tmp_path, fanout=4))
    assert f"'file://{tmp_path}/[01][01]/dt=*/hour=*/*.ndjson.gz'" in text


def test_what_depends_on_the_cluster_is_noted(tmp_path: Path) -> None:
    """What S3 is called there, and what reads zstd."""
    settings = Settings(bucket="bucket", compression="zstd")
    answer = spark_program(define_table(settings, ("s3", "bucket"), TableOptions()))
    assert "'s3a://bucket/[01][01][01][01]/dt=*/hour=*/*.ndjson.zst'" in answer.text
    assert [note for note in answer.notes if "s3a://" in note or ".zst" in note] == [*answer.notes]
    assert len(answer.notes) == 2
    assert spark_program(described(settings_of(tmp_path), tmp_path)).notes == ()
