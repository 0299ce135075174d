"""`--json`: whole documents as the schema says, whatever happens; nothing else on the output."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import subprocess
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.keys.names import salt
from integration.cli.processes import command, environ_of
from integration.cli.replay_inputs import write as write_bad_lines
from support.output_schema import parse_lines, parse_output
from support.planted_objects import FRESH, TEXT, plant, plant_stream

ODD = os.fsdecode("od\u2028d\x7f\x1b[2J\n\u202e\xe9".encode() + b"\xff\x80")
"""A name that is not UTF-8, and would move the cursor, break lines and turn text around."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["--on-bad-record=drop"]])
@pytest.mark.parametrize("lines", ["", '{"a":1}\n\nbad\n', "bad\n"])
def test_write(lines: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Also if nothing is usable; in a dry run the numbers are those of the run."""
    Path("in").write_text(lines)
    assert main(["write", "in", "out", "--json", *flags]) == (lines == "bad\n")
    document = parse_output("write", capsys.readouterr().out)
    assert document["records"] == document["objects"] == lines.count('"a"')
    assert document.get("dropped", 0) + document["quarantined"] == lines.count("bad")
    assert document.get("blank", 0) == lines.count("\n\n")


def test_write_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the line names an input, its name can be read back, whatever is in it."""
    Path(ODD).write_text('{"k":"a"}\n' * 9 + '{"k":"b"}\n')
    Path("out").mkdir()
    Path("out/k=a").write_text("a file where a folder should be")
    flags = ["--partition-by", "k={field:k}", "--fanout", "1", "--max-records", "1", "--json"]
    assert main(["write", ODD, "out", *flags]) == 1
    document = parse_output("write", capsys.readouterr().out)
    assert document["failed"] > 0
    unread = document.get("unread_from", f"{ODD}:1")
    assert unread.rpartition(":")[0] == ODD


@pytest.mark.parametrize(
    "line",
    [
        "write gone out",
        "write in out --dry-run --compression 7z",
        "ls s4://b",
        "verify gone",
        "replay out --since never",
        "check out --fanout 3",
        "plan --records-per-s 1",
    ],
)
def test_wrong_usage_prints_nothing(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output; the message is JSON, too, if it is asked for."""
    Path("in").write_text("1\n")
    assert main([*line.split(), "--json", "--log-format", "json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    message = parse_output("message", printed.err)
    assert message["level"] == "error"
    assert "wrong usage" in message["message"]


def test_reading_and_replaying(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is empty, in order, in quarantine, overlapping or foreign."""
    Path("out").mkdir()
    assert main(["ls", "out", "--json"]) == 0
    assert main(["ls", "out", "--json", "--quarantine"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["verify", "out", "--json"]) == 0
    assert parse_output("verify", capsys.readouterr().out)["counts"]["foreign"] == 0
    assert main(["replay", "out", "--json"]) == 0
    assert parse_output("replay", capsys.readouterr().out)["records"] == 0
    write_bad_lines("file://out")
    plant_stream(here / "out", 10, 19)
    plant_stream(here / "out", 15, 24)
    plant(here / "out", f"dt=2026-11-23/{ODD.replace(chr(10), '')}", TEXT)
    capsys.readouterr()
    assert main(["ls", "out", "--json"]) == 1
    assert len(parse_lines("ls", capsys.readouterr().out)) == 3
    assert main(["ls", "out", "--json", "--quarantine"]) == 0
    assert len(parse_lines("ls", capsys.readouterr().out)) == 1
    assert main(["verify", "out", "--json"]) == 1
    report = parse_output("verify", capsys.readouterr().out)
    assert report["quarantined"] == sum(report["quarantined_by_reason"].values()) == 3
    assert (report["counts"]["overlap"], report["counts"]["foreign"]) == (1, 1)
    assert main(["replay", "out", "--json", "--dry-run"]) == 0
    replayed = parse_output("replay", capsys.readouterr().out)
    assert replayed["quarantined"] == sum(replayed["quarantined_by_reason"].values()) == 3


@pytest.mark.parametrize("flags", [[], ["--no-write"], ["--sse", "aws:kms"]])
def test_check_of_a_folder(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One that can be written, and one that is a file."""
    Path("file").write_text("")
    for place in ("out", "file/in"):
        code = main(["check", place, "--json", *flags])
        document = parse_output("check", capsys.readouterr().out)
        assert document["fine"] == (code == 0)


def test_messages_are_json_also_in_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` the plan of the dry run is a message."""
    Path("in").write_text("1\nbad\n")
    flags = ["--dry-run", "--json", "--log-format", "json", "-vv"]
    assert main(["write", "in", "out", *flags]) == 0
    printed = capsys.readouterr()
    parse_output("write", printed.out)
    messages = [each["message"] for each in parse_lines("message", printed.err)]
    assert sum("nothing was written" in each for each in messages) == 1


@pytest.mark.parametrize(("name", "number"), [("ls", signal.SIGTERM), ("verify", signal.SIGINT)])
def test_a_signal_while_a_reader_is_slow_cuts_no_document(
    here: Path, name: str, number: signal.Signals
) -> None:
    """A program that reads half a document fails, or takes a part of a number for the number."""
    for number_of_object in range(30):
        object_name = f"{FRESH[:-2]}{number_of_object:02}"
        path = here / "out" / salt(object_name, 16) / "dt=2026-11-23" / f"{object_name}.ndjson.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with subprocess.Popen(  # noqa: S603  # our own command
        command([name, "out", "--json"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ_of(),
        cwd=here,
    ) as process:
        assert process.stdout is not None
        size_bytes = fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        first_byte = process.stdout.read(1)  # it is printing, and the pipe is full or will be
        process.send_signal(number)
        printed = first_byte + process.stdout.read()
    assert len(printed) > size_bytes
    assert process.returncode in {-number, 128 + number, 1}
    documents = parse_lines(name, printed.decode())
    assert len(documents) == (1 if name == "verify" else 30)


def test_a_document_is_ascii_whatever_the_encoding_of_the_output_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which is UTF-8 for every reader."""
    Path("in").write_text("1\n")
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-16")
    monkeypatch.setattr("sys.stdout", output)
    assert main(["write", "in", "out", "--json"]) == 0
    assert isinstance(output.buffer, io.BytesIO)
    assert parse_output("write", output.buffer.getvalue().decode("ascii"))["records"] == 1
