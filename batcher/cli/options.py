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

from batcher.cli.output import say
from batcher.errors import BatcherError, SettingsError
from batcher.reading.findings import Finding, Kind
from batcher.reading.sanitize import printable
from batcher.reading.selection import Selection, select
from batcher.settings import PREFIX, Settings
from batcher.stores.location import parse_destination

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

SHOWN = 20
"""Findings of one kind that are told one by one."""


_MEANINGS = {
    Kind.FOREIGN: "objects are not batcher's",
    Kind.OVERLAP: "objects overlap others",
    Kind.COVERED: "objects have nothing that others do not give, and were left out",
    Kind.UNREADABLE: "objects could not be read to their end",
}


STAND_IN = {"bucket": "stand-in", "root": ""}
"""A destination for judging all else, where the one that is given cannot be read."""


A_TIME = (
    "a date or time of ISO 8601 (UTC where it names no zone), or how long ago: 30s, 15m, 2h, 3d, 1w"
)


def add_settings(
    parser: argparse.ArgumentParser,
    only: Collection[str] | None = None,
    note: str = f"each can be given as {PREFIX}<NAME> in the environment as well",
) -> None:
    """Give `parser` one flag a setting; flags beat the environment.

    Args:
        parser: gets them in a group of their own.
        only: these settings; None: all.
        note: what is said of the group.
    """
    group = parser.add_argument_group("settings", note)
    for spec in fields(Settings):
        if only is None or spec.name in only:
            metavar = spec.name.rpartition("_")[2].upper()
            _add(group, spec.name, metavar, spec.metadata["help"].replace("%", "%%"))


def add_concurrency(parser: argparse.ArgumentParser, what: str) -> None:
    """Give `parser` this one setting of those that only read; `what` there are so many of."""
    _add(parser, "concurrency", "N", f"{what} at once (default 16)")


def _add(parser: argparse._ActionsContainer, name: str, metavar: str, text: str) -> None:
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
    faults = Faults()
    given = flags_of(arguments) | STAND_IN
    with faults:
        given = given_by(arguments, destination)
    with faults:
        settings = Settings.from_env(environ, **given)
    faults.tell()
    return settings


def given_by(arguments: argparse.Namespace, destination: str) -> dict[str, object]:
    """Give the settings that flags and the destination name.

    The destination beats a flag, and whoever gave both is told.

    Raises:
        SettingsError: it is no destination.
    """
    flags, place = flags_of(arguments), parse_destination(destination)
    for name in place:
        if flags.get(name, place[name]) != place[name]:
            say(f"warning: --{name} {flags[name]} is not used: the destination is {destination}")
    return flags | place


def flags_of(arguments: argparse.Namespace) -> dict[str, object]:
    """Give the settings that flags name."""
    return {
        name.removeprefix("setting_"): value
        for name, value in vars(arguments).items()
        if name.startswith("setting_")
    }


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags that choose objects."""
    parser.add_argument("place", metavar="PLACE", help="s3://bucket/root or file://folder")
    which = parser.add_argument_group("which objects")
    which.add_argument(
        "--since",
        metavar="TIME",
        help=f"that may hold records that arrived then or later: {A_TIME}",
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
    add_concurrency(parser, "requests, and objects,")


def chosen(arguments: argparse.Namespace) -> Selection:
    """Read these flags.

    Raises:
        SettingsError: with every fault.
    """
    return select(
        arguments.since,
        arguments.until,
        arguments.partition,
        is_quarantine=arguments.quarantine,
        now_s=time.time(),
    )


class Told:
    """Tells on standard error what is wrong, a bit of each kind at once and the rest counted."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.counts: Counter[Kind] = Counter()

    @property
    def is_whole(self) -> bool:
        """Whether all that was chosen was given: overlaps are, and covered objects twice."""
        return not self.counts[Kind.FOREIGN] + self.counts[Kind.UNREADABLE]

    def find(self, finding: Finding) -> None:
        """Tell of an object; of covered ones there is only a count."""
        self.counts[finding.kind] += 1
        if finding.kind is not Kind.COVERED and self.counts[finding.kind] <= SHOWN:
            is_warning = finding.kind is Kind.OVERLAP
            say(f"{'warning' if is_warning else 'error'}: {finding.key}: {finding.detail}")

    def fail(self, error: BatcherError) -> None:
        """Tell of an object that could not be read; the error names it."""
        self.counts[Kind.UNREADABLE] += 1
        if self.counts[Kind.UNREADABLE] <= SHOWN:
            say(f"error: {printable(str(error))}")

    def end(self, place: str, objects: int) -> None:
        """Tell how much was not told, or that there was nothing."""
        for kind, meaning in _MEANINGS.items():
            count = self.counts[kind]
            if count > SHOWN or (kind is Kind.COVERED and count):
                say(f"{count:,} {meaning}")
        if not objects and self.is_whole:
            say(f"warning: nothing is under {place}, or nothing of it was chosen")


class Faults:
    """Gathers the faults of what is done within it, again and again; `tell` when all is read."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[str] = []

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
        self._found += error.faults
        return True

    def tell(self) -> None:
        """Do nothing if there was no fault: everything has a value.

        Raises:
            SettingsError: with every fault.
        """
        if self._found:
            raise SettingsError(self._found)


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
