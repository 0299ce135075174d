"""The command line: `batcher write`, `batcher demo`, ...; one file per command."""

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
from batcher.errors import BatcherError, NotInstalledError, SettingsError

COMMANDS = ("write", "ls", "cat", "verify", "replay", "plan", "check", "ddl", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = _join_skip_to(sys.argv[1:] if argv is None else argv)
    try:
        with exit_on_interrupt():
            arguments = _make_parser(words).parse_args(words)
        with echo_warnings(), reraise_lost_interrupts():
            return int(arguments.run(arguments))
    except SettingsError as error:
        echo("\n".join(["wrong usage or settings:", *(f"  - {fault}" for fault in error.faults)]))
        return WRONG_USAGE
    except NotInstalledError as error:
        echo(str(error))
        return WRONG_USAGE
    except BatcherError as error:
        echo(str(error))
        return NOT_DURABLE
    except KeyboardInterrupt:  # in a command that does not handle it itself
        echo(STOPPED_MESSAGE)
        return SIGNAL_EXIT_BASE + SIGINT


def _join_skip_to(words: Sequence[str]) -> list[str]:
    """Join `--skip-to` and a value such as `-:7`, which argparse takes for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--skip-to":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Create the parser with the command that `words` starts with, or with all commands."""
    parser = argparse.ArgumentParser(
        prog="batcher",
        description="Writes many small records as few large objects in S3.",
        epilog="Exit codes: 0: done. 1: some records are not durable, or no line of an input was "
        "usable. 2: wrong usage or settings. "
        "129, 130, 143: stopped by SIGHUP, SIGINT or SIGTERM, after draining; other signals in the "
        "same way, by 128 plus their number. "
        "141: standard output was closed (SIGPIPE).",
    )
    parser.add_argument("--version", action="version", version=f"batcher {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    # Importing only the command that runs saves 70 ms
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        import_module(f"batcher.cli.{name}").add_parser(commands)
    return parser


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
