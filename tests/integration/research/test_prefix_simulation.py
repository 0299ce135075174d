"""The model of S3's partitions and of the fleet before it: it does what its assumptions say."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

RESEARCH = Path(__file__).parents[3] / "research" / "prefixes"
MINUTE_S = 60.0


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401  # scripts of the bench
    """Return the modules of the model, by name."""
    monkeypatch.setattr(sys, "path", [str(RESEARCH), str(RESEARCH.parents[1] / "bench"), *sys.path])
    import fleet_cases as model_cases  # noqa: PLC0415
    import fleet_model as model_fleet  # noqa: PLC0415
    import fleet_summary as model_summary  # noqa: PLC0415
    import key_layouts as model_keys  # noqa: PLC0415
    import s3_model as model_s3  # noqa: PLC0415

    class Bench:
        cases, fleet, keys, s3, summary = (
            model_cases, model_fleet, model_keys, model_s3, model_summary,
        )  # fmt: skip

    return Bench


def offer(s3: Any, keys: list[str], per_s: float, since_s: float, until_s: float) -> int:  # noqa: ANN401
    """Offer requests evenly, and look when it is time; give how many were taken."""
    taken, chance = 0, random.Random(since_s)  # noqa: S311  # no secret
    for number in range(round((until_s - since_s) * per_s)):
        now_s = since_s + number / per_s
        if now_s >= s3.next_look_s:
            s3.look(s3.next_look_s)
        taken += s3.put(chance.choice(keys), now_s)
    return taken


KEYS = [f"events/{salt:04b}/a" for salt in range(16)]


def test_a_partition_takes_its_rate_and_refuses_the_rest(bench: Any) -> None:  # noqa: ANN401
    """And as much at once as it could have taken in a second, or ten where all is smaller."""
    s3 = bench.s3.S3(bench.s3.Assumptions(put_per_s=35))
    assert offer(s3, KEYS, 100, 0.0, 100.0) == pytest.approx(35 * 101, abs=2)
    s3 = bench.s3.S3(bench.s3.Assumptions().scaled(100))
    assert offer(s3, KEYS, 100, 0.0, 100.0) == pytest.approx(35 * 110, abs=2)
    assert offer(s3, KEYS, 30, 200.0, 300.0) == 3_000


def test_a_hot_partition_splits_at_the_median_and_takes_twice_as_much(bench: Any) -> None:  # noqa: ANN401
    """Ten minutes hot, thirty to split; one minute below, and it begins anew."""
    assumptions = bench.s3.Assumptions().scaled(100)
    s3 = bench.s3.S3(assumptions)
    offer(s3, KEYS, 60, 0.0, 9 * MINUTE_S)
    offer(s3, KEYS, 20, 9 * MINUTE_S, 10 * MINUTE_S)
    offer(s3, KEYS, 60, 10 * MINUTE_S, 49 * MINUTE_S)
    assert s3.partitions == 1
    offer(s3, KEYS, 60, 49 * MINUTE_S, 52 * MINUTE_S)
    ((split_s, start),) = s3.splits
    assert split_s == 50 * MINUTE_S
    assert start == "events/1"
    assert offer(s3, KEYS, 60, 52 * MINUTE_S, 53 * MINUTE_S) == 3_600


def test_keys_that_begin_with_the_time_leave_a_split_behind(bench: Any) -> None:  # noqa: ANN401
    """The half that is left of the median is never written again: the load stays in one place."""
    s3 = bench.s3.S3(bench.s3.Assumptions().scaled(100))
    for minute in range(41):
        dated = [f"events/{minute:04}/{number}" for number in range(1_000)]
        offer(s3, dated, 60, minute * MINUTE_S, (minute + 1) * MINUTE_S)
    assert s3.partitions == 2
    assert offer(s3, dated, 60, 41 * MINUTE_S, 42 * MINUTE_S) < 2_200


def test_neighbours_that_are_cold_for_long_merge(bench: Any) -> None:  # noqa: ANN401
    """Six hours of silence, and it is one partition again; not while one of two is warm."""
    s3 = bench.s3.S3(bench.s3.Assumptions().scaled(100), ("", "events/1"))
    offer(s3, KEYS[:1], 2, 0.0, 7 * 60 * MINUTE_S)
    assert s3.partitions == 2
    offer(s3, KEYS, 0.1, 7 * 60 * MINUTE_S, 13 * 60 * MINUTE_S + 2 * MINUTE_S)
    assert s3.partitions == 1


@pytest.mark.parametrize(
    ("keys", "off_median", "start"),
    [
        (["a/0/x", "a/0/y", "a/1/x", "a/1/y"], 0.05, "a/1"),
        (["a/0/x", "a/0/y", "a/1/x", "a/1/y"], 0.0, "a/1/x"),
        (["same", "same", "same"], 0.05, "same"),
    ],
)
def test_a_partition_begins_at_a_leading_string(
    bench: Any,  # noqa: ANN401
    keys: list[str],
    off_median: float,
    start: str,
) -> None:
    """The shortest that is near enough to the middle."""
    assert bench.s3.middle(keys, off_median) == start


def test_a_fleet_below_the_limit_delivers_all_and_meets_no_refusal(bench: Any) -> None:  # noqa: ANN401
    """What arrives is delivered, evenly over the salts, within the time of an answer."""
    case = bench.fleet.Case(
        "calm", bench.keys.base_2(4), writers=20, per_s=1.0, lasts_s=600, scale=1
    )
    found = bench.summary.play(case)
    assert found.lost == 0
    assert found.total("refused") == 0
    assert found.total("delivered") == pytest.approx(12_000, rel=0.05)
    assert found.age_s(0.99) == pytest.approx(case.answer_s)
    assert found.unevenness[0] < 1.3


@pytest.mark.parametrize("is_paced", [True, False])
def test_nothing_is_lost_in_a_fleet_over_the_limit(bench: Any, is_paced: bool) -> None:  # noqa: ANN401, FBT001
    """Whatever is refused, handed back and taken again: each object is delivered, or waits."""
    s3 = bench.s3.Assumptions(put_per_s=20, hot_per_s=10_000)
    case = bench.fleet.Case(
        "busy", bench.keys.base_2(16), writers=10, per_s=4.0, lasts_s=420, scale=1, s3=s3,
        is_paced=is_paced, deadline_s=10.0, returns_s=20.0,
    )  # fmt: skip
    found = bench.summary.play(case)
    assert found.lost == 0
    assert found.total("refused") > 0
    assert found.total("handed_back") > 0
    assert found.minutes[-1].backlog > 5_000
    delivered = [minute.delivered for minute in found.minutes[1:]]
    assert sum(delivered) / len(delivered) >= 0.85 * 20 * 60
    assert bench.summary.play(case) == found


def test_pacing_saves_most_of_the_refusals(bench: Any) -> None:  # noqa: ANN401
    """Before the same S3, and delivers as much."""
    s3 = bench.s3.Assumptions(put_per_s=20, hot_per_s=10_000)
    case = bench.fleet.Case(
        "busy", bench.keys.base_2(4), writers=20, per_s=2.0, lasts_s=900, scale=1, s3=s3
    )
    paced = bench.summary.play(case)
    not_paced = bench.summary.play(replace(case, is_paced=False))
    assert paced.total("refused") < not_paced.total("refused") / 20
    assert paced.total("delivered") > 0.9 * not_paced.total("delivered")


def test_keys_of_all_layouts_are_where_they_should_be(bench: Any) -> None:  # noqa: ANN401
    """The salt left or right of the date, in base 2 or hex; batcher's own are batcher's own."""
    wall_s = bench.cases.MIDNIGHT_S - 3_600
    made = {}
    for layout in (
        bench.keys.base_2(16), bench.keys.base_2(1), bench.cases.HEX,
        bench.keys.Layout("date", 16, is_date_first=True),
    ):  # fmt: skip
        keys = bench.keys.Keys(layout, wall_s, 1)
        key, salt = keys.make(wall_s)
        later, _ = keys.make(wall_s + 3_600)
        made[layout.name] = key.split("/")[1:-1], salt
        assert key.startswith("events/")
        assert key.count("dt=") == later.count("dt=") == 1
        assert key.split("dt=")[1][:10] != later.split("dt=")[1][:10]
    assert made["date first"][1] == ""
    assert made["base 2, 16"][0][0] == made["base 2, 16"][1]
    assert len(made["base 2, 16"][1]) == 4
    assert made["hex, 16"][0][0] == made["hex, 16"][1]
    assert len(made["hex, 16"][1]) == 1
    assert made["date"][0][-1] == made["date"][1]


@pytest.mark.slow
def test_a_run_of_all_cases_loses_no_object(tmp_path: Path) -> None:
    """Scaled down by 1,000: far too small to prove more than that every object is accounted for."""
    file = tmp_path / "prefix_model.json"
    options = ["--short", "--scale", "1000", "--json", str(file)]
    command = [sys.executable, str(RESEARCH / "prefix_simulation.py"), *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)  # noqa: S603  # our own script
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(file.read_text())
    (table,) = found["tables"]
    assert "base 2, 16, paced" in {row[0] for row in table["rows"]}
    (lost,) = (ratio for ratio in found["ratios"] if ratio["name"] == "objects lost")
    assert lost["met"]
    assert not [note for note in found["notes"] if "LOST" in note]
