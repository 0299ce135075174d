"""`batcher demo`: the Lambda handler on real events, into a real S3, every record accounted for."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from uuid import uuid4

from batcher.cli.output import DONE, WRONG_USAGE
from batcher.cli.signals import SIGNAL_EXIT_BASE, can_handle_signals
from batcher.errors import BatcherError
from batcher.tools.demo.seaweedfs import (
    INSTALL_HINT,
    EmbeddedS3,
    NotInstalledError,
    isolated_aws_environ,
)

BUCKET, ROOT = "batcher-demo", "webhooks"


RECORDS_UNACCOUNTED = 1


EXTRAS = {"rich", "duckdb"}


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "demo",
        help="run the Lambda handler on real events and show what landed",
        description="Sends some thousand real GitHub webhooks, as SQS and as Kinesis events, "
        "through the Lambda handler into an S3 server that it starts for the time, with a bad "
        "record, a failing PUT and a repeated event among them; then reads the bucket back with "
        "DuckDB and compares record for record. Needs no network and no AWS account.",
        epilog="Exit: 0 every record is accounted for, 1 not so, 2 wrong usage or something is "
        "not installed, 130 or 143 stopped by a signal.",
    )
    parser.add_argument(
        "--s3",
        metavar="URL",
        help="use the S3 at this endpoint, with your own AWS credentials; objects are written "
        "under a fresh root, nothing is deleted",
    )
    parser.add_argument(
        "--bucket", metavar="NAME", help=f"the bucket; must exist with --s3 (default: {BUCKET})"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep what was read back, as files, and say where"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; give its exit code."""
    stopped_by: list[signal.Signals] = []
    try:
        with _interrupted_by_signals(stopped_by), ExitStack() as exits:
            try:
                code = _run(arguments, exits)
            finally:
                _record_signals_only(stopped_by)
        if not stopped_by:
            return code
        message, code = _stop_message(stopped_by)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:
            raise
        message, code = f"the demo needs the package {package}: {INSTALL_HINT}", WRONG_USAGE
    except (NotInstalledError, _UsageError) as error:
        message, code = str(error), WRONG_USAGE
    except BatcherError as error:
        message, code = str(error), RECORDS_UNACCOUNTED
    except KeyboardInterrupt:
        message, code = _stop_message(stopped_by)
    print(f"batcher demo: {message}", file=sys.stderr)  # noqa: T201  # what a command line is for
    return code


def _run(arguments: argparse.Namespace, exits: ExitStack) -> int:
    from rich.console import Console  # noqa: PLC0415  # an extra

    from batcher.tools.demo.audit import Bucket  # noqa: PLC0415  # needs an extra
    from batcher.tools.demo.run import SOURCES, run_source  # noqa: PLC0415
    from batcher.tools.demo.show import print_introduction, print_outcomes, status_updates  # noqa: PLC0415

    console = Console()
    logging.getLogger("batcher").handlers = [logging.NullHandler()]  # the tables tell it
    folder = Path(tempfile.mkdtemp(prefix="batcher-demo-"))
    if not arguments.keep:
        exits.callback(shutil.rmtree, folder, ignore_errors=True)
    name, root = exits.enter_context(_destination(arguments))
    print_introduction(console, name, root, arguments.s3)
    bucket = Bucket(name)
    exits.callback(bucket.close)
    with status_updates(Console(stderr=True)) as say:
        outcomes = [
            run_source(source, bucket, f"{root}/{source.name.lower()}", folder, say)
            for source in SOURCES
        ]
    is_whole = print_outcomes(outcomes, console)
    if arguments.keep:
        console.print(f"What was read back is kept in {folder}", soft_wrap=True)
    return DONE if is_whole else RECORDS_UNACCOUNTED


@contextmanager
def _destination(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Return a bucket and a root where nothing is, with the environment set to reach them."""
    if arguments.s3 is None:
        with EmbeddedS3() as server, isolated_aws_environ(server.environ):
            name = arguments.bucket or BUCKET
            server.create_bucket(name)
            yield name, ROOT
        return
    if not arguments.bucket:
        msg = "--s3 needs --bucket, a bucket that is there"
        raise _UsageError(msg)
    if not arguments.s3.startswith(("http://", "https://")):
        msg = f"--s3 is an endpoint such as https://host, not {arguments.s3!r}"
        raise _UsageError(msg)
    own = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with isolated_aws_environ(own | {"AWS_ENDPOINT_URL_S3": arguments.s3}):
        yield arguments.bucket, f"{ROOT}-{uuid4()}"


class _UsageError(BatcherError):
    """The command line cannot be meant."""


def _stop_message(by: list[signal.Signals]) -> tuple[str, int]:
    """Return what is said, and the exit code."""
    number = by[0] if by else signal.SIGINT
    return f"stopped by {number.name}", SIGNAL_EXIT_BASE + number


def _record_signals_only(stopped_by: list[signal.Signals]) -> None:
    """Let signals interrupt nothing any more: the server is stopped and files are removed.

    Args:
        stopped_by: the signal is appended.
    """
    if can_handle_signals():
        for number in STOP_SIGNALS:
            signal.signal(number, lambda number, _: stopped_by.append(signal.Signals(number)))


@contextmanager
def _interrupted_by_signals(stopped_by: list[signal.Signals]) -> Iterator[None]:
    """Let signals that would end the process at once be as Ctrl-C is: a server is running.

    Ctrl-C is what the handler's event loop unwinds cleanly.

    Args:
        stopped_by: the signal is appended.
    """
    if not can_handle_signals():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        stopped_by.append(signal.Signals(number))
        signal.raise_signal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        stopped_by[:] = stopped_by or [signal.SIGINT]
        # The task in which it is raised would tell of it at length, as of a bug
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        signal.default_int_handler(number, frame)

    # SIGINT is ignored in what a script has started with `&`, but SIGTERM needs it
    before = {
        number: signal.signal(number, interrupt if number == signal.SIGINT else stop)
        for number in STOP_SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
