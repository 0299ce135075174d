"""Parts: how one body becomes a legal multipart upload."""

MIN_PART_BYTES = 5 * 1024**2
MAX_PART_BYTES = 5 * 1024**3
MAX_PARTS = 10_000
# Source: Amazon S3 user guide, multipart upload limits. Only the last part may be smaller.


def part_bytes_for(part_bytes: int, longest_body_bytes: int) -> int:
    """Give the size of all parts but the last: `part_bytes`, doubled until 10,000 parts suffice.

    All parts but the last are of one size, for some S3-compatible stores take nothing else.

    Args:
        part_bytes: what is wanted; at least 5 MiB.
        longest_body_bytes: what the object could come to, known before its first part leaves.

    Raises:
        ValueError: `part_bytes` is under 5 MiB, or the body is over what 10,000 parts can hold.
    """
    if part_bytes < MIN_PART_BYTES:
        msg = f"a part has at least {MIN_PART_BYTES} bytes, not {part_bytes}"
        raise ValueError(msg)
    while part_bytes * MAX_PARTS < longest_body_bytes:
        part_bytes *= 2
    if part_bytes > MAX_PART_BYTES:
        msg = f"a body of {longest_body_bytes} bytes does not fit {MAX_PARTS} parts"
        raise ValueError(msg)
    return part_bytes
