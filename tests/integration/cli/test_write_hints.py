"""What `batcher write` says so that nobody is misled: partitions, places, dry runs, next steps."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from batcher.cli import main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file with two good lines and a bad one."""
    file = tmp_path / "in"
    file.write_text('{"a":1}\n{"b":2}\nbad\n')
    return file


def test_a_template_without_a_placeholder_is_warned_of(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All records go to one folder then, which is seldom meant. It is written as it was asked."""
    out = tmp_path / "out"
    assert main(["write", str(source), str(out), "--partition-by", "day"]) == 0
    assert "'day' has no placeholder" in capsys.readouterr().err
    assert list(out.rglob("day/*.gz"))
    assert main(["write", str(source), str(tmp_path / "none"), "--partition-by", ""]) == 0
    assert "placeholder" not in capsys.readouterr().err


@pytest.mark.parametrize(("field", "missing"), [("nope", "2 records"), ("a", "1 record")])
def test_records_without_the_field_of_their_partition_are_counted(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, missing: str
) -> None:
    """And the field is named. Quarantined lines are not among them."""
    flags = ["--partition-by", f"k={{field:{field}}}"]
    assert main(["write", str(source), str(tmp_path / "out"), *flags]) == 0
    assert f"{missing} without a usable {field}, in" in capsys.readouterr().err


def test_all_records_with_their_field_give_no_warning(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does the default template."""
    source.write_text('{"a":1}\n{"a":2}\n')
    for flags in (["--partition-by", "k={field:a}"], []):
        assert main(["write", str(source), str(tmp_path / "out"), *flags]) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_next_step_after_a_quarantine_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the destination as it was given, quoted; not if nothing was written."""
    out = str(tmp_path / "o u t")
    assert main(["write", str(source), out]) == 0
    assert f"batcher cat '{out}' --quarantine; then: batcher replay '{out}'" in (
        capsys.readouterr().err
    )
    assert main(["write", str(source), out, "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "batcher replay" not in printed.err + printed.out


def test_a_dry_run_says_that_it_is_one(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On both streams: whoever looks at one of them alone is not misled."""
    out = tmp_path / "out"
    assert main(["write", str(source), str(out), "--dry-run", "--max-bytes", "2MiB"]) == 0
    printed = capsys.readouterr()
    assert "dry run, without asking the destination: would write" in printed.err
    assert "nothing was written" in printed.out
    assert "max_bytes            2MiB" in printed.out
    assert "deadline_margin_s" not in printed.out
    assert not out.exists()


def test_the_local_folder_and_the_bytes_that_were_read_are_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that who forgot s3:// sees it."""
    assert main(["write", str(source), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().err
    assert f"under the local folder {tmp_path / 'out'}; " in printed
    assert f"{source.stat().st_size} B read" in printed


@pytest.mark.parametrize("destination", ["s3//b/x", "s3.//b/x", "S3//b", "file//x", "gs//b"])
def test_a_url_without_its_colon_is_a_fault(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    destination: str,
) -> None:
    """It would make a folder of the scheme's name, silently."""
    monkeypatch.chdir(tmp_path)
    assert main(["write", str(source), destination]) == 2
    assert "is a URL without its colon" in capsys.readouterr().err
    assert os.listdir() == ["in"]  # noqa: PTH208


@pytest.mark.parametrize("piped", [False, True])
def test_one_argument_alone_misses_the_destination(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, piped: bool
) -> None:
    """Most likely an input was given; below a pipe, perhaps the destination."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, open(os.devnull) as null:  # noqa: PTH123
        os.close(writing)
        monkeypatch.setattr(sys, "stdin", pipe if piped else null)
        assert main(["write", "one"]) == 2
    printed = capsys.readouterr().err
    assert "DESTINATION: missing, as only one argument is given" in printed
    assert ("batcher write - one" in printed) == piped


def test_verbose_names_inputs_and_objects(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each object once, when it is durable."""
    out, flat = tmp_path / "out", ["--partition-by", "", "--fanout", "1"]
    assert main(["write", str(source), str(source), str(out), "-v", *flat]) == 0
    printed = capsys.readouterr().err
    assert f"reading: {source}" in printed
    assert printed.count(f"read: {source}, 3 lines") == 2
    (key,) = (path.name for path in out.glob("*.gz"))
    assert printed.count(f"durable: {key}, 4 records") == 1
