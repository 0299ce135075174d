"""Rules: what the value of one parameter of `serverless.yml` may be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from batcher.settings import ENV_PREFIX, Between, OneOf

Rule = Callable[[str], Sequence[str]]
"""Returns what is wrong with a value. Nothing if it is right."""
MAX_FILTERS = 5
"""Per mapping. Source: Lambda's guide, "Control which events Lambda sends to your function"."""
ROOT_PATTERN = r"[A-Za-z0-9!_.'()=+@:,-]+(/[A-Za-z0-9!_.'()=+@:,-]+)*"
"""The templates have it, too: what IAM reads as a wildcard would let a role out of its root."""
LOG_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653
)  # fmt: skip
"""Source: CloudWatch Logs API, PutRetentionPolicy."""
LAMBDAS_OWN = re.compile(r"AWS_|LAMBDA_|_HANDLER$|_X_AMZN", re.ASCII)
"""Source: Lambda's guide, "Defined runtime environment variables"."""


def whole(low: int, high: int, *others: int) -> Rule:
    """Return the rule of a whole number within bounds, or one of `others`."""

    def check(text: str) -> Sequence[str]:
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            return [f"{text!r} is not a whole number; choose {low} to {high}"]
        return [] if int(text) in others else Between(low, high)(int(text))

    return check


def form(pattern: str, what: str, example: str) -> Rule:
    """Return the rule of a text that has a form."""

    def check(text: str) -> Sequence[str]:
        if re.fullmatch(pattern, text, re.ASCII):
            return []
        return [f"{text!r} is not {what}; write it as {example}"]

    return check


def arn(service: str, resource: str, what: str, example: str) -> Rule:
    """Return the rule of the ARN of a resource, whose pattern and example are given."""
    pattern = rf"arn:aws[a-z-]*:{service}:[a-z0-9-]+:\d{{12}}:{resource}"
    return form(pattern, what, f"arn:aws:{service}:REGION:ACCOUNT:{example}")


def json_of(kind: type, what: str, example: str, check: Callable[[Any], Iterator[str]]) -> Rule:
    """Return the rule of JSON text, with what to check of its value."""

    def check_text(text: str) -> Sequence[str]:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, kind):
            return [f"{text!r} is not {what}; write one such as {example}"]
        return list(check(value))

    return check_text


def _check_variables(variables: Mapping[str, Any]) -> Iterator[str]:
    for name, value in variables.items():
        if not isinstance(value, str):
            yield f"the value of {name} is not text; put it in double quotes"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]+", name, re.ASCII):
            yield f"{name!r} is not the name of a variable; use 2 or more of A-Z, a-z, 0-9 and _"
        elif name.startswith(ENV_PREFIX):
            own = name.removeprefix(ENV_PREFIX).lower()
            yield f"{name} is a setting of batcher; set the parameter {own}"
        elif LAMBDAS_OWN.match(name):
            yield f"{name} is reserved by Lambda; choose another name"


def _check_tags(tags: Mapping[str, Any]) -> Iterator[str]:
    for name, value in tags.items():
        if not isinstance(value, str):
            yield f"the value of {name} is not text; put it in double quotes"
        if not name or name.lower().startswith("aws:"):
            yield f"{name!r} is not the name of a tag; it may not be empty or start with aws:"


def _check_statements(statements: Sequence[Any]) -> Iterator[str]:
    for number, statement in enumerate(statements, 1):
        if not isinstance(statement, dict):
            yield f"statement {number} is not a JSON object; write Effect, Action and Resource"
            continue
        if statement.get("Effect") not in {"Allow", "Deny"}:
            yield f"statement {number}: Effect is {statement.get('Effect')!r}; write Allow or Deny"
        for need in ("Action", "Resource"):
            if not (statement.get(need) or statement.get(f"Not{need}")):
                yield f"statement {number} has no {need}; add it"
        if "Principal" in statement:
            yield f"statement {number} has a Principal; remove it, the role is the principal"


def _check_filters(filters: Sequence[Any]) -> Iterator[str]:
    if not 1 <= len(filters) <= MAX_FILTERS:
        yield f"{len(filters)} filters; Lambda takes 1 to {MAX_FILTERS} per mapping"
    for number, pattern in enumerate(filters, 1):
        if not isinstance(pattern, dict) or not pattern:
            yield f"filter {number} is not a JSON object; write one such as {FILTER}"
        else:
            yield from _check_pattern(pattern, f"filter {number}")


def _check_pattern(pattern: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, value in pattern.items():
        if isinstance(value, dict) and value:
            yield from _check_pattern(value, f"{where}: {name}")
        elif not isinstance(value, list) or not value:
            yield f"{where}: {name}: {json.dumps(value)} is not a list; write the values in [ ]"


FILTER = '{"body": {"kind": ["order"]}}'
BUCKET = form(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket", "my-bucket")
KEY = arn("kms", r"key/[\w-]+", "the ARN of a key, and a role cannot name an alias", "key/ID")
QUEUE = arn("sqs", r"[\w-]+(\.fifo)?", "the ARN of a queue", "QUEUE")
STREAM = arn(
    "kinesis",
    r"stream/[\w.-]+",
    "the ARN of a stream (consumers are not supported)",
    "stream/STREAM",
)
TABLE_STREAM = arn(
    "dynamodb",
    r"table/[\w.-]+/stream/[\w.:-]+",
    "the ARN of the stream of a table",
    "table/TABLE/stream/LABEL",
)
FILTERS = json_of(list, "a JSON list of filters", f"[{FILTER}]", _check_filters)
ROOT = form(ROOT_PATTERN, "a root", "a/b, without * ? $ or a slash at its ends")
DAYS = whole(1, 36_500)
RULES: Mapping[str, Rule] = {
    "name": form(r"[A-Za-z][A-Za-z0-9-]*", "a name of a stack", "letters, digits and -"),
    "stack_tags": json_of(dict, "a JSON object of strings", '{"team": "data"}', _check_tags),
    "bucket": BUCKET,
    "bucket_is": OneOf("new", "existing"),
    "kms_key_arn": KEY,
    "versioning": OneOf("Enabled", "Suspended"),
    "old_versions_days": DAYS,
    "expire_days": DAYS,
    "quarantine_days": DAYS,
    "access_logs_bucket": BUCKET,
    "eventbridge": OneOf("on", "off"),
    "queue": OneOf("new", "existing", "off"),
    "queue_arn": QUEUE,
    "queue_kms_key_arn": KEY,
    "queue_filters": FILTERS,
    "sqs_root": ROOT,
    "stream": OneOf("new", "existing", "off"),
    "stream_arn": STREAM,
    "stream_kms_key_arn": KEY,
    "stream_filters": FILTERS,
    "kinesis_root": ROOT,
    "shards": whole(1, 100_000),
    "retention_hours": whole(24, 8760),
    "table_stream": OneOf("existing", "off"),
    "table_stream_arn": TABLE_STREAM,
    "table_kms_key_arn": KEY,
    "table_filters": FILTERS,
    "dynamodb_root": ROOT,
    "handler": form(r"[\w-]+([./][\w-]+)*\.\w+", "a handler", "module.function"),
    "memory": whole(128, 10_240),
    "timeout": whole(1, 900),
    "batch_size": whole(1, 10_000),
    "window": whole(0, 300),
    "maximum_concurrency": whole(2, 1000),
    "parallelization_factor": whole(1, 10),
    "starting_position": OneOf("TRIM_HORIZON", "LATEST"),
    "maximum_retry_attempts": whole(0, 10_000, -1),
    "maximum_record_age": whole(60, 604_800, -1),
    "reserved_concurrency": whole(1, 100_000),
    "tracing": OneOf("Active", "PassThrough"),
    "subnet_ids": form(
        r"subnet-[0-9a-f]+( *, *subnet-[0-9a-f]+)*", "a list of subnets", "subnet-1,subnet-2"
    ),
    "security_group_ids": form(
        r"sg-[0-9a-f]+( *, *sg-[0-9a-f]+)*", "a list of security groups", "sg-1,sg-2"
    ),
    "environment": json_of(
        dict, "a JSON object of strings", '{"TABLE": "users"}', _check_variables
    ),
    "iam_statements": json_of(
        list,
        "a JSON list of statements",
        '[{"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "arn:…"}]',
        _check_statements,
    ),
    "log_retention_days": OneOf(*map(str, LOG_DAYS)),
    "alarm_topic_arn": arn("sns", r"[\w.-]+", "the ARN of a topic", "TOPIC"),
    "alarm_age": whole(1, 1_209_600),
    "partial_response": OneOf("true", "false"),
}
"""Of every parameter that is not a setting of batcher; of some settings, more than batcher asks."""
