"""Every operation meets every fault: what a receipt says is there whole, what failed has raised."""

from __future__ import annotations

import pytest

from batcher.errors import RejectedError, RetryableError
from batcher.writing import multipart as uploading
from support.fault_bench import (
    LARGE_PUT,
    ONE_PART,
    SMALL_PUT,
    TWO_PARTS,
    FaultBench,
    UploadShape,
    shorten_response_timeouts,
)
from support.fault_script import (
    ALWAYS,
    CONFLICT,
    CUT_BODY,
    CUT_RESPONSE,
    DENIED,
    ERROR_IN_200,
    LATE_ERROR_IN_200,
    LATE_SERVER_ERROR,
    LATE_STALL,
    RESET,
    RESPONSE_LOST,
    SERVER_ERROR,
    SLOW_DOWN,
    STALL,
    Fault,
    Rule,
)

PUTS = (SMALL_PUT, LARGE_PUT)
ANSWERED = (SERVER_ERROR, SLOW_DOWN, LATE_SERVER_ERROR)
BROKEN = (RESET, RESPONSE_LOST, CUT_BODY, CUT_RESPONSE)
HANGING = (STALL, LATE_STALL)
UNDONE = (SERVER_ERROR, SLOW_DOWN, RESET)
"""Faults that the server never hears of."""

UNHEARD = (RESPONSE_LOST, CUT_RESPONSE, LATE_SERVER_ERROR, LATE_STALL)
"""Faults after which the server has acted, and we do not know."""

PASSING: list[tuple[str, Fault, UploadShape]] = [
    *(("put", fault, shape) for fault in (*ANSWERED, *BROKEN, CONFLICT) for shape in PUTS),
    *(("create", fault, ONE_PART) for fault in (*ANSWERED, RESET, RESPONSE_LOST, CUT_RESPONSE)),
    *(("part", fault, TWO_PARTS) for fault in (*ANSWERED, *BROKEN)),
    *(
        (name, fault, ONE_PART)
        for name in ("part", "complete")
        for fault in (SERVER_ERROR, RESPONSE_LOST)
    ),
    *(
        ("complete", fault, TWO_PARTS)
        for fault in (*ANSWERED, *BROKEN, ERROR_IN_200, LATE_ERROR_IN_200)
    ),
]
HANGS: list[tuple[str, Fault, UploadShape]] = [
    *(("put", fault, shape) for fault in HANGING for shape in PUTS),
    *((name, fault, ONE_PART) for name in ("create", "complete") for fault in HANGING),
    *(("part", fault, TWO_PARTS) for fault in HANGING),
]


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "fault", "shape"), PASSING, ids=str)
async def test_what_passes_costs_only_time(
    fault_bench: FaultBench, operation: str, fault: Fault, shape: UploadShape
) -> None:
    """Everything is durable, once, whole, by one object; no upload stays open."""
    lines = shape.make()
    # aiohttp itself sends a PUT once more on a broken connection: the third one reaches us
    # obstore does not repeat a Complete whose response broke off: the object is looked for
    is_final = (fault_bench.engine, operation, fault) == ("obstore", "complete", CUT_RESPONSE)
    rule = Rule(operation, fault, times=1 if is_final else 3)
    written = await fault_bench.write(lines, rule, **shape.settings)
    lost = 3 if operation == "create" and fault in UNHEARD else 0
    fault_bench.assert_durable(written, lines, lost_uploads=lost)
    assert len(written.receipts) == 1
    assert fault_bench.proxy.count(operation) > 1 or is_final


@pytest.mark.parametrize("fault", [*BROKEN], ids=str)
@pytest.mark.parametrize(
    ("operation", "shape"), [("put", SMALL_PUT), ("put", LARGE_PUT), ("part", ONE_PART)], ids=str
)
async def test_a_connection_that_breaks_once_is_no_failure(
    fault_bench: FaultBench, operation: str, fault: Fault, shape: UploadShape
) -> None:
    """The transport may send the request again by itself: a 412 is then our own success."""
    lines = shape.make()
    written = await fault_bench.write(lines, Rule(operation, fault), **shape.settings)
    fault_bench.assert_durable(written, lines)
    assert len(written.receipts) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "fault", "shape"), HANGS, ids=str)
async def test_an_answer_that_never_comes_is_not_waited_for(
    fault_bench: FaultBench,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    fault: Fault,
    shape: UploadShape,
) -> None:
    """The request is cut and sent again; that the server may have acted makes no second object."""
    shorten_response_timeouts(monkeypatch)
    lines = shape.make()
    written = await fault_bench.write(lines, Rule(operation, fault), **shape.settings)
    lost = 1 if operation == "create" and fault in UNHEARD else 0
    fault_bench.assert_durable(written, lines, lost_uploads=lost)
    assert fault_bench.proxy.count(operation) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "fault", "shape"),
    [
        *(("put", fault, shape) for fault in (*UNDONE, CUT_BODY, CONFLICT) for shape in PUTS),
        *(("create", fault, ONE_PART) for fault in (*UNDONE, RESPONSE_LOST, CUT_RESPONSE)),
        *(("part", fault, TWO_PARTS) for fault in (*UNDONE, RESPONSE_LOST, CUT_BODY)),
        *(("complete", fault, TWO_PARTS) for fault in (*UNDONE, ERROR_IN_200, CUT_BODY)),
    ],
    ids=str,
)
async def test_what_does_not_pass_is_handed_back(
    fault_bench: FaultBench, operation: str, fault: Fault, shape: UploadShape
) -> None:
    """The error is retryable and names bucket and operation; no object and no upload is there."""
    lines = shape.make()
    rule = Rule(operation, fault, times=ALWAYS)
    written = await fault_bench.write(lines, rule, **shape.settings)
    assert isinstance(written.error, RetryableError)
    assert f"s3://{fault_bench.bucket}/{fault_bench.root}/" in str(written.error)
    attempts = fault_bench.proxy.count(operation, fault=fault)
    assert attempts > 1
    if operation == "create" and fault in UNHEARD:
        fault_bench.assert_empty(lost_uploads=attempts)
    else:
        fault_bench.assert_empty()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*UNDONE, CUT_BODY], ids=str)
async def test_one_part_that_cannot_be_sent_is_enough(
    fault_bench: FaultBench, fault: Fault
) -> None:
    """The other part is there, and an object of it alone would be half of ours."""
    rule = Rule("part", fault, first=2, times=ALWAYS)
    written = await fault_bench.write(TWO_PARTS.make(), rule)
    assert isinstance(written.error, RetryableError)
    fault_bench.assert_empty()


@pytest.mark.parametrize("shape", PUTS, ids=str)
@pytest.mark.parametrize("fault", [RESPONSE_LOST, CUT_RESPONSE, LATE_SERVER_ERROR], ids=str)
async def test_a_put_whose_every_answer_is_lost_leaves_one_whole_object_at_most(
    fault_bench: FaultBench, fault: Fault, shape: UploadShape
) -> None:
    """Nobody can know that it is durable, so it may be raised; half of it is never there."""
    lines = shape.make()
    rule = Rule("put", fault, times=ALWAYS)
    written = await fault_bench.write(lines, rule, **shape.settings)
    assert written.error is None or isinstance(written.error, RetryableError)
    fault_bench.assert_nothing_partial(lines)
    assert len(fault_bench.keys()) == 1


@pytest.mark.parametrize(
    "fault", [RESPONSE_LOST, CUT_RESPONSE, LATE_ERROR_IN_200, LATE_SERVER_ERROR], ids=str
)
async def test_a_complete_whose_every_answer_is_lost_is_found_out_by_looking(
    fault_bench: FaultBench, fault: Fault
) -> None:
    """The object is there, and HEAD says so: that is durable, not an error."""
    lines = TWO_PARTS.make()
    written = await fault_bench.write(lines, Rule("complete", fault, times=ALWAYS))
    fault_bench.assert_durable(written, lines)


async def test_a_streamed_upload_that_lost_a_race_is_handed_back(fault_bench: FaultBench) -> None:
    """After 409 on Complete its parts are of no use, and a stream has them no more."""
    written = await fault_bench.write(TWO_PARTS.make(), Rule("complete", CONFLICT, times=ALWAYS))
    assert isinstance(written.error, RetryableError)
    fault_bench.assert_empty()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*ANSWERED, *BROKEN], ids=str)
async def test_an_upload_that_failed_is_gone_though_its_abort_goes_wrong(
    fault_bench: FaultBench, fault: Fault
) -> None:
    """Aborting is tried again; what is told is why the upload failed."""
    rules = [Rule("part", DENIED, first=2, times=ALWAYS), Rule("abort", fault)]
    written = await fault_bench.write(TWO_PARTS.make(), *rules)
    assert isinstance(written.error, RejectedError)
    assert "AccessDenied" in str(written.error)
    fault_bench.assert_empty()


@pytest.mark.parametrize("fault", [SERVER_ERROR, RESET, STALL], ids=str)
async def test_an_abort_that_never_succeeds_holds_nothing_up(
    fault_bench: FaultBench, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """An error is raised all the same; the bucket's lifecycle rule is the last net.

    It is the first error, but obstore says only what was wrong with the abort.
    """
    monkeypatch.setattr(uploading, "MAX_ABORT_S", 0.5)
    shorten_response_timeouts(monkeypatch)
    rules = [Rule("part", DENIED, times=ALWAYS), Rule("abort", fault, times=ALWAYS)]
    written = await fault_bench.write(TWO_PARTS.make(), *rules)
    expected = {"aioboto3": "AccessDenied", "obstore": "AbortMultipartUpload"}
    assert expected[fault_bench.engine] in str(written.error)
    assert fault_bench.keys() == set()


async def test_many_objects_survive_any_mixture_of_faults(fault_bench: FaultBench) -> None:
    """Each record is durable in exactly one object, whatever hits its requests."""
    lines = SMALL_PUT.make()[:1] + [f"line {n}".encode() for n in range(60)]
    mixture = (
        SERVER_ERROR,
        SLOW_DOWN,
        RESET,
        RESPONSE_LOST,
        CUT_RESPONSE,
        CUT_BODY,
        LATE_SERVER_ERROR,
    )
    rules = [Rule("put", fault, times=ALWAYS, chance=0.07) for fault in mixture]
    written = await fault_bench.write(lines, *rules, seed=7, real_time=True, max_records=1)
    assert written.error is None
    assert sorted(fault_bench.lines()) == sorted(lines)
    assert {receipt.key for receipt in written.receipts} == fault_bench.keys()
    assert len(written.receipts) == len(lines)
