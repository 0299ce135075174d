"""Package: a zip for AWS Lambda with batcher's handler and all that it imports.

`python deploy/package.py --engine obstore --arch arm64` writes `dist/batcher-….zip`, and
`dist/deployment.json`, by which `serverless.yml` knows the zip, its runtime and its engine.
The same sources and the same lock give the same bytes.
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
SHOWN = 6


def build(target: Target, to: Path, besides: Sequence[Path] = ()) -> Path:
    """Make the package of a target, and `deployment.json` beside it.

    Args:
        target: what it is made for.
        to: the folder that both are written to.
        besides: modules of one's own, files or folders, that go in beside batcher.

    Raises:
        RefusedError: it cannot be made; the message says what to do.
    """
    for path in besides:
        if not path.exists():
            msg = f"--with {path}: there is no such file or folder"
            raise RefusedError(msg)
    interpreter = find(target.python)
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="batcher-package-") as name:
        found, kept = Path(name, "found"), Path(name, "kept")
        install(target, interpreter, found)
        shutil.copytree(ROOT / "batcher", found / "batcher")
        for path in besides:
            _add(path, found)
        for file in sorted(path for path in found.rglob("*") if path.is_file()):
            inside = file.relative_to(found)
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
    """Copy a module of one's own; it may not stand in another's place."""
    place = folder / path.resolve().name
    if place.exists():
        msg = f"--with {path}: the package has a {place.name} already"
        raise RefusedError(msg)
    if path.is_dir():
        shutil.copytree(path, place)
    else:
        shutil.copyfile(path, place)


def describe(target: Target, zip_file: Path, folder: Path) -> dict[str, object]:
    """Return what `serverless.yml` and the reader must know of a package."""
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
        "largest_bytes": dict(sizes.most_common(SHOWN)),
    }


def main() -> None:
    """Make a package as the command line says, and print its sizes."""
    running = "{}.{}".format(*sys.version_info[:2])
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=ENGINES, default="obstore")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="arm64")
    parser.add_argument("--python", choices=GLIBC_MINOR, help=f"default: this one's, {running}")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="folder; default: dist")
    parser.add_argument(
        "--with", type=Path, action="append", default=[], dest="besides", metavar="PATH",
        help="a module of your own, file or folder, to put in beside batcher; can be repeated",
    )  # fmt: skip
    chosen = parser.parse_args()
    python = chosen.python or running
    if python not in GLIBC_MINOR:
        parser.error(f"this is Python {python}: say --python, one of {', '.join(GLIBC_MINOR)}")
    target = Target(chosen.engine, chosen.arch, python)
    try:
        zip_file = build(target, chosen.to, chosen.besides)
    except RefusedError as refused:
        sys.exit(f"package: {refused}")
    told = json.loads((chosen.to / DESCRIPTION).read_text())
    largest = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in told["largest_bytes"].items())
    print(
        f"{zip_file}: {told['zipped_bytes'] / 1e6:.1f} MB, unzipped "
        f"{told['unzipped_bytes'] / 1e6:.1f} MB ({largest})\nsha256 {told['sha256']}"
    )


if __name__ == "__main__":
    main()
