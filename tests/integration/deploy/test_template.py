"""The template: what `serverless.yml` comes to, property by property."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]  # of cfn-lint; it has no types

from batcher.settings import ENV_PREFIX, Settings
from batcher.tools.plan.mapping import plan_mapping
from batcher.tools.plan.workload import SourceType, Workload
from integration.deploy.cloudformation import STACK, STACK_ID_END, Template
from integration.deploy.serverless import ROOT
from support.store_fixtures import ENGINES

if TYPE_CHECKING:
    from integration.deploy.serverless import Packager

pytestmark = pytest.mark.slow

KEY = "arn:aws:kms:us-east-1:123456789012:key/6e0f9f0e"
TOPIC = "arn:aws:sns:us-east-1:123456789012:on-call"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/users/stream/2026-01-01T00:00:00.000"
QUEUE_NAME = f"{STACK}-queue-{STACK_ID_END}"
EVERYTHING = {
    "stream": "new",
    "kms_key_arn": KEY,
    "queue_kms_key_arn": KEY,
    "stream_kms_key_arn": KEY,
    "versioning": "Enabled",
    "old_versions_days": "7",
    "quarantine_days": "90",
    "access_logs_bucket": "my-access-logs",
    "eventbridge": "on",
    "tags": '{"team": "data"}',
    "tracing": "Active",
    "alarm_topic_arn": TOPIC,
    "log_retention_days": "30",
    "shards": "3",
    "table_stream": "existing",
    "table_stream_arn": TABLE,
    "table_kms_key_arn": KEY,
    "expire_days": "400",
    "stack_tags": '{"team": "data"}',
    "reserved_concurrency": "7",
    "subnet_ids": "subnet-0a1b2c3d,subnet-1a1b2c3d",
    "security_group_ids": "sg-0a1b2c3d",
    "environment": '{"TABLE": "users"}',
    "iam_statements": '[{"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}]',
    "queue_filters": '[{"body": {"kind": ["order"]}}]',
    "stream_filters": '[{"data": {"kind": ["order"]}}]',
    "table_filters": '[{"eventName": ["INSERT"]}]',
}
EXISTING = {
    "bucket_is": "existing",
    "queue": "existing",
    "queue_arn": QUEUE,
    "stream": "existing",
    "stream_arn": STREAM,
    "table_stream": "existing",
    "table_stream_arn": TABLE,
}


def only(template: Template, kind: str) -> Any:  # noqa: ANN401  # JSON
    """Return the properties of the only resource of a type."""
    (properties,) = template.of_type(kind).values()
    return properties


def function(template: Template, name: str) -> Any:  # noqa: ANN401  # JSON
    """Return a function's properties."""
    return template.resources[f"{name}LambdaFunction"]["Properties"]


def environment(template: Template, name: str) -> dict[str, str]:
    """Return a function's variables."""
    variables: dict[str, str] = function(template, name)["Environment"]["Variables"]
    return variables


def mapping(template: Template, arn: str) -> Any:  # noqa: ANN401  # JSON
    """Return the event source mapping of a source."""
    every = template.of_type("AWS::Lambda::EventSourceMapping").values()
    (found,) = [one for one in every if one["EventSourceArn"].endswith(arn)]
    return found


def test_a_bucket_s_name_is_all_that_it_needs(packager: Packager) -> None:
    """The queue's pipeline comes of it, and nothing of Kinesis, which costs by the hour."""
    kinds = {one["Type"] for one in packager.template().resources.values()}
    assert kinds == {
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::IAM::Role",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    }


def test_nobody_else_reads_the_bucket(packager: Packager) -> None:
    """Private, by TLS alone, encrypted, its uploads cleaned up, and kept when the stack goes."""
    template = packager.template()
    bucket = template.resources["Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert properties["BucketName"] == "my-bucket"
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    abort = rules["incomplete-uploads"]
    assert abort["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert {rule["Status"] for rule in rules.values()} == {"Enabled"}
    assert len(rules) == 2
    assert not {"LoggingConfiguration", "NotificationConfiguration"} & properties.keys()
    assert properties["VersioningConfiguration"] == {"Status": "Suspended"}
    policy = template.resources["BucketPolicy"]["Properties"]
    assert policy["Bucket"] == "my-bucket"
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Sid": "OnlyByTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        create_only("Sqs"),
    ]


def create_only(name: str) -> dict[str, Any]:
    """Return the statement by which a function cannot replace an object."""
    return {
        "Sid": f"{name}CreatesOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::my-bucket/*",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::123456789012:role/{name}Role"},
            "Null": {"s3:if-none-match": "true"},
        },
    }


@pytest.mark.parametrize(
    ("queue", "stream", "names"),
    [
        ("new", "new", ["Sqs", "Kinesis"]),
        ("existing", "off", ["Sqs"]),
        ("off", "existing", ["Kinesis"]),
    ],
)
def test_functions_create_objects_and_replace_none(
    packager: Packager, queue: str, stream: str, names: list[str]
) -> None:
    """The bucket demands If-None-Match of each function that there is, and of nobody else."""
    given = {"queue": queue, "stream": stream}
    if queue == "existing":
        given["queue_arn"] = QUEUE
    if stream == "existing":
        given["stream_arn"] = STREAM
    template = packager.template(**given)
    policy = template.resources["BucketPolicy"]["Properties"]["PolicyDocument"]
    assert policy["Statement"][1:] == [create_only(name) for name in names]


def test_the_bucket_takes_every_option(packager: Packager) -> None:
    """A key, versions that expire, quarantine that expires, access logs, EventBridge."""
    properties = packager.template(**EVERYTHING).resources["Bucket"]["Properties"]
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert encryption == {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": by_default}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": "7"}
    for name in ("sqs", "kinesis", "dynamodb"):
        rule = rules[f"{name}-quarantine"]
        assert (rule["Prefix"], rule["ExpirationInDays"]) == (f"{name}/_quarantine/", "90")
        rule = rules[f"{name}-data"]
        assert (rule["Prefix"], rule["ExpirationInDays"]) == (f"{name}/", "400")
    logging = {"DestinationBucketName": "my-access-logs", "LogFilePrefix": "my-bucket/"}
    assert properties["LoggingConfiguration"] == logging
    events = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert properties["NotificationConfiguration"] == events
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}


def test_the_queue_and_its_mapping_are_as_a_plan_has_them(packager: Packager) -> None:
    """Window, visibility and receives by the planner, by default and where time-outs differ."""
    for timeout_s, window_s in ((60, 20), (900, 300), (3, 1)):
        chosen = {"timeout": str(timeout_s), "window": str(window_s)}
        template = packager.template(**({} if timeout_s == 60 else chosen))
        workload = Workload(
            source=SourceType.SQS, records_per_s=1000, record_bytes=1024, window_s=window_s
        )
        planned = plan_mapping(workload, timeout_s, 0.276, 1)
        queue = template.resources["Queue"]["Properties"]
        assert queue["VisibilityTimeout"] == planned.visibility_timeout_s
        assert queue["RedrivePolicy"]["maxReceiveCount"] == planned.max_receive_count
        found = mapping(template, QUEUE_NAME)
        assert found["BatchSize"] == planned.batch_size
        assert found["MaximumBatchingWindowInSeconds"] == planned.window_s
        assert found["ScalingConfig"] == {"MaximumConcurrency": planned.maximum_concurrency}
        assert function(template, "Sqs")["Timeout"] == timeout_s
    queues = packager.template().of_type("AWS::SQS::Queue")
    letters = queues["Queue"]["RedrivePolicy"]["deadLetterTargetArn"]
    assert letters == "arn:aws:sqs:us-east-1:123456789012:DeadLetters"
    assert {queue["MessageRetentionPeriod"] for queue in queues.values()} == {1_209_600}
    assert {queue["SqsManagedSseEnabled"] for queue in queues.values()} == {True}


def test_the_streams_retries_never_run_out(packager: Packager) -> None:
    """What retries give up is lost, as docs/guarantees.md says; halves are tried, too."""
    template = packager.template(**EVERYTHING)
    found = mapping(template, "stream/Stream")
    assert found["MaximumRetryAttempts"] == found["MaximumRecordAgeInSeconds"] == -1
    assert found["BisectBatchOnFunctionError"] is True
    assert found["StartingPosition"] == "TRIM_HORIZON"
    assert (found["BatchSize"], found["MaximumBatchingWindowInSeconds"]) == (10_000, 20)
    assert found["ParallelizationFactor"] == 1
    destination = found["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == "arn:aws:sqs:us-east-1:123456789012:GivenUp"
    stream = only(template, "AWS::Kinesis::Stream")
    assert (stream["ShardCount"], stream["RetentionPeriodHours"]) == ("3", 24)
    assert stream["StreamEncryption"] == {"EncryptionType": "KMS", "KeyId": KEY}
    without = packager.template(stream="new")
    usual = only(without, "AWS::Kinesis::Stream")["StreamEncryption"]["KeyId"]
    assert usual == "alias/aws/kinesis"


def test_who_wants_them_to_end_says_so(packager: Packager) -> None:
    """What is given up is told to the same queue, and the alarm rings."""
    template = packager.template(
        stream="new", maximum_retry_attempts="3", maximum_record_age="3600"
    )
    found = mapping(template, "stream/Stream")
    assert (found["MaximumRetryAttempts"], found["MaximumRecordAgeInSeconds"]) == (3, 3600)
    assert found["DestinationConfig"]["OnFailure"]["Destination"].endswith(":GivenUp")
    assert "KinesisDeadLettersAlarm" in template.resources
    assert "MaximumRetryAttempts" not in mapping(template, QUEUE_NAME)


def test_a_table_is_read_as_a_stream_is(packager: Packager) -> None:
    """Retries without end, halves, partial responses, and a queue of what is given up."""
    template = packager.template(queue="off", table_stream="existing", table_stream_arn=TABLE)
    found = mapping(template, TABLE)
    like = mapping(packager.template(stream="new"), "stream/Stream")
    own = {"EventSourceArn", "FunctionName", "DestinationConfig"}
    assert {k: v for k, v in found.items() if k not in own} == {
        k: v for k, v in like.items() if k not in own
    }
    destination = found["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == "arn:aws:sqs:us-east-1:123456789012:TableGivenUp"
    assert environment(template, "Dynamodb")["BATCHER_ROOT"] == "dynamodb"
    assert set(template.of_type("AWS::Lambda::Function")) == {"DynamodbLambdaFunction"}
    policy = template.resources["BucketPolicy"]["Properties"]["PolicyDocument"]
    assert policy["Statement"][1:] == [create_only("Dynamodb")]


def test_every_function_has_what_is_added(packager: Packager) -> None:
    """Variables, statements, VPC, reserved concurrency; filters are of one source each."""
    template = packager.template(**EVERYTHING)
    for name in ("Sqs", "Kinesis", "Dynamodb"):
        properties = function(template, name)
        assert properties["ReservedConcurrentExecutions"] == 7
        assert properties["VpcConfig"] == {
            "SubnetIds": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
            "SecurityGroupIds": ["sg-0a1b2c3d"],
        }
        assert environment(template, name)["TABLE"] == "users"
        _, added = template.resources[f"{name}Role"]["Properties"]["Policies"]
        given = json.loads(EVERYTHING["iam_statements"])
        assert added["PolicyDocument"]["Statement"] == given
    for source, key in ((QUEUE_NAME, "queue"), ("Stream", "stream"), (TABLE, "table")):
        (one,) = mapping(template, source)["FilterCriteria"]["Filters"]
        assert [json.loads(one["Pattern"])] == json.loads(EVERYTHING[f"{key}_filters"])


def test_two_deployments_of_an_account_share_no_name(packager: Packager) -> None:
    """Functions, log groups and dashboards have the name of the stack."""
    names = {"FunctionName", "LogGroupName", "DashboardName"}
    for resource in packager.template(name="orders").resources.values():
        for key in names & resource.get("Properties", {}).keys():
            assert "orders-dev" in resource["Properties"][key]


@pytest.mark.parametrize("is_on", [True, False])
def test_mapping_and_setting_agree_about_partial_responses(
    packager: Packager, *, is_on: bool
) -> None:
    """AWS ignores the answer of a mapping without ReportBatchItemFailures: the records are lost."""
    template = packager.template(stream="new", partial_response=str(is_on).lower())
    for found in template.of_type("AWS::Lambda::EventSourceMapping").values():
        types = found.get("FunctionResponseTypes", [])
        assert types == (["ReportBatchItemFailures"] if is_on else [])
    for name in ("Sqs", "Kinesis"):
        settings = Settings.from_env(environment(template, name))
        assert settings.partial_response is is_on


def test_every_setting_is_a_parameter(packager: Packager) -> None:
    """A new setting is to be named in `serverless.yml`, and so reaches both functions."""
    values: dict[str, str] = {
        "max_bytes": "32MiB",
        "max_records": "5000",
        "linger_s": "3.5",
        "format": "lines",
        "compression": "zstd",
        "compression_level": "3",
        "fanout": "64",
        "prefix_rate": "1000",
        "fleet": "5",
        "partition_by": "day={arrival:%d}",
        "multipart_threshold": "20MiB",
        "part_size": "6MiB",
        "concurrency": "4",
        "budget_bytes": "80MiB",
        "max_depth": "64",
        "on_bad_record": "drop",
        "partial_response": "false",
        "deadline_margin_s": "4",
        "region": "eu-north-1",
        "endpoint_url": "https://s3.example:9000",
        "addressing_style": "path",
        "role_arn": "arn:aws:iam::123456789012:role/writer",
        "external_id": "orders",
        "expected_bucket_owner": "123456789012",
        "request_payer": "requester",
        "conditional_writes": "true",
        "acl": "bucket-owner-full-control",
        "sse": "aws:kms",
        "kms_key_id": KEY,
        "storage_class": "STANDARD_IA",
        "tags": '{"team": "data"}',
        "metadata": '{"origin": "orders"}',
        "content_type": "text/csv",
    }
    names = {field.name for field in fields(Settings)}
    given_otherwise = {"bucket", "root", "engine"}
    assert values.keys() == names - given_otherwise
    template = packager.template(
        stream="new", sqs_root="from/sqs", kinesis_root="from/kinesis", **values
    )
    for name, root in (("Sqs", "from/sqs"), ("Kinesis", "from/kinesis")):
        expected = {"bucket": "my-bucket", "root": root, "engine": "obstore", **values}
        variables = {ENV_PREFIX + name.upper(): value for name, value in expected.items()}
        assert environment(template, name) == variables
        settings = Settings.from_env(environment(template, name))
        assert settings == Settings(**expected)  # type: ignore[arg-type]  # text is parsed


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_not_chosen_is_not_set(
    tmp_path_factory: pytest.TempPathFactory, packager: Packager, engine: str
) -> None:
    """What batcher takes by itself holds. The engine is the package's, not a default."""
    expected = {
        "BATCHER_BUCKET": "my-bucket",
        "BATCHER_ROOT": "sqs",
        "BATCHER_ENGINE": engine,
        "BATCHER_PARTIAL_RESPONSE": "true",
    }
    service = type(packager)(tmp_path_factory.mktemp(f"service-{engine}"), engine)
    assert environment(service.template(), "Sqs") == expected
    Settings.from_env({**expected, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"})


def test_the_function_is_what_the_package_was_made_for(packager: Packager) -> None:
    """Processor and runtime come from `deployment.json`; a wrong one fails at its first import."""
    template = packager.template()
    found = function(template, "Sqs")
    assert (found["Runtime"], found["Architectures"]) == ("python3.13", ["arm64"])
    assert (found["MemorySize"], found["Timeout"]) == (256, 60)
    assert found["Handler"] == "batcher.handler.handler"
    assert found["TracingConfig"] == {"Mode": "PassThrough"}
    assert found["Role"] == "arn:aws:iam::123456789012:role/SqsRole"
    logs = template.resources["SqsLogGroup"]["Properties"]
    assert logs == {"LogGroupName": "/aws/lambda/batcher-dev-sqs", "RetentionInDays": 14}
    longer = packager.template(**EVERYTHING)
    groups = longer.of_type("AWS::Logs::LogGroup").values()
    assert {group["RetentionInDays"] for group in groups} == {30}
    assert function(longer, "Kinesis")["TracingConfig"] == {"Mode": "Active"}


def test_existing_sources_and_buckets_are_left_alone(packager: Packager) -> None:
    """Nothing of theirs is created; mappings and roles name them."""
    template = packager.template(**EXISTING)
    made = template.resources
    assert not {"Bucket", "BucketPolicy", "Queue", "DeadLetters", "Stream"} & made.keys()
    assert mapping(template, "orders")["EventSourceArn"] == QUEUE
    assert mapping(template, "clicks")["EventSourceArn"] == STREAM
    assert template.statements("SqsRole")["Receive"]["Resource"] == QUEUE
    assert template.statements("KinesisRole")["Read"]["Resource"] == STREAM


def test_a_function_can_be_switched_off(packager: Packager) -> None:
    """Only the stream's is there, and nothing of the queue's."""
    template = packager.template(queue="off", stream="new")
    assert set(template.of_type("AWS::Lambda::Function")) == {"KinesisLambdaFunction"}
    left = [name for name in template.resources if re.match("Sqs|Queue|DeadLetters", name)]
    assert not left


def test_only_by_tls_do_queues_take_and_give(packager: Packager) -> None:
    """As the bucket."""
    template = packager.template(**EVERYTHING)
    policies = template.of_type("AWS::SQS::QueuePolicy").values()
    assert sorted(queue for policy in policies for queue in policy["Queues"]) == [
        "DeadLetters",
        "GivenUp",
        "TableGivenUp",
        QUEUE_NAME,
    ]
    for policy in policies:
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    queues = template.of_type("AWS::SQS::Queue")
    assert {queues[name]["KmsMasterKeyId"] for name in ("Queue", "DeadLetters")} == {KEY}


KEEPS_DATA = {
    "AWS::DynamoDB::Table",
    "AWS::Kinesis::Stream",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
}
"""Types of resources that hold records, decrypt them, or say who may take them."""

OF_THE_DEPLOYMENT = {"ServerlessDeploymentBucket", "ServerlessDeploymentBucketPolicy"}
"""osls empties and removes its bucket of packages, which `make package` makes again."""


def test_what_may_hold_records_stays_when_the_stack_goes(packager: Packager) -> None:
    """Also if it is taken out of the template, or replaced by an update. All else goes."""
    template = packager.template(**EVERYTHING)
    kept = {
        name
        for name, resource in template.resources.items()
        if resource["Type"] in KEEPS_DATA and name not in OF_THE_DEPLOYMENT
    }
    assert kept >= {"Bucket", "Queue", "DeadLetters", "GivenUp", "Stream"}
    for name, resource in template.resources.items():
        policies = {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")}
        assert policies == ({"Retain"} if name in kept else {None}), name


def test_only_the_queue_has_its_dead_letters_there(packager: Packager) -> None:
    """Another queue cannot mix its own among them. What is given up of the stream takes none."""
    queues = packager.template(stream="new").of_type("AWS::SQS::Queue")
    assert queues["Queue"]["QueueName"] == QUEUE_NAME
    assert queues["DeadLetters"]["RedriveAllowPolicy"] == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [f"arn:aws:sqs:us-east-1:123456789012:{QUEUE_NAME}"],
    }
    assert queues["GivenUp"]["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}


def test_a_stack_starts_beside_the_queue_that_an_earlier_one_has_left(packager: Packager) -> None:
    """Their names differ by the end of the stack's ID."""
    queue = packager.template().document["Resources"]["Queue"]["Properties"]
    assert "AWS::StackId" in str(queue["QueueName"])
    named = {"QueueName", "StreamName", "Name"}
    for name in ("DeadLetters", "GivenUp", "TableGivenUp", "Stream"):
        made = packager.template(**EVERYTHING).resources[name]["Properties"]
        assert not named & made.keys()


def test_the_guide_names_every_parameter() -> None:
    """docs/how-to/deploy.md has a row for each, and for none that is gone."""
    parameters = yaml.safe_load(re.sub(r"!\w+ ", "", Path(ROOT, "serverless.yml").read_text()))[
        "params"
    ]["default"]
    settings = {field.name for field in fields(Settings)} - {"bucket"}
    rows = re.findall(
        r"^\| (`.+?) \|", Path(ROOT, "docs/how-to/deploy.md").read_text(), re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert parameters.keys() - settings <= named
    assert parameters.keys() >= settings - {"root", "engine"}


def test_the_policy_of_who_deploys_covers_every_resource(packager: Packager) -> None:
    """docs/how-to/deploy.md has it: of each service of the stack, by the stack's names."""
    page = Path(ROOT, "docs/how-to/deploy.md").read_text()
    (text,) = re.findall(r"```json\n(\{\n  \"Version\".*?)```", page, re.DOTALL)
    allowed = {
        action.partition(":")[0]
        for statement in json.loads(text)["Statement"]
        for action in re.findall(r"[\w:*]+", str(statement["Action"]))
    }
    kinds = {one["Type"] for one in packager.template(**EVERYTHING).resources.values()}
    assert {kind.split("::")[1].lower() for kind in kinds} <= allowed


def test_stacks_of_two_names_share_no_export(packager: Packager) -> None:
    """An account has each name once in a region: a second stack could not be created."""
    exports = [
        {
            output["Export"]["Name"]
            for output in packager.template(name=name, **EVERYTHING).document["Outputs"].values()
            if "Export" in output
        }
        for name in ("batcher", "orders")
    ]
    assert exports[0] == {"sls-batcher-dev-ServerlessDeploymentBucketName"}  # as it has been
    assert not exports[0] & exports[1]
