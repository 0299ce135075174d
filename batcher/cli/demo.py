"""`batcher demo`: run the Lambda handler on real events and account for every record in S3."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from uuid import uuid4

from batcher.cli.command import SIGNAL_EXIT_CODES, Arguments, Command
from batcher.cli.output import DONE, echo
from batcher.cli.parameters import Option
from batcher.cli.profile import profile_option
from batcher.cli.signals import SIGNAL_EXIT_BASE, handle_stop_signals, signal_name
from batcher.errors import NotInstalledError, SettingsError
from batcher.tools.demo.seaweedfs import (
    INSTALL_HINT,
    EmbeddedS3,
    isolated_aws_environ,
)

BUCKET, ROOT = "batcher-demo", "webhooks"


RECORDS_UNACCOUNTED = 1
"""Exit code: some records are missing or duplicated in the bucket."""


EXTRAS = {"boto3", "botocore", "duckdb", "rich"}
"""Packages of the extra `demo`."""


def run(arguments: Arguments) -> int:
    """Run the demo and return its exit code."""
    _check_endpoint(arguments)
    received: list[int] = []
    is_running = True

    def interrupt(number: int, _: FrameType | None) -> None:
        """Handle a signal that would kill the process like Ctrl-C, so that the server is stopped.

        The clean-up, which stops the server and removes files, is not interrupted.
        """
        received.append(number)
        if is_running:
            # asyncio would log the interrupted task with a traceback, as for a bug
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise KeyboardInterrupt

    try:
        with handle_stop_signals(interrupt), ExitStack() as exits:
            try:
                code = _run(arguments, exits)
            finally:
                is_running = False
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:
            raise
        message = f"the demo needs the package {package}: {INSTALL_HINT}"
        raise NotInstalledError(message) from error
    except KeyboardInterrupt:
        received = received or [signal.SIGINT]
    if received:
        echo(f"stopped by {signal_name(received[0])}")
        return SIGNAL_EXIT_BASE + received[0]
    return code


def _run(arguments: Arguments, exits: ExitStack) -> int:
    from rich.console import Console  # noqa: PLC0415  # an extra

    from batcher.tools.demo.audit import Bucket  # noqa: PLC0415  # needs an extra
    from batcher.tools.demo.run import OTHER_ENGINE, SOURCES, has_other_engine, run_source  # noqa: PLC0415
    from batcher.tools.demo.show import print_introduction, print_outcomes, status_updates  # noqa: PLC0415

    console = Console()
    logging.getLogger("batcher").handlers = [logging.NullHandler()]  # the tables show all of it
    folder = Path(tempfile.mkdtemp(prefix="batcher-demo-"))
    if not arguments.keep:
        exits.callback(shutil.rmtree, folder, ignore_errors=True)
    name, root = exits.enter_context(_destination(arguments))
    print_introduction(console, name, root, arguments.s3)
    bucket = Bucket(name)
    exits.callback(bucket.close)
    with status_updates(Console(stderr=True)) as update_status:
        run_one = partial(run_source, bucket=bucket, folder=folder, on_progress=update_status)
        outcomes = [run_one(each, root=f"{root}/{each.name.lower()}") for each in SOURCES]
        other_root = f"{root}/{OTHER_ENGINE}"
        others = [
            run_one(each, root=f"{other_root}/{each.name.lower()}", engine=OTHER_ENGINE)
            for each in SOURCES * has_other_engine()
        ]
    is_complete = print_outcomes(outcomes, others, console)
    if arguments.keep:
        console.print(f"The files that were read back are in {folder}", soft_wrap=True)
    return DONE if is_complete else RECORDS_UNACCOUNTED


@contextmanager
def _destination(arguments: Arguments) -> Iterator[tuple[str, str]]:
    """Yield a bucket and an empty root, with the environment set to reach them."""
    if arguments.s3 is None:
        with EmbeddedS3() as server, isolated_aws_environ(server.environ):
            name = arguments.bucket or BUCKET
            server.create_bucket(name)
            yield name, ROOT
        return
    aws_environ = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with isolated_aws_environ(aws_environ | {"AWS_ENDPOINT_URL_S3": arguments.s3}):
        yield arguments.bucket, f"{ROOT}-{uuid4()}"


def _check_endpoint(arguments: Arguments) -> None:
    """Check the options.

    Raises:
        SettingsError: with every fault.
    """
    s3 = arguments.s3
    with arguments.faults:
        if s3 is not None and not arguments.bucket:
            raise SettingsError(["--s3: needs a bucket; pass --bucket with one that exists"])
    with arguments.faults:
        if s3 is not None and not s3.startswith(("http://", "https://")):
            fault = f"--s3: {s3!r} is not an endpoint; expected one such as https://host"
            raise SettingsError([fault])
    arguments.faults.raise_if_any()


COMMAND = Command(
    run,
    description="Sends some thousand real GitHub webhooks through the Lambda handler, as SQS "
    "and as Kinesis events, into an S3 server that runs for the duration of the demo. A bad "
    "record, a failing PUT and a redelivered event are among them. Then reads the bucket back "
    "with DuckDB and compares it record by record. If aioboto3 is installed, the same events "
    "go through that engine as well, and must become the same objects. Needs no network and "
    "no AWS account.",
    examples={
        "batcher demo": "run it with a server of its own",
        "batcher demo --s3 https://s3.eu-central-1.amazonaws.com \\\n    --bucket my-bucket": (
            "run it with your bucket"
        ),
    },
    parameters=[
        Option(
            "--s3",
            "URL",
            "use the S3 at this endpoint, with your own AWS credentials; objects are written "
            "under a new root, and nothing is deleted",
        ),
        Option("--bucket", "NAME", f"the bucket; must exist with --s3 (default: {BUCKET})"),
        Option("--keep", help="keep the files that were read back, and print where", is_flag=True),
        profile_option(),
    ],
    exit_codes={
        0: "every record is accounted for",
        1: "some are not",
        2: "wrong usage, or a package is not installed",
    }
    | SIGNAL_EXIT_CODES,
)
