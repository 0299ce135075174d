"""The prices of docs/alternatives.md are computed by the commands that it shows."""

from __future__ import annotations

import json
import re

import pytest

from batcher.cli import main
from batcher.tools.plan.costs import MONTH_S
from batcher.tools.plan.prices import (
    PRICES_DATE,
    PRICES_REGION,
    firehose_billed_bytes,
    firehose_conversion_dollars,
)
from support.doc_pages import DOCS, blocks_of, commands

PAGE = DOCS / "alternatives.md"
TEXT = PAGE.read_text("utf-8")
COMMANDS = [
    command.split()[1:]
    for block in blocks_of(PAGE)
    if block.language == "sh"
    for command in commands(block.text)
]
COLUMNS = {"1000": 0, "10": 1}
"""The column of a workload, by its records per second."""
JOINED = 100
"""Records of 1 KiB, each with its newline, that a producer joins into one."""


def cells(row: str) -> list[str]:
    """Return the cells after the first one of a row of the price table."""
    found = re.search(rf"^\| {re.escape(row)} \| (.+) \|$", TEXT, re.MULTILINE)
    assert found, row
    return found[1].split(" | ")


def dollars_in(cell: str) -> list[str]:
    """Return the amounts of a cell."""
    return re.findall(r"[\d,]+\.\d\d", cell)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_prices_are_those_of_the_plan(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 0
    dollars = json.loads(capsys.readouterr().out)["dollars_a_month"]
    column = COLUMNS[arguments[arguments.index("--records-per-s") + 1]]
    delivery, source = dollars["by_part"]["delivery"], dollars["by_part"]["source"]

    def both(writer: str) -> list[str]:
        total = delivery[writer] + source[writer]
        return [f"{total:,.2f}", f"{delivery[writer]:,.2f}"]

    if "kinesis" in arguments:
        assert dollars_in(cells("batcher, Kinesis")[column]) == both("batcher")
        assert dollars_in(cells("Firehose, from Kinesis")[column]) == both("firehose")
        return
    assert dollars_in(cells("batcher, SQS")[column]) == both("batcher")
    assert cells("Firehose, Direct PUT")[column] == f"{delivery['firehose']:,.2f}"
    assert source["firehose"] == 0
    ingestion, puts = (
        next(item["firehose"] for item in dollars["items"] if item["name"] == name)
        for name in ("Firehose ingestion", "S3 PUT requests")
    )
    joined = cells("Firehose, Direct PUT, producer joins 100 records")[column]
    billed = firehose_billed_bytes(JOINED * 1_025) / JOINED / firehose_billed_bytes(1_024)
    assert joined == f"{ingestion * billed + puts:,.2f}"
    assert main([*arguments, "--json", "--partitions", "2"]) == 0
    items = json.loads(capsys.readouterr().out)["dollars_a_month"]["items"]
    extra = {item["name"]: item["firehose"] for item in items}
    added = extra["Firehose partitioning"] + extra["S3 PUT requests"] - puts
    assert cells("Firehose, partitions by a field: adds")[column] == f"{added:,.2f}"
    records = float(arguments[arguments.index("--records-per-s") + 1]) * MONTH_S
    converted = firehose_conversion_dollars(records * firehose_billed_bytes(1_024))
    assert cells("Firehose, Parquet or ORC: adds")[column] == f"{converted:,.2f}"


def test_both_workloads_have_a_plan_for_a_stream_and_a_queue() -> None:
    assert len({(*each,) for each in COMMANDS}) == len(COLUMNS) * 2


def test_a_put_per_record_is_priced_as_s3_does() -> None:
    seconds, dollars_per_put = 730 * 3600, 5e-6
    expected = [f"{rate * seconds * dollars_per_put:,.2f}" for rate in (1000, 10)]
    assert cells("one PUT per record with boto3") == expected


def test_figures_of_the_bench_are_those_of_its_file() -> None:
    """In the order of the columns."""
    (name,) = re.findall(r"\[all figures\]\((measured/[^)]+)\)", TEXT)
    (result,) = json.loads((DOCS / name).read_text())["results"]
    bars = {
        chart["name"]: {bar["label"]: f"{bar['value']:,.2f}" for bar in chart["bars"]}
        for chart in result["charts"]
    }
    rows = re.findall(r"^\| `([^`]+, [^`]+)`.*? \| (\S+) \| (\S+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 7
    for label, *figures in rows:
        cases = ("throughput-sqs-1-kib", "throughput-sqs-200-b")
        assert figures == [bars[case][label] for case in cases]


def test_the_prices_have_their_date() -> None:
    assert f"{PRICES_REGION} as of {PRICES_DATE}" in TEXT
