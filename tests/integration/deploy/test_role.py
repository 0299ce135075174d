"""The role: what the functions may do, what they do, and that no more is let through."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest
from botocore.exceptions import ClientError
from moto import settings as moto_settings

from batcher.handler import make_handler
from batcher.limits import MIN_PART_BYTES
from batcher.settings import Settings
from integration.deploy.test_template import EVERYTHING, KEY, TABLE
from support.examples import kinesis_record, message
from support.s3_servers import make_s3_client

if TYPE_CHECKING:
    from integration.deploy.serverless import Packager
    from support.handler_harness import HandlerFactory
    from support.s3_servers import Moto

pytestmark = pytest.mark.slow

LOG_GROUPS = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/batcher-dev-"
QUEUES = "arn:aws:sqs:us-east-1:123456789012:"
WRITE = ["s3:PutObject", "s3:GetObject"]
RECEIVE = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
READ = [
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
]
READ_TABLE = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]


def allow(actions: list[str], resource: str, via: str = "") -> tuple[list[str], str, str]:
    """Return what a statement allows; `via`: only to this service, on the function's behalf."""
    return actions, resource, via


def granted(statements: dict[str, dict[str, Any]]) -> dict[str, tuple[list[str], str, str]]:
    """Return what statements allow, by `Sid`; none of them may say anything else."""
    found = {}
    for sid, statement in statements.items():
        said = dict(statement)
        assert (said.pop("Sid"), said.pop("Effect")) == (sid, "Allow")
        condition = said.pop("Condition", {"StringLike": {"kms:ViaService": ""}})
        found[sid] = allow(
            said.pop("Action"), said.pop("Resource"), condition["StringLike"].pop("kms:ViaService")
        )
        assert condition == {"StringLike": {}}
        assert not said
    return found


def test_a_role_allows_these_calls_and_no_other(packager: Packager) -> None:
    """Log, take from one source, write under one root of one bucket."""
    template = packager.template(stream="new")
    logs = ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert granted(template.statements("SqsRole")) == {
        "Log": allow(logs, f"{LOG_GROUPS}sqs:*"),
        "Receive": allow(RECEIVE, f"{QUEUES}batcher-dev-queue-0123456789ab"),
        "Write": allow(WRITE, "arn:aws:s3:::my-bucket/sqs/*"),
    }
    assert granted(template.statements("KinesisRole")) == {
        "Log": allow(logs, f"{LOG_GROUPS}kinesis:*"),
        "Read": allow(READ, "arn:aws:kinesis:us-east-1:123456789012:stream/Stream"),
        "GiveUp": allow(["sqs:SendMessage"], f"{QUEUES}GivenUp"),
        "Write": allow(WRITE, "arn:aws:s3:::my-bucket/kinesis/*"),
    }
    assert set(template.of_type("AWS::IAM::Role")) == {"SqsRole", "KinesisRole"}
    of_table = packager.template(table_stream="existing", table_stream_arn=TABLE)
    assert granted(of_table.statements("DynamodbRole")) == {
        "Log": allow(logs, f"{LOG_GROUPS}dynamodb:*"),
        "Read": allow(READ_TABLE, TABLE),
        "List": allow(["dynamodb:ListStreams"], "*"),
        "GiveUp": allow(["sqs:SendMessage"], f"{QUEUES}TableGivenUp"),
        "Write": allow(WRITE, "arn:aws:s3:::my-bucket/dynamodb/*"),
    }


def test_what_is_switched_on_is_allowed_besides(packager: Packager) -> None:
    """Tags, a key for objects, the source's own key, X-Ray; keys not to be called by itself."""
    template = packager.template(**EVERYTHING)
    sources = {"SqsRole": "sqs.*", "KinesisRole": "kinesis.*", "DynamodbRole": "dynamodb.*"}
    for role, source in sources.items():
        found = granted(template.statements(role))
        assert found["Write"][0] == [*WRITE, "s3:PutObjectTagging"]
        assert found["Encrypt"] == allow(["kms:GenerateDataKey", "kms:Decrypt"], KEY, "s3.*")
        assert found["Decrypt"] == allow(["kms:Decrypt"], KEY, source)
        assert found["Trace"] == allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*")
        wide = [sid for sid, (_, resource, _) in found.items() if resource == "*"]
        assert wide == [*(["List"] if source == "dynamodb.*" else []), "Trace", "Network"]
        assert all(action.startswith("ec2:") for action in found["Network"][0])


def test_a_role_of_another_account_may_be_assumed(packager: Packager) -> None:
    """That one and no other; an ACL needs a permission of its own."""
    other = "arn:aws:iam::444455556666:role/events-inbox"
    template = packager.template(stream="new", role_arn=other, acl="bucket-owner-full-control")
    for role in ("SqsRole", "KinesisRole"):
        found = granted(template.statements(role))
        assert found["AssumeRole"] == allow(["sts:AssumeRole"], other)
        assert found["Write"][0] == [*WRITE, "s3:PutObjectAcl"]


def test_only_lambda_takes_the_role_on(packager: Packager) -> None:
    """No other service, no account."""
    for role in packager.template(stream="new").of_type("AWS::IAM::Role").values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement == {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}


@dataclass(frozen=True)
class Guarded:
    """A bucket in an S3 that asks IAM about every request."""

    bucket: str
    owner: Any
    """A client that may do everything, and was made before anybody was asked."""
    role: Any
    """A client with the function's credentials."""

    def settings(self, engine: str, **others: object) -> Settings:
        """Return the settings that the template gives a function."""
        given = {"root": "sqs", "partial_response": False, "engine": engine, **others}
        return Settings(bucket=self.bucket, **given)  # type: ignore[arg-type]

    def objects(self) -> dict[str, bytes]:
        """Return the text of every object, by key."""
        listed = self.owner.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        bodies = {
            one["Key"]: self.owner.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read()
            for one in listed
        }
        return {key: gzip.decompress(body) for key, body in bodies.items()}


@pytest.fixture
def guarded(
    packager: Packager, moto: Moto, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Guarded]:
    """Return S3 that lets through what the queue's role allows, to whoever has its credentials."""
    url = moto.environ["AWS_ENDPOINT_URL_S3"]
    template = packager.template()
    known = {
        "endpoint_url": url,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "region_name": "us-east-1",
    }
    iam, sts = boto3.client("iam", **known), boto3.client("sts", **known)
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    trusted = {"Version": "2012-10-17", "Statement": [anybody]}
    role = iam.create_role(RoleName=bucket, AssumeRolePolicyDocument=json.dumps(trusted))["Role"]
    policy = template.policy("SqsRole").replace("my-bucket", bucket)
    iam.put_role_policy(RoleName=bucket, PolicyName="produced", PolicyDocument=policy)
    keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    user = f"owner-of-{bucket}"
    iam.create_user(UserName=user)
    all_of_it = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    everything = {"Version": "2012-10-17", "Statement": [all_of_it]}
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=json.dumps(everything))
    owned = iam.create_access_key(UserName=user)["AccessKey"]
    moto.create_bucket(bucket)
    moto.create_bucket(f"{bucket}-other")
    environ = {
        **moto.environ,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    owner = make_s3_client(
        {
            **moto.environ,
            "AWS_ACCESS_KEY_ID": owned["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": owned["SecretAccessKey"],
        }
    )
    # A session of its own: boto3's keeps the first credentials it found
    function = boto3.Session().client("s3", endpoint_url=url)
    # From now on moto, which runs in this process, asks IAM
    monkeypatch.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    yield Guarded(bucket, owner, function)
    for client in (iam, sts, owner, function):
        client.close()


@pytest.mark.parametrize("engine", ["aioboto3", "obstore"])
def test_the_handler_lives_within_its_role(
    guarded: Guarded, handler_factory: HandlerFactory, engine: str
) -> None:
    """It writes, finds its own object after a 412, adds to it, sets bad records aside."""
    handler = handler_factory.keep(make_handler(guarded.settings(engine)))
    handler({"Records": [message("a", '{"n":1}'), message("b", "no JSON")]}, None)
    stream = [kinesis_record(str(number), b'{"n":%d}' % number) for number in range(2, 5)]
    handler({"Records": stream[:2]}, None)
    handler({"Records": stream[:2]}, None)
    handler({"Records": stream}, None)
    objects = guarded.objects()
    (quarantined,) = [text for key, text in objects.items() if "/_quarantine/" in key]
    assert json.loads(quarantined)["payload"] == "no JSON"
    data = sorted(text for key, text in objects.items() if "/_quarantine/" not in key)
    assert data == [b'{"n":1}\n', b'{"n":2}\n{"n":3}\n', b'{"n":4}\n']


@pytest.mark.parametrize("engine", ["aioboto3", "obstore"])
def test_a_large_event_needs_no_upload_in_parts(
    guarded: Guarded, handler_factory: HandlerFactory, engine: str
) -> None:
    """An upload in parts would need s3:AbortMultipartUpload, which the role does not have."""
    settings = guarded.settings(
        engine, compression="none", multipart_threshold=1, part_size=MIN_PART_BYTES
    )
    handler = handler_factory.keep(make_handler(settings))
    large = json.dumps("x" * MIN_PART_BYTES).encode()
    handler({"Records": [kinesis_record("1", large), kinesis_record("2", b"{}")]}, None)
    handler({"Records": [message("a", large.decode())]}, None)
    listed = guarded.owner.list_objects_v2(Bucket=guarded.bucket)["Contents"]
    assert sorted(one["Size"] for one in listed) == [len(large) + 1, len(large) + 4]
    assert not [one["ETag"] for one in listed if "-" in one["ETag"]]  # as of parts
    assert "Uploads" not in guarded.owner.list_multipart_uploads(Bucket=guarded.bucket)


@pytest.mark.parametrize("engine", ["aioboto3", "obstore"])
def test_another_root_is_refused(
    guarded: Guarded, handler_factory: HandlerFactory, engine: str
) -> None:
    """A mistyped root does not write into somebody else's; the error names what is missing."""
    handler = handler_factory.keep(make_handler(guarded.settings(engine, root="sqs-other")))
    with pytest.raises(Exception, match="AccessDenied") as refused:
        handler({"Records": [message("a", '{"n":1}')]}, None)
    assert "s3:PutObject" in str(refused.value)
    assert guarded.objects() == {}


WIDER: dict[str, dict[str, Any]] = {
    "list_objects_v2": {},
    "list_multipart_uploads": {},
    "delete_object": {"Key": "sqs/there"},
    "get_object_acl": {"Key": "sqs/there"},
    "get_bucket_policy": {},
    "get_bucket_location": {},
    "abort_multipart_upload": {"Key": "sqs/there", "UploadId": "any"},
    "delete_bucket": {},
    "put_bucket_policy": {"Policy": "{}"},
    "put_object_acl": {"Key": "sqs/there", "ACL": "public-read"},
}


@pytest.mark.parametrize("call", WIDER)
def test_a_wider_call_is_refused(guarded: Guarded, call: str) -> None:
    """Whoever gets hold of the function can neither list, read what is elsewhere, nor delete."""
    guarded.owner.put_object(Bucket=guarded.bucket, Key="sqs/there", Body=b"")
    assert guarded.role.get_object(Bucket=guarded.bucket, Key="sqs/there")
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(guarded.role, call)(Bucket=guarded.bucket, **WIDER[call])


@pytest.mark.parametrize(
    ("suffix", "key"), [("", "there"), ("", "sqs"), ("", "kinesis/there"), ("-other", "sqs/there")]
)
def test_elsewhere_nothing_is_allowed(guarded: Guarded, suffix: str, key: str) -> None:
    """Neither beside the root nor in another bucket, neither to write nor to read."""
    place = {"Bucket": guarded.bucket + suffix, "Key": key}
    guarded.owner.put_object(**place, Body=b"")
    for call, more in (("put_object", {"Body": b""}), ("get_object", {})):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(guarded.role, call)(**place, **more)
    assert guarded.role.put_object(Bucket=guarded.bucket, Key="sqs/there", Body=b"")
