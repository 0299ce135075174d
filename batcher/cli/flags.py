"""Flags: every setting as an option of a command, and the destination, into `Settings`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields

from batcher.cli.faults import Faults
from batcher.cli.said import say
from batcher.place import parse_destination
from batcher.settings import PREFIX, Settings

STAND_IN = {"bucket": "stand-in", "root": ""}
"""A destination for judging all else, where the one that is given cannot be read."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Give `parser` one flag a setting; flags beat the environment."""
    group = parser.add_argument_group(
        "settings", f"each can be given as {PREFIX}<NAME> in the environment as well"
    )
    for spec in fields(Settings):
        group.add_argument(
            f"--{spec.name.replace('_', '-')}",
            dest=f"setting_{spec.name}",
            default=argparse.SUPPRESS,
            metavar=spec.name.rpartition("_")[2].upper(),
            help=spec.metadata["help"].replace("%", "%%"),
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
