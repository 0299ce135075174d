"""One object of a batch: its format, key and metadata, and the receipt once it is durable.

`object_key` joins the full key of an object. The name in it is made by `batcher.keys.names`, and
the partition by `batcher.keys.partition`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from batcher.encoding.codec import Checksum, encode_text
from batcher.keys.names import (
    SEQUENCE_DIGITS,
    continuation_name,
    message_set_name,
    quarantine_date,
    salt,
    sequence_name,
)
from batcher.keys.object_format import QUARANTINE_FORMAT, ObjectFormat, data_format
from batcher.keys.partition import DIGEST_DIGITS
from batcher.limits import MAX_KEY_BYTES
from batcher.records.chunk import NamingScheme, positions_digest
from batcher.records.position import fingerprint_of, sequence_number
from batcher.records.positions import encode_positions
from batcher.stores.base import ObjectAttributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batcher.batching.batch import Batch, Route
    from batcher.settings import Settings

# Names of the object's metadata, next to the user's own
METADATA_RECORDS = "batcher-records"


METADATA_FIRST = "batcher-first"


METADATA_LAST = "batcher-last"


METADATA_DIGEST = "batcher-digest"


METADATA_BYTES = "batcher-bytes"


METADATA_CRC32 = "batcher-crc32"


METADATA_POSITIONS = "batcher-positions"


METADATA_FINGERPRINT = "batcher-fingerprint"
"""Of its first record, where numbers are not unique; see `batcher.records.position`."""


METADATA_KIND = "batcher-kind"


METADATA_OF = "batcher-of"


GUARD_KIND = "guard"
"""The value of `batcher-kind` of an empty object that only has a positions list."""


MAX_METADATA_LIST_CHARACTERS = 600
"""A longer positions list, in base64, is in the body. With the user's 1,024 bytes of metadata and
our other fields it fits S3's 2 KB."""


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
    if batch.fingerprint:
        known[METADATA_FINGERPRINT] = batch.fingerprint
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
        # Of a stream, the date is that of each record: another cut must find the same key
        date = batch.route.partition or f"dt={quarantine_date(batch.oldest_arrival_s)}"
        folders = [object_format.folder, batch.route.origin.source, date]
    else:
        folders = [salt(name, settings.fanout), batch.route.partition]
    file = f"{name}{object_format.suffix}"
    return "/".join(filter(None, [settings.root, *folders, file]))


class ObjectSpec:
    """The object of a pending batch: its key and its attributes."""

    def __init__(
        self,
        batch: Batch,
        uuid_name: str,
        checksum: Checksum | None,
        settings: Settings,
        suffix: str = "",
    ) -> None:
        """Set key and metadata from what is known about the batch now; see `object_metadata`.

        Args:
            batch: the object's records.
            uuid_name: see `object_name`.
            checksum: see `object_metadata`.
            settings: root, fanout, format and metadata.
            suffix: digits that the name gets, because an object with other records has it.
        """
        self._batch = batch
        digest = batch.digest()
        name = object_name(batch, digest, uuid_name)
        if suffix:
            name = continuation_name(name, suffix)
        self.key: str = object_key(batch, name, settings)
        metadata = object_metadata(batch, digest, checksum, settings.metadata)
        first, last = batch.first_position, batch.last_position
        positions_list = batch.positions_list
        if positions_list is not None and is_short_list(positions_list, first, last):
            metadata[METADATA_POSITIONS] = b64encode(positions_list).decode()
        object_format = choose_format(batch.route, settings)
        self.attributes: ObjectAttributes = ObjectAttributes(object_format.content_type, metadata)

    def make_receipt(self, size_bytes: int) -> Receipt:
        """Return the receipt of the object, once it is durable with this size."""
        batch = self._batch
        return Receipt(self.key, batch.records, size_bytes, batch.route.is_quarantine)


class GuardSpec:
    """A guard: an empty object with the positions list of records that another object holds."""

    def __init__(
        self,
        batch: Batch,
        positions: Sequence[str],
        of_key: str,
        settings: Settings,
        suffix: str = "",
    ) -> None:
        """Set key, attributes and body.

        Args:
            batch: of the same route as the object.
            positions: the list of the guard. It gets the name of an object that begins with these.
            of_key: the key of the object that holds the records.
            settings: root, fanout and format.
            suffix: see `ObjectSpec`.
        """
        object_format = choose_format(batch.route, settings)
        first, last = sequence_number(positions[0]), sequence_number(positions[-1])
        name = sequence_name(batch.route.origin, first)
        if suffix:
            name = continuation_name(name, suffix)
        self.key: str = object_key(batch, name, settings)
        metadata = {
            METADATA_KIND: GUARD_KIND,
            METADATA_OF: encode_key(of_key),
            METADATA_RECORDS: "0",
            METADATA_FIRST: _encode_position(first),
            METADATA_LAST: _encode_position(last),
            METADATA_DIGEST: batch.digest_of(positions),
            METADATA_BYTES: "0",
            METADATA_CRC32: "00000000",
        }
        if fingerprint := fingerprint_of(positions[0]):
            metadata[METADATA_FINGERPRINT] = fingerprint
        compression, level = object_format.compression, object_format.compression_level
        body, _ = encode_text(b"", compression, level)
        positions_list = encode_positions(positions)
        assert positions_list is not None  # noqa: S101  # they come from a list
        if is_short_list(positions_list, first, last):
            metadata[METADATA_POSITIONS] = b64encode(positions_list).decode()
        else:
            body = _add_positions(body, object_format, positions_list)
        self.body: bytes = body
        self.attributes: ObjectAttributes = ObjectAttributes(object_format.content_type, metadata)


def is_guard(metadata: Mapping[str, str]) -> bool:
    """Return whether an object with this metadata is a guard, which holds no records."""
    return metadata.get(METADATA_KIND) == GUARD_KIND


def complete_body(batch: Batch, body: bytes, settings: Settings) -> bytes:
    """Return the body with the batch's positions list, if metadata cannot hold that.

    Without compression there is no place for it, and the body stays as it is.
    """
    positions_list = batch.positions_list
    if positions_list is None or is_short_list(
        positions_list, batch.first_position, batch.last_position
    ):
        return body
    return _add_positions(body, choose_format(batch.route, settings), positions_list)


def _add_positions(body: bytes, object_format: ObjectFormat, positions_list: bytes) -> bytes:
    from batcher.encoding.positions_field import add_positions  # noqa: PLC0415  # of long lists

    return add_positions(body, object_format.compression, positions_list) or body


def is_short_list(positions_list: bytes, first: str, last: str) -> bool:
    """Return whether metadata can hold a positions list, next to the first and last position."""
    characters = -(-len(positions_list) // 3) * 4
    has_room = len(first) + len(last) <= 2 * SEQUENCE_DIGITS
    return characters <= MAX_METADATA_LIST_CHARACTERS and has_room


def read_positions_metadata(metadata: Mapping[str, str]) -> bytes | None:
    """Return the positions list in an object's metadata, or None if there is none."""
    text = metadata.get(METADATA_POSITIONS)
    try:
        return None if text is None else b64decode(text, validate=True)
    except ValueError:
        return None


def encode_key(key: str) -> str:
    """Return a key as `batcher-of` has it: characters that a header cannot hold are encoded."""
    whole = quote(key, safe=_HEADER_CHARACTERS, errors="surrogatepass")
    if len(whole) <= MAX_KEY_BYTES:
        return whole
    return f"~{positions_digest([key])[:DIGEST_DIGITS]}"


_HEADER_CHARACTERS = "".join(map(chr, range(0x20, 0x7F)))
