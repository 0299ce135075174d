"""The proxy itself: what it lets through is untouched, and its faults are what they say."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, RemoteDisconnected

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from support.fakes import incompressible_bytes
from support.fault_bench import FaultBench
from support.fault_proxy import HOST, FaultProxy
from support.fault_script import (
    ALWAYS,
    CONFLICT,
    CUT_RESPONSE,
    ERROR_IN_200,
    RESET,
    RESPONSE_LOST,
    STALL,
    Fault,
    FaultScript,
    Rule,
    SeenRequest,
    classify,
    slow_down_for,
)
from support.s3_servers import Moto, make_s3_client

Direct = tuple[FaultProxy, Moto, str]


@pytest.fixture
def direct(moto: Moto, bucket: str) -> Iterator[Direct]:
    """Return a proxy before moto, whose requests need no signature, and a bucket there."""
    moto.create_bucket(bucket)
    with FaultProxy(moto.environ["AWS_ENDPOINT_URL_S3"]) as proxy:
        yield proxy, moto, bucket


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("PUT", "/b/k/dt%3D1/x", ("put", "k/dt=1/x")),
        ("PUT", "/b/k?partNumber=1&uploadId=u", ("part", "k")),
        ("PUT", "/b", ("bucket", "")),
        ("POST", "/b/k?uploads", ("create", "k")),
        ("POST", "/b/k?uploadId=u", ("complete", "k")),
        ("DELETE", "/b/k?uploadId=u", ("abort", "k")),
        ("HEAD", "/b/k", ("head", "k")),
        ("GET", "/b/k", ("get", "k")),
        ("GET", "/b?uploads&prefix=k", ("list", "k")),
        ("DELETE", "/b/k", ("delete", "k")),
        ("OPTIONS", "/b/k", ("other", "k")),
    ],
)
def test_requests_are_told_apart(method: str, target: str, expected: tuple[str, str]) -> None:
    """By method and query, as S3 does; keys are plain text."""
    assert classify(method, target) == expected


def test_a_script_decides_by_occurrence_key_and_seed() -> None:
    """The same seed decides the same; rules that did too little are named."""
    script = FaultScript(
        [Rule("put", RESET, key="b", first=2, times=2), Rule("put", STALL, times=9)]
    )
    keys = ["b", "a", "b", "b", "b"]
    assert [script.decide("put", key) for key in keys] == [STALL, STALL, RESET, RESET, STALL]
    assert script.decide("part", "b") is None
    assert script.unfired() == ["put stall: 3 of 9"]
    rolls = [[s.decide("put", "k") for _ in range(50)] for s in _dice(1, 1, 2)]
    assert rolls[0] == rolls[1] != rolls[2]
    assert {*rolls[0]} == {RESET, None}


def _dice(*seeds: int) -> list[FaultScript]:
    return [FaultScript([Rule("put", RESET, times=ALWAYS, chance=0.5)], seed) for seed in seeds]


def test_what_a_real_server_verifies_goes_through(fault_bench: FaultBench) -> None:
    """Signature, `100 Continue`, checksums in trailers, chunks, keep-alive: all by boto3."""
    client = make_s3_client(dict(os.environ))
    names = {"Bucket": fault_bench.bucket, "Key": f"{fault_bench.root}/x"}
    body = incompressible_bytes(300_000)
    client.put_object(**names, Body=body)
    assert client.get_object(**names)["Body"].read() == body
    assert client.head_object(**names)["ContentLength"] == len(body)
    client.delete_object(**names)
    assert fault_bench.keys() == set()
    operations = [one.operation for one in fault_bench.proxy.seen]
    assert operations == ["put", "get", "head", "delete"]
    client.close()


def test_a_connection_is_kept_and_chunks_are_passed_on(direct: Direct) -> None:
    """One connection, several requests, a body without a length."""
    proxy, moto, bucket = direct
    proxy.use_rules(Rule("put", slow_down_for("3")), Rule("put", CONFLICT))
    connection = HTTPConnection(HOST, proxy.port, timeout=5)
    answers = []
    for _ in range(2):
        connection.request("PUT", f"/{bucket}/k", iter([b"some ", b"text"]), encode_chunked=True)
        answer = connection.getresponse()
        answers.append((answer.status, answer.getheader("Retry-After"), b"<Code>" in answer.read()))
    connection.close()
    assert answers == [(503, "3", True), (409, None, True)]
    assert proxy.seen == [
        SeenRequest("put", "k", proxy.seen[0].fault),
        SeenRequest("put", "k", CONFLICT),
    ]
    assert "Contents" not in moto.client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(("fault", "is_there"), [(RESET, False), (RESPONSE_LOST, True)], ids=str)
def test_a_reset_comes_before_or_after_the_server_has_acted(
    direct: Direct, fault: Fault, *, is_there: bool
) -> None:
    """The client cannot tell which; the bucket can."""
    proxy, moto, bucket = direct
    proxy.use_rules(Rule("put", fault))
    connection = HTTPConnection(HOST, proxy.port, timeout=5)
    connection.request("PUT", f"/{bucket}/k", b"text")
    with pytest.raises((ConnectionResetError, RemoteDisconnected)):
        connection.getresponse()
    connection.close()
    assert ("Contents" in moto.client.list_objects_v2(Bucket=bucket)) is is_there
    assert proxy.unfired() == []


def test_an_answer_that_is_cut_has_less_than_it_says(direct: Direct) -> None:
    """The connection ends within the body."""
    proxy, moto, bucket = direct
    moto.client.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    proxy.use_rules(Rule("get", CUT_RESPONSE))
    client = make_s3_client({**moto.environ, "AWS_ENDPOINT_URL_S3": proxy.url})
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        client.get_object(Bucket=bucket, Key="k")["Body"].read()
    client.close()
    assert proxy.unfired() == []


def test_an_error_in_a_200_is_one_to_a_client_that_looks(direct: Direct) -> None:
    """As S3 does it when joining parts goes wrong after the head of the answer is out."""
    proxy, moto, bucket = direct
    proxy.use_rules(Rule("complete", ERROR_IN_200))
    client = make_s3_client({**moto.environ, "AWS_ENDPOINT_URL_S3": proxy.url})
    names = {"Bucket": bucket, "Key": "k"}
    names["UploadId"] = client.create_multipart_upload(**names)["UploadId"]
    etag = client.upload_part(**names, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    with pytest.raises(ClientError, match="InternalError"):
        client.complete_multipart_upload(**names, MultipartUpload=parts)
    client.close()


def test_a_proxy_that_is_away_refuses_and_comes_back_at_its_port(direct: Direct) -> None:
    """Connections there were are broken."""
    proxy, _, _ = direct
    kept = socket.create_connection((HOST, proxy.port), timeout=5)
    proxy.disconnect()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), timeout=5)
    proxy.reconnect()
    socket.create_connection((HOST, proxy.port), timeout=5).close()
    kept.close()


async def test_a_proxy_that_hangs_up_waits_until_clients_have_noticed(direct: Direct) -> None:
    """An end of the stream and no reset; new connections are taken all the while."""
    proxy, _, _ = direct
    proxy.use_rules(Rule("get", CONFLICT))  # moto closes the connection with its response
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"GET /b/k HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 409 ")
    hanging_up = asyncio.create_task(asyncio.to_thread(proxy.close_idle_connections))
    await reader.read()  # until the end of the stream
    assert not hanging_up.done()
    writer.close()
    await hanging_up
    _, other = await asyncio.open_connection(HOST, proxy.port)
    other.close()
