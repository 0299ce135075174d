"""The command line: `batcher write`, `batcher demo`; one file a command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from signal import SIGINT
from typing import NoReturn

from batcher import __version__
from batcher.cli.output import NOT_DURABLE, WRONG_USAGE, echo, echo_warnings
from batcher.cli.signals import (
    SIGNAL_EXIT_BASE,
    STOPPED_MESSAGE,
    exit_on_interrupt,
    reraise_lost_interrupts,
)
from batcher.cli.stdio import run_with_stdio
from batcher.errors import BatcherError, SettingsError

COMMANDS = ("write", "ls", "cat", "verify", "replay", "plan", "check", "ddl", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    try:
        with exit_on_interrupt():
            arguments = _parser(given := sys.argv[1:] if argv is None else argv).parse_args(given)
        with echo_warnings(), reraise_lost_interrupts():
            return int(arguments.run(arguments))
    except SettingsError as error:
        echo("\n".join(["wrong usage or settings:", *(f"  - {fault}" for fault in error.faults)]))
        return WRONG_USAGE
    except BatcherError as error:
        echo(str(error))
        return NOT_DURABLE
    except KeyboardInterrupt:  # where a command has no answer of its own
        echo(STOPPED_MESSAGE)
        return SIGNAL_EXIT_BASE + SIGINT


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser, with the one command that is given, or all."""
    parser = argparse.ArgumentParser(
        prog="batcher",
        description="Many small records in; few, large, well-named objects in S3 out.",
        epilog="Exit: 0 done, 1 something is not durable, 2 wrong usage or settings, "
        "130 or 143 stopped by a signal after draining, 141 nobody reads standard output any more.",
    )
    parser.add_argument("--version", action="version", version=f"batcher {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    # The others are not imported for one command: 70 ms
    for name in given[:1] if given and given[0] in COMMANDS else COMMANDS:
        import_module(f"batcher.cli.{name}").add_parser(commands)
    return parser


def script() -> NoReturn:
    """Run the command line as a program, and end it.

    obstore's threads may still let go of Python's objects; an interpreter that is being taken down
    meanwhile aborts, now and then, after all is done. So nothing is taken down then.
    Source: https://github.com/PyO3/pyo3-async-runtimes/issues/40; 6 of 100 runs here.
    """
    code = run_with_stdio(main)
    if "obstore" in sys.modules:
        os._exit(code)
    sys.exit(code)
