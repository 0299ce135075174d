"""Keys of the model's objects: batcher's own, and two layouts to compare them with."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

from batcher.batching.batch import Batch, Route
from batcher.keys.names import Uuid7Generator
from batcher.keys.partition import PartitionTemplate
from batcher.records.chunk import Chunk, NamingScheme, Origin
from batcher.records.columns import ConstantColumn
from batcher.settings import Settings
from batcher.writing.object import object_key

ROOT = "events"
ORIGIN = Origin("library", NamingScheme.FRESH)


@dataclass(frozen=True)
class Layout:
    """How keys begin."""

    name: str
    fanout: int = 1
    """Salts of batcher's own, left of the date."""
    hex_digits: int = 0
    """Digits of a hex hash in the salt's place instead."""
    is_date_first: bool = False
    """Whether the salt is right of the date."""

    @property
    def prefix_digits(self) -> int:
        """Characters of the salt that a pace goes by."""
        return self.hex_digits or self.fanout.bit_length() - 1


def base_2(fanout: int) -> Layout:
    """Return batcher's own layout."""
    return Layout(f"base 2, {fanout}" if fanout > 1 else "date first", fanout)


class Keys:
    """Makes keys at a simulated time."""

    def __init__(self, layout: Layout, began_s: float, seed: int) -> None:
        """Begin at `began_s`, seconds since 1970."""
        self._layout = layout
        self._settings = Settings(bucket="model", root=ROOT, fanout=layout.fanout)
        self._template = PartitionTemplate(self._settings.partition_by)
        self._now_s = began_s
        self._hour = -1.0
        self._names = Uuid7Generator(lambda: self._now_s, random.Random(seed).getrandbits)  # noqa: S311
        self.make: Callable[[float], tuple[str, str]] = self._make
        """Return a key and the salt in it, for the wall clock's time."""

    def _make(self, wall_s: float) -> tuple[str, str]:
        self._now_s = wall_s
        if wall_s // 3_600 != self._hour:
            self._turn_hour(wall_s)
        name = self._names()
        layout = self._layout
        key = object_key(self._batch, name, self._settings)
        if layout.hex_digits:
            salt = hashlib.sha256(name.encode()).hexdigest()[: layout.hex_digits]
            return f"{ROOT}/{salt}{key[len(ROOT) :]}", salt
        salt = key[len(ROOT) + 1 : len(ROOT) + 1 + layout.prefix_digits]
        if layout.is_date_first:
            return f"{ROOT}/{self._partition}/{salt}/{name}", salt
        return key, salt

    def _turn_hour(self, wall_s: float) -> None:
        run = Chunk(ORIGIN, [b"{}"], ["0"], ConstantColumn(wall_s, 1))
        ((self._partition, _),) = self._template.split(run)
        self._batch = Batch(Route(ORIGIN, self._partition), wall_s, wall_s)
        self._hour = wall_s // 3_600
