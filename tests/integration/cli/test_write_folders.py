"""Folders and patterns as inputs of `batcher write`."""

from __future__ import annotations

import gzip
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from batcher.cli import main
from batcher.cli.inputs import input as input_module
from batcher.cli.inputs import lines as lines_module
from batcher.cli.inputs.input import ByteInput
from support.output_schema import parse_output

PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd.compress}
IS_ROOT = os.geteuid() == 0


def put(path: str, number: int) -> None:
    """Write a file with one record, and its folders. It is compressed as its name says."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    pack = PACKERS.get(file.suffix, bytes)
    file.write_bytes(pack(b"%d\n" % number))


def numbers(out: str = "out") -> list[int]:
    """Return the records of all data objects in the order of writing, and remove the objects."""
    found: list[int] = []
    for path in sorted(Path(out).rglob("*.gz"), key=lambda path: path.name):
        if not {".meta", "_quarantine"} & set(path.parts):
            found += map(int, gzip.decompress(path.read_bytes()).split())
            path.unlink()
    return found


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder with some files."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["b/x.ndjson", "a/2.gz", "a/1.zst", "a/deep/er/3", "z", "a-b/y"]):
        put(f"logs/{name}", number)


def write(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any], list[str]]:
    """Write inputs to `out`; return code, summary and messages."""
    capsys.readouterr()
    code = main(["write", *words, "file://out", "--json"])
    printed = capsys.readouterr()
    return code, parse_output("write", printed.out) if printed.out else {}, printed.err.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["logs"], [5, 2, 1, 3, 0, 4]),
        (["logs/"], [5, 2, 1, 3, 0, 4]),
        (["logs/z", "logs"], [4, 5, 2, 1, 3, 0]),
        (["logs/**/*.gz"], [1]),
        (["logs/**"], [5, 2, 1, 3, 0, 4]),
        (["logs/**/[0-9]*"], [2, 1, 3]),
        (["logs/a/*"], [2, 1, 3]),
        (["logs/*/deep"], [3]),
        (["log?/z"], [4]),
        (["logs/b", "logs/a/*.*"], [0, 2, 1]),
        (["./logs/a*"], [5, 2, 1, 3]),
    ],
)
def test_folders_and_patterns_are_read_in_the_order_of_their_names(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: list[int]
) -> None:
    """Each file by its content, plain or compressed."""
    code, document, messages = write(capsys, *words)
    assert (code, document["records"]) == (0, len(expected)), messages
    assert numbers() == expected


def test_absolute_paths_and_urls_of_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(capsys, f"{tmp_path}/logs/a/*.gz", f"file://{tmp_path}/logs/b")[0] == 0
    assert numbers() == [1, 0]


def test_a_name_with_the_characters_of_a_pattern_is_taken_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If there is such a file, or such a folder."""
    put("odd/*", 7)
    put("odd/[x]/a", 8)
    put("odd/x", 9)
    assert write(capsys, "odd/*", "odd/[x]")[0] == 0
    assert numbers() == [7, 8]


def test_hidden_names_are_left_out_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """As Spark and DuckDB do; named themselves, they are read."""
    for name in ("_SUCCESS", ".x.crc", "_quarantine/1", "a/.deep/1", "a/_x"):
        put(f"logs/{name}", 9)
    code, document, messages = write(capsys, "logs")
    assert (code, document["records"], document["skipped"]) == (0, 6, 5)
    assert messages == ["batcher: warning: not read: logs: 5 names that start with '.' or '_'"]
    numbers()
    assert write(capsys, "logs/_quarantine", "logs/_S*", "logs/a/.deep/*")[0] == 0
    assert numbers() == [9, 9, 9]


def test_what_is_no_file_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A FIFO would never end, and a link to a folder may be a loop."""
    os.mkfifo("logs/pipe")
    Path("logs/a/loop").symlink_to(tmp_path / "logs")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("logs/socket")
        code, document, messages = write(capsys, "logs")
    assert (code, document["records"], document["skipped"]) == (0, 6, 3)
    assert messages == [
        "batcher: warning: not read: logs/a/loop: a link to a folder; name it to read it",
        "batcher: warning: not read: logs/pipe: a FIFO",
        "batcher: warning: not read: logs/socket: a socket",
    ]


def test_a_file_with_several_names_is_read_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Rotating loggers keep a link to the file of today. A name that is given is read each time."""
    put("elsewhere", 9)
    Path("logs/a/0-latest").symlink_to("2.gz")
    Path("logs/outside").symlink_to("../elsewhere")
    os.link("logs/z", "logs/zz")
    code, document, messages = write(capsys, "logs", "logs/b/", "logs/**/x*")
    assert (code, document["records"], document["skipped"]) == (0, 7, 4), messages
    assert "batcher: warning: not read: logs/a/0-latest: the same file as logs/a/2.gz" in messages
    assert "batcher: warning: not read: logs/zz: the same file as logs/z" in messages
    assert messages.count("batcher: warning: not read: logs/b/x.ndjson: given more than once") == 2
    numbers()
    assert write(capsys, "logs/z", "logs/z", "logs")[1]["records"] == 8


def test_a_link_to_a_folder_is_followed_where_it_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By itself, or by a part of a pattern."""
    put("elsewhere/x", 9)
    Path("logs/link").symlink_to("../elsewhere")
    for word in ("logs/link", "logs/l*/x", "logs/link/"):
        assert write(capsys, word)[0] == 0
        assert numbers() == [9]


def test_what_cannot_be_read_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("logs/a/broken").symlink_to("nowhere")
    Path("logs/a/2.gz").write_bytes(gzip.compress(b"1\n")[:-4])
    if not IS_ROOT:
        Path("logs/b").chmod(0)
        Path("logs/z").chmod(0)
    code, document, messages = write(capsys, "logs")
    errors = [line.partition("error: ")[2] for line in messages if "error: " in line]
    if not IS_ROOT:
        Path("logs/b").chmod(0o700)
        assert errors.pop(1) == "logs/b: cannot be listed: Permission denied"
        assert errors.pop() == "logs/z: cannot be read: Permission denied"
    assert errors[0] == "logs/a/broken: cannot be read: a broken link"
    assert "logs/a/2.gz: cannot be read beyond line 2: " in errors[1]
    assert len(errors) == 2
    assert (code, document["records"]) == (1, 6 if IS_ROOT else 4)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("empty", "there are no files in it; correct the name"),
        ("logs/*.parquet", "no file matches; correct the name"),
        ("none/*/x", "no file matches; correct the name"),
        ("hidden", "skipped: hidden: 1 name that starts with '.' or '_'; correct the name"),
        ("file://none", "No such file or directory"),
        ("out", "it is the destination; choose another destination, or name files in it"),
    ],
)
def test_an_input_without_a_file_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], word: str, problem: str
) -> None:
    """All such inputs are named, and nothing is written."""
    Path("empty/er").mkdir(parents=True)
    Path("out").mkdir()
    put("hidden/_x", 9)
    code, _, messages = write(capsys, word, "logs", "gone")
    assert code == 2
    faults = [line for line in messages if line.startswith("  - ")]
    assert faults[0].startswith(f"  - input {word}: ")
    assert faults[0].endswith(problem)
    assert faults[1:] == ["  - input gone: No such file or directory"]
    assert numbers() == []


def test_objects_of_the_destination_are_not_read_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither those of this run nor those of an earlier one."""
    for _ in range(3):
        assert write(capsys, ".")[1]["records"] == 6
    assert len(numbers()) == 18


@pytest.mark.parametrize("value", ["logs/b/x.ndjson:1", "logs/z:1", "logs/a/2.gz:1"])
def test_a_run_continues_within_a_folder(capsys: pytest.CaptureFixture[str], value: str) -> None:
    """By the names as they are printed."""
    names = ["a-b/y", "a/1.zst", "a/2.gz", "a/deep/er/3", "b/x.ndjson", "z"]
    position = names.index(value.removeprefix("logs/").removesuffix(":1"))
    assert write(capsys, "logs", "--skip-to", value)[0] == 0
    assert numbers() == [5, 2, 1, 3, 0, 4][position:]


def test_a_place_to_skip_to_that_is_gone_is_wrong_usage_with_the_closest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The files may have changed since; all would be skipped, or none."""
    Path("logs/b/x.ndjson").rename("logs/b/x.ndjson.done")
    code, _, messages = write(capsys, "logs", "--skip-to", "logs/b/x.ndjson:7")
    assert code == 2
    assert "names none of the inputs (6 files)" in messages[1]
    assert "did you mean logs/b/x.ndjson.done?" in messages[1]


def test_what_is_skipped_is_named_ten_times_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        os.mkfifo(f"logs/{number}")
    code, document, messages = write(capsys, "logs")
    assert (code, document["skipped"], len(messages)) == (0, 25, 11)
    assert messages[-1] == "batcher: warning: not read: and 15 more"


def test_a_file_whose_name_is_a_dash_is_not_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern finds it in the current folder. It continues by its name as it is printed."""
    monkeypatch.chdir("logs/a")
    put("-", 7)
    monkeypatch.setattr(sys, "stdin", None)
    assert write(capsys, "*")[0] == 0
    assert numbers() == [7, 2, 1, 3]
    assert write(capsys, "*", "--skip-to", "./-:1")[0] == 0
    assert numbers() == [7, 2, 1, 3]


def test_a_destination_whose_name_looks_like_a_pattern_is_refused_as_an_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put("[a-z]?/x", 7)
    assert main(["write", "[a-z]?", "[a-z]?"]) == 2
    assert "input [a-z]?: it is the destination" in capsys.readouterr().err


def test_a_file_that_was_read_is_not_read_again_for_an_input_after_the_one_to_skip_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Inputs before that one may be gone."""
    words = ["logs/a/*", "gone", "gone/*", "logs/z", "logs/**"]
    assert write(capsys, *words, "--skip-to", "logs/z:1")[0] == 0
    assert numbers() == [4, 5, 0]


def test_an_empty_input_hides_no_other_fault(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, messages = write(capsys, "gone", "", "lost")
    assert (code, len(messages)) == (2, 5)


def test_a_file_that_is_truncated_while_it_is_read_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a rotation that copies: what was not read is gone. No line is made of half of one."""
    put("logs/b/x.ndjson", 1)
    Path("logs/b/x.ndjson").write_bytes(b"12\n" + b"1000000\n" * 70_000)
    read_start = input_module.read_start

    def read_and_truncate(raw: ByteInput) -> tuple[bytes, str]:
        start = read_start(raw)
        if start[0].startswith(b"12"):
            os.truncate("logs/b/x.ndjson", 7)
        return start

    monkeypatch.setattr(lines_module, "read_start", read_and_truncate)
    code, document, messages = write(capsys, "logs")
    assert code == 1
    expected = "logs/b/x.ndjson: cannot be read beyond line 65537: it was truncated to 7 bytes"
    errors = [message.partition("error: ")[2] for message in messages if "error: " in message]
    assert errors == [f"{expected} while it was read; find the rest"]
    assert document["records"] == 65_541
