"""Existing: whether what the parameters name is there, asked of AWS before anything is created."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parameters import SOURCES

from batcher.settings import ENV_PREFIX
from batcher.tools.check.aws import AwsClient, CallFailure

if TYPE_CHECKING:
    from parameters import Parameters

MISSING = "does not exist"
NO_BUCKET = ("404", "NoSuchBucket")
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
NO_STREAM = ("ResourceNotFoundException",)
NO_KEY = ("NotFoundException",)
NO_FUNCTION = ("ResourceNotFoundException",)
NO_TOPIC = ("NotFound", "NotFoundException")
NO_STACK = ("ValidationError",)
NO_SUBNETS = ("InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed")
NO_GROUPS = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed", "InvalidGroupID.NotFound")
_FORBIDDEN = "needs "
"""What the reason of a call that was denied starts with."""


@dataclass
class Found:
    """What was found."""

    faults: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    """What the credentials may not ask."""
    changes: dict[str, None] = field(default_factory=dict)
    """What the deployment changes of a stack that is there, in order."""


async def look(parameters: Parameters) -> Found:
    """Look for everything that is to exist already."""
    found = Found()
    values = parameters.values
    async with AwsClient(parameters.region) as aws:
        looking = _Looking(aws, parameters, found)
        identity = await aws.call("sts", "get_caller_identity", "sts:GetCallerIdentity")
        if isinstance(identity, CallFailure) and identity.fatal:
            found.faults.append(
                f"AWS: {identity.reason}" + (f"; {identity.fix}" if identity.fix else "")
            )
            return found
        looks: list[Awaitable[None]] = [looking.bucket()]
        looks += [looking.function(source, kind) for source, kind in SOURCES.items()]
        if values["queue"] == "existing":
            looks.append(looking.queue())
        if values["stream"] == "existing":
            looks.append(looking.stream())
        if values["table_stream"] == "existing":
            looks.append(looking.table_stream())
        looks += [looking.key(name) for name in values if name.endswith("kms_key_arn")]
        if "alarm_topic_arn" in values:
            looks.append(looking.topic(values["alarm_topic_arn"]))
        if "access_logs_bucket" in values:
            looks.append(looking.logs_bucket(values["access_logs_bucket"]))
        if "subnet_ids" in values:
            looks.append(looking.network())
        await asyncio.gather(*looks)
    found.faults.sort()
    return found


def _is_bucket(resource: Mapping[str, Any], name: str) -> bool:
    """Whether a resource of the stack is this bucket, and is still the stack's."""
    is_left = resource["ResourceStatus"].startswith("DELETE")
    return resource.get("PhysicalResourceId") == name and not is_left


class _Looking:
    """One call for each thing, and what its answer means."""

    def __init__(self, aws: AwsClient, parameters: Parameters, found: Found) -> None:
        self._aws = aws
        self._parameters = parameters
        self._values = parameters.values
        self._found = found

    async def bucket(self) -> None:
        """Look for the bucket: an existing one must be there, a new one may not be."""
        name = self._values["bucket"]
        if self._values.get("endpoint_url"):
            self._found.not_checked.append("bucket: endpoint_url names another S3")
            return
        asked = {"Bucket": name}
        if "expected_bucket_owner" in self._values:
            asked["ExpectedBucketOwner"] = self._values["expected_bucket_owner"]
        head = await self._aws.call("s3", "head_bucket", "s3:ListBucket", NO_BUCKET, **asked)
        if self._values["bucket_is"] == "existing":
            if head is None:
                fix = "correct BUCKET, or let bucket_is=new create it"
                self._found.faults.append(f"bucket: {name} {MISSING}; {fix}")
            else:
                self._note("bucket", head)
            return
        if isinstance(head, CallFailure) and not head.fatal:
            fix = "choose another name, or use bucket_is=existing if you may write to it"
            self._found.faults.append(f"bucket: {name} exists and is not yours; {fix}")
        elif head is not None and not isinstance(head, CallFailure):
            made = await self._aws.call(
                "cloudformation",
                "describe_stack_resource",
                "cloudformation:DescribeStackResource",
                NO_STACK,
                StackName=self._parameters.stack,
                LogicalResourceId="Bucket",
            )
            if isinstance(made, CallFailure):
                self._note("bucket", made)
            elif made is None or not _is_bucket(made["StackResourceDetail"], name):
                fix = "use it with --param bucket_is=existing, or choose another name"
                whose = " and is not of the stack" if made else ""
                self._found.faults.append(f"bucket: {name} exists already{whose}; {fix}")

    async def function(self, source: str, kind: str) -> None:
        """Note what changes of a function that is there."""
        name = self._parameters.function(kind)
        live = await self._aws.call(
            "lambda", "get_function_configuration", "lambda:GetFunctionConfiguration",
            NO_FUNCTION, FunctionName=name,
        )  # fmt: skip
        if isinstance(live, CallFailure):
            self._found.not_checked.append(f"changes of {name}: {live.reason}")
            return
        if live is None:
            return
        if self._values[source] == "off":
            self._found.changes[f"{source} on -> off, which removes {name}"] = None
            return
        for what, before, after in self._differences(kind, live):
            self._found.changes[f"{what} {before or '(not set)'} -> {after or '(not set)'}"] = None
        if arn := self._values.get(f"{source}_arn"):
            mappings = await self._aws.call(
                "lambda", "list_event_source_mappings", "lambda:ListEventSourceMappings",
                FunctionName=name,
            )  # fmt: skip
            if isinstance(mappings, Mapping):
                for one in mappings["EventSourceMappings"]:
                    if one["EventSourceArn"] != arn:
                        change = f"{source}_arn {one['EventSourceArn']} -> {arn}"
                        self._found.changes[change] = None

    def _differences(
        self, kind: str, live: Mapping[str, Any]
    ) -> Iterator[tuple[str, str | None, str | None]]:
        """Return parameters of a function with their values before and after, where they differ."""
        wanted: dict[str, str] = self._parameters.environ(kind)
        found = {
            name: value
            for name, value in live.get("Environment", {}).get("Variables", {}).items()
            if name.startswith(ENV_PREFIX)
        }
        own = {f"{kind}_root": f"{ENV_PREFIX}ROOT"}
        names = own | {
            name.removeprefix(ENV_PREFIX).lower(): name
            for name in sorted(wanted.keys() | found.keys())
            if name not in own.values()
        }
        pairs = {name: (found.get(key), wanted.get(key)) for name, key in names.items()}
        for name, key in (("handler", "Handler"), ("memory", "MemorySize"), ("timeout", "Timeout")):
            pairs[name] = str(live[key]), self._values[name]
        yield from ((name, *pair) for name, pair in pairs.items() if pair[0] != pair[1])

    async def queue(self) -> None:
        """Look for the queue, its time and its key."""
        account, name = self._values["queue_arn"].split(":")[4:]
        url = await self._aws.call(
            "sqs", "get_queue_url", "sqs:GetQueueUrl", NO_QUEUE,
            QueueName=name, QueueOwnerAWSAccountId=account,
        )  # fmt: skip
        answer = url
        if isinstance(url, Mapping):
            answer = await self._aws.call(
                "sqs", "get_queue_attributes", "sqs:GetQueueAttributes", NO_QUEUE,
                QueueUrl=url["QueueUrl"], AttributeNames=["All"],
            )  # fmt: skip
        if not self._is_there("queue_arn", answer):
            return
        attributes = answer["Attributes"]  # type: ignore[index]  # it is there
        visible_s = int(attributes.get("VisibilityTimeout", 30))
        timeout_s = int(self._values["timeout"])
        if visible_s < timeout_s:
            self._found.faults.append(
                f"queue_arn: its visibility timeout of {visible_s} s is shorter than "
                f"timeout={timeout_s}, which Lambda refuses; raise it to "
                f"{6 * timeout_s + int(self._values['window'])} s"
            )
        self._needs_key("queue_kms_key_arn", attributes.get("KmsMasterKeyId", ""), "sqs")

    async def stream(self) -> None:
        """Look for the stream, its state and its key."""
        name = self._values["stream_arn"].rpartition("/")[2]
        answer = await self._aws.call(
            "kinesis", "describe_stream_summary", "kinesis:DescribeStreamSummary", NO_STREAM,
            StreamName=name,
        )  # fmt: skip
        if not self._is_there("stream_arn", answer):
            return
        summary = answer["StreamDescriptionSummary"]  # type: ignore[index]  # it is there
        if summary["StreamStatus"] not in {"ACTIVE", "UPDATING"}:
            self._found.faults.append(
                f"stream_arn: the stream is {summary['StreamStatus']}; wait until it is ACTIVE"
            )
        self._needs_key("stream_kms_key_arn", summary.get("KeyId", ""), "kinesis")

    async def table_stream(self) -> None:
        """Look for the stream of the table, and whether it is on."""
        answer = await self._aws.call(
            "dynamodbstreams", "describe_stream", "dynamodb:DescribeStream", NO_STREAM,
            StreamArn=self._values["table_stream_arn"], Limit=1,
        )  # fmt: skip
        if not self._is_there("table_stream_arn", answer):
            return
        status = answer["StreamDescription"]["StreamStatus"]  # type: ignore[index]  # it is there
        if status not in {"ENABLED", "ENABLING"}:
            self._found.faults.append(
                f"table_stream_arn: the stream is {status}; name the table's LatestStreamArn"
            )

    async def key(self, parameter: str) -> None:
        """Look for a key, and whether it can be used."""
        arn = self._values[parameter]
        region = arn.split(":")[3]
        if region != self._parameters.region:
            self._found.not_checked.append(f"{parameter}: it is in {region}")
            return
        answer = await self._aws.call("kms", "describe_key", "kms:DescribeKey", NO_KEY, KeyId=arn)
        if self._is_there(parameter, answer):
            state = answer["KeyMetadata"].get("KeyState", "Enabled")  # type: ignore[index]
            if state != "Enabled":
                self._found.faults.append(f"{parameter}: the key is {state}; enable it")

    async def topic(self, arn: str) -> None:
        """Look for the topic of the alarms."""
        answer = await self._aws.call(
            "sns", "get_topic_attributes", "sns:GetTopicAttributes", NO_TOPIC, TopicArn=arn
        )
        self._is_there("alarm_topic_arn", answer)

    async def logs_bucket(self, name: str) -> None:
        """Look for the bucket of the access logs."""
        answer = await self._aws.call("s3", "head_bucket", "s3:ListBucket", NO_BUCKET, Bucket=name)
        self._is_there("access_logs_bucket", answer)

    async def network(self) -> None:
        """Look for subnets and security groups."""
        subnets = [one.strip() for one in self._values["subnet_ids"].split(",")]
        answer = await self._aws.call(
            "ec2", "describe_subnets", "ec2:DescribeSubnets", NO_SUBNETS, SubnetIds=subnets
        )
        self._is_there("subnet_ids", answer)
        groups = [one.strip() for one in self._values["security_group_ids"].split(",")]
        answer = await self._aws.call(
            "ec2", "describe_security_groups", "ec2:DescribeSecurityGroups", NO_GROUPS,
            GroupIds=groups,
        )  # fmt: skip
        self._is_there("security_group_ids", answer)

    def _is_there(self, parameter: str, answer: object) -> bool:
        """Note a fault unless there is an answer."""
        if answer is None:
            value = self._values[parameter]
            self._found.faults.append(
                f"{parameter}: {value} {MISSING}; correct it, or the account and the region"
            )
            return False
        return self._note(parameter, answer)

    def _note(self, parameter: str, answer: object) -> bool:
        if not isinstance(answer, CallFailure):
            return True
        if answer.reason.startswith(_FORBIDDEN):
            self._found.not_checked.append(f"{parameter}: {answer.reason}")
        else:
            fix = f"; {answer.fix}" if answer.fix else ""
            self._found.faults.append(f"{parameter}: {answer.reason}{fix}")
        return False

    def _needs_key(self, parameter: str, key: str, service: str) -> None:
        """Note a fault if a source is encrypted by a key that the role could not use."""
        if key and not key.endswith(f"alias/aws/{service}") and parameter not in self._values:
            self._found.faults.append(
                f"{parameter}: missing, but the source is encrypted with {key}; "
                f"add --param {parameter}= with the ARN of that key"
            )
