"""Flags: every setting as an option of a command, and the destination, into `Settings`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields

from batcher.place import parse_destination
from batcher.settings import PREFIX, Settings


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
    given = {
        name.removeprefix("setting_"): value
        for name, value in vars(arguments).items()
        if name.startswith("setting_")
    }
    return Settings.from_env(environ, **given | parse_destination(destination))
