"""`batcher replay`: write quarantined records again, or send them back to an SQS queue."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batcher.cli.command import SIGNAL_EXIT_CODES, Arguments, Command
from batcher.cli.existing_partitions import describe_partitions, find_other_partitions
from batcher.cli.json_output import print_json
from batcher.cli.load_transform import load_transform
from batcher.cli.options import (
    TIME_FORMATS,
    destination_argument,
    existing_settings,
    json_option,
    writer_options,
)
from batcher.cli.output import DONE, NOT_DURABLE, echo
from batcher.cli.parameters import Option
from batcher.cli.progress import write_progress
from batcher.cli.signals import SIGNAL_EXIT_BASE, ShutdownSignals, run_in_loop
from batcher.errors import BatcherError, SettingsError
from batcher.reading.sanitize import sanitize
from batcher.reading.times import parse_time_range
from batcher.records.bad_record import BadRecordReason
from batcher.settings import require_conditional_writes
from batcher.stores import open_reader, open_store
from batcher.stores.location import format_url
from batcher.tools.formatting import format_count, format_size
from batcher.tools.replay.job import ReplayContext
from batcher.tools.replay.marks import RecordFilter
from batcher.tools.replay.replay import Replay, ReplayStats
from batcher.tools.replay.sqs_message import queue_url_fault
from batcher.tools.replay.to_objects import ObjectTarget
from batcher.writing.stats import Stats

if TYPE_CHECKING:
    from batcher.batching.validation import Transform
    from batcher.settings import Settings
    from batcher.stores import ObjectStore
    from batcher.stores.base import ObjectReader
    from batcher.tools.replay.sqs_client import SqsClient
    from batcher.tools.replay.target import ReplayTarget


def run(arguments: Arguments) -> int:
    """Run the command and return its exit code."""
    faults = arguments.faults
    with faults:
        record_filter = _record_filter_from(arguments)
    with faults:
        settings = existing_settings(arguments, arguments.destination, os.environ)
        require_conditional_writes(settings)
    with faults:
        transform = load_transform(arguments.transform) if arguments.transform else None
    with faults:
        _check_queue_url(arguments.to_queue)
    faults.raise_if_any()
    summary = _ReplaySummary(dry_run=arguments.dry_run)
    command = _ReplayCommand(arguments, settings, record_filter, transform, summary)
    message = "ending after the current quarantine object; repeat after a second to end at once"

    async def replay_and_report() -> None:
        with ShutdownSignals(message, command.stop_after_object) as signals:
            await command.run(signals)
            summary.show(format_url(settings.bucket, settings.root), as_json=arguments.json)

    run_in_loop(replay_and_report())
    return summary.exit_code


def _record_filter_from(arguments: Arguments) -> RecordFilter:
    """Parse the options that select records.

    Raises:
        SettingsError: `--since` or `--until` is not a time.
    """
    time_range = parse_time_range(arguments.since or None, arguments.until or None, time.time())
    reasons = frozenset(arguments.reason)
    return RecordFilter(reasons, arguments.source or "", time_range.start_s, time_range.end_s)


def _check_queue_url(url: str | None) -> None:
    """Check the URL of a queue, before records are marked as sent to it.

    Raises:
        SettingsError: it is not the URL of a queue.
    """
    if url is not None and (problem := queue_url_fault(url)):
        fault = f"to_queue: {problem}"
        raise SettingsError([fault])


@dataclass(slots=True)
class _ReplaySummary:
    """The result of a run, as it is printed at the end."""

    dry_run: bool
    write_stats: Stats = field(default_factory=Stats)
    """Counts of the objects written. Empty with `--to-queue`."""
    stats: ReplayStats = field(default_factory=ReplayStats)
    """Counts of the quarantined records."""
    seconds: float = 0.0
    partitions: str = ""
    """Where records go, or nothing."""
    signal: int = 0
    """Number of the first signal received, or 0."""

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        if self.stats.error_count:
            return NOT_DURABLE
        return SIGNAL_EXIT_BASE + self.signal if self.signal else DONE

    def show(self, destination: str, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON or the plan to standard output."""
        stats, write_stats = self.stats, self.write_stats
        for error in stats.errors:
            echo(f"error: {error}")
        if stats.error_count > len(stats.errors):
            echo(f"error: and {stats.error_count - len(stats.errors)} more")
        for example in stats.examples:
            echo(f"warning: still bad: {example}")
        skipped = stats.skipped.total()
        if skipped > len(stats.examples):
            echo(
                f"warning: and {skipped - len(stats.examples):,} more; "
                f"{format_count(skipped, 'record')} unchanged in quarantine"
            )
        if self.dry_run and stats.left_out and not stats.replayed:
            echo(
                "warning: the transform returned None for every record, which leaves it out; "
                "without --leave-all-out, a run refuses this; does it return what to write?"
            )
        if as_json:
            print_json([self._as_dict()])
        elif self.dry_run:
            self._print_plan()
        else:
            if self.partitions:
                echo(self.partitions)
            echo(
                f"{format_count(stats.replayed.total(), 'record')} replayed under {destination}, "
                f"{format_count(write_stats.objects, 'object')}, "
                f"{format_size(write_stats.bytes_in)} in, "
                f"{format_size(write_stats.bytes_out)} out, "
                f"{stats.left_out.total():,} left out by the transform, {skipped:,} still bad, "
                f"{stats.unfinished:,} unfinished; {self.seconds:.1f} s"
            )

    def _print_plan(self) -> None:
        """Print what a run would do, by reason."""
        stats = self.stats
        for reason in sorted(stats.replayed | stats.left_out | stats.skipped):
            figures = f"{stats.replayed[reason]:>10,} would be replayed"
            if stats.left_out:
                figures += f" {stats.left_out[reason]:>10,} would be left out"
            figures += f" {stats.skipped[reason]:>10,} would stay bad"
            print(f"{sanitize(reason):<16} {figures}")  # noqa: T201
        if not stats.replayed | stats.left_out | stats.skipped and not stats.error_count:
            print("0 open records are selected: there is nothing to replay")  # noqa: T201
        if self.partitions:
            print(self.partitions)  # noqa: T201
        print("nothing was written, sent or marked")  # noqa: T201

    def _as_dict(self) -> dict[str, object]:
        stats, write_stats = self.stats, self.write_stats
        return {
            "records": stats.replayed.total(),
            "objects": write_stats.objects,
            "bytes_in": write_stats.bytes_in,
            "bytes_out": write_stats.bytes_out,
            "quarantined": stats.skipped.total(),
            "failed": stats.unfinished,
            "left_out": stats.left_out.total(),
            "records_by_reason": dict(stats.replayed),
            "quarantined_by_reason": dict(stats.skipped),
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class _ReplayCommand:
    """One run of the command."""

    arguments: Arguments
    settings: Settings
    record_filter: RecordFilter
    transform: Transform | None
    summary: _ReplaySummary
    _replay: Replay | None = None
    _sqs_client: SqsClient | None = None

    async def run(self, signals: ShutdownSignals) -> None:
        """Replay until everything is done or a signal arrives, and fill in the summary."""
        started_s = time.monotonic()
        store, reader = open_store(self.settings), open_reader(self.settings)
        target = self._open_target(store)
        context = ReplayContext(
            store,
            reader,
            target,
            self.record_filter,
            self.settings.budget_bytes,
            restart=self.arguments.restart,
        )
        self._replay = Replay(
            context,
            self.settings.root,
            dry_run=self.arguments.dry_run,
            may_leave_all_out=self.arguments.leave_all_out,
        )
        self.summary.stats, self.summary.write_stats = self._replay.stats, target.counts
        try:
            await self._replay_all(self._replay, target.counts, reader)
        except asyncio.CancelledError:
            self._replay.stats.add_error("stopped by a second signal; the next run continues")
        except BatcherError as error:
            self._replay.stats.add_error(str(error))
        finally:
            if isinstance(target, ObjectTarget):
                self.summary.partitions = self._describe_folders(target)
            signals.disable_cancel()
            for resource in (target, reader, store):
                await resource.aclose()
            self.summary.seconds = time.monotonic() - started_s

    def _describe_folders(self, target: ObjectTarget) -> str:
        """Return where records go, or nothing if none does."""
        if not target.partitions:
            return ""
        more = ", …" if target.has_more_partitions else ""
        folders = describe_partitions(list(target.partitions))
        return f"folders: {folders}{more} (partition_by: {self.settings.partition_by or 'none'})"

    async def _warn_of_other_partitions(self, reader: ObjectReader) -> None:
        """Warn if the objects under the root have folders that these settings do not make."""
        settings = self.settings
        with suppress(BatcherError):  # who may list the quarantine may not list all
            if others := await find_other_partitions(reader, settings.root, settings.partition_by):
                echo(
                    f"warning: partition_by: objects are in folders such as "
                    f"{describe_partitions(others)}, which "
                    f"{settings.partition_by or 'no folders'!r} does not make; pass the "
                    "partition_by of their writer, unless it was changed since"
                )

    async def _replay_all(self, replay: Replay, write_stats: Stats, reader: ObjectReader) -> None:
        objects = await replay.list_objects()
        if not objects:
            place = format_url(self.settings.bucket, self.settings.root)
            echo(f"warning: no quarantine objects found under {place}")
        elif self._sqs_client is None:
            await self._warn_of_other_partitions(reader)
        if self._sqs_client is not None and objects and not self.summary.dry_run:
            await self._sqs_client.check_queue()  # before any record is marked
        total_bytes = sum(entry.size_bytes for entry in objects)
        progress = write_progress(write_stats, lambda: replay.read_bytes, lambda: total_bytes)
        with progress:
            progress.update("replaying")
            async for _ in replay.run(objects):
                progress.update()

    def _open_target(self, store: ObjectStore) -> ReplayTarget:
        if self.arguments.to_queue is None:
            return ObjectTarget(store, self.settings, self.transform)
        from batcher.tools.replay.sqs_client import SqsClient  # noqa: PLC0415  # half a second
        from batcher.tools.replay.to_sqs import QueueTarget  # noqa: PLC0415  # as above

        url = self.arguments.to_queue
        self._sqs_client = SqsClient(url)
        return QueueTarget(url, self._sqs_client, self.transform)

    def stop_after_object(self, number: int) -> None:
        """End the replay after the current object, because of signal `number`."""
        self.summary.signal = number
        if self._replay is not None:
            self._replay.stop()


def _filter_options() -> list[Option]:
    group = "Which records"
    reasons = [str(reason) for reason in BadRecordReason]
    reason = f"only records that are bad for this reason, repeatable: {', '.join(reasons)}"
    source = "only records of this source: sqs, kinesis, …"
    since = f"only records that arrived then or later: {TIME_FORMATS}"
    until = "only records that arrived before that; as --since, a date is the start of its day"
    return [
        Option("--reason", "REASON", reason, choices=reasons, multiple=True, group=group),
        Option("--source", "SOURCE", source, group=group),
        Option("--since", "TIME", since, group=group),
        Option("--until", "TIME", until, group=group),
    ]


COMMAND = Command(
    run,
    description="Writes the quarantined records under a root again. Records that are good now "
    "are written once each, however often the command runs and wherever it is stopped. "
    "Records that are still bad stay in quarantine and are reported. Replayed records are "
    "marked in their quarantine object, and nothing is deleted. Replay first finishes what an "
    "earlier run left incomplete, whatever the options say. With --to-queue, records are sent "
    "as messages, at least once: after a crash between a message and its mark, the next run "
    "sends it again. Pass the settings and the transform of the handler. Ctrl-C ends the "
    "command after the current quarantine object, a second Ctrl-C at once; the next run "
    "continues there.",
    examples={
        "batcher replay s3://my-bucket/events --dry-run": "count what could be replayed",
        "batcher replay s3://my-bucket/events --since 1d \\\n    --transform fixes:repair": (
            "repair the bad records of the last day with a function, and write them"
        ),
    },
    parameters=[
        destination_argument(),
        *_filter_options(),
        Option(
            "--transform",
            "MODULE:FUNCTION",
            "apply this function to each record, as package.module:function: it takes bytes, and "
            "returns bytes, str or a dict to write, or None to leave the record out. "
            "Such as fixes:repair for fixes.py with: def repair(record): return {'text': "
            "record.decode()}",
        ),
        Option(
            "--leave-all-out",
            help="mark the records as done even if the transform returns None for every one; "
            "without it that is refused, as its return was probably forgotten",
            is_flag=True,
        ),
        Option("--to-queue", "URL", "send records to this SQS queue instead"),
        Option(
            "--restart",
            is_flag=True,
            help="start over what an earlier run began with other settings; make sure that it has "
            "ended, or records are written twice",
        ),
        json_option("one line of JSON at the end"),
        Option(
            "--dry-run",
            help="print what would be replayed, by reason, and into which folders",
            is_flag=True,
        ),
        *writer_options(),
    ],
    exit_codes=SIGNAL_EXIT_CODES | {1: "some records are not durable, or were not sent"},
    permissions="s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on the root; with "
    "--to-queue sqs:SendMessage and sqs:GetQueueAttributes on the queue.",
)
