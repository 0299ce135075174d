"""Multipart uploads: what each of their requests has from the first one."""

from __future__ import annotations

import pytest

from batcher.concurrency import WorkerSlots
from batcher.stores.base import MultipartUpload, ObjectAttributes, ObjectInfo, ObjectStore
from batcher.stores.request import Operation, Request, Response, UploadPart

ATTRIBUTES = ObjectAttributes("text/plain", {"batcher-first": "1"})
RESPONSES: dict[Operation, Response] = {
    Operation.CREATE_UPLOAD: "id",
    Operation.COMPLETE_UPLOAD: ObjectInfo("etag", 3),
    Operation.ABORT_UPLOAD: None,
}


class Recorder(ObjectStore):
    """Keeps every request, and accepts it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        """See `ObjectStore.send`."""
        self.requests.append(request)
        if request.operation is Operation.PUT_PART:
            return UploadPart(request.part_number, len(request.body), f"part {request.part_number}")
        return RESPONSES[request.operation]

    async def aclose(self) -> None:
        """Do nothing."""


@pytest.fixture
def store() -> Recorder:
    """Return a store without requests."""
    return Recorder()


@pytest.fixture
def slots() -> WorkerSlots:
    """Return the slots of the sender."""
    return WorkerSlots(1, lambda: None)


async def create(store: Recorder, slots: WorkerSlots) -> MultipartUpload:
    """Open an upload with a deadline."""
    return await store.create_upload("k", ATTRIBUTES, part_bytes=7, deadline_s=9.0, slots=slots)


async def test_every_request_has_the_key_the_deadline_and_the_retry_log(
    store: Recorder, slots: WorkerSlots
) -> None:
    """So all retries of one object make one line in the log, and none is after its deadline."""
    upload = await create(store, slots)
    await upload.put_part(2, b"c")
    await upload.put_part(1, b"ab")
    await upload.complete()
    await upload.abort()
    created, *others = store.requests
    assert [request.label for request in store.requests] == [
        *("create", "part 2", "part 1", "complete", "abort")
    ]
    assert {(r.key, r.deadline_s, r.part_bytes) for r in store.requests} == {("k", 9.0, 7)}
    assert all(request.attributes is ATTRIBUTES for request in store.requests)
    assert created.retry_log is not None
    assert all(request.retry_log is created.retry_log for request in others)
    assert {request.upload_id for request in others} == {"id"}
    assert [request.body for request in others] == [b"c", b"ab", b"", b""]


async def test_a_completion_names_all_parts_in_order(store: Recorder, slots: WorkerSlots) -> None:
    """Whatever order they arrived in."""
    upload = await create(store, slots)
    for number in (3, 1, 2):
        await upload.put_part(number, b"x" * number)
    completion = upload.completion()
    assert [part.number for part in completion.parts] == [1, 2, 3]
    assert [part.size_bytes for part in completion.parts] == [1, 2, 3]
    await upload.complete()
    assert store.requests[-1] == completion


async def test_waiting_parts_keep_the_worker_slot(store: Recorder, slots: WorkerSlots) -> None:
    """A batch has one slot, however many of its parts wait."""
    upload = await create(store, slots)
    await upload.put_part(1, b"x")
    await upload.complete()
    assert [request.slots for request in store.requests] == [slots, None, slots]


async def test_a_later_deadline_counts_from_then_on(store: Recorder, slots: WorkerSlots) -> None:
    """The probe of `batcher check` gives each request its own."""
    upload = await create(store, slots)
    upload.deadline_s = 11.0
    await upload.put_part(1, b"x")
    upload.deadline_s = 12.0
    await upload.complete()
    upload.deadline_s = None
    await upload.abort()
    assert [request.deadline_s for request in store.requests] == [9.0, 11.0, 12.0, None]
