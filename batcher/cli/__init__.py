"""The command line: `batcher write`, `batcher demo`, ...; one file per command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from signal import SIGINT
from typing import TYPE_CHECKING, NoReturn

import click

from batcher import __version__
from batcher.cli.command import (
    COMPLETION_VARIABLE,
    CONTEXT_SETTINGS,
    SIGNAL_EXIT_CODES,
    STANDARD_EXIT_CODES,
    Command,
    HelpContext,
    describe_help_option,
)
from batcher.cli.faults import did_you_mean, echo_usage_faults
from batcher.cli.output import WRONG_USAGE, echo
from batcher.cli.signals import (
    SIGNAL_EXIT_BASE,
    STOPPED_MESSAGE,
    exit_on_interrupt,
)
from batcher.cli.stdio import run_with_stdio

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "write": "write lines of files or standard input into objects",
    "ls": "list the objects under a root, in the order of time",
    "cat": "print the records of objects to standard output",
    "verify": "read objects back: complete, as described, without duplicate ranges",
    "replay": "write quarantined records again, or send them back to a queue",
    "plan": "compute objects, Lambda settings and costs per month, compared to Firehose",
    "check": "check settings, bucket, permissions, function and mapping",
    "ddl": "print a table definition over the objects: Athena, DuckDB, Spark, pyarrow",
    "demo": "run the Lambda handler on real events and show what it wrote",
    "completion": "print a script that completes commands and options in a shell",
}
"""Each command with its summary. The command is `COMMAND` in the module of its name."""


EXIT_CODES = {
    0: "done",
    1: "some records are not durable, or a command found problems",
    2: "wrong usage or settings",
    129: SIGNAL_EXIT_CODES[129],
    130: SIGNAL_EXIT_CODES[130],
    141: STANDARD_EXIT_CODES[141],
    143: SIGNAL_EXIT_CODES[143],
}
"""Exit codes of all commands, in short."""


class _CommandGroup(click.Group):
    """All commands. The module of a command is imported when the command runs."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        with exit_on_interrupt():
            command: Command = import_module(f"batcher.cli.{cmd_name}").COMMAND
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. `help COMMAND` is `COMMAND --help`."""
        if args[0] == "help":
            args = [*args[1:2], "--help"]
        if args[0] not in COMMANDS and not ctx.resilient_parsing and args[0] != "--help":
            fault = f"{args[0]}: no such command{did_you_mean(args[0], COMMANDS)}"
            raise click.UsageError(fault)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and the summaries."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        del ctx
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in EXIT_CODES.items()])
        formatter.write_paragraph()
        formatter.write_text("'batcher COMMAND --help' explains a command.")

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option, described as the others are."""
        return describe_help_option(super().get_help_option(ctx))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing any."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  # only while completing

        names = [
            CompletionItem(name, help=summary)
            for name, summary in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


GROUP = _CommandGroup(
    "batcher",
    help="Writes many small records as few large objects in S3.",
    context_settings=CONTEXT_SETTINGS,
)
click.version_option(__version__, message="batcher %(version)s", help="show the version")(GROUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Without arguments, print the help."""
    words = list(sys.argv[1:] if argv is None else argv)
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete  # noqa: PLC0415  # lazy

        return shell_complete(GROUP, {}, "batcher", COMPLETION_VARIABLE, instruction)
    try:
        with GROUP.make_context("batcher", words or ["--help"]) as context:
            return int(GROUP.invoke(context))
    except click.exceptions.Exit as done:  # after --help or --version
        return done.exit_code
    except click.NoSuchOption as error:
        options = [name for each in GROUP.get_params(error.ctx or context) for name in each.opts]
        fault = f"{error.option_name}: no such option{did_you_mean(error.option_name, options)}"
        if not fault.endswith("?"):
            fault += "; options come after the command"
        echo_usage_faults("batcher", [fault])
    except click.UsageError as error:
        echo_usage_faults("batcher", [error.message])
    except KeyboardInterrupt:  # in a command that does not handle it itself
        echo(STOPPED_MESSAGE, "error")
        return SIGNAL_EXIT_BASE + SIGINT
    return WRONG_USAGE


def script() -> NoReturn:
    """Run the command line as a program and exit the process.

    With obstore loaded, the process exits without finalizing the interpreter: obstore's threads may
    still release Python objects, and the finalizing interpreter then aborts the process although
    the command was done. This happened in 6 of 100 runs here.
    Source: https://github.com/PyO3/pyo3-async-runtimes/issues/40
    """
    code = run_with_stdio(main)
    if "obstore" in sys.modules:
        os._exit(code)
    sys.exit(code)
