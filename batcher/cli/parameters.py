"""Arguments and options of commands: with a group in the help, and what a shell completes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Argument(click.Argument):
    """A positional argument with a description in the help."""

    def __init__(  # noqa: PLR0913  # keyword arguments, as click has them
        self,
        name: str,
        *,
        metavar: str,
        description: str,
        nargs: int = 1,
        needed: bool = True,
        choices: Sequence[str] = (),
        completes: str = "",
    ) -> None:
        """Describe the argument.

        Args:
            name: of the value in `Arguments`.
            metavar: what stands for it in the help.
            description: its description in the help.
            nargs: number of words, -1 for any number.
            needed: whether a command cannot do without.
            choices: all possible values.
            completes: `file` or `dir` to complete names in a shell.
        """
        super().__init__([name], metavar=metavar, nargs=nargs, required=False)
        self.description, self.needed = description, needed
        self.choices = self.completions = choices
        self.completes = completes

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a choice or the name of a file."""
        del ctx
        return _complete(self, incomplete)

    def find_faults(self, value: object, *, check_needed: bool) -> list[str]:
        """Return what is wrong with a value; see `_find_faults`."""
        return _find_faults(self, str(self.metavar).strip("[.]"), value, check_needed=check_needed)


class Option(click.Option):
    """An option in a group of the help."""

    def __init__(  # noqa: PLR0913  # keyword arguments, as click has them
        self,
        *names: str,
        help: str,  # noqa: A002  # click's name
        metavar: str | None = None,
        group: str = "Options",
        choices: Sequence[str] = (),
        completions: Sequence[str] = (),
        completes: str = "",
        needed: bool = False,
        is_flag: bool = False,
        multiple: bool = False,
        count: bool = False,
        setting: str = "",
    ) -> None:
        """Describe the option.

        Args:
            names: such as `--json`, and the name of the value in `Arguments` if it differs.
            help: its description.
            metavar: what stands for the value.
            group: the heading of the help.
            choices: all possible values.
            completions: values that a shell completes, if the command checks them itself.
            completes: `file` or `dir` to complete names in a shell.
            needed: whether a command cannot do without.
            is_flag: whether it has no value.
            multiple: whether it may be repeated.
            count: whether it is counted, instead of having a value.
            setting: the name of the setting that it sets.
        """
        super().__init__(
            names,
            help=help,
            metavar=metavar,
            is_flag=is_flag or None,  # False would mean a flag that may have a value
            multiple=multiple,
            count=count,
        )
        self.group, self.choices, self.needed, self.setting = group, choices, needed, setting
        self.completions, self.completes = completions or choices, completes

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a choice or the name of a file."""
        del ctx
        return _complete(self, incomplete)

    def find_faults(self, value: object, *, check_needed: bool) -> list[str]:
        """Return what is wrong with a value; see `_find_faults`."""
        return _find_faults(self, self.opts[0], value, check_needed=check_needed)


def _complete(parameter: Argument | Option, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

    if parameter.completes:
        return [CompletionItem(incomplete, type=parameter.completes)]
    return [CompletionItem(each) for each in parameter.completions if each.startswith(incomplete)]


def _find_faults(
    parameter: Argument | Option, name: str, value: object, *, check_needed: bool
) -> list[str]:
    """Return what is wrong with a value of a parameter.

    Args:
        parameter: of a command.
        name: how messages name it.
        value: as it was given, or None or nothing.
        check_needed: whether it is a fault if it was not given.
    """
    if value is None or value == ():
        what = parameter.description if isinstance(parameter, Argument) else parameter.help
        if parameter.choices:
            what = f"choose one of: {', '.join(parameter.choices)}"
        return [f"{name}: required; {what}"] * (parameter.needed and check_needed)
    values = value if isinstance(value, tuple) else (value,)
    wrong = [each for each in values if parameter.choices and each not in parameter.choices]
    if not wrong:
        return []
    from batcher.settings import unknown_value  # noqa: PLC0415  # only for a wrong value

    return [f"{name}: {unknown_value(each, parameter.choices)}" for each in wrong]
