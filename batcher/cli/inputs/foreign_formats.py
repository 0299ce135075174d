"""Inputs of `batcher write` that are not lines of JSON: what they look like, and what to do."""

from __future__ import annotations

import codecs
import re
import shlex
from dataclasses import dataclass

from batcher.cli.inputs.input import S3_SCHEME, STDIN

START_BYTES = 512
"""First bytes of the text of an input by which its format is detected. A tar header's size."""


_BINARY = rb"[\x00-\x08\x0e-\x1f\x7f-\xff]"


_DUCKDB = "duckdb -c \"COPY (FROM 'FILE') TO '/dev/stdout' (FORMAT json)\""


_UNPACK_COMMANDS = {".gz": "gzip -dc", ".zst": "zstd -dc"}


@dataclass(frozen=True, slots=True)
class _Format:
    start: bytes
    """A pattern that the first bytes match."""
    description: str
    command: str
    """Converts it into lines of JSON. `{}` stands for the file, or for nothing to read a pipe.

    Empty if no common program does that.
    """
    is_piped: bool = True
    """Whether the command can read a pipe. Otherwise it is shown with FILE for a file."""


_UNREADABLE_FORMATS = [
    _Format(rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff", "in UTF-32", "iconv -f UTF-32 -t UTF-8 {}"),
    _Format(rb"\xff\xfe|\xfe\xff", "in UTF-16", "iconv -f UTF-16 -t UTF-8 {}"),
    _Format(rb"(?:[\t\r\n -~]\x00){2}", "in UTF-16", "iconv -f UTF-16LE -t UTF-8 {}"),
    _Format(rb"(?:\x00[\t\r\n -~]){2}", "in UTF-16", "iconv -f UTF-16BE -t UTF-8 {}"),
    _Format(rb"\xfd7zX", "compressed by xz", "xz -dc {}"),
    _Format(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", "compressed by bzip2", "bzip2 -dc {}"),
    _Format(rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "compressed by lz4", "lz4 -dc {}"),
    _Format(rb"\x1f\x9d", "compressed by compress", "gzip -dc {}"),
    _Format(rb"\x5d\x00\x00", "compressed by lzma", "xz -dc --format=lzma {}"),
    _Format(rb"LZIP\x01", "compressed by lzip", "lzip -dc {}"),
    _Format(rb"\x89LZO\x00", "compressed by lzop", "lzop -dc {}"),
    _Format(rb"\xff\x06\x00\x00sNaPpY", "compressed by snappy", "snzip -dc {}"),
    _Format(rb"\x1f\x8b", "compressed by gzip once more", "gzip -dc {}"),
    _Format(rb"\x28\xb5\x2f\xfd", "compressed by zstd once more", "zstd -dc {}"),
    _Format(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive", "unzip -p {}", is_piped=False),
    _Format(rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so {}", is_piped=False),
    _Format(rb"Rar!\x1a\x07", "a RAR archive", "unrar p -inul {}", is_piped=False),
    _Format(rb"[^\n]{257}ustar[\x00 ]", "a tar archive", "tar -xOf {}", is_piped=False),
    _Format(rb"PAR1%b" % _BINARY, "Parquet", _DUCKDB, is_piped=False),
    _Format(rb"Obj\x01", "Avro", "avro-tools tojson {}", is_piped=False),
    _Format(rb"ORC%b" % _BINARY, "ORC", "orc-contents {}", is_piped=False),
    _Format(rb"ARROW1\x00", "Arrow", _DUCKDB, is_piped=False),
    _Format(rb"SQLite format 3\x00", "SQLite", _DUCKDB, is_piped=False),
]
"""Formats that cannot have a line of JSON. None of the first bytes starts a JSON value."""


_UNUSABLE_FORMATS = [
    _Format(rb"\x1e", "a JSON text sequence (RFC 7464)", r"jq --seq -c . {} | tr -d '\036'"),
    _Format(rb"[^\n]*\r[^\n]+\Z", "lines that end in carriage returns", r"sed 's/\r/\n/g' {}"),
    _Format(rb"\[", "a JSON array over several lines", "jq -c '.[]' {}"),
    _Format(
        rb"\{\s*(?:[\"}]|\Z)", "JSON values over several lines, or several on a line", "jq -c . {}"
    ),
    _Format(rb"<", "XML or HTML", ""),
    _Format(rb"---\s|%YAML", "YAML", ""),
    _Format(rb"H4sI", "gzip in Base64", "base64 -d {} | gzip -dc"),
    _Format(rb"[^\n{\[]*\t", "tab-separated values", "mlr --itsv --ojsonl cat {}"),
    _Format(rb"[^\n{\[]*,", "CSV", "mlr --icsv --ojsonl cat {}"),
    _Format(rb"[^\n{\[]*;", "CSV with semicolons", "mlr --icsv --ifs ';' --ojsonl cat {}"),
]
"""Formats of text. An input that starts so may have lines of JSON further on."""


def unreadable_reason(name: str, start: bytes, suffix: str) -> str | None:
    """Return why an input cannot be lines of JSON and how to convert it, or None if it can be.

    Args:
        name: of the input.
        start: the first `START_BYTES` of its text, or its first line, or all if it is shorter.
        suffix: of its compression: `.gz`, `.zst`, or nothing.
    """
    for each in _UNREADABLE_FORMATS:
        if re.match(each.start, start):
            return f"{name}: cannot be read: it is {_advice(each, name, suffix)}"
    return None


def unusable_reason(name: str, start: bytes, suffix: str) -> str:
    """Return what an input looks like of which no line was usable, and what to do.

    Args:
        name: as for `unreadable_reason`.
        start: as above.
        suffix: as above.
    """
    text = start.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
    for each in _UNUSABLE_FORMATS:
        if re.match(each.start, text):
            return f"it looks like {_advice(each, name, suffix)}"
    return (
        "one JSON value per line is expected; convert it first, or write its lines as they are "
        "with --format lines"
    )


def _advice(foreign: _Format, name: str, suffix: str) -> str:
    """Return the name of a format and how to convert an input of it."""
    if not foreign.command:
        return f"{foreign.description}; convert it to one JSON value per line first"
    return f"{foreign.description}; convert it first: {_conversion(foreign, name, suffix)}"


def _conversion(foreign: _Format, name: str, suffix: str) -> str:
    """Return the commands that decompress an input, convert it and pass it to `batcher write`."""
    is_object = name.startswith(S3_SCHEME)
    file = "" if name == STDIN or is_object else shlex.quote(name)
    if not foreign.is_piped and (suffix or not file):
        return f"{foreign.command.format('FILE')} | batcher write - …"
    steps = [f"aws s3 cp {shlex.quote(name)} -" if is_object else "…"] if not file else []
    if suffix:
        steps.append(f"{_UNPACK_COMMANDS[suffix]} {file}".rstrip())
        file = ""
    steps += [foreign.command.format(file).rstrip().replace("  ", " "), "batcher write - …"]
    return " | ".join(steps)
