"""Decoders of others read a body with a positions list as if the list were not there."""

from __future__ import annotations

import gzip
import io
import json
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batcher.encoding.codec import Codec, encode_text
from batcher.encoding.positions_field import add_positions
from batcher.encoding.zstd import zstd

if TYPE_CHECKING:
    from types import ModuleType

RECORDS = 20_000
"""Records of two gzip members and of two zstd frames."""

TEXT = b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * (n % 40)) for n in range(RECORDS))

LONG_LIST = random.Random(1).randbytes(60 * 1024)  # noqa: S311  # no secret

JAVA = """
import java.io.*;
import java.util.zip.GZIPInputStream;
class ReadAll {
  public static void main(String[] names) throws IOException {
    try (InputStream in = new GZIPInputStream(new FileInputStream(names[0]))) {
      System.out.print(in.readAllBytes().length);
    }
  }
}
"""


def body_of(compression: str, text: bytes = TEXT) -> bytes:
    """Return a body of several members with a list of 60 KiB."""
    body, _ = encode_text(text, Codec(compression, 1))
    found = add_positions(body, compression, LONG_LIST)
    assert found is not None
    return found


@pytest.fixture(params=["gzip", "zstd"])
def compressed_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return an object as a file."""
    path = tmp_path / f"object.ndjson.{'gz' if request.param == 'gzip' else 'zst'}"
    path.write_bytes(body_of(request.param))
    return path


@pytest.mark.parametrize(
    ("compression", "decode"),
    [
        ("gzip", gzip.decompress),
        ("gzip", lambda body: gzip.GzipFile(fileobj=io.BytesIO(body)).read()),
        ("zstd", zstd.decompress),
        ("zstd", lambda body: zstd.ZstdFile(io.BytesIO(body)).read()),
    ],
)
def test_python(compression: str, decode: Callable[[bytes], bytes]) -> None:
    """Its modules read all members."""
    assert decode(body_of(compression)) == TEXT


def test_zlib_reads_one_member() -> None:
    """As it does without a list: it stops at a member's end."""
    assert zlib.decompress(body_of("gzip", TEXT[:1000]), 31) == TEXT[:1000]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_an_empty_object(compression: str) -> None:
    """An object without rows is valid, with or without a list."""
    empty = Codec(compression, 1).encode([[memoryview(b"")]])[0][0]
    body = add_positions(empty, compression, LONG_LIST)
    assert body is not None
    decode = gzip.decompress if compression == "gzip" else zstd.decompress
    assert decode(body) == decode(empty) == b""


def test_pyarrow(compressed_file: Path) -> None:
    """It reads every row."""
    reader: ModuleType = pytest.importorskip("pyarrow.json")
    arrow = pytest.importorskip("pyarrow")
    codec = "gzip" if compressed_file.suffix == ".gz" else "zstd"
    with arrow.CompressedInputStream(arrow.OSFile(str(compressed_file)), codec) as stream:
        assert reader.read_json(io.BytesIO(stream.read())).num_rows == RECORDS


def test_duckdb(compressed_file: Path) -> None:
    """It reads every row."""
    duckdb = pytest.importorskip("duckdb")
    query = f"SELECT count(*), sum(n) FROM '{compressed_file}'"  # noqa: S608
    total = sum(json.loads(line)["n"] for line in TEXT.splitlines())
    assert duckdb.connect().execute(query).fetchall() == [(RECORDS, total)]


@pytest.mark.parametrize(
    ("program", "suffix"), [(["gzip", "-dc"], ".gz"), (["zstd", "-dcq"], ".zst")]
)
def test_command_line(program: list[str], suffix: str, compressed_file: Path) -> None:
    """The usual programs read all of it."""
    if shutil.which(program[0]) is None or compressed_file.suffix != suffix:
        pytest.skip(f"needs {program[0]} and a file for it")
    done = subprocess.run(  # noqa: S603  # a program from the list above
        [*program, compressed_file], capture_output=True, check=True, timeout=60
    )
    assert done.stdout == TEXT


@pytest.mark.skipif(shutil.which("java") is None, reason="needs java")
def test_java(compressed_file: Path, tmp_path: Path) -> None:
    """GZIPInputStream reads all members of a file."""
    if compressed_file.suffix != ".gz":
        pytest.skip("Java has no zstd")
    source = tmp_path / "ReadAll.java"
    source.write_text(JAVA)
    done = subprocess.run(  # noqa: S603  # our own program
        ["java", source, compressed_file],  # noqa: S607  # wherever it is installed
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == b"%d" % len(TEXT)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node(compressed_file: Path) -> None:
    """Its zlib module reads all members."""
    if compressed_file.suffix != ".gz":
        pytest.skip("not every node has zstd")
    script = "process.stdout.write(String(require('zlib').gunzipSync(require('fs').readFileSync("
    done = subprocess.run(  # noqa: S603  # our own program
        ["node", "-e", f"{script}process.argv[1])).length))", compressed_file],  # noqa: S607
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == b"%d" % len(TEXT)
