"""Queue URLs: those of AWS and of emulators are accepted, mistyped ones are not."""

from __future__ import annotations

import pytest

from batcher.tools.replay.sqs_message import queue_url_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo",
        "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a-b_C9",
        "https://queue.amazonaws.com/123456789012/orders",
        "https://eu-west-1.queue.amazonaws.com/123456789012/orders",
        "https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com/123456789012/orders",
        "http://127.0.0.1:4566/000000000000/q",
        "http://[::1]:4566/000000000000/q",
        "http://localhost:9324/queue/orders",
        "http://localhost:4566/queue/us-east-1/000000000000/orders",
        "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/orders",
        f"https://host/1/{'q' * 80}",
    ],
)
def test_a_possible_queue_url_is_accepted(url: str) -> None:
    """Only SQS knows whether the queue exists."""
    assert queue_url_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "orders",
        "htps://typo/q",
        "https://typo/q",
        "https:///123456789012/orders",
        "https://sqs.eu-west-1.amazonaws.com/orders",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/",
        "https://sqs.eu-west-1.amazonaws.com//orders",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders?x=1",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/or ders",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders\n",
        " https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        "s3://bucket/123456789012/orders",
        "arn:aws:sqs:eu-west-1:123456789012:orders",
        f"https://host/1/{'q' * 81}",
    ],
)
def test_an_impossible_queue_url_is_rejected_with_an_example(url: str) -> None:
    """The example is in the message."""
    why = queue_url_fault(url)
    assert why is not None
    assert why.startswith(f"{url!r} is not the URL of a queue")
    assert "https://sqs." in why
