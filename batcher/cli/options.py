"""Options that commands share: one per setting, selection of objects, findings, transform."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from batcher.batching.transform import check_transform
from batcher.cli.output import echo
from batcher.errors import BatcherError, SettingsError
from batcher.reading.findings import Finding, FindingKind
from batcher.reading.sanitize import sanitize_line
from batcher.reading.selection import Selection, parse_selection
from batcher.settings import ENV_PREFIX, Derived, OneOf, Settings
from batcher.stores.location import parse_destination

if TYPE_CHECKING:
    from batcher.batching.validation import Transform

MAX_SHOWN_PER_KIND = 20
"""The most findings of each kind that are printed. The rest are only counted."""


_KIND_SUMMARIES = {
    FindingKind.FOREIGN: "not written by batcher",
    FindingKind.OVERLAP: "overlapping another object",
    FindingKind.COVERED: "left out, because other objects hold all their records",
    FindingKind.DUPLICATE: "without some of their lines, because other objects hold these records",
    FindingKind.UNREADABLE: "not readable to the end",
}


_DUPLICATES = {FindingKind.COVERED, FindingKind.DUPLICATE}
"""Kinds of which only the number is printed: the records are read from other objects."""

PLACEHOLDER_DESTINATION = {"bucket": "stand-in", "root": ""}
"""Used to check all other settings if the given destination cannot be parsed."""


PLACE_SETTINGS = ("region", "endpoint_url")
"""Settings that say where a bucket is. Everything that reads it needs them."""


TIME_FORMATS = (
    "an ISO 8601 date or time (UTC unless it has a zone), or an age: 30s, 15m, 2h, 3d, 1w"
)


def add_setting_options(
    parser: argparse.ArgumentParser,
    only: Collection[str] | None = None,
    note: str = f"each can also be set as {ENV_PREFIX}<NAME> in the environment",
) -> None:
    """Add one option per setting to `parser`. Options take precedence over the environment.

    Args:
        parser: gets the options in a group of their own.
        only: names of the settings to add; None adds all.
        note: description of the group.
    """
    group = parser.add_argument_group("settings", note)
    for spec in fields(Settings):
        if only is None or spec.name in only:
            _add_setting_option(group, spec, describe_setting(spec))


def add_reader_options(parser: argparse.ArgumentParser, limited: str) -> None:
    """Add the options for the settings that a reader uses.

    Args:
        limited: what `--concurrency` limits, in the plural.
    """
    specs = {spec.name: spec for spec in fields(Settings)}
    default = describe_default(specs["concurrency"])
    concurrency_help = f"maximum {limited} at the same time (default {default})"
    _add_setting_option(parser, specs["concurrency"], concurrency_help)
    for name in PLACE_SETTINGS:
        _add_setting_option(parser, specs[name], describe_setting(specs[name]))


def describe_setting(spec: Field[Any]) -> str:
    """Return the help text of a setting, with its default."""
    default = describe_default(spec)
    return f"{spec.metadata['help']} (default {default})" if default else str(spec.metadata["help"])


def describe_default(spec: Field[Any]) -> str:
    """Return the default of a setting as a user would write it. Empty if it is empty text."""
    default: object = spec.metadata["default"]
    if isinstance(default, Derived):
        return default.text
    if isinstance(default, float):
        return f"{default:g}"
    return str(default).lower() if default is None or default is False else str(default)


def _add_setting_option(
    parser: argparse._ActionsContainer, spec: Field[Any], help_text: str
) -> None:
    check = spec.metadata["check"]
    if isinstance(check, OneOf):
        metavar = f"{{{','.join(choice for choice in check.choices if choice)}}}"
    else:
        metavar = spec.name.rpartition("_")[2].upper()
    parser.add_argument(
        f"--{spec.name.replace('_', '-')}",
        dest=f"setting_{spec.name}",
        default=argparse.SUPPRESS,
        metavar=metavar,
        help=help_text.replace("%", "%%"),
    )


def settings_from(
    arguments: argparse.Namespace, destination: str, environ: Mapping[str, str]
) -> Settings:
    """Return the settings. The destination takes precedence over options, these over `environ`.

    Raises:
        SettingsError: with every fault, including that of the destination.
    """
    faults = FaultCollector()
    given = settings_from_options(arguments) | PLACEHOLDER_DESTINATION
    with faults:
        given = explicit_settings(arguments, destination)
    with faults:
        settings = Settings.from_env(environ, **given)
    faults.raise_if_any()
    return settings


def explicit_settings(arguments: argparse.Namespace, destination: str) -> dict[str, Any]:
    """Return the settings given by options and the destination.

    The destination takes precedence. A warning is printed for each option that it overrides.

    Raises:
        SettingsError: the destination cannot be parsed.
    """
    options, location = settings_from_options(arguments), parse_destination(destination)
    for name in location:
        if options.get(name, location[name]) != location[name]:
            echo(f"warning: --{name} {options[name]} is not used: the destination is {destination}")
    return options | location


def settings_from_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given by options, by name."""
    return {
        name.removeprefix("setting_"): value
        for name, value in vars(arguments).items()
        if name.startswith("setting_")
    }


def add_selection_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select objects to `parser`."""
    parser.add_argument(
        "place", metavar="PLACE", help="root to read: s3://bucket/root or file://folder"
    )
    which = parser.add_argument_group("which objects")
    which.add_argument(
        "--since",
        metavar="TIME",
        help=f"objects that may hold records which arrived at this time or later: {TIME_FORMATS}",
    )
    which.add_argument(
        "--until",
        metavar="TIME",
        help="objects that may hold records which arrived before this time; format as --since",
    )
    which.add_argument(
        "--partition",
        metavar="PATTERN",
        help="objects whose partition has these folders in this order, such as "
        "dt=2026-11-23/hour=* or customer=acme; * and ? are wildcards",
    )
    which.add_argument(
        "--quarantine", action="store_true", help="quarantine objects instead of data objects"
    )
    add_reader_options(parser, "requests and objects")


def selection_from(arguments: argparse.Namespace) -> Selection:
    """Return the selection given by the options of `add_selection_options`.

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
    """Prints findings on standard error: the first of each kind at once, the rest as a count."""

    def __init__(self) -> None:
        self.counts: Counter[FindingKind] = Counter()

    @property
    def is_complete(self) -> bool:
        """Whether all selected records were read. Overlaps and duplicates lose none."""
        return not self.counts[FindingKind.FOREIGN] + self.counts[FindingKind.UNREADABLE]

    def print_finding(self, finding: Finding) -> None:
        """Count a finding. Print it unless it is a duplicate, or its kind was printed often."""
        self.counts[finding.kind] += 1
        if finding.kind not in _DUPLICATES and self.counts[finding.kind] <= MAX_SHOWN_PER_KIND:
            is_warning = finding.kind is FindingKind.OVERLAP
            echo(f"{'warning' if is_warning else 'error'}: {finding.key}: {finding.detail}")

    def print_error(self, error: BatcherError) -> None:
        """Count and print an object that could not be read. The error names it."""
        self.counts[FindingKind.UNREADABLE] += 1
        if self.counts[FindingKind.UNREADABLE] <= MAX_SHOWN_PER_KIND:
            echo(f"error: {sanitize_line(str(error))}")

    def print_summary(self, location: str, objects: int) -> None:
        """Print counts of findings that were not all printed, or a warning if nothing was found."""
        for kind, meaning in _KIND_SUMMARIES.items():
            count = self.counts[kind]
            if count > MAX_SHOWN_PER_KIND or (kind in _DUPLICATES and count):
                echo(f"{count:,} {'object' if count == 1 else 'objects'} {meaning}")
        if not objects and self.is_complete:
            echo(f"warning: no objects found under {location}")


class FaultCollector:
    """Collects faults, so that one message can report them all.

    Use it as a context manager, several times. Each `with` block ends at its first `SettingsError`.
    Call `raise_if_any` before using values that the blocks set.
    """

    def __init__(self) -> None:
        self._faults: list[str] = []

    def __enter__(self) -> None:
        """Start collecting."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Keep the faults of a `SettingsError` and suppress it. Other exceptions pass."""
        if not isinstance(error, SettingsError):
            return False
        self._faults += error.faults
        return True

    def raise_if_any(self) -> None:
        """Raise if any block failed.

        Raises:
            SettingsError: with every fault.
        """
        if self._faults:
            raise SettingsError(self._faults)


def load_transform(name: str) -> Transform:
    """Import a transform. Modules in the working directory are found, as with `python -m`.

    Args:
        name: `package.module:function`.

    Raises:
        SettingsError: the function does not exist, or its module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise SettingsError(
            [f"transform: {name!r} names no function; write package.module:function"]
        )
    if os.getcwd() not in sys.path:  # noqa: PTH109  # `sys.path` holds strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found = getattr(import_module(module_name), function_name)
    except Exception as error:  # a user's module may raise anything
        raise SettingsError([f"transform: {name}: {type(error).__name__}: {error}"]) from error
    if not callable(found):
        raise SettingsError([f"transform: {name} is {type(found).__name__}; name a function"])
    try:
        check_transform(found)
    except TypeError as error:
        raise SettingsError([f"{error} ({name})"]) from None
    return cast("Transform", found)
