"""What the fuzzers have found in names, settings and the command line, one test a bug."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from batcher.cli import main
from batcher.errors import SettingsError
from batcher.settings import Settings
from support.examples import make_settings
from support.fuzz_strategies import GOOD, corrupt
from support.fuzz_targets import check_service_event, check_stored, invoke_handler

HUGE = 10**400


def check_spoiled(kind: str, path: tuple[str, ...], value: object) -> None:
    """A second record with `value` at `path`, a good one before it."""
    records: list[Any] = [GOOD[kind](0), corrupt(GOOD[kind](1), {path: value})]
    check_service_event(kind, records, {1})


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("kinesis", ("kinesis", "approximateArrivalTimestamp")),
        ("dynamodb", ("dynamodb", "ApproximateCreationDateTime")),
    ],
)
def test_a_streams_time_that_no_float_can_hold_is_no_time(kind: str, path: tuple[str, ...]) -> None:
    """`float` raises OverflowError for 400 digits: no error of ours, and the event is stuck."""
    check_spoiled(kind, path, HUGE)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [("sqs", "eventSourceARN", "a:\ud800"), ("kinesis", "eventID", "\ud800:1")],
)
def test_a_source_named_by_half_a_surrogate_pair_has_a_name(
    kind: str, field: str, value: str
) -> None:
    """`quote` raises UnicodeEncodeError, and the event is stuck."""
    check_spoiled(kind, (field,), value)


@pytest.mark.parametrize(("kind", "field"), [("sqs", "eventSourceARN"), ("kinesis", "eventID")])
def test_a_source_with_a_long_name_has_keys_of_at_most_1024_bytes(kind: str, field: str) -> None:
    """`longest_key_bytes` takes for granted what an event says; S3 refuses such keys for ever."""
    check_spoiled(kind, (field,), "q" * 2_000)


@pytest.mark.parametrize("number", ["a/b", "../..", "\ud800", "x" * 2_000])
@pytest.mark.parametrize("kind", ["kinesis", "dynamodb"])
def test_a_sequence_number_never_leaves_its_folder(kind: str, number: str) -> None:
    """It stands in the key unescaped; half a surrogate pair made the event come back for ever."""
    path = ("kinesis", "sequenceNumber") if kind == "kinesis" else ("dynamodb", "SequenceNumber")
    records = [corrupt(GOOD[kind](0), {path: number}), GOOD[kind](1)]
    check_service_event(kind, records, {0}, partition_by="")
    _, store = invoke_handler({"Records": records}, partition_by="")
    folders = {key.count("/") for key in store.objects if "/_quarantine/" not in key}
    assert folders == {2}


def test_a_bad_record_with_an_odd_identity_is_quarantined() -> None:
    """Orjson refuses it; a program that names a file in bytes that are no UTF-8 meets this too."""
    records = [GOOD["sqs"](0), corrupt(GOOD["sqs"](1), {("messageId",): "\ud800", ("body",): "{"})]
    check_service_event("sqs", records, {1})


@pytest.mark.parametrize("name", ["linger_s", "deadline_margin_s"])
def test_a_time_that_is_too_large_for_a_float_is_a_fault(name: str) -> None:
    """OverflowError, where a SettingsError was promised."""
    with pytest.raises(SettingsError):
        make_settings(**{name: HUGE})


@pytest.mark.parametrize("name", ["fanout", "max_bytes", "max_records", "budget_bytes"])
def test_a_number_that_python_cannot_show_is_a_fault(name: str) -> None:
    """Only the message about it raises ValueError."""
    with pytest.raises(SettingsError):
        make_settings(**{name: 10**5_000})


def test_a_memory_size_that_is_no_size_is_left_alone() -> None:
    """ValueError; `isdecimal` is true of digits that `int` does not take."""
    environ = {"BATCHER_BUCKET": "b-1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "9" * 5_000}
    assert Settings.from_env(environ).bucket == "b-1"


def test_a_name_with_a_kelvin_sign_is_no_setting() -> None:
    """It is `k` in lower case and itself in upper case, and so was read as BATCHER_BUCKET."""
    with pytest.raises(SettingsError, match="unknown setting"):
        Settings.from_env({"BATCHER_BUC\u212aET": "b-1"})


@pytest.mark.parametrize("name", ["root", "fanout", "partition_by", "concurrency"])
def test_none_for_a_setting_that_has_a_default_is_a_fault(name: str) -> None:
    """AttributeError and TypeError from deep inside, or a setting that is None."""
    with pytest.raises(SettingsError):
        make_settings(**{name: None})


def test_a_bad_line_of_a_file_whose_name_is_no_utf_8_is_quarantined(tmp_path: Path) -> None:
    """The command ended with a TypeError, and nothing that it had read was written."""
    source = tmp_path / os.fsdecode(b"odd\xff")
    source.write_bytes(b'{"a":1}\nbad\n')
    assert main(["write", str(source), f"file://{tmp_path / 'out'}"]) == 0


def test_a_first_position_of_5000_digits_is_a_mismatch() -> None:
    """ValueError ended `batcher verify`; files may have metadata of any length beside them."""
    key = f"events/_quarantine/kinesis/dt=2026-11-23/s-{'0' * 64}.ndjson.gz"
    check_stored({key: (gzip.compress(b"1\n", mtime=0), {"batcher-first": "9" * 5_000})}, [])
