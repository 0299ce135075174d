"""The cases of the model: what is simulated, and which question each group answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fleet_model import Case
from key_layouts import Layout, base_2
from s3_model import Assumptions

HOUR_S, MINUTE_S = 3_600.0, 60.0
DATE_FIRST = base_2(1)
HEX = Layout("hex, 16", hex_digits=1)
BASE_2 = base_2(16)
FANOUTS = (1, 4, 16, 64, 256)
MIDNIGHT_S = 1_790_000_000 // 86_400 * 86_400 + 86_400.0
BURST = 10.0
BURST_S = (10 * MINUTE_S, 25 * MINUTE_S)


@dataclass(frozen=True)
class Group:
    """Cases of one table."""

    name: str
    title: str
    cases: tuple[Case, ...]


def in_burst(now_s: float) -> float:
    """Ten times as much for a quarter of an hour."""
    return BURST if BURST_S[0] <= now_s < BURST_S[1] else 1.0


def groups(scale: float, *, is_short: bool) -> list[Group]:
    """Return all groups, scaled down by `scale`."""
    cold = Case("base 2, 16, paced", BASE_2, scale=scale)
    made: list[Callable[[Case], Group]] = [_layouts] if is_short else [
        _layouts, _fanouts, _loads, _midnight, _writers, _assumptions, _sizes,
    ]  # fmt: skip
    if is_short:
        cold = replace(cold, lasts_s=1.2 * HOUR_S)
    return [make(cold) for make in made]


def _named(case: Case, layout: Layout, *, is_paced: bool) -> Case:
    name = f"{layout.name}, {'paced' if is_paced else 'not paced'}"
    return replace(case, name=name, layout=layout, is_paced=is_paced)


def _layouts(cold: Case) -> Group:
    cases = [
        _named(cold, layout, is_paced=is_paced)
        for layout in (DATE_FIRST, HEX, BASE_2)
        for is_paced in (False, True)
    ]
    untold = replace(cold, name="base 2, 16, paced, fleet not told", fleet=1)
    return Group("cold", "From cold: 2,000 writers with 3 objects a second each", (*cases, untold))


def _fanouts(cold: Case) -> Group:
    cases = (_named(cold, base_2(fanout), is_paced=True) for fanout in FANOUTS)
    return Group("fanout", "The same, paced, with more and fewer salts", tuple(cases))


def _loads(cold: Case) -> Group:
    steady = replace(cold, per_s=1.0, lasts_s=1.5 * HOUR_S)
    burst = replace(cold, per_s=0.5, lasts_s=2.5 * HOUR_S, load=in_burst)
    cases = [
        replace(_named(case, layout, is_paced=is_paced), name=f"{name}: {layout.name}, {how}")
        for case, name in ((steady, "2,000/s"), (burst, "1,000/s, x10 for 15 min"))
        for layout, is_paced, how in (
            (DATE_FIRST, False, "not paced"),
            (BASE_2, False, "not paced"),
            (BASE_2, True, "paced"),
        )
    ]
    return Group("load", "A steady load below the limit, and a burst", tuple(cases))


def _midnight(cold: Case) -> Group:
    began_s = 2 * HOUR_S
    before = replace(
        cold, per_s=2.5, lasts_s=4 * HOUR_S, starts_at_s=MIDNIGHT_S - began_s, fleet=1
    )  # fmt: skip
    dated = Layout("date, then base 2, 16", 16, is_date_first=True)
    cases = (
        _named(before, dated, is_paced=False),
        _named(before, dated, is_paced=True),
        _named(before, BASE_2, is_paced=True),
    )
    return Group("midnight", "Midnight", cases)


def _writers(cold: Case) -> Group:
    cases = [
        replace(
            cold, name=f"{writers:,} x {per_s:g}/s, {layout.name}", layout=layout, writers=writers,
            per_s=per_s, lasts_s=lasts_s, scale=scale,
        )
        for writers, per_s, layout, lasts_s, scale in (
            (1, 400.0, BASE_2, 0.25 * HOUR_S, 1.0),
            (10, 600.0, BASE_2, 0.5 * HOUR_S, 5.0),
            (100, 60.0, BASE_2, 2.0 * HOUR_S, 25.0),
            (2_000, 3.0, BASE_2, 2.5 * HOUR_S, cold.scale),
            (10_000, 0.6, BASE_2, 2.5 * HOUR_S, cold.scale),
            (10_000, 0.6, base_2(4), 2.5 * HOUR_S, cold.scale),
        )
    ]  # fmt: skip
    title = "6,000/s from fewer and from more writers (one alone: 400/s); paced"
    return Group("writers", title, tuple(cases))


def _assumptions(cold: Case) -> Group:
    varied = {
        "as taken": Assumptions(),
        "unused capacity kept for 0.1 s, not 1 s": Assumptions(burst_s=0.1),
        "splits when over 2,000/s, not 3,000/s": Assumptions(hot_per_s=2_000),
        "splits after 5 + 15 min, not 10 + 30": Assumptions(hot_s=300, split_s=900),
        "splits after 20 + 60 min, not 10 + 30": Assumptions(hot_s=1_200, split_s=3_600),
        "splits at the very median key": Assumptions(off_median=0.0),
        "a partition takes 2,500/s, not 3,500": Assumptions(put_per_s=2_500, hot_per_s=2_200),
    }
    cases = [
        replace(cold, name=name, s3=s3, lasts_s=(4.5 if "60" in name else 2.5) * HOUR_S)
        for name, s3 in varied.items()
    ]
    cases.append(replace(cold, name="answers take 0.3 s, not 0.03 s", answer_s=0.3))
    cases.append(replace(cold, name="writers hold 64 objects, not 16", holds=64))
    return Group("assumptions", "What is taken for true, varied; base 2, 16, paced", tuple(cases))


def _sizes(cold: Case) -> Group:
    cases = [replace(cold, name=f"1 : {scale:g}", scale=scale) for scale in (200.0, 100.0, 50.0)]
    return Group("size", "The same case, played smaller by more and less", tuple(cases))


def hour_of_many() -> Case:
    """10,000 writers, not scaled, for an hour."""
    return Case(
        "10,000 writers with 0.2/s each", BASE_2, writers=10_000, per_s=0.2, lasts_s=HOUR_S, scale=1
    )


def whole() -> Case:
    """The case of the targets, not scaled."""
    return Case("base 2, 16, paced", BASE_2, scale=1)
