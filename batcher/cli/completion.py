"""`batcher completion`: print a script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from batcher.cli.command import COMPLETION_VARIABLE, Arguments, Command
from batcher.cli.output import DONE
from batcher.cli.parameters import Argument

SHELLS = ("bash", "zsh", "fish")


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    arguments.faults.raise_if_any()
    group = click.get_current_context().find_root().command
    complete = get_completion_class(arguments.shell)
    if complete is not None:  # all of `SHELLS` have one
        print(complete(group, {}, "batcher", COMPLETION_VARIABLE).source())  # noqa: T201  # what it is for
    return DONE


COMMAND = Command(
    run,
    description="Prints a script for bash, zsh or fish. With it, the Tab key completes commands, "
    "options, choices and names of files. Add a line to the start file of your shell, and open a "
    "new shell.",
    examples={
        """echo 'eval "$(batcher completion bash)"' >> ~/.bashrc""": "for bash, from 4.4 on",
        """echo 'eval "$(batcher completion zsh)"' >> ~/.zshrc""": "for zsh, after its compinit",
        "batcher completion fish \\\n    > ~/.config/fish/completions/batcher.fish": "for fish",
    },
    parameters=[Argument("shell", "SHELL", "bash, zsh or fish", choices=SHELLS)],
    exit_codes={},
)
