"""`batcher check`: settings, bucket, permissions, function and mapping, before records are lost."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from signal import SIGINT
from typing import TYPE_CHECKING

import orjson

from batcher.cli.options import add_setting_options, explicit_settings, settings_from_options
from batcher.cli.output import DONE, PROBLEMS_FOUND, echo
from batcher.cli.signals import SIGNAL_EXIT_BASE
from batcher.errors import SettingsError
from batcher.reading.sanitize import sanitize_line
from batcher.settings import ENV_PREFIX, Settings
from batcher.stores.location import format_url
from batcher.tools.check.findings import (
    CheckReport,
    CheckResult,
    CheckStatus,
    not_checked,
    ok,
    warning,
)
from batcher.tools.check.function import settings_faults

if TYPE_CHECKING:
    from batcher.tools.check.aws import AwsClient
    from batcher.tools.check.deployment import Deployment

_STATUS_WIDTH = max(map(len, CheckStatus))


_STYLES = {
    CheckStatus.OK: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.ERROR: "bold red",
    CheckStatus.NOT_CHECKED: "dim",
}


_PLACEHOLDER_BUCKET = {f"{ENV_PREFIX}BUCKET": "stand-in"}


_NO_FUNCTION = "partial_response is on: give --function to see that its mapping allows that"


_NO_DESTINATION = "the destination is not known: correct the settings, or give DESTINATION"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="look at settings, bucket, permissions, function and mapping; name each fault",
        description="Judges the settings, the bucket and its policy, and tries each request that "
        "the writer makes on an object under _quarantine/_check, which no reader takes. Given a "
        "function, its own settings are judged as it sees them, together with its role, its "
        "package and its event source mappings. All faults are named in one run. What the "
        "credentials may not read is told as not checked. docs/check.md says what is looked at, "
        "and what each look needs.",
        epilog="Exit: 0 no error (warnings are none), 1 there are errors, 2 wrong usage or "
        "settings, 130 stopped by Ctrl-C, 141 nobody reads any more.",
    )
    parser.add_argument(
        "destination",
        nargs="?",
        metavar="DESTINATION",
        help="s3://bucket/root or file://folder (default: the function's, else BATCHER_BUCKET and "
        "BATCHER_ROOT)",
    )
    parser.add_argument(
        "--function",
        metavar="NAME",
        default="",
        help="a Lambda function's name or ARN, with its alias if mappings are on that: its "
        "environment is judged in place of this one; flags and destination are tried on top",
    )
    parser.add_argument(
        "--mapping",
        metavar="UUID",
        default="",
        help="judge this event source mapping (default: all of the function's)",
    )
    parser.add_argument(
        "--no-write", action="store_true", help="look only: leave the dry write out"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_setting_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code.

    Raises:
        SettingsError: what was given here is wrong; what a function is given is a finding.
    """
    report = CheckReport()
    place = arguments.destination
    given = explicit_settings(arguments, place) if place else settings_from_options(arguments)
    command = _CheckCommand(arguments, given, report)
    try:
        with asyncio.Runner() as runner:
            runner.run(command.run())
    except KeyboardInterrupt:
        echo("stopped: not everything was checked")
        return SIGNAL_EXIT_BASE + SIGINT
    if arguments.json:
        print(orjson.dumps(report.as_dict(command.location)).decode())  # noqa: T201  # what it is for
    else:
        print_report(report, command.location)
    return DONE if report.has_no_error else PROBLEMS_FOUND


class _CheckCommand:
    """One run of the command."""

    def __init__(
        self, arguments: argparse.Namespace, given: Mapping[str, object], report: CheckReport
    ) -> None:
        self._arguments = arguments
        self._explicit = given
        self._report = report
        self.location = ""
        """Where objects go; empty where nobody knows."""

    async def run(self) -> None:
        """Look at everything, and fill in the report."""
        if not (self._arguments.function or self._arguments.mapping):
            settings = Settings.from_env(os.environ, **self._explicit)
            if settings.bucket.startswith("file:"):
                await self._check_folder(settings)
                return
            from batcher.tools.check.aws import AwsClient  # noqa: PLC0415  # half a second to import

            self._report.add([ok("settings", "valid")])
            if settings.partial_response:
                self._report.add([not_checked("mapping.responses", _NO_FUNCTION)])
            async with AwsClient() as aws:
                await self._check_bucket(aws, settings)
            return
        from batcher.tools.check.aws import AwsClient  # noqa: PLC0415  # as above

        async with AwsClient(_arn_region(self._arguments.function)) as aws:
            await self._check_function(aws)

    async def _check_function(self, aws: AwsClient) -> None:
        """Look at function and mappings, and at the bucket that the function writes to."""
        from batcher.tools.check.deployment import check_deployment, read_deployment  # noqa: PLC0415  # lazy

        looked = await read_deployment(aws, self._arguments.function, self._arguments.mapping)
        self._report.add(looked.results)
        environ = dict(os.environ) if looked.environ is None else looked.environ
        try:
            settings = Settings.from_env(environ, **self._explicit)
        except SettingsError as error:
            known = settings_faults(environ)
            if faults := [fault for fault in error.faults if fault not in known]:
                raise SettingsError(faults) from None  # what was given here
            settings = Settings.from_env({**environ, **_PLACEHOLDER_BUCKET}, **self._explicit)
            self._report.add(await check_deployment(aws, looked, settings))
            self._report.add([not_checked("bucket", _NO_DESTINATION)])
            return
        self._warn_of_other_destination(looked, settings)
        self._report.add(await check_deployment(aws, looked, settings))
        if settings.bucket.startswith("file:"):
            await self._check_folder(settings)
        else:
            await self._check_bucket(aws, settings)

    def _warn_of_other_destination(self, deployment: Deployment, settings: Settings) -> None:
        """Warn where what is looked at is not what the function writes to."""
        if deployment.environ is None or not self._arguments.destination:
            return
        own = (
            deployment.environ.get(f"{ENV_PREFIX}BUCKET", ""),
            deployment.environ.get(f"{ENV_PREFIX}ROOT", ""),
        )
        if own != (settings.bucket, settings.root):
            found = f"the function writes to {format_url(*own)}"
            do = f"what is looked at here is {_format_destination(settings)}"
            self._report.add([warning("settings.destination", found, do)])

    async def _check_bucket(self, aws: AwsClient, settings: Settings) -> None:
        from batcher.tools.check.destination import check_bucket, check_caller, probe_destination  # noqa: PLC0415

        self.location = _format_destination(settings)
        findings, may_write = await check_bucket(aws, settings)
        self._report.add(findings)
        self._report.add(await check_caller(aws))
        if self._arguments.no_write:
            self._report.add([not_checked("write", "--no-write: nothing was written")])
        elif may_write:
            self._report.add([finding async for finding in probe_destination(settings, aws)])

    async def _check_folder(self, settings: Settings) -> None:
        from batcher.tools.check.destination import check_file_destination, probe_destination  # noqa: PLC0415  # lazy

        self.location = settings.bucket
        self._report.add([ok("settings", "valid")])
        self._report.add(await check_file_destination(settings))
        if self._arguments.no_write:
            self._report.add([not_checked("write", "--no-write: nothing was written")])
        else:
            self._report.add([finding async for finding in probe_destination(settings, None)])


def _format_destination(settings: Settings) -> str:
    return format_url(settings.bucket, settings.root)


def _arn_region(function: str) -> str | None:
    """Return the region that a function's ARN names, as arn:aws:lambda:REGION:… does."""
    region = function.split(":")[3:4] if function.startswith("arn:") else []
    return region[0] if region else None


def print_report(report: CheckReport, location: str) -> None:
    """Print all findings, and their counts, to standard output."""
    write = _coloured_printer() or _print_plain
    width = max((len(finding.check) for finding in report.results), default=0)
    for finding in report.results:
        write(finding, width)
    print(f"{sanitize_line(location)}: {report.summary()}" if location else report.summary())  # noqa: T201  # what a command line is for


def _print_plain(finding: CheckResult, width: int) -> None:
    print(f"{finding.status:<{_STATUS_WIDTH}}  {finding.check:<{width}}  {finding.as_line()}")  # noqa: T201


def _coloured_printer() -> Callable[[CheckResult, int], None] | None:
    """Return what prints in colours; None: no terminal, or no rich, which is an extra."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console  # noqa: PLC0415  # an extra
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return None
    console = Console(soft_wrap=True, highlight=False)

    def write(finding: CheckResult, width: int) -> None:
        mark = (f"{finding.status:<{_STATUS_WIDTH}}", _STYLES[finding.status])
        console.print(Text.assemble(mark, f"  {finding.check:<{width}}  {finding.as_line()}"))

    return write
