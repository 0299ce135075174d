"""Build a zip for AWS Lambda with batcher's handler and everything that it imports.

`python deploy/package.py --engine obstore --arch arm64` writes `dist/batcher-….zip`, and
`dist/deployment.json`, from which `serverless.yml` takes the zip, its runtime and its engine.
The same sources and the same lock make the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from archive import write_zip
from interpreter import compile_all, find
from refused import RefusedError
from slim import is_kept
from target import ARCHITECTURES, ENGINES, GLIBC_MINOR, Target
from wheels import install

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = "deployment.json"
MAX_SHOWN = 6
"""How many of the largest distributions are listed."""


def build(target: Target, to: Path, extra_modules: Sequence[Path] = ()) -> Path:
    """Write the package of a target and its `deployment.json`, and return the package's path.

    Args:
        target: engine, architecture and Python version.
        to: the folder to write both files to.
        extra_modules: files or folders of the user to add to the package.

    Raises:
        RefusedError: the package cannot be built. The message says what to do.
    """
    for path in extra_modules:
        if not path.exists():
            msg = f"--with {path}: no such file or folder; check the path"
            raise RefusedError(msg)
    interpreter = find(target.python)
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="batcher-package-") as name:
        installed, kept = Path(name, "installed"), Path(name, "kept")
        install(target, interpreter, installed)
        shutil.copytree(ROOT / "batcher", installed / "batcher")
        for path in extra_modules:
            _add(path, installed)
        for file in sorted(path for path in installed.rglob("*") if path.is_file()):
            inside = file.relative_to(installed)
            if is_kept(PurePosixPath(inside.as_posix())):
                (kept / inside).parent.mkdir(parents=True, exist_ok=True)
                file.rename(kept / inside)
        compile_all(interpreter, kept)
        zip_file = to / f"{target.name}.zip"
        write_zip(kept, zip_file)
        description = describe(target, zip_file, kept)
    (to / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    return zip_file


def _add(path: Path, folder: Path) -> None:
    """Copy a module of the user into the package, unless the name is taken."""
    copy = folder / path.resolve().name
    if copy.exists():
        msg = f"--with {path}: the package already has a {copy.name}; rename yours"
        raise RefusedError(msg)
    if path.is_dir():
        shutil.copytree(path, copy)
    else:
        shutil.copyfile(path, copy)


def describe(target: Target, zip_file: Path, folder: Path) -> dict[str, object]:
    """Return the content of `deployment.json`: for `serverless.yml`, and sizes for the reader."""
    sizes: Counter[str] = Counter()
    for file in folder.rglob("*"):
        if file.is_file():
            sizes[file.relative_to(folder).parts[0]] += file.stat().st_size
    return {
        "artifact": os.path.relpath(zip_file.resolve(), ROOT),
        "engine": target.engine,
        "architecture": target.architecture,
        "runtime": target.runtime,
        "sha256": hashlib.sha256(zip_file.read_bytes()).hexdigest(),
        "zipped_bytes": zip_file.stat().st_size,
        "unzipped_bytes": sizes.total(),
        "largest_bytes": dict(sizes.most_common(MAX_SHOWN)),
    }


def main() -> None:
    """Build a package by the options of the command line, and print its sizes."""
    running = "{}.{}".format(*sys.version_info[:2])
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=ENGINES, default="obstore")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="arm64")
    parser.add_argument(
        "--python", choices=GLIBC_MINOR, help=f"default: the running one, {running}"
    )
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="folder; default: dist")
    parser.add_argument(
        "--with", type=Path, action="append", default=[], dest="extra_modules", metavar="PATH",
        help="your own module to add to the package, file or folder; can be repeated",
    )  # fmt: skip
    chosen = parser.parse_args()
    python = chosen.python or running
    if python not in GLIBC_MINOR:
        parser.error(f"unsupported Python {python}; choose --python {', '.join(GLIBC_MINOR)}")
    target = Target(chosen.engine, chosen.arch, python)
    try:
        zip_file = build(target, chosen.to, chosen.extra_modules)
    except RefusedError as refused:
        sys.exit(f"package: {refused}")
    written = json.loads((chosen.to / DESCRIPTION).read_text())
    largest = ", ".join(
        f"{name} {size / 1e6:.1f}" for name, size in written["largest_bytes"].items()
    )
    print(
        f"{zip_file}: {written['zipped_bytes'] / 1e6:.1f} MB, unzipped "
        f"{written['unzipped_bytes'] / 1e6:.1f} MB ({largest})\nsha256 {written['sha256']}"
    )


if __name__ == "__main__":
    main()
