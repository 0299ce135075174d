"""Flags: every setting as an option of a command, and the destination, into `Settings`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields

from batcher.errors import SettingsError
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


def parse_destination(destination: str) -> dict[str, str]:
    """Give `bucket` and `root` of `s3://bucket/root`, or of a folder as `file://folder`.

    Raises:
        SettingsError: it is neither.
    """
    scheme, separator, rest = destination.partition("://")
    if separator and scheme == "s3" and rest:
        bucket, _, root = rest.partition("/")
        return {"bucket": bucket, "root": root}
    if separator and scheme == "file" and rest:
        return {"bucket": destination, "root": ""}
    fault = f"destination: {destination!r} is neither s3://bucket/root nor file://folder"
    raise SettingsError([fault])
