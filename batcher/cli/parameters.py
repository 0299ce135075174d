"""Arguments and options of commands: with a group in the help, and what a shell completes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class _Parameter(click.Parameter):
    """What arguments and options have besides click's own."""

    label: str
    """How messages name it."""
    description: str
    group: str
    """The heading of the help."""
    needed: bool
    """Whether a command cannot do without."""
    choices: Sequence[str]
    """All possible values, or nothing."""
    completes: Sequence[str]
    """Values that a shell completes, or the text `file` or `dir` for names of these."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a choice or the name of a file."""
        del ctx
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

        if isinstance(self.completes, str):
            return [CompletionItem(incomplete, type=self.completes)]
        return [CompletionItem(each) for each in self.completes if each.startswith(incomplete)]

    def find_faults(self, value: object, *, check_needed: bool) -> list[str]:
        """Return what is wrong with a value.

        Args:
            value: as it was given, or None or nothing.
            check_needed: whether it is a fault if it was not given.
        """
        if value is None or value == ():
            choices = ", ".join(self.choices)
            what = f"choose one of: {choices}" if choices else self.description
            return [f"{self.label}: required; {what}"] * (self.needed and check_needed)
        values = value if isinstance(value, tuple) else (value,)
        wrong = [each for each in values if self.choices and each not in self.choices]
        if not wrong:
            return []
        from batcher.settings import unknown_value  # noqa: PLC0415  # only for a wrong value

        return [f"{self.label}: {unknown_value(each, self.choices)}" for each in wrong]


class Argument(_Parameter, click.Argument):
    """A positional argument with a description in the help."""

    def __init__(  # noqa: PLR0913  # keyword arguments, as click has them
        self,
        name: str,
        metavar: str,
        description: str,
        *,
        nargs: int = 1,
        needed: bool = True,
        choices: Sequence[str] = (),
        completes: Sequence[str] = (),
    ) -> None:
        """Describe the argument. `nargs` is its number of words, -1 for any number."""
        super().__init__([name], metavar=metavar, nargs=nargs, required=False)
        self.label, self.description, self.group = metavar.strip("[.]"), description, "Arguments"
        self.needed, self.choices, self.completes = needed, choices, completes or choices

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return what the help shows."""
        return self.make_metavar(ctx), self.description


class Option(_Parameter, click.Option):
    """An option in a group of the help."""

    def __init__(  # noqa: PLR0913  # keyword arguments, as click has them
        self,
        name: str,
        metavar: str | None = None,
        help: str = "",  # noqa: A002  # click's name
        *,
        also: str = "",
        group: str = "Options",
        needed: bool = False,
        choices: Sequence[str] = (),
        completes: Sequence[str] = (),
        setting: str = "",
        **attributes: Any,  # noqa: ANN401  # as above
    ) -> None:
        """Describe the option.

        Args:
            name: such as `--json`.
            metavar: what stands for the value.
            help: its description.
            also: a short name such as `-q`, or the name of the value in `Arguments`.
            group: the heading of the help.
            needed: whether a command cannot do without.
            choices: all possible values.
            completes: `file` or `dir`, or values that the command checks itself.
            setting: the name of the setting that it sets.
            attributes: for click: `is_flag`, `count` or `multiple`.
        """
        names = list(filter(None, [name, also]))
        super().__init__(names, help=help, metavar=metavar, **attributes)
        self.label, self.description, self.group = name, help, group
        self.needed, self.choices, self.completes = needed, choices, completes or choices
        self.setting = setting
