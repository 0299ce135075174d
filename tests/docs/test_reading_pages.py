"""Pages about query engines show what `batcher ddl` prints for the command on the page."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import sqlglot

from support.doc_pages import DOCS, blocks_of, commands


def ddl_output(page: Path, folder: Path) -> str:
    """Run the first command on a page that prints a table, and return what it prints."""
    found = [
        command
        for block in blocks_of(page)
        for command in commands(block.text)
        if block.language == "sh" and command.startswith("batcher ddl ")
    ]
    command, *_ = found
    arguments = shlex.split(command.partition(" > ")[0])[1:]
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "batcher", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_table_for_athena_is_the_printed_one(tmp_path: Path) -> None:
    page = DOCS / "how-to/read-athena.md"
    (shown,) = [block.text for block in blocks_of(page) if block.title == "printed.sql"]
    assert shown == ddl_output(page, tmp_path)


def test_queries_of_athena_and_spark_name_columns_of_the_table(tmp_path: Path) -> None:
    """Each column of a query is in the statement or the program that the command prints."""
    for name, dialect in (("athena", "athena"), ("spark", "spark")):
        page = DOCS / f"how-to/read-{name}.md"
        printed = ddl_output(page, tmp_path)
        queries = [block.text for block in blocks_of(page) if block.text.startswith("SELECT")]
        assert len(queries) >= 3
        for query in queries:
            columns = sqlglot.parse_one(query, dialect=dialect).find_all(sqlglot.exp.Column)
            for column in columns:
                assert f"`{column.name}`" in printed or f"'{column.name}'" in printed


def test_the_program_for_spark_is_python(tmp_path: Path) -> None:
    """Pyspark is not installed here, so it is parsed. `test_spark.py` runs it where it is."""
    assert ast.parse(ddl_output(DOCS / "how-to/read-spark.md", tmp_path)).body
