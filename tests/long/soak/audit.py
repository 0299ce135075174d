"""Audit: what a round has left in the bucket, read by plain boto3, and is it as promised?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from long.numbered_records import PROGRAM
from long.read_back import is_quarantine, read_object
from long.soak.library_writer import VARIANTS
from support.fault_script import SeenRequest


@dataclass(slots=True)
class Found:
    """What was found of one writer's round, or of all."""

    sent: int = 0
    """Records that were to be found."""
    landed: int = 0
    """Lines that were found."""
    lost: int = 0
    doubled: int = 0
    """Records that were there more than once."""
    quarantined: int = 0
    objects: int = 0
    object_bytes: int = 0
    open_uploads: int = 0
    tolerated_uploads: int = 0
    """Of those, the ones that their writer could not know of, or could not abort in time."""
    violations: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Add what was found in another round."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Audit:
    """Reads what one round of one writer has left, and deletes it."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401  # no types
        bucket: str,
        kind: str,
        part: int,
        seen: Sequence[SeenRequest],
    ) -> None:
        """Look at what is there under roots that start with `kind`, after these requests."""
        self._seen = seen
        self._client = client
        self._bucket = bucket
        self._kind = kind
        self._part = part
        self._found = Found()
        self._times: list[bytearray] = []
        self._may_double: list[range] = []

    def judge(self, answer: Mapping[str, Any]) -> Found:
        """Compare the bucket with what the writer has reported; nothing is left in it."""
        sent: Sequence[int] = answer["sent"]
        self._times = [bytearray(count) for count in sent]
        self._may_double = [range(*pair) for pair in answer.get("again", ())]
        receipts = dict(answer.get("receipts", {}))
        for key, size_bytes in self._keys():
            self._found.objects += 1
            self._found.object_bytes += size_bytes
            lines = self._read(key)
            if "receipts" in answer:
                self._compare(key, size_bytes, lines, receipts.pop(key, None))
            for number in lines:
                self._count(key, number)
        for key in receipts:
            self._violation(f"{key}: there is a receipt, and no object")
        self._judge_times()
        self._look_for_uploads()
        self._found.sent = sum(sent)
        return self._found

    def _keys(self) -> Iterator[tuple[str, int]]:
        """Return all objects; those that were given are deleted, a page at a time."""
        while True:
            page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._kind)
            there = page.get("Contents", [])
            if not there:
                return
            for found in there:
                yield found["Key"], found["Size"]
            names = [{"Key": found["Key"]} for found in there]
            self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": names, "Quiet": True}
            )

    def _read(self, key: str) -> list[int]:
        """Return the numbers of an object's records; what is wrong with it is a violation."""
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        times = PROGRAM if self._kind == "library" else 1
        read = read_object(key, answer["Body"].read(), answer["Metadata"], self._part, times)
        for fault in read.faults:
            self._violation(fault)
        if self._kind == "kinesis" and read.numbers != sorted(read.numbers):
            self._violation(f"{key}: its records are out of order")
        self._found.quarantined += len(read.numbers) * is_quarantine(key)
        return read.numbers

    def _compare(
        self, key: str, size_bytes: int, numbers: Sequence[int], receipt: Sequence[int] | None
    ) -> None:
        """Compare an object with its receipt; it may have none where its ticket has raised."""
        if receipt is None:
            if any(all(n not in again for again in self._may_double) for n in numbers):
                self._violation(f"{key}: there is no receipt, and its records were not sent again")
        elif list(receipt) != [len(numbers), size_bytes]:
            self._violation(f"{key}: {len(numbers)} records, {size_bytes} bytes; receipt {receipt}")

    def _count(self, key: str, number: int) -> None:
        index, lane = divmod(number, len(self._times))
        times = self._times[lane]
        if index >= len(times):
            self._violation(f"{key}: record {number} was never sent")
            return
        times[index] = min(times[index] + 1, 255)
        self._found.landed += 1

    def _judge_times(self) -> None:
        for lane, times in enumerate(self._times):
            for index, count in enumerate(times):
                if count == 1:
                    continue
                number = index * len(self._times) + lane
                if count == 0:
                    self._found.lost += 1
                    self._violation(f"record {number} is lost")
                    continue
                self._found.doubled += 1
                is_allowed = self._kind == "sqs" or any(number in r for r in self._may_double)
                if not is_allowed:
                    self._violation(f"record {number} is there {count} times")

    def _look_for_uploads(self) -> None:
        """Count open uploads, and abort them, so that the next round starts with none."""
        page = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._kind)
        uploads = page.get("Uploads", [])
        for key, count in Counter(found["Key"] for found in uploads).items():
            self._found.open_uploads += count
            requests = [one for one in self._seen if one.key == key]
            if count <= count_allowed_uploads(requests, _find_engine(key)):
                self._found.tolerated_uploads += count
            else:
                faults = ", ".join(f"{one.operation} ({one.fault})" for one in requests)
                self._violation(f"{key}: {count} uploads are open, after {faults}")
        for found in uploads:
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=found["Key"], UploadId=found["UploadId"]
            )

    def _violation(self, text: str) -> None:
        self._found.violations.append(f"{self._kind}, round {self._part}: {text}")


def count_allowed_uploads(requests: Sequence[SeenRequest], engine: str) -> int:
    """Count the uploads of a key that may stay open: the bucket's lifecycle rule is for them.

    One whose creation was not answered: aioboto3 looks for it, and there may be none yet, for the
    server is still creating it; obstore does not look. And one whose abort failed when there was no
    time for another attempt.
    """
    clean = Counter(one.operation for one in requests if one.fault is None)
    every = Counter(one.operation for one in requests)
    if engine == "obstore":
        faults = [one.fault for one in requests if one.operation == "create"]
        unanswered = sum(fault is not None and fault.after_success for fault in faults)
    else:
        unanswered = max(0, every["create"] - clean["part"]) if every["list"] else 0
    return unanswered + every["abort"] - clean["abort"]


def _find_engine(key: str) -> str:
    """Return the engine that has sent an upload, by the number in its root: only programs do."""
    root = key.partition("/")[0]
    engine: str = VARIANTS[int(root.rpartition("-")[2])]["engine"]
    return engine
