"""Every fenced block of the documents runs or is parsed, or is output.

`support.doc_pages` has the convention. `aws` is the one of the dependency group `dev`: from 1.46 on
it brings its own botocore, so it fits beside aioboto3.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml  # type: ignore[import-untyped]  # comes with cfn-lint; it has no types

from support.doc_pages import (
    OUTPUTS,
    PARSED,
    ROOT,
    RUN,
    Block,
    blocks_of,
    commands,
    is_run_elsewhere,
    name_of,
    pages,
    run_elsewhere,
    split_blocks,
)
from support.scripts import run_shell

DEADLINE_S = 120
"""A page takes seconds."""

TEMPORARY = re.compile(r"(?<![\w/])/tmp/|(?<=file://)/tmp/")
"""In a block. It becomes a folder of the page."""

DUCKDB = (
    "import sys, duckdb; print(duckdb.connect('.page.duckdb').sql(sys.stdin.read()) or '', end='')"
)
"""Runs SQL in a database of the page, and prints the rows of the last statement."""


@pytest.fixture(scope="module")
def local_aws() -> Iterator[str]:
    """Run moto in a process of its own, and return its endpoint."""
    program = (
        "from moto.server import ThreadedMotoServer\n"
        "import sys\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n"
        "server.start()\n"
        "print('http://%s:%d' % server.get_host_and_port(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


@pytest.fixture
def environ(local_aws: str, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a page, with an empty `my-bucket` and nothing else in the AWS."""
    request = urllib.request.Request(f"{local_aws}/moto-api/reset", method="POST")  # noqa: S310  # a server of ours
    urllib.request.urlopen(request).close()  # noqa: S310  # as above
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    client = boto3.client(
        "s3",
        endpoint_url=local_aws,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="my-bucket")
    client.close()
    own = str(Path(sys.executable).parent)
    return {
        **keys,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": local_aws,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "HOME": str(tmp_path),
        "NO_PROXY": "127.0.0.1,localhost",
        "PATH": os.pathsep.join([own, "/usr/local/bin", "/usr/bin", "/bin"]),
        "PYTHONWARNINGS": "error::DeprecationWarning:__main__",
    }


AWS = 'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'
"""The first version of the CLI ignores AWS_ENDPOINT_URL for SQS."""


def make_script(blocks: list[Block], folder: Path, *, with_duckdb: bool) -> str:
    """Return a program for bash that runs the blocks of a page in `folder`."""
    parts = ["set -euo pipefail", AWS]
    for block in blocks:
        text = TEMPORARY.sub(f"{folder / 'tmp'}/", block.text)
        name = block.title or f".block_{block.line}"
        if block.title or block.language == "python":
            (folder / f".text_{block.line}").write_text(text)
            parts.append(f"mkdir -p {shlex.quote(str(Path(name).parent))}")
            parts.append(f"cp .text_{block.line} {shlex.quote(name)}")
        parts.append(f"echo {block.line} > .at")
        if block.language == "python":
            parts.append(f"python {shlex.quote(name)}")
        elif block.language == "sql" and with_duckdb:
            parts.append(f"python -c {shlex.quote(DUCKDB)} <<'END_OF_SQL'\n{text}END_OF_SQL")
        elif block.language == "sh" and not is_run_elsewhere(block):
            parts.append(text)
    return "\n".join(parts)


def run_blocks(
    blocks: list[Block], folder: Path, environ: dict[str, str], *, with_duckdb: bool = False
) -> str:
    """Run the blocks of a page, and return what they print. Everything that they start is ended."""
    (folder / "tmp").mkdir(exist_ok=True)
    ran = run_shell(
        ["-c", make_script(blocks, folder, with_duckdb=with_duckdb)],
        folder,
        environ,
        stderr=subprocess.STDOUT,
        deadline_s=DEADLINE_S,
    )
    if ran.returncode:
        line = int((folder / ".at").read_text())
        pytest.fail(f"line {line}: exit code {ran.returncode}\n{ran.stdout}", pytrace=False)
    return ran.stdout


def missing_lines(blocks: list[Block], output: str) -> list[str]:
    """Return the lines that blocks of output show and their page has not printed.

    In them `…` is any text, a number any number, and blanks any blanks. The block before is to be
    one that runs.
    """
    printed = [line.rstrip() for line in output.splitlines()]
    missing = []
    for before, block in pairwise(blocks):
        is_run = before.language in RUN and not is_run_elsewhere(before)
        if block.language != "text" or not is_run:
            continue
        for number, line in enumerate(block.text.splitlines(), block.line):
            pattern = ".*".join(map(re.escape, line.rstrip().split("…")))
            pattern = re.sub(r"\d+", r"\\d+", re.sub(r"(\\ )+", r"\\s+", pattern))
            if not any(re.fullmatch(pattern, each) for each in printed):
                missing.append(f"line {number}: {line}")
    return missing


def parse(block: Block, dialect: str) -> None:
    """Raise if a block is not of its language."""
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "yaml":
        list(yaml.compose_all(block.text))  # not constructed: templates have tags of their own
    elif block.language == "pyi":
        text = block.text.strip()
        start = "" if re.match(r"async def |def |class |\w+(:| =)", text) else "def "
        ast.parse(f"{start}{text}" + ("" if re.match(r"class |\w+(:| =)", text) else ": ..."))
    elif block.language == "hcl":
        import hcl2  # noqa: PLC0415  # slow, for few pages

        hcl2.loads(block.text)
    elif block.language == "sql":
        import sqlglot  # noqa: PLC0415  # as above

        assert all(sqlglot.parse(block.text, dialect=dialect))


def dialect_of(page: Path) -> str:
    """Return the SQL dialect of a page."""
    return next((each for each in ("duckdb", "spark") if each in page.name), "athena")


def block_faults(blocks: list[Block], dialect: str) -> list[str]:
    """Return what is wrong with the blocks of a page, without running them."""
    faults = []
    for block in blocks:
        if block.language not in OUTPUTS | PARSED | RUN:
            faults.append(f"line {block.line}: a block of {block.language or 'no language'}")
        if block.language == "sh":
            others = filter(run_elsewhere, commands(block.text))
            if not is_run_elsewhere(block) and (command := next(others, "")):
                faults.append(
                    f"line {block.line}: {command!r} runs elsewhere; start a block with it"
                )
        try:
            parse(block, dialect)
        except Exception as error:  # noqa: BLE001  # of five parsers
            faults.append(f"line {block.line}: {type(error).__name__}: {error}")
    return faults


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_blocks_are_of_a_known_kind_and_can_be_parsed(page: Path) -> None:
    assert block_faults(blocks_of(page), dialect_of(page)) == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_that_run_elsewhere_exist_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks_of(page):
        for command in commands(block.text) if block.language == "sh" else ():
            if test := run_elsewhere(command):
                assert (ROOT / test).is_file()
            if command.startswith("make "):
                assert command.split()[1] in targets, command


def needs_a_run(page: Path) -> bool:
    """Return whether something of a page runs."""
    return any(
        block.language == "python"
        or (block.language == "sql" and dialect_of(page) == "duckdb")
        or (block.language == "sh" and not is_run_elsewhere(block))
        for block in blocks_of(page)
    )


@pytest.mark.parametrize("page", [*filter(needs_a_run, pages())], ids=name_of)
def test_blocks_run_in_their_order(page: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    blocks = blocks_of(page)
    output = run_blocks(blocks, tmp_path, environ, with_duckdb=dialect_of(page) == "duckdb")
    assert missing_lines(blocks, output) == []


def test_lines_that_are_not_printed_are_missing() -> None:
    page = "```sh\nls\n```\n```text\n12 a  b\nx … z\n\nno\n```\n```text\nother\n```\n"
    blocks = split_blocks(page)[0]
    assert missing_lines(blocks, "345 a b\nx y z\n\nnone\n") == ["line 8: no"]
    elsewhere = split_blocks(page.replace("ls", "make demo"))[0]
    assert missing_lines(elsewhere, "") == []


PAGE = """
```sh
echo '{"a": 1}' > in.jsonl
export WHERE=s3://my-bucket
```

1. In a list:

   ```sh
   batcher write --quiet in.jsonl $WHERE
   aws s3 ls --recursive s3://my-bucket | wc -l
   ```

```python title="saved.py"
import pathlib
print(pathlib.Path("/tmp/x").parent.exists(), pathlib.Path("in.jsonl").read_text())
```

```sh
test -f saved.py
```
"""


def test_blocks_of_a_page_share_a_folder_a_shell_and_an_aws(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    output = run_blocks(split_blocks(PAGE)[0], tmp_path, environ)
    assert output.splitlines() == ["1", 'True {"a": 1}', ""]


def test_sql_runs_in_one_database_of_the_page(tmp_path: Path, environ: dict[str, str]) -> None:
    view = "CREATE VIEW lines AS SELECT * FROM read_json('/tmp/*.jsonl');"
    page = (
        "```sh\necho '{\"a\": 41}' > /tmp/in.jsonl\n```\n"
        f"```sql\n{view}\n```\n```sql\nSELECT a + 1 AS b FROM lines;\n```\n"
    )
    blocks = split_blocks(page)[0]
    assert "42" in run_blocks(blocks, tmp_path, environ, with_duckdb=True)
    broken = split_blocks(page.replace("a + 1", "c + 1"))[0]
    (tmp_path / ".page.duckdb").unlink()
    with pytest.raises(pytest.fail.Exception, match="line 8"):
        run_blocks(broken, tmp_path, environ, with_duckdb=True)


@pytest.mark.parametrize(
    "broken",
    [
        PAGE.replace("in.jsonl $WHERE", "missing.jsonl $WHERE"),
        PAGE.replace("import pathlib", "import pathlibs"),
        PAGE.replace('title="saved.py"', ""),
        PAGE.replace("wc -l", "false | cat"),
    ],
)
def test_a_block_that_fails_fails_its_page(
    broken: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(pytest.fail.Exception, match="line "):
        run_blocks(split_blocks(broken)[0], tmp_path, environ)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("", "x"),
        ("bash", "true"),
        ("json", "{'a': 1}"),
        ("yaml", "a: b: c"),
        ("toml", "a = "),
        ("hcl", 'resource "a" {'),
        ("sql", "SELEC 1"),
        ("pyi", "def f(x"),
        ("sh", "batcher ls x\nmake test"),
    ],
)
def test_a_wrong_block_is_a_fault(language: str, text: str) -> None:
    assert len(block_faults(split_blocks(f"```{language}\n{text}\n```\n")[0], "athena")) == 1
