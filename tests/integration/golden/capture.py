"""Capture: objects, requests and answers, as facts that are the same in every run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import batcher
from batcher.records.positions import decode_positions

from . import isal_level_1, zstandard
from .server import RecordingS3

SMALL_BYTES = 700
"""Text up to this size is kept in the expected file, line by line."""
LONGEST_STRING = 100
"""Strings of a quarantine line that are longer are kept as their digest."""
DIGEST_DIGITS = 32
"""Of the SHA-256 in expected files."""
META = "x-amz-meta-"
AS_TEXT = "{as the text}"
_VOLATILE = {
    "accept",
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "connection",
    "content-length",
    "host",
    "if-match",  # these two are among the requests
    "if-none-match",
    "user-agent",
    "x-amz-checksum-algorithm",  # that an engine sends a checksum is checked by the server
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc64nvme",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-sdk-checksum-algorithm",
}
"""Headers of the transport; all others are compared."""
_UUID7 = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4})-7([0-9a-f]{3})-([89ab][0-9a-f]{3}-[0-9a-f]{12})")
_SALT = re.compile(r"(?<![^/])([01]{1,16})/")
_DATE, _HOUR = re.compile(r"dt=([0-9-]{10})"), re.compile(r"hour=([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Found:
    """One object, wherever it was written."""

    key: str
    body: bytes
    content_type: str
    metadata: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    part_sizes: list[int] | None = None


@dataclass(slots=True)
class Clock:
    """When a case ran; a fixed clock was given to the code under test."""

    fixed_s: float | None = None
    began_s: float = 0.0
    ended_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Note the time around what runs within."""
        self.began_s = time.time()
        yield
        self.ended_s = time.time()

    def check(self, moment_s: float) -> None:
        """Fail on a time at which the case did not run."""
        if self.fixed_s is None:
            assert self.began_s - 0.01 <= moment_s <= self.ended_s + 0.01
        else:
            assert moment_s == self.fixed_s

    def moments(self) -> Iterator[datetime]:
        """Yield the hours in which the case ran."""
        for moment_s in {self.began_s // 3600, self.ended_s // 3600}:
            yield datetime.fromtimestamp(0, UTC) + timedelta(hours=moment_s)


class Names:
    """Names of objects as they are in expected files: without chance and, mostly, without time."""

    def __init__(self, keys: Iterable[str], clock: Clock) -> None:
        """Check and rename all keys of one case."""
        self._clock = clock
        found = list(keys)
        by_chance = sorted(m[0] for key in found if (m := _UUID7.search(key)))
        assert len(set(by_chance)) == len(by_chance)
        self._numbers = {name: number for number, name in enumerate(by_chance, 1)}
        self._golden = {key: self._renamed(key) for key in found}
        assert len(set(self._golden.values())) == len(found)

    def __getitem__(self, key: str) -> str:
        return self._golden[key]

    def _renamed(self, key: str) -> str:
        match = _UUID7.search(key)
        if match is None:
            return key
        folder, _, name = key.rpartition("/")
        time_digits, counter, _ = match.groups()
        moment_s = int(time_digits.replace("-", ""), 16) / 1000
        if self._clock.fixed_s is None:
            self._clock.check(moment_s)
            name = name.replace(match[0], f"{{uuid7 {self._numbers[match[0]]}}}")
        else:
            assert moment_s == self._clock.fixed_s
            name = name.replace(match[0], f"{time_digits}-7{counter}-{{random}}")
        folder = _SALT.sub(lambda m: _checked_salt(m[1], match[0]), f"{folder}/")
        if self._clock.fixed_s is None:
            folder = self._without_time(folder)
        return f"{folder}{name}"

    def _without_time(self, folder: str) -> str:
        for pattern, fmt, instead in (
            (_DATE, "%Y-%m-%d", "dt={today}"),
            (_HOUR, "%H", "hour={now}"),
        ):
            if match := pattern.search(folder):
                assert match[1] in {moment.strftime(fmt) for moment in self._clock.moments()}
                folder = pattern.sub(instead, folder)
        return folder


def _checked_salt(salt: str, name: str) -> str:
    """Fail on a salt that is not made of the name, which is a UUID."""
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")
    assert salt == f"{digest:0256b}"[: len(salt)]
    return f"{{salt of {len(salt)} bits}}/"


def objects_in(server: RecordingS3) -> list[Found]:
    """Return the objects in S3."""
    found = []
    for key, there in server.objects.items():
        metadata = {
            name.removeprefix(META): value
            for name, value in there.headers.items()
            if name.startswith(META)
        }
        headers = {
            name: _sorted_tags(value) if name == "x-amz-tagging" else value
            for name, value in there.headers.items()
            if name not in _VOLATILE | {"content-type"} and not name.startswith(META)
        }
        requests = tuple(server.requests[key])
        content_type = there.headers["content-type"]
        found.append(
            Found(key, there.body, content_type, metadata, headers, requests, there.part_sizes)
        )
    return found


def _sorted_tags(value: str) -> str:
    """Return tags in one order: obstore sends them in any."""
    return "&".join(sorted(value.split("&")))


def objects_under(folder: Path) -> list[Found]:
    """Return the objects that were written as files, with what is stored beside them."""
    found = []
    for path in folder.rglob("*"):
        key = path.relative_to(folder).as_posix()
        if not path.is_file() or key.startswith(".meta/"):
            continue
        beside = json.loads((folder / ".meta" / f"{key}.json").read_text())
        assert beside.keys() == {"etag", "content_type", "metadata"}
        assert beside["etag"]
        found.append(Found(key, path.read_bytes(), beside["content_type"], beside["metadata"]))
    return found


def described(found: Iterable[Found], names: Names, clock: Clock) -> list[dict[str, Any]]:
    """Return the facts of all objects, by key."""
    facts = [_object(one, names, clock) for one in found]
    return sorted(facts, key=lambda fact: str(fact["key"]))


def unwritten(server: RecordingS3, names: Names) -> dict[str, list[str]]:
    """Return the requests for keys that have no object."""
    return {
        names[key]: requests
        for key, requests in sorted(server.requests.items())
        if key not in server.objects
    }


def _object(found: Found, names: Names, clock: Clock) -> dict[str, Any]:
    text, codec = _decompressed(found)
    is_quarantine = "_quarantine/" in found.key
    metadata = dict(found.metadata)
    if "batcher-crc32" in metadata:
        assert metadata["batcher-crc32"] == f"{zlib.crc32(text):08x}"
    if "batcher-bytes" in metadata:
        assert metadata["batcher-bytes"] == str(len(text))
    if "batcher-positions" in metadata:
        listed = decode_positions(base64.b64decode(metadata["batcher-positions"]))
        assert hashlib.sha256("\n".join(listed).encode()).hexdigest() == metadata["batcher-digest"]
        metadata["batcher-positions"] = "{as the digest}"
    digest = f"{len(text)} bytes, sha256 {_sha256(text)}"
    body = f"{codec}, {_body(found.body, codec)}"
    facts: dict[str, Any] = {"key": names[found.key], "content_type": found.content_type}
    if found.headers:
        facts["headers"] = dict(sorted(found.headers.items()))
    if found.requests:
        facts["requests"] = list(found.requests)
    if found.part_sizes is not None:
        # The last one is as long as the codec makes it, which may depend on the processor
        rest = "{rest}" if "ISA-L" in body else found.part_sizes[-1]
        facts["part_sizes"] = [*found.part_sizes[:-1], rest]
    if is_quarantine:
        metadata |= {n: AS_TEXT for n in ("batcher-bytes", "batcher-crc32") if n in metadata}
        lines, details, is_now = _quarantined(text, clock)
        facts["quarantined"] = lines
        facts["wording"] = {"details": details, "body": body}
        if not is_now:
            facts["wording"]["text"] = digest
    else:
        facts |= {"text": digest, "body": body}
        if len(text) <= SMALL_BYTES:
            facts["lines"] = text.decode("utf-8", "backslashreplace").split("\n")[:-1]
            assert text.endswith(b"\n") or metadata.get("batcher-kind") == "guard"
    facts["metadata"] = dict(sorted(metadata.items()))
    return facts


def _body(body: bytes, codec: str) -> str:
    """Return what a body is, as exactly as it is the same in every process."""
    if codec != "gzip":
        return f"{len(body)} bytes, sha256 {_sha256(body)}"
    if isal_level_1.is_made_by_it(body):
        return "ISA-L level 1, one member"
    return f"one member of {len(body)} bytes, sha256 {_sha256(body)}"


def _decompressed(found: Found) -> tuple[bytes, str]:
    if found.key.endswith(".gz"):
        return isal_level_1.text_of(found.body), "gzip"
    if found.key.endswith(".zst"):
        return zstandard.decompress(found.body), "zstd"
    return found.body, "none"


def _quarantined(text: bytes, clock: Clock) -> tuple[list[dict[str, Any]], list[str], bool]:
    """Return a quarantine object's lines, their details, and whether the time of the run is in."""
    lines, details, is_now = [], [], False
    for raw in text.splitlines():
        line = json.loads(raw)
        details.append(line.pop("detail"))
        if line["source"] in {"cli", "direct", "library"}:
            clock.check(datetime.fromisoformat(line["arrival"]).timestamp())
            if clock.fixed_s is None:
                line["arrival"] = "{now}"
                is_now = True
        lines.append({name: _shortened(value) for name, value in line.items()})
    return lines, details, is_now


def _shortened(value: object) -> object:
    if not isinstance(value, str) or len(value) <= LONGEST_STRING:
        return value
    raw = value.encode("utf-8", "surrogatepass")
    return {"starts": value[:20], "characters": len(value), "sha256": _sha256(raw)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]


def outcome(work: Callable[[], object]) -> dict[str, Any]:
    """Return what `work` returned, or the facts of what it raised: none of them is a wording."""
    try:
        return {"returned": work()}
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the outcome
        return {"raised": facts_of(error)}


def facts_of(error: BaseException) -> dict[str, Any]:
    """Return what programs can rely on of an error."""
    facts: dict[str, Any] = {"class": _public_class(error)}
    if isinstance(error, batcher.PoisonRecordError):
        facts |= {"reason": str(error.reason), "position": error.position}
    if isinstance(error, batcher.SettingsError):
        facts["faults"] = len(error.faults)
    if isinstance(error.__cause__, batcher.BatcherError):
        facts["cause"] = facts_of(error.__cause__)
    return facts


def _public_class(error: BaseException) -> str:
    """Return the name of the first class that users know."""
    for kind in type(error).__mro__:
        if kind.__name__ in batcher.__all__ or kind.__module__ == "builtins":
            return kind.__name__
    raise AssertionError(error)


def receipt(key: str, records: int, size_bytes: int, names: Names, sizes: dict[str, int]) -> Any:  # noqa: ANN401  # JSON
    """Return the facts of a receipt; its size must be that of the body."""
    if not key:
        return {"key": key, "records": records, "size_bytes": size_bytes}
    assert size_bytes == sizes[key]
    return {"key": names[key], "records": records, "size_bytes": "{of the body}"}
