"""`batcher replay`: quarantined records through the pipeline again, or back to an SQS queue."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from batcher.cli.options import (
    TIME_FORMATS,
    FaultCollector,
    add_setting_options,
    load_transform,
    settings_from,
)
from batcher.cli.output import DONE, NOT_DURABLE, echo, write_progress
from batcher.cli.signals import SIGNAL_EXIT_BASE, ShutdownSignals
from batcher.errors import BatcherError, SettingsError
from batcher.reading.sanitize import sanitize
from batcher.reading.times import parse_time_range
from batcher.records.bad_record import BadRecordReason
from batcher.stores import open_reader, open_store
from batcher.tools.formatting import format_size
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
    from batcher.tools.replay.sqs_client import SqsClient
    from batcher.tools.replay.target import ReplayTarget


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "replay",
        help="send quarantined records through the pipeline again, or back to a queue",
        description="Sends the records that stand in quarantine under a root through the pipeline "
        "again: those that can be written now are, each once, however often this is run and "
        "wherever it is stopped; those that are still bad stay, and are named. Every record that "
        "was replayed is marked where it stands, and nothing is deleted. What an earlier run has "
        "left half done is finished first, whatever is asked for. With --to-queue records become "
        "messages again, at least once: a crash between a message and its mark sends it twice. "
        "Give the settings, and the transform, that the handler has. Ctrl-C ends after the "
        "quarantine object in work; a second one at once, and the next run goes on from there.",
    )
    parser.add_argument("destination", help="s3://bucket/root or file://folder")
    which = parser.add_argument_group("which records")
    which.add_argument(
        "--reason",
        action="append",
        default=[],
        choices=[str(reason) for reason in BadRecordReason],
        metavar="REASON",
        help=f"only records that are bad for this reason, repeatable: {', '.join(BadRecordReason)}",
    )
    which.add_argument("--source", default="", help="only records of this source: sqs, kinesis, …")
    which.add_argument(
        "--since", metavar="TIME", help=f"only records that arrived then or later: {TIME_FORMATS}"
    )
    which.add_argument(
        "--until",
        metavar="TIME",
        help="only records that arrived before; as --since, and a date is its start",
    )
    parser.add_argument(
        "--transform",
        metavar="MODULE:FUNCTION",
        help="what makes a good record of each, as package.module:function",
    )
    parser.add_argument("--to-queue", metavar="URL", help="send to this SQS queue instead")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="begin anew what an earlier run began with other settings; make sure that it has "
        "ended, or records are written twice",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be replayed, by reason; do nothing"
    )
    add_setting_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = FaultCollector()
    with faults:
        wanted = _record_filter_from(arguments)
    with faults:
        settings = settings_from(arguments, arguments.destination, os.environ)
    with faults:
        transform = load_transform(arguments.transform) if arguments.transform else None
    with faults:
        _check_queue_url(arguments.to_queue)
    faults.raise_if_any()
    report = _ReplaySummary(dry_run=arguments.dry_run)
    command = _ReplayCommand(arguments, settings, wanted, transform, report)
    with asyncio.Runner() as runner:
        runner.run(command.run())
    report.show(arguments.destination, as_json=arguments.json)
    return report.exit_code


def _record_filter_from(arguments: argparse.Namespace) -> RecordFilter:
    """Read which records are wanted.

    Raises:
        SettingsError: a time is none.
    """
    span = parse_time_range(arguments.since or None, arguments.until or None, time.time())
    reasons = frozenset(arguments.reason)
    return RecordFilter(reasons, arguments.source, span.start_s, span.end_s)


def _check_queue_url(url: str | None) -> None:
    """Judge a queue's URL: records are marked for it before anything is sent.

    Raises:
        SettingsError: it cannot be one.
    """
    if url is not None and (why := queue_url_fault(url)):
        fault = f"to_queue: {why}"
        raise SettingsError([fault])


@dataclass(slots=True)
class _ReplaySummary:
    """What is told at the end."""

    dry_run: bool
    counts: Stats = field(default_factory=Stats)
    stats: ReplayStats = field(default_factory=ReplayStats)
    seconds: float = 0.0
    signal: int = 0

    @property
    def exit_code(self) -> int:
        """What the shell gets."""
        if self.stats.error_count:
            return NOT_DURABLE
        return SIGNAL_EXIT_BASE + self.signal if self.signal else DONE

    def show(self, destination: str, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON or the plan to standard output."""
        tally, counts = self.stats, self.counts
        for error in tally.errors:
            echo(f"error: {error}")
        if tally.error_count > len(tally.errors):
            echo(f"error: and {tally.error_count - len(tally.errors)} more")
        for named in tally.examples:
            echo(f"warning: still bad: {named}")
        left = tally.skipped.total()
        if left > len(tally.examples):
            more = left - len(tally.examples)
            echo(f"warning: and {more:,} more; {left:,} records stay in quarantine as they were")
        if as_json:
            print(orjson.dumps(self._as_dict()).decode())  # noqa: T201  # what it is for
        elif self.dry_run:
            for reason in sorted(tally.replayed | tally.skipped):
                would, stay = tally.replayed[reason], tally.skipped[reason]
                told = f"{would:>10,} would be replayed {stay:>10,} would stay bad"
                print(f"{sanitize(reason):<16} {told}")  # noqa: T201
            print("nothing was written, sent or marked")  # noqa: T201
        else:
            echo(
                f"{tally.replayed.total():,} records replayed under {destination}, "
                f"{counts.objects:,} objects, {format_size(counts.bytes_in)} in, "
                f"{format_size(counts.bytes_out)} out, {counts.filtered:,} left out by the "
                f"transform, {left:,} still bad, {tally.unfinished:,} unfinished; "
                f"{self.seconds:.1f} s"
            )

    def _as_dict(self) -> dict[str, object]:
        tally, counts = self.stats, self.counts
        return {
            "records": tally.replayed.total(),
            "objects": counts.objects,
            "bytes_in": counts.bytes_in,
            "bytes_out": counts.bytes_out,
            "quarantined": tally.skipped.total(),
            "failed": tally.unfinished,
            "left_out": counts.filtered,
            "by_reason": dict(tally.replayed),
            "still_bad": dict(tally.skipped),
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class _ReplayCommand:
    """One run of the command."""

    arguments: argparse.Namespace
    settings: Settings
    record_filter: RecordFilter
    transform: Transform | None
    summary: _ReplaySummary
    _replay: Replay | None = None
    _sqs_client: SqsClient | None = None

    async def run(self) -> None:
        """Replay until all is done or a signal comes; fill in the report."""
        told = "ending after the quarantine object in work; once more: at once"
        signals = ShutdownSignals(told, self._stop_after_object)
        started_s = time.monotonic()
        store, reader = open_store(self.settings), open_reader(self.settings)
        destination = self._open_target(store)
        means = ReplayContext(
            store,
            reader,
            destination,
            self.record_filter,
            self.settings.budget_bytes,
            restart=self.arguments.restart,
        )
        self._replay = Replay(means, self.settings.root, dry_run=self.arguments.dry_run)
        self.summary.stats, self.summary.counts = self._replay.stats, destination.counts
        try:
            await self._replay_all(self._replay, destination.counts)
        except asyncio.CancelledError:
            self._replay.stats.add_error("stopped by a second signal; the next run finishes it")
        except BatcherError as error:
            self._replay.stats.add_error(str(error))
        finally:
            signals.disable_cancel()
            for part in (destination, reader, store):
                await part.aclose()
            self.summary.seconds = time.monotonic() - started_s

    async def _replay_all(self, replay: Replay, counts: Stats) -> None:
        objects = await replay.list_objects()
        if self._sqs_client is not None and objects and not self.summary.dry_run:
            await (
                self._sqs_client.check_queue()
            )  # a queue that is not there is told before any mark
        total_bytes = sum(listed.size_bytes for listed in objects)
        with write_progress(counts, lambda: replay.read_bytes, total_bytes) as bar:
            bar.update("replaying")
            async for _ in replay.run(objects):
                bar.update()

    def _open_target(self, store: ObjectStore) -> ReplayTarget:
        if self.arguments.to_queue is None:
            return ObjectTarget(store, self.settings, self.transform)
        from batcher.tools.replay.sqs_client import SqsClient  # noqa: PLC0415  # half a second
        from batcher.tools.replay.to_sqs import QueueTarget  # noqa: PLC0415  # as above

        url = self.arguments.to_queue
        self._sqs_client = SqsClient(url)
        return QueueTarget(url, self._sqs_client, self.transform)

    def _stop_after_object(self, number: int) -> None:
        """End after the object in work, for a signal."""
        self.summary.signal = number
        if self._replay is not None:
            self._replay.stop()
