"""`batcher plan`: figures on a screen or as JSON; samples are measured; faults come all at once."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from batcher.cli import main
from batcher.cli.plan import SAMPLE_BYTES
from batcher.tools.formatting import format_size
from batcher.tools.plan.prices import PRICES_DATE, PRICES_REGION
from support.output_schema import parse_output
from support.plan_examples import orders

RATE = ("--records-per-s", "50")
USUAL = (*RATE, "--record-bytes", "1KiB")


def planned(capsys: pytest.CaptureFixture[str], *flags: str) -> Any:  # noqa: ANN401  # JSON
    """Run the command with `--json`; give what it says."""
    assert main(["plan", "--json", *flags]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return parse_output("plan", printed.out)


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """Run the command; give what it says against it."""
    assert main(["plan", *flags]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_a_plan_is_printed_with_dollars_mapping_and_conclusion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As aligned text, where no terminal is."""
    flags = ("--engine", "obstore", "--window-s", "20", "--record-bytes", "300")
    assert main(["plan", *RATE, *flags]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "50 records/s of 300 B from sqs, window 20 s, peak x 2"
    assert (
        "an invocation carries 200 records, 242.8 kB of JSON "
        "the window of 20 s ends it; at most 4,942"
    ) in lines
    assert "concurrent batches 5 pollers" in lines
    assert "an object's size 15.4 kB gzip 1, ratio 3.9, assumed" in lines
    assert "objects per second 0.25 21,600 per day" in lines
    assert "delivery Firehose ingestion 0.00 18.17" in lines
    assert "memorySize: 256" in lines
    assert "maximumBatchingWindow: 20" in lines
    assert any(line.startswith("warning: small_objects: objects of 15.4 kB") for line in lines)
    assert any(line.startswith("note: dollars: list prices in us-east-1") for line in lines)
    verdict = lines[lines.index("") + 1]
    assert verdict.startswith("0.25 objects/s of 15.4 kB: the window of 20 s ends a batch; 256 MB")
    assert "Firehose $18.18" in verdict


def test_the_shards_have_a_row_and_their_warning_is_near(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Above what a reader would have to scroll to."""
    flags = (*USUAL, "--source", "kinesis")
    assert main(["plan", *flags]) == 0
    assert ["shards", "1", "as few as take the peak"] in [
        line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()
    ]
    busy = ("--records-per-s", "5000", "--record-bytes", "3000")
    assert main(["plan", "--source", "kinesis", *busy, "--shards", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["shards", "2", "as given"] in [line.split(maxsplit=2) for line in lines]
    (warning,) = [line for line in lines if line.startswith("warning: shards: ")]
    assert lines.index(warning) < lines.index("Costs")


def test_a_plan_of_nothing_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    printed = refused(capsys)
    assert "--records-per-s: required, and --record-bytes or --sample; for example: " in printed
    assert len(printed.splitlines()) == 3


def test_settings_that_change_no_figure_are_printed_if_they_are_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But they are no options."""
    assert "--acl: batcher plan does not use this setting" in refused(
        capsys, *USUAL, "--acl", "private"
    )
    monkeypatch.setenv("BATCHER_ACL", "private")
    assert main(["plan", *USUAL]) == 0
    assert 'BATCHER_ACL: "private"' in capsys.readouterr().out


def test_a_terminal_gets_the_same_in_tables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rich, where it is installed; as text where it is not."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["plan", *USUAL]) == 0
    drawn = capsys.readouterr().out
    assert "─" in drawn
    assert "Firehose ingestion" in drawn
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(["plan", *USUAL]) == 0
    text = capsys.readouterr().out
    assert "─" not in text
    assert "Firehose ingestion" in text


def test_json_is_one_document_of_the_same_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """And the same at every run."""
    found = planned(capsys, *USUAL, "--source", "kinesis", "--shards", "2")
    assert found == planned(capsys, *USUAL, "--source", "kinesis", "--shards", "2")
    assert found["workload"]["records_per_s"] == 50
    assert found["event"]["lanes"] == 2
    assert found["event"]["records"] == 500
    assert found["event_source"]["parallelization_factor"] == 1


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd.compress], ids=lambda f: f.__name__)
def test_a_sample_is_measured_as_the_writer_writes_it(
    packed: Any,  # noqa: ANN401  # bytes -> bytes
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Plain or compressed: sizes and ratio are those of the objects that `batcher write` makes."""
    records = orders(1_000)
    text = b"".join(record + b"\n" for record in records)
    sample = tmp_path / "sample"
    sample.write_bytes(packed(text))
    flags = ("--window-s", "10", "--pollers", "2", "--compression", "zstd")
    found = planned(capsys, *RATE, "--sample", str(sample), *flags)
    assert found["object"]["records"] == 250
    assert found["object"]["measured_records"] == 1_000
    raw_bytes = sum(map(len, records))
    assert found["workload"]["record_bytes"] == pytest.approx(raw_bytes / 1_000)
    quoted_bytes = sum(len(json.dumps(record.decode())) - 2 for record in records)
    assert found["workload"]["json_growth"] == pytest.approx(quoted_bytes / raw_bytes, rel=1e-5)

    out = tmp_path / "out"
    write = ["write", str(sample), f"file://{out}", "--max-records", "250"]
    assert main([*write, "--compression", "zstd", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["objects"] == 4
    assert found["object"]["ratio"] == pytest.approx(len(text) / written["bytes_out"], rel=1e-5)
    assert found["object"]["size_bytes"] == pytest.approx(written["bytes_out"] / 4, rel=1e-5)


def test_a_size_that_is_given_beats_the_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ratio is still measured."""
    sample = tmp_path / "sample"
    sample.write_bytes(b"\n".join(orders(100)))
    found = planned(capsys, *USUAL, "--sample", str(sample))
    assert found["workload"]["record_bytes"] == 1_024
    assert found["object"]["measured_records"] == 100


def test_only_the_start_of_a_large_sample_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8 MiB and a block at most; the rest may be as long as it likes."""
    sample = tmp_path / "sample.gz"
    line = b'{"n":1}\n'
    lines = 4 * SAMPLE_BYTES // len(line)
    sample.write_bytes(gzip.compress(line * lines, 1, mtime=0))
    found = planned(capsys, *RATE, "--sample", str(sample), "--window-s", "1")
    read_bytes = found["object"]["measured_records"] * len(line)
    assert 0.99 * SAMPLE_BYTES <= read_bytes <= 1.5 * SAMPLE_BYTES


def test_empty_lines_are_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor are those that no invocation can carry."""
    sample = tmp_path / "sample"
    sample.write_bytes(b'\n{"n":1}\n  \n"' + b"x" * 6_500_000 + b'"\n{"n":2}')
    found = planned(capsys, *RATE, "--sample", str(sample))
    assert found["workload"]["record_bytes"] == 7
    assert found["object"]["measured_records"] == 2


def test_standard_input_can_be_the_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `-`."""
    source = tmp_path / "in"
    source.write_bytes(b'{"n":1}\n' * 10)
    with source.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        found = planned(capsys, *RATE, "--sample", "-")
    assert found["object"]["measured_records"] == 10


def test_every_fault_comes_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of workload, sample and settings."""
    printed = refused(
        capsys,
        "--records-per-s",
        "lots",
        "--window-s",
        "900",
        "--source",
        "kafka",
        "--sample",
        str(tmp_path / "none"),
        "--fanout",
        "3",
        "--compression",
        "lzma",
    )
    for fault in (
        "--records-per-s: expected a number, got 'lots'",
        "--window-s: 900 is outside 0 to 300",
        "source: unknown value 'kafka'; choose one of",
        "none: cannot be read",
        "fanout: 3 is not a power of two",
        "compression: unknown value 'lzma'; choose one of",
    ):
        assert fault in printed
    assert "--record-bytes" not in printed


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "--records-per-s: required"),
        (RATE, "--record-bytes: required"),
        ((*USUAL, "--source", "fifo", "--window-s", "5"), "FIFO queues have no batching window"),
        ((*RATE, "--record-bytes", "4.5MB", "--source", "kinesis"), "carries 6,000,000"),
        ((*RATE, "--record-bytes", "2MB"), "more than a message can have (1,048,576)"),
        ((*USUAL, "--shards", "2"), "shards: a queue"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(
    flags: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do, where there is something."""
    assert expected in refused(capsys, *flags)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"\n \n", "has no record that"), (gzip.compress(b"{}\n", mtime=0)[:-9], "cannot be read")],
)
def test_a_sample_without_records_or_that_is_damaged_is_refused(
    body: bytes, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the size that it would have given is no second fault."""
    sample = tmp_path / "sample"
    sample.write_bytes(body)
    message = refused(capsys, *RATE, "--sample", str(sample))
    assert expected in message
    assert "--record-bytes" not in message


DOCS = Path(__file__).parents[3] / "docs"


def test_the_documented_example_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """It has no sample, so no compressor has a part in it."""
    page = (DOCS / "how-to" / "plan.md").read_text("utf-8")
    example = re.search(r"```sh\nbatcher (plan .+)\n```\n\n```text\n(.+?)…\n```", page, re.DOTALL)
    assert example is not None
    assert main(example[1].split()) == 0
    assert capsys.readouterr().out.startswith(example[2])


COST_ROW = re.compile(r"^\| `(--records-per-s .+?)` \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "cells"), COST_ROW.findall((DOCS / "cost.md").read_text("utf-8"))
)
def test_the_documented_costs_are_computed(
    options: str, cells: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = planned(capsys, *options.split())
    dollars = found["dollars_a_month"]["by_part"]
    assert cells.split(" | ") == [
        format_size(found["object"]["size_bytes"]),
        *(
            f"{dollars[part][writer]:,.2f}"
            for writer in ("batcher", "firehose")
            for part in ("delivery", "source")
        ),
    ]


def test_the_documented_prices_have_their_date() -> None:
    page = (DOCS / "cost.md").read_text("utf-8")
    assert f"{PRICES_REGION} as of {PRICES_DATE}" in page


def test_settings_come_from_the_environment_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags beat it; a bucket is not needed, and is shown where there is one."""
    monkeypatch.setenv("BATCHER_COMPRESSION", "zstd")
    monkeypatch.setenv("BATCHER_FANOUT", "4")
    monkeypatch.setenv("BATCHER_BUCKET", "my-bucket")
    found = planned(capsys, *USUAL, "--fanout", "8")
    assert found["object"]["compression"] == "zstd"
    assert found["prefixes"]["fanout"] == 8
    assert found["environment"] == {
        "BATCHER_BUCKET": "my-bucket",
        "BATCHER_PARTIAL_RESPONSE": "true",
        "BATCHER_COMPRESSION": "zstd",
        "BATCHER_FANOUT": "8",
    }
    monkeypatch.setenv("BATCHER_FANUOT", "4")
    assert "did you mean BATCHER_FANOUT?" in refused(capsys, *USUAL)


def test_a_plan_imports_no_client() -> None:
    """It asks nobody: the command line has no SDK to load."""
    import subprocess  # noqa: PLC0415  # for this test alone

    script = (
        "import sys; from batcher.cli import main; "
        "main(['plan', '--records-per-s', '1', '--record-bytes', '1', '--json']); "
        "print([n for n in ('aioboto3', 'botocore', 'obstore', 'rich') if n in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
