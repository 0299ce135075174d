"""A large event of a stream is one conditional PUT, whatever its size."""

from __future__ import annotations

import json
import random
from typing import Any

from batcher.limits import MIN_PART_BYTES
from support.examples import kinesis_record
from support.handler_harness import NO_FAILURES, HandlerFactory, assert_described, hooked

BIG = 3 * 1024**2
IN_PARTS = {"multipart_threshold": 1, "part_size": MIN_PART_BYTES, "compression": "none"}


def big_event(*numbers: int) -> dict[str, Any]:
    """Make an event of records of 3 MiB."""
    return {
        "Records": [
            kinesis_record(
                str(n),
                json.dumps(random.Random(n).randbytes(BIG // 2).hex()).encode(),  # noqa: S311
            )
            for n in numbers
        ]
    }


def test_a_large_stream_event_is_one_put_with_all_its_metadata(
    handler_factory: HandlerFactory,
) -> None:
    """A redelivery may meet its object, and a completion cannot have a condition everywhere."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    assert handle(big_event(1, 2, 3, 4), None) == NO_FAILURES
    assert store.operations() == ["put"]
    (there,) = inner.objects.values()
    assert_described(there.info.metadata, there.body, ["1", "2", "3", "4"])


def test_a_large_redelivery_finds_its_object(handler_factory: HandlerFactory) -> None:
    """The second PUT is refused, and the object found to be ours."""
    inner, store = hooked()
    handle = handler_factory.make(store, **IN_PARTS)
    assert handle(big_event(1, 2), None) == NO_FAILURES
    (there,) = inner.objects.values()
    store.calls.clear()
    assert handle(big_event(1, 2), None) == NO_FAILURES
    assert store.operations() == ["put", "head"]
    assert list(inner.objects.values()) == [there]
