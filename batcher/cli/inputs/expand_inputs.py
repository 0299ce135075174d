"""Inputs as users name them, expanded into files and objects before anything is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG
from typing import TYPE_CHECKING

from batcher.cli.inputs.bucket_objects import (
    BucketListing,
    excluded_root,
    input_settings,
    is_one_key,
    list_objects,
)
from batcher.cli.inputs.folder_files import FolderListing, list_files, split_pattern
from batcher.cli.inputs.input import S3_SCHEME, STDIN, STDIN_CLOSED, is_stdin_closed
from batcher.cli.inputs.name_pattern import NamePattern, has_wildcard
from batcher.cli.signals import run_in_loop
from batcher.errors import BatcherError, SettingsError
from batcher.stores import open_bucket_reader
from batcher.stores.location import parse_destination, parse_folder_url
from batcher.tools.formatting import format_count

if TYPE_CHECKING:
    from batcher.settings import Settings


MAX_REASONS = 3
"""Skipped names that the fault of an input without files shows, at most."""


IS_DESTINATION = "it is the destination; choose another destination, or name files in it"


@dataclass(frozen=True, slots=True)
class Source:
    """One input that is read: a file, standard input or an object."""

    name: str
    """A path, `-`, or the URL of an object."""
    size_bytes: int | None = None
    """Its size, or None if it is not known yet."""
    bucket: str = ""
    """The bucket of an object, or nothing."""
    key: str = ""


@dataclass(slots=True)
class Expansion:
    """All inputs of a run, in the order of reading."""

    sources: list[Source] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """What was found and is not read, each with the reason."""
    skipped_names: int = 0
    """How many names that are."""
    errors: list[str] = field(default_factory=list)
    """Inputs that cannot be listed, each with the reason."""


def expand_inputs(words: Sequence[str], settings: Settings | None, *, done: int = 0) -> Expansion:
    """Expand folders, patterns and prefixes of buckets. Blocks, and can be interrupted.

    Args:
        words: as they are on the command line.
        settings: of the destination. Its region, endpoint and credentials are those of inputs, too.
            None if they have faults: buckets are not listed then.
        done: how many of the first words an earlier run has read. They are expanded too, because a
            file of theirs is not read again for a later one. They may be gone.

    Raises:
        SettingsError: an input does not exist, matches nothing, or is the destination.
    """
    expander = _Expander(settings)
    for word in words[:done]:
        expander.add(word)
    expander.forget_problems()
    expander.list_buckets()
    expander.forget_problems()
    for word in words[done:]:
        expander.add(word)
    expander.list_buckets()
    return expander.finish()


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    source: Source
    identity: tuple[object, object]
    """The same for all names of a file or an object."""
    is_named: bool
    """Whether a word names it, rather than its folder or a pattern."""
    is_link: bool = False


class _Expander:
    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings
        self._destination = None if settings is None else _folder_status(settings)
        self._faults: list[str] = []
        self._found: list[list[_Candidate]] = []
        """What each word stands for."""
        self._buckets: list[tuple[int, str, str, str]] = []
        """Index in `_found`, word, bucket and key of what is still to be listed."""
        self._expansion = Expansion()

    def add(self, word: str) -> None:
        """Add one input. Buckets are listed later."""
        self._found.append([])
        if word == STDIN:
            if is_stdin_closed():
                self._faults.append(f"input {word}: {STDIN_CLOSED}")
            self._name(Source(word), STDIN, STDIN)
        elif word.startswith(S3_SCHEME):
            self._add_url(word)
        else:
            path = str(parse_folder_url(word)) if word.startswith("file:/") else word
            self._add_path(word, path)

    def _add_url(self, word: str) -> None:
        location = self._parse_location(word)
        if location is None:
            return
        bucket, key = location["bucket"], location["root"]
        if is_one_key(key):
            self._name(Source(word, None, bucket, key), bucket, key)
        else:
            self._buckets.append((len(self._found) - 1, word, bucket, key))

    def _parse_location(self, word: str) -> dict[str, str] | None:
        """Return bucket and key, or None and add the fault."""
        try:
            location = parse_destination(word)
            if self._settings is not None and word.startswith(S3_SCHEME):
                input_settings(self._settings, location["bucket"])
        except SettingsError as error:
            prefix = f"destination: {word!r} "
            self._faults += (f"input {word}: {each.removeprefix(prefix)}" for each in error.faults)
            return None
        return location

    def _add_path(self, word: str, path: str) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116  # takes a NUL
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and has_wildcard(path):
                self._add_listing(word, *split_pattern(path))
            elif self._parse_location(word) is not None:  # no URL of another form
                reason = getattr(error, "strerror", None) or error
                self._faults.append(f"input {word}: {reason}")
            return
        if S_ISDIR(status.st_mode):
            if _is_same_folder(path, self._destination):
                self._faults.append(f"input {word}: {IS_DESTINATION}")
            else:
                self._add_listing(word, path, NamePattern([]))
            return
        try:
            # A named pipe that is opened twice loses lines
            if not S_ISFIFO(status.st_mode):
                Path(path).open("rb").close()
        except OSError as error:
            self._faults.append(f"input {word}: {error.strerror}")
            return
        size_bytes = status.st_size if S_ISREG(status.st_mode) else None
        self._name(Source(path, size_bytes), status.st_dev, status.st_ino)

    def _name(self, source: Source, *identity: object) -> None:
        self._found[-1].append(_Candidate(source, (identity[0], identity[1]), is_named=True))

    def _add_listing(self, word: str, folder: str, pattern: NamePattern) -> None:
        listing = FolderListing()
        if Path(folder).is_dir():
            listing = list_files(folder, pattern, self._destination)
        self._found[-1] += (
            _Candidate(
                Source(file.name, file.size_bytes),
                file.identity,
                is_named=False,
                is_link=file.is_link,
            )
            for file in listing.files
        )
        self._expansion.errors += listing.errors
        for text in listing.skipped:
            self._skip(text)
        self._skip_hidden(word, listing.hidden)
        if not listing.files and not listing.errors:
            self._add_empty(word)

    def _skip(self, text: str, names: int = 1) -> None:
        self._expansion.skipped.append(text)
        self._expansion.skipped_names += names

    def _skip_hidden(self, word: str, names: int) -> None:
        if names:
            verb = "starts" if names == 1 else "start"
            self._skip(f"{word}: {format_count(names, 'name')} that {verb} with '.' or '_'", names)

    def _add_empty(self, word: str) -> None:
        """Add the fault that nothing is left of an input."""
        problem = "no file matches" if has_wildcard(word) else "there are no files in it"
        own = [text for text in self._expansion.skipped if text.startswith(word)]
        reasons = f"; skipped: {'; '.join(own[:MAX_REASONS])}" if own else ""
        self._faults.append(f"input {word}: {problem}{reasons}; correct the name")

    def list_buckets(self) -> None:
        """List the prefixes and patterns of buckets that were added since the last call."""
        buckets, self._buckets = self._buckets, []
        if buckets and not self._faults and self._settings is not None:
            run_in_loop(self._list_buckets(buckets, self._settings))

    def forget_problems(self) -> None:
        """Accept that some of the inputs so far may be gone, and name none of what they skip."""
        self._faults.clear()
        self._expansion = Expansion()

    async def _list_buckets(
        self, buckets: Sequence[tuple[int, str, str, str]], settings: Settings
    ) -> None:
        for index, word, bucket, key in buckets:
            try:
                destination = (settings.bucket, settings.root)
                excluded = excluded_root(bucket, key, destination)
            except ValueError:
                self._faults.append(f"input {word}: {IS_DESTINATION}")
                continue
            reader = open_bucket_reader(input_settings(settings, bucket))
            try:
                listing = await list_objects(reader, key, excluded)
            except BatcherError as error:
                self._expansion.errors.append(f"{word}: cannot be listed: {error}")
                continue
            finally:
                await reader.aclose()
            self._add_objects(index, word, bucket, listing)

    def _add_objects(self, index: int, word: str, bucket: str, listing: BucketListing) -> None:
        self._found[index] += (
            _Candidate(
                Source(f"{S3_SCHEME}{bucket}/{key}", size_bytes, bucket, key),
                (bucket, key),
                is_named=False,
            )
            for key, size_bytes in listing.objects
        )
        if listing.excluded:
            objects = format_count(listing.excluded, "object")
            self._skip(f"{word}: {objects} of the destination", listing.excluded)
        self._skip_hidden(word, listing.hidden)
        if not listing.objects:
            self._add_empty(word)

    def finish(self) -> Expansion:
        """Return the inputs, each once unless its name is given more than once."""
        if self._faults:
            raise SettingsError(self._faults)
        candidates = list(chain.from_iterable(self._found))
        owners: dict[tuple[object, object], _Candidate] = {}
        for candidate in sorted(candidates, key=lambda each: (not each.is_named, each.is_link)):
            owners.setdefault(candidate.identity, candidate)
        for candidate in candidates:
            owner = owners[candidate.identity]
            name, first_name = candidate.source.name, owner.source.name
            if candidate.is_named or candidate is owner:
                self._expansion.sources.append(candidate.source)
            elif name == first_name:
                self._skip(f"{name}: given more than once")
            else:
                self._skip(f"{name}: the same file as {first_name}")
        return self._expansion


def _folder_status(settings: Settings) -> os.stat_result | None:
    """Return the status of the folder of the destination, or None if there is none yet."""
    if not settings.bucket.startswith("file:"):
        return None
    with suppress(OSError):
        return (parse_folder_url(settings.bucket) / settings.root).stat()
    return None


def _is_same_folder(folder: str, status: os.stat_result | None) -> bool:
    with suppress(OSError):
        return status is not None and os.path.samestat(os.stat(folder), status)  # noqa: PTH116  # takes `./`
    return False
