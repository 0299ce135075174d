"""Engines: one event, one key, the same bytes and all that is beside them."""

from __future__ import annotations

from typing import Any

import pytest

from batcher.handler import make_handler
from support.examples import make_settings
from support.numbered_events import kinesis, sqs
from support.s3_servers import S3Server
from support.store_fixtures import ENGINES, S3StoreFixture

CHOSEN: list[dict[str, Any]] = [
    {},
    {
        "compression": "none",
        "content_type": "application/json; charset=utf-8",
        "metadata": {"Team": "data  lake; x=1", "empty": ""},
        "tags": {"team": "data lake", "cost": "a+b=c:d/e@f"},
        "storage_class": "STANDARD_IA",
        "partition_by": "kind={field:kind}/n={field:n}",
    },
    {"compression": "none", "multipart_threshold": 1, "metadata": {"team": "x"}},
]
EVENTS = [sqs("a b", "größe", "x/y"), kinesis("%2F", "..", "日本")]
KEPT = ("ContentType", "ContentLength", "Metadata", "StorageClass", "TagCount")


@pytest.mark.parametrize("name", ["moto", "seaweedfs"])
@pytest.mark.parametrize("chosen", CHOSEN, ids=["defaults", "everything", "in parts"])
def test_both_engines_write_the_same_objects(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    bucket: str,
    name: str,
    chosen: dict[str, Any],
) -> None:
    """Keys, bodies, metadata, Content-Type, class and tags: a reader cannot tell who wrote."""
    server: S3Server = request.getfixturevalue(name)
    for variable, value in server.environ.items():
        monkeypatch.setenv(variable, value)
    first, second = [
        written(server, f"{bucket}-{engine}", settings={"engine": engine, **chosen})
        for engine in ENGINES
    ]
    assert len(first) >= len(EVENTS)
    assert first == second


def written(server: S3Server, bucket: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Write the events by the handler; give all there is of each object, by key."""
    server.create_bucket(bucket)
    handler = make_handler(make_settings(bucket=bucket, root="events", **settings))
    for event in EVENTS:
        for _ in range(2):  # the second delivery finds its own objects
            handler(event, None)
    handler.close()
    store_fixture = S3StoreFixture(server, bucket)
    found: dict[str, Any] = {}
    for key in sorted(store_fixture.keys()):
        head = store_fixture.head(key)
        tags = server.client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        kept = {part: head.get(part) for part in KEPT}
        found[key] = (store_fixture.read(key)[0], kept, {tag["Key"]: tag["Value"] for tag in tags})
    return found
