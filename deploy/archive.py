"""Archive: a folder as a zip whose bytes follow from its files alone."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can say."""
UNIX, READABLE = 3, 0o100644
LEVEL = 9


def write_zip(folder: Path, zip_file: Path) -> None:
    """Pack every file of a folder, in the order of their names, without times and owners."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    with ZipFile(zip_file, "w", ZIP_DEFLATED, compresslevel=LEVEL) as packed:
        for name in sorted(name for name, path in files.items() if path.is_file()):
            entry = ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = READABLE << 16
            entry.compress_type = ZIP_DEFLATED
            packed.writestr(entry, files[name].read_bytes(), compresslevel=LEVEL)
