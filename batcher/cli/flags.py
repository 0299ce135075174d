"""Flags: every setting as an option of a command, and the destination, into `Settings`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from dataclasses import fields

from batcher.cli.faults import Faults
from batcher.cli.said import say
from batcher.place import parse_destination
from batcher.settings import PREFIX, Settings

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
