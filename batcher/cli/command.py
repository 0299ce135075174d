"""A command with its options, its help, and one message for all that is wrong with its usage."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import click

from batcher.cli.faults import FaultCollector, did_you_mean, echo_usage_faults, find_near
from batcher.cli.output import (
    LOG_FORMATS,
    NOT_DURABLE,
    WRONG_USAGE,
    echo,
    echo_traceback,
    messages,
)
from batcher.cli.parameters import Argument, Option
from batcher.errors import BatcherError, NotInstalledError, SettingsError

CONTEXT_SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}

NON_BREAKING_HYPHEN, NON_BREAKING_BLANK = "\u2011", "\u00a0"


_SHORT_DEFAULT = re.compile(r"\(default:? \S{1,20}(?!\S)")


NARROW = 70
"""Below this width, an option and the default of `partition_by` do not fit side by side."""


COMPLETION_VARIABLE = "_BATCHER_COMPLETE"
"""Set by the scripts of `batcher completion`, when they ask for completions."""


_ENV_PREFIX = "BATCHER_"
"""As in `batcher.settings`, which help does not import."""


_PLACES = ("destination", "place")
"""Names of the arguments that say where objects are."""


_PLACE_SETTINGS = ("bucket", "root")
"""Settings that such an argument sets."""


STANDARD_EXIT_CODES = {
    0: "done",
    2: "wrong usage or settings",
    130: "stopped by Ctrl-C",
    141: "standard output was closed (SIGPIPE)",
}
"""Exit codes of most commands. A command's own are added, or replace these."""


SIGNAL_EXIT_CODES = {
    129: "stopped by SIGHUP",
    130: "stopped by Ctrl-C",
    143: "stopped by SIGTERM; other signals likewise: 128 plus their number",
}
"""Exit codes of commands that handle signals."""


class Arguments(SimpleNamespace):
    """The values of a command's arguments and options, by name.

    `faults` collects what else is wrong. It has what was wrong with the usage, so that a command
    must call `raise_if_any` before it starts.
    """

    faults: FaultCollector
    settings: dict[str, Any]
    """Settings given by options."""
    used_settings: Sequence[str]
    """Names of the settings that the command uses."""


def _message_options() -> list[Option]:
    formats = f"[{'|'.join(LOG_FORMATS)}]"
    json = "json: one object per message, with time, level and message (default text)"
    more = "more; -vv with tracebacks"
    return [
        Option("--quiet", help="only errors", also="-q", is_flag=True, group=MESSAGES),
        Option("--verbose", help=more, also="-v", count=True, group=MESSAGES),
        Option("--log-format", formats, json, choices=LOG_FORMATS, group=MESSAGES),
    ]


def _unbreak(match: re.Match[str]) -> str:
    return match[0].replace(" ", NON_BREAKING_BLANK)


class _HelpFormatter(click.HelpFormatter):
    """Breaks lines at blanks only, and not within `--no-write`, `public-read` or `(default 1)`."""

    def write(self, string: str) -> None:
        """Write text, with ordinary hyphens and blanks again."""
        super().write(string.replace(NON_BREAKING_HYPHEN, "-").replace(NON_BREAKING_BLANK, " "))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", NON_BREAKING_HYPHEN))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write names and their texts. In a narrow terminal, texts stand below most names."""
        unbroken = [
            (name, _SHORT_DEFAULT.sub(_unbreak, text.replace("-", NON_BREAKING_HYPHEN)))
            for name, text in rows
        ]
        super().write_dl(unbroken, col_max if self.width >= NARROW else 10, col_spacing)


class HelpContext(click.Context):
    """The context of a command."""

    formatter_class = _HelpFormatter


MESSAGES = "Messages on standard error"
"""The last group of options."""


DOCUMENTATION = "in the documentation"
"""How texts cite it. Help that has a citation names its address at the end."""


ARGUMENTS = "Arguments"
"""The first group."""


class Command(click.Command):
    """A command: its function and its help."""

    context_class = HelpContext

    def __init__(  # noqa: PLR0913  # keyword arguments, one per part of the help
        self,
        run: Callable[[Any], int],
        *,
        description: str,
        examples: Mapping[str, str],
        parameters: Sequence[Argument | Option],
        exit_codes: Mapping[int, str],
        permissions: str = "",
        used_settings: Sequence[str] = (),
    ) -> None:
        """Describe the command.

        Args:
            run: takes `Arguments` and returns the exit code.
            description: what it does.
            examples: command lines, each with what it does.
            parameters: arguments and options, without those that all commands have.
            exit_codes: their meanings, where they differ from `STANDARD_EXIT_CODES`.
            permissions: which permissions it needs.
            used_settings: names of settings that it takes from the environment, besides those that
                are options.
        """
        super().__init__(
            None,
            params=[],
            help=description,
            context_settings=CONTEXT_SETTINGS | {"allow_extra_args": True},
        )
        self.run = run
        self._parameters = [*parameters, *_message_options()]
        self.params += self._parameters
        self.examples = examples
        self.exit_codes = dict(sorted((STANDARD_EXIT_CODES | dict(exit_codes)).items()))
        self.permissions = permissions
        settings = [each.setting for each in parameters if isinstance(each, Option)]
        self._used_settings = [*filter(None, settings), *used_settings]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the command. What is wrong with them is kept for `invoke`."""
        faults: list[str] = []
        words, meant = list(args), set[str]()
        while True:
            try:
                extra = super().parse_args(ctx, list(words))
                break
            except click.NoSuchOption as error:
                index = _find_word(words, error.option_name)
                meant.add(self._drop_unknown(ctx, words, index, faults))
            except click.BadOptionUsage as error:
                word = words.pop(_find_word(words, error.option_name))
                problem = "takes no value" if "=" in word else "needs a value"
                faults.append(f"{error.option_name}: {problem}")
                meant.add(error.option_name)
        # Words that may belong to an unknown option say nothing about the arguments
        if "" not in meant:
            faults += [f"{word}: unexpected argument; leave it out" for word in extra]
        for each in self._parameters:
            is_meant = not meant.isdisjoint(["" if isinstance(each, Argument) else each.opts[0]])
            faults += each.find_faults(ctx.params[str(each.name)], check_needed=not is_meant)
        ctx.meta["faults"] = faults
        return []

    def _drop_unknown(
        self, ctx: click.Context, words: list[str], index: int, faults: list[str]
    ) -> str:
        """Remove an unknown option, with its value, so that the rest can be parsed. Add a fault.

        Returns:
            The option that was probably meant, or nothing if the next word, which was removed too,
            may not have been its value.
        """
        name, has_value, _ = words.pop(index).partition("=")
        options = {
            option: each
            for each in self.get_params(ctx)
            if isinstance(each, click.Option)
            for option in each.opts
        }
        near = next(iter(find_near(name, options)), "")
        if name.startswith("--") and name[2:].replace("-", "_") in _setting_names():
            faults.append(f"{name}: {ctx.command_path} does not use this setting; leave it out")
            near = name
        elif name in options:  # click takes `-q=1` for the options q, = and 1
            faults.append(f"{name}: takes no value")
        else:
            faults.append(f"{name}: no such option{did_you_mean(name, options)}")
        is_flag = near in options and (options[near].is_flag or options[near].count)
        if has_value or is_flag or not words[index:] or words[index].startswith("-"):
            return near or name
        del words[index]
        return near

    def invoke(self, ctx: click.Context) -> int:
        """Run the command and return its exit code."""
        faults = list(ctx.meta["faults"])
        options = [each for each in self.params if isinstance(each, Option)]
        given = {each.setting: ctx.params[str(each.name)] for each in options if each.setting}
        if ctx.params["quiet"] and ctx.params["verbose"]:
            faults.append("--quiet: contradicts --verbose; leave one of them out")
        environment: AbstractContextManager[None] = nullcontext()
        if (profile := ctx.params.get("profile")) is not None:
            from batcher.cli.profile import profile_fault, use_profile  # noqa: PLC0415  # rarely needed

            faults += filter(None, [profile_fault(profile)])
            environment = use_profile(profile)
        arguments = Arguments(
            **ctx.params,
            faults=FaultCollector(faults),
            settings={name: value for name, value in given.items() if value is not None},
            used_settings=self._used_settings,
        )
        log_format = arguments.log_format if arguments.log_format in LOG_FORMATS else "text"
        with messages(arguments.verbose, log_format, quiet=arguments.quiet):
            try:
                with environment:
                    return self.run(arguments)
            except SettingsError as error:
                faults = [self._name_as_typed(fault, ctx) for fault in error.faults]
                echo_usage_faults(ctx.command_path, faults)
                return WRONG_USAGE
            except BatcherError as error:
                echo_traceback()
                echo(str(error), "error")
                return WRONG_USAGE if isinstance(error, NotInstalledError) else NOT_DURABLE

    def _name_as_typed(self, fault: str, ctx: click.Context) -> str:
        """Return a fault that starts with the name of an option, a variable or an argument.

        Faults of settings and values start with their names in Python.
        """
        name, separator, problem = fault.partition(": ")
        place = next((each for each in self._parameters if each.name in _PLACES), None)
        is_place = name == "destination"
        if place is not None and name in _PLACE_SETTINGS:
            is_place = ctx.params[str(place.name)] is not None or problem.startswith("required")
        if place is not None and is_place:
            return f"{str(place.metavar).strip('[]')}{separator}{problem}"
        for each in self._parameters:
            if isinstance(each, Argument) or name not in {each.name, each.setting}:
                continue
            variable = f"{_ENV_PREFIX}{each.setting.upper()}"
            is_given = ctx.params[str(each.name)] is not None
            if each.setting and not is_given and variable in os.environ:
                return f"{variable}{separator}{problem}"
            return f"{each.opts[0]}{separator}{problem}"
        is_variable = name in self._used_settings
        return f"{_ENV_PREFIX}{name.upper()}{separator}{problem}" if is_variable else fault

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write arguments, examples, and options in groups."""
        has_examples = False
        groups: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            if record := each.get_help_record(ctx):
                groups.setdefault(getattr(each, "group", "Options"), []).append(record)
        for name in sorted(groups, key=lambda name: (name != ARGUMENTS, name == MESSAGES)):
            if name != ARGUMENTS and not has_examples:
                self._write_examples(formatter)
                has_examples = True
            with formatter.section(name):
                formatter.write_dl(groups[name])

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option, described as the others are."""
        return describe_help_option(super().get_help_option(ctx))

    def _write_examples(self, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for index, (command, meaning) in enumerate(self.examples.items()):
                if index:
                    formatter.write_paragraph()
                formatter.write_text(f"# {meaning}")
                for line in command.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write exit codes, permissions, documentation, and how to set settings otherwise."""
        del ctx
        settings = [e.setting for e in self.params if isinstance(e, Option) and e.setting]
        if settings:
            with formatter.section("Environment"):
                formatter.write_text(
                    f"Each setting is also read from BATCHER_<NAME>, such as "
                    f"BATCHER_{settings[-1].upper()}. Options take precedence."
                )
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in self.exit_codes.items()])
        if self.permissions:
            with formatter.section("Permissions"):
                formatter.write_text(self.permissions)
        texts = [str(self.help), *(each.description for each in self._parameters)]
        address = any(DOCUMENTATION in text for text in texts) and _find_documentation()
        if address:
            with formatter.section("Documentation"):
                formatter.write_text(address)


def describe_help_option(option: click.Option | None) -> click.Option | None:
    """Return the option `--help`, described as the others are."""
    if option is not None:
        option.help = "show this help"
    return option


def _find_documentation() -> str:
    """Return the address of the documentation, or nothing if the package is not installed."""
    from importlib.metadata import PackageNotFoundError, metadata  # noqa: PLC0415  # slow

    try:
        urls = metadata("s3-batcher").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    named = [url.partition(", ") for url in urls]
    return next((address for name, _, address in named if name == "Documentation"), "")


def _find_word(words: Sequence[str], option: str) -> int:
    """Return the index of the word that has an option: `--name`, `--name=value`, or `-abc`."""
    for index, word in enumerate(words):
        is_cluster = option[1:2] != "-" and word[:1] == "-" != word[1:2] and option[1:] in word
        if word.partition("=")[0] == option or is_cluster:
            return index
    msg = f"{option} is in none of {words}"
    raise AssertionError(msg)


def _setting_names() -> set[str]:
    from dataclasses import fields  # noqa: PLC0415  # only for a wrong option

    from batcher.settings import Settings  # noqa: PLC0415  # as above

    return {spec.name for spec in fields(Settings)}
