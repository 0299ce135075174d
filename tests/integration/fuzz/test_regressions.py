"""What the fuzzers have found, one test a bug, with its scenario."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.errors import RejectedError
from batcher.keys.partition import DEFAULT_PARTITION, PartitionTemplate, escape_value
from support.examples import fifo_message, kinesis_record, make_chunk, message
from support.fuzz_strategies import nested
from support.fuzz_targets import check_service_event, invoke_handler, lines_of

HUGE = 10**400


def sent_at(value: object) -> dict[str, Any]:
    """Make a message whose time is no time."""
    made = message("id1", '{"n": 1}')
    made["attributes"]["SentTimestamp"] = value
    return made


@pytest.mark.parametrize("value", [HUGE, -HUGE, float("inf"), "9" * 400, "9" * 5_000])
def test_a_time_that_no_float_can_hold_is_no_time(value: object) -> None:
    """`SentTimestamp` of 400 digits raised OverflowError, and the whole event came back."""
    records = [message("id0", '{"n": 0}'), sent_at(value)]
    check_service_event("sqs", records, {1}, partition_by="dt={arrival:%Y-%m-%d}")


def test_a_time_that_is_not_a_number_is_no_time_wherever_it_stands() -> None:
    """NaN after a good time was passed by min() and max(), and a date could not be made of it."""
    records = [kinesis_record("95", b'{"n": 0}'), kinesis_record("96", b"no JSON")]
    records[1]["kinesis"]["approximateArrivalTimestamp"] = float("nan")
    check_service_event("kinesis", records, {1})


@pytest.mark.parametrize("number", ["9" * 5_000, HUGE, nested(600), {"N": "1"}, True])
def test_a_fifo_number_that_is_none_orders_nothing(number: object) -> None:
    """One of 5,000 digits raised ValueError where Python stops to read whole numbers."""
    records = [fifo_message("id0", "95", "g", '{"n": 0}'), fifo_message("id1", number)]
    check_service_event("fifo", records, {1})


def test_a_direct_record_that_is_too_deep_to_be_written_is_refused_by_an_error_of_ours() -> None:
    """It raised TypeError; nothing is written, so the caller can send the others again."""
    answer, store = invoke_handler([{"good": 1}, {"deep": nested(5_000)}])
    assert isinstance(answer, RejectedError)
    assert "record 1 of 2" in str(answer)
    assert not store.objects


def test_a_direct_record_with_a_number_too_long_to_be_written_is_refused() -> None:
    """Python writes whole numbers of up to 4,300 digits; ValueError is none of ours."""
    answer, _ = invoke_handler({"number": 10**5_000})
    assert isinstance(answer, RejectedError)


@pytest.mark.parametrize("depth", [253, 254, 255, 900, 1_000, 1_020])
def test_a_field_that_is_nested_deeply_has_a_partition(depth: int) -> None:
    """RecursionError brought the whole event back, for ever: any producer could stop a stream.

    It is the default one, wherever the stack stands, so that a redelivery meets the same key.
    """
    deep = b'{"f":' + b"[" * depth + b"]" * depth + b"}"
    records = [message("id0", '{"n": 0}'), message("id1", deep.decode())]
    _, store = invoke_handler({"Records": records}, partition_by="f={field:f}")
    assert deep in lines_of(store, quarantined=False)

    def at_depth(frames: int) -> str:
        return at_depth(frames - 1) if frames else template.split(make_chunk(deep))[0][0]

    template = PartitionTemplate("f={field:f}")
    assert at_depth(0) == at_depth(300) == f"f={DEFAULT_PARTITION}"


def test_numbers_beyond_a_double_are_partitions_of_their_own() -> None:
    """1e999 became `null`, as the text "null" does, and -1e999 too."""
    texts = ["1e999", "-1e999", '"null"', "1e998", "null"]
    payloads = [f'{{"f":{text}}}'.encode() for text in texts]
    found = PartitionTemplate("{field:f}").split(make_chunk(*payloads))
    assert [path for path, _ in found] == ["1e999", "-1e999", "null", "1e998", DEFAULT_PARTITION]


def test_a_number_too_long_for_python_hides_no_other_field() -> None:
    """All fields of a record with a number of 5,000 digits were taken for missing."""
    payload = b'{"f":1.5,"g":' + b"7" * 5_000 + b"}"
    ((path, _),) = PartitionTemplate("{field:f}/{field:g}").split(make_chunk(payload))
    assert path.startswith("1.5/" + "7" * 96 + "~")


def test_whole_numbers_over_64_bits_are_exact() -> None:
    """As they stand in the record."""
    assert escape_value(2**70) == str(2**70)


def test_a_deep_field_hides_no_other_field_however_deep_the_stack_is() -> None:
    """Beside a float all fields were taken for missing where Python could not go so deep."""
    payload = b'{"f":1.5,"g":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
    ((path, _),) = PartitionTemplate("{field:f}").split(make_chunk(payload))
    assert path == "1.5"
