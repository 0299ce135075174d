"""The demo: real events, end to end, and an audit that notices what is wrong."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from botocore.session import get_session

from batcher.cli import main
from batcher.errors import PreconditionFailedError
from batcher.settings import Settings
from batcher.stores import ObjectInfo, ObjectStore, Operation, Request, Response, open_store
from batcher.tools.demo import run as demo_run
from batcher.tools.demo.audit import RecordDifference, compare_records
from batcher.tools.demo.events import (
    KINESIS,
    MAX_EVENT_BYTES,
    SQS,
    DemoSource,
    EventRecord,
    corrupt_one_record,
    load_webhooks,
    pack_invocations,
)
from batcher.tools.demo.seaweedfs import EmbeddedS3, isolated_aws_environ
from support.store_fixtures import ENGINES

EVENTS = Path(__file__).parents[3] / "support" / "events"
EXAMPLES = {"SQS": "sqsEvent.json", "Kinesis": "kinesisStreamEvent.json"}
BUCKET = "already-there"

both = pytest.mark.parametrize("source", [SQS, KINESIS], ids=lambda source: source.name)


def run_demo(*words: str) -> int:
    """Run the command as the command line does; give its exit code."""
    return main(["demo", *words])


def shape(value: object) -> object:
    """Return names and types, without the values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "messageAttributes"}
    return type(value)


# --- the events ---


@both
def test_records_have_the_shape_of_those_of_aws(source: DemoSource) -> None:
    """Names and types of every field, against an event recorded from AWS."""
    example = json.loads((EVENTS / EXAMPLES[source.name]).read_text())["Records"][0]
    record = source.make_invocations(load_webhooks(1))[0][0]
    assert shape(record) == shape(example)


@both
def test_every_webhook_is_in_one_invocation_once_as_it_was_sent(source: DemoSource) -> None:
    """No two deliveries are alike, so that a doubled record cannot hide a lost one."""
    sent = load_webhooks(2)
    records = [record for invocation in source.make_invocations(sent) for record in invocation]
    assert sorted(map(source.text, records)) == sorted(webhook.text for webhook in sent)
    assert len({webhook.text for webhook in sent}) == len(sent) == 2 * 327
    assert len(set(map(source.position, records))) == len(records)
    assert {len(set(map(source.partition, records)))} == {4}


@both
def test_invocations_are_as_large_as_lambda_takes_them(source: DemoSource) -> None:
    """6 MB of JSON, envelopes included; the largest is full."""
    sizes = [
        len(orjson.dumps({"Records": records}))
        for records in source.make_invocations(load_webhooks(3))
    ]
    assert max(sizes) <= MAX_EVENT_BYTES
    assert max(sizes) > 0.99 * MAX_EVENT_BYTES


@both
def test_events_are_the_same_every_time(source: DemoSource) -> None:
    """No clock and no random: a surprise can be looked at again."""
    assert source.make_invocations(load_webhooks(1)) == source.make_invocations(load_webhooks(1))


def test_a_kinesis_invocation_has_one_shard_in_order() -> None:
    """As with AWS, whose shards are read each by itself."""
    for records in KINESIS.make_invocations(load_webhooks(3)):
        assert len({record["eventID"].partition(":")[0] for record in records}) == 1
        numbers = [int(KINESIS.position(record)) for record in records]
        assert numbers == sorted(numbers)


@both
def test_one_record_is_poisoned_where_an_event_makes_several_objects(source: DemoSource) -> None:
    """One and no other, and it is no JSON."""
    invocations = source.make_invocations(load_webhooks(1))
    before = [list(records) for records in invocations]
    number, bad = corrupt_one_record(source, invocations)
    assert len(set(map(source.partition, invocations[number]))) > 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(source.text(bad))
    changed = [
        new
        for records, old_records in zip(invocations, before, strict=True)
        for new, old in zip(records, old_records, strict=True)
        if new != old
    ]
    assert changed == [bad]


def test_sqs_redelivers_exactly_the_failed_messages() -> None:
    """The same ids and bodies, received once more under a new handle."""
    records = SQS.make_invocations(load_webhooks(1))[0]
    wanted = [SQS.position(records[3]), SQS.position(records[9])]
    again = SQS.redeliver(records, wanted)
    assert [SQS.position(record) for record in again] == wanted
    assert [record["attributes"]["ApproximateReceiveCount"] for record in again] == ["2", "2"]
    assert list(map(SQS.text, again)) == [SQS.text(records[3]), SQS.text(records[9])]
    assert again[0]["receiptHandle"] != records[3]["receiptHandle"]


def test_kinesis_redelivers_everything_from_the_lowest_failed_number() -> None:
    """Only the lowest identifier counts, wherever it is in the response."""
    records = KINESIS.make_invocations(load_webhooks(1))[0]
    handed_back = [KINESIS.position(records[9]), KINESIS.position(records[3])]
    assert KINESIS.redeliver(records, handed_back) == records[3:]


def test_a_mapping_redelivers_until_nothing_fails_and_counts_both() -> None:
    """The first delivery is not a redelivery."""
    records = SQS.make_invocations(load_webhooks(1))[0][:5]
    failing = [[SQS.position(record) for record in records[:count]] for count in (3, 1, 0)]
    responses = iter(failing)
    sizes = []

    class FailingHandler:
        def __call__(self, event: Any, context: object = None) -> dict[str, Any]:  # noqa: ANN401  # JSON
            del context
            sizes.append(len(event["Records"]))
            return {"batchItemFailures": [{"itemIdentifier": each} for each in next(responses)]}

        def close(self) -> None:
            """Do nothing."""

    mapping = demo_run.EventSourceMapping(SQS, FailingHandler())
    assert mapping.deliver(records) == failing
    assert sizes == [5, 3, 1]
    assert (mapping.deliveries, mapping.redelivered) == (3, 4)


def test_packing_cuts_at_the_last_record_that_fits() -> None:
    """By bytes and by records; a record is counted with its comma."""
    records: list[EventRecord] = [{"n": "x" * 10}] * 5
    two_bytes = len(orjson.dumps({"Records": records[:2]}))
    assert [len(part) for part in pack_invocations(records, two_bytes)] == [1, 1, 1, 1, 1]
    assert [len(part) for part in pack_invocations(records, two_bytes + 1)] == [2, 2, 1]
    assert [len(part) for part in pack_invocations(records, max_records=3)] == [3, 2]


# --- the audit ---


@pytest.mark.parametrize(
    ("landed", "expected"),
    [
        (["a", "b", "b"], RecordDifference(0, 0, 0)),
        (["b", "a", "b"], RecordDifference(0, 0, 0)),
        (["a", "b"], RecordDifference(1, 0, 0)),
        (["a", "a", "b", "b"], RecordDifference(0, 1, 0)),
        (["a", "b", "B"], RecordDifference(1, 0, 1)),
        ([], RecordDifference(3, 0, 0)),
    ],
)
def test_the_audit_counts_missing_duplicate_and_changed_records(
    landed: list[str], expected: RecordDifference
) -> None:
    """Multisets are compared; a changed record is missing, and foreign."""
    assert compare_records(["a", "b", "b"], landed) == expected
    assert bool(expected) == (sorted(landed) != ["a", "b", "b"])


# --- end to end ---


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedS3]:
    """Return a server with a bucket, for all tests of this file."""
    with EmbeddedS3() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def users_s3(server: EmbeddedS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """Flags for somebody's own S3, whose keys are in the environment; few records, to be fast."""
    monkeypatch.setattr(demo_run, "load_webhooks", lambda: load_webhooks(1))
    with isolated_aws_environ(server.environ):
        yield ("--s3", server.url, "--bucket", BUCKET)


def test_the_demo_accounts_for_every_record_without_any_aws_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end, next to an AWS configuration and a proxy that would break what used them."""
    monkeypatch.setenv("AWS_PROFILE", "a profile that does not exist")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    before = dict(os.environ)
    assert run_demo() == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Every record is accounted for: of 5,232 sent, 5,230 were written once each" in shown
    assert "2 are in quarantine" in shown
    assert "SQS by engine=aioboto3: the same 10 objects, with the same keys and bytes" in shown
    assert "Kinesis by engine=aioboto3: the same 14 objects, with the same keys and bytes" in shown
    assert shown.count("✓") == 8
    assert "✗" not in shown
    assert dict(os.environ) == before


class RecompressingStore(ObjectStore):
    """A store that stores other bytes of the same text."""

    def __init__(self, store: ObjectStore) -> None:
        """Wrap `store`."""
        self._store = store

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()

    async def send(self, request: Request) -> Response:
        """Compress a body again, at another level."""
        if request.operation is Operation.PUT:
            body = gzip.compress(gzip.decompress(request.body), 9, mtime=0)
            return await self._store.put(request.key, body, request.attributes)
        return await self._store.send(request)


@pytest.mark.slow
def test_in_the_users_bucket_it_writes_under_a_fresh_root_and_deletes_nothing(
    users_s3: tuple[str, ...],
) -> None:
    """Each run adds to the bucket, next to what is there."""
    client: Any = get_session().create_client("s3")
    client.put_object(Bucket=BUCKET, Key="webhooks/of-the-user", Body=b"1")

    def keys() -> set[str]:
        """List the bucket."""
        return {found["Key"] for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]}

    before = keys()
    assert run_demo(*users_s3) == 0
    once = keys()
    assert run_demo(*users_s3) == 0
    twice = keys()
    client.close()
    assert before < once < twice
    roots = {key.partition("/")[0] for key in twice - before}
    assert len(roots) == 2
    assert all(root.startswith("webhooks-") for root in roots)


class FaultyStore(ObjectStore):
    """A store that drops or duplicates the objects of one hour, and reports success."""

    def __init__(self, store: ObjectStore, *, doubles: bool) -> None:
        """Wrap `store`."""
        self._store = store
        self._doubles = doubles

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()

    async def send(self, request: Request) -> Response:
        """Store an object; not at all or twice, if its hour is the one."""
        if request.operation is Operation.PUT and "/hour=06/" in request.key:
            if not self._doubles:
                return ObjectInfo("etag", len(request.body), request.attributes.metadata)
            with suppress(PreconditionFailedError):
                again = f"{request.key}.again.ndjson.gz"
                await self._store.put(again, request.body, request.attributes)
        return await self._store.send(request)


def test_without_aioboto3_the_default_engine_runs_alone(
    users_s3: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It comes with an extra of its own."""
    monkeypatch.setitem(sys.modules, "aioboto3", None)
    assert run_demo(*users_s3) == 0
    shown = capsys.readouterr().out
    assert shown.count("✓") == 6
    assert "aioboto3" not in shown


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_writes_other_objects_makes_the_demo_fail(
    users_s3: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    """No record is lost by it: only the other engine's objects show it."""

    def open_other(settings: Settings) -> ObjectStore:
        """Open a store that stores other bytes, for one engine."""
        store = open_store(settings)
        return RecompressingStore(store) if settings.engine == engine else store

    monkeypatch.setattr(demo_run, "open_store", open_other)
    assert run_demo(*users_s3) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "check failed: SQS by engine=aioboto3: the same" in shown
    assert "check failed: Kinesis by engine=aioboto3: the same" in shown
    assert " missing records," not in shown


@pytest.mark.parametrize(
    ("doubles", "complaint"), [(False, " missing records,"), (True, " duplicates,")]
)
def test_an_object_that_is_lost_or_doubled_makes_the_demo_fail(
    users_s3: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    doubles: bool,
    complaint: str,
) -> None:
    """The audit trusts the bucket, not the handler's responses."""

    def open_faulty(settings: Settings) -> ObjectStore:
        """Open a faulty store."""
        return FaultyStore(open_store(settings), doubles=doubles)

    monkeypatch.setattr(demo_run, "open_store", open_faulty)
    assert run_demo(*users_s3) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "Not every record is accounted for" in shown
    assert complaint in shown
    assert "Every record" not in shown


def test_a_bucket_that_is_not_there_is_named_in_one_line(
    users_s3: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And the demo ends with 1, not with a traceback."""
    assert run_demo(*users_s3[:3], "no-such-bucket") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "NoSuchBucket" in line


def test_what_was_read_back_is_kept_on_request(
    users_s3: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it otherwise."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_demo(*users_s3) == 0
    assert not list(tmp_path.iterdir())
    assert run_demo(*users_s3, "--keep") == 0
    assert list(tmp_path.glob("batcher-demo-*/webhooks-*/sqs/*/dt=*/hour=*/*.ndjson.gz"))


@pytest.mark.parametrize("words", [["--s3", "http://host"], ["--s3", "s3://b", "--bucket", "b"]])
def test_an_endpoint_that_cannot_be_meant_is_wrong_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No bucket, or a bucket's URL in place of an endpoint's."""
    assert run_demo(*words) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("batcher demo: wrong usage or settings:\n  - --s3: ")


@pytest.mark.parametrize("package", ["boto3", "botocore", "duckdb", "rich"])
def test_where_an_extra_is_missing_one_line_says_what_to_install(package: str) -> None:
    """No traceback, and nothing was started."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; "
        "from batcher.cli import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603  # our own interpreter
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"batcher: the demo needs the package {package}: pip install 's3-batcher[demo]'"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal_number", "code", "delay_s"),
    [
        *((signal.SIGINT, 130, delay_s) for delay_s in (0.2, 2.5)),
        *((signal.SIGTERM, 143, delay_s) for delay_s in (0.2, 2.5)),
        (signal.SIGRTMIN + 1, 129 + signal.SIGRTMIN, 2.5),  # it has no name
    ],
)
def test_a_signal_stops_the_server_and_leaves_no_files(
    tmp_path: Path, signal_number: int, code: int, delay_s: float
) -> None:
    """While the server starts, and while events are on their way."""
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "batcher", "demo"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not list(tmp_path.glob("batcher-s3-*/log")):
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(delay_s)
        folder = next(tmp_path.glob("batcher-s3-*"))
        process.send_signal(signal_number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert len(said.splitlines()) == 1, said
    assert not list(tmp_path.iterdir())
    servers = subprocess.run(
        ["ps", "-eo", "args"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(folder) not in servers.stdout


CLEANED = """
import shutil, signal, sys
from batcher.cli import main
from batcher.errors import RejectedError
from batcher.tools.demo import show

def fail(*words):
    raise RejectedError("no such bucket")

def remove(*words, removing=shutil.rmtree, **named):
    signal.raise_signal(signal.SIGINT)
    removing(*words, **named)

shutil.rmtree, show.print_introduction = remove, fail
sys.exit(main(["demo", "--s3", "http://127.0.0.1:9", "--bucket", "bucket"]))
"""
"""A demo that fails at once, and hears Ctrl-C as it cleans up."""


@pytest.mark.slow
def test_a_signal_during_the_clean_up_leaves_no_files(tmp_path: Path) -> None:
    """What is the demo's answer stays it."""
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", CLEANED],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "batcher: no such bucket\n")
    assert not list(tmp_path.iterdir())
