"""`batcher replay`: quarantined records through the pipeline again, or back to an SQS queue."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from batcher.cli.options import A_TIME, Faults, add_settings, load_transform, settings_from
from batcher.cli.output import DONE, NOT_DURABLE, progress, say
from batcher.cli.signals import SIGNALLED, TwoSignals
from batcher.errors import BatcherError, SettingsError
from batcher.reading.sanitize import shown
from batcher.reading.times import span_between
from batcher.records.bad_record import Reason
from batcher.stores import open_reader, open_store
from batcher.tools.formatting import show_size
from batcher.tools.replay.job import Means
from batcher.tools.replay.marks import Wanted
from batcher.tools.replay.replay import Replay, Tally
from batcher.tools.replay.sqs_message import why_no_queue
from batcher.tools.replay.to_objects import Objects
from batcher.writing.stats import Counts

if TYPE_CHECKING:
    from batcher.batching.validation import Transform
    from batcher.settings import Settings
    from batcher.stores import ObjectStore
    from batcher.tools.replay.target import Destination
    from batcher.tools.replay.to_sqs import SqsClient


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
        choices=[str(reason) for reason in Reason],
        metavar="REASON",
        help=f"only records that are bad for this reason, repeatable: {', '.join(Reason)}",
    )
    which.add_argument("--source", default="", help="only records of this source: sqs, kinesis, …")
    which.add_argument(
        "--since", metavar="TIME", help=f"only records that arrived then or later: {A_TIME}"
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
    add_settings(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    faults = Faults()
    with faults:
        wanted = _wanted(arguments)
    with faults:
        settings = settings_from(arguments, arguments.destination, os.environ)
    with faults:
        transform = load_transform(arguments.transform) if arguments.transform else None
    with faults:
        _refuse_no_queue(arguments.to_queue)
    faults.tell()
    report = _Report(is_dry=arguments.dry_run)
    command = _Command(arguments, settings, wanted, transform, report)
    with asyncio.Runner() as runner:
        runner.run(command.run())
    report.show(arguments.destination, as_json=arguments.json)
    return report.exit_code


def _wanted(arguments: argparse.Namespace) -> Wanted:
    """Read which records are wanted.

    Raises:
        SettingsError: a time is none.
    """
    span = span_between(arguments.since or None, arguments.until or None, time.time())
    reasons = frozenset(arguments.reason)
    return Wanted(reasons, arguments.source, span.start_s, span.end_s)


def _refuse_no_queue(url: str | None) -> None:
    """Judge a queue's URL: records are marked for it before anything is sent.

    Raises:
        SettingsError: it cannot be one.
    """
    if url is not None and (why := why_no_queue(url)):
        fault = f"to_queue: {why}"
        raise SettingsError([fault])


@dataclass(slots=True)
class _Report:
    """What is told at the end."""

    is_dry: bool
    counts: Counts = field(default_factory=Counts)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    signal: int = 0

    @property
    def exit_code(self) -> int:
        """What the shell gets."""
        if self.tally.failures:
            return NOT_DURABLE
        return SIGNALLED + self.signal if self.signal else DONE

    def show(self, destination: str, *, as_json: bool) -> None:
        """Print warnings and the summary to standard error, JSON or the plan to standard output."""
        tally, counts = self.tally, self.counts
        for error in tally.errors:
            say(f"error: {error}")
        if tally.failures > len(tally.errors):
            say(f"error: and {tally.failures - len(tally.errors)} more")
        for named in tally.named:
            say(f"warning: still bad: {named}")
        left = tally.left.total()
        if left > len(tally.named):
            more = left - len(tally.named)
            say(f"warning: and {more:,} more; {left:,} records stay in quarantine as they were")
        if as_json:
            print(orjson.dumps(self._fields()).decode())  # noqa: T201  # what it is for
        elif self.is_dry:
            for reason in sorted(tally.replayed | tally.left):
                would, stay = tally.replayed[reason], tally.left[reason]
                told = f"{would:>10,} would be replayed {stay:>10,} would stay bad"
                print(f"{shown(reason):<16} {told}")  # noqa: T201
            print("nothing was written, sent or marked")  # noqa: T201
        else:
            say(
                f"{tally.replayed.total():,} records replayed under {destination}, "
                f"{counts.objects:,} objects, {show_size(counts.bytes_in)} in, "
                f"{show_size(counts.bytes_out)} out, {counts.left_out:,} left out by the "
                f"transform, {left:,} still bad, {tally.unfinished:,} unfinished; "
                f"{self.seconds:.1f} s"
            )

    def _fields(self) -> dict[str, object]:
        tally, counts = self.tally, self.counts
        return {
            "records": tally.replayed.total(),
            "objects": counts.objects,
            "bytes_in": counts.bytes_in,
            "bytes_out": counts.bytes_out,
            "quarantined": tally.left.total(),
            "failed": tally.unfinished,
            "left_out": counts.left_out,
            "by_reason": dict(tally.replayed),
            "still_bad": dict(tally.left),
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class _Command:
    """One run of the command."""

    arguments: argparse.Namespace
    settings: Settings
    wanted: Wanted
    transform: Transform | None
    report: _Report
    _replay: Replay | None = None
    _queue: SqsClient | None = None

    async def run(self) -> None:
        """Replay until all is done or a signal comes; fill in the report."""
        told = "ending after the quarantine object in work; once more: at once"
        signals = TwoSignals(told, self._end)
        started_s = time.monotonic()
        store, reader = open_store(self.settings), open_reader(self.settings)
        destination = self._destination(store)
        means = Means(
            store,
            reader,
            destination,
            self.wanted,
            self.settings.budget_bytes,
            is_restart=self.arguments.restart,
        )
        self._replay = Replay(means, self.settings.root, is_dry=self.arguments.dry_run)
        self.report.tally, self.report.counts = self._replay.tally, destination.counts
        try:
            await self._go_through(self._replay, destination.counts)
        except asyncio.CancelledError:
            self._replay.tally.error("stopped by a second signal; the next run finishes it")
        except BatcherError as error:
            self._replay.tally.error(str(error))
        finally:
            signals.spare()
            for part in (destination, reader, store):
                await part.aclose()
            self.report.seconds = time.monotonic() - started_s

    async def _go_through(self, replay: Replay, counts: Counts) -> None:
        objects = await replay.found()
        if self._queue is not None and objects and not self.report.is_dry:
            await self._queue.look()  # a queue that is not there is told before any mark
        total_bytes = sum(listed.size_bytes for listed in objects)
        with progress(counts, lambda: replay.read_bytes, total_bytes) as bar:
            bar.show("replaying")
            async for _ in replay.run(objects):
                bar.show()

    def _destination(self, store: ObjectStore) -> Destination:
        if self.arguments.to_queue is None:
            return Objects(store, self.settings, self.transform)
        from batcher.tools.replay.to_sqs import (  # noqa: PLC0415  # half a second to import
            Queue,
            SqsClient,
        )

        url = self.arguments.to_queue
        self._queue = SqsClient(url)
        return Queue(url, self._queue, self.transform)

    def _end(self, number: int) -> None:
        """End after the object in work, for a signal."""
        self.report.signal = number
        if self._replay is not None:
            self._replay.stop()
