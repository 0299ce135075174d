"""Prefixes: what S3 refuses, and how long objects wait, by how keys begin and writers pace.

Plays fleets before a model of S3's partitions, with batcher's own keys and pacing on a virtual
clock (`fleet_model.py`, `s3_model.py`). Most cases are scaled down (--scale): fewer writers
against an S3 with less capacity, by the same factor, so that each writer sees the same; --full runs
the case of the targets unscaled, half an hour.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parents[2] / "bench"))  # it writes the results

from fleet_cases import HOUR_S, Group, groups, hour_of_many, whole
from fleet_summary import Summary, play
from report import (
    Bar,
    Cell,
    Chart,
    Curve,
    Curves,
    Ratio,
    Result,
    Table,
    finish,
    make_parser,
    parse_options,
    start,
)  # fmt: skip

if TYPE_CHECKING:
    from fleet_model import Case, Minute

SCALE, SHORT_SCALE = 100.0, 200.0
FIRST_MOST, AFTER_MOST, FEWER_LEAST, UNEVEN_MOST = 0.05, 0.001, 20.0, 1.05
LONGEST_S = 300.0
OURS = "base 2, 16, paced"
COLUMNS = (
    "case", "refused in the 1st hour, %", "later, %", "after the last split, %",
    "refused an object", "splits", "last split, min", "backlog, 10^6", "gone, min",
    "delivered in s, half", "99 %", "handed back, %", "worst salt / mean",
)  # fmt: skip


def row(summary: Summary) -> list[Cell]:
    """Return a case's figures under `COLUMNS`."""
    last_s, gone_s = summary.last_split_s, summary.gone_s
    later = 100 * summary.refused_share(HOUR_S) if summary.case.lasts_s > HOUR_S else "-"
    ended = summary.minutes[-1].backlog * summary.case.scale
    is_there = gone_s is None and ended > summary.case.writers * summary.case.per_s * 5
    return [
        summary.case.name,
        100 * summary.refused_share(until_s=HOUR_S),
        later,
        100 * summary.refused_share(last_s) if last_s else "-",
        summary.wasted_per_object,
        len(summary.splits),
        round(last_s / 60) if last_s else "-",
        summary.backlog / 1e6,
        "never" if is_there else "-" if gone_s is None else round(gone_s / 60),
        summary.age_s(0.5),
        summary.age_s(0.99),
        100 * summary.total("handed_back") / max(1.0, summary.total("delivered")),
        summary.unevenness[0],
    ]


def target(name: str, value: float, limit: float, *, at_least: bool = False) -> Ratio:
    """Hold one figure against its target."""
    sign, is_met = (">=", value >= limit) if at_least else ("<=", value <= limit)
    return Ratio(name, value, value, value, f"{sign} {limit:g}", is_met)


def targets(ours: Summary, theirs: Summary, *, is_whole: bool) -> list[Ratio]:
    """Hold the case that has targets against them."""
    first = ours.refused_share(until_s=HOUR_S)
    after = ours.refused_share(ours.last_split_s)
    until_s = min(ours.case.lasts_s, theirs.case.lasts_s)
    fewer = refused(theirs, until_s) / refused(ours, until_s)
    gone_s = ours.case.lasts_s if ours.gone_s is None else ours.gone_s
    found = [
        target("refused in the first hour", first, FIRST_MOST),
        target("refused after the last split", after, AFTER_MOST),
        target("hours from the last split until the backlog is gone",
               max(0.0, gone_s - ours.last_split_s) / HOUR_S, 1.0),
        target("refusals: date first, not paced / ours", fewer, FEWER_LEAST, at_least=True),
        target("objects lost", ours.lost, 0.0),
    ]  # fmt: skip
    middle, worst = ours.unevenness
    if is_whole:
        found.append(target("worst salt over mean, the worst minute", worst, UNEVEN_MOST))
    else:
        found.append(Ratio("worst salt over mean, a minute; 1 : 1 only has a target", middle,
                           middle, worst))  # fmt: skip
    return found


def refused(summary: Summary, until_s: float) -> float:
    """Count refusals up to a time."""
    counted = (one.refused for one in summary.minutes if one.ends_s <= until_s)
    return sum(counted) * summary.case.scale


def charts(layouts: Sequence[Summary], fanouts: Sequence[Summary]) -> list[Chart | Curves]:
    """Draw refusals and backlog over time, and refusals by the number of salts."""
    shown = [one for one in layouts if "hex" not in one.case.name and "told" not in one.case.name]

    def curves(figure: str) -> list[Curve]:
        return [
            Curve(
                f"batcher: {one.case.name}" if one.case.name == OURS else one.case.name,
                [minute.ends_s / 60 for minute in one.minutes],
                [_figure(minute, figure, one.case.scale) for minute in one.minutes],
            )
            for one in shown
        ]

    load = "2,000 writers, 3 objects/s each, from cold"
    drawn: list[Chart | Curves] = [
        Curves("prefixes-refused", f"Refused: {load}", "minutes", "% of requests",
               curves("refused")),
        Curves("prefixes-backlog", f"Backlog: {load}", "minutes", "million objects",
               curves("backlog")),
    ]  # fmt: skip
    if fanouts:
        bars = [
            Bar(f"batcher: fanout {one.case.layout.fanout}", value, value, value)
            for one in fanouts
            for value in (100 * one.refused_share(until_s=HOUR_S),)
        ]
        drawn.append(Chart("prefixes-fanout", f"Refused in the first hour: {load}", "%", bars))
    return drawn


def _figure(minute: Minute, name: str, scale: float) -> float:
    if name == "backlog":
        return minute.backlog * scale / 1e6
    return 100 * minute.refused / max(1, minute.requests)


def midnight(summaries: Sequence[Summary]) -> Table:
    """Return what is refused in the hours around midnight."""
    rows: list[list[Cell]] = []
    for summary in summaries:
        hours = [
            100 * summary.refused_share(hour * HOUR_S, (hour + 1) * HOUR_S) for hour in range(4)
        ]
        rows.append([summary.case.name, *hours, len(summary.splits), summary.backlog / 1e6])
    columns = ("case", "22 h, %", "23 h, %", "0 h, %", "1 h, %", "splits", "backlog, 10^6")
    title = "Midnight: 5,000/s from cold at 22 h, fleet not told; refused by the hour"
    return Table(title, columns, rows)


def timed(case: Case) -> tuple[Summary, float]:
    """Play a case; give the CPU seconds that it took, too."""
    began_s = time.process_time()
    return play(case), time.process_time() - began_s


def main() -> None:
    """Play all cases, side by side, and print."""
    parser = make_parser(__doc__, rounds=1, short_rounds=1)
    parser.add_argument(
        "--scale", type=float, help=f"scale down by this factor (default {SCALE:g})"
    )
    parser.add_argument("--full", action="store_true", help="run the case of the targets unscaled")
    parser.add_argument("--only", help="the group of this name only")
    options = parse_options(parser)
    setting = start()
    began_s = time.monotonic()
    scale = options.scale or (SHORT_SCALE if options.short else SCALE)
    made = [
        one for one in groups(scale, is_short=options.short) if options.only in {None, one.name}
    ]
    alone = [] if options.short or options.only else [hour_of_many()]
    if options.full:
        alone.append(whole())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(timed, case) for case in alone]
        played = {one.name: list(pool.map(play, one.cases)) for one in made}
        done = [future.result() for future in running]
    result = _result(made, played, done)
    minutes = (time.monotonic() - began_s) / 60
    result.notes.append(f"took {minutes:.1f} minutes; scale 1 : {scale:g} unless noted")
    finish(result, setting, options.json)


def _result(
    made: Sequence[Group],
    played: dict[str, list[Summary]],
    alone: Sequence[tuple[Summary, float]],
) -> Result:
    """Make tables, targets and charts of what was played."""
    result = Result("prefix_model")
    for group in made:
        summaries = played[group.name]
        if group.name == "midnight":
            result.tables.append(midnight(summaries))
        else:
            result.tables.append(Table(group.title, COLUMNS, [row(one) for one in summaries]))
        for one in summaries:
            if one.lost:
                result.notes.append(f"LOST in {one.case.name}: {one.lost}")
    if "cold" in played:
        by_name = {one.case.name: one for one in played["cold"]}
        theirs = by_name["date first, not paced"]
        whole_one = next((one for one, _ in alone if one.case.name == OURS), None)
        ours = whole_one or by_name[OURS]
        result.ratios += targets(ours, theirs, is_whole=whole_one is not None)
        result.charts += charts(played["cold"], played.get("fanout", ()))
    if alone:
        rows = [row(one) for one, _ in alone]
        result.tables.append(Table("Played 1 : 1", COLUMNS, rows))
    for one, cpu_s in alone:
        requests = one.total("requests")
        result.notes.append(
            f"1 : 1, {one.case.name}: {requests:,.0f} requests in {cpu_s:.0f} s of CPU, "
            f"{cpu_s / requests * 1e6:.1f} us each"
        )
        if one.case.writers == hour_of_many().writers:
            name = "10,000 writers x 0.2/s for an hour: CPU seconds of the model"
            result.ratios.append(target(name, cpu_s, LONGEST_S))
    return result


if __name__ == "__main__":
    main()
