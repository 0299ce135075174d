"""The command line: `batcher write`, `batcher demo`; one file a command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from batcher import __version__
from batcher.cli.said import say
from batcher.errors import BatcherError, SettingsError

COMMANDS = ("write", "ls", "cat", "verify", "replay", "plan", "check", "ddl", "demo")
NOT_DURABLE, WRONG_USAGE = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    parser = argparse.ArgumentParser(
        prog="batcher",
        description="Many small records in; few, large, well-named objects in S3 out.",
        epilog="Exit: 0 done, 1 something is not durable, 2 wrong usage or settings, "
        "130 or 143 stopped by a signal after draining.",
    )
    parser.add_argument("--version", action="version", version=f"batcher {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    given = sys.argv[1:] if argv is None else argv
    # The others are not imported for one command: 70 ms
    for name in given[:1] if given and given[0] in COMMANDS else COMMANDS:
        import_module(f"batcher.cli.{name}").add_parser(commands)
    arguments = parser.parse_args(given)
    try:
        return int(arguments.run(arguments))
    except SettingsError as error:
        say(str(error))
        return WRONG_USAGE
    except BatcherError as error:
        say(str(error))
        return NOT_DURABLE


def script() -> NoReturn:
    """Run the command line as a program, and end it.

    obstore's threads may still let go of Python's objects; an interpreter that is being taken down
    meanwhile aborts, now and then, after all is done. So nothing is taken down then.
    Source: https://github.com/PyO3/pyo3-async-runtimes/issues/40; 6 of 100 runs here.
    """
    code = main()
    if "obstore" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
