"""What must exist already: `make deploy` asks AWS before it creates anything."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]  # it has no types
import pytest

from integration.deploy.serverless import ROOT

if TYPE_CHECKING:
    from support.s3_servers import Moto

FOUND = "Parameters, settings and existing resources are valid."
ACCOUNT = "123456789012"
MISSING = {
    "bucket": {"bucket_is": "existing"},
    "queue_arn": {"queue": "existing", "queue_arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing"},
    "stream_arn": {
        "stream": "existing",
        "stream_arn": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/missing",
    },
    "table_stream_arn": {
        "table_stream": "existing",
        "table_stream_arn": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/missing/stream/2026",
    },
    **{
        name: {name: f"arn:aws:kms:us-east-1:{ACCOUNT}:key/6e0f9f0e-0000-4000-8000-000000000000"}
        for name in (
            "kms_key_arn",
            "queue_kms_key_arn",
            "stream_kms_key_arn",
            "table_kms_key_arn",
        )
    },
    "alarm_topic_arn": {"alarm_topic_arn": f"arn:aws:sns:us-east-1:{ACCOUNT}:missing"},
    "access_logs_bucket": {"access_logs_bucket": "missing-logs"},
}


@dataclass(frozen=True)
class Account:
    """An emulated AWS account."""

    url: str

    def client(self, service: str) -> Any:  # noqa: ANN401  # boto3 has no types
        """Return a client."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @cached_property
    def environ(self) -> dict[str, str]:
        """Return what leads the command to it."""
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
        }

    def everything(self) -> list[object]:
        """Return the names of all that a deployment would create first."""
        stacks = self.client("cloudformation").list_stacks()["StackSummaries"]
        buckets = self.client("s3").list_buckets()["Buckets"]
        functions = self.client("lambda").list_functions()["Functions"]
        queues = self.client("sqs").list_queues().get("QueueUrls", [])
        roles = self.client("iam").list_roles()["Roles"]
        return [
            [one["StackName"] for one in stacks],
            [one["Name"] for one in buckets],
            [one["FunctionName"] for one in functions],
            queues,
            [one["RoleName"] for one in roles],
        ]

    def validate(self, **parameters: str) -> subprocess.CompletedProcess[str]:
        """Run the command that `make deploy` runs first."""
        given = {"bucket": f"new-{token_hex(4)}", **parameters}
        flags = [part for pair in given.items() for part in ("--param", "=".join(pair))]
        return subprocess.run(  # noqa: S603  # our own script
            [sys.executable, str(ROOT / "deploy" / "deploy.py"), "validate", *flags],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def faults(self, **parameters: str) -> list[str]:
        """Return what the command finds, one line each."""
        ran = self.validate(**parameters)
        if ran.returncode == 0:
            assert (ran.stdout.splitlines()[-1], ran.stderr) == (FOUND, "")
            return []
        assert (ran.returncode, ran.stdout) == (2, "")
        first, *lines = ran.stderr.splitlines()
        assert first == "Nothing was created:"
        return [line.removeprefix("  ") for line in lines]


@pytest.fixture
def account(moto: Moto) -> Account:
    """Return an account in which other tests may have left something."""
    return Account(moto.environ["AWS_ENDPOINT_URL_S3"])


@pytest.fixture
def unchanged(account: Account) -> Iterator[None]:
    """Check that nothing is created."""
    before = account.everything()
    yield
    assert account.everything() == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing_is_named(account: Account, name: str) -> None:
    """One line says what, where, and how to correct it."""
    (fault,) = account.faults(**MISSING[name])
    assert fault.startswith(f"{name}: ")
    assert "does not exist; correct " in fault


@pytest.mark.usefixtures("unchanged")
def test_all_that_is_missing_is_named_at_once(account: Account) -> None:
    """Through `make`, whose own line comes last."""
    given = {name: value for pairs in MISSING.values() for name, value in pairs.items()}
    del given["access_logs_bucket"]  # not used by an existing bucket
    flags = " ".join(f"--param {name}={value}" for name, value in given.items())
    venv = sys.prefix
    given_to_make = [f"VENV={venv}", "BUCKET=missing-bucket", f"DEPLOY={flags}"]
    ran = subprocess.run(  # noqa: S603  # our own Makefile; -o: the installation is there
        ["make", "-o", f"{venv}/.deploy", "-o", "node", "deploy", *given_to_make],  # noqa: S607  # the system's
        cwd=ROOT,
        env=account.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode
    assert not ran.stdout
    first, *lines, last = ran.stderr.splitlines()
    assert first == "Nothing was created:"
    names = MISSING.keys() - {"access_logs_bucket"}
    assert [line.strip().partition(": ")[0] for line in lines] == sorted(names)
    assert last.startswith("make: *** ")


@pytest.mark.usefixtures("unchanged")
def test_missing_networks_are_named(account: Account) -> None:
    found = account.faults(subnet_ids="subnet-0a1b2c3d", security_group_ids="sg-0a1b2c3d")
    names = [fault.partition(": ")[0] for fault in found]
    assert names == ["security_group_ids", "subnet_ids"]


def test_a_new_bucket_may_not_exist(account: Account, bucket: str) -> None:
    """CloudFormation would roll back. One of the stack itself is there at each update."""
    account.client("s3").create_bucket(Bucket=bucket)
    (fault,) = account.faults(bucket=bucket)
    assert fault.startswith(f"bucket: {bucket} exists already; ")
    template = '{"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": '
    name = f"stack-{token_hex(4)}"
    account.client("cloudformation").create_stack(
        StackName=f"{name}-dev", TemplateBody=f'{template}"{bucket}-own"}}}}}}}}'
    )
    assert not account.faults(bucket=f"{bucket}-own", name=name)


def test_an_existing_queue_must_suit(account: Account) -> None:
    """Its visibility timeout, and its key, without which the role reads nothing."""
    sqs, name = account.client("sqs"), f"orders-{token_hex(4)}"
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    url = sqs.create_queue(
        QueueName=name, Attributes={"VisibilityTimeout": "59", "KmsMasterKeyId": key}
    )["QueueUrl"]
    too_short, no_key = account.faults(queue="existing", queue_arn=arn)
    assert too_short.startswith("queue_arn: its visibility timeout of 59 s ")
    assert no_key.startswith(f"queue_kms_key_arn: missing, but the source is encrypted with {key}")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "380"})
    assert not account.faults(queue="existing", queue_arn=arn, queue_kms_key_arn=key)


def test_an_existing_stream_and_table_must_suit(account: Account) -> None:
    """A stream's key is needed as a queue's is."""
    name = f"clicks-{token_hex(4)}"
    kinesis = account.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    table = account.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]["LatestStreamArn"]
    given = {"stream": "existing", "stream_arn": arn, "queue": "off"}
    given |= {"table_stream": "existing", "table_stream_arn": table}
    assert not account.faults(**given)
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId=key)
    (fault,) = account.faults(**given)
    assert fault.startswith("stream_kms_key_arn: missing, but the source is encrypted with ")
    assert not account.faults(**given, stream_kms_key_arn=key)


def test_no_credentials_is_one_line(account: Account) -> None:
    """Not one for each call."""
    environ = {name: value for name, value in account.environ.items() if "ACCESS" not in name}
    without = Account(account.url)
    without.__dict__["environ"] = {**environ, "AWS_EC2_METADATA_DISABLED": "true"}
    (fault,) = without.faults(**MISSING["queue_arn"])
    assert fault.startswith("AWS: no credentials; ")


def make_stack(account: Account, name: str, handler: str, bucket: str, **environ: str) -> None:
    """Create a bucket and a function as a deployment does it."""
    role = "arn:aws:iam::123456789012:role/any"
    with contextlib.suppress(account.client("iam").exceptions.EntityAlreadyExistsException):
        account.client("iam").create_role(
            RoleName="any",
            AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
        )
    resources = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}},
        "Sqs": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": f"{name}-dev-sqs",
                "Handler": handler,
                "Runtime": "python3.13",
                "MemorySize": 256,
                "Timeout": 60,
                "Role": role,
                "Code": {"ZipFile": "handler = print"},
                "Environment": {
                    "Variables": {
                        "BATCHER_BUCKET": bucket,
                        "BATCHER_ROOT": "sqs",
                        "BATCHER_ENGINE": "obstore",
                        "BATCHER_PARTIAL_RESPONSE": "true",
                        **environ,
                    }
                },
            },
        },
    }
    account.client("cloudformation").create_stack(
        StackName=f"{name}-dev", TemplateBody=json.dumps({"Resources": resources})
    )


def changes(account: Account, **parameters: str) -> list[str]:
    """Return what the command says that it changes."""
    ran = account.validate(**parameters)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    *lines, last = ran.stdout.splitlines()
    assert last == FOUND
    return lines


def test_a_bucket_that_the_stack_has_left_is_an_existing_one(account: Account, bucket: str) -> None:
    """It was retained when BUCKET changed, so creating it anew would fail."""
    account.client("s3").create_bucket(Bucket=bucket)
    name = f"stack-{token_hex(4)}"
    make_stack(account, name, "batcher.handler.handler", f"{bucket}-now")
    (fault,) = account.faults(bucket=bucket, name=name)
    assert fault.startswith(f"bucket: {bucket} exists already and is not of the stack; ")
    assert "bucket_is=existing" in fault


def test_what_changes_of_a_live_stack_is_printed(account: Account, bucket: str) -> None:
    """Another bucket, a parameter that is left out, and a source that is switched off."""
    name = f"stack-{token_hex(4)}"
    make_stack(account, name, "mine.handler", f"{bucket}-now", BATCHER_FANOUT="4", TABLE="users")
    given = {"name": name, "fanout": "4", "handler": "mine.handler", "bucket": f"{bucket}-now"}
    assert changes(account, **given) == []
    assert changes(account, bucket=bucket, name=name, sqs_root="orders", memory="512") == [
        "changes: sqs_root sqs -> orders",
        f"changes: bucket {bucket}-now -> {bucket}",
        "changes: fanout 4 -> (not set)",
        "changes: handler mine.handler -> batcher.handler.handler",
        "changes: memory 256 -> 512",
    ]
    assert changes(account, **given, queue="off", stream="new") == [
        f"changes: queue on -> off, which removes {name}-dev-sqs"
    ]
