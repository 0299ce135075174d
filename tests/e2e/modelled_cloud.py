"""Modelled: our models of event source mappings invoke the package under the real runtime client.

What is modelled is AWS's side of it alone; the function, its runtime client and S3 are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson

from e2e.bucket_contents import BucketContents, look
from e2e.pipelines import Wanted
from e2e.project import Project
from e2e.queue_mapping import QueueMapping
from e2e.sandboxes import Sandboxes
from e2e.stream_mapping import StreamMapping
from e2e.tools import runtime_client
from e2e.traffic import Traffic
from support.aws_model.sandbox import Outcome, Responded
from support.fault_proxy import FaultProxy
from support.fault_script import Fault

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

M = TypeVar("M", QueueMapping, StreamMapping)
At = tuple[dict[str, str], str, str]
"""Where to look: an environment, a bucket, a root."""
ENOUGH = 400
"""No scenario takes so many invocations: one that does turns in circles."""


class Modelled:
    """A cloud whose event sources are ours."""

    def __init__(self, project: Project, server: SeaweedFS, folder: Path, *, is_cold: bool) -> None:
        """Run what `project` has packaged; sandboxes run, and log, in `folder`.

        `is_cold`: each invocation starts a sandbox of its own.
        """
        self._is_cold = is_cold
        self._project = project
        self._server = server
        self._folder = folder

    @contextmanager
    def deploy(self, wanted: Wanted) -> Iterator[Queueing | Streaming]:
        """See `Cloud.deploy`."""
        spec = wanted.spec(self._project)
        temperature = "cold" if self._is_cold else "warm"
        place = f"{temperature} {self._project.engine} {wanted.kind}"
        bucket = f"e2e-{token_hex(8)}"
        self._server.create_bucket(bucket)
        with FaultProxy(self._server.url) as proxy:
            environ = {
                **self._server.environ,
                "AWS_ENDPOINT_URL_S3": proxy.url,
                "BATCHER_BUCKET": bucket,
            }
            task_root, client = self._project.task_root, runtime_client()
            with Sandboxes(
                spec.function, task_root, client, environ, self._folder, is_cold=self._is_cold
            ) as sandboxes:
                at = (self._server.environ, bucket, spec.function.environ["BATCHER_ROOT"])
                if wanted.kind == "kinesis":
                    yield Streaming(place, StreamMapping(spec.mapping), proxy, sandboxes, at)
                else:
                    mapping = QueueMapping(spec.mapping, spec.queue, is_fifo=wanted.is_fifo)
                    yield Queueing(place, mapping, proxy, sandboxes, at)


class _Invoking(Generic[M]):
    """Delivers as a mapping does: invokes the function and counts."""

    def __init__(
        self, place: str, mapping: M, proxy: FaultProxy, sandboxes: Sandboxes, at: At
    ) -> None:
        self.place = place
        self.proxy = proxy
        self.reached = mapping.reached
        self.invocations = 0
        self.failed = 0
        self.largest_bytes = 0
        """Of the events so far."""
        self._kills = 0
        self._mapping: M = mapping
        self._sandboxes = sandboxes
        self._at = at

    @property
    def killed(self) -> int:
        """How often the function did not answer in time, or was to be killed."""
        return self._sandboxes.killed

    def send(self, traffic: Traffic, *, as_they_come: bool = False) -> None:
        """See `Pipeline.send`."""
        self._mapping.send(traffic.sent, as_they_come=as_they_come)

    def dead_letters(self) -> list[str]:
        """See `Pipeline.dead_letters`."""
        return self._mapping.dead_letters

    def landed(self) -> BucketContents:
        """See `Pipeline.landed`."""
        return look(*self._at)

    def kill_in(self, *faults: Fault) -> None:
        """Kill the function in each PUT that meets one of these, once it has met it."""

        def has_met() -> bool:
            is_new = sum(self.proxy.count("put", fault=fault) for fault in faults) > self._kills
            self._kills += is_new
            return is_new

        self._sandboxes.kill_when = has_met

    def _invoke(self, records: list[dict[str, Any]]) -> Outcome:
        assert self.invocations < ENOUGH, "what comes again is never acknowledged"
        event = {"Records": records}
        self.largest_bytes = max(self.largest_bytes, len(orjson.dumps(event)))
        outcome = self._sandboxes.invoke(event)
        self.invocations += 1
        self.failed += not isinstance(outcome, Responded) or bool(outcome.identifiers)
        return outcome


class Queueing(_Invoking[QueueMapping]):
    """A queue's pipeline."""

    def drain(self) -> None:
        """See `Pipeline.drain`."""
        while not self._mapping.is_drained:
            batch = self._mapping.batch()
            self._mapping.settle(batch, self._invoke([message.record for message in batch]))


class Streaming(_Invoking[StreamMapping]):
    """A stream's pipeline."""

    def drain(self) -> None:
        """See `Pipeline.drain`."""
        for lane in self._mapping.turns():
            batch = self._mapping.batch(lane)
            lane.settle(batch, self._invoke([each.record for each in batch]))
