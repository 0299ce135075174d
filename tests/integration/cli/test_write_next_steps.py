"""After `batcher write` what it prints to go on with is followed to the letter: no line is lost."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from batcher.cli import main
from integration.cli.processes import command, environ_of
from integration.cli.test_write_streams import landed
from support.output_schema import parse_output

LINES = [b'{"k":"%s","n":%d}\n' % (kind.encode(), n) for n, kind in enumerate("aabbabbbaa")]
BY_KIND = ["--partition-by", "k={field:k}", "--fanout", "1"]


@pytest.fixture(name="out")
def make_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the destination, in which one partition cannot be written."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "the out"
    folder.mkdir()
    (folder / "k=b").touch()  # where a folder would have to be
    return folder


def follow(messages: str, *flags: str) -> None:
    """Run the commands that messages show, with flags for those that write."""
    shown = [line.removeprefix("batcher:   ") for line in messages.splitlines()]
    chosen = [each for each in shown if each.startswith(("sed ", "gzip ", "batcher write "))]
    assert chosen, messages
    program = " ".join(command(["write"]))
    for each in chosen:
        line = each.replace("batcher write", program)
        line += " " + " ".join(f"'{flag}'" for flag in flags) if program in line else ""
        subprocess.run(["bash", "-c", line], check=True, env=environ_of())  # noqa: S603, S607


@pytest.mark.parametrize("name", ["in it", "in.gz"])
def test_exactly_the_lines_that_are_not_durable_can_be_written(
    out: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """In the middle of a file, with standard tools; a file after it has some as well."""
    pack = gzip.compress if name.endswith(".gz") else bytes
    Path(name).write_bytes(pack(b"".join(LINES)))
    Path("second").write_bytes(b"".join(LINES[2:5]))
    assert main(["write", name, "second", "the out", *BY_KIND, "--json"]) == 1
    printed = capsys.readouterr()
    ranges = [
        (each["input"], each["first_line"], each["last_line"])
        for each in parse_output("write", printed.out)["failed_lines"]
    ]
    assert ranges == [(name, 3, 4), (name, 6, 8), ("second", 1, 2)]
    (out / "k=b").unlink()
    follow(printed.err, *BY_KIND)
    assert sorted(landed(out)) == sorted([*LINES, *LINES[2:5]])


def test_the_place_to_continue_at_is_the_first_line_that_is_not_durable(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it is. What is durable after it is written again, and the message says so."""
    Path("in").write_bytes(b"".join(LINES))
    Path("before").write_bytes(LINES[0])
    assert main(["write", "before", "in", "the out", *BY_KIND]) == 1
    messages = capsys.readouterr().err
    assert "the same command with --skip-to in:3, which writes again what is durable" in messages
    (out / "k=b").unlink()
    assert main(["write", "before", "in", "the out", *BY_KIND, "--skip-to", "in:3"]) == 0
    assert {*landed(out)} == {*LINES}


def test_if_nothing_after_the_place_is_durable_nothing_is_written_again(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").write_bytes(b"".join(LINES[:4]))
    assert out.exists()
    assert main(["write", "in", "the out", *BY_KIND]) == 1
    messages = capsys.readouterr().err
    assert "to continue: the same command with --skip-to in:3\n" in messages
    assert "sed" not in messages


def test_refused_lines_can_be_corrected_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are named once, and the good lines beside them are durable already."""
    monkeypatch.chdir(tmp_path)
    Path("in").write_bytes(b"".join([LINES[0], b"bad\n", b"bad\n", LINES[1]]))
    assert main(["write", "in", "out", "--on-bad-record", "fail", "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("in:2:") == 1
    assert "--skip-to" not in printed.err
    assert parse_output("write", printed.out)["failed_lines"] == [
        {"input": "in", "first_line": 2, "last_line": 3, "refused": True}
    ]
    extract = re.search(r"  (sed .*) >> corrected", printed.err)
    assert extract is not None
    bad = subprocess.run(["bash", "-c", extract[1]], check=True, capture_output=True)  # noqa: S603, S607
    assert bad.stdout == b"bad\nbad\n"


def test_an_input_that_cannot_be_read_to_its_end_is_continued_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone: the inputs after it have been written."""
    monkeypatch.chdir(tmp_path)
    texts = [json.dumps({"n": n, "x": os.urandom(40).hex()}) for n in range(99)]
    whole = "".join(f"{text}\n" for text in texts).encode()
    Path("in.gz").write_bytes(gzip.compress(whole)[:-900])
    Path("second").write_bytes(LINES[0])
    assert main(["write", "in.gz", "second", "out"]) == 1
    shown = re.search(r"once in.gz can be read: (batcher write .*)", capsys.readouterr().err)
    assert shown is not None
    Path("in.gz").write_bytes(gzip.compress(whole))
    assert main(shown[1].split()[1:]) == 0
    assert sorted(landed(Path("out"))) == sorted([LINES[0], *whole.splitlines(keepends=True)])


def test_a_second_ctrl_c_names_the_first_line_that_was_dropped(tmp_path: Path) -> None:
    """Not the first that was not read: those between them would be lost."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
        environ = environ_of(dict.fromkeys(names, "stand-in"))
        flags = ["--endpoint-url", f"http://127.0.0.1:{port}", "--linger-s", "0", "--json"]
        process = subprocess.Popen(  # noqa: S603  # our own command
            command(["write", "-", "s3://bucket/root", *flags]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            cwd=tmp_path,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(b"".join(LINES))
            process.stdin.flush()
            hanging.settimeout(60)
            connection, _ = hanging.accept()  # the lines are being sent
            with connection:
                process.send_signal(signal.SIGINT)
                time.sleep(1.2)  # sooner it would not count as a second one
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    messages = err.decode()
    assert process.returncode == 1, messages
    document = parse_output("write", out.decode())
    assert (document["failed"], document["unread_from"]) == (10, "-:11")
    assert "to continue: the same command with --skip-to -:1;" in messages
    assert "on_cancel" not in messages
