"""The same promises where nothing is a model: Lambda's own runtime client, and a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.aws_model.s3 import Bucket
from support.aws_model.streams import PARTITIONS, Audit, event_of, records_of
from support.handler_harness import NO_FAILURES
from support.runtime_api import Function
from support.served_pollers import read_bucket
from support.store_fixtures import ENGINES
from support.throttle_proxy import Direction, ThrottleProxy

if TYPE_CHECKING:
    from support.s3_servers import SeaweedFS

pytestmark = pytest.mark.slow

RECORDS = records_of("kinesis", ["a", "a", "b", "bad", "a", "b"], [1, 2, 3, -1, 4, 5])


class Deployment:
    """A bucket on a real server, and functions that reach it through a wire that can be stopped."""

    def __init__(
        self,
        server: SeaweedFS,
        bucket: str,
        throttle_proxy: ThrottleProxy,
        folder: Path,
        engine: str,
    ) -> None:
        """Deploy to `bucket`, which is written to by `engine`."""
        self._client = server.client
        self._bucket = bucket
        self._folder = folder
        self._environ = {
            **server.environ,
            "AWS_ENDPOINT_URL_S3": throttle_proxy.url,
            "BATCHER_BUCKET": bucket,
            "BATCHER_ENGINE": engine,
            "BATCHER_ROOT": "events",
            "BATCHER_PARTITION_BY": PARTITIONS["kinesis"],
            "BATCHER_PARTIAL_RESPONSE": "true",
            "BATCHER_CONCURRENCY": "1",
        }

    def function(self) -> Function:
        """Start a sandbox."""
        return Function(self._environ, self._folder)

    def objects(self) -> Bucket:
        """Read all there is."""
        return read_bucket(self._client, self._bucket)

    def check(self) -> None:
        """Each record is in exactly one object, and nothing else is there."""
        Audit(RECORDS).check_end(self.objects())


@pytest.fixture
def throttle_proxy(seaweedfs: SeaweedFS) -> Iterator[ThrottleProxy]:
    """Return a wire to the server."""
    with ThrottleProxy(seaweedfs.url) as throttle_proxy:
        yield throttle_proxy


@pytest.fixture(params=ENGINES)
def deployment(
    request: pytest.FixtureRequest,
    seaweedfs: SeaweedFS,
    bucket: str,
    throttle_proxy: ThrottleProxy,
    tmp_path: Path,
) -> Deployment:
    """Deploy to a bucket of its own, with each engine in turn."""
    seaweedfs.create_bucket(bucket)
    return Deployment(seaweedfs, bucket, throttle_proxy, tmp_path, request.param)


def batch(start: int, end: int) -> dict[str, Any]:
    """Make the event that brings these records."""
    return event_of(RECORDS[start:end])


def test_a_warm_function_writes_batch_after_batch(deployment: Deployment) -> None:
    """What is delivered twice is there once."""
    with deployment.function() as function:
        for start, end in ((0, 3), (0, 3), (3, 6), (3, 6)):
            assert function.invoke(batch(start, end)) == ("response", NO_FAILURES)
    deployment.check()


def test_an_error_is_told_and_the_function_goes_on(deployment: Deployment) -> None:
    """Lambda sees its type and its message; the sandbox stays warm."""
    with deployment.function() as function:
        kind, answer = function.invoke({"Records": [{"eventSource": "aws:unheard-of"}]})
        assert (kind, answer["errorType"]) == ("error", "UnknownSourceError")
        assert "aws:unheard-of" in answer["errorMessage"]
        assert function.invoke(batch(0, 6)) == ("response", NO_FAILURES)
    deployment.check()


REDELIVERIES: list[Sequence[tuple[int, int]]] = [[(0, 6)], [(0, 1), (1, 4), (4, 6)]]
"""What comes after a batch of the first four has been killed: longer ones, and shorter ones."""


@pytest.mark.parametrize("stop", [Direction.REQUEST, Direction.RESPONSE])
@pytest.mark.parametrize("redeliveries", REDELIVERIES)
def test_a_function_killed_in_a_put_has_written_each_record_once_when_it_came_again(
    deployment: Deployment,
    throttle_proxy: ThrottleProxy,
    stop: Direction,
    redeliveries: Sequence[tuple[int, int]],
) -> None:
    """Whether S3 has heard of it or not; and what it hears of late is refused."""
    with deployment.function() as function:
        throttle_proxy.stop(stop)
        function.send(batch(0, 4))
        throttle_proxy.wait_until_stopped()
        function.kill()
    assert (len(deployment.objects().objects) > 0) == (stop is Direction.RESPONSE)
    with deployment.function() as function:
        for start, end in redeliveries:
            assert function.invoke(batch(start, end)) == ("response", NO_FAILURES)
    deployment.check()
    throttle_proxy.release()
    deployment.check()
