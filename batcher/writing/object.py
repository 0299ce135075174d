"""One object of a batch: its format, key and metadata, and the receipt once it is durable.

`object_key` joins the full key of an object. The name in it is made by `batcher.keys.names`, and
the partition by `batcher.keys.partition`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from batcher.encoding.codec import Checksum
from batcher.keys.names import (
    message_set_name,
    quarantine_date,
    salt,
    sequence_name,
)
from batcher.keys.object_format import QUARANTINE_FORMAT, ObjectFormat, data_format
from batcher.keys.partition import DIGEST_DIGITS
from batcher.records.chunk import NamingScheme, positions_digest
from batcher.stores.base import ObjectAttributes, ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batcher.batching.batch import Batch, Route
    from batcher.settings import Settings

# Names of the object's metadata, next to the user's own
METADATA_RECORDS = "batcher-records"


METADATA_FIRST = "batcher-first"


METADATA_LAST = "batcher-last"


METADATA_DIGEST = "batcher-digest"


METADATA_BYTES = "batcher-bytes"


METADATA_CRC32 = "batcher-crc32"


MAX_POSITION_BYTES = 320
"""Limit of `batcher-first` and `batcher-last`: with the user's 1,024 bytes they fit S3's 2 KB."""


KEPT_POSITION_CHARACTERS = 20


class Receipt(Struct, frozen=True):
    """An object that is durable."""

    key: str
    """Its full key. Empty for a record that was filtered or dropped."""
    records: int
    size_bytes: int
    """Bytes of the object, compressed."""
    quarantined: bool = False
    """Whether it is a quarantine object, which holds bad records."""


def choose_format(route: Route, settings: Settings) -> ObjectFormat:
    """Return how the objects of a route are stored: bad records as quarantine, others as data."""
    if route.is_quarantine:
        return QUARANTINE_FORMAT
    return data_format(
        settings.format, settings.compression, settings.compression_level, settings.content_type
    )


def object_metadata(
    batch: Batch, digest: str, checksum: Checksum | None, user_metadata: Mapping[str, str]
) -> dict[str, str]:
    """Return the object's metadata: what is known now, and the user's own.

    Args:
        batch: the object's records. Of an open batch only the first position is known.
        digest: of its positions; see `Batch.digest`.
        checksum: of the whole text, or None while it is still being encoded.
        user_metadata: from the settings.
    """
    known = {METADATA_FIRST: _encode_position(batch.first_position)}
    if batch.seal_reason is not None:
        known |= {
            METADATA_RECORDS: str(batch.records),
            METADATA_LAST: _encode_position(batch.last_position),
            METADATA_DIGEST: digest,
            METADATA_BYTES: str(batch.size_bytes),
        }
    if checksum is not None:
        known[METADATA_CRC32] = f"{checksum.crc32:08x}"
    return {**user_metadata, **known}


def _encode_position(position: str) -> str:
    """Percent-encode a position if a header cannot hold it: a file's name may have any character.

    Of a position that is too long only the end is kept, which has the line's number, after a digest
    of the whole. S3 allows 2 KB of metadata, the user's included.
    """
    whole = position
    if not (position.isascii() and position.isprintable()):
        whole = quote(position, errors="surrogatepass")
    if len(whole) <= MAX_POSITION_BYTES:
        return whole
    end = quote(position[-KEPT_POSITION_CHARACTERS:], safe="/:", errors="surrogatepass")
    return f"~{positions_digest([position])[:DIGEST_DIGITS]}~{end}"


def object_name(batch: Batch, digest: str, uuid_name: str) -> str:
    """Name the object of a batch.

    Args:
        batch: sealed, if its source can redeliver the records.
        digest: of its positions; see `Batch.digest`.
        uuid_name: a new UUIDv7, for origins whose objects are not named after their records.
    """
    origin = batch.route.origin
    if origin.naming is NamingScheme.SEQUENCE:
        return sequence_name(origin, batch.first_position)
    if origin.naming is NamingScheme.MESSAGE_SET:
        return message_set_name(
            origin, batch.oldest_arrival_s, digest, batch.lowest_sequence_number()
        )
    return uuid_name


def object_key(batch: Batch, name: str, settings: Settings) -> str:
    """Return the full key of a batch's object. Empty folders are left out.

    Quarantine objects have no salt because few of them are written.
    """
    object_format = choose_format(batch.route, settings)
    if object_format.folder:
        # The date follows the name: the shorter event of a stream's retry must find the same key
        named_by_first = batch.route.origin.naming is NamingScheme.SEQUENCE
        arrival_s = batch.first_arrival_s if named_by_first else batch.oldest_arrival_s
        date = f"dt={quarantine_date(arrival_s)}"
        folders = [object_format.folder, batch.route.origin.source, date]
    else:
        folders = [salt(name, settings.fanout), batch.route.partition]
    file = f"{name}{object_format.suffix}"
    return "/".join(filter(None, [settings.root, *folders, file]))


class ObjectSpec:
    """The object of a pending batch: its key, its attributes, and how to recognize it."""

    def __init__(
        self, batch: Batch, uuid_name: str, checksum: Checksum | None, settings: Settings
    ) -> None:
        """Set key and metadata from what is known about the batch now; see `object_metadata`."""
        self._batch = batch
        self._digest = batch.digest()
        self.is_fresh = not batch.route.origin.is_redeliverable
        """Whether no other writer and no redelivery can write its key."""
        self.key = object_key(batch, object_name(batch, self._digest, uuid_name), settings)
        metadata = object_metadata(batch, self._digest, checksum, settings.metadata)
        self.attributes = ObjectAttributes(
            choose_format(batch.route, settings).content_type, metadata
        )

    def is_ours(self, info: ObjectInfo) -> bool:
        """Return whether an object found under this key has the records that we send."""
        return self.is_fresh or info.metadata.get(METADATA_DIGEST) == self._digest

    def make_receipt(self, size_bytes: int) -> Receipt:
        """Return the receipt of the object, once it is durable with this size."""
        batch = self._batch
        return Receipt(self.key, batch.records, size_bytes, batch.route.is_quarantine)
