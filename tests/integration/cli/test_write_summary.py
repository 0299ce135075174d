"""Messages of `batcher write` about bad lines, dry runs and wrong options."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.cli import main
from batcher.cli.failed_lines import FailedLines, FailedRange
from batcher.cli.faults import FaultCollector
from batcher.cli.inputs.lines import Input, LineBlock
from batcher.cli.write_summary import WriteSummary
from batcher.errors import RetryableError
from batcher.writing.stats import Stats
from support.output_schema import parse_output


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file with two good lines and 25 bad ones."""
    file = tmp_path / "in"
    file.write_text('{"a":1}\n' + "bad\n" * 25 + '{"b":2}\n')
    return file


def failed_range(name: str, numbers: range) -> FailedRange:
    """Return lines of the first input that failed."""
    return FailedRange(0, Input(name), numbers, "no")


def add_failed(failed: FailedLines, source: Input | str, numbers: range, reason: str) -> None:
    """Add a block all of whose lines failed."""
    each = source if isinstance(source, Input) else Input(source)
    block = LineBlock(each, numbers.start, len(numbers), b"")
    failed.add_failed(0, block, RetryableError(reason), records=len(numbers))


def test_dropped_lines_are_in_both_totals(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every count is, also those that are 0."""
    flags = [str(source), f"file://{tmp_path}/out", "--on-bad-record", "drop"]
    assert main(["write", *flags, "--json"]) == 0
    document = parse_output("write", capsys.readouterr().out)
    assert list(document) == [
        *("records", "objects", "bytes_in", "bytes_out", "quarantined", "failed", "dropped"),
        *("blank", "skipped", "failed_lines", "more_failed_ranges", "seconds"),
    ]
    assert (document["records"], document["quarantined"], document["dropped"]) == (2, 0, 25)
    assert main(["write", *flags]) == 0
    assert "0 quarantined, 25 dropped, 0 failed" in capsys.readouterr().err


def test_the_ranges_that_are_kept_are_bounded() -> None:
    """A run whose every other line fails must not fill the memory. The total is still right."""
    failed = FailedLines()
    for line in range(2, 50_002, 2):
        add_failed(failed, "in", range(line, line + 1), "no")
    assert len(failed.ranges) + failed.more_ranges == 25_000
    assert len(failed.ranges) == 1_000
    assert failed.extract_commands(refused=False) == []


@pytest.mark.parametrize(
    ("choice", "code", "expected"),
    [
        ("drop", 0, "batcher: warning: and 15 more; 25 dropped in total"),
        ("quarantine", 0, "batcher: warning: and 15 more; 25 quarantined in total"),
        ("fail", 1, "batcher: error: and 15 more; 25 rejected in total"),
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
    messages = capsys.readouterr().err.splitlines()
    warnings = [line for line in messages if "warning: " in line or "error: " in line]
    assert sum("not_json" in line for line in warnings) == 10
    assert warnings[10:] == [expected]


def test_ten_bad_lines_leave_nothing_to_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are named."""
    (tmp_path / "in").write_text("bad\n" * 10 + "{}\n")
    assert main(["write", f"{tmp_path}/in", f"file://{tmp_path}/out"]) == 0
    assert "more" not in capsys.readouterr().err


def test_with_json_the_plan_of_a_dry_run_goes_to_standard_error(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for a program then."""
    assert main(["write", str(source), f"file://{tmp_path}/out", "--dry-run", "--json"]) == 0
    printed = capsys.readouterr()
    assert parse_output("write", printed.out)["records"] == 2
    assert "nothing was written" in printed.err
    assert not (tmp_path / "out").exists()


def test_every_fault_is_in_the_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """An input that is not there is called one."""
    assert main(["write", "gone", "s4://bucket", "--fanout", "3"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "batcher write: wrong usage or settings:",
        (
            "  - DESTINATION: 's4://bucket' is a URL of another scheme, s4; write s3://bucket/root"
            ", or the path of a folder (./s4://bucket if it is one)"
        ),
        "  - --fanout: 3 is not a power of two; choose 1, 2, 4, ... 65536",
        "  - input gone: No such file or directory",
        "try 'batcher write --help'",
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


@pytest.mark.parametrize(
    ("summary", "code"),
    [
        (WriteSummary("d", Stats(records=1, quarantined=1, dropped=1, filtered=1)), 0),
        (WriteSummary("d", Stats(failed=1)), 1),
        (WriteSummary("d", Stats(rejected=1)), 1),
        (WriteSummary("d", errors=["an input cannot be read"]), 1),
        (WriteSummary("d", failed_lines=FailedLines([failed_range("in", range(1, 2))])), 1),
        (WriteSummary("d", signal=2), 130),
        (WriteSummary("d", signal=15), 143),
        (WriteSummary("d", Stats(failed=1), signal=15), 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_outcome(summary: WriteSummary, code: int) -> None:
    """Lines that are not durable matter more than a signal."""
    assert summary.exit_code == code


def test_lines_that_failed_for_one_reason_are_one_range() -> None:
    """Of other inputs, for other reasons, or after a gap they are a range of their own."""
    failed = FailedLines()
    a, b = Input("a"), Input("b")
    for source, first, last, reason in [
        (a, 1, 5, "no"),
        (a, 5, 9, "no"),
        (a, 9, 12, "down"),
        (a, 20, 21, "down"),
        (b, 21, 22, "down"),
    ]:
        add_failed(failed, source, range(first, last), reason)
    assert [(str(each), each.cause) for each in failed.ranges] == [
        ("a:1-8", "no"),
        ("a:9-11", "down"),
        ("a:20", "down"),
        ("b:21", "down"),
    ]


def test_of_lines_that_are_partly_durable_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A block of lines goes into several objects, of which one is refused."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_text('{"k":"a"}\n{"k":"b"}\n' * 500)
    out.mkdir()
    (out / "k=a").write_text("a file where a folder should be")
    flags = ["--partition-by", "k={field:k}", "--fanout", "1", "--json"]
    assert main(["write", str(source), f"file://{out}", *flags]) == 1
    printed = capsys.readouterr()
    document = parse_output("write", printed.out)
    assert (document["records"], document["failed"]) == (500, 500)
    shown = ", ".join(f"{source}:{2 * n + 1}" for n in range(10))
    assert f"  {shown}, and 490 more ranges\n" in printed.err
    assert printed.err.count("not durable: cannot write ") == 1
    assert [each["first_line"] for each in document["failed_lines"]] == [*range(1, 1_000, 2)]
