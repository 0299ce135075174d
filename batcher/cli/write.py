"""`batcher write`: write lines of files or standard input into objects."""

from __future__ import annotations

import os
import shlex

import click

from batcher.batcher import Batcher
from batcher.cli.command import SIGNAL_EXIT_CODES, Arguments, Command
from batcher.cli.dry_run import DryRunStore, describe_dry_run, env_names
from batcher.cli.durable_objects import DurableObjects
from batcher.cli.inputs.bucket_objects import destination_settings
from batcher.cli.inputs.expand_inputs import Expansion, expand_inputs
from batcher.cli.inputs.input import S3_SCHEME, is_stdin_pipe
from batcher.cli.inputs.skip_to import find_skipped, parse_skip_to
from batcher.cli.line_writer import LineWriter
from batcher.cli.options import (
    destination_argument,
    json_option,
    settings_from,
    writer_options,
)
from batcher.cli.output import echo
from batcher.cli.parameters import Argument, Option
from batcher.cli.signals import ShutdownSignals, exit_on_interrupt, run_in_loop
from batcher.cli.write_summary import WriteSummary
from batcher.errors import SettingsError
from batcher.reading.sanitize import sanitize
from batcher.settings import Settings
from batcher.stores.location import format_url
from batcher.tools.formatting import format_count

DRAINING_MESSAGE = "writing what was read; repeat after a second to drop it"


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    settings: Settings | None = None
    first_name, first_line = "", 1
    inputs = Expansion()
    with faults:
        # The one argument that is given may be an input
        destination = arguments.destination if arguments.inputs else None
        settings = settings_from(arguments, destination, os.environ)
    with faults:
        first_name, first_line = parse_skip_to(arguments.skip_to)
    words = arguments.inputs
    is_word = bool(first_name) and words.count(first_name) == 1
    with faults:
        done = words.index(first_name) if is_word else 0
        inputs = expand_inputs(words, settings, done=done)
    faults.raise_if_any()
    assert settings is not None  # noqa: S101  # else there is a fault
    names = [source.name for source in inputs.sources]
    first_index = find_skipped(first_name, names, inputs.errors)
    if arguments.skip_to:  # it shows if files have come before it since
        skipped = [format_count(first_index, "file")] * bool(first_index)
        skipped += [format_count(first_line - 1, "line")] * (first_line > 1)
        echo(f"continuing at {arguments.skip_to}; not read: {' and '.join(skipped) or 'nothing'}")
    if settings.partition_by and "{" not in settings.partition_by:
        echo(
            f"warning: partition_by: {settings.partition_by!r} has no placeholder, so that all "
            "records go to one folder; did you mean dt={arrival:%Y-%m-%d} or name={field:name}?"
        )
    dry_store = DryRunStore() if arguments.dry_run else None
    summary = WriteSummary(
        format_url(settings.bucket, settings.root),
        given_destination=arguments.destination,
        is_dry_run=arguments.dry_run,
        objects=DurableObjects(settings.partition_by, is_dry_run=arguments.dry_run),
        errors=inputs.errors,
        skipped=inputs.skipped,
        skipped_names=inputs.skipped_names,
    )
    with exit_on_interrupt():  # imports the S3 client
        skip_to = first_index, first_line
        has_buckets = any(word.startswith(S3_SCHEME) for word in words)
        writer_settings = destination_settings(settings) if has_buckets else settings
        batcher = Batcher(writer_settings, store=dry_store)
        writer = LineWriter(batcher, settings, inputs.sources, skip_to, summary)

    async def write_and_report() -> None:
        with ShutdownSignals(DRAINING_MESSAGE, writer.stop) as signals:
            await writer.run(signals)
            if writer.missing_place:
                return
            if dry_store is not None:
                given = {*arguments.settings, *env_names(os.environ)}
                text = describe_dry_run(dry_store, settings, given)
                if arguments.json:
                    echo(text)
                else:
                    print(sanitize(text))  # noqa: T201  # what a command line is for
            summary.show(as_json=arguments.json)

    run_in_loop(write_and_report())
    if writer.missing_place:
        raise SettingsError([f"skip_to: {writer.missing_place}; nothing was written"])
    return summary.exit_code


class _Inputs(Argument):
    """The inputs. With one argument alone it is the destination that was forgotten."""

    def find_faults(self, value: object, *, check_needed: bool) -> list[str]:
        """See `Argument.find_faults`."""
        context = click.get_current_context(silent=True)
        given = context.params.get("destination") if context else None
        if value or not check_needed or given is None:
            return super().find_faults(value, check_needed=check_needed)
        quoted = shlex.quote(given)
        hint = f"batcher write {quoted} DESTINATION"
        if is_stdin_pipe():
            hint = f"batcher write - {quoted} for standard input, or {hint}"
        return [f"DESTINATION: missing, as only one argument is given; write {hint}"]


COMMAND = Command(
    run,
    description="Writes lines of files, folders, objects of S3 or standard input (plain, gzip or "
    "zstd) into few large objects. Folders and s3:// prefixes that end with a slash are read with "
    "all that is below them, in the order of names, except names that start with '.' or '_'. "
    "Blank lines are skipped. Bad lines are quarantined and reported; with --on-bad-record fail "
    "the good lines are written as well. Writing an input again writes its records "
    "again, under fresh keys. Ctrl-C and "
    "other signals that would end the command stop reading and write what was read; Ctrl-C, "
    "SIGTERM or SIGQUIT after a second or more drops it. Where reading stopped "
    "before the end is printed, and --skip-to continues there. If lines are not durable, the "
    "commands that write them are printed.",
    examples={
        "batcher write events.ndjson.gz s3://my-bucket/events": "write the lines of a file",
        "batcher write 's3://logs/2026-*' s3://my-bucket/events": (
            "write the lines of all objects that match"
        ),
        "my-program | batcher write - s3://my-bucket/logs \\\n    --format lines --linger-s 30": (
            "write lines as they are, as they come"
        ),
    },
    parameters=[
        _Inputs(
            "inputs",
            metavar="INPUT...",
            description="a file, a folder, s3://bucket/key, s3://bucket/prefix/, a pattern such as "
            "'logs/**/*.gz' or 's3://bucket/*.gz', or - for standard input; one or more. * matches "
            "within a folder, ** folders of any depth",
            nargs=-1,
            completes="file",
        ),
        destination_argument(),
        Option(
            "--skip-to",
            metavar="FILE:LINE",
            completes="file",
            help="continue a run that stopped reading there: skip the files before FILE and the "
            "lines before LINE; pass the same inputs again",
        ),
        json_option("one line of JSON at the end"),
        Option(
            "--dry-run",
            is_flag=True,
            help="read and check the input, write nothing, print what would be written",
        ),
        *writer_options(),
    ],
    exit_codes=SIGNAL_EXIT_CODES
    | {
        1: "some records are not durable, also because a second Ctrl-C dropped them, or no line of "
        "an input was usable"
    },
    permissions="s3:PutObject and s3:GetObject on the root, s3:AbortMultipartUpload for large "
    "objects. Inputs of S3 need s3:GetObject, prefixes and patterns s3:ListBucket as well.",
)
