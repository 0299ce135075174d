"""Parameters: what is mistyped is named before anything is made, all of it at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]  # of cfn-lint; it has no types

from integration.deploy.serverless import ROOT
from integration.deploy.test_template import EXISTING, QUEUE, STREAM, function

if TYPE_CHECKING:
    from integration.deploy.serverless import Packager

pytestmark = pytest.mark.slow

WRONG = {
    "bucket": "My_Bucket",
    "bucket_is": "old",
    "versioning": "on",
    "old_versions_days": "0",
    "quarantine_days": "1.5",
    "eventbridge": "yes",
    "queue": "none",
    "queue_arn": f"{QUEUE}*",
    "stream": "true",
    "stream_arn": f"{STREAM}/consumer/quick:1700000000",
    "shards": "0",
    "retention_hours": "23",
    "memory": "64",
    "timeout": "901",
    "batch_size": "10001",
    "window": "301",
    "maximum_concurrency": "1",
    "parallelization_factor": "11",
    "starting_position": "AT_TIMESTAMP",
    "maximum_retry_attempts": "-2",
    "maximum_record_age": "59",
    "tracing": "on",
    "alarm_age": "15m",
    "partial_response": "maybe",
}


def written() -> dict[str, Any]:
    """Return the parameters as `serverless.yml` has them."""
    text = re.sub(r"!\w+ ", "", Path(ROOT, "serverless.yml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)["params"]["default"]
    return found


def plain(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Return what CloudFormation takes alike: a number, and its text."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name != "S3Key"}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, int) else value


def test_every_fault_is_named_in_one_line(packager: Packager) -> None:
    """Whoever has mistyped two parameters deploys once more, not twice."""
    said = packager.refusal(**WRONG, windw="60")
    (line,) = [line for line in said.splitlines() if "parameters.js" in line]
    for name, value in WRONG.items():
        assert f"{name}={value}: must be " in line
    assert "windw: there is no such parameter" in line
    assert "    at " not in said, "a stack says nothing to who deploys"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "bucket is required: --param 'bucket=my-bucket'"),
        ({"queue": "existing"}, "queue=existing needs --param 'queue_arn=arn:…'"),
        ({"stream": "existing"}, "stream=existing needs --param 'stream_arn=arn:…'"),
        ({"window": "0"}, "batch_size=10000 needs a window of 1 s or more"),
        ({"batch_size": "11", "window": "0"}, "batch_size=11 needs a window of 1 s or more"),
        (
            {"queue": "existing", "queue_arn": f"{QUEUE}.fifo", "batch_size": "10"},
            "a FIFO queue takes batch_size=10 at most, and window=0",
        ),
        (
            {"queue": "existing", "queue_arn": f"{QUEUE}.fifo", "batch_size": "11", "window": "0"},
            "a FIFO queue takes batch_size=10 at most, and window=0",
        ),
    ],
)
def test_what_lacks_or_disagrees_is_named(
    packager: Packager, given: dict[str, str], fault: str
) -> None:
    """AWS would say so after minutes, and roll the deployment back."""
    assert fault in packager.refusal(**({"bucket": "my-bucket"} if given else {}), **given)


@pytest.mark.parametrize(
    "given",
    [
        {"queue": "existing", "queue_arn": f"{QUEUE}.fifo", "batch_size": "10", "window": "0"},
        {"batch_size": "10", "window": "0"},
        {"queue_arn": f"{QUEUE}.fifo"},
        {"queue": "off", "stream": "new", "window": "0"},
        {**EXISTING, "stream_arn": STREAM.replace("arn:aws:", "arn:aws-us-gov:")},
        {"max_bytes": "128MiB"},
        {"maximum_record_age": "-1", "maximum_retry_attempts": "0", "stream": "new"},
    ],
)
def test_what_is_right_is_taken(packager: Packager, given: dict[str, str]) -> None:
    """FIFO queues, an ARN that is kept for later, a stream without a window, limits."""
    assert packager.template(**given).resources


def test_the_command_line_comes_to_the_same_as_the_file(packager: Packager) -> None:
    """There every value is text, numbers as well."""
    said = {name: str(value) for name, value in written().items() if value is not None}
    given = packager.template(**{**said, "stream": "new"}).document
    assert plain(given) == plain(packager.template(stream="new").document)


def test_a_stage_may_have_parameters_of_its_own(packager: Packager, tmp_path: Path) -> None:
    """They are looked at as the command line's are."""
    mine = type(packager)(tmp_path)
    file = tmp_path / "serverless.yml"
    text = file.read_text()
    file.write_text(text.replace("params:\n", "params:\n  dev: {memory: 512}\n", 1))
    assert function(mine.template(), "Sqs")["MemorySize"] == 512
    file.write_text(text.replace("params:\n", "params:\n  dev: {memmory: 512}\n", 1))
    assert "memmory: there is no such parameter" in mine.refusal(bucket="my-bucket")


def test_wrong_values_are_known_of_every_parameter_that_has_a_rule() -> None:
    """A rule for a parameter that is gone, or one that was never tried, is seen here."""
    rules = Path(ROOT, "deploy/parameters.js").read_text()
    names = re.findall(r"^  (\w+): (?:oneOf|whole|like|either)\(", rules, re.MULTILINE)
    assert set(names) == WRONG.keys()
    assert WRONG.keys() <= written().keys()
