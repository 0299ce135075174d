"""An event of many partitions, chosen by a field, with 16 records of 1 KiB each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from isal import isal_zlib

OBJECT_RECORDS = 16
RECORD_BYTES = 1024
"""Its newline included, so that an object has 16 KiB."""
PARTITION_BY = "tenant={field:tenant}"
_SENT_MS = 1_795_419_000_000


@dataclass(frozen=True, slots=True)
class PartitionedEvents:
    """What is to be written, as records and as the bodies that they make."""

    payloads: Sequence[str]
    """In turn of the tenants."""
    bodies: Sequence[bytes]

    def sums(self) -> list[tuple[int, int]]:
        """Return CRC-32 and length of every body, sorted."""
        return sorted((isal_zlib.crc32(body), len(body)) for body in self.bodies)

    def event(self, number: int) -> dict[str, Any]:
        """Return the records as SQS messages, under other ids for every `number`.

        From some 200 tenants on it is more than Lambda hands over at once.
        """
        return {
            "Records": [
                {
                    "messageId": str(UUID(int=(number << 64) + index)),
                    "receiptHandle": "AQEB",
                    "body": body,
                    "attributes": {
                        "ApproximateReceiveCount": "1",
                        "SentTimestamp": str(_SENT_MS),
                        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                        "ApproximateFirstReceiveTimestamp": str(_SENT_MS),
                    },
                    "messageAttributes": {},
                    "md5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
                    "awsRegion": "eu-west-1",
                }
                for index, body in enumerate(self.payloads)
            ]
        }


def make_partitioned_events(objects: int) -> PartitionedEvents:
    """Return the records of this many partitions, seeded."""
    rng = random.Random(7)  # noqa: S311  # the same at every run
    payloads = []
    for index in range(objects * OBJECT_RECORDS):
        fields = {"tenant": f"t{index % objects:05d}", "id": f"{rng.getrandbits(64):016x}"}
        missing = RECORD_BYTES - 1 - len(orjson.dumps(fields | {"note": ""}))
        note = f"{rng.getrandbits(4 * missing):0{missing}x}"[:missing]
        payloads.append(orjson.dumps(fields | {"note": note}).decode())
    bodies = [("\n".join(payloads[i::objects]) + "\n").encode() for i in range(objects)]
    return PartitionedEvents(payloads, bodies)
