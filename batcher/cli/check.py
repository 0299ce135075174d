"""`batcher check`: check settings, bucket, permissions, function and event source mappings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from signal import SIGINT
from typing import TYPE_CHECKING, Any

from batcher.cli.command import NARROW, Arguments, Command
from batcher.cli.json_output import print_json
from batcher.cli.options import (
    PLACE,
    PLACEHOLDER_DESTINATION,
    SETTINGS,
    explicit_settings,
    json_option,
    setting_options,
)
from batcher.cli.output import (
    DONE,
    PROBLEMS_FOUND,
    echo,
    make_console,
    print_text,
    wrap_for_terminal,
)
from batcher.cli.parameters import Argument, Option
from batcher.cli.profile import profile_option
from batcher.cli.signals import SIGNAL_EXIT_BASE, run_in_loop
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
from batcher.tools.check.object_settings import evaluate_object_settings
from batcher.tools.check.probe import leave_out_writes

if TYPE_CHECKING:
    from rich.console import Console

    from batcher.tools.check.aws import AwsClient
    from batcher.tools.check.deployment import Deployment

_PLACEHOLDER_BUCKET = {f"{ENV_PREFIX}BUCKET": "stand-in"}
"""A bucket for checking the other settings of a function whose destination is wrong."""


_NO_FUNCTION = "partial_response is on; pass --function to check that its mapping allows it"


_NO_DESTINATION = "because the destination is unknown; correct the settings, or pass DESTINATION"


_NO_WRITE = "--no-write was passed; nothing was written"


_STATUS_WIDTH = max(map(len, CheckStatus))


_STYLES = {
    CheckStatus.OK: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.ERROR: "bold red",
    CheckStatus.NOT_CHECKED: "dim",
}
"""Styles of rich."""


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code.

    Raises:
        SettingsError: flags, destination or this environment are wrong. Errors in the settings of a
            function are findings instead.
    """
    report = CheckReport()
    explicit = arguments.settings
    faults = arguments.faults
    if arguments.destination:
        explicit = explicit | PLACEHOLDER_DESTINATION
        with faults:
            explicit = explicit_settings(arguments, arguments.destination)
    if not (arguments.function or arguments.mapping):
        with faults:
            Settings.from_env(os.environ, **explicit)
    faults.raise_if_any()
    command = _CheckCommand(arguments, explicit, report)
    try:
        run_in_loop(command.run())
    except KeyboardInterrupt:
        echo("stopped: the check is incomplete")
        return SIGNAL_EXIT_BASE + SIGINT
    if arguments.json:
        print_json([report.as_dict(command.location)])
    else:
        print_report(report, command.location)
    return DONE if report.has_no_error else PROBLEMS_FOUND


class _CheckCommand:
    """One run of the command."""

    def __init__(
        self, arguments: Arguments, explicit: Mapping[str, Any], report: CheckReport
    ) -> None:
        self._arguments = arguments
        self._explicit = explicit
        """Settings from flags and destination."""
        self._report = report
        self.location = ""
        """The URL of the destination, or an empty string while it is unknown."""

    async def run(self) -> None:
        """Run all checks and add their results to the report."""
        if not (self._arguments.function or self._arguments.mapping):
            settings = Settings.from_env(os.environ, **self._explicit)
            if settings.bucket.startswith("file:"):
                await self._check_folder(settings)
                return
            from batcher.tools.check.aws import AwsClient  # noqa: PLC0415  # half a second to import

            self._report.add(evaluate_object_settings(settings) or [ok("settings", "valid")])
            if settings.partial_response:
                self._report.add([not_checked("mapping.responses", _NO_FUNCTION)])
            async with AwsClient() as aws:
                aws.place_bucket(settings)
                await self._check_bucket(aws, settings, None)
            return
        from batcher.tools.check.aws import AwsClient  # noqa: PLC0415  # as above

        async with AwsClient(_arn_region(self._arguments.function or "")) as aws:
            await self._check_function(aws)

    async def _check_function(self, aws: AwsClient) -> None:
        """Check the function, its mappings, and the bucket that it writes to."""
        from batcher.tools.check.deployment import check_deployment, read_deployment  # noqa: PLC0415  # lazy

        deployment = await read_deployment(
            aws, self._arguments.function or "", self._arguments.mapping or ""
        )
        self._report.add(deployment.results)
        environ = dict(os.environ) if deployment.environ is None else deployment.environ
        try:
            settings = Settings.from_env(environ, **self._explicit)
        except SettingsError as error:
            function_faults = settings_faults(environ)
            if own_faults := [fault for fault in error.faults if fault not in function_faults]:
                raise SettingsError(own_faults) from None
            settings = Settings.from_env({**environ, **_PLACEHOLDER_BUCKET}, **self._explicit)
            self._report.add(await check_deployment(aws, deployment, settings))
            self._report.add(not_checked(each, _NO_DESTINATION) for each in ("bucket", "write"))
            return
        aws.place_bucket(settings)
        if not settings.bucket.startswith("file:"):
            self._report.add(evaluate_object_settings(settings))
        self._warn_of_other_destination(deployment, settings)
        self._report.add(await check_deployment(aws, deployment, settings))
        if settings.bucket.startswith("file:"):
            await self._check_folder(settings)
        else:
            await self._check_bucket(aws, settings, deployment)

    def _warn_of_other_destination(self, deployment: Deployment, settings: Settings) -> None:
        """Warn if the command line names another destination than the function's."""
        if deployment.environ is None or not self._arguments.destination:
            return
        function_destination = (
            deployment.environ.get(f"{ENV_PREFIX}BUCKET", ""),
            deployment.environ.get(f"{ENV_PREFIX}ROOT", ""),
        )
        if function_destination != (settings.bucket, settings.root):
            detail = f"the function writes to {format_url(*function_destination)}"
            fix = f"this run checks {_format_destination(settings)}"
            self._report.add([warning("settings.destination", detail, fix)])

    async def _check_bucket(
        self, aws: AwsClient, settings: Settings, deployment: Deployment | None
    ) -> None:
        from batcher.tools.check.bucket import BucketWriter  # noqa: PLC0415  # as above
        from batcher.tools.check.destination import check_bucket, check_caller  # noqa: PLC0415

        self.location = _format_destination(settings)
        writer = (
            BucketWriter()
            if deployment is None
            else BucketWriter(deployment.role, deployment.retentions)
        )
        results, no_probe = await check_bucket(aws, settings, writer)
        self._report.add(results)
        self._report.add(await check_caller(aws))
        await self._probe(settings, aws, no_probe)

    async def _check_folder(self, settings: Settings) -> None:
        from batcher.tools.check.destination import check_file_destination  # noqa: PLC0415  # lazy

        self.location = settings.bucket
        self._report.add([ok("settings", "valid")])
        self._report.add(await check_file_destination(settings))
        failed = [r.check for r in self._report.results if r.status is CheckStatus.ERROR]
        await self._probe(settings, None, f"because {failed[0]} failed" if failed else "")

    async def _probe(self, settings: Settings, aws: AwsClient | None, no_probe: str) -> None:
        """Send the requests of the writer, unless `no_probe` says why they are left out."""
        from batcher.tools.check.destination import probe_destination  # noqa: PLC0415  # lazy

        if self._arguments.no_write:
            self._report.add([not_checked("write", _NO_WRITE)])
        elif no_probe:
            self._report.add(leave_out_writes(no_probe))
        else:
            self._report.add([result async for result in probe_destination(settings, aws)])


def _format_destination(settings: Settings) -> str:
    return format_url(settings.bucket, settings.root)


def _arn_region(function: str) -> str | None:
    """Return the region in an ARN such as arn:aws:lambda:REGION:…, or None for a name."""
    region = function.split(":")[3:4] if function.startswith("arn:") else []
    return region[0] if region else None


def print_report(report: CheckReport, location: str) -> None:
    """Print all results and a line with their counts to standard output."""
    results = report.in_order_of_severity()
    if console := make_console():
        _print_coloured(console, results)
    else:
        width = max((len(result.check) for result in results), default=0)
        for result in results:
            line = f"{result.status:<{_STATUS_WIDTH}}  {result.check:<{width}}  {result.as_line()}"
            print(wrap_for_terminal(line, sys.stdout))  # noqa: T201  # what a command line is for
    summary = report.summary()
    print_text(f"{sanitize_line(location)}: {summary}" if location else summary)


def _print_coloured(console: Console, results: Sequence[CheckResult]) -> None:
    """Print results with a colour for each status, and wrapped at words in their column.

    In a narrow terminal, texts are below the names.
    """
    from rich.padding import Padding  # noqa: PLC0415  # an extra
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")  # a long name is shown whole
    for result in results:
        status = Text(result.status, style=_STYLES[result.status])
        if console.width < NARROW:
            console.print(Text.assemble(status, "  ", result.check))
            console.print(Padding(Text(result.as_line()), (0, 0, 0, 4)))
        else:
            table.add_row(status, Text(result.check), Text(result.as_line()))
    if table.row_count:
        console.print(table)


COMMAND = Command(
    run,
    description="Checks the settings, the bucket and its policy, and sends every request of "
    "the writer once, with an object under _quarantine/_check, which readers ignore. With "
    "--function, also checks the function's own settings, role, package and event source "
    "mappings. One run reports every problem. Checks that the credentials do not permit are "
    "reported as not checked. See reference/check in the documentation for the permission of "
    "each check.",
    examples={
        "batcher check s3://my-bucket/events": "check a destination",
        "batcher check --function my-function --no-write": (
            "check a function and its mappings, and write nothing"
        ),
    },
    parameters=[
        Argument(
            "destination",
            "[DESTINATION]",
            f"{PLACE} (default: that of the function, else BATCHER_BUCKET and BATCHER_ROOT)",
            needed=False,
            completes="dir",
        ),
        Option(
            "--function",
            "NAME",
            "name or ARN of a Lambda function, with its alias if its mappings use one; its "
            "environment replaces this one, flags and destination still override it",
        ),
        Option(
            "--mapping",
            "UUID",
            "check this event source mapping (default: all mappings of the function)",
        ),
        Option("--no-write", help="do not write the test object", is_flag=True),
        json_option("one JSON document"),
        *setting_options(SETTINGS),
        profile_option(),
    ],
    exit_codes={0: "no errors (there may be warnings)", 1: "errors"},
)
