"""The models prove something: where S3 does not do what it says, they fail."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from batcher.stores import ObjectAttributes, ObjectInfo
from integration.model.test_queues import QueueMachine
from integration.model.test_streams_exactly_once import StreamMachine
from support.aws_model.s3 import Bucket
from support.aws_model.scenarios import TIMEOUT_S, profile

pytestmark = pytest.mark.slow

QUICKLY = settings(profile(500, steps=20), phases=[Phase.generate], report_multiple_bugs=False)


class NoConditions(Bucket):
    """Overwrites whatever is there, as old S3 did."""

    def write(
        self, key: str, body: bytes, attributes: ObjectAttributes, if_match: str | None, tag: str
    ) -> ObjectInfo:
        """Store one object, whatever the condition."""
        del if_match
        there = self.objects.get(key)
        return super().write(key, body, attributes, there.info.etag if there else None, tag)


class Forgetful(Bucket):
    """Loses one write in ten, and says it was done."""

    def write(
        self, key: str, body: bytes, attributes: ObjectAttributes, if_match: str | None, tag: str
    ) -> ObjectInfo:
        """Store one object, or say so."""
        stored = super().write(key, body, attributes, if_match, tag)
        if self.writes.total() % 10 == 0:
            del self.objects[key]
        return stored


@pytest.mark.usefixtures("quiet")
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (StreamMachine, Forgetful),
        (QueueMachine, NoConditions),
        (QueueMachine, Forgetful),
    ],
)
def test_a_bucket_that_breaks_its_word_is_noticed(
    machine: type[StreamMachine | QueueMachine], kind: type[Bucket]
) -> None:
    """Each of these is a bug that would lose records, or write them twice."""

    class Broken(machine):  # type: ignore[valid-type,misc]  # one of two machines
        """The same, with that bucket."""

        bucket_kind = kind
        reached: ClassVar[Counter[str]] = Counter()

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=QUICKLY)
