"""Options that commands share: one per setting, AWS profile, selection of objects."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from typing import Any

from batcher.cli.command import Arguments
from batcher.cli.faults import FaultCollector
from batcher.cli.output import echo
from batcher.cli.parameters import Argument, Option
from batcher.cli.profile import profile_option
from batcher.errors import SettingsError
from batcher.reading.selection import Selection, parse_selection
from batcher.settings import (
    ENV_PREFIX,
    Derived,
    OneOf,
    Settings,
    connection_settings,
    parse_size,
)
from batcher.stores.location import find_folder_fault, parse_destination, parse_folder_url

PLACEHOLDER_DESTINATION = {"bucket": "stand-in", "root": ""}
"""Used to check all other settings if the given destination cannot be parsed."""


TIME_FORMATS = (
    "an ISO 8601 date or time (UTC unless it has a zone), or an age: 30s, 15m, 2h, 3d, 1w"
)


SETTINGS: Mapping[str, Field[Any]] = {spec.name: spec for spec in fields(Settings)}


PLACE = "s3://bucket/root or the path of a folder"


MAX_METAVAR = 40
"""Choices that are longer would not fit. Completion has them, and the fault of another value."""


def setting_options(names: Collection[str], **help_texts: str) -> list[Option]:
    """Return an option for each of these settings. Options take precedence over the environment.

    Args:
        names: of the settings.
        help_texts: of settings that mean something special for this command.
    """
    return [
        _setting_option(spec, help_texts.get(name, str(spec.metadata["help"])))
        for name, spec in SETTINGS.items()
        if name in names
    ]


def writer_options() -> list[Option]:
    """Return the options of a command that writes objects: its settings, and the profile.

    The destination that it is given beats `--bucket` and `--root`: help does not show them.
    """
    options = setting_options(
        [name for name, spec in SETTINGS.items() if spec.metadata["group"] != "Lambda"]
    )
    for option in options:
        option.hidden = option.group == "Destination"
    return [*options, profile_option()]


def _setting_option(spec: Field[Any], help_text: str) -> Option:
    check = spec.metadata["check"]
    choices = [choice for choice in check.choices if choice] if isinstance(check, OneOf) else []
    choices = ["true", "false"] if spec.type == "bool" else choices
    default = describe_default(spec)
    metavar = f"[{'|'.join(choices)}]"
    if not choices or len(metavar) > MAX_METAVAR:
        metavar = _metavar(spec)
        help_text = ": ".join(filter(None, [help_text, ", ".join(choices)]))
    text = f"{help_text} (default {default})" if default else help_text
    return Option(
        _option_name(spec.name),
        metavar,
        _SETTING_NAME.sub(lambda name: _option_name(name[0]), text),
        also=f"setting_{spec.name}",
        group=spec.metadata["group"],
        completes=choices,
        setting=spec.name,
    )


_SETTING_NAME = re.compile(rf"\b({'|'.join(name for name in SETTINGS if '_' in name)})\b")
"""The name of a setting in the help of another one."""


def _option_name(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"


def _metavar(spec: Field[Any]) -> str:
    """Return what stands for a value in the help: its unit or its form."""
    if spec.metadata["parse"] is parse_size:
        return "SIZE"
    forms = {"float": "SECONDS", "int": "N", "int | None": "N", "Mapping[str, str]": "JSON"}
    last_word = spec.name.rpartition("_")[2].upper()
    return {"by": "TEMPLATE"}.get(last_word.lower(), forms.get(str(spec.type), last_word))


def describe_default(spec: Field[Any]) -> str:
    """Return the default of a setting as a user would write it. Empty if it is empty text."""
    default: object = spec.metadata["default"]
    if isinstance(default, Derived):
        return default.text
    if isinstance(default, float):
        return f"{default:g}"
    return str(default).lower() if default is None or isinstance(default, bool) else str(default)


def settings_from(
    arguments: Arguments, destination: str | None, environ: Mapping[str, str]
) -> Settings:
    """Return the settings. The destination takes precedence over options, these over `environ`.

    Args:
        arguments: of the command.
        destination: None if it is missing, which was a fault already.
        environ: variables of settings that the command does not use are ignored.

    Raises:
        SettingsError: with every fault, including that of the destination.
    """
    faults = FaultCollector()
    given = arguments.settings | PLACEHOLDER_DESTINATION
    if destination is not None:
        with faults:
            given = explicit_settings(arguments, destination)
            _check_folder(given["bucket"])
    with faults:
        settings = Settings.from_env(used_environ(arguments, environ), **given)
    faults.raise_if_any()
    return settings


def _check_folder(bucket: str) -> None:
    if not bucket.startswith("file:"):
        return
    if fault := find_folder_fault(parse_folder_url(bucket)):
        raise SettingsError([f"destination: {fault}"])


def existing_settings(
    arguments: Arguments, place: str | None, environ: Mapping[str, str]
) -> Settings:
    """Return the settings of a command that reads, whose folder must exist; see `settings_from`.

    A script with a mistyped folder must not go on as if there were no objects.
    """
    settings = settings_from(arguments, place, environ)
    if settings.bucket.startswith("file:"):
        folder = parse_folder_url(settings.bucket).absolute()
        try:
            exists = folder.is_dir()
        except OSError as error:
            fault = f"PLACE: {folder}: {error.strerror}; check who may read it"
            raise SettingsError([fault]) from error
        if not exists:
            raise SettingsError([f"PLACE: {folder}: no such folder"])
    return settings


def used_environ(arguments: Arguments, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings that the command does not use."""
    unused = {f"{ENV_PREFIX}{name.upper()}" for name in {*SETTINGS} - {*arguments.used_settings}}
    return {name: value for name, value in environ.items() if name not in unused}


def explicit_settings(arguments: Arguments, destination: str) -> dict[str, Any]:
    """Return the settings given by options and the destination.

    The destination takes precedence. A warning is printed for each option that it overrides.

    Raises:
        SettingsError: the destination cannot be parsed.
    """
    options, location = arguments.settings, parse_destination(destination)
    for name in location:
        if options.get(name, location[name]) != location[name]:
            echo(f"warning: --{name} {options[name]} is not used: the destination is {destination}")
    return options | location


def place_argument() -> Argument:
    """Return the argument for the root that a command reads."""
    return Argument("place", "PLACE", f"root to read: {PLACE}", completes="dir")


def destination_argument() -> Argument:
    """Return the argument for the root that a command writes under."""
    return Argument("destination", "DESTINATION", PLACE, completes="dir")


def json_option(form: str) -> Option:
    """Return the option for output for programs."""
    return Option(
        "--json", is_flag=True, help=f"print {form}; see reference/json in the documentation"
    )


def selection_options() -> list[Argument | Option]:
    """Return the argument and the options that select objects."""
    group = "Which objects"
    since = (
        "objects that may hold records which arrived at this time or later (a key often has just "
        f"the hour, so all of that hour's): {TIME_FORMATS}"
    )
    until = "objects that may hold records which arrived before this time; format as --since"
    partition = (
        "objects whose partition has these folders in this order, such as "
        "dt=2026-11-23/hour=* or customer=acme; * and ? are wildcards"
    )
    quarantine = "quarantine objects instead of data objects"
    return [
        place_argument(),
        Option("--since", "TIME", since, group=group),
        Option("--until", "TIME", until, group=group),
        Option("--partition", "PATTERN", partition, group=group),
        Option("--quarantine", help=quarantine, is_flag=True, group=group),
    ]


def reader_options(limited: str) -> list[Option]:
    """Return the options for the settings that a reader uses.

    Args:
        limited: what `--concurrency` limits, in the plural.
    """
    concurrency = f"maximum {limited} at the same time"
    return [
        *setting_options(("concurrency", *connection_settings()), concurrency=concurrency),
        profile_option(),
    ]


def describe_selection(arguments: Arguments) -> str:
    """Return the options that select objects, as they were given. Empty if none was."""
    given = [
        f"--{name} {shlex.quote(value)}"
        for name in ("since", "until", "partition")
        if (value := getattr(arguments, name))
    ]
    return " ".join([*given, *(["--quarantine"] if arguments.quarantine else [])])


def selection_from(arguments: Arguments) -> Selection:
    """Return the selection given by the options of `selection_options`.

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
