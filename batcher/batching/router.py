"""Intake: what becomes of each record of a run: a route, quarantine, or a decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from msgspec import Struct, field

from batcher.batching.batch import Route
from batcher.batching.quarantine import quarantine_run
from batcher.batching.validation import OF_OUTPUT, Checked, Transform, check
from batcher.keys.names import Format
from batcher.keys.partition import Template
from batcher.records.bad_record import BadRecord
from batcher.records.chunk import Run
from batcher.settings import Settings


class Admitted(Struct):
    """Every record of a run, once: to be written, left out by decision, or refused."""

    routed: list[tuple[Route, Run]] = field(default_factory=list)
    """What is to be written, quarantined records as the lines they become."""
    left_out: list[Run] = field(default_factory=list)
    """Settled by a decision: a transform gave None, or bad records are dropped."""
    dropped: int = 0
    """How many of those were bad."""
    bad: list[BadRecord] = field(default_factory=list)
    """All that were found bad, whatever becomes of them."""
    refused: list[BadRecord] = field(default_factory=list)
    """Those of them that the user wants back: `on_bad_record=fail`."""


class Intake:
    """Decides by the settings alone, with no I/O and no clock."""

    def __init__(self, settings: Settings, transform: Transform | None = None) -> None:
        """Take what decides from `settings`, and the user's `transform`, if any."""
        self._template = Template(settings.partition_by)
        self._is_json = settings.format == Format.NDJSON
        self._max_bytes = min(settings.max_bytes, settings.budget_bytes)
        self._on_bad_record = settings.on_bad_record
        self._transformed: Callable[[Run], Checked] | None = None
        if transform is not None:
            from batcher.batching.transform import transformed  # noqa: PLC0415  # most have none

            self._transformed = partial(transformed, transform=transform)

    def admit(self, run: Run, bad: Sequence[BadRecord] = (), order: Sequence[str] = ()) -> Admitted:
        """Transform, check and route a run.

        Args:
            run: records of one origin.
            bad: records of the same origin that were found bad before.
            order: the positions in their order, where some of them stand in `bad` alone.
        """
        admitted = Admitted()
        positions = order or run.positions
        all_bad = list(bad)
        as_it_came = run
        if self._transformed is not None:
            changed = self._transformed(run)
            run = changed.good
            all_bad += changed.bad
            if changed.left_out is not None:
                admitted.left_out.append(changed.left_out)
        checked = check(run, is_json=self._is_json, max_bytes=self._max_bytes)
        all_bad += checked.bad if run is as_it_came else _as_they_came(checked.bad, as_it_came)
        for partition, part in self._template.split(checked.good):
            admitted.routed.append((Route(run.origin, partition), part))
        if all_bad:
            rank = {position: index for index, position in enumerate(positions)}
            all_bad.sort(key=lambda record: rank.get(record.position, 0))  # stages find them
            self._set_aside(admitted, all_bad)
        return admitted

    def _set_aside(self, admitted: Admitted, bad: list[BadRecord]) -> None:
        """Do with bad records what the user chose."""
        admitted.bad = bad
        if self._on_bad_record == "fail":
            admitted.refused += bad
        elif self._on_bad_record == "drop":
            admitted.dropped += len(bad)
            admitted.left_out += [record.run for record in bad]
        else:
            for origin, records in groupby(bad, key=lambda record: record.run.origin):
                route = Route(origin, "", is_quarantine=True)
                admitted.routed.append((route, quarantine_run(list(records))))


def _as_they_came(bad: Sequence[BadRecord], run: Run) -> list[BadRecord]:
    """Give bad records their own payloads back, where a transform gave them what was checked."""
    if not bad:
        return []
    index = {position: number for number, position in enumerate(run.positions)}
    return [
        BadRecord(run.take([index[record.position]]), record.reason, OF_OUTPUT + record.detail)
        for record in bad
    ]
