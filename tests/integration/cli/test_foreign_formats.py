"""Inputs without lines of JSON: exit 1, and a hint by their first bytes; blank lines."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from batcher.cli import main
from batcher.cli.inputs.foreign_formats import unreadable_reason
from integration.cli.processes import command, environ_of

RECORDS = [{"a": number, "b": "x"} for number in range(100)]
ROWS = "".join(f"{record['a']},{record['b']}\n" for record in RECORDS)
NDJSON = "".join(f"{json.dumps(record)}\n" for record in RECORDS).encode()


def zipped() -> bytes:
    """Return a zip archive with one file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.ndjson", NDJSON)
    return file.getvalue()


def tarred() -> bytes:
    """Return a tar archive with one file, whose lines but the first are lines of the archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("in.ndjson")
        entry.size = len(NDJSON)
        archive.addfile(entry, io.BytesIO(NDJSON))
    return file.getvalue()


SEQUENCE = b"".join(b"\x1e%b\n" % json.dumps(record).encode() for record in RECORDS)
UNUSABLE: dict[str, tuple[bytes, str]] = {
    "JSON array": (json.dumps(RECORDS, indent=1).encode(), "jq -c '.[]' {}"),
    "array, a line each": (
        b"[\n" + b",\n".join(NDJSON.splitlines()) + b"\n]\n",  # the last record has no comma
        "",
    ),
    "indented": (json.dumps(RECORDS[0], indent=4).encode(), "jq -c . {}"),
    "two on a line": (b'{"a":1}{"a":2}\n', "jq -c . {}"),
    "JSON sequence": (SEQUENCE, "jq --seq -c . {} | tr -d '\\036'"),
    "CSV": (f"a,b\n{ROWS}".encode(), "mlr --icsv --ojsonl cat {}"),
    "TSV": (f"a,b\n{ROWS}".replace(",", "\t").encode(), "mlr --itsv --ojsonl cat {}"),
    "carriage returns": (NDJSON.replace(b"\n", b"\r"), "sed 's/\\r/\\n/g' {}"),
    "XML": (b"<?xml version='1.0'?>\n<a/>\n", "XML or HTML; convert it"),
    "YAML": (b"---\na: 1\n", "YAML; convert it"),
    "text": (b"a line\nand one more\n", "--format lines"),
    "Python": (b"{'a': 1}\n", "--format lines"),
    "noise": (bytes(range(200, 0, -1)), "--format lines"),
}
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "zip": (zipped(), "unzip -p {}"),
    "tar": (tarred(), "tar -xOf {}"),
    "xz": (lzma.compress(NDJSON), "xz -dc {}"),
    "lzma": (lzma.compress(NDJSON, lzma.FORMAT_ALONE), "xz -dc --format=lzma {}"),
    "bzip2": (bz2.compress(NDJSON), "bzip2 -dc {}"),
    "empty bzip2": (bz2.compress(b""), "bzip2 -dc {}"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40\xa7\x05\x00\x00\x80{}\n\n", "lz4 -dc {}"),
    "Parquet": (b"PAR1\x15\x04\x15\x20\x4c\x15\n\nPAR1", "duckdb -c"),
    "UTF-16": (NDJSON.decode().encode("utf-16"), "iconv -f UTF-16 -t UTF-8 {}"),
    "UTF-16LE": (NDJSON.decode().encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8 {}"),
    "UTF-16BE": (NDJSON.decode().encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8 {}"),
    "UTF-32": (NDJSON.decode().encode("utf-32"), "iconv -f UTF-32 -t UTF-8 {}"),
    "gzip twice": (gzip.compress(gzip.compress(NDJSON)), "gzip -dc {} | gzip -dc"),
    "zip in zstd": (zstd.compress(zipped()), "unzip -p FILE"),
}
FOREIGN = UNUSABLE | UNREADABLE


def write(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, *inputs: Path
) -> tuple[int, dict[str, Any], str]:
    """Run `batcher write`; return code, summary and messages."""
    flags = [f"file://{tmp_path}/out", "--json"]
    code = main(["write", *map(str, inputs), *flags])
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.err


@pytest.mark.parametrize("name", [name for name, (_, hint) in FOREIGN.items() if hint])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_an_input_without_a_usable_line_makes_the_command_fail_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, *, is_first: bool
) -> None:
    """Beside a good input as well, which is written."""
    body, hint = FOREIGN[name]
    foreign, good = tmp_path / "my file", tmp_path / "good"
    foreign.write_bytes(body)
    good.write_bytes(NDJSON)
    inputs = (foreign, good) if is_first else (good, foreign)
    code, document, messages = write(capsys, tmp_path, *inputs)
    assert (code, document["records"], document["failed"]) == (1, 100, 0)
    (error,) = [line for line in messages.splitlines() if "error:" in line]
    assert str(foreign) in error
    assert hint.format(shlex.quote(str(foreign))) in error
    assert (document["quarantined"] == 0) == (name in UNREADABLE)


@pytest.mark.parametrize("name", ["JSON array", "JSON sequence", "xz", "zip", "CSV"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_hints_for_standard_input_name_no_file(tmp_path: Path, name: str, pack: Any) -> None:  # noqa: ANN401
    """Compressed or not, through the command itself."""
    body, hint = FOREIGN[name]
    done = subprocess.run(  # noqa: S603  # our own command
        command(["write", "-", f"file://{tmp_path}/out"]),
        input=pack(body),
        capture_output=True,
        check=False,
        env=environ_of(),
    )
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.decode().splitlines() if "error:" in line]
    filters = hint.format("FILE" if name == "zip" else "").rstrip().replace("  ", " ")
    before = "… | gzip -dc | " if pack is gzip.compress else "… | "
    assert f"{'' if name == 'zip' else before}{filters} | batcher write - …" in error


CONVERTED = [
    *("JSON array", "indented", "two on a line", "JSON sequence", "carriage returns", "CSV"),
    *("zip", "tar", "xz", "lzma", "bzip2", "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32"),
    "gzip twice",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERTED)
def test_the_command_of_a_hint_converts_the_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Where its program is installed."""
    file = tmp_path / "my file"
    file.write_bytes(FOREIGN[name][0])
    _, _, messages = write(capsys, tmp_path, file)
    fix = messages.partition("convert it first: ")[2].partition(" | batcher write")[0]
    if not shutil.which(fix.split()[0]):
        pytest.skip(f"{fix.split()[0]} is not installed")
    converted = subprocess.check_output(fix, shell=True)  # noqa: S602  # what a user does
    assert json.loads(converted.splitlines()[0])["a"] in {0, 1}


def test_some_usable_lines_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad lines beside them are quarantined, as ever."""
    file = tmp_path / "in"
    file.write_bytes(b"BZh and PAR1, a bad line\n" * 9_000 + b"{}\n")
    code, document, messages = write(capsys, tmp_path, file)
    assert (code, document["records"], document["quarantined"]) == (0, 1, 9_000)
    assert "error:" not in messages


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"\r\n \t\n\x0b\n", b"\xef\xbb\xbf\n\n", b"\n" * 9_000]
)
def test_an_input_of_nothing_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    file = tmp_path / "in"
    file.write_bytes(body)
    code, document, _ = write(capsys, tmp_path, file)
    assert (code, document["records"], document["quarantined"]) == (0, 0, 0)
    assert document.get("blank", 0) == body.count(b"\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", ["", " ", "\t \t", "\x0c"])
def test_blank_lines_are_skipped_and_counted_and_numbers_of_lines_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str, blank: str
) -> None:
    lines = [blank, '{"a":1}', blank, blank, "bad", ' {"a":2}', blank]
    file = tmp_path / "in"
    file.write_bytes(end.join([*lines, ""]).encode())
    code, document, messages = write(capsys, tmp_path, file)
    assert (code, document["records"], document["quarantined"], document["blank"]) == (0, 2, 1, 4)
    assert f"{file}:5: not_json" in messages
    assert main(["write", str(file), f"file://{tmp_path}/out"]) == 0
    assert "4 blank lines skipped" in capsys.readouterr().err


def test_blank_lines_of_the_format_lines_are_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are bytes as they are."""
    file = tmp_path / "in"
    file.write_bytes(b"\na\n\n")
    flags = [f"file://{tmp_path}/out", "--json", "--format", "lines"]
    assert main(["write", str(file), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["records"], document["blank"]) == (3, 0)


def test_an_object_of_s3_is_converted_from_a_download() -> None:
    """The programs that convert files read no URLs."""
    name = "s3://my-bucket/a b"
    reason = unreadable_reason(name, lzma.compress(b"1\n"), "")
    assert reason is not None
    assert reason.endswith(f"aws s3 cp '{name}' - | xz -dc | batcher write - …")
    reason = unreadable_reason(name, lzma.compress(b"1\n"), ".gz")
    assert reason is not None
    assert reason.endswith(f"aws s3 cp '{name}' - | gzip -dc | xz -dc | batcher write - …")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("bad\n", "its only line is not usable: "), ("bad\n" * 2, "none of 2 lines is usable: ")],
)
def test_one_line_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, expected: str
) -> None:
    (tmp_path / "in").write_text(text)
    assert main(["write", f"{tmp_path}/in", f"{tmp_path}/out"]) == 1
    assert f"{tmp_path}/in: {expected}" in capsys.readouterr().err
