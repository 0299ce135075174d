"""Show: prints per source the records sent, the records written, and the results of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from batcher.tools.demo.run import OTHER_ENGINE, SourceOutcome, check_same_objects
from batcher.tools.formatting import format_count, format_size

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLE_KEYS = 2


@contextmanager
def status_updates(console: Console) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows progress on a terminal, and does nothing elsewhere."""
    if not console.is_terminal:
        yield _ignore
        return
    with console.status("") as status:
        yield status.update


def print_introduction(console: Console, bucket: str, root: str, endpoint: str | None) -> None:
    """Print what the demo is going to do."""
    destination = f"the S3 at {endpoint}" if endpoint else "its own S3 server (SeaweedFS)"
    text = (
        "Sending real GitHub webhooks, as SQS and Kinesis events of up to 6 MB, through batcher's "
        f"Lambda handler into {destination}: s3://{bucket}/{root}"
    )
    console.print(text, highlight=False, markup=False)


def print_outcomes(
    outcomes: Sequence[SourceOutcome], others: Sequence[SourceOutcome], console: Console
) -> bool:
    """Print all outcomes. Return whether all records are accounted for and all checks passed.

    Args:
        outcomes: the outcomes of the default engine, by source.
        others: the outcomes of the other engine, in the same order; empty if it did not run.
        console: where to print.
    """
    same = [check_same_objects(*pair) for pair in zip(outcomes, others, strict=False)]
    console.print(_figures_table(outcomes))
    console.print(_partitions_table(outcomes))
    for outcome in outcomes:
        console.print(f"\n{outcome.mapping.source.name}", style="bold")
        console.print(_checks_table(outcome.checks))
    if same:
        console.print("\nThe same events by the other engine", style="bold")
        console.print(_checks_table(same))
    console.print("\nSome of the keys", style="bold")
    for outcome in outcomes:
        quarantine = [listed for listed in outcome.objects if listed.is_quarantine]
        for listed in [*outcome.data_objects[:EXAMPLE_KEYS], *quarantine[:1]]:
            console.print(f"  {listed.key}", soft_wrap=True, highlight=False, markup=False)
    console.print()
    faults = [
        *_list_faults(outcomes),
        *(f"{OTHER_ENGINE}, {fault}" for fault in _list_faults(others)),
        *(f"check failed: {text}" for passed, text in same if not passed),
    ]
    return _print_result(outcomes, faults, console)


def _figures_table(outcomes: Sequence[SourceOutcome]) -> Table:
    table = Table(box=box.SIMPLE, title="Read back with DuckDB, record for record", min_width=60)
    table.add_column("")
    for outcome in outcomes:
        table.add_column(outcome.mapping.source.name, justify="right")
    columns = [_figures_column(outcome) for outcome in outcomes]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _figures_column(outcome: SourceOutcome) -> dict[str, str]:
    out_bytes = sum(listed.size_bytes for listed in outcome.data_objects)
    ratio = outcome.sent_bytes / out_bytes if out_bytes else 0.0
    records = sum(map(len, outcome.invocations))
    return {
        "records in": f"{records:,}",
        "invocations": f"{outcome.mapping.deliveries:,}",
        "redelivered": f"{outcome.mapping.redelivered:,}",
        "objects": f"{len(outcome.data_objects):,}",
        "records written": f"{len(outcome.contents.records):,}",
        "quarantined": f"{len(outcome.contents.quarantined):,}",
        "missing": f"{outcome.difference.missing:,}",
        "duplicates": f"{outcome.difference.duplicates:,}",
        "changed": f"{outcome.difference.changed:,}",
        "bytes in": format_size(outcome.sent_bytes),
        "bytes out": format_size(out_bytes),
        "ratio": f"{ratio:.1f}",
        "seconds in the handler": f"{outcome.mapping.handler_s:.2f}",
    }


def _checks_table(checks: Sequence[tuple[bool, str]]) -> Table:
    table = Table.grid(padding=(0, 1))
    for passed, text in checks:
        mark = "[green]✓[/]" if passed else "[bold red]✗[/]"
        table.add_row(f"  {mark}", text)
    return table


def _partitions_table(outcomes: Sequence[SourceOutcome]) -> Table:
    table = Table(box=box.SIMPLE, title="Records per partition, counted by DuckDB", min_width=60)
    table.add_column("partition")
    for outcome in outcomes:
        table.add_column(f"{outcome.mapping.source.name} records", justify="right")
    counts = [dict(outcome.contents.partitions) for outcome in outcomes]
    for name in sorted({name for column in counts for name in column}):
        table.add_row(name, *(f"{column.get(name, 0):,}" for column in counts))
    return table


def _list_faults(outcomes: Sequence[SourceOutcome]) -> list[str]:
    faults = []
    for outcome in outcomes:
        name = outcome.mapping.source.name
        if outcome.difference:
            faults.append(f"{name}: {outcome.difference}")
        if outcome.store_error:
            faults.append(f"{name}: the last error of the store: {outcome.store_error}")
        faults += [f"{name}: check failed: {text}" for passed, text in outcome.checks if not passed]
    return faults


def _print_result(
    outcomes: Sequence[SourceOutcome], faults: Sequence[str], console: Console
) -> bool:
    if faults:
        console.print("Not every record is accounted for:", style="bold red")
        for fault in faults:
            console.print(f"  {fault}", highlight=False, markup=False)
        return False
    records = sum(len(records) for outcome in outcomes for records in outcome.invocations)
    written = sum(len(outcome.contents.records) for outcome in outcomes)
    objects = sum(len(outcome.data_objects) for outcome in outcomes)
    quarantined = sum(len(outcome.contents.quarantined) for outcome in outcomes)
    console.print(
        f"Every record is accounted for: of {records:,} sent, {written:,} were written once each, "
        f"byte for byte, to {format_count(objects, 'object')}, and {quarantined} "
        f"{'is' if quarantined == 1 else 'are'} in quarantine.",
        style="bold green",
        highlight=False,
    )
    return True


def _ignore(description: str) -> None:
    """Ignore progress: the output is not a terminal."""
    del description
