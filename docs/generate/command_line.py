"""docs/reference/command-line.md, from the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from batcher.cli import COMMANDS, GROUP
from batcher.cli.command import MESSAGES, STANDARD_EXIT_CODES, Command
from batcher.cli.parameters import Argument, Option
from generate.markdown import escape, make_table, wrap, wrap_text


def all_commands() -> dict[str, Command]:
    """Return the commands by name."""
    context = click.Context(GROUP)
    commands = {}
    for name in COMMANDS:
        command = GROUP.get_command(context, name)
        assert isinstance(command, Command)  # noqa: S101  # for type checkers
        commands[name] = command
    return commands


def make_overview() -> str:
    """Return the table of the commands."""
    rows = [(f"[`batcher {name}`](#batcher-{name})", text) for name, text in COMMANDS.items()]
    return make_table(("command", "what it does"), rows)


def make_common_options() -> str:
    """Return the table of the options that all commands have."""
    command = all_commands()["write"]
    shown = [each for each in command.params if getattr(each, "group", "") == MESSAGES]
    return make_table(("option", "meaning"), [_to_row(each) for each in shown])


def make_standard_exit_codes() -> str:
    """Return the table of the exit codes that most commands have."""
    return make_table(
        ("exit code", "meaning"), [(f"{code}", text) for code, text in STANDARD_EXIT_CODES.items()]
    )


def make_commands() -> str:
    """Return a section per command."""
    return "\n".join(_make_section(name, command) for name, command in all_commands().items())


def _make_section(name: str, command: Command) -> str:
    context = click.Context(command, info_name=f"batcher {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## batcher {name}\n", wrap_text(escape(str(command.help))) + "\n"]
    parts.append(f"```text\n{usage}\n```\n")
    own = [each for each in command.params if not _is_shared(each)]
    if own:
        parts.append(make_table(("argument or option", "meaning"), map(_to_row, own)))
    settings = [
        f"`{each.opts[0]}`"
        for each in command.params
        if isinstance(each, Option) and each.setting and not each.hidden
    ]
    if settings:
        parts.append(wrap(f"[Settings](settings.md): {', '.join(settings)}.") + "\n")
    if command.examples:
        texts = [f"# {meaning}\n{example}" for example, meaning in command.examples.items()]
        parts.append("```console\n" + "\n\n".join(texts) + "\n```\n")
    codes = [
        (f"{code}", text)
        for code, text in command.exit_codes.items()
        if STANDARD_EXIT_CODES.get(code) != text
    ]
    if codes:
        parts.append(make_table(("exit code", "meaning"), codes))
    if command.permissions:
        parts.append(wrap(f"Permissions: {command.permissions}") + "\n")
    return "\n".join(parts)


def _is_shared(parameter: click.Parameter) -> bool:
    """Return whether a parameter is a setting, an option of all commands, or hidden."""
    if isinstance(parameter, Argument):
        return False
    is_known = isinstance(parameter, Option) and parameter.group != MESSAGES
    return not is_known or bool(getattr(parameter, "setting", "")) or parameter.hidden  # type: ignore[attr-defined]  # of options


def _to_row(parameter: Any) -> tuple[str, str]:  # noqa: ANN401  # an argument or an option of ours
    if isinstance(parameter, Argument):
        return f"`{str(parameter.metavar).strip('[]')}`", escape(parameter.description)
    metavar = parameter.metavar or ""
    is_choice = metavar.startswith("[")
    values = metavar.strip("[]").split("|") if is_choice else []
    choices = ", ".join(f"`{choice}`" for choice in parameter.choices or values)
    value = f" {metavar}" if metavar and not is_choice else ""
    names = ", ".join(f"`{name}{value}`" for name in sorted(parameter.opts, key=len, reverse=True))
    return names, escape(parameter.description) + (f"; one of {choices}" if is_choice else "")


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": make_overview,
    "common-options": make_common_options,
    "standard-exit-codes": make_standard_exit_codes,
    "command-sections": make_commands,
}
