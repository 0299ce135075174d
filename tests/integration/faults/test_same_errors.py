"""Engines: the same fault is told in the same words, whichever engine meets it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batcher.errors import BatcherError, RetryableError
from batcher.stores import ObjectAttributes
from batcher.stores.obstore import reader as obstore_reader
from batcher.stores.obstore import uploads
from batcher.stores.s3 import reader as s3_reader
from support.fault_bench import FaultBench
from support.fault_script import (
    ALWAYS,
    CONFLICT,
    CUT_BODY,
    CUT_RESPONSE,
    DENIED,
    EXPIRED,
    LATE_SERVER_ERROR,
    RESET,
    RESPONSE_LOST,
    SERVER_ERROR,
    SKEWED,
    SLOW_DOWN,
    Fault,
    FaultKind,
    Rule,
)
from support.store_fixtures import ENGINES, READERS


def answering(status: int, code: str) -> Fault:
    """Return the fault of this answer."""
    return Fault(f"{status} {code}", FaultKind.RESPOND, status=status, code=code)


ANSWERS = [
    SERVER_ERROR,
    SLOW_DOWN,
    CONFLICT,
    LATE_SERVER_ERROR,
    DENIED,
    EXPIRED,
    SKEWED,
    answering(400, "BadDigest"),
    answering(400, "InvalidTag"),
    answering(400, "RequestTimeout"),
    answering(401, "Unauthorized"),
    answering(403, "InvalidAccessKeyId"),
    answering(403, "SignatureDoesNotMatch"),
    answering(404, "NoSuchBucket"),
    answering(404, "NoSuchKey"),
    answering(412, "PreconditionFailed"),
    answering(429, "TooManyRequests"),
    answering(501, "NotImplemented"),
]
OBSTORE = pytest.mark.parametrize("fault_bench", ["obstore"], indirect=True)
OPERATIONS = pytest.mark.parametrize("operation", ["put", "replace", "head"])
"""How a store is asked: each goes its own way through an engine."""


async def told(
    fault_bench: FaultBench, engine: str, operation: str, fault: Fault
) -> BatcherError | None:
    """Ask a store that nothing wraps once, under a fault; give what it raises."""
    fault_bench.proxy.use_rules(Rule("head" if operation == "head" else "put", fault, times=ALWAYS))
    key = f"{fault_bench.root}/{fault.status}"
    store = ENGINES[engine](fault_bench.settings())
    try:
        if operation == "head":
            assert await store.head(key) is None
        else:
            replaces = '"an-etag"' if operation == "replace" else None
            await store.put(key, b"body", ObjectAttributes(), if_match=replaces)
    except BatcherError as error:
        return error
    finally:
        await store.aclose()
        assert fault_bench.proxy.unfired() == []
    return None


@OBSTORE
@OPERATIONS
@pytest.mark.parametrize("fault", ANSWERS, ids=str)
async def test_an_answer_is_told_in_the_same_words(
    fault_bench: FaultBench, operation: str, fault: Fault
) -> None:
    """The same class, and the same text to the letter; `None` where nothing is there."""
    if operation == "replace" and fault.after_success:
        pytest.skip("nothing is there to be replaced")
    ours, theirs = [
        await told(fault_bench, engine, operation, fault) for engine in ("obstore", "aioboto3")
    ]
    assert type(ours) is type(theirs)
    assert str(ours) == str(theirs)


async def told_reading(
    fault_bench: FaultBench, engine: str, operation: str, fault: Fault
) -> BatcherError:
    """Ask a reader once, under a fault; give what it raises."""
    fault_bench.proxy.use_rules(Rule("get" if operation == "get" else "list", fault, times=ALWAYS))
    reader = READERS[engine](fault_bench.settings())
    try:
        if operation == "list":
            assert [found async for found in reader.list_objects(f"{fault_bench.root}/")] == []
        elif operation == "uploads":
            assert [found async for found in reader.list_uploads(f"{fault_bench.root}/")] == []
        else:
            async with reader.open_object(f"{fault_bench.root}/{fault.status}"):
                pass
    except BatcherError as error:
        return error
    finally:
        await reader.aclose()
        assert fault_bench.proxy.unfired() == []
    pytest.fail("no error")


@OBSTORE
@pytest.mark.parametrize("operation", ["list", "get", "uploads"])
@pytest.mark.parametrize("fault", ANSWERS, ids=str)
async def test_readers_tell_an_answer_in_the_same_words(
    fault_bench: FaultBench, operation: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permission that is missing is the one for reading. obstore's text tells of retries."""
    monkeypatch.setattr(s3_reader, "RETRIES", {"mode": "standard", "total_max_attempts": 1})
    monkeypatch.setitem(uploads.RETRIES, "total_max_attempts", 1)
    brief = timedelta(milliseconds=1)
    backoff = {"init_backoff": brief, "max_backoff": brief, "base": 2}
    retries = {"max_retries": 1, "backoff": backoff, "retry_timeout": timedelta(seconds=60)}
    monkeypatch.setattr(obstore_reader, "RETRIES", retries)
    ours, theirs = [
        await told_reading(fault_bench, engine, operation, fault)
        for engine in ("obstore", "aioboto3")
    ]
    assert type(ours) is type(theirs)
    assert str(ours) == str(theirs)


@OBSTORE
@OPERATIONS
@pytest.mark.parametrize("fault", [RESET, RESPONSE_LOST, CUT_BODY, CUT_RESPONSE], ids=str)
async def test_a_broken_connection_may_hold_next_time(
    fault_bench: FaultBench, operation: str, fault: Fault
) -> None:
    """One line that names operation, object and endpoint; aiohttp may have sent it twice."""
    error = await told(fault_bench, "obstore", operation, fault)
    if operation != "put" and fault is CUT_RESPONSE:
        return  # the head of the answer may have come whole, and says enough
    assert type(error) is RetryableError
    name = "HeadObject" if operation == "head" else "PutObject"
    assert str(error).startswith(f"{name} s3://{fault_bench.bucket}/{fault_bench.root}/")
    assert fault_bench.proxy.url in str(error)
    assert "\n" not in str(error)
    assert len(fault_bench.proxy.seen) == 1
