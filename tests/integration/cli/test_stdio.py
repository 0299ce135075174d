"""Standard output and error that are closed, full, or pipes without a reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batcher.cli import main
from integration.cli.processes import run_in_shell, run_with_closed_pipe

COMMANDS = [
    "--help",
    "write --help",
    "write {source} file://{out} --json",
    "write {source} file://{out} --dry-run",
    "ls file://{out}",
    "cat file://{out}",
    "verify file://{out}",
    "verify file://{out} --json",
    "replay file://{out} --json",
    "replay file://{out} --dry-run",
    "plan --records-per-s 10 --record-bytes 1KiB",
    "check file://{out}",
    "ddl file://{out} --engine spark",
]
LINES = '{"a":1}\nbad one\n{"a":2}\n'

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Return a file of lines, and a folder that they were written into."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_text(LINES)
    assert main(["write", str(source), f"file://{out}"]) == 0
    return {"source": source, "out": out}


def records(out: Path) -> int:
    """Count the records in a folder."""
    return sum(
        int(json.loads(path.read_text())["metadata"]["batcher-records"])
        for path in (out / ".meta").rglob("*.json")
    )


@pytest.mark.parametrize("line", COMMANDS)
def test_a_pipe_without_a_reader_ends_a_command_as_sigpipe_would(
    places: dict[str, Path], line: str
) -> None:
    """Also if all output stays in a buffer until the end."""
    done = run_with_closed_pipe(line.format(**places).split(), "stdout")
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("line", COMMANDS)
def test_output_that_is_full_or_closed_is_reported_in_one_line(
    places: dict[str, Path], line: str, redirection: str
) -> None:
    """And the command fails: an incomplete report must not look like a complete one."""
    done = run_in_shell(line.format(**places).split(), redirection)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("batcher: standard output: cannot be written: ")
    assert done.stderr.count("standard output") == 1
    assert "Traceback" not in done.stderr


def test_a_command_that_prints_nothing_needs_no_output(tmp_path: Path) -> None:
    """And the first file that it opens does not get the descriptor of the closed stream."""
    (tmp_path / "in").write_text(LINES)
    done = run_in_shell(["write", f"{tmp_path}/in", f"file://{tmp_path}/out"], ">&-")
    assert done.returncode == 0, done.stderr
    assert records(tmp_path / "out") == 3


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- <&-"])
def test_messages_that_are_lost_change_nothing(tmp_path: Path, redirection: str) -> None:
    """Everything is written once, and the summary says so: no retry is needed."""
    (tmp_path / "in").write_text(LINES)
    out = tmp_path / "out"
    done = run_in_shell(["write", f"{tmp_path}/in", f"file://{out}", "--json"], redirection)
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert (document["records"], document["quarantined"]) == (2, 1)
    assert records(out) == 3


def test_messages_whose_reader_is_gone_change_nothing(tmp_path: Path) -> None:
    """As when a log shipper has died; the exit code stays what it is."""
    (tmp_path / "in").write_text(LINES)
    flags = [f"file://{tmp_path}/out", "--json"]
    done = run_with_closed_pipe(["write", f"{tmp_path}/in", *flags], "stderr")
    assert (done.returncode, json.loads(done.stdout)["records"]) == (0, 2)
    done = run_with_closed_pipe(
        ["write", f"{tmp_path}/in", *flags, "--on-bad-record", "fail"], "stderr"
    )
    assert (done.returncode, json.loads(done.stdout)["failed"]) == (1, 1)
    assert run_with_closed_pipe(["write", f"{tmp_path}/gone", *flags], "stderr").returncode == 2


def test_standard_input_that_is_closed_is_reported(tmp_path: Path) -> None:
    """Together with all other faults, before anything is written."""
    done = run_in_shell(["write", "-", "gone", f"file://{tmp_path}/out"], "<&-")
    assert done.returncode == 2
    assert "input -: standard input is closed" in done.stderr
    assert "input gone: No such file" in done.stderr
    done = run_in_shell(["plan", "--records-per-s", "1", "--sample", "-"], "<&-")
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr


def test_help_names_the_exit_code_of_a_closed_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the others."""
    assert main(["--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "141 standard output was closed (SIGPIPE)" in printed
