"""Objects that `batcher write` has made: each is reported once, with what its key says."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from batcher.keys.partition import DEFAULT_PARTITION, PartitionTemplate
from batcher.tools.formatting import format_count, format_size
from batcher.writing.object import Receipt

_LOGGER = logging.getLogger("batcher")

MAX_REMEMBERED = 100_000
"""Keys by which a receipt is known that several blocks of lines share, at most."""


class DurableObjects:
    """Takes the receipts of blocks of lines, in the order of reading."""

    def __init__(self, partition_by: str, *, is_dry_run: bool) -> None:
        """Start with none.

        Args:
            partition_by: the template of the partitions.
            is_dry_run: whether objects are not written.
        """
        self.records_without_field = 0
        """Records of data objects in a folder for records without a field of the template."""
        self.fields = PartitionTemplate(partition_by).fields
        """The fields of the template."""
        self._verb = "would write" if is_dry_run else "durable"
        self._is_logged = _LOGGER.isEnabledFor(logging.INFO)
        self._keys: dict[str, None] = {}

    def add(self, receipts: Iterable[Receipt]) -> None:
        """Count objects, and log those that are new."""
        if not self.fields and not self._is_logged:
            return
        for receipt in receipts:
            if not receipt.key or receipt.key in self._keys:
                continue
            self._keys[receipt.key] = None
            if len(self._keys) > MAX_REMEMBERED:
                del self._keys[next(iter(self._keys))]
            if self.fields and DEFAULT_PARTITION in receipt.key:
                self.records_without_field += receipt.records
            if self._is_logged:
                records = format_count(receipt.records, "record")
                size = format_size(receipt.size_bytes)
                _LOGGER.info("%s: %s, %s, %s", self._verb, receipt.key, records, size)
