"""A request knows how long it may take, and lets go of what its sender holds while it waits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from batcher.concurrency import WorkerSlots
from batcher.stores import Operation, Request
from batcher.stores.request import PausableTimeout
from support.fakes import FakeClock

MIB = 1024**2


@pytest.mark.parametrize(
    ("request_", "timeout_s"),
    [
        (Request(Operation.PUT, "k", body=bytes(MIB)), 14.0),
        (Request(Operation.PUT_PART, "k", body=bytes(8 * MIB), part_number=1), 42.0),
        (Request(Operation.HEAD, "k"), 10.0),
        (Request(Operation.CREATE_UPLOAD, "k"), 10.0),
        (Request(Operation.COMPLETE_UPLOAD, "k"), 300.0),
        (Request(Operation.ABORT_UPLOAD, "k"), 3.0),
    ],
    ids=str,
)
def test_a_response_may_take_as_long_as_the_operation_and_the_body_need(
    request_: Request, timeout_s: float
) -> None:
    """An abort in an event has little time, because the function is about to be killed."""
    assert request_.response_timeout_s == timeout_s


def test_a_request_is_shown_without_its_body() -> None:
    """A body is payload, which must not get into logs."""
    request = Request(Operation.PUT_PART, "k", body=b"secret", part_number=3)
    assert request.label == "part 3"
    assert "secret" not in repr(request)


def test_a_worker_slot_is_free_while_its_request_waits() -> None:
    """A request without a slot waits as it is."""
    slots = WorkerSlots(1, lambda: None)
    assert slots.acquire_nowait()
    request = Request(Operation.PUT, "k", slots=slots)
    with replace(request, slots=None).slot_released():
        assert not slots.acquire_nowait()
    with request.slot_released():
        assert slots.acquire_nowait()
        slots.release()
    assert not slots.acquire_nowait()


async def test_a_paused_timeout_does_not_cut_a_waiting_request() -> None:
    """Afterwards the response is limited again."""
    clock = FakeClock()
    timeout = PausableTimeout(clock)
    request = Request(Operation.PUT, "k", timeout=timeout)
    async with timeout.limit_response(60.0) as limit:
        with request.timeout_paused():
            assert limit.when() is None
            clock.now_s += 100.0
        assert limit.when() is not None
    assert timeout.paused_s == 100.0
