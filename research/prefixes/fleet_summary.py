"""What the minutes of a played case come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from fleet_model import Case, Minute, Model

HOUR_S = 3_600
GONE_S = 5.0
"""A backlog of this many seconds of arrivals counts as none."""


@dataclass(frozen=True)
class Summary:
    """One case, at the size that it speaks of."""

    case: Case
    minutes: Sequence[Minute]
    splits: Sequence[tuple[float, str]]
    waiting: int
    """Objects that wait at the end, of those that were played."""
    lost: int
    """Objects that are neither delivered nor waiting at the end; must be 0."""

    @property
    def last_split_s(self) -> float:
        """When S3 had split for the last time."""
        return self.splits[-1][0] if self.splits else 0.0

    def refused_share(self, since_s: float = 0.0, until_s: float = float("inf")) -> float:
        """Return the share of the requests that were refused."""
        counted = [one for one in self.minutes if since_s < one.ends_s <= until_s]
        requests = sum(one.requests for one in counted)
        return sum(one.refused for one in counted) / requests if requests else 0.0

    def total(self, name: str) -> float:
        """Add a count of all minutes up."""
        return float(sum(getattr(one, name) for one in self.minutes)) * self.case.scale

    @property
    def wasted_per_object(self) -> float:
        """Requests that were refused, for each object that was delivered."""
        return self.total("refused") / max(1.0, self.total("delivered"))

    @property
    def backlog(self) -> float:
        """The most objects that waited."""
        return max(one.backlog for one in self.minutes) * self.case.scale

    @property
    def gone_s(self) -> float | None:
        """When the backlog was gone for good; None: it was there at the end, or never there."""
        least = GONE_S * self.case.writers / self.case.scale * self.case.per_s
        had = [one.ends_s for one in self.minutes if one.backlog > least]
        if not had or had[-1] == self.minutes[-1].ends_s:
            return None
        return had[-1]

    def age_s(self, share: float) -> float:
        """Return the age at delivery that this share of the objects did not exceed."""
        ages = sorted(age for one in self.minutes for age in one.ages_s)
        return ages[min(len(ages) - 1, int(share * len(ages)))] if ages else float("inf")

    @property
    def unevenness(self) -> tuple[float, float]:
        """Return worst salt over mean a minute: the median of the minutes, and the worst."""
        found = [one.worst_over_mean for one in self.minutes if one.by_salt]
        return median(found), max(found)


def play(case: Case) -> Summary:
    """Play one case."""
    model = Model(case)
    minutes = model.play()
    delivered = sum(writer.delivered for writer in model.writers)
    waiting = model.waiting()
    arrived = sum(one.arrived for one in minutes) + model.unfinished.arrived
    lost = arrived - delivered - waiting
    return Summary(case, minutes, tuple(model.s3.splits), waiting, lost)


def totals(summaries: Iterable[Summary]) -> tuple[int, int]:
    """Count the requests and the objects that were played, scaled down as they were."""
    minutes = [one for summary in summaries for one in summary.minutes]
    return sum(one.requests for one in minutes), sum(one.delivered for one in minutes)
