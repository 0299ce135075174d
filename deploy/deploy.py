"""Deploy: checks everything before anything is created, runs osls, and checks what is deployed.

`make deploy` runs the commands `validate` and, once there is a package, `deploy`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from existing import Found, look
from parameters import Parameters, find_faults, read
from target import ARCHITECTURES, ENGINES

from batcher.tools.check.aws import AwsClient

ROOT = Path(__file__).resolve().parent.parent
OSLS = ROOT / "deploy" / "node_modules" / ".bin" / "osls"
COMMANDS = ("validate", "deploy", "remove")
OF_OSLS = ("--verbose", "--force", "--debug", "--conceal", "--minify-template")
"""Flags that are passed on."""
RIGHT = "ok "
"""Start of a line of `batcher check` that needs no look."""
FAILED, WRONG = 1, 2
"""Exit codes: the deployment or its check failed; nothing was created."""


class _Parser(argparse.ArgumentParser):
    """Ends with one line for each fault, without the usage."""

    def error(self, message: str) -> NoReturn:
        """See `argparse.ArgumentParser.error`."""
        _stop([message.removeprefix("argument ")])
        raise AssertionError


def main() -> None:
    """Run a command."""
    parser = _Parser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--stage", "-s", default="dev")
    parser.add_argument("--region", "-r", default=_region())
    parser.add_argument("--aws-profile", help="a profile of AWS's configuration files")
    parser.add_argument("--engine", choices=ENGINES, default="obstore")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="arm64")
    for flag in OF_OSLS:
        parser.add_argument(flag, action="append_const", const=flag, dest="of_osls", default=[])
    chosen, others = parser.parse_known_args()
    if chosen.aws_profile:
        os.environ["AWS_PROFILE"] = chosen.aws_profile
    os.environ["AWS_REGION"] = chosen.region  # of the calls, and of `batcher check`
    given, faults = _split(chosen.param)
    faults += [f"{one}: no such flag; write a parameter as --param name=value" for one in others]
    found = read(ROOT / "serverless.yml", chosen.stage, given)
    parameters = Parameters(**found, stage=chosen.stage, region=chosen.region, engine=chosen.engine)
    _stop(faults + find_faults(parameters))
    osls = [OSLS, "--stage", chosen.stage, "--region", chosen.region]
    osls += [part for one in chosen.param for part in ("--param", one)]
    osls += chosen.of_osls
    if chosen.command == "remove":
        sys.exit(_run(osls, "remove"))
    if chosen.command == "validate":
        _report(asyncio.run(look(parameters)))
        return
    _stop(_handler_faults(parameters))
    # Otherwise osls compares with its last upload, and changes nothing after a rollback
    if code := _run([*osls, *({"--force"} - {*chosen.of_osls})], "deploy"):
        sys.exit(code)
    asyncio.run(print_outputs(parameters))
    sys.exit(check_functions(parameters))


def _region() -> str:
    """Return the region as `serverless.yml` finds it."""
    names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    return next(filter(None, map(os.environ.get, names)), "us-east-1")


def _split(pairs: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the parameters of the command line, and what is no parameter."""
    given: dict[str, str] = {}
    faults: list[str] = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not (name and value):
            faults.append(f"--param {pair}: not a parameter; write it as name=value")
        elif given.setdefault(name, value) != value:
            faults.append(f"{name}: given twice, {given[name]} and {value}; leave one out")
    return given, faults


def _stop(faults: Sequence[str]) -> None:
    """End with the faults, one per line, if there are any."""
    if faults:
        is_removal = "remove" in sys.argv[1:2]
        print(f"Nothing was {'removed' if is_removal else 'created'}:", file=sys.stderr)
        for fault in faults:
            if is_removal:
                fault = fault.replace("make deploy", "make remove")  # noqa: PLW2901
            print(f"  {fault}", file=sys.stderr)
        sys.exit(WRONG)


def _report(found: Found) -> None:
    for line in found.not_checked:
        print(f"not checked: {line}")  # a command's output
    _stop(found.faults)
    for change in found.changes:
        print(f"changes: {change}")
    print("Parameters, settings and existing resources are valid.")


def _handler_faults(parameters: Parameters) -> list[str]:
    """Return what is wrong if the package has no such handler."""
    described = json.loads((ROOT / "dist" / "deployment.json").read_text())
    with zipfile.ZipFile(ROOT / described["artifact"]) as package:
        names = set(package.namelist())
    handler = parameters.values["handler"]
    module = handler.rpartition(".")[0].replace(".", "/")
    if {f"{module}.py", f"{module}/__init__.py"} & names:
        return []
    fix = f"add it: PACKAGE='--with {module.partition('/')[0]}.py'"
    return [f"handler: the package has no {module}.py for {handler}; {fix}"]


def _run(osls: Sequence[str | Path], command: str) -> int:
    """Run osls on the terminal, and return its exit code."""
    program, *flags = map(str, osls)
    environ = {**os.environ, "SLS_TELEMETRY_DISABLED": "1", "NODE_NO_WARNINGS": "1"}
    return subprocess.run(  # noqa: S603  # our own installation
        [program, command, *flags], cwd=ROOT, env=environ, check=False
    ).returncode


def check_functions(parameters: Parameters) -> int:
    """Run `batcher check` for each function, print what is not right, and return the exit code."""
    failed = []
    for kind in parameters.sources.values():
        name = parameters.function(kind)
        print(f"\nbatcher check --function {name}", flush=True)
        command = [sys.executable, "-m", "batcher", "check", "--function", name]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  # our own module
        for line in ran.stdout.splitlines():
            if not line.startswith(RIGHT):
                print(f"  {line}", flush=True)
        failed += [name] if ran.returncode else []
    if failed:
        print(
            f"\nThe stack {parameters.stack} is deployed, but the check failed for "
            f"{', '.join(failed)}.\nCorrect the errors above and deploy again, or remove the "
            "stack: make remove, with the same BUCKET, STAGE and DEPLOY.",
            file=sys.stderr,
        )
        return FAILED
    print(f"\nThe stack {parameters.stack} is deployed, and its check found no errors.")
    return 0


async def print_outputs(parameters: Parameters) -> None:
    """Print the names and addresses of what the stack has created."""
    async with AwsClient(parameters.region) as aws:
        found = await aws.call(
            "cloudformation",
            "describe_stacks",
            "cloudformation:DescribeStacks",
            StackName=parameters.stack,
        )
    if isinstance(found, Mapping):
        for output in found["Stacks"][0].get("Outputs", ()):
            if not output["OutputKey"].startswith("Serverless"):
                print(f"{output['OutputKey']}: {output['OutputValue']}")


if __name__ == "__main__":
    main()
