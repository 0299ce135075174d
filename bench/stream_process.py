"""Streamer: a way to stream a file into one object that is not batcher's; a process of its own.

`python streamer.py NAME FILE BUCKET CODEC` writes FILE to `s3://BUCKET/lines` and ends.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterator
from gzip import GzipFile
from pathlib import Path
from typing import IO, Any

BLOCK_BYTES = 1024**2
KEY = "lines"
LEVEL = 1
GZIP_WBITS = 31


def floor(file: Path, bucket: str, codec: str) -> None:
    """Do the least: read, compress a MiB at a time as batcher does, hand it to obstore's writer."""
    import obstore  # noqa: PLC0415  # a contender loads what it uses
    from obstore.store import S3Store  # noqa: PLC0415

    store = S3Store(
        bucket,
        config={
            "aws_endpoint_url_s3": os.environ["AWS_ENDPOINT_URL_S3"],
            "region": os.environ["AWS_REGION"],
            "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            "unsigned_payload": True,
        },
        client_options={"root_certificate": Path(os.environ["AWS_CA_BUNDLE"]).read_bytes()},
    )
    compress = _compressor(codec)
    with obstore.open_writer(store, KEY, buffer_size=8 * BLOCK_BYTES) as writer:
        for block in _blocks(file):
            writer.write(compress(block))


def smart_open(file: Path, bucket: str, codec: str) -> None:
    """Use smart_open's stream with the standard library's file of the codec."""
    import smart_open as smart  # noqa: PLC0415

    opened: Any = smart.open(f"s3://{bucket}/{KEY}", "wb", compression="disable")
    with opened as raw, _coded(raw, codec) as output:
        _copy(file, output)


def s3fs(file: Path, bucket: str, codec: str) -> None:
    """Use s3fs' file with the standard library's file of the codec."""
    from s3fs import S3FileSystem  # noqa: PLC0415

    system: Any = S3FileSystem()
    with system.open(f"{bucket}/{KEY}", "wb") as raw, _coded(raw, codec) as output:
        _copy(file, output)


def pyarrow(file: Path, bucket: str, codec: str) -> None:
    """Use pyarrow's output stream and its own codec, whose level it does not let one choose."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.fs import S3FileSystem  # noqa: PLC0415

    scheme, _, host = os.environ["AWS_ENDPOINT_URL_S3"].partition("://")
    system = S3FileSystem(
        region=os.environ["AWS_REGION"],
        scheme=scheme,
        endpoint_override=host,
        tls_ca_file_path=os.environ["AWS_CA_BUNDLE"],
    )
    with system.open_output_stream(f"{bucket}/{KEY}", compression=None) as raw:
        if codec == "none":
            _copy(file, raw)
        else:
            with pa.CompressedOutputStream(raw, codec) as output:
                _copy(file, output)


STREAMERS: dict[str, Callable[[Path, str, str], None]] = {
    "floor": floor,
    "smart_open": smart_open,
    "s3fs": s3fs,
    "pyarrow": pyarrow,
}


def _compressor(codec: str) -> Callable[[bytes], bytes]:
    """Return batcher's codec at its level."""
    if codec == "none":
        return bytes
    if codec == "gzip":
        from isal import isal_zlib  # noqa: PLC0415

        return lambda text: bytes(isal_zlib.compress(text, LEVEL, GZIP_WBITS))
    zstd = _zstd()
    return lambda text: bytes(zstd.compress(text, LEVEL))


def _coded(raw: IO[bytes], codec: str) -> Any:  # noqa: ANN401  # whatever has `write`
    """Get what compresses into `raw`, at level 1, as careful users of these libraries have it."""
    if codec == "none":
        return raw
    if codec == "gzip":
        return GzipFile(fileobj=raw, mode="wb", compresslevel=zlib.Z_BEST_SPEED, mtime=0)
    return _zstd().ZstdFile(raw, "wb", level=LEVEL)


def _zstd() -> Any:  # noqa: ANN401  # a module
    try:
        from compression import zstd  # noqa: PLC0415  # from Python 3.14 on
    except ImportError:
        from backports import zstd  # noqa: PLC0415
    return zstd


def _copy(file: Path, output: Any) -> None:  # noqa: ANN401  # whatever has `write`
    for block in _blocks(file):
        output.write(block)


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as source:
        while block := source.read(BLOCK_BYTES):
            yield block


def main() -> None:
    """Write one file."""
    name, file, bucket, codec = sys.argv[1:]
    STREAMERS[name](Path(file), bucket, codec)


if __name__ == "__main__":
    main()
