"""Pollers whose deliveries go to real handler processes, which write to a real S3 server.

A process is killed at a random moment of a delivery, and the next delivery starts another one.
Deliveries of several pollers are under way at the same time, each in a process of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from batcher.stores import ObjectAttributes, ObjectInfo
from batcher.stores.memory import MemoryObject
from batcher.testing.shard_poller import MappingBehavior
from support.aws_model.s3 import Bucket
from support.aws_model.streams import (
    MIDNIGHT_S,
    MINUTE_S,
    PARTITIONS,
    Audit,
    StreamRecord,
    event_of,
)
from support.delivery_plans import FIRST
from support.handler_harness import NO_FAILURES
from support.handler_process import HandlerProcess
from support.poller_model import Poller, PollerModel

KILLED = 0.3
"""The share of deliveries whose process is killed."""

LONGEST_S = 0.15
"""A process is killed up to this long after the event was sent, which is about what it takes."""

JOINS_MORE = 5.0
"""Turns are whole deliveries here, and no steps of them: other pollers join more often."""

KINDS = ("a", "b", "bad")
"""Of the records of each partition. Bad ones go to quarantine."""


class ServedPollers(PollerModel):
    """A shard whose pollers deliver to real processes."""

    def __init__(  # noqa: PLR0913, PLR0917  # where to write, and how
        self,
        seed: int,
        family: MappingBehavior,
        environ: Mapping[str, str],
        client: Any,  # noqa: ANN401  # boto3 has no types
        bucket: str,
        engine: str,
    ) -> None:
        """Draw the shard of a seed, which is written to a root of its own."""
        super().__init__(seed, replace(family, joins=JOINS_MORE * family.joins))
        self.counts: Counter[str] = Counter()
        """Of deliveries, kills, and kills before the answer."""
        self._environ = environ
        self._client = client
        self._bucket = bucket
        self._reports = self._chance.random() < 0.5
        self._settings: dict[str, object] = {
            "bucket": bucket,
            "root": f"seed-{seed}",
            "engine": engine,
            "partition_by": PARTITIONS["kinesis"],
            "partial_response": self._reports,
        }
        midnight = self._chance.randrange(len(self._partitions) + 1)
        self._stream = [
            StreamRecord(
                str(number + FIRST),
                KINDS[partition],
                MIDNIGHT_S + (number - midnight) * MINUTE_S,
                "kinesis",
            )
            for number, partition in enumerate(self._partitions)
        ]
        self._processes: dict[Poller, HandlerProcess] = {}

    def _play(self) -> bool:
        try:
            return super()._play()
        finally:
            for process in self._processes.values():
                process.kill()

    def _send(self, poller: Poller, start: int, end: int) -> None:
        if poller not in self._processes:
            self._processes[poller] = HandlerProcess(self._environ, self._settings)
        self._processes[poller].send(event_of(self._stream[start:end]))
        self.counts["deliveries"] += 1

    def _advance(self, poller: Poller) -> None:
        """Let a poller send its next batch, or take the answer, or lose it by a kill."""
        chance = self._chance
        if not poller.is_delivering:
            self._begin(poller)
        elif chance.random() < KILLED and self._family.fault:
            time.sleep(chance.random() * LONGEST_S)
            self.counts["kills"] += 1
            self.counts["kills before the answer"] += self._processes.pop(poller).kill()
            self._end(poller, is_acknowledged=False)
        else:
            answer = self._processes[poller].answer()
            self.counts["errors"] += isinstance(answer, str)
            is_lost = chance.random() < self._family.fault  # the answer to the poller
            is_done = answer == NO_FAILURES if self._reports else isinstance(answer, dict)
            self._end(poller, is_acknowledged=is_done and not is_lost)

    def _copies(self) -> Counter[str]:
        """Read the objects, each of which must be as its metadata and its records say."""
        objects = read_bucket(self._client, self._bucket, f"{self._settings['root']}/")
        self.counts["objects"] += len(objects.objects)
        self.counts["guards"] += _count_guards(objects.objects.values())
        return Audit(self._stream).count_objects(objects)


def read_bucket(client: Any, bucket: str, prefix: str = "") -> Bucket:  # noqa: ANN401  # no types
    """Read all objects under a prefix, independently of batcher."""
    read = Bucket(Counter())
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
    assert not listed["IsTruncated"], "more objects than a test ever makes"
    for each in listed.get("Contents", []):
        there = client.get_object(Bucket=bucket, Key=each["Key"])
        body, metadata = there["Body"].read(), there["Metadata"]
        stored = ObjectInfo(there["ETag"], len(body), metadata)
        read.objects[each["Key"]] = MemoryObject(body, ObjectAttributes(), stored)
    return read


def _count_guards(objects: Iterable[MemoryObject]) -> int:
    return sum(stored.info.metadata.get("batcher-kind") == "guard" for stored in objects)
