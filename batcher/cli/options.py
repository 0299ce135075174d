"""Flags: every setting as an option of a command, and the destination, into `Settings`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import fields
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, cast

from batcher.cli.output import echo
from batcher.errors import BatcherError, SettingsError
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.reading.selection import Selection, parse_selection
from batcher.settings import ENV_PREFIX, Settings
from batcher.stores.location import parse_destination

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

MAX_SHOWN_PER_KIND = 20
"""Findings of one kind that are told one by one."""


_KIND_SUMMARIES = {
    FindingKind.FOREIGN: "objects are not batcher's",
    FindingKind.OVERLAP: "objects overlap others",
    FindingKind.COVERED: "objects have nothing that others do not give, and were left out",
    FindingKind.UNREADABLE: "objects could not be read to their end",
}


PLACEHOLDER_DESTINATION = {"bucket": "stand-in", "root": ""}
"""A destination for judging all else, where the one that is given cannot be read."""


TIME_FORMATS = (
    "a date or time of ISO 8601 (UTC where it names no zone), or how long ago: 30s, 15m, 2h, 3d, 1w"
)


def add_setting_options(
    parser: argparse.ArgumentParser,
    only: Collection[str] | None = None,
    note: str = f"each can be given as {ENV_PREFIX}<NAME> in the environment as well",
) -> None:
    """Return `parser` one flag a setting; flags beat the environment.

    Args:
        parser: gets them in a group of their own.
        only: these settings; None: all.
        note: what is said of the group.
    """
    group = parser.add_argument_group("settings", note)
    for spec in fields(Settings):
        if only is None or spec.name in only:
            metavar = spec.name.rpartition("_")[2].upper()
            _add_setting_option(group, spec.name, metavar, spec.metadata["help"].replace("%", "%%"))


def add_concurrency_option(parser: argparse.ArgumentParser, limited: str) -> None:
    """Return `parser` this one setting of those that only read; `what` there are so many of."""
    _add_setting_option(parser, "concurrency", "N", f"{limited} at once (default 16)")


def _add_setting_option(
    parser: argparse._ActionsContainer, name: str, metavar: str, text: str
) -> None:
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        dest=f"setting_{name}",
        default=argparse.SUPPRESS,
        metavar=metavar,
        help=text,
    )


def settings_from(
    arguments: argparse.Namespace, destination: str, environ: Mapping[str, str]
) -> Settings:
    """Read the settings: the destination beats the flags, which beat the environment.

    Raises:
        SettingsError: with every fault, that of the destination included.
    """
    faults = FaultCollector()
    given = settings_from_options(arguments) | PLACEHOLDER_DESTINATION
    with faults:
        given = explicit_settings(arguments, destination)
    with faults:
        settings = Settings.from_env(environ, **given)
    faults.raise_if_any()
    return settings


def explicit_settings(arguments: argparse.Namespace, destination: str) -> dict[str, object]:
    """Return the settings that flags and the destination name.

    The destination beats a flag, and whoever gave both is told.

    Raises:
        SettingsError: it is no destination.
    """
    flags, place = settings_from_options(arguments), parse_destination(destination)
    for name in place:
        if flags.get(name, place[name]) != place[name]:
            echo(f"warning: --{name} {flags[name]} is not used: the destination is {destination}")
    return flags | place


def settings_from_options(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the settings that flags name."""
    return {
        name.removeprefix("setting_"): value
        for name, value in vars(arguments).items()
        if name.startswith("setting_")
    }


def add_selection_options(parser: argparse.ArgumentParser) -> None:
    """Return `parser` the flags that choose objects."""
    parser.add_argument("place", metavar="PLACE", help="s3://bucket/root or file://folder")
    which = parser.add_argument_group("which objects")
    which.add_argument(
        "--since",
        metavar="TIME",
        help=f"that may hold records that arrived then or later: {TIME_FORMATS}",
    )
    which.add_argument(
        "--until", metavar="TIME", help="that may hold records that arrived before; as --since"
    )
    which.add_argument(
        "--partition",
        metavar="PATTERN",
        help="whose partition has these folders, in this order: dt=2026-11-23/hour=*, "
        "customer=acme; * and ? as in a shell, all else as keys have it",
    )
    which.add_argument(
        "--quarantine", action="store_true", help="of quarantine, in place of the data"
    )
    add_concurrency_option(parser, "requests, and objects,")


def selection_from(arguments: argparse.Namespace) -> Selection:
    """Read these flags.

    Raises:
        SettingsError: with every fault.
    """
    return parse_selection(
        arguments.since,
        arguments.until,
        arguments.partition,
        quarantine=arguments.quarantine,
        now_s=time.time(),
    )


class FindingPrinter:
    """Report on standard error what is wrong, a bit of each kind at once and the rest counted."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.counts: Counter[FindingKind] = Counter()

    @property
    def is_complete(self) -> bool:
        """Whether all that was chosen was given: overlaps are, and covered objects twice."""
        return not self.counts[FindingKind.FOREIGN] + self.counts[FindingKind.UNREADABLE]

    def print_finding(self, finding: Finding) -> None:
        """Report of an object; of covered ones there is only a count."""
        self.counts[finding.kind] += 1
        if (
            finding.kind is not FindingKind.COVERED
            and self.counts[finding.kind] <= MAX_SHOWN_PER_KIND
        ):
            is_warning = finding.kind is FindingKind.OVERLAP
            echo(f"{'warning' if is_warning else 'error'}: {finding.key}: {finding.detail}")

    def print_error(self, error: BatcherError) -> None:
        """Report of an object that could not be read; the error names it."""
        self.counts[FindingKind.UNREADABLE] += 1
        if self.counts[FindingKind.UNREADABLE] <= MAX_SHOWN_PER_KIND:
            echo(f"error: {sanitize_line(str(error))}")

    def print_summary(self, place: str, objects: int) -> None:
        """Report how much was not told, or that there was nothing."""
        for kind, meaning in _KIND_SUMMARIES.items():
            count = self.counts[kind]
            if count > MAX_SHOWN_PER_KIND or (kind is FindingKind.COVERED and count):
                echo(f"{count:,} {meaning}")
        if not objects and self.is_complete:
            echo(f"warning: nothing is under {place}, or nothing of it was chosen")


class FaultCollector:
    """Gathers the faults of what is done within it, again and again; `tell` when all is read."""

    def __init__(self) -> None:
        """Start with none."""
        self._faults: list[str] = []

    def __enter__(self) -> None:
        """Gather."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Go on after a `SettingsError`: what it was raised from has no value then."""
        if not isinstance(error, SettingsError):
            return False
        self._faults += error.faults
        return True

    def raise_if_any(self) -> None:
        """Do nothing if there was no fault: everything has a value.

        Raises:
            SettingsError: with every fault.
        """
        if self._faults:
            raise SettingsError(self._faults)


def load_transform(name: str) -> Transform:
    """Import a transform; modules of the present folder are found, as with `python -m`.

    Raises:
        SettingsError: there is none of that name, or its module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise SettingsError([f"transform: {name!r} is not package.module:function"])
    if os.getcwd() not in sys.path:  # noqa: PTH109  # `sys.path` has text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found = getattr(import_module(module_name), function_name)
    except Exception as error:  # the user's module may raise whatever it likes
        raise SettingsError([f"transform: {name}: {type(error).__name__}: {error}"]) from error
    if not callable(found):
        raise SettingsError([f"transform: {name} is {type(found).__name__}, not a function"])
    return cast("Transform", found)
