"""A Lambda function with its event source mappings, on moto."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types

MAPPED = {"BatchSize": 10_000, "MaximumBatchingWindowInSeconds": 5}


class Deployment:
    """Role, function, bucket and queue. Tests add the mappings."""

    def __init__(self, environ: Mapping[str, str], bucket: str) -> None:
        """Create them on the server of `environ`."""
        self._environ = environ
        self.bucket = bucket
        self.name = f"events-{token_hex(4)}"
        self._clients: list[Any] = []
        self.lambda_ = self.client("lambda")
        self.client("s3").create_bucket(Bucket=bucket)
        iam = self.client("iam")
        role = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument="{}")
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as package:
            package.writestr("x.py", "")
        self.lambda_.create_function(
            FunctionName=self.name,
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="batcher.handler.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=60,
            MemorySize=1024,
        )
        self.sqs = self.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.set(BATCHER_BUCKET=bucket, BATCHER_ROOT="events")

    def client(self, service: str) -> Any:  # noqa: ANN401  # boto3 has no types
        """Create a client, which `close` closes."""
        client = boto3.client(
            service,
            endpoint_url=self._environ["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        self._clients.append(client)
        return client

    def set(self, **variables: str) -> None:
        """Set the environment variables of the function."""
        self.lambda_.update_function_configuration(
            FunctionName=self.name, Environment={"Variables": variables}
        )

    def arn_of_queue(self, url: str) -> str:
        """Return a queue's ARN."""
        response = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(response["Attributes"]["QueueArn"])

    def map_queue(self, **changes: Any) -> str:  # noqa: ANN401  # as the API
        """Map the queue to the function and return the mapping's UUID."""
        arn = self.arn_of_queue(self.queue)
        mapping = self.lambda_.create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=arn, **MAPPED | changes
        )
        return str(mapping["UUID"])

    def map_stream(self, name: str, **changes: Any) -> str:  # noqa: ANN401  # as the API
        """Create a stream, map it to the function and return the mapping's UUID."""
        kinesis = self.client("kinesis")
        kinesis.create_stream(StreamName=name, ShardCount=1)
        arn = kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]
        defaults = {"StartingPosition": "TRIM_HORIZON", "BisectBatchOnFunctionError": True}
        mapping = self.lambda_.create_event_source_mapping(
            FunctionName=self.name, EventSourceArn=arn, **MAPPED | defaults | changes
        )
        return str(mapping["UUID"])

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()
