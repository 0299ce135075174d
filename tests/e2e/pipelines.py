"""Pipelines: a function with its event source, before an S3 that can fail, and what is asked of it.

A scenario is written once; a cloud says what plays the event source: our model, or an emulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from batcher.tools.demo.audit import compare_records
from e2e.bucket_contents import BucketContents
from e2e.project import Project
from e2e.record_counts import Counts
from e2e.template import Spec
from e2e.traffic import Traffic
from support.fault_proxy import FaultProxy


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a scenario changes of the deployment that the template describes."""

    kind: str
    """`sqs` or `kinesis`."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Of `serverless.yml`."""
    timeout_s: int | None = None
    """The function's; None: the template's."""
    is_fifo: bool = False

    def spec(self, project: Project) -> Spec:
        """Read the deployment from the template, and change what is to be changed."""
        parameters = {"queue": "new", "stream": "new", **self.parameters}
        spec = project.package(parameters)[self.kind]
        function = spec.function
        if self.timeout_s is not None:
            function = replace(function, timeout_s=self.timeout_s)
        return replace(spec, function=function)


class Pipeline(Protocol):
    """One function with its event source."""

    place: str
    """Where it runs: its cloud, and its source."""
    proxy: FaultProxy
    """Between the function and S3."""

    @property
    def invocations(self) -> int:
        """How often the function was invoked."""

    @property
    def failed(self) -> int:
        """Invocations that raised, were killed, or handed records back."""

    def send(self, traffic: Traffic, *, as_they_come: bool = False) -> None:
        """Send records to the event source."""

    def drain(self) -> None:
        """Return when nothing is left to deliver."""

    def dead_letters(self) -> list[str]:
        """Return the payloads that ended in a dead-letter queue or on-failure destination."""

    def landed(self) -> BucketContents:
        """Return what is in the bucket."""


class Cloud(Protocol):
    """Where pipelines are deployed."""

    def deploy(self, wanted: Wanted) -> AbstractContextManager[Pipeline]:
        """Deploy one, with a bucket of its own."""


def audit(
    scenario: str, pipeline: Pipeline, traffic: Traffic, *, dead: int = 0, may_double: bool = False
) -> Counts:
    """See that each record is where it must be, and count.

    Args:
        scenario: its name in the table.
        pipeline: is drained.
        traffic: all that was sent.
        dead: records that must be dead letters, and in no object.
        may_double: whether some of them may be there twice, as only a queue promises.
    """
    found, dead_letters = pipeline.landed(), pipeline.dead_letters()
    bad = [str(line["payload"]) for line in found.quarantined]
    apart = compare_records(traffic.texts, [*found.records, *bad, *dead_letters])
    counts = Counts(
        scenario=f"{scenario} [{pipeline.place}]",
        messages=len(traffic.sent),
        invocations=pipeline.invocations,
        failed=pipeline.failed,
        objects=len(found.keys),
        records=len(found.records),
        quarantined=len(bad),
        dead_lettered=len(dead_letters),
        duplicates=apart.duplicates,
        lost=apart.missing,
    )
    assert not counts.lost, f"lost: {counts}"
    assert not apart.changed, f"not as they were sent: {apart.changed} of {counts}"
    assert not counts.duplicates or may_double, f"doubled: {counts}"
    assert counts.dead_lettered == dead, counts
    assert frozenset(bad) == traffic.bad, "what is bad is in quarantine, and nothing else"
    assert found.report.is_clean, found.report.findings
    return counts
