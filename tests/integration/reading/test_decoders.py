"""Decoders of others read all of a body, with a positions list or without.

Many stop without an error after the first gzip member or zstd frame.
"""

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

from batcher.encoding.codec import BLOCK_BYTES, encode_text
from batcher.encoding.positions_field import add_positions
from batcher.encoding.zstd import zstd

if TYPE_CHECKING:
    from types import ModuleType

RECORDS = 40_000
"""Records of several blocks."""

TEXT = b"".join(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * (n % 84)) for n in range(RECORDS))

LONG_LIST = random.Random(1).randbytes(60 * 1024)  # noqa: S311  # no secret

JAVA = """
import java.io.*;
import java.util.zip.GZIPInputStream;
class ReadAll {
  public static void main(String[] names) throws IOException {
    InputStream file = new FilterInputStream(new FileInputStream(names[0])) {
      @Override public int available() { return 0; }  // as a stream from a network may
    };
    try (InputStream in = new GZIPInputStream(file)) {
      System.out.print(in.readAllBytes().length);
    }
  }
}
"""

PERL = """
use IO::Uncompress::Gunzip qw(gunzip);
gunzip($ARGV[0] => \\my $text) or die;
print length($text);
"""


def body_of(compression: str, text: bytes = TEXT, *, listed: bool = True) -> bytes:
    """Return a body, with a list of 60 KiB if it is `listed`."""
    body, _ = encode_text(text, compression, 1)
    found = add_positions(body, compression, LONG_LIST) if listed else body
    assert found is not None
    return found


@pytest.fixture(
    params=[(".gz", True), (".gz", False), (".zst", True), (".zst", False)],
    ids=lambda param: f"{param[0]}{' with list' if param[1] else ''}",
)
def compressed_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return an object as a file."""
    suffix, listed = request.param
    path = tmp_path / f"object.ndjson{suffix}"
    path.write_bytes(body_of("gzip" if suffix == ".gz" else "zstd", listed=listed))
    assert len(TEXT) > 4 * BLOCK_BYTES
    return path


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("compression", "decode"),
    [
        ("gzip", gzip.decompress),
        ("gzip", lambda body: gzip.GzipFile(fileobj=io.BytesIO(body)).read()),
        ("gzip", lambda body: zlib.decompress(body, 31)),
        ("gzip", lambda body: zlib.decompressobj(31).decompress(body)),
        ("zstd", zstd.decompress),
        ("zstd", lambda body: zstd.ZstdFile(io.BytesIO(body)).read()),
        ("zstd", lambda body: zstd.ZstdDecompressor().decompress(body)),
    ],
)
def test_python(compression: str, decode: Callable[[bytes], bytes], *, listed: bool) -> None:
    """Its modules read all of it, also those that stop after the first member or frame."""
    assert decode(body_of(compression, listed=listed)) == TEXT


def test_zstandard(compressed_file: Path) -> None:
    """It reads the first frame only, and needs the size of its text for that."""
    zstandard: ModuleType = pytest.importorskip("zstandard")
    if compressed_file.suffix != ".zst":
        pytest.skip("it reads zstd")
    assert zstandard.decompress(compressed_file.read_bytes()) == TEXT


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_an_empty_object(compression: str) -> None:
    """An object without rows is valid, with or without a list."""
    empty = body_of(compression, b"", listed=False)
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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="needs java")
def test_java(compressed_file: Path, tmp_path: Path) -> None:
    """GZIPInputStream reads all of a stream that does not tell how much is available."""
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
    """Its zlib module reads all of it."""
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


@pytest.mark.skipif(shutil.which("perl") is None, reason="needs perl")
def test_perl(compressed_file: Path) -> None:
    """Its gunzip function stops after the first member."""
    if compressed_file.suffix != ".gz":
        pytest.skip("Perl has no zstd")
    done = subprocess.run(  # noqa: S603  # our own program
        ["perl", "-e", PERL, compressed_file],  # noqa: S607  # wherever it is installed
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == b"%d" % len(TEXT)
