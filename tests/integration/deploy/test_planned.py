"""The command that `batcher plan` prints deploys what it has planned."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from parameters import Parameters, find_faults, read

from batcher.settings import Settings
from batcher.tools.plan.output import make_deploy_command, make_environment, make_parameters
from batcher.tools.plan.workload import SourceType
from integration.deploy.serverless import ROOT
from integration.deploy.test_template import environment, function
from support.plan_examples import plan_of

if TYPE_CHECKING:
    from integration.deploy.serverless import Packager

SETTINGS = {
    "bucket": "my-bucket",
    "root": "orders",
    "compression": "zstd",
    "partition_by": "day={arrival:%d}",
    "tags": {"team": "it's $5"},
    "fanout": 16,
}
KINDS = {
    SourceType.SQS: "Sqs",
    SourceType.FIFO: "Sqs",
    SourceType.KINESIS: "Kinesis",
    SourceType.DYNAMODB: "Dynamodb",
}
FILLED_IN = {"REGION": "us-east-1", "ACCOUNT": "123456789012"}


@pytest.mark.parametrize("source", SourceType)
def test_the_command_is_what_make_understands(source: SourceType) -> None:
    """Quotes and dollars reach the program through make and its shell."""
    command = make_deploy_command(plan_of(SETTINGS, source=source))
    for name, value in FILLED_IN.items():
        command = command.replace(name, value)
    ran = subprocess.run(  # noqa: S603  # our own Makefile, which only prints
        [*shlex.split(command), "--just-print", "--silent", "-o", ".venv/.deploy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = [line for line in ran.stdout.splitlines() if " validate " in line]
    words = shlex.split(line)
    pairs = [words[at + 1] for at, word in enumerate(words) if word == "--param"]
    given = dict(pair.split("=", 1) for pair in pairs)
    assert given["bucket"] == "my-bucket"
    assert given["tags"] == '{"team": "it\'s $5"}'
    assert not find_faults(Parameters(**read(ROOT / "serverless.yml", "dev", given)))


@pytest.mark.slow
@pytest.mark.parametrize("source", SourceType)
def test_the_template_comes_to_the_plan(packager: Packager, source: SourceType) -> None:
    """Function, mapping, and the settings of its environment."""
    plan = plan_of(SETTINGS, source=source)
    template = packager.template(**make_parameters(plan))
    found = function(template, KINDS[source])
    assert (found["MemorySize"], found["Timeout"]) == (
        plan.function.memory_mb,
        plan.function.timeout_s,
    )
    (mapping,) = template.of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["BatchSize"] == plan.mapping.batch_size
    assert mapping["MaximumBatchingWindowInSeconds"] == (plan.mapping.window_s or 0)
    assert mapping.get("ParallelizationFactor") == plan.mapping.parallelization_factor
    scaling = mapping.get("ScalingConfig", {})
    assert scaling.get("MaximumConcurrency") == plan.mapping.maximum_concurrency
    planned = Settings.from_env(make_environment(plan))
    assert Settings.from_env(environment(template, KINDS[source])) == planned
