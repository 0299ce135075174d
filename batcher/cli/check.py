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

from batcher.cli.options import add_settings, flags_of, given_by
from batcher.cli.output import DONE, FOUND, say
from batcher.cli.signals import SIGNALLED
from batcher.errors import SettingsError
from batcher.reading.sanitize import printable
from batcher.settings import PREFIX, Settings
from batcher.stores.location import show_place
from batcher.tools.check.findings import Finding, Mark, Report, not_checked, ok, warning
from batcher.tools.check.function import faults_of

if TYPE_CHECKING:
    from batcher.tools.check.aws import Aws
    from batcher.tools.check.deployment import Looked

_WIDTH = max(map(len, Mark))


_STYLES = {
    Mark.OK: "green",
    Mark.WARNING: "yellow",
    Mark.ERROR: "bold red",
    Mark.NOT_CHECKED: "dim",
}


_STAND_IN = {f"{PREFIX}BUCKET": "stand-in"}


_NO_FUNCTION = "partial_response is on: give --function to see that its mapping allows that"


_NO_PLACE = "the destination is not known: correct the settings, or give DESTINATION"


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
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code.

    Raises:
        SettingsError: what was given here is wrong; what a function is given is a finding.
    """
    report = Report()
    place = arguments.destination
    given = given_by(arguments, place) if place else flags_of(arguments)
    command = _Check(arguments, given, report)
    try:
        with asyncio.Runner() as runner:
            runner.run(command.run())
    except KeyboardInterrupt:
        say("stopped: not everything was checked")
        return SIGNALLED + SIGINT
    if arguments.json:
        print(orjson.dumps(report.as_dict(command.place)).decode())  # noqa: T201  # what it is for
    else:
        show(report, command.place)
    return DONE if report.is_fine else FOUND


class _Check:
    """One run of the command."""

    def __init__(
        self, arguments: argparse.Namespace, given: Mapping[str, object], report: Report
    ) -> None:
        self._arguments = arguments
        self._given = given
        self._report = report
        self.place = ""
        """Where objects go; empty where nobody knows."""

    async def run(self) -> None:
        """Look at everything, and fill in the report."""
        if not (self._arguments.function or self._arguments.mapping):
            settings = Settings.from_env(os.environ, **self._given)
            if settings.bucket.startswith("file:"):
                await self._folder(settings)
                return
            from batcher.tools.check.aws import Aws  # noqa: PLC0415  # half a second to import

            self._report.add([ok("settings", "they fit together")])
            if settings.partial_response:
                self._report.add([not_checked("mapping.responses", _NO_FUNCTION)])
            async with Aws() as aws:
                await self._bucket(aws, settings)
            return
        from batcher.tools.check.aws import Aws  # noqa: PLC0415  # as above

        async with Aws(_region_of(self._arguments.function)) as aws:
            await self._function(aws)

    async def _function(self, aws: Aws) -> None:
        """Look at function and mappings, and at the bucket that the function writes to."""
        from batcher.tools.check.deployment import judge, read_function  # noqa: PLC0415  # lazy

        looked = await read_function(aws, self._arguments.function, self._arguments.mapping)
        self._report.add(looked.findings)
        environ = dict(os.environ) if looked.environ is None else looked.environ
        try:
            settings = Settings.from_env(environ, **self._given)
        except SettingsError as error:
            known = faults_of(environ)
            if faults := [fault for fault in error.faults if fault not in known]:
                raise SettingsError(faults) from None  # what was given here
            settings = Settings.from_env({**environ, **_STAND_IN}, **self._given)
            self._report.add(await judge(aws, looked, settings))
            self._report.add([not_checked("bucket", _NO_PLACE)])
            return
        self._tell_of_other_place(looked, settings)
        self._report.add(await judge(aws, looked, settings))
        if settings.bucket.startswith("file:"):
            await self._folder(settings)
        else:
            await self._bucket(aws, settings)

    def _tell_of_other_place(self, looked: Looked, settings: Settings) -> None:
        """Warn where what is looked at is not what the function writes to."""
        if looked.environ is None or not self._arguments.destination:
            return
        own = (looked.environ.get(f"{PREFIX}BUCKET", ""), looked.environ.get(f"{PREFIX}ROOT", ""))
        if own != (settings.bucket, settings.root):
            found = f"the function writes to {show_place(*own)}"
            do = f"what is looked at here is {_place_of(settings)}"
            self._report.add([warning("settings.destination", found, do)])

    async def _bucket(self, aws: Aws, settings: Settings) -> None:
        from batcher.tools.check.destination import look_at_bucket, look_at_caller, write_to  # noqa: PLC0415

        self.place = _place_of(settings)
        findings, may_write = await look_at_bucket(aws, settings)
        self._report.add(findings)
        self._report.add(await look_at_caller(aws))
        if self._arguments.no_write:
            self._report.add([not_checked("write", "--no-write: nothing was written")])
        elif may_write:
            self._report.add([finding async for finding in write_to(settings, aws)])

    async def _folder(self, settings: Settings) -> None:
        from batcher.tools.check.destination import look_at_folder, write_to  # noqa: PLC0415  # lazy

        self.place = settings.bucket
        self._report.add([ok("settings", "they fit together")])
        self._report.add(await look_at_folder(settings))
        if self._arguments.no_write:
            self._report.add([not_checked("write", "--no-write: nothing was written")])
        else:
            self._report.add([finding async for finding in write_to(settings, None)])


def _place_of(settings: Settings) -> str:
    return show_place(settings.bucket, settings.root)


def _region_of(function: str) -> str | None:
    """Give the region that a function's ARN names, as arn:aws:lambda:REGION:… does."""
    region = function.split(":")[3:4] if function.startswith("arn:") else []
    return region[0] if region else None


def show(report: Report, place: str) -> None:
    """Print all findings, and their counts, to standard output."""
    write = _coloured() or _plain
    width = max((len(finding.check) for finding in report.findings), default=0)
    for finding in report.findings:
        write(finding, width)
    print(f"{printable(place)}: {report.summary()}" if place else report.summary())  # noqa: T201  # what a command line is for


def _plain(finding: Finding, width: int) -> None:
    print(f"{finding.mark:<{_WIDTH}}  {finding.check:<{width}}  {finding.line()}")  # noqa: T201


def _coloured() -> Callable[[Finding, int], None] | None:
    """Give what prints in colours; None: no terminal, or no rich, which is an extra."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console  # noqa: PLC0415  # an extra
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return None
    console = Console(soft_wrap=True, highlight=False)

    def write(finding: Finding, width: int) -> None:
        mark = (f"{finding.mark:<{_WIDTH}}", _STYLES[finding.mark])
        console.print(Text.assemble(mark, f"  {finding.check:<{width}}  {finding.line()}"))

    return write
