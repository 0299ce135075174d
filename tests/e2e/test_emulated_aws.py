"""Emulated: `osls deploy` to a local AWS, thousands of messages through real queues, and a look.

The emulator delivers small batches, and nothing goes wrong there; what it does not model is in
`scenarios`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from batcher.tools.demo.audit import compare_records
from e2e.bucket_contents import BucketContents, look
from e2e.emulator import Emulator
from e2e.ministack import open_ministack
from e2e.project import BUCKET, ENGINES, Projects
from e2e.record_counts import Counts
from e2e.traffic import Traffic, whole

pytestmark = pytest.mark.timeout(300)
STACK = "batcher-dev"
MESSAGES = 2_500
TABLE, CHANGES = "users", 500
PARAMETERS = {"stream": "new", "shards": 2, "table_stream": "existing"}
IN_A_CALL = {"sqs": 10, "kinesis": 100, "dynamodb": 25}
ENOUGH_S, POLL_S = 120.0, 1.0
KEY = re.compile(r"(sqs|kinesis)/[01]{4}/dt=\d{4}-\d\d-\d\d/hour=\d\d/([^/]+)\.ndjson\.gz")
QUARANTINE_KEY = re.compile(r"(sqs|kinesis)/_quarantine/\1/dt=\d{4}-\d\d-\d\d/[^/]+\.ndjson\.gz")


@dataclass(frozen=True, slots=True)
class Deployed:
    """The project in an emulator of its own."""

    engine: str
    aws: Emulator
    outputs: Mapping[str, str]
    """Of the stack."""


@pytest.fixture(
    scope="module",
    # A group is one process's: each is deployed once
    params=[
        pytest.param(engine, marks=pytest.mark.xdist_group(f"deployed-{engine}"))
        for engine in ENGINES
    ],
)
def deployed(
    request: pytest.FixtureRequest, projects: Projects, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """Deploy, and give the outputs of the stack."""
    with open_ministack(tmp_path_factory.mktemp("ministack")) as aws:
        table = aws.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )["TableDescription"]
        given = {**PARAMETERS, "table_stream_arn": table["LatestStreamArn"]}
        projects.get(request.param).deploy(given, aws.url)
        stack = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        yield Deployed(request.param, aws, outputs)


def test_messages_of_a_queue_arrive(deployed: Deployed, count: Callable[[Counts], None]) -> None:
    """Each message is in an object, or in quarantine, and none is left in the queue."""
    aws, outputs = deployed.aws, deployed.outputs
    sqs = aws.client("sqs")
    traffic = whole(MESSAGES).poisoned()
    for some in _calls(traffic, "sqs"):
        entries = [{"Id": str(n), "MessageBody": text} for n, text in enumerate(some)]
        answer = sqs.send_message_batch(QueueUrl=outputs["QueueUrl"], Entries=entries)
        assert not answer.get("Failed")
    found = _wait_for(traffic, aws, "sqs")
    while aws.messages(outputs["QueueUrl"]):
        time.sleep(POLL_S)
    dead = aws.messages(outputs["DeadLettersUrl"])
    queue = outputs["QueueUrl"].rpartition("/")[2]
    count(_audit(f"{deployed.engine} sqs", traffic, found, dead, queue))


def test_records_of_a_stream_arrive_once(
    deployed: Deployed, count: Callable[[Counts], None]
) -> None:
    """Each record is in exactly one object, or in quarantine."""
    aws, outputs = deployed.aws, deployed.outputs
    kinesis = aws.client("kinesis")
    traffic = whole(MESSAGES).poisoned()
    for some in _calls(traffic, "kinesis"):
        records = [{"Data": text.encode(), "PartitionKey": text[-40:]} for text in some]
        answer = kinesis.put_records(StreamName=outputs["StreamName"], Records=records)
        assert not answer["FailedRecordCount"]
    found = _wait_for(traffic, aws, "kinesis")
    dead = aws.messages(outputs["GivenUpUrl"])
    counts = _audit(f"{deployed.engine} kinesis", traffic, found, dead, outputs["StreamName"])
    count(counts)
    assert not counts.duplicates


def test_changes_of_a_table_arrive_once(deployed: Deployed) -> None:
    """Each change is in exactly one object, as the whole record of the stream."""
    dynamodb = deployed.aws.client("dynamodb")
    size = IN_A_CALL["dynamodb"]
    for first in range(0, CHANGES, size):
        items = [{"id": {"N": str(number)}} for number in range(first, first + size)]
        puts = [{"PutRequest": {"Item": item}} for item in items]
        answer = dynamodb.batch_write_item(RequestItems={TABLE: puts})
        assert not answer.get("UnprocessedItems")
    until_s = time.monotonic() + ENOUGH_S
    while True:
        found = look(deployed.aws.environ, BUCKET, "dynamodb")
        if len(found.records) >= CHANGES or time.monotonic() > until_s:
            break
        time.sleep(POLL_S)
    changes = [json.loads(line)["dynamodb"] for line in found.records]
    numbers = sorted(int(change["NewImage"]["id"]["N"]) for change in changes)
    assert numbers == list(range(CHANGES))
    assert not deployed.aws.messages(deployed.outputs["TableGivenUpUrl"])
    assert found.report.is_clean, found.report.findings


def _calls(traffic: Traffic, kind: str) -> Iterator[Sequence[str]]:
    """Return payloads, as many as one call to the source takes."""
    texts, size = traffic.texts, IN_A_CALL[kind]
    return (texts[start : start + size] for start in range(0, len(texts), size))


def _wait_for(traffic: Traffic, aws: Emulator, root: str) -> BucketContents:
    """Wait until as many records are there as were sent; what is missing then is lost."""
    until_s = time.monotonic() + ENOUGH_S
    while True:
        found = look(aws.environ, BUCKET, root)
        are_there = len(found.records) + len(found.quarantined) >= len(traffic.sent)
        if are_there or time.monotonic() > until_s:
            return found
        time.sleep(POLL_S)


def _audit(what: str, traffic: Traffic, found: BucketContents, dead: int, source: str) -> Counts:
    """See that each record is where it must be, under a key that says where it is from."""
    bad = [str(line["payload"]) for line in found.quarantined]
    apart = compare_records(traffic.texts, [*found.records, *bad])
    counts = Counts(
        scenario=f"deployed to an emulator [{what}]",
        messages=len(traffic.sent),
        invocations=None,
        failed=None,
        objects=len(found.keys),
        records=len(found.records),
        quarantined=len(bad),
        dead_lettered=dead,
        duplicates=apart.duplicates,
        lost=apart.missing,
    )
    assert not counts.lost, counts
    assert not apart.changed, counts
    assert not dead, counts
    assert frozenset(bad) == traffic.bad
    assert found.report.is_clean, found.report.findings
    for key in found.keys:
        match = KEY.fullmatch(key)
        assert match or QUARANTINE_KEY.fullmatch(key), key
        assert not match or match[2].startswith(source), key
    return counts
