"""Targets: what must hold whatever comes in; Hypothesis and atheris call the same functions.

Each takes one input, and raises where a promise is broken: an `AssertionError`, or whatever the
code raised that is no error of ours.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from backports import zstd

from batcher.cli.input import GZIP_MAGIC, STEP_BYTES, ZSTD_MAGIC
from batcher.cli.reader import BLOCK_LINES, Block, InputError, Reader
from batcher.errors import BatcherError, SettingsError
from batcher.handler import make_handler
from batcher.intake import Intake
from batcher.keys import MAX_KEY_BYTES, key_of, name_of, salt
from batcher.partition import DEFAULT_PARTITION, MAX_VALUE_BYTES, Template, escape
from batcher.reading.report import Report
from batcher.reading.verify import Verify
from batcher.replay.job import Means
from batcher.replay.lines import Wanted
from batcher.replay.objects import Objects
from batcher.replay.replay import Replay
from batcher.settings import PREFIX, Settings
from batcher.stores.base import About
from batcher.stores.memory import MemoryStore
from unit.examples import batch_of, run_of, settings_of

ROOT = "events"
SOURCES = {
    "sqs": "aws:sqs",
    "fifo": "aws:sqs",
    "kinesis": "aws:kinesis",
    "dynamodb": "aws:dynamodb",
}
IDENTITY = {
    "sqs": ("messageId",),
    "fifo": ("messageId",),
    "kinesis": ("kinesis", "sequenceNumber"),
    "dynamodb": ("dynamodb", "SequenceNumber"),
}


def at(record: object, path: tuple[str, ...]) -> object:
    """Look a value up; None where a step is missing."""
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def answered(event: object, **settings: Any) -> tuple[object, MemoryStore]:  # noqa: ANN401
    """Give what a fresh handler answers, or the error of ours that it raises, and what it wrote.

    Raises:
        Exception: any that is no `BatcherError`.
    """
    store = MemoryStore()
    chosen = settings_of(**{"root": ROOT, "partial_response": True, "linger_s": 0, **settings})
    handler = make_handler(chosen, store=store)
    try:
        return handler(event), store
    except BatcherError as error:
        return error, store
    finally:
        handler.close()


def lines_of(store: MemoryStore, *, quarantined: bool) -> list[bytes]:
    """Give the lines of all objects of data, or of quarantine; every key must be one of ours."""
    found: list[bytes] = []
    for key, there in store.objects.items():
        assert len(key.encode()) <= MAX_KEY_BYTES, key
        root, first, *rest = key.split("/")
        assert root == ROOT, key
        assert rest, key
        assert not {"", ".", ".."} & {first, *rest}, key
        assert first == "_quarantine" or re.fullmatch("[01]{4}", first), key
        if (first == "_quarantine") is quarantined:
            text = gzip.decompress(there.body)
            assert text.endswith(b"\n")
            found += text[:-1].split(b"\n")
            assert there.stored.metadata["batcher-records"] == str(text.count(b"\n"))
    return found


def read(line: bytes) -> object:
    """Read a line of data; numbers that Python has no value for are their text."""
    return json.loads(line, parse_int=lambda text: int(text) if len(text) < 99 else text)


def payload_of(kind: str, record: dict[str, Any]) -> object:
    """Give what stands in the line of a good record."""
    if kind == "dynamodb":
        return record
    return json.loads(b64decode(record["kinesis"]["data"]) if kind == "kinesis" else record["body"])


def check_service_event(kind: str, records: list[Any], bad: set[int], **settings: Any) -> None:  # noqa: ANN401
    """An event of a service: all with an identity is settled or handed back, good ones are written.

    Args:
        kind: of `SOURCES`.
        records: what the event holds.
        bad: the indices of those that may be anything; the others are good.
    """
    identities = [at(record, IDENTITY[kind]) for record in records]
    sources = [at(record, ("eventSource",)) for record in records]
    answer, store = answered({"Records": records}, **settings)
    has_all = all(isinstance(i, str) and i for i in identities)
    if isinstance(answer, BatcherError):
        assert not store.objects
        assert not has_all or set(map(repr, sources)) != {repr(SOURCES[kind])}, answer
        return
    assert has_all
    assert isinstance(answer, dict)
    assert set(answer) == {"batchItemFailures"}
    back = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
    assert back <= set(identities)
    kept, aside = lines_of(store, quarantined=False), lines_of(store, quarantined=True)
    positions = [json.loads(line)["position"] for line in aside]
    assert len(set(positions)) == len(positions)
    assert set(positions) <= {_shown(identity) for identity in identities}
    mode = settings.get("on_bad_record", "quarantine")
    if mode != "fail":
        assert not back
    if mode == "quarantine":
        assert len(kept) + len(aside) == len(set(identities))
    else:
        assert not aside
    values = [read(line) for line in kept]
    for index, record in enumerate(records):
        first = identities.index(identities[index])
        if index in bad or first in bad:
            continue
        expected = payload_of(kind, record)
        if first == index:
            assert values.count(expected) == 1, (record, values)


def _shown(identity: object) -> str:
    """Give an identity as a line of quarantine shows it."""
    return str(identity).encode("utf-8", "backslashreplace").decode()


def check_any_event(event: object) -> None:
    """A hand-made event: an answer of a known form, or an error of ours; records are all there."""
    answer, store = answered(event)
    if isinstance(answer, BatcherError):
        assert not store.objects
        return
    assert isinstance(answer, dict)
    if set(answer) == {"batchItemFailures"}:
        return
    assert set(answer) == {"receipts", "quarantined"}
    count = len(event) if isinstance(event, list) else 1
    kept, aside = lines_of(store, quarantined=False), lines_of(store, quarantined=True)
    assert len(kept) == sum(receipt["records"] for receipt in answer["receipts"])
    assert len(aside) == answer["quarantined"]
    assert len(kept) + len(aside) == count


SECRET = "hunter2-AKIAFUZZ"
"""In the environment under names that are no settings; never to be shown."""


def check_settings(environ: Mapping[str, Any], values: Mapping[str, Any]) -> Settings | None:
    """Settings are valid, or a `SettingsError` says every fault in one message.

    Raises:
        Exception: any that is no `SettingsError`.
    """
    given = {**environ, "BATCHER_S3_SECRET_KEY": SECRET} if "secret" in environ else environ
    try:
        settings = Settings.from_env(given, **values)
    except SettingsError as error:
        _check_faults(error, given, values)
        return None
    assert "secret" not in environ
    assert settings == Settings(**{f.name: getattr(settings, f.name) for f in fields(settings)})
    assert settings.max_bytes >= 1 <= settings.budget_bytes
    assert not Template.faults(settings.partition_by)
    return settings


def _check_faults(
    error: SettingsError, environ: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Every fault is told, and nothing that is no setting's."""
    assert error.faults
    for fault in error.faults:
        assert fault in str(error)
    assert SECRET not in str(error)
    unknown = [name for name in environ if name.startswith(PREFIX) and not is_setting(name)]
    assert len([f for f in error.faults if "is no setting of batcher" in f]) == len(unknown)
    for name in alone_faulty(values):
        assert any(fault.startswith(name) for fault in error.faults), (name, error.faults)


def is_setting(variable: str) -> bool:
    """Say whether a variable is a setting's, letter for letter."""
    return variable in {f"{PREFIX}{f.name.upper()}" for f in fields(Settings)}


def alone_faulty(values: Mapping[str, Any]) -> list[str]:
    """Give the settings that are a fault even if all others are as they are by default."""
    found = []
    for name, value in values.items():
        try:
            Settings(**{"bucket": "my-bucket", name: value})
        except SettingsError as error:
            if any(fault.startswith(f"{name}:") for fault in error.faults):
                found.append(name)
    related = {"compression_level", "kms_key_id", "max_bytes", "partition_by"}
    return [name for name in found if name not in related]


VALUE = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-F]{2})*(?:%?[0-9A-F]?~[0-9a-f]{16})?")
"""A long value is cut at 96 bytes, wherever an escape may stand there."""


def check_partition(
    template: str, fanout: int, root: str, records: list[dict[str, Any]]
) -> dict[str, list[int]]:
    """Keys stay in their own space, whatever a template and the records' fields are.

    Returns:
        The indices of the records by partition; nothing where the settings are refused.
    """
    try:
        settings = settings_of(partition_by=template, fanout=fanout, root=root)
    except SettingsError:
        return {}
    payloads = [json.dumps(record).encode() for record in records]
    found: dict[str, list[int]] = {}
    for route, part in Intake(settings).admit(run_of(*payloads)).routed:
        assert route.is_quarantine or route.partition not in found
        batch = batch_of(part, route.partition, is_quarantine=route.is_quarantine)
        name = name_of(batch, batch.digest(), "019ab0c7-0000-7000-8000-000000000000")
        key = key_of(batch, name, settings)
        assert len(key.encode()) <= MAX_KEY_BYTES
        assert key.isprintable()
        start = f"{settings.root}/" if settings.root else ""
        assert key.startswith(start)
        folders = key.removeprefix(start).split("/")
        assert not {"", ".", ".."} & set(folders), key
        if route.is_quarantine:
            assert folders[0] == "_quarantine"
            continue
        if fanout > 1:
            assert folders[0] == salt(name, fanout)
        elif len(folders) > 1:
            assert not folders[0].startswith("_"), key
            assert not set(folders[0]) <= {"0", "1"}, key
        found[route.partition] = [int(position) for position in part.positions]
    return found


def check_value(value: object) -> str:
    """A value has a form of its own that is safe in a key."""
    escaped = escape(value)
    assert VALUE.fullmatch(escaped), escaped
    assert escaped not in {"", ".", ".."}
    assert len(escaped) <= MAX_VALUE_BYTES
    if isinstance(value, str) and escaped != DEFAULT_PARTITION and "~" not in escaped:
        assert unquote(escaped, errors="surrogatepass") == value
    return escaped


def read_input(path: str, max_line_bytes: int = 2**30) -> tuple[list[Block], str]:
    """Read a file as `batcher write` does; give its blocks, and what stopped it, if anything."""

    async def read() -> tuple[list[Block], str]:
        blocks: list[Block] = []
        try:
            async for block in Reader([path], max_line_bytes):
                blocks.append(block)  # noqa: PERF401  # what came before an error counts
        except InputError as error:
            return blocks, str(error)
        return blocks, ""

    return asyncio.run(read())


FLAGS, KNOWN_FLAGS = 3, 0b11111
"""Where a gzip header has its flags, and which there are. Source: RFC 1952, 2.3.1."""


def unpacked(data: bytes) -> tuple[bytes, bool]:
    """Give a file's text as the standard library reads it, and whether that is all of it."""
    if not data.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
        return data, True
    text = b""
    is_gzip = data.startswith(GZIP_MAGIC)
    while data:
        if is_gzip and len(data) > FLAGS:  # zlib refuses reserved flags, which ISA-L passes over
            data = data[:FLAGS] + bytes([data[FLAGS] & KNOWN_FLAGS]) + data[FLAGS + 1 :]
        member: Any = zlib.decompressobj(31) if is_gzip else zstd.ZstdDecompressor()
        try:
            for start in range(len(data)):  # byte by byte: all there is before the damage
                text += member.decompress(data[start : start + 1])
                if member.eof:
                    break
        except (zlib.error, zstd.ZstdError):
            return text, False
        if not member.eof:
            return text, False
        data = member.unused_data + data[start + 1 :]
        data = data.lstrip(b"\0") if is_gzip else data
    return text, True


def check_input(data: bytes, path: str, max_line_bytes: int) -> None:
    """A file is read to its end, or to its damage: every line once, in order, with its number."""
    Path(path).write_bytes(data)
    blocks, why = read_input(path, max_line_bytes)
    expected, is_whole = unpacked(data)
    if why:
        last = blocks[-1].first_line + blocks[-1].lines if blocks else 1
        assert why.startswith(f"{path}: cannot be read beyond line {last}: ")
        assert not is_whole
    lines = expected.split(b"\n")
    ends_whole = is_whole and not why
    wanted = lines if ends_whole and lines[-1] else lines[:-1]
    number = 1
    for block in blocks:
        assert block.first_line == number
        assert block.text.endswith(b"\n")
        assert block.lines == block.text.count(b"\n") <= BLOCK_LINES
        found = block.text[:-1].split(b"\n")
        if block.cut_bytes:
            assert block.lines == 1
            assert block.cut_bytes == len(wanted[number - 1]) > max_line_bytes
            assert wanted[number - 1].startswith(found[0])
        else:
            assert found == wanted[number - 1 : number - 1 + block.lines]
        number += block.lines
    if ends_whole:
        assert number - 1 == len(wanted)
    else:
        given = sum(block.cut_bytes or len(block.text) for block in blocks)
        assert given + STEP_BYTES + max(map(len, lines)) >= len(expected)


StoredObjects = Mapping[str, tuple[bytes, Mapping[str, str]]]
"""Bodies and metadata, by key."""


def check_stored(
    objects: Mapping[str, tuple[bytes, Mapping[str, str]]], uploads: list[str]
) -> None:
    """What lies under a root may be anything: `verify` judges it, `replay` leaves it or says why.

    Objects of data stay as they are, whatever is found; nothing is removed.
    """
    asyncio.run(_check_stored(objects, uploads))


async def _check_stored(objects: StoredObjects, uploads: list[str]) -> None:
    store = MemoryStore()
    for key, (body, metadata) in objects.items():
        await store.put(key, body, About("application/gzip", dict(metadata)))
    for key in uploads:
        await store.create_upload(key, About(), part_bytes=5 * 2**20)
    report = Report()
    await Verify(store, ROOT, report, 2).run(lambda: 0.0, lambda: None)
    json.dumps(report.as_dict()).encode()
    under = [key for key in objects if key.startswith(f"{ROOT}/")]
    assert report.objects + report.quarantine_objects <= len(under)
    if any(key.startswith(f"{ROOT}/") for key in uploads):
        assert not report.is_clean
    settings = settings_of(root=ROOT)
    destination = Objects(store, settings)
    means = Means(
        store, store, destination, Wanted(frozenset(), "", float("-inf"), float("inf")), 2**20
    )
    try:
        for _ in range(2):
            replay = Replay(means, ROOT)
            async for _ in replay.run(await replay.found()):
                pass
        assert replay.tally.replayed.total() == 0, "a second run sent records again"
    finally:
        await destination.aclose()
    for key, (body, _) in objects.items():
        assert key in store.objects
        if not key.startswith(f"{ROOT}/_quarantine/"):
            assert store.objects[key].body == body
