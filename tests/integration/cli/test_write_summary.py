"""Messages of `batcher write` about bad lines, dry runs and wrong options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batcher.cli import main
from batcher.cli.options import FaultCollector


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file with two good lines and 25 bad ones."""
    file = tmp_path / "in"
    file.write_text('{"a":1}\n' + "bad\n" * 25 + '{"b":2}\n')
    return file


def test_dropped_lines_are_in_both_totals(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In addition to the names that are always there."""
    flags = [str(source), f"file://{tmp_path}/out", "--on-bad-record", "drop"]
    assert main(["write", *flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    names = ["records", "objects", "bytes_in", "bytes_out", "quarantined", "failed", "dropped"]
    assert list(document) == [*names, "seconds"]
    assert (document["records"], document["quarantined"], document["dropped"]) == (2, 0, 25)
    assert main(["write", *flags]) == 0
    assert "0 quarantined, 25 dropped, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choice", "code", "expected"),
    [
        ("drop", 0, "batcher: warning: and 15 more; 25 dropped in total"),
        ("quarantine", 0, "batcher: warning: and 15 more; 25 quarantined in total"),
        ("fail", 1, "batcher: warning: and 15 more; 25 rejected in total"),
    ],
)
def test_ten_bad_lines_are_named_and_the_others_counted(  # noqa: PLR0913, PLR0917  # cases
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    choice: str,
    code: int,
    expected: str,
) -> None:
    """With the outcome of all of them."""
    flags = ["--on-bad-record", choice]
    assert main(["write", str(source), f"file://{tmp_path}/out", *flags]) == code
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert sum("not_json" in line for line in warnings) == 10
    assert warnings[10:] == [expected]


def test_ten_bad_lines_leave_nothing_to_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are named."""
    (tmp_path / "in").write_text("bad\n" * 10)
    assert main(["write", f"{tmp_path}/in", f"file://{tmp_path}/out"]) == 0
    assert "more" not in capsys.readouterr().err


def test_with_json_the_plan_of_a_dry_run_goes_to_standard_error(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for a program then."""
    assert main(["write", str(source), f"file://{tmp_path}/out", "--dry-run", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["records"] == 2
    assert "nothing was written" in printed.err
    assert not (tmp_path / "out").exists()


def test_every_fault_is_in_the_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """An input that is not there is called one."""
    assert main(["write", "gone", "s4://bucket", "--fanout", "3"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "batcher: wrong usage or settings:",
        "  - destination: 's4://bucket' is neither s3://bucket/root nor file://folder",
        "  - fanout: 3 is not a power of two; choose 1, 2, 4, ... 65536",
        "  - input gone: No such file or directory",
    ]


@pytest.mark.parametrize(("flag", "value"), [("bucket", "other-one"), ("root", "other")])
def test_the_destination_overrides_a_flag_with_a_warning(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    value: str,
) -> None:
    """Otherwise a user who passed both could look for the objects in the wrong place."""
    place = f"file://{tmp_path}/out"
    assert main(["write", str(source), place, f"--{flag}", value]) == 0
    expected = f"batcher: warning: --{flag} {value} is not used: the destination is {place}"
    assert expected in capsys.readouterr().err
    assert list((tmp_path / "out").rglob("dt=*"))


def test_a_flag_that_names_the_same_place_is_fine(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script may pass everything."""
    place = f"file://{tmp_path}/out"
    assert main(["write", str(source), place, "--bucket", place, "--root", ""]) == 0
    assert "is not used" not in capsys.readouterr().err


def test_exceptions_other_than_faults_are_not_collected() -> None:
    """Bugs must not be hidden."""
    with pytest.raises(KeyError), FaultCollector():
        raise KeyError
